//! `ps-server` as a library: its commands, callable from a program of one's own.
//!
//! Today it trains in one process: `demo` and `train --embedded`. Servers over QUIC are planned.

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

use std::io::Write;

pub use arguments::{Arguments, Command, DemoArguments, ModelKind, TrainArguments};
pub use local::Local;

/// Runs a command; its report goes to `out`, progress and what `train` finds in its files to the
/// error stream.
///
/// # Errors
/// Files that cannot be read, options that do not fit together, errors of the store.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<()> {
    match &arguments.command {
        Command::Demo(demo) => demo::run(demo, out),
        Command::Train(train) => train::run(train, out),
    }
}
