//! `serve`: one server of a cluster, until it is told to stop.

mod check;
mod config;
mod data_centres;
mod dev;
mod http;
mod metrics;
mod options;
mod rotation;
mod run;

pub(crate) use self::check::check;
pub use self::check::{CheckArguments, ConfigArguments, ConfigCommand};
pub use self::config::{Config, ConfigError, CredentialFiles};
pub use self::data_centres::{DataCentreEntry, DataCentreList, DataCentreListError};
#[cfg(feature = "workloads")]
pub(crate) use self::dev::Throwaway;
pub(crate) use self::metrics::{CopyHealth, DataCentreHealth, Health, MirrorHealth};
pub use self::options::{Options, ServeArguments};
pub(crate) use self::run::run;
