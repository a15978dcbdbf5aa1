//! An update rule of one's own: Nesterov's accelerated gradient.

use archipelago::Extension;
use archipelago::sync::Arc;
use archipelago::vector::{ApplyContext, DType, RowsMut, UpdateRule};

/// `m = beta * m + g; w -= rate * (g + beta * m)`: momentum that looks one step ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Nesterov {
    /// How much of the velocity survives a round: at least 0 and below 1.
    pub(crate) beta: f32,
}

impl Nesterov {
    /// The name by which tables ask for it.
    pub(crate) const NAME: &str = "nesterov/1";

    /// What the registry calls: parameters come from whoever creates a table, so they are checked.
    pub(crate) fn make(named: &Extension) -> Result<Arc<dyn UpdateRule>, String> {
        let beta = named.parameter("beta").unwrap_or(0.9) as f32;
        if !(0.0..1.0).contains(&beta) {
            return Err("beta: at least 0 and below 1".into());
        }
        Ok(Arc::new(Self { beta }))
    }
}

impl From<Nesterov> for Extension {
    fn from(rule: Nesterov) -> Self {
        Self::new(Nesterov::NAME).with("beta", f64::from(rule.beta))
    }
}

impl UpdateRule for Nesterov {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn supports(&self, dtype: DType) -> bool {
        dtype == DType::F32
    }

    /// The velocity, beside every value.
    fn lanes(&self) -> usize {
        1
    }

    fn apply_f32(&self, context: &ApplyContext, rows: &mut RowsMut<'_, f32>) {
        let (rate, beta) = (context.rate as f32, self.beta);
        let velocities = rows.lanes[0].iter_mut();
        for ((w, m), g) in rows.values.iter_mut().zip(velocities).zip(rows.aggregate) {
            *m = beta * *m + g;
            *w -= rate * (g + beta * *m);
        }
    }
}

#[cfg(test)]
mod tests {
    use archipelago::vector::Lanes;

    use super::*;

    #[test]
    fn two_steps_by_hand() {
        let (mut values, mut velocity) = ([1.0], [0.0]);
        let rule = Nesterov { beta: 0.5 };
        for (gradient, expected) in [(1.0, 0.85), (2.0, 0.525)] {
            let mut rows = RowsMut {
                values: &mut values,
                lanes: Lanes::from([&mut velocity[..]]),
                aggregate: &[gradient],
            };
            rule.apply_f32(&ApplyContext { rate: 0.1, step: 1 }, &mut rows);
            assert!((values[0] - expected).abs() < 1e-6, "{values:?}");
        }
        assert!(Nesterov::make(&Extension::new(Nesterov::NAME).with("beta", 1.0)).is_err());
    }
}
