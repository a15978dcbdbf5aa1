//! `demo` and `train`: models trained by the crate `workloads`.

mod arguments;
mod data;
mod demo;
mod job;
mod local;
mod model;
mod patience;
mod report;
mod summary;
mod train;

pub use arguments::{DemoArguments, ModelKind, TrainArguments};
pub(crate) use demo::run as demo;
pub use local::Local;
pub(crate) use train::run as train;
