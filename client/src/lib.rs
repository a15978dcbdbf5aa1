//! Workers of a remote cluster: the seam, until the QUIC transport arrives.
//!
//! A training function written over [`Worker`] today runs through this crate unchanged later;
//! until then the crate only names what such a function needs.

pub use archipelago::{Error, Result, Seen, Stamp, Table, Worker};
