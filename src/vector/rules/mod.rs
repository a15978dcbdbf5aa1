//! The built-in update rules.
//!
//! | rule | name | state lanes | types |
//! |---|---|---|---|
//! | [`Add`] | `add/1` | none | f32, f64, i64 |
//! | [`Assign`] | `assign/1` | none | f32, f64, i64 |
//! | [`Sgd`] | `sgd/1` | none | f32, f64 |
//! | [`Momentum`] | `momentum/1` | velocity | f32, f64 |
//! | [`Adagrad`] | `adagrad/1` | sum of squares | f32, f64 |
//! | [`Adam`] | `adam/1` | first and second moment | f32, f64 |
//!
//! In the formulas w is the value, g the aggregate, `rate` the learning rate of the round's tick
//! ([`ApplyContext::rate`](super::ApplyContext::rate)). Parameters and rate are rounded to the
//! table's type once; everything else is computed in that type, one rounding per operation.

mod adagrad;
mod adam;
mod momentum;
mod parameter;
mod plain;

pub use adagrad::Adagrad;
pub use adam::Adam;
pub use momentum::Momentum;
pub use parameter::ParameterError;
pub(super) use parameter::check;
pub use plain::{Add, Assign, Sgd};

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;

    use super::*;
    use crate::extension::Extension;
    use crate::vector::{ApplyContext, DType, Element, Lanes, RowsMut, UpdateRule};

    fn all() -> [Box<dyn UpdateRule>; 6] {
        [
            Box::new(Add),
            Box::new(Assign),
            Box::new(Sgd),
            Box::new(Momentum::default()),
            Box::new(Adagrad::default()),
            Box::new(Adam::default()),
        ]
    }

    /// Applies the rule to `rounds` aggregates, each cut after `cut` elements, and returns values
    /// and lanes.
    fn train<T: Element>(rule: &dyn UpdateRule, rounds: &[Vec<T>], cut: usize) -> Vec<Vec<T>> {
        let mut arrays = vec![vec![T::from_f64(0.25); rounds[0].len()]];
        arrays.resize(1 + rule.lanes(), vec![T::default(); rounds[0].len()]);
        for (round, aggregate) in rounds.iter().enumerate() {
            let context = ApplyContext { rate: 0.1, step: round as u64 + 1 };
            for part in [0..cut, cut..aggregate.len()] {
                let (values, lanes) = arrays.split_at_mut(1);
                let lanes = lanes.iter_mut().map(|lane| &mut lane[part.clone()]);
                rule.apply(
                    &context,
                    &mut RowsMut {
                        values: &mut values[0][part.clone()],
                        lanes: Lanes::take(lanes),
                        aggregate: &aggregate[part],
                    },
                );
            }
        }
        arrays
    }

    /// The papers' formulas, one element, in f64 and as written there.
    fn textbook(rule: &str, gradients: &[f64]) -> f64 {
        let (mut w, mut m, mut v) = (0.25, 0.0, 0.0);
        for (t, g) in (1..).zip(gradients) {
            match rule {
                "add/1" => w += g,
                "assign/1" => w = *g,
                "sgd/1" => w -= 0.1 * g,
                "momentum/1" => {
                    m = 0.9 * m + g;
                    w -= 0.1 * m;
                },
                "adagrad/1" => {
                    v += g * g;
                    w -= 0.1 * g / (f64::sqrt(v) + 1e-8);
                },
                _ => {
                    m = 0.9 * m + 0.1 * g;
                    v = 0.999 * v + 0.001 * g * g;
                    let (m, v) = (m / (1.0 - 0.9_f64.powi(t)), v / (1.0 - 0.999_f64.powi(t)));
                    w -= 0.1 * m / (v.sqrt() + 1e-8);
                },
            }
        }
        w
    }

    proptest! {
        #[test]
        fn rules_follow_their_papers_however_a_run_is_cut(
            seed: u64, rounds in 1_usize..6, len in 1_usize..200, cut in 0_usize..200,
        ) {
            let mut rng = crate::rng::Rng::new(seed);
            let round = |_| (0..len).map(|_| rng.unit() * 2.0 - 1.0).collect();
            let rounds: Vec<Vec<f64>> = (0..rounds).map(round).collect();
            let single = |round: &Vec<f64>| round.iter().map(|x| *x as f32).collect();
            let singles: Vec<Vec<f32>> = rounds.iter().map(single).collect();
            for rule in all() {
                let whole = train::<f64>(&*rule, &rounds, 0);
                prop_assert_eq!(&whole, &train(&*rule, &rounds, cut.min(len)));
                let narrow = train::<f32>(&*rule, &singles, 0);
                prop_assert_eq!(&narrow, &train(&*rule, &singles, cut.min(len)));
                for at in 0..len {
                    let gradients: Vec<f64> = rounds.iter().map(|round| round[at]).collect();
                    let expected = textbook(rule.extension().name(), &gradients);
                    prop_assert!((whole[0][at] - expected).abs() < 1e-12, "{:?}", rule);
                    prop_assert!((f64::from(narrow[0][at]) - expected).abs() < 1e-5, "{:?}", rule);
                }
            }
        }
    }

    #[test]
    fn counters_wrap_and_only_plain_rules_count() {
        let counted = train::<i64>(&Add, &[vec![i64::MAX, 2], vec![1, 2]], 1);
        assert_eq!(counted[0], [i64::MIN, 4]);
        let held = all().map(|rule| rule.supports(DType::I64));
        assert_eq!(held, [true, true, false, false, false, false]);
    }

    fn round_trip<R: Into<Extension> + Copy + PartialEq + Debug>(
        rule: R,
        read: fn(&Extension) -> Result<R, ParameterError>,
        parameter: Option<(&'static str, f64)>,
    ) {
        let extension: Extension = rule.into();
        assert_eq!(read(&extension), Ok(rule));
        assert!(matches!(
            read(&extension.clone().with("lambda", 1.0)),
            Err(ParameterError::Unknown { .. })
        ));
        assert!(matches!(read(&Extension::new("other/1")), Err(ParameterError::Name { .. })));
        if let Some((parameter, bad)) = parameter {
            for bad in [bad, f64::NAN, -0.5] {
                let refused = read(&extension.clone().with(parameter, bad));
                assert!(matches!(refused, Err(ParameterError::Bounds { .. })));
            }
        }
    }

    #[test]
    fn extensions_describe_rules() {
        round_trip(Add, Add::from_extension, None);
        round_trip(Assign, Assign::from_extension, None);
        round_trip(Sgd, Sgd::from_extension, None);
        round_trip(Momentum { beta: 0.5 }, Momentum::from_extension, Some(("beta", 1.0)));
        round_trip(Adagrad { epsilon: 0.1 }, Adagrad::from_extension, Some(("epsilon", 0.0)));
        let adam = Adam { beta1: 0.0, beta2: 0.5, epsilon: 1e-6 };
        for (parameter, bad) in [("beta1", 1.0), ("beta2", f64::INFINITY), ("epsilon", 0.0)] {
            round_trip(adam, Adam::from_extension, Some((parameter, bad)));
        }
        assert_eq!(Adam::from_extension(&Extension::new("adam/1")), Ok(Adam::default()));
    }
}
