//! `serve`: one server of a cluster, until it is told to stop.

mod config;
mod data_centres;
mod dev;
mod http;
mod metrics;
mod options;
mod rotation;
mod run;

use std::io::Write;
use std::path::PathBuf;

use archipelago::node::Registry;
use clap::{Args, Subcommand};

pub use self::config::{Config, ConfigError, CredentialFiles};
pub use self::data_centres::{DataCentreEntry, DataCentreList, DataCentreListError};
#[cfg(feature = "workloads")]
pub(crate) use self::dev::Throwaway;
pub(crate) use self::metrics::{CopyHealth, DataCentreHealth, Health, MirrorHealth};
pub use self::options::{Options, ServeArguments};
pub(crate) use self::run::run;

/// Options of `config`.
#[derive(Clone, Debug, Args)]
pub struct ConfigArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `config` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum ConfigCommand {
    /// Check a configuration file and what it names, and print what is effective.
    Check(CheckArguments),
}

/// Options of `config check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct CheckArguments {
    /// The file (TOML).
    pub file: PathBuf,
}

const EXAMPLE: &str = "\
Example of a file, with the options of ps-server serve without their dashes:
  server = 0
  servers = [\"127.0.0.1:7100\", \"127.0.0.1:7101\"]
  bind = \"127.0.0.1:7100\"
  metrics = \"127.0.0.1:7180\"
  ca = \"ca/ca.pem\"
  certificate = \"certs/server.pem\"
  key = \"certs/server.key\"
  revoked = \"ca/revoked.pem\"

Of several data centres, instead of `servers`:
  data_centres = [\"paris:0=ps0.paris:7100,1=ps1.paris:7100\", \"tokyo:2=ps0.tokyo:7100\"]
  tables = \"tables.toml\"";

/// Carries out the command.
pub(crate) fn check(
    arguments: &ConfigArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let ConfigCommand::Check(CheckArguments { file }) = &arguments.command;
    let serve = ServeArguments { config: Some(file.clone()), ..ServeArguments::default() };
    let config = Config::of(&serve)?;
    config.system(registry)?.plan(&config.servers.numbers(), registry)?;
    write!(out, "{}", config.to_toml()?)?;
    if let Some(warning) = config.other_port() {
        writeln!(out, "# warning: {warning}")?;
    }
    if let Some(files) = &config.files {
        let credentials = run::load(files)?;
        credentials.check()?;
        run::check_data_centre(&config, credentials.identity())?;
        writeln!(out, "# the certificate is for {}", credentials.identity())?;
    }
    config.peers()?;
    Ok(())
}
