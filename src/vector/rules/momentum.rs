//! Gradient descent with momentum.

use super::ParameterError;
use super::parameter::{apply_reals, check, decay, is_real};
use crate::extension::Extension;
use crate::vector::{ApplyContext, DType, Mirrored, Real, RowsMut, UpdateRule, kernels};

/// `m = beta * m + g; w -= rate * m`: the heavy ball (Polyak, 1964; in this form Sutskever,
/// Martens, Dahl and Hinton, "On the importance of initialization and momentum in deep learning",
/// ICML'13).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Momentum {
    /// How much of the velocity survives a round: at least 0 and below 1. Default 0.9.
    pub beta: f64,
}

impl Default for Momentum {
    fn default() -> Self {
        Self { beta: 0.9 }
    }
}

impl Momentum {
    const NAME: &str = "momentum/1";

    /// The rule that an extension describes; an absent parameter has its default.
    ///
    /// # Errors
    /// Another name, an unknown parameter, or `beta` outside its bounds.
    pub fn from_extension(extension: &Extension) -> Result<Self, ParameterError> {
        check(extension, Self::NAME, &["beta"])?;
        let beta = decay(extension, Self::NAME, "beta", Self::default().beta)?;
        Ok(Self { beta })
    }

    fn apply_real<T: Real>(self, context: &ApplyContext, rows: &mut RowsMut<'_, T>) {
        let (rate, beta) = (T::from_f64(context.rate), T::from_f64(self.beta));
        let velocity = &mut *rows.lanes[0];
        kernels::update_1(rows.values, velocity, rows.aggregate, |w, m, g| {
            *m = beta.times(*m).plus(g);
            *w = w.minus(rate.times(*m));
        });
    }
}

impl From<Momentum> for Extension {
    fn from(rule: Momentum) -> Self {
        Self::new(Momentum::NAME).with("beta", rule.beta)
    }
}

impl UpdateRule for Momentum {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn mirrored(&self) -> Mirrored {
        Mirrored::Exact
    }

    fn supports(&self, dtype: DType) -> bool {
        is_real(dtype)
    }

    fn lanes(&self) -> usize {
        1
    }

    apply_reals!();
}
