//! Options of `serve`. The configuration file has the same ones: one type is read from both.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use archipelago_client::ServerEntry;
use clap::Args;
use serde::Deserialize;

use super::data_centres::DataCentreEntry;

/// Options of `serve`.
#[derive(Clone, Debug, Default, Args)]
#[command(after_help = EXAMPLE)]
pub struct ServeArguments {
    /// A TOML file with any of the options below, without their dashes. Flags come first.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serve with a throw-away authority and print the line that connects a worker.
    #[arg(long)]
    #[arg(conflicts_with_all = ["ca", "certificate", "key", "revoked", "servers", "data_centres"])]
    pub dev: bool,
    /// Stop when the standard input ends: for a parent that must not leave servers behind.
    #[arg(long, hide = true)]
    pub while_input: bool,
    /// All that a file may hold too.
    #[command(flatten)]
    pub options: Options,
}

/// What flags and the configuration file may say. Paths in a file are relative to the file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// This server's number in the list. Default: 0 when it is alone.
    #[arg(long, value_name = "NUMBER")]
    pub server: Option<u32>,
    /// Where to listen; port 0 takes any that is free. Default: 127.0.0.1 with the port of its
    /// entry in the list, or 7100 without a list.
    #[arg(long, value_name = "IP:PORT", value_parser = place)]
    pub bind: Option<SocketAddr>,
    /// Where the others reach this server. Default: its entry in the list, else where it listens.
    #[arg(long, value_name = "HOST:PORT")]
    pub advertise: Option<ServerEntry>,
    /// All servers of the cluster, this one too: HOST:PORT, numbered from 0 in this order, or
    /// NUMBER=HOST:PORT. Default: this server alone.
    #[arg(long, value_name = "[NUMBER=]HOST:PORT", value_delimiter = ',')]
    pub servers: Option<Vec<ServerEntry>>,
    /// All data centres with their servers, this one too, the same list in the same order
    /// everywhere; instead of `servers`. Servers are numbered over all of them, and the name is the
    /// one in the certificates. Default: this data centre alone.
    #[arg(long, value_name = "NAME:[NUMBER=]HOST:PORT,..", num_args = 1..)]
    pub data_centres: Option<Vec<DataCentreEntry>>,
    /// Data centres near each other, each list a group with its hub first: what leaves for another
    /// group leaves once, from hub to hub. Default: everybody speaks to everybody.
    #[arg(long, value_name = "NAME,..", num_args = 1..)]
    pub hubs: Option<Vec<String>>,
    /// Tables that exist from the start, the same everywhere (TOML, as `train --describe-tables`
    /// writes it). Tables with a global policy have to. Default: none.
    #[arg(long, value_name = "FILE")]
    pub tables: Option<PathBuf>,
    /// The authority's certificate (PEM).
    #[arg(long, value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// This server's certificate (PEM); read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM); read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The authority's revocation list (PEM); read again when it changes. Default: none.
    #[arg(long, value_name = "FILE")]
    pub revoked: Option<PathBuf>,
    /// Where /metrics and /healthz are served over plain HTTP. Default: nowhere; ps-server status
    /// asks 127.0.0.1:7180 unless told otherwise.
    #[arg(long, value_name = "IP:PORT", value_parser = place)]
    pub metrics: Option<SocketAddr>,
    /// What is logged to the error stream: error, warn, info, debug, trace, or MODULE=LEVEL,...
    /// Default: RUST_LOG, else info.
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
}

fn place(text: &str) -> Result<SocketAddr, String> {
    let port = text.parse::<u16>().unwrap_or(7100);
    text.parse().map_err(|_error| format!("expected IP:PORT, as 127.0.0.1:{port}"))
}

impl Options {
    /// These, and where they are silent those of `other`.
    pub(super) fn or(self, other: Self) -> Self {
        Self {
            server: self.server.or(other.server),
            bind: self.bind.or(other.bind),
            advertise: self.advertise.or(other.advertise),
            servers: self.servers.or(other.servers),
            data_centres: self.data_centres.or(other.data_centres),
            hubs: self.hubs.or(other.hubs),
            tables: self.tables.or(other.tables),
            ca: self.ca.or(other.ca),
            certificate: self.certificate.or(other.certificate),
            key: self.key.or(other.key),
            revoked: self.revoked.or(other.revoked),
            metrics: self.metrics.or(other.metrics),
            log: self.log.or(other.log),
        }
    }

    /// Relative paths seen from this folder.
    pub(super) fn seen_from(mut self, folder: &Path) -> Self {
        let [ca, own] = [&mut self.ca, &mut self.certificate];
        let paths = [ca, own, &mut self.key, &mut self.revoked, &mut self.tables];
        for path in paths.into_iter().flatten() {
            *path = folder.join(&*path);
        }
        self
    }

    /// The names of all options.
    pub(super) fn names() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new("options"));
        command.get_arguments().map(|option| option.get_id().to_string()).collect()
    }
}

const EXAMPLE: &str = "\
Example, a cluster of one server:
  ps-server cert ca --out ca
  ps-server cert issue --role server --dc paris --ca ca --out server0
  ps-server serve --ca ca/ca.pem --certificate server0/server.pem --key server0/server.key \\
      --revoked ca/revoked.pem";
