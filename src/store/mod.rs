//! Rows in lanes of blocks, dense and sparse: where values and optimizer state live.
//!
//! A store is typed by its element and holds some of a table's slots. It knows keys, elements and
//! the spec; it knows neither clocks nor policies nor nodes nor files, holds no lock, and trusts
//! its caller to have checked keys against the domain.
//!
//! I1. What a store holds is a function of the spec and of the changes made to each row: neither
//! the order in which rows appear nor the division of slots over stores shows in any answer.
//! I2. A row's values, state lanes and step move together: one [`Run`] lends all of them.
//! I3. State lanes and steps begin as zero, values as the spec's init.

mod aligned;
mod dense;
mod digest;
mod held;
mod index;
#[cfg(test)]
mod model;
mod run;
mod slab;
mod sparse;

pub use dense::DenseStore;
pub use run::Run;
pub use sparse::SparseStore;
