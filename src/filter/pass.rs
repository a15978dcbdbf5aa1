//! The significance pass over a block.

use crate::vector::{Bitmap, Element, Passed, Significance, kernels};

/// Moves the significant elements of a run's residual to `taken`: a marked one leaves 0 behind, at
/// all others `taken` becomes 0 and the residual stays.
///
/// All three slices hold the same whole rows of `width` elements, at most one block's; `taken` may
/// hold anything before. `marks` is used again from call to call and afterwards holds this run's.
///
/// Cost: reads values and residuals and writes residuals at the speed of the memory, where `taken`
/// is used again for block after block and so stays in a cache.
///
/// # Panics
/// When the lengths differ.
pub fn take_significant<T: Element>(
    significance: &dyn Significance,
    threshold: f64,
    width: usize,
    values: &[T],
    residuals: &mut [T],
    taken: &mut [T],
    bitmap: &mut Bitmap,
) -> Passed {
    significance.take(threshold, width, values, residuals, taken, bitmap)
}

/// Moves the whole residual to `taken`, NaN and infinities too: a flush.
///
/// # Panics
/// When the lengths differ.
pub fn take_all<T: Element>(residuals: &mut [T], taken: &mut [T]) -> Passed {
    kernels::take_all(residuals, taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::extension::Extension;
    use crate::vector::{Absolute, DType, Relative};

    /// The rule, one element at a time and with branches.
    fn naive<T: Element>(relative: bool, threshold: f64, value: T, residual: T) -> bool {
        let nothing = residual == T::default() || is_nan(residual);
        if nothing || relative && !value.is_finite() {
            return false;
        }
        if !residual.is_finite() || threshold == 0.0 {
            return true;
        }
        let bound = if relative { threshold * value.to_f64().abs() } else { threshold };
        // The thresholds here are powers of two, so that only the ends of a type round.
        let bound = if T::DTYPE == DType::F32 { (bound as f32).into() } else { bound };
        residual.to_f64().abs() > bound
    }

    fn is_nan<T: Element>(element: T) -> bool {
        element.to_f64().is_nan()
    }

    fn bytes<T: Element>(element: &T) -> &[u8] {
        bytemuck::bytes_of(element)
    }

    /// [`Absolute`] by the provided methods, as a user's function has them.
    #[derive(Debug)]
    struct Provided;

    impl Significance for Provided {
        fn extension(&self) -> Extension {
            Extension::new("provided/1")
        }

        fn supports(&self, _: DType) -> bool {
            true
        }

        fn mark_f32(&self, least: f64, width: usize, v: &[f32], r: &[f32], bitmap: &mut Bitmap) {
            Absolute.mark_f32(least, width, v, r, bitmap);
        }

        fn mark_f64(&self, least: f64, width: usize, v: &[f64], r: &[f64], bitmap: &mut Bitmap) {
            Absolute.mark_f64(least, width, v, r, bitmap);
        }

        fn mark_i64(&self, least: f64, width: usize, v: &[i64], r: &[i64], bitmap: &mut Bitmap) {
            Absolute.mark_i64(least, width, v, r, bitmap);
        }
    }

    fn are_conserved<T: Element>(threshold: f64, pairs: &[(T, T)]) {
        is_conserved(&Relative, threshold, pairs);
        is_conserved(&Absolute, threshold, pairs);
        is_conserved(&Provided, threshold, pairs);
    }

    fn is_conserved<T: Element>(function: &dyn Significance, threshold: f64, pairs: &[(T, T)]) {
        let relative = function.extension().name() == "relative/1";
        let (values, before): (Vec<T>, Vec<T>) = pairs.iter().copied().unzip();
        let mut residuals = before.clone();
        let mut taken = vec![T::from_f64(7.0); before.len()];
        let mut bitmap = Bitmap::default();
        bitmap.reset(3);
        let passed = take_significant(
            function,
            threshold,
            1,
            &values,
            &mut residuals,
            &mut taken,
            &mut bitmap,
        );
        let (zero, mut counted) = (T::default(), Passed::default());
        for (index, (value, before)) in pairs.iter().enumerate() {
            let expected = naive(relative, threshold, *value, *before);
            assert_eq!(bitmap.get(index), expected, "{value:?} {before:?} {threshold}");
            let (moved, kept) = if expected { (*before, zero) } else { (zero, *before) };
            assert_eq!(bytes(&taken[index]), bytes(&moved), "taken of {before:?}");
            assert_eq!(bytes(&residuals[index]), bytes(&kept), "left of {before:?}");
            let sum = taken[index].plus(residuals[index]);
            assert!(sum == *before || is_nan(*before) && is_nan(sum), "{sum:?} of {before:?}");
            counted.taken += u64::from(moved != zero);
            counted.left += u64::from(kept != zero);
        }
        assert_eq!(passed, counted);
        let left = residuals.clone();
        let flushed = take_all(&mut residuals, &mut taken);
        assert_eq!(flushed, Passed { taken: counted.left, left: 0 });
        assert_eq!(bytemuck::cast_slice::<T, u8>(&left), bytemuck::cast_slice::<T, u8>(&taken));
        assert!(residuals.iter().all(|element| bytes(element) == bytes(&zero)));
    }

    fn singles() -> impl Strategy<Value = f32> {
        let special = vec![0.0, -0.0, 1.0, -2.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, f32::NAN];
        let infinite = vec![f32::INFINITY, f32::NEG_INFINITY];
        let any_bits = any::<u32>().prop_map(f32::from_bits);
        prop_oneof![any_bits, select(special), select(infinite), -1.0_f32..1.0]
    }

    fn doubles() -> impl Strategy<Value = f64> {
        let any_bits = any::<u64>().prop_map(f64::from_bits);
        let small = select(&[5e-324, f64::MAX, f64::MIN_POSITIVE][..]);
        prop_oneof![any_bits, singles().prop_map(f64::from), small]
    }

    fn wholes() -> impl Strategy<Value = i64> {
        prop_oneof![any::<i64>(), -9_i64..9, select(&[i64::MIN, i64::MAX, 1 << 53][..])]
    }

    fn thresholds() -> impl Strategy<Value = f64> {
        select(&[0.0, 0.0078125, 0.25, 1.0, 4.0, 1024.0][..])
    }

    fn pairs<T: Element>(
        one: impl Strategy<Value = T> + 'static,
    ) -> impl Strategy<Value = Vec<(T, T)>> {
        let one = one.boxed();
        proptest::collection::vec((one.clone(), one), 0..300).boxed()
    }

    proptest! {
        #[test]
        fn singles_are_taken_or_left(
            threshold in thresholds(), pairs in pairs(singles()),
        ) {
            are_conserved(threshold, &pairs);
        }

        #[test]
        fn doubles_are_taken_or_left(
            threshold in thresholds(), pairs in pairs(doubles()),
        ) {
            are_conserved(threshold, &pairs);
        }

        #[test]
        fn wholes_are_taken_or_left(
            threshold in thresholds(), pairs in pairs(wholes()),
        ) {
            are_conserved(threshold, &pairs);
        }
    }
}
