//! The rules without state: add, assign, stochastic gradient descent.

use super::ParameterError;
use super::parameter::{apply_reals, check, is_real};
use crate::extension::Extension;
use crate::vector::{ApplyContext, DType, Mirrored, Real, RowsMut, UpdateRule, kernels};

/// `w += g`. The parameter server's own aggregation; on i64 tables a counter, which wraps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Add;

/// `w = g`: the last aggregate wins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Assign;

/// `w -= rate * g`: stochastic gradient descent (Robbins and Monro, 1951).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sgd;

macro_rules! plain_rule {
    ($rule:ident, $name:literal) => {
        impl $rule {
            const NAME: &str = $name;

            /// The rule that an extension describes.
            ///
            /// # Errors
            /// Another name, or any parameter: the rule has none.
            pub fn from_extension(extension: &Extension) -> Result<Self, ParameterError> {
                check(extension, Self::NAME, &[])?;
                Ok(Self)
            }
        }

        impl From<$rule> for Extension {
            fn from(_: $rule) -> Self {
                Self::new($rule::NAME)
            }
        }
    };
}

plain_rule!(Add, "add/1");
plain_rule!(Assign, "assign/1");
plain_rule!(Sgd, "sgd/1");

impl UpdateRule for Add {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn mirrored(&self) -> Mirrored {
        Mirrored::Exact
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    fn apply_f32(&self, _: &ApplyContext, rows: &mut RowsMut<'_, f32>) {
        kernels::add_assign(rows.values, rows.aggregate);
    }

    fn apply_f64(&self, _: &ApplyContext, rows: &mut RowsMut<'_, f64>) {
        kernels::add_assign(rows.values, rows.aggregate);
    }

    fn apply_i64(&self, _: &ApplyContext, rows: &mut RowsMut<'_, i64>) {
        kernels::add_assign(rows.values, rows.aggregate);
    }
}

impl UpdateRule for Assign {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn supports(&self, _: DType) -> bool {
        true
    }

    fn apply_f32(&self, _: &ApplyContext, rows: &mut RowsMut<'_, f32>) {
        kernels::copy(rows.values, rows.aggregate);
    }

    fn apply_f64(&self, _: &ApplyContext, rows: &mut RowsMut<'_, f64>) {
        kernels::copy(rows.values, rows.aggregate);
    }

    fn apply_i64(&self, _: &ApplyContext, rows: &mut RowsMut<'_, i64>) {
        kernels::copy(rows.values, rows.aggregate);
    }
}

impl Sgd {
    fn apply_real<T: Real>(self, context: &ApplyContext, rows: &mut RowsMut<'_, T>) {
        let rate = T::from_f64(context.rate);
        kernels::update(rows.values, rows.aggregate, |w, g| {
            *w = w.minus(rate.times(g));
        });
    }
}

impl UpdateRule for Sgd {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn mirrored(&self) -> Mirrored {
        Mirrored::Exact
    }

    fn supports(&self, dtype: DType) -> bool {
        is_real(dtype)
    }

    apply_reals!();
}
