//! The element types of tables.

use std::fmt::Debug;

use super::bitmap::Bitmap;
use super::selecting::Passed;
use super::significance::Significance;
use super::update::{ApplyContext, RowsMut, UpdateRule};

/// The type of a table's elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE single precision, 4 bytes.
    F32,
    /// IEEE double precision, 8 bytes.
    F64,
    /// Two's complement, 8 bytes; sums wrap.
    I64,
}

impl DType {
    /// The name used in errors, reports and the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::I64 => "i64",
        }
    }

    /// Bytes of one element.
    pub fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }
}

/// A type that a table can hold: `f32`, `f64` or `i64`.
pub trait Element:
    sealed::Sealed + bytemuck::Pod + Default + PartialEq + PartialOrd + Debug + Send + Sync
{
    /// Its name as data.
    const DTYPE: DType;

    /// The sum; wraps for integers.
    #[must_use]
    fn plus(self, other: Self) -> Self;

    /// The difference; wraps for integers.
    #[must_use]
    fn minus(self, other: Self) -> Self;

    /// Neither NaN nor infinite; always true for integers.
    fn is_finite(self) -> bool;

    /// The element nearest to `value`: integers round toward zero and saturate.
    fn from_f64(value: f64) -> Self;

    /// The element as a float; exact for integers up to 2^53.
    fn to_f64(self) -> f64;

    /// This element divided by a positive denominator, for `WeightedMean`. Integers round toward
    /// zero: exactly when the denominator is whole, else through f64, so to 53 bits.
    #[must_use]
    fn divided(self, denominator: f64) -> Self;

    /// The element cut to its first bits, toward zero: those of bf16 for `f32` (8 of the
    /// significand), three bytes for `f64` (13). The difference is exact. Integers, subnormals,
    /// infinity and NaN stay whole.
    #[must_use]
    fn shortened(self) -> Self;

    /// Calls the method of `rule` for this type.
    #[doc(hidden)]
    fn apply(rule: &dyn UpdateRule, context: &ApplyContext, rows: &mut RowsMut<'_, Self>);

    /// Calls the method of `significance` for this type.
    #[doc(hidden)]
    fn mark(
        significance: &dyn Significance,
        threshold: f64,
        width: usize,
        values: &[Self],
        residuals: &[Self],
        bitmap: &mut Bitmap,
    );

    /// Calls the taking method of `significance` for this type.
    #[doc(hidden)]
    fn take(
        significance: &dyn Significance,
        threshold: f64,
        width: usize,
        values: &[Self],
        residuals: &mut [Self],
        taken: &mut [Self],
        bitmap: &mut Bitmap,
    ) -> Passed;
}

/// A floating-point element.
pub trait Real: Element {
    /// The correctly rounded square root, the same on every machine.
    #[must_use]
    fn square_root(self) -> Self;
    /// The product.
    #[must_use]
    fn times(self, other: Self) -> Self;
    /// The quotient.
    #[must_use]
    fn over(self, other: Self) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for i64 {}
}

macro_rules! float_element {
    ($float:ty, $dtype:ident, $cut:literal, $apply:ident, $mark:ident, $take:ident) => {
        impl Element for $float {
            const DTYPE: DType = DType::$dtype;

            #[inline]
            fn plus(self, other: Self) -> Self {
                self + other
            }

            #[inline]
            fn minus(self, other: Self) -> Self {
                self - other
            }

            #[inline]
            fn is_finite(self) -> bool {
                <$float>::is_finite(self)
            }

            #[inline]
            fn from_f64(value: f64) -> Self {
                value as $float
            }

            #[inline]
            fn to_f64(self) -> f64 {
                self.into()
            }

            #[inline]
            fn divided(self, denominator: f64) -> Self {
                self / denominator as $float
            }

            #[inline]
            fn shortened(self) -> Self {
                let short = Self::from_bits(self.to_bits() >> $cut << $cut);
                if self.is_normal() { short } else { self }
            }

            fn apply(rule: &dyn UpdateRule, context: &ApplyContext, rows: &mut RowsMut<'_, Self>) {
                rule.$apply(context, rows);
            }

            fn mark(
                significance: &dyn Significance,
                threshold: f64,
                width: usize,
                values: &[Self],
                residuals: &[Self],
                bitmap: &mut Bitmap,
            ) {
                significance.$mark(threshold, width, values, residuals, bitmap);
            }

            fn take(
                significance: &dyn Significance,
                threshold: f64,
                width: usize,
                values: &[Self],
                residuals: &mut [Self],
                taken: &mut [Self],
                bitmap: &mut Bitmap,
            ) -> Passed {
                significance.$take(threshold, width, values, residuals, taken, bitmap)
            }
        }

        impl Real for $float {
            #[inline]
            fn square_root(self) -> Self {
                self.sqrt()
            }

            #[inline]
            fn times(self, other: Self) -> Self {
                self * other
            }

            #[inline]
            fn over(self, other: Self) -> Self {
                self / other
            }
        }
    };
}

float_element!(f32, F32, 16, apply_f32, mark_f32, take_f32);
float_element!(f64, F64, 40, apply_f64, mark_f64, take_f64);

impl Element for i64 {
    const DTYPE: DType = DType::I64;

    #[inline]
    fn plus(self, other: Self) -> Self {
        self.wrapping_add(other)
    }

    #[inline]
    fn minus(self, other: Self) -> Self {
        self.wrapping_sub(other)
    }

    #[inline]
    fn is_finite(self) -> bool {
        true
    }

    #[inline]
    fn from_f64(value: f64) -> Self {
        value as i64
    }

    #[inline]
    fn to_f64(self) -> f64 {
        self as f64
    }

    #[inline]
    fn divided(self, denominator: f64) -> Self {
        /// 2^63: what is divided by more is 0, and i64 does not hold it.
        const WIDEST: f64 = 9_223_372_036_854_775_808.0;
        if denominator >= WIDEST {
            return if self == i64::MIN && denominator <= WIDEST { -1 } else { 0 };
        }
        // Whole numbers below 2^63 are exact in both types.
        if denominator.fract() == 0.0 && denominator >= 1.0 {
            return self / denominator as i64;
        }
        (self as f64 / denominator) as i64
    }

    #[inline]
    fn shortened(self) -> Self {
        self
    }

    fn apply(rule: &dyn UpdateRule, context: &ApplyContext, rows: &mut RowsMut<'_, Self>) {
        rule.apply_i64(context, rows);
    }

    fn mark(
        significance: &dyn Significance,
        threshold: f64,
        width: usize,
        values: &[Self],
        residuals: &[Self],
        bitmap: &mut Bitmap,
    ) {
        significance.mark_i64(threshold, width, values, residuals, bitmap);
    }

    fn take(
        significance: &dyn Significance,
        threshold: f64,
        width: usize,
        values: &[Self],
        residuals: &mut [Self],
        taken: &mut [Self],
        bitmap: &mut Bitmap,
    ) -> Passed {
        significance.take_i64(threshold, width, values, residuals, taken, bitmap)
    }
}
