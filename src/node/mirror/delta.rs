//! What one copy tells another: rows with all their elements, or with those that are not zero.

use crate::filter::{add_sparse, density_pays, gather_positions, merge_rows, scatter_add};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::vector::Element;
use crate::vector::kernels::add_assign;
use crate::wire::{Delta, Positions, Refusal, RowsNamed, Trimmed};

/// A delta of these rows, `values` being all their elements; rows of keys without any that is not
/// zero are left out. In whichever form is smaller.
pub(in crate::node) fn compact<T: Element>(rows: RowsNamed, values: &[T], width: usize) -> Delta {
    let rows = match rows {
        RowsNamed::Block(range) => RowsNamed::Block(range),
        RowsNamed::Keys(keys) => return compact_keys(keys, values, width),
    };
    positioned(rows, values)
}

fn compact_keys<T: Element>(keys: Vec<Key>, values: &[T], width: usize) -> Delta {
    let zero = T::default();
    let named = |row: &[T]| row.iter().any(|value| *value != zero);
    if values.chunks_exact(width).all(named) {
        return positioned(RowsNamed::Keys(keys), values);
    }
    let (mut kept, mut elements) = (Vec::new(), Vec::new());
    for (key, row) in keys.into_iter().zip(values.chunks_exact(width)) {
        if named(row) {
            kept.push(key);
            elements.extend_from_slice(row);
        }
    }
    positioned(RowsNamed::Keys(kept), &elements)
}

fn positioned<T: Element>(rows: RowsNamed, values: &[T]) -> Delta {
    let zero = T::default();
    let nonzero = values.iter().filter(|value| **value != zero).count();
    let bytes = Trimmed::width_of(values);
    if !density_pays(nonzero as u64, values.len(), bytes) {
        return Delta { rows, positions: None, values: Trimmed::of_width(values, bytes) };
    }
    let (mut positions, mut found) = (Vec::with_capacity(nonzero), Vec::with_capacity(nonzero));
    gather_positions(values, &mut positions, &mut found);
    at_positions(rows, &positions, Trimmed::of_width(&found, bytes))
}

/// A delta of few elements; positions ascend.
fn at_positions(rows: RowsNamed, positions: &[u32], values: Trimmed) -> Delta {
    let positions = Positions::new(positions).expect("gathered in ascending order");
    Delta { rows, positions: Some(positions), values }
}

/// Checks that a delta from a peer fits itself: type, rows, positions and elements.
///
/// # Errors
/// `DType`, `Shape`.
pub(in crate::node) fn check<T: Element>(delta: &Delta, width: usize) -> Result<(), Refusal> {
    if delta.values.dtype() != T::DTYPE {
        return Err(Refusal::DType { expected: T::DTYPE, found: delta.values.dtype() });
    }
    let rows = row_count(&delta.rows).min(limits::FRAME_ELEMENTS_MAX as u128 + 1);
    let elements = rows as usize * width;
    let found = delta.values.len() as u64;
    let shape = |expected: usize| Err(Refusal::Shape { expected: expected as u64, found });
    match &delta.positions {
        // One row always fits.
        _ if elements > limits::FRAME_ELEMENTS_MAX.max(width) => Err(Refusal::Limit),
        None if found != elements as u64 => shape(elements),
        Some(at) if at.len() as u64 != found => shape(at.len()),
        Some(at) if at.largest().is_some_and(|last| last as usize >= elements) => shape(elements),
        _ => Ok(()),
    }
}

/// All elements of a delta's rows, zero where it names none.
///
/// # Errors
/// As [`check`].
pub(in crate::node) fn expanded<T: Element>(
    delta: &Delta,
    width: usize,
) -> Result<Vec<T>, Refusal> {
    let found = || Refusal::Shape { expected: 0, found: delta.values.len() as u64 };
    let elements = delta.values.elements::<T>().map_err(|_cut| found())?;
    let Some(positions) = &delta.positions else {
        return Ok(elements.into_owned());
    };
    let mut all = vec![T::default(); row_count(&delta.rows) as usize * width];
    scatter_add(&mut all, &positions.to_vec(), &elements).map_err(|_outside| found())?;
    Ok(all)
}

/// The sum of two deltas of one block or sparse slot, both checked.
pub(super) fn merged<T: Element>(held: &Delta, later: &Delta, width: usize) -> Delta {
    if let Some(sum) = merged_sparse::<T>(held, later) {
        return sum;
    }
    let (Ok(first), Ok(second)) = (expanded::<T>(held, width), expanded::<T>(later, width)) else {
        // Both come from this shard.
        return held.clone();
    };
    match (&held.rows, &later.rows) {
        (RowsNamed::Block(a), RowsNamed::Block(b)) => {
            let hull = KeyRange::new(a.first().min(b.first()), a.last().max(b.last()));
            let hull = hull.unwrap_or(*a);
            let mut sum = vec![T::default(); hull.count() as usize * width];
            for (rows, values) in [(a, &first), (b, &second)] {
                let start = hull.offset(rows.first()) as usize * width;
                add_assign(&mut sum[start..start + values.len()], values);
            }
            compact(RowsNamed::Block(hull), &sum, width)
        },
        (RowsNamed::Keys(a), RowsNamed::Keys(b)) => {
            let (mut keys, mut sum) = (a.clone(), first);
            merge_rows((&mut keys, &mut sum), (b, &second), width);
            compact(RowsNamed::Keys(keys), &sum, width)
        },
        // One table has one layout.
        (RowsNamed::Block(_), RowsNamed::Keys(_)) | (RowsNamed::Keys(_), RowsNamed::Block(_)) => {
            held.clone()
        },
    }
}

/// The sum of two deltas of the same rows of a block, when both are of few elements and so is it.
fn merged_sparse<T: Element>(held: &Delta, later: &Delta) -> Option<Delta> {
    let RowsNamed::Block(range) = &held.rows else { return None };
    let (at, later_at) = (held.positions.as_ref()?, later.positions.as_ref()?);
    let elements = at.largest().max(later_at.largest()).map_or(0, |last| last as usize + 1);
    let most = (at.len() + later_at.len()) as u64;
    let width = held.values.width().max(later.values.width());
    if held.rows != later.rows || !density_pays(most, elements, width) {
        return None;
    }
    let (first, second) = (held.values.elements().ok()?, later.values.elements().ok()?);
    let (at, later_at) = (at.to_vec(), later_at.to_vec());
    let (positions, values) = add_sparse::<T>((&at, &first), (&later_at, &second));
    Some(at_positions(RowsNamed::Block(*range), &positions, Trimmed::from_slice(&values)))
}

/// The delta in pieces that fit a frame each; at least one.
pub(in crate::node) fn split<T: Element>(delta: Delta, width: usize) -> Vec<Delta> {
    let rows_max = limits::frame_rows_max(u32::try_from(width).unwrap_or(u32::MAX));
    let RowsNamed::Keys(keys) = &delta.rows else {
        return vec![delta];
    };
    if keys.len() <= rows_max {
        return vec![delta];
    }
    let Ok(values) = expanded::<T>(&delta, width) else {
        return vec![delta];
    };
    let parts = keys.chunks(rows_max).zip(values.chunks(rows_max * width));
    let whole = delta.positions.is_none();
    let piece = |(keys, values): (&[Key], &[T])| {
        let rows = RowsNamed::Keys(keys.to_vec());
        // An aggregate names every row that was pushed to, also where the sum is 0.
        match whole {
            true => Delta { rows, positions: None, values: Trimmed::from_slice(values) },
            false => compact(rows, values, width),
        }
    };
    parts.map(piece).collect()
}

/// The ranges of keys that a delta names, ascending; no more than a barrier may name.
pub(super) fn ranges(delta: &Delta, width: usize) -> Vec<KeyRange> {
    let mut ranges: Vec<KeyRange> = Vec::new();
    let mut add = |key: Key| match ranges.last_mut() {
        Some(last) if last.last() == key => {},
        Some(last) if last.last().0.checked_add(1) == Some(key.0) => {
            *last = KeyRange::new(last.first(), key).unwrap_or(*last);
        },
        _ => ranges.push(KeyRange::single(key)),
    };
    match (&delta.rows, &delta.positions) {
        (RowsNamed::Block(rows), None) => return vec![*rows],
        (RowsNamed::Block(rows), Some(positions)) => {
            let key = |at| Key(rows.first().0 + u64::from(at) / width as u64);
            positions.to_vec().into_iter().map(key).for_each(&mut add);
        },
        (RowsNamed::Keys(keys), _) => keys.iter().copied().for_each(&mut add),
    }
    match ranges.as_slice() {
        [first, .., last] if ranges.len() > limits::BARRIER_RANGES_MAX => {
            KeyRange::new(first.first(), last.last()).into_iter().collect()
        },
        _ => ranges,
    }
}

/// What a delta that is held takes in memory, with its place among others: keys are whole there.
pub(super) fn held_bytes(delta: &Delta) -> usize {
    let keys = if let RowsNamed::Keys(keys) = &delta.rows { size_of_val(&keys[..]) } else { 0 };
    delta.bytes() + keys + limits::MIRROR_HELD_DELTA_BYTES
}

fn row_count(rows: &RowsNamed) -> u128 {
    match rows {
        RowsNamed::Block(range) => range.count(),
        RowsNamed::Keys(keys) => keys.len() as u128,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(of: &[u64], values: &[f32]) -> Delta {
        compact(RowsNamed::Keys(of.iter().copied().map(Key).collect()), values, 2)
    }

    #[test]
    fn deltas_of_keys_add_up_and_zero_rows_are_left_out() {
        let a = keys(&[1, 5, 9], &[1.0, 0.0, 2.0, 2.0, 0.0, 0.0]);
        assert_eq!(a.rows, RowsNamed::Keys(vec![Key(1), Key(5)]));
        let b = keys(&[0, 5, 7], &[3.0, 3.0, 1.0, -2.0, 4.0, 0.0]);
        let sum = merged::<f32>(&a, &b, 2);
        assert_eq!(sum.rows, RowsNamed::Keys([0, 1, 5, 7].map(Key).to_vec()));
        let all = expanded::<f32>(&sum, 2).unwrap();
        assert_eq!(all, [3.0, 3.0, 1.0, 0.0, 3.0, 0.0, 4.0, 0.0]);
        assert_eq!(ranges(&sum, 2).len(), 3);
    }

    #[test]
    fn deltas_of_blocks_add_up_over_their_hull() {
        let rows =
            |first, count| RowsNamed::Block(KeyRange::from_count(Key(first), count).unwrap());
        let a = compact(rows(4, 3), &[1_i64, 0, 2], 1);
        let b = compact(rows(5, 4), &[7_i64, -2, 0, 1], 1);
        let sum = merged::<i64>(&a, &b, 1);
        assert_eq!(sum.rows, rows(4, 5));
        assert_eq!(expanded::<i64>(&sum, 1), Ok(vec![1, 7, 0, 0, 1]));
        // Few elements of the same rows, which may cancel out.
        let few = |at: usize, value| {
            let mut values = [0_i64; 64];
            (values[at], values[63]) = (value, at as i64 - 5);
            compact(rows(0, 64), &values, 1)
        };
        let (a, b) = (few(3, 9), few(7, 4));
        let sum = merged::<i64>(&a, &b, 1);
        assert_eq!(sum.positions.as_ref().unwrap().to_vec(), [3, 7]);
        let mut all = vec![0; 64];
        (all[3], all[7]) = (9, 4);
        assert_eq!((expanded::<i64>(&sum, 1), check::<i64>(&sum, 1)), (Ok(all), Ok(())));
        assert_eq!(check::<i64>(&sum, 1), Ok(()));
    }

    #[test]
    fn what_does_not_fit_itself_is_refused() {
        let good = compact(RowsNamed::Keys(vec![Key(3)]), &[1.0_f32, 0.0, 0.0, 0.0], 4);
        assert_eq!(check::<f32>(&good, 4), Ok(()));
        assert!(check::<f64>(&good, 4).is_err() && check::<f32>(&good, 1).is_ok());
        let positions = Some(Positions::new(&[4]).unwrap());
        let outside = Delta { positions, values: Trimmed::from_slice(&[1.0_f32]), ..good.clone() };
        assert!(check::<f32>(&outside, 4).is_err());
        let fewer = Delta { positions: Some(Positions::new(&[]).unwrap()), ..outside.clone() };
        assert!(check::<f32>(&fewer, 4).is_err());
        let all = RowsNamed::Block(KeyRange::ALL);
        assert_eq!(check::<f32>(&Delta { rows: all, ..outside }, 4), Err(Refusal::Limit));
    }
}
