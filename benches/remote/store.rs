//! The store behind QUIC: a server process, and a worker of this one.

use std::net::{Ipv4Addr, SocketAddr};

use archipelago::embed::ThreadPark;
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::server::ServerOptions;
use archipelago::node::worker::{Blocking, Park, RemoteWorker, Session, WorkerOptions};
use archipelago::time::Duration;
use archipelago::transport::{self, Credentials, Role, Server, ServerConfig, WorkerConfig};
use archipelago::{Eventual, Hyper, Table, TablePolicy, TableSpec};

use crate::authority::Authority;
use crate::child::Process;
use crate::race::Outcome;

/// A worker whose methods block.
pub(crate) type Member = Blocking<RemoteWorker, ThreadPark>;

/// In a process of its own: a server with these PEM texts.
pub(crate) fn serve([authority, certificate, key]: [&str; 3]) -> Outcome<Server> {
    let credentials =
        Credentials::from_pem(authority.as_bytes(), certificate.as_bytes(), key.as_bytes())?;
    Ok(Server::start(ServerConfig {
        server: ServerId(0),
        bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        peers: Vec::new(),
        servers: vec![ServerId(0)],
        registry: Registry::built_in(),
        credentials,
        options: ServerOptions::default(),
    })?)
}

/// A server process with its authority.
pub(crate) struct Cluster {
    authority: Authority,
    pub(crate) process: Process,
}

impl Cluster {
    pub(crate) fn start() -> Outcome<Self> {
        let authority = Authority::new();
        let process = Process::start(crate::child::Role::Store, &authority)?;
        Ok(Self { authority, process })
    }

    pub(crate) fn connect(&self) -> Outcome<Session> {
        let config = WorkerConfig {
            servers: vec![(ServerId(0), self.process.address)],
            registry: Registry::built_in(),
            credentials: self.authority.credentials(Role::Worker),
            options: WorkerOptions::default(),
            connect_max: Duration::from_secs(10),
        };
        Ok(ThreadPark.block_on(transport::connect(config))?)
    }

    /// The only member of a new group, with a new table.
    pub(crate) fn member(&self, spec: TableSpec) -> Outcome<(Member, Table)> {
        let session = self.connect()?;
        let group = spec.name.clone();
        ThreadPark.block_on(async {
            let policy = TablePolicy::local(Eventual);
            let table = session.ensure_table(spec, policy, Hyper::default()).await?;
            let group = session.ensure_group(&group, 1).await?;
            Ok((Blocking::new(session.join(group).await?, ThreadPark), table))
        })
    }
}
