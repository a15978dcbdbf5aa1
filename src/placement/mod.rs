//! Slots, the ring and who owns what (SPEC section 6; OSDI'14 section 4.3). Knows neither
//! values nor time, and changes nothing: changing placement is the manager's work.
//!
//! Invariants: I1 the slots of a grid tile its domain, `u64::MAX` included (SPEC law 11); I2 every
//! slot has one owner; I3 no server owns more than `ceil(slots x its share of the weights)`; I4
//! everyone computes the same placement from the same servers: hashes and orders are wire format.

mod assignment;
mod data_centres;
mod overlay;
mod ring;
mod slots;

pub use assignment::{Assignment, Epoch};
pub use data_centres::{DataCentreServers, DataCentres};
pub use overlay::{Feed, Hearing, HubGroup, Overlay, Telling};
pub use ring::{Ring, RingError};
pub use slots::{Chunks, Frames, SlotGrid};
