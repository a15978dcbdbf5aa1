//! `demo` and `train`: models trained by the crate `workloads`.

mod arguments;
mod bar;
mod data;
mod demo;
mod embedded;
mod islands;
mod job;
mod loopback;
mod model;
mod report;
mod served;
mod stop;
mod summary;
mod train;

pub use arguments::{DemoArguments, ModelKind, ServedArguments, TrainArguments};
pub(crate) use demo::run as demo;
pub(crate) use stop::Stop;
pub use stop::Stopped;
pub(crate) use train::run as train;
