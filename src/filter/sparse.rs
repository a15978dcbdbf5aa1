//! A delta of few elements, as positions and values.

use crate::vector::{Element, kernels, prefetch};

/// About what a position costs on the wire: the difference to the one before, of variable length.
pub const POSITION_BYTES: usize = 2;

/// How many positions ahead [`scatter_add`] asks for memory: at a few per cent some 20 KiB of the
/// target. The machine's own prefetching stops at the end of a page.
const AHEAD: usize = 256;

/// A sparse delta does not fit the lane that it is added to. Blame: whoever sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ScatterError {
    /// The two lists differ in length.
    #[error("expected one value for each of {positions} positions, found {values}")]
    Lengths {
        /// Positions given.
        positions: usize,
        /// Values given.
        values: usize,
    },
    /// A position is behind the lane's end.
    #[error("expected positions below {elements}, found {position}")]
    Position {
        /// The largest position given.
        position: u32,
        /// Elements of the lane.
        elements: usize,
    },
}

/// Replaces `positions` by those of the delta's elements that are not 0, ascending, and `values` by
/// these elements; NaN is not 0, -0.0 is. Allocates only to grow.
///
/// ```
/// use archipelago::filter;
/// let (mut positions, mut values) = (Vec::new(), Vec::new());
/// filter::gather_positions(&[0.0, 1.5, 0.0, -2.0], &mut positions, &mut values);
/// assert_eq!((&positions[..], &values[..]), (&[1, 3][..], &[1.5, -2.0][..]));
///
/// let mut lane = [1.0; 4];
/// filter::scatter_add(&mut lane, &positions, &values)?;
/// assert_eq!(lane, [1.0, 2.5, 1.0, -1.0]);
/// # Ok::<(), filter::ScatterError>(())
/// ```
///
/// # Panics
/// When the delta has more than 2^32 elements.
pub fn gather_positions<T: Element>(delta: &[T], positions: &mut Vec<u32>, values: &mut Vec<T>) {
    kernels::gather_non_zero(delta, positions, values);
}

/// `target[position] += value` for each position and its value, in their order; integers wrap. A
/// position that is named twice is added to twice.
///
/// # Errors
/// Lists of different length, or a position outside the target; nothing has been changed then.
pub fn scatter_add<T: Element>(
    target: &mut [T],
    positions: &[u32],
    values: &[T],
) -> Result<(), ScatterError> {
    if positions.len() != values.len() {
        let (positions, values) = (positions.len(), values.len());
        return Err(ScatterError::Lengths { positions, values });
    }
    let elements = target.len();
    let position = kernels::largest(positions);
    if position as usize >= elements && !positions.is_empty() {
        return Err(ScatterError::Position { position, elements });
    }
    for position in positions.iter().take(AHEAD) {
        prefetch(target, *position as usize);
    }
    let later = positions.get(AHEAD..).unwrap_or_default();
    for (index, (position, value)) in positions.iter().zip(values).enumerate() {
        if let Some(later) = later.get(index) {
            prefetch(target, *later as usize);
        }
        let element = &mut target[*position as usize];
        *element = element.plus(*value);
    }
    Ok(())
}

/// The sum of two sparse deltas with ascending positions, `first` on the left of each addition;
/// elements that come to 0 are left out. Cost: one pass of both.
///
/// ```
/// use archipelago::filter::add_sparse;
/// let sum = add_sparse((&[1, 3], &[1, -2]), (&[0, 3], &[5, 2]));
/// assert_eq!(sum, (vec![0, 1], vec![5, 1]));
/// ```
pub fn add_sparse<T: Element>(first: (&[u32], &[T]), second: (&[u32], &[T])) -> (Vec<u32>, Vec<T>) {
    let most = first.0.len() + second.0.len();
    let (mut positions, mut values) = (Vec::with_capacity(most), Vec::with_capacity(most));
    let mut keep = |position: u32, value: T| {
        if value != T::default() {
            positions.push(position);
            values.push(value);
        }
    };
    let mut first = first.0.iter().copied().zip(first.1.iter().copied()).peekable();
    let mut second = second.0.iter().copied().zip(second.1.iter().copied()).peekable();
    loop {
        match (first.peek().copied(), second.peek().copied()) {
            (Some((a, left)), Some((b, right))) if a == b => {
                keep(a, left.plus(right));
                first.next();
                second.next();
            },
            (Some((a, left)), later) if later.is_none_or(|(b, _)| a < b) => {
                keep(a, left);
                first.next();
            },
            (_, Some((b, right))) => {
                keep(b, right);
                second.next();
            },
            (_, None) => return (positions, values),
        }
    }
}

/// Whether a delta of which `nonzero` of `elements` elements are not 0 is smaller as positions and
/// values than as a plain array: up to two thirds of an f32 block, four fifths of an f64 one. A
/// position counts [`POSITION_BYTES`], which is what it takes while gaps are below 2^14.
pub fn density_pays(nonzero: u64, elements: usize, element_bytes: usize) -> bool {
    let sparse = u128::from(nonzero) * (POSITION_BYTES + element_bytes) as u128;
    sparse < elements as u128 * element_bytes as u128
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_gathered_and_scattered_is_the_delta(
            delta in proptest::collection::vec(
                prop_oneof![3 => Just(0.0), 1 => any::<f64>()], 0..3 * 4 * AHEAD,
            ),
        ) {
            let (mut positions, mut values) = (vec![9; 500], vec![9.0; 2]);
            gather_positions(&delta, &mut positions, &mut values);
            prop_assert!(positions.is_sorted_by(|a, b| a < b));
            let nonzero = delta.iter().filter(|element| **element != 0.0).count();
            prop_assert_eq!((positions.len(), values.len()), (nonzero, nonzero));
            let mut lane = vec![0.0; delta.len()];
            prop_assert_eq!(scatter_add(&mut lane, &positions, &values), Ok(()));
            for (added, element) in lane.iter().zip(&delta) {
                prop_assert!(added == element || added.is_nan() && element.is_nan());
            }
        }
    }

    proptest! {
        #[test]
        fn sparse_deltas_add_up_as_plain_ones_do(
            deltas in proptest::collection::vec((-2_i64..3, -2_i64..3), 0..200),
        ) {
            let gathered = |delta: &[i64]| {
                let (mut positions, mut values) = (Vec::new(), Vec::new());
                gather_positions(delta, &mut positions, &mut values);
                (positions, values)
            };
            let (first, second): (Vec<_>, Vec<_>) = deltas.iter().copied().unzip();
            let sum: Vec<_> = deltas.iter().map(|(a, b)| a + b).collect();
            let ((at, values), (later_at, later)) = (gathered(&first), gathered(&second));
            let added = add_sparse((&at, &values), (&later_at, &later));
            prop_assert_eq!(added, gathered(&sum));
        }
    }

    #[test]
    fn a_delta_that_does_not_fit_changes_nothing() {
        let mut lane = [1_i64, i64::MAX, 3];
        let before = lane;
        let refused = scatter_add(&mut lane, &[0, 3, 1], &[1, 1, 1]);
        assert_eq!(refused, Err(ScatterError::Position { position: 3, elements: 3 }));
        let refused = scatter_add(&mut lane, &[0, u32::MAX], &[1, 1]);
        assert_eq!(refused, Err(ScatterError::Position { position: u32::MAX, elements: 3 }));
        let refused = scatter_add(&mut lane, &[0, 1], &[1]);
        assert_eq!(refused, Err(ScatterError::Lengths { positions: 2, values: 1 }));
        assert_eq!(lane, before);
        assert_eq!(scatter_add(&mut lane, &[1, 2, 2], &[1, 5, 5]), Ok(()));
        assert_eq!(lane, [1, i64::MIN, 13]);
        assert_eq!(scatter_add(&mut lane[..0], &[], &[]), Ok(()));
    }

    #[test]
    fn one_position_outside_is_found_wherever_it_stands() {
        for len in (1..70).chain([AHEAD, AHEAD + 1, 3 * AHEAD]) {
            let (mut lane, mut positions) = (vec![0; 5], vec![4; len]);
            assert_eq!(scatter_add(&mut lane, &positions, &vec![1; len]), Ok(()));
            assert_eq!(lane, [0, 0, 0, 0, len as i64]);
            for at in [0, len / 2, len - 1] {
                positions[at] = 5;
                let refused = scatter_add(&mut lane, &positions, &vec![1; len]);
                assert_eq!(refused, Err(ScatterError::Position { position: 5, elements: 5 }));
                positions[at] = 4;
            }
            assert_eq!(lane, [0, 0, 0, 0, len as i64]);
        }
    }

    #[test]
    fn the_smaller_form_pays() {
        assert!(density_pays(0, 1, 4) && !density_pays(0, 0, 4));
        assert!(density_pays(65, 100, 4) && !density_pays(67, 100, 4));
        assert!(density_pays(2, 4, 4) && !density_pays(8, 12, 4), "equal is not smaller");
        assert!(density_pays(79, 100, 8) && !density_pays(80, 100, 8));
        assert!(!density_pays(u64::MAX, usize::MAX, 8));
    }
}
