//! Loops over slices: add, divide, fold, copy, check for finiteness, take and gather elements.
//!
//! Each runs in the widest instruction set of the machine, and at the speed of the memory once
//! the data has left the caches. None allocates, but to grow a list that it fills.

use std::ops::Range;

pub use super::selecting::{gather_non_zero, largest, take_all, take_marked, take_where};
pub use super::shortening::shorten;
pub use super::streaming::copy_part;

use super::widest::{Kernel, on_widest};
use super::{DType, Element};

/// Bytes of `out` that [`sum_into`] finishes before it goes on: they stay in the first-level cache
/// while part after part is added, and are long enough for the parts to be fetched ahead.
const TILE_BYTES: usize = 16 << 10;
/// Parts that [`sum_into`] reads side by side, so that `out` is touched once for all of them.
const PARTS_AT_ONCE: usize = 3;

/// `y += x`: the axpy of a push.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn add_assign<T: Element>(y: &mut [T], x: &[T]) {
    update(y, x, |y, x| *y = y.plus(x));
}

/// `y = y / denominator`, the closing step of `Combine::WeightedMean`; integers as
/// [`Element::divided`] says.
#[inline]
pub fn divide<T: Element>(y: &mut [T], denominator: f64) {
    on_widest(Each { y, change: |y: &mut T| *y = y.divided(denominator) });
}

/// `target = source`, by the C library's `memcpy`.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn copy<T: Element>(target: &mut [T], source: &[T]) {
    target.copy_from_slice(source);
}

/// `out = ((p0 + p1) + p2) + ..` over the elements `range` of each part, element by element and in
/// the order of `parts`, so that the bits are those of whole additions one after the other; zero
/// when there are no parts.
///
/// # Panics
/// When `range` is not as long as `out`, or leaves a part.
pub fn sum_into<T: Element>(out: &mut [T], parts: &[&[T]], range: Range<usize>) {
    assert!(range.len() == out.len() && parts.iter().all(|part| part.len() >= range.end));
    let Some((first, rest)) = parts.split_first() else {
        return out.fill(T::default());
    };
    on_widest(Sum { out, first: &first[range.clone()], rest, start: range.start });
}

/// Whether no element is NaN or infinite; always true for integers. Reads everything: no branch.
pub fn all_finite<T: Element>(values: &[T]) -> bool {
    T::DTYPE == DType::I64 || on_widest(AllFinite { values })
}

/// `target = source`, and whether no element is NaN or infinite: one pass for both.
///
/// # Panics
/// When the lengths differ.
pub fn copy_finite<T: Element>(target: &mut [T], source: &[T]) -> bool {
    assert_eq!(target.len(), source.len());
    on_widest(CopyFinite { target, source })
}

/// The index of the first NaN or infinity.
pub fn first_non_finite<T: Element>(values: &[T]) -> Option<usize> {
    values.iter().position(|value| !value.is_finite())
}

/// Calls `change(y, x)` for every pair of elements.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn update<T: Element>(y: &mut [T], x: &[T], change: impl Fn(&mut T, T)) {
    assert_eq!(y.len(), x.len());
    on_widest(Pairs { y, x, change });
}

/// Calls `change(y, a, x)`, with one state lane `a`.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn update_1<T: Element>(y: &mut [T], a: &mut [T], x: &[T], change: impl Fn(&mut T, &mut T, T)) {
    assert!(y.len() == x.len() && a.len() == x.len());
    on_widest(Triples { y, a, x, change });
}

/// Calls `change(y, a, b, x)`, with two state lanes `a` and `b`.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn update_2<T: Element>(
    y: &mut [T],
    a: &mut [T],
    b: &mut [T],
    x: &[T],
    change: impl Fn(&mut T, &mut T, &mut T, T),
) {
    assert!(y.len() == x.len() && a.len() == x.len() && b.len() == x.len());
    on_widest(Quadruples { y, a, b, x, change });
}

struct Each<'a, T, F> {
    y: &'a mut [T],
    change: F,
}

impl<T: Element, F: Fn(&mut T)> Kernel for Each<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for y in self.y {
            (self.change)(y);
        }
    }
}

struct Pairs<'a, T, F> {
    y: &'a mut [T],
    x: &'a [T],
    change: F,
}

impl<T: Element, F: Fn(&mut T, T)> Kernel for Pairs<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (y, x) in self.y.iter_mut().zip(self.x) {
            (self.change)(y, *x);
        }
    }
}

struct Triples<'a, T, F> {
    y: &'a mut [T],
    a: &'a mut [T],
    x: &'a [T],
    change: F,
}

impl<T: Element, F: Fn(&mut T, &mut T, T)> Kernel for Triples<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for ((y, a), x) in self.y.iter_mut().zip(self.a).zip(self.x) {
            (self.change)(y, a, *x);
        }
    }
}

struct Quadruples<'a, T, F> {
    y: &'a mut [T],
    a: &'a mut [T],
    b: &'a mut [T],
    x: &'a [T],
    change: F,
}

impl<T: Element, F: Fn(&mut T, &mut T, &mut T, T)> Kernel for Quadruples<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let Self { y, a, b, x, change } = self;
        for (((y, a), b), x) in y.iter_mut().zip(a).zip(b).zip(x) {
            change(y, a, b, *x);
        }
    }
}

struct Sum<'a, T> {
    out: &'a mut [T],
    first: &'a [T],
    rest: &'a [&'a [T]],
    /// Where the elements to sum begin in each of the `rest`.
    start: usize,
}

impl<T: Element> Kernel for Sum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let tile = TILE_BYTES / size_of::<T>();
        let tiles = self.out.chunks_mut(tile).zip(self.first.chunks(tile));
        for (index, (out, first)) in tiles.enumerate() {
            out.copy_from_slice(first);
            let start = self.start + index * tile;
            let range = start..start + out.len();
            let (groups, left) = self.rest.as_chunks::<PARTS_AT_ONCE>();
            for [a, b, c] in groups {
                let parts = a[range.clone()].iter().zip(&b[range.clone()]);
                let parts = parts.zip(&c[range.clone()]);
                for (out, ((a, b), c)) in out.iter_mut().zip(parts) {
                    *out = out.plus(*a).plus(*b).plus(*c);
                }
            }
            for part in left {
                for (out, x) in out.iter_mut().zip(&part[range.clone()]) {
                    *out = out.plus(*x);
                }
            }
        }
    }
}

struct AllFinite<'a, T> {
    values: &'a [T],
}

impl<T: Element> Kernel for AllFinite<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let finite = |ok: bool, value: &T| ok & value.is_finite();
        self.values.iter().fold(true, finite)
    }
}

struct CopyFinite<'a, T> {
    target: &'a mut [T],
    source: &'a [T],
}

impl<T: Element> Kernel for CopyFinite<'_, T> {
    type Output = bool;

    #[inline(always)]
    fn run(self) -> bool {
        let finite = |ok: bool, (target, value): (&mut T, &T)| {
            *target = *value;
            ok & value.is_finite()
        };
        self.target.iter_mut().zip(self.source).fold(true, finite)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_bad_element_is_found_wherever_it_is() {
        for len in 1..150 {
            let (mut values, mut copy) = (vec![f32::MAX; len], vec![0.0; len]);
            assert!(all_finite(&values) && first_non_finite(&values).is_none());
            assert!(copy_finite(&mut copy, &values) && copy == values);
            for at in 0..len {
                for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    values[at] = bad;
                    assert!(!all_finite(&values) && !copy_finite(&mut copy, &values));
                    assert_eq!(first_non_finite(&values), Some(at));
                }
                values[at] = f32::MIN_POSITIVE;
            }
        }
        assert!(all_finite(&[i64::MIN, i64::MAX]) && all_finite::<f64>(&[]));
    }

    #[test]
    fn integers_wrap_and_divide_toward_zero() {
        let mut y = [i64::MAX, -7, 7];
        add_assign(&mut y, &[1, 0, 0]);
        divide(&mut y[1..], 2.0);
        assert_eq!(y, [i64::MIN, -3, 3]);
        // Above 2^53 an f64 has no odd numbers; below 1 the quotient saturates.
        let mut y = [(1 << 53) + 1, i64::MAX, i64::MIN, -1];
        divide(&mut y, 1.0);
        assert_eq!(y, [(1 << 53) + 1, i64::MAX, i64::MIN, -1]);
        divide(&mut y, 3.0);
        assert_eq!(y, [((1 << 53) + 1) / 3, i64::MAX / 3, i64::MIN / 3, 0]);
        let mut y = [i64::MAX, i64::MIN, 1];
        divide(&mut y, 2_f64.powi(63));
        assert_eq!(y, [0, -1, 0]);
        divide(&mut y, 1e30);
        assert_eq!(y, [0; 3]);
        let mut y = [7, -7, i64::MAX];
        divide(&mut y, 0.5);
        assert_eq!(y, [14, -14, i64::MAX]);
        divide(&mut y[..2], 1e30);
        assert_eq!(y[..2], [0, 0]);
    }

    proptest! {
        #[test]
        fn folding_is_adding_part_after_part(
            parts in proptest::collection::vec(any::<u64>(), 0..9), len in 0_usize..9000,
        ) {
            let part = |seed: &u64| {
                let mut rng = crate::rng::Rng::new(*seed);
                (0..len).map(|_| rng.unit() as f32 * 1e8 - 5e7).collect()
            };
            let parts: Vec<Vec<f32>> = parts.iter().map(part).collect();
            let lent: Vec<&[f32]> = parts.iter().map(Vec::as_slice).collect();
            let mut out = vec![f32::NAN; len];
            sum_into(&mut out, &lent, 0..len);
            let from = len / 3;
            let mut end = vec![f32::NAN; len - from];
            sum_into(&mut end, &lent, from..len);
            prop_assert!(end.iter().zip(&out[from..]).all(|(a, b)| a.to_bits() == b.to_bits()));
            for (at, out) in out.iter().enumerate() {
                let sum = parts.iter().map(|part| part[at]).reduce(|sum, x| sum + x);
                prop_assert_eq!(out.to_bits(), sum.unwrap_or(0.0).to_bits());
            }
            if let Some((first, rest)) = lent.split_first() {
                let mut adding = first.to_vec();
                rest.iter().for_each(|part| add_assign(&mut adding, part));
                prop_assert_eq!(adding, out);
            }
        }
    }
}
