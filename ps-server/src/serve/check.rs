//! `config check`: one server's configuration, or what a file says for all servers.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::bail;
use archipelago::node::Registry;
use archipelago::transport::System;
use clap::{Args, Subcommand};

use super::config::{Config, ConfigError};
use super::options::{Options, ServeArguments};
use super::run;
use crate::{cert, code};

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
    /// Check a configuration file and what it names, and print what is effective. Of a file that
    /// servers share, without --server, what they share.
    Check(CheckArguments),
}

/// Options of `config check`.
#[derive(Clone, Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct CheckArguments {
    /// The file (TOML).
    pub file: PathBuf,
    /// What `serve` is told besides; flags come first.
    #[command(flatten)]
    pub options: Options,
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
  tables = \"tables.toml\"

A file that all servers share leaves out `server`, `certificate` and `key`, which are flags then:
  ps-server config check system.toml
  ps-server config check system.toml --server 2 --certificate tokyo.pem --key tokyo.key";

/// What each server has of its own.
const OWN: [&str; 6] = ["server", "bind", "advertise", "certificate", "key", "metrics"];

/// Carries out the command.
pub(crate) fn check(
    arguments: &ConfigArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let ConfigCommand::Check(CheckArguments { file, options }) = &arguments.command;
    let config = Some(file.clone());
    let serve = ServeArguments { config, options: options.clone(), ..ServeArguments::default() };
    let options = Config::options(&serve)?;
    match Config::new(options.clone(), false) {
        Ok(config) => check_one(&config, registry, out),
        Err(ConfigError::WhichServer { .. }) => check_shared(&options, registry, out),
        Err(error) => Err(error.into()),
    }
}

/// What is doubtful in the tables of a system.
pub(super) fn doubts(system: &System) -> impl Iterator<Item = String> {
    system.tables.iter().filter_map(|(spec, policy, _)| {
        code::doubt(policy).map(|doubt| format!("table {:?}: {doubt}", spec.name))
    })
}

fn check_one(config: &Config, registry: &Registry, out: &mut dyn Write) -> anyhow::Result<()> {
    let system = config.system(registry)?;
    system.plan(&config.servers.numbers(), registry)?;
    write!(out, "{}", config.to_toml()?)?;
    for doubt in doubts(&system) {
        writeln!(out, "# warning: {doubt}")?;
    }
    if let Some(warning) = config.other_port() {
        writeln!(out, "# warning: {warning}")?;
    }
    if let Some(files) = &config.files {
        let credentials = run::load(files)?;
        credentials.check()?;
        run::check_data_centre(config, credentials.identity())?;
        writeln!(out, "# the certificate is for {}", credentials.identity())?;
    }
    config.peers()?;
    Ok(())
}

/// Checks what holds for every server of the list, whichever reads the file.
fn check_shared(options: &Options, registry: &Registry, out: &mut dyn Write) -> anyhow::Result<()> {
    let of = |server| {
        let own = Options { server: Some(server), bind: None, advertise: None, ..options.clone() };
        Config::new(own, true)
    };
    let numbers = Config::listed(options)?.numbers();
    let configs = numbers.into_iter().map(|number| of(number.0)).collect::<Result<Vec<_>, _>>()?;
    let Some(first) = configs.first() else { bail!("no server is listed") };
    // Tables and addresses are the same for all.
    let system = first.system(registry)?;
    for config in &configs {
        system.plan(&config.servers.numbers(), registry)?;
    }
    first.peers()?;
    let mut shared = toml::Table::try_from(first)?;
    if options.data_centres.is_some() {
        // Each server's are those of its data centre.
        drop(shared.remove("servers"));
    }
    shared.retain(|name, _| !OWN.contains(&name));
    for (name, path) in [("ca", &options.ca), ("revoked", &options.revoked)] {
        if let Some(path) = path {
            cert::look(path)?;
            shared.insert(name.into(), shown(path)?.into());
        }
    }
    write!(out, "{shared}")?;
    writeln!(
        out,
        "# this is what all servers share. Not checked, since each has its own: {}. Check them \
         with --server NUMBER --certificate FILE --key FILE",
        OWN.join(", ")
    )?;
    Ok(())
}

fn shown(path: &Path) -> anyhow::Result<&str> {
    path.to_str().ok_or_else(|| anyhow::anyhow!("{} is not UTF-8", path.display()))
}
