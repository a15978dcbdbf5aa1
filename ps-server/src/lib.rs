//! `ps-server` as a library: its commands, callable from a program of one's own.
//!
//! Servers with their certificates, metrics and status; and, with the feature `workloads`, `demo`
//! and `train`.

mod arguments;
mod cert;
mod connect;
mod files;
mod logs;
mod serve;
mod signals;
mod status;
mod units;
#[cfg(feature = "workloads")]
mod workload;

use std::io::Write;
use std::process::ExitCode;

pub use archipelago_client::{ServerEntry, Servers, ServersError};
pub use arguments::{Arguments, Command};
pub use cert::{
    CaArguments, CertArguments, CertCommand, IssueArguments, RevokeArguments, ShowArguments,
};
pub use connect::{ConnectArguments, ConnectError};
pub use files::FileError;
pub use serve::{
    CheckArguments, Config, ConfigArguments, ConfigCommand, ConfigError, CredentialFiles, Options,
    ServeArguments,
};
pub use status::StatusArguments;
#[cfg(feature = "workloads")]
pub use workload::{DemoArguments, Local, ModelKind, ServedArguments, Stopped, TrainArguments};

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
        #[cfg(feature = "workloads")]
        Command::Demo(demo) => workload::demo(demo, out),
        #[cfg(feature = "workloads")]
        Command::Train(train) => workload::train(train, out),
    }
}

/// What a process ends with whose command has failed: what a shell expects of one that was
/// stopped, else 1.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    #[cfg(feature = "workloads")]
    if let Some(stopped) = error.downcast_ref::<Stopped>() {
        return ExitCode::from(stopped.exit_code);
    }
    tracing::debug!(%error, "the command has failed");
    ExitCode::FAILURE
}
