//! Elements, kernels over slices of them, and update rules. Knows neither clocks nor network.

mod element;
mod update;

pub use element::{DType, Element, Real};
pub use update::{ApplyContext, RowsMut, UpdateRule};
