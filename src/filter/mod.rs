//! What stands between a residual and the wire: which part of it leaves, in which form, and how
//! it is added at the other end. Kernels over borrowed lanes: nothing here owns state per element
//! or knows clocks, addresses or bytes.
//!
//! A *residual* is what local rounds have added to the values of a block and other data centres
//! have not been sent. A *delta* is what leaves of it: values and residual are of one type, and
//! both ends only add.
//!
//! I1. Nothing is lost or invented (law 7): element by element, what was taken and what is left are
//! the residual from before and 0, in one order or the other.

mod pass;
mod rows;
mod sparse;

pub use crate::vector::Passed;
pub use pass::{take_all, take_significant};
pub use rows::merge_rows;
pub use sparse::{
    POSITION_BYTES, ScatterError, add_sparse, density_pays, gather_positions, scatter_add,
};
