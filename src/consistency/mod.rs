//! Policies: decisions from keys, ranges, ticks, sizes, members and `now`. Never a value.
//!
//! A policy answers questions; `node::shard` carries the answers out. The meaning of each local
//! policy is the table of SPEC section 3.

mod bsp;
mod eventual;
mod local;
mod ssp;

pub use bsp::Bsp;
pub use eventual::Eventual;
pub use local::{Admit, LocalPolicy, ReadView, RoundView};
pub use ssp::Ssp;
