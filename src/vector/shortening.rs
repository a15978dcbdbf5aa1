//! Fewer bits of what is told, the rest being kept. Part of [`kernels`](super::kernels).

use super::Element;
use super::widest::{Kernel, on_widest};

/// Cuts each of `taken` to the bits of [`Element::shortened`] and adds what was cut off, less than
/// 1/128 of it, to its element of `rest`: the sum of both is what it was before, exactly where
/// `rest` was 0.
///
/// # Panics
/// When the lengths differ.
pub fn shorten<T: Element>(taken: &mut [T], rest: &mut [T]) {
    assert_eq!(taken.len(), rest.len());
    on_widest(Shorten { taken, rest });
}

struct Shorten<'a, T> {
    taken: &'a mut [T],
    rest: &'a mut [T],
}

impl<T: Element> Kernel for Shorten<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        for (taken, rest) in self.taken.iter_mut().zip(self.rest) {
            let short = taken.shortened();
            // The difference of infinities is none that is kept.
            let cut = if taken.is_finite() { taken.minus(short) } else { T::default() };
            (*taken, *rest) = (short, rest.plus(cut));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_cut_off_is_kept(bits in proptest::collection::vec(any::<u32>(), 0..200)) {
            let before: Vec<_> = bits.into_iter().map(f32::from_bits).collect();
            let (mut taken, mut rest) = (before.clone(), vec![0.0_f32; before.len()]);
            shorten(&mut taken, &mut rest);
            for ((taken, rest), before) in taken.iter().zip(&rest).zip(&before) {
                prop_assert!(taken.to_bits().trailing_zeros() >= 16 || !before.is_normal());
                if before.is_finite() {
                    prop_assert_eq!(taken + rest, *before);
                    prop_assert!(*rest == 0.0 || rest.abs() < taken.abs() / 128.0);
                } else {
                    prop_assert_eq!((taken.to_bits(), *rest), (before.to_bits(), 0.0));
                }
            }
        }
    }

    #[test]
    fn doubles_keep_three_bytes_and_counts_all() {
        let (mut taken, mut rest) = ([1.0 / 3.0, f64::MAX, f64::NEG_INFINITY], [0.0; 3]);
        shorten(&mut taken, &mut rest);
        assert!(taken[..2].iter().all(|it| it.to_bits().trailing_zeros() >= 40), "{taken:?}");
        assert!(taken[0] + rest[0] == 1.0 / 3.0 && taken[1] + rest[1] == f64::MAX);
        assert_eq!((taken[2], rest[2]), (f64::NEG_INFINITY, 0.0));
        let (mut counts, mut none) = ([i64::MIN, 12_345], [0; 2]);
        shorten(&mut counts, &mut none);
        assert_eq!((counts, none), ([i64::MIN, 12_345], [0; 2]));
    }
}
