//! How a client connects.

use std::time::Duration;

use archipelago::error::TransportError;
use archipelago::limits;
use archipelago::node::worker::WorkerOptions;
use archipelago::transport::{Credentials, WorkerConfig, WorkerProcess};

use crate::{Pem, Registry, Result, Servers, ServersError};

/// How long connecting may take unless told.
const CONNECT_DEADLINE: Duration = Duration::from_secs(10);

/// How a [`Client`](crate::Client) connects, and how long it waits.
///
/// ```
/// use std::time::Duration;
/// use archipelago_client::{ClientConfig, Pem};
///
/// let credentials = Pem::files("ca.pem", "worker.pem", "worker.key");
/// let config = ClientConfig::new("ps0:7100,ps1:7100".parse()?, credentials)
///     .connect_deadline(Duration::from_secs(30))
///     .wait_deadline(Duration::from_secs(60));
/// # Ok::<(), archipelago_client::ServersError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ClientConfig {
    servers: Servers,
    credentials: Pem,
    registry: Registry,
    connect_deadline: Duration,
    wait_deadline: Duration,
}

impl ClientConfig {
    /// To all of these servers, with these credentials: those of a worker, or of an operator, who
    /// creates and joins nothing.
    pub fn new(servers: Servers, credentials: Pem) -> Self {
        Self {
            servers,
            credentials,
            registry: Registry::built_in(),
            connect_deadline: CONNECT_DEADLINE,
            wait_deadline: limits::WAIT_MAX,
        }
    }

    /// Sets the code behind the names of update rules and policies. Default: what is built in.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Sets how long to try until every server has been reached. Default: 10 s.
    #[must_use]
    pub fn connect_deadline(mut self, most: Duration) -> Self {
        self.connect_deadline = most;
        self
    }

    /// Sets how long a wait lasts at most: an answer, a round, members that are missing.
    /// Default: 5 minutes.
    #[must_use]
    pub fn wait_deadline(mut self, most: Duration) -> Self {
        self.wait_deadline = most;
        self
    }

    /// The process that connects so; names are looked up and files read now.
    pub(crate) fn start(&self) -> Result<WorkerProcess> {
        let servers = self.servers.resolve().map_err(unresolved)?;
        let options = WorkerOptions { wait_max: self.wait_deadline, ..WorkerOptions::default() };
        WorkerProcess::start(WorkerConfig {
            servers,
            registry: self.registry.clone(),
            credentials: self.credentials.load()?,
            options,
            connect_max: self.connect_deadline,
        })
    }

    /// What the files of credentials hold now.
    pub(crate) fn credentials(&self) -> Result<Credentials> {
        Ok(self.credentials.load()?)
    }
}

fn unresolved(error: ServersError) -> TransportError {
    let (address, problem) = match error {
        ServersError::Unresolved { address, source } => (address, source.to_string()),
        other => ("the addresses given".into(), other.to_string()),
    };
    TransportError::Unreachable { peer: "server".into(), address, problem }
}
