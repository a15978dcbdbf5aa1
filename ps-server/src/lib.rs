//! `ps-server` as a library: its commands, in a program of one's own, with code of one's own.
//!
//! [`App`] is the program. Servers with their certificates, metrics, status and tables; and, with
//! the feature `workloads`, `demo` and `train`. `experiment` compares runs of training over WAN
//! links with the Gaia paper's; no command does so yet.

mod app;
mod arguments;
mod cert;
mod code;
mod connect;
#[cfg(feature = "workloads")]
pub mod experiment;
mod files;
mod logs;
mod nearest;
mod patience;
mod serve;
mod signals;
mod status;
mod table;
mod units;
#[cfg(feature = "workloads")]
mod workload;

pub use app::{App, ended};
pub use archipelago_client::{ServerEntry, Servers, ServersError};
pub use arguments::{Arguments, Command};
pub use cert::{
    CaArguments, CertArguments, CertCommand, IssueArguments, RevokeArguments, ShowArguments,
};
pub use code::CodeError;
pub use connect::{ConnectArguments, ConnectError};
pub use files::FileError;
pub use serve::{
    CheckArguments, Config, ConfigArguments, ConfigCommand, ConfigError, CredentialFiles,
    DataCentreEntry, DataCentreList, DataCentreListError, Options, ServeArguments,
};
pub use status::StatusArguments;
pub use table::{
    ClusterArguments, CombineWord, CreateArguments, NamedArguments, NonFinite, SetArguments,
    TableArguments, TableCommand, TableError, TableFileError, TableOptions,
};
#[cfg(feature = "workloads")]
pub use workload::{DemoArguments, ModelKind, ServedArguments, Stopped, TrainArguments};
