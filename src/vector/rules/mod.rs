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
pub use plain::{Add, Assign, Sgd};
