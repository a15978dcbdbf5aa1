//! Adam.

use super::ParameterError;
use super::parameter::{apply_reals, check, decay, is_real, positive};
use crate::extension::Extension;
use crate::vector::{ApplyContext, DType, Mirrored, Real, RowsMut, UpdateRule, kernels};

/// Adam (Kingma and Ba, "Adam: a method for stochastic optimization", ICLR'15, algorithm 1):
///
/// ```text
/// m = beta1 * m + (1 - beta1) * g            m' = m / (1 - beta1^t)
/// v = beta2 * v + (1 - beta2) * g * g        v' = v / (1 - beta2^t)
/// w -= rate * m' / (sqrt(v') + epsilon)
/// ```
///
/// t is [`ApplyContext::step`], counted per block or row, so that a row first named in round 1000
/// is corrected as at t = 1. Computed as `w -= (rate / (1 - beta1^t)) * m / (sqrt(v) *
/// (1 / sqrt(1 - beta2^t)) + epsilon)`, with the factors in parentheses in f64.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// Decay of the first moment: at least 0 and below 1. Default 0.9.
    pub beta1: f64,
    /// Decay of the second moment: at least 0 and below 1. Default 0.999.
    pub beta2: f64,
    /// Keeps the divisor away from zero: finite and above 0. Default 1e-8.
    pub epsilon: f64,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Adam {
    const NAME: &str = "adam/1";

    /// The rule that an extension describes; an absent parameter has its default.
    ///
    /// # Errors
    /// Another name, an unknown parameter, or a parameter outside its bounds.
    pub fn from_extension(extension: &Extension) -> Result<Self, ParameterError> {
        check(extension, Self::NAME, &["beta1", "beta2", "epsilon"])?;
        let default = Self::default();
        Ok(Self {
            beta1: decay(extension, Self::NAME, "beta1", default.beta1)?,
            beta2: decay(extension, Self::NAME, "beta2", default.beta2)?,
            epsilon: positive(extension, Self::NAME, "epsilon", default.epsilon)?,
        })
    }

    fn apply_real<T: Real>(self, context: &ApplyContext, rows: &mut RowsMut<'_, T>) {
        let step = context.step.max(1);
        let rate = T::from_f64(context.rate / (1.0 - power(self.beta1, step)));
        let spread = T::from_f64(1.0 / (1.0 - power(self.beta2, step)).sqrt());
        let (keep1, take1) = (T::from_f64(self.beta1), T::from_f64(1.0 - self.beta1));
        let (keep2, take2) = (T::from_f64(self.beta2), T::from_f64(1.0 - self.beta2));
        let epsilon = T::from_f64(self.epsilon);
        let [first, second, ..] = &mut *rows.lanes else {
            unreachable!("a run of an Adam table has its two lanes: UpdateRule::apply asserts it");
        };
        kernels::update_2(rows.values, first, second, rows.aggregate, |w, m, v, g| {
            *m = keep1.times(*m).plus(take1.times(g));
            *v = keep2.times(*v).plus(take2.times(g.times(g)));
            let divisor = v.square_root().times(spread).plus(epsilon);
            *w = w.minus(rate.times(*m).over(divisor));
        });
    }
}

/// `base`^`exponent` by squaring. The standard library's `powi` may differ between platforms.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut left) = (1.0, base, exponent);
    while left > 0 {
        if left & 1 == 1 {
            result *= square;
        }
        square *= square;
        left >>= 1;
    }
    result
}

impl From<Adam> for Extension {
    fn from(rule: Adam) -> Self {
        Self::new(Adam::NAME)
            .with("beta1", rule.beta1)
            .with("beta2", rule.beta2)
            .with("epsilon", rule.epsilon)
    }
}

impl UpdateRule for Adam {
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
        2
    }

    fn counts_steps(&self) -> bool {
        true
    }

    apply_reals!();
}
