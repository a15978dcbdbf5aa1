//! Elements, kernels over slices of them, update rules and significance functions. Knows neither
//! clocks nor network.
//!
//! I1. Every kernel and built-in rule gives the same bits on every x86-64 machine, whichever
//! instruction set it is dispatched to: only IEEE additions, products, quotients and square
//! roots, one rounding each, in an order that the vector width does not change (law 4).
//! I2. `unsafe` is confined to the dispatch of [`kernels`], the streaming copy and [`prefetch`].

mod bitmap;
mod element;
pub mod kernels;
mod prefetch;
pub mod rules;
mod selecting;
mod shortening;
mod significance;
mod streaming;
mod update;
mod widest;

pub use bitmap::Bitmap;
pub use element::{DType, Element, Real};
pub use prefetch::prefetch;
pub use selecting::Passed;
pub use significance::{Absolute, Relative, Significance};
pub use update::{ApplyContext, LANES_MAX, Lanes, Mirrored, RowsMut, UpdateRule};
