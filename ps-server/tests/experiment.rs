//! `experiment gaia` over made-up runs: which are run, what is derived from them, JSON, tables and
//! the report.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "experiment/made_up.rs"]
mod made_up;
fn main() {}
