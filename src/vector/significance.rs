//! Which elements of a residual matter enough to be sent to other data centres.

use std::fmt::Debug;

use super::rules::{ParameterError, check};
use super::{Bitmap, DType, Element, Passed, kernels};
use crate::extension::Extension;

/// A provided method of [`Significance`].
macro_rules! take_marked {
    ($take:ident, $mark:ident, $element:ty) => {
        /// Marks, and moves what is marked from `residuals` to `taken`, where all others become 0.
        ///
        /// Provided, by marking first. A function that looks at single elements is faster by
        /// [`kernels::take_where`]; the marks have to be the same.
        fn $take(
            &self,
            threshold: f64,
            width: usize,
            values: &[$element],
            residuals: &mut [$element],
            taken: &mut [$element],
            bitmap: &mut Bitmap,
        ) -> Passed {
            self.$mark(threshold, width, values, residuals, bitmap);
            kernels::take_marked(bitmap, residuals, taken)
        }
    };
}

/// Which elements have changed enough, since they were last sent, to be sent now (Hsieh et al.,
/// "Gaia", NSDI 2017): a mark for every element of a run of rows, from the values, the residuals
/// (what was added to the values and not yet sent) and a threshold that the policy sets.
///
/// Stateless and deterministic code. The result for an element may depend on its row, never on
/// other rows: a run is cut differently by different drivers. Values hold what the residuals say
/// already. Neither a residual of 0 nor one that is NaN may be marked; a value of 0 with any other
/// residual should be. For law 6 a smaller threshold must mark at least as much.
///
/// Only the methods of the types named by [`supports`](Self::supports) are ever called. Both
/// slices hold the same whole rows of `width` elements each, and there is one unset mark for each
/// element when a method is called.
///
/// ```
/// use archipelago::vector::{Bitmap, DType, Significance};
/// use archipelago::Extension;
///
/// /// Sends a row whole when it has moved by a share of its own length: rows are directions.
/// #[derive(Debug)]
/// struct RowNorm;
///
/// impl Significance for RowNorm {
///     fn extension(&self) -> Extension {
///         Extension::new("row-norm/1")
///     }
///     fn supports(&self, dtype: DType) -> bool {
///         dtype == DType::F32
///     }
///     fn mark_f32(
///         &self,
///         threshold: f64,
///         width: usize,
///         values: &[f32],
///         residuals: &[f32],
///         bitmap: &mut Bitmap,
///     ) {
///         let length = |row: &[f32]| row.iter().map(|x| x * x).sum::<f32>().sqrt();
///         let rows = values.chunks_exact(width).zip(residuals.chunks_exact(width));
///         for (row, (value, residual)) in rows.enumerate() {
///             if length(residual) > threshold as f32 * length(value) {
///                 let moved = (0..width).filter(|at| residual[*at] != 0.0);
///                 moved.for_each(|at| bitmap.set(row * width + at));
///             }
///         }
///     }
/// }
///
/// let significance: &dyn Significance = &RowNorm;
/// let mut bitmap = Bitmap::default();
/// significance.mark(0.1, 2, &[3.0_f32, 4.0, 3.0, 4.0], &[0.6, 0.0, 0.4, 0.0], &mut bitmap);
/// assert_eq!(bitmap.words(), [0b0001]);
/// ```
pub trait Significance: Debug + Send + Sync {
    /// The name and parameters under which a table's policy names this function.
    fn extension(&self) -> Extension;

    /// Whether tables of this type may use the function.
    fn supports(&self, dtype: DType) -> bool;

    /// Marks elements of an f32 table.
    fn mark_f32(
        &self,
        _threshold: f64,
        _width: usize,
        _values: &[f32],
        _residuals: &[f32],
        _bitmap: &mut Bitmap,
    ) {
    }

    /// Marks elements of an f64 table.
    fn mark_f64(
        &self,
        _threshold: f64,
        _width: usize,
        _values: &[f64],
        _residuals: &[f64],
        _bitmap: &mut Bitmap,
    ) {
    }

    /// Marks elements of an i64 table.
    fn mark_i64(
        &self,
        _threshold: f64,
        _width: usize,
        _values: &[i64],
        _residuals: &[i64],
        _bitmap: &mut Bitmap,
    ) {
    }

    take_marked!(take_f32, mark_f32, f32);
    take_marked!(take_f64, mark_f64, f64);
    take_marked!(take_i64, mark_i64, i64);
}

impl dyn Significance + '_ {
    /// Makes `marks` those of a run of rows of any element type.
    ///
    /// # Panics
    /// When the lengths differ, or the function leaves another number of bits.
    #[inline]
    pub fn mark<T: Element>(
        &self,
        threshold: f64,
        width: usize,
        values: &[T],
        residuals: &[T],
        bitmap: &mut Bitmap,
    ) {
        debug_assert!(self.supports(T::DTYPE), "checked when the table was created");
        debug_assert!(values.len().is_multiple_of(width), "{} in rows of {width}", values.len());
        assert_eq!(values.len(), residuals.len());
        bitmap.reset(values.len());
        T::mark(self, threshold, width, values, residuals, bitmap);
        assert_eq!(bitmap.len(), values.len(), "the bitmap of {self:?}");
    }

    /// Marks, and moves what is marked of `residuals` to `taken`, where all others become 0.
    ///
    /// # Panics
    /// When the lengths differ, or the function leaves another number of bits.
    #[inline]
    pub fn take<T: Element>(
        &self,
        threshold: f64,
        width: usize,
        values: &[T],
        residuals: &mut [T],
        taken: &mut [T],
        bitmap: &mut Bitmap,
    ) -> Passed {
        debug_assert!(self.supports(T::DTYPE), "checked when the table was created");
        debug_assert!(values.len().is_multiple_of(width), "{} in rows of {width}", values.len());
        assert!(values.len() == residuals.len() && values.len() == taken.len());
        bitmap.reset(values.len());
        let passed = T::take(self, threshold, width, values, residuals, taken, bitmap);
        assert_eq!(bitmap.len(), values.len(), "the bitmap of {self:?}");
        passed
    }
}

/// Marks an element when |residual| > threshold x |value|: the change is more than this share of
/// the value, which holds it already. Gaia's own function.
///
/// Floats: the threshold is rounded to the table's type once, the product and the comparison are
/// of that type. `i64`: all in f64, so whole numbers above 2^53 are rounded first.
///
/// | residual | value | marked, with a threshold of 0 or more |
/// |---|---|---|
/// | 0 or NaN | any | never |
/// | any | infinite or NaN | never |
/// | infinite | finite | always |
/// | finite, not 0 | 0 | always |
/// | finite, not 0 | finite, not 0 | when the rule says so; with threshold 0 always |
///
/// Where the product is too small for the type it is 0 and the residual is marked; where it is too
/// large, only an infinite residual is. A threshold that is negative or NaN, or infinite once
/// rounded, marks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relative;

/// Marks an element when |residual| > threshold, whatever the value is: for tables whose elements
/// have a scale of their own, such as counts.
///
/// Floats: the threshold is rounded to the table's type once. `i64`: compared in f64, so whole
/// numbers above 2^53 are rounded first. A residual of 0 or NaN is never marked, an infinite one
/// always. A threshold that is negative or NaN, or infinite once rounded, marks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absolute;

macro_rules! named {
    ($function:ident, $name:literal) => {
        impl $function {
            const NAME: &str = $name;

            /// The function that an extension describes.
            ///
            /// # Errors
            /// Another name, or any parameter: the function has none.
            pub fn from_extension(extension: &Extension) -> Result<Self, ParameterError> {
                check(extension, Self::NAME, &[])?;
                Ok(Self)
            }
        }

        impl From<$function> for Extension {
            fn from(_: $function) -> Self {
                Self::new($function::NAME)
            }
        }
    };
}

named!(Relative, "relative/1");
named!(Absolute, "absolute/1");

/// The two methods of [`Significance`] for one type, of a condition of (threshold, |value|,
/// |residual|) that is computed in the type `$number`.
macro_rules! methods {
    ($mark:ident, $take:ident, $element:ty, $number:ident, $condition:expr) => {
        fn $mark(
            &self,
            threshold: f64,
            _: usize,
            values: &[$element],
            residuals: &[$element],
            bitmap: &mut Bitmap,
        ) {
            let (threshold, condition) = (threshold as $number, $condition);
            if is_threshold(threshold.into()) {
                bitmap.mark_where(values, residuals, move |value, residual| {
                    condition(threshold, (value as $number).abs(), (residual as $number).abs())
                });
            }
        }

        fn $take(
            &self,
            threshold: f64,
            _: usize,
            values: &[$element],
            residuals: &mut [$element],
            taken: &mut [$element],
            bitmap: &mut Bitmap,
        ) -> Passed {
            let (threshold, condition) = (threshold as $number, $condition);
            if !is_threshold(threshold.into()) {
                return kernels::take_marked(bitmap, residuals, taken);
            }
            kernels::take_where(values, residuals, taken, bitmap, move |value, residual| {
                condition(threshold, (value as $number).abs(), (residual as $number).abs())
            })
        }
    };
}

/// Whether this is one, once rounded to the type of the computation.
fn is_threshold(threshold: f64) -> bool {
    threshold >= 0.0 && threshold.is_finite()
}

macro_rules! all_methods {
    ($condition:ident) => {
        methods!(mark_f32, take_f32, f32, f32, $condition!(f32));
        methods!(mark_f64, take_f64, f64, f64, $condition!(f64));
        methods!(mark_i64, take_i64, i64, f64, $condition!(i64));
    };
}

/// The second half is for a product that overflows: no branch, both halves are computed. Whole
/// numbers are finite and do without it.
macro_rules! relative {
    (i64) => {
        |threshold: f64, value: f64, residual: f64| residual > threshold * value
    };
    ($number:ident) => {
        |threshold: $number, value: $number, residual: $number| {
            (residual > threshold * value) | ((residual > $number::MAX) & (value <= $number::MAX))
        }
    };
}

macro_rules! absolute {
    (i64) => {
        absolute!(f64)
    };
    ($number:ident) => {
        |threshold: $number, _: $number, residual: $number| residual > threshold
    };
}

impl Significance for Relative {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    all_methods!(relative);
}

impl Significance for Absolute {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    all_methods!(absolute);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAN: f64 = f64::NAN;
    const INFINITE: f64 = f64::INFINITY;

    fn marked<T: Element>(
        significance: &dyn Significance,
        threshold: f64,
        value: T,
        residual: T,
    ) -> bool {
        let mut bitmap = Bitmap::default();
        significance.mark(threshold, 1, &[value], &[residual], &mut bitmap);
        bitmap.get(0)
    }

    /// The table in the documentation of [`Relative`], one line after the other.
    #[test]
    fn relative_marks_by_its_table() {
        let numbers = [0.0, -0.0, 1e-45, 1.0, -3.0, 1e38, INFINITE, -INFINITE, NAN];
        for threshold in [0.0, 1e-60, 0.01, 1.0, 1e30] {
            let f32 = |value: f64, residual: f64| {
                marked(&Relative, threshold, value as f32, residual as f32)
            };
            let f64 = |value: f64, residual: f64| marked(&Relative, threshold, value, residual);
            let both = |value, residual| {
                assert_eq!(f32(value, residual), f64(value, residual), "{value} {residual}");
                f32(value, residual)
            };
            for number in numbers {
                for never in [0.0, -0.0, NAN] {
                    assert!(!both(number, never));
                }
                for never in [INFINITE, -INFINITE, NAN] {
                    assert!(!both(never, number));
                }
                let finite = number.is_finite();
                assert_eq!(both(number, INFINITE), finite, "{number} x {threshold}");
                assert_eq!(both(number, -INFINITE), finite);
                assert_eq!(both(0.0, number), number != 0.0 && !number.is_nan());
                if threshold == 0.0 && finite {
                    assert_eq!(both(1e30, number), number != 0.0);
                }
            }
        }
    }

    #[test]
    fn the_bound_itself_is_not_significant() {
        for (value, residual, expected) in
            [(8.0, 2.0, false), (-8.0, 2.1, true), (8.0, -1.9, false), (-8.0, -2.1, true)]
        {
            assert_eq!(marked(&Relative, 0.25, value as f32, residual as f32), expected);
            assert_eq!(marked(&Relative, 0.25, value, residual), expected);
            assert_eq!(marked(&Absolute, 2.0, value as f32, residual as f32), expected);
            assert_eq!(marked(&Absolute, 2.0, value, residual), expected);
        }
        for (value, residual, expected) in
            [(8, 2, false), (-8, 3, true), (8, -2, false), (0, 1, true), (0, 0, false)]
        {
            assert_eq!(marked(&Relative, 0.25, value, residual), expected);
        }
        assert!(marked(&Absolute, 2.5, 0, i64::MIN) && !marked(&Absolute, 3.0, 0, -3));
        assert!(marked(&Relative, 0.5, i64::MAX, i64::MIN) && !marked(&Relative, 2.0, i64::MIN, 9));
    }

    #[test]
    fn a_threshold_that_is_none_marks_nothing() {
        for function in [&Relative as &dyn Significance, &Absolute] {
            for none in [-1e-9, -1.0, NAN, INFINITE, -INFINITE] {
                for residual in [0.0, 1.0, INFINITE, NAN] {
                    assert!(!marked(function, none, 0.0_f32, residual as f32), "{none}");
                    assert!(!marked(function, none, 1.0, residual), "{none}");
                }
                assert!(!marked(function, none, 0, i64::MAX), "{none}");
            }
            // Finite for f64, infinite once it is one of f32.
            assert!(!marked(function, 1e39, 0.0_f32, f32::INFINITY));
            assert!(marked(function, 1e39, 0.0, INFINITE));
        }
        assert!(!marked(&Absolute, 0.0, 1.0, NAN) && !marked(&Absolute, 0.0, 1.0, -0.0));
    }

    #[test]
    fn functions_are_named_as_they_are_registered() {
        let relative = Extension::from(Relative);
        assert_eq!(Relative::from_extension(&relative), Ok(Relative));
        assert_eq!(Absolute::from_extension(&Absolute.extension()), Ok(Absolute));
        assert!(Absolute::from_extension(&relative).is_err());
        assert!(Relative::from_extension(&relative.with("share", 1.0)).is_err());
    }

    /// Any bits: NaN with any payload, infinities, zeros of both signs, subnormals.
    fn any_number() -> impl Strategy<Value = f32> {
        let special =
            vec![0.0, -0.0, 1.0, f32::MAX, f32::MIN_POSITIVE, 1e-45, f32::NAN, f32::INFINITY];
        prop_oneof![any::<u32>().prop_map(f32::from_bits), proptest::sample::select(special)]
    }

    proptest! {
        /// By division in f64, as the paper says it, wherever that does not round differently.
        #[test]
        fn relative_is_the_ratio_of_the_paper(
            pairs in proptest::collection::vec((any_number(), any_number()), 0..200),
            threshold in 0.0_f32..2.0,
        ) {
            let (values, residuals): (Vec<f32>, Vec<f32>) = pairs.iter().copied().unzip();
            let mut bitmap = Bitmap::default();
            let relative: &dyn Significance = &Relative;
            relative.mark(threshold.into(), 1, &values, &residuals, &mut bitmap);
            for (index, (value, residual)) in pairs.iter().enumerate() {
                let (value, residual) = (f64::from(*value).abs(), f64::from(*residual).abs());
                let product = value * f64::from(threshold);
                let rounds = f64::from(product as f32) != product;
                let close = rounds && (residual - product).abs() <= product * 1e-6 + 1e-45;
                if value.is_finite() && !close {
                    let expected = residual / value > f64::from(threshold);
                    prop_assert_eq!(bitmap.get(index), expected, "{} of {}", residual, value);
                }
            }
        }
    }
}
