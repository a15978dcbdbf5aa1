//! Policies: decisions from keys, ranges, ticks, sizes, members and `now`. Never a value.
//!
//! A policy answers questions; `node` carries the answers out. A [`LocalPolicy`] holds between the
//! workers of one data centre, a [`GlobalPolicy`] between data centres; a model that makes sense
//! for both is one type. Meanings are in SPEC sections 3 and 8.

mod asp;
mod bsp;
mod eventual;
mod global;
mod local;
mod off;
mod ssp;
mod threshold;

pub use asp::{Asp, Goal};
pub use bsp::Bsp;
pub use eventual::Eventual;
pub(crate) use global::silence_max;
pub use global::{Exchange, GlobalPolicy, LinkView, MirrorAdmit, MirrorRead, PassView, Precision};
pub use local::{Admit, LocalPolicy, ReadView, RoundView};
pub use off::Off;
pub use ssp::Ssp;
pub use threshold::{Decay, Threshold};
