//! `ps-server` as a library: its commands, callable from a program of one's own.
//!
//! Servers with their certificates, metrics and status; and, with the feature `workloads`, `demo`
//! and `train`.

mod arguments;
mod cert;
mod data;
mod demo;
mod files;
mod job;
mod local;
mod logs;
mod model;
mod patience;
mod report;
mod serve;
mod servers;
mod status;
mod summary;
mod train;
mod units;

use std::io::Write;

pub use arguments::{Arguments, Command, DemoArguments, ModelKind, TrainArguments};
pub use cert::{
    CaArguments, CertArguments, CertCommand, IssueArguments, RevokeArguments, ShowArguments,
};
pub use files::FileError;
pub use local::Local;
pub use serve::{
    CheckArguments, Config, ConfigArguments, ConfigCommand, ConfigError, CredentialFiles, Options,
    ServeArguments, plan_of,
};
pub use servers::{ServerEntry, Servers, ServersError};
pub use status::StatusArguments;

/// Runs a command; its report goes to `out`, progress, log lines and what `train` finds in its
/// files to the error stream.
///
/// # Errors
/// Files that cannot be read, options that do not fit together, errors of the store and of the
/// network.
pub fn run(arguments: &Arguments, out: &mut dyn Write) -> anyhow::Result<()> {
    if !matches!(arguments.command, Command::Serve(_)) {
        logs::start(None, "error");
    }
    match &arguments.command {
        Command::Serve(serve) => serve::run(serve, out),
        Command::Config(config) => serve::check(config, out),
        Command::Status(status) => status::run(status, out),
        Command::Cert(cert) => cert::run(cert, out),
        Command::Demo(demo) => demo::run(demo, out),
        Command::Train(train) => train::run(train, out),
    }
}
