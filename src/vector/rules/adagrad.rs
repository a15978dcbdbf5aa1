//! Adagrad.

use super::ParameterError;
use super::parameter::{apply_reals, check, is_real, positive};
use crate::extension::Extension;
use crate::vector::{ApplyContext, DType, Mirrored, Real, RowsMut, UpdateRule, kernels};

/// `s += g * g; w -= rate * g / (sqrt(s) + epsilon)`: a rate per element, falling with what the
/// element has seen (Duchi, Hazan and Singer, "Adaptive subgradient methods for online learning
/// and stochastic optimization", JMLR 2011, with diagonal matrices).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adagrad {
    /// Keeps the divisor away from zero: finite and above 0. Default 1e-8.
    pub epsilon: f64,
}

impl Default for Adagrad {
    fn default() -> Self {
        Self { epsilon: 1e-8 }
    }
}

impl Adagrad {
    const NAME: &str = "adagrad/1";

    /// The rule that an extension describes; an absent parameter has its default.
    ///
    /// # Errors
    /// Another name, an unknown parameter, or `epsilon` outside its bounds.
    pub fn from_extension(extension: &Extension) -> Result<Self, ParameterError> {
        check(extension, Self::NAME, &["epsilon"])?;
        let epsilon = positive(extension, Self::NAME, "epsilon", Self::default().epsilon)?;
        Ok(Self { epsilon })
    }

    fn apply_real<T: Real>(self, context: &ApplyContext, rows: &mut RowsMut<'_, T>) {
        let (rate, epsilon) = (T::from_f64(context.rate), T::from_f64(self.epsilon));
        let squares = &mut *rows.lanes[0];
        kernels::update_1(rows.values, squares, rows.aggregate, |w, s, g| {
            *s = s.plus(g.times(g));
            let divisor = s.square_root().plus(epsilon);
            *w = w.minus(rate.times(g).over(divisor));
        });
    }
}

impl From<Adagrad> for Extension {
    fn from(rule: Adagrad) -> Self {
        Self::new(Adagrad::NAME).with("epsilon", rule.epsilon)
    }
}

impl UpdateRule for Adagrad {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn mirrored(&self) -> Mirrored {
        Mirrored::Approximate
    }

    fn supports(&self, dtype: DType) -> bool {
        is_real(dtype)
    }

    fn lanes(&self) -> usize {
        1
    }

    apply_reals!();
}
