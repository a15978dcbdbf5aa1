//! Options by which commands reach the servers of a cluster, the same for all of them.

use std::path::PathBuf;

use archipelago::error::{Error, TransportError};
use archipelago::node::Registry;
use archipelago::node::worker::WorkerOptions;
use archipelago::time::Duration;
use archipelago::transport::WorkerConfig;
use archipelago_client::{ServerEntry, Servers};
use clap::Args;

use crate::patience;
use crate::serve::CredentialFiles;

/// How long to try until every server has been reached, unless told otherwise.
const CONNECT_MAX: Duration = Duration::from_secs(30);

/// The options do not say where to connect, or as whom.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// An option without a default is missing.
    #[error(
        "--{option} is missing: name the servers and the files that ps-server cert has made, or \
         those that ps-server serve --dev prints"
    )]
    Missing {
        /// The option.
        option: &'static str,
    },
    /// Not all servers were reached in time.
    #[error(
        "{peer} at {address}: {problem}, within {seconds} s (--connect-max): does it run, is this \
         the address that it listens on (its --bind), does UDP get through?"
    )]
    Silent {
        /// Who.
        peer: String,
        /// Where.
        address: String,
        /// What happened at last.
        problem: String,
        /// How long it was tried.
        seconds: f64,
    },
}

/// The servers of a cluster, and what this process shows to them.
///
/// Commands that cannot do without say so of `servers`; the other options need it.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct ConnectArguments {
    /// All servers: the list that they were given, HOST:PORT in the same order or
    /// NUMBER=HOST:PORT. Needs --ca, --certificate and --key.
    #[arg(long, value_name = "[NUMBER=]HOST:PORT", value_delimiter = ',')]
    #[arg(requires_all = ["ca", "certificate", "key"])]
    pub servers: Vec<ServerEntry>,
    /// The authority's certificate (PEM).
    #[arg(long, value_name = "FILE", requires = "servers")]
    pub ca: Option<PathBuf>,
    /// The certificate to show (PEM), as ps-server cert issue makes.
    #[arg(long, value_name = "FILE", requires = "servers")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM).
    #[arg(long, value_name = "FILE", requires = "servers")]
    pub key: Option<PathBuf>,
    /// The authority's revocation list (PEM). Default: none.
    #[arg(long, value_name = "FILE", requires = "servers")]
    pub revoked: Option<PathBuf>,
    /// How long to try until every server has been reached. Default: 30.
    #[arg(long, value_name = "SECONDS", requires = "servers", allow_negative_numbers = true)]
    #[arg(value_parser = seconds)]
    pub connect_max: Option<f64>,
}

impl ConnectArguments {
    /// Runs what connects to these servers, and says on the error stream that it waits for them.
    pub(crate) fn patiently<T>(&self, servers: &Servers, work: impl FnOnce() -> T) -> T {
        let listed = servers.entries().into_iter().map(|entry| match entry.number {
            Some(number) => format!("server {number} at {}", entry.address),
            None => entry.address,
        });
        let listed: Vec<_> = listed.collect();
        let all = if listed.len() > 1 { "all of " } else { "" };
        patience::waiting(&format!("{all}{}", listed.join(", ")), self.patience(), work)
    }

    /// What to do about servers that were not reached.
    pub(crate) fn explained(&self, error: Error) -> anyhow::Error {
        match error {
            Error::Transport(TransportError::Unreachable { peer, address, problem }) => {
                let seconds = self.patience().as_secs_f64();
                ConnectError::Silent { peer, address, problem, seconds }.into()
            },
            other => other.into(),
        }
    }

    fn patience(&self) -> Duration {
        self.connect_max.map_or(CONNECT_MAX, Duration::from_secs_f64)
    }

    /// What [`connect`](archipelago::transport::connect) needs; reads the files and looks up the
    /// names of hosts.
    ///
    /// # Errors
    /// `ConnectError::Missing`; a list of servers that does not hold together, names that do not
    /// resolve, files that cannot be read or hold something else.
    pub fn config(
        &self,
        registry: Registry,
        options: WorkerOptions,
    ) -> anyhow::Result<WorkerConfig> {
        let file =
            |path: &Option<PathBuf>, option| path.clone().ok_or(ConnectError::Missing { option });
        let files = CredentialFiles {
            ca: file(&self.ca, "ca")?,
            certificate: file(&self.certificate, "certificate")?,
            key: file(&self.key, "key")?,
            revoked: self.revoked.clone(),
        };
        if self.servers.is_empty() {
            return Err(ConnectError::Missing { option: "servers" }.into());
        }
        Ok(WorkerConfig {
            servers: Servers::new(&self.servers)?.resolve()?,
            registry,
            credentials: files.load()?,
            options,
            connect_max: self.patience(),
        })
    }
}

/// A time on the command line.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let fits = |seconds: &f64| (0.001..=1e6).contains(seconds);
    text.parse().ok().filter(fits).ok_or_else(|| "expected seconds, 0.001 to 1000000".into())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        connect: ConnectArguments,
    }

    fn parsed(options: &str) -> Result<ConnectArguments, String> {
        let words = ["command"].into_iter().chain(options.split_whitespace());
        let command = Command::try_parse_from(words).map_err(|error| error.to_string());
        Ok(command?.connect)
    }

    #[test]
    fn servers_and_certificates_come_together() {
        let files = "--ca a --certificate b --key c";
        let connect = parsed(&format!("--servers x:1,y:2 {files} --connect-max 0.5")).unwrap();
        assert_eq!((connect.servers.len(), connect.connect_max), (2, Some(0.5)));
        assert_eq!(parsed(""), Ok(ConnectArguments::default()));
        let forgotten = parsed("--servers x:1 --ca a --certificate b").unwrap_err();
        assert!(forgotten.contains("--key <FILE>"), "{forgotten}");
        assert!(parsed(files).unwrap_err().contains("--servers"), "{files}");
        assert!(parsed("--servers x:1 --connect-max -1").is_err());
    }

    #[test]
    fn what_is_missing_is_named() {
        let connect = ConnectArguments { ca: Some("a".into()), ..ConnectArguments::default() };
        let error = connect.config(Registry::built_in(), WorkerOptions::default()).unwrap_err();
        assert!(error.to_string().contains("--certificate is missing"), "{error}");
    }
}
