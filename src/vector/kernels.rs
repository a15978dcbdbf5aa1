//! Loops over slices: add, scale, fold, copy, check for finiteness.
//!
//! Each runs in the widest instruction set of the machine, and at the speed of the memory once
//! the data has left the caches. None allocates.

use super::widest::{Kernel, on_widest};
use super::{DType, Element, Real};

/// Bytes of `out` that [`sum_into`] finishes before it goes on: they stay in the first-level cache
/// while part after part is added.
const TILE_BYTES: usize = 4096;

/// `y += x`: the axpy of a push.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn add_assign<T: Element>(y: &mut [T], x: &[T]) {
    update(y, x, |y, x| *y = y.plus(x));
}

/// `y *= factor`.
#[inline]
pub fn scale<T: Real>(y: &mut [T], factor: T) {
    on_widest(Each {
        y,
        change: |y: &mut T| *y = y.times(factor),
    });
}

/// `y = y / denominator`, the closing step of `Combine::WeightedMean`; integers round toward zero.
#[inline]
pub fn divide<T: Element>(y: &mut [T], denominator: f64) {
    on_widest(Each {
        y,
        change: |y: &mut T| *y = y.divided(denominator),
    });
}

/// `target = source`.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn copy<T: Element>(target: &mut [T], source: &[T]) {
    target.copy_from_slice(source);
}

/// `out = ((p0 + p1) + p2) + ..`, element by element and in the order of `parts`, so that the
/// bits are those of whole additions one after the other; zero when there are no parts.
///
/// # Panics
/// When a part is not as long as `out`.
pub fn sum_into<T: Element>(out: &mut [T], parts: &[&[T]]) {
    assert!(parts.iter().all(|part| part.len() == out.len()));
    let Some((first, rest)) = parts.split_first() else {
        return out.fill(T::default());
    };
    on_widest(Sum { out, first, rest });
}

/// Whether no element is NaN or infinite; always true for integers. Reads everything: no branch.
pub fn all_finite<T: Element>(values: &[T]) -> bool {
    T::DTYPE == DType::I64 || on_widest(AllFinite { values })
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
}

impl<T: Element> Kernel for Sum<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let tile = TILE_BYTES / size_of::<T>();
        let tiles = self.out.chunks_mut(tile).zip(self.first.chunks(tile));
        for (index, (out, first)) in tiles.enumerate() {
            out.copy_from_slice(first);
            let start = index * tile;
            for part in self.rest {
                for (out, x) in out.iter_mut().zip(&part[start..]) {
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
