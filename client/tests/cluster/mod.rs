//! Servers over QUIC on loopback, each behind an address that clients are told.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

#[path = "../../../tests/authority/mod.rs"]
mod authority;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use archipelago::id::ServerId;
use archipelago::node::server::ServerOptions;
use archipelago::transport::{Role, Server, ServerConfig};
use archipelago_client::{Client, ClientConfig, Pem, Registry, Servers};
use authority::{Authority, Request};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Running servers, and who issues their certificates.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Server>,
    authority: Authority,
}

impl Cluster {
    /// Starts the servers one after the other, so that each knows where those before it listen.
    pub(crate) fn start(count: u32) -> Self {
        let authority = Authority::new();
        let mut servers: Vec<Server> = Vec::new();
        for number in 0..count {
            let known = (0..).map(ServerId).zip(servers.iter().map(Server::address));
            let config = ServerConfig {
                server: ServerId(number),
                bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
                peers: known.collect(),
                servers: (0..count).map(ServerId).collect(),
                registry: Registry::built_in(),
                credentials: authority.credentials(Role::Server),
                options: ServerOptions::default(),
            };
            servers.push(Server::start(config).unwrap());
        }
        Self { servers, authority }
    }

    /// Where clients find the servers.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.servers.iter().map(Server::address).collect()
    }

    /// Texts that a worker shows and believes: the authority, its certificate, its key.
    pub(crate) fn texts(&self) -> [String; 3] {
        let (certificate, key) = self.authority.issue(&Request::new(Role::Worker, "test"));
        [self.authority.pem(), certificate, key]
    }

    /// How a worker connects to servers at these addresses.
    pub(crate) fn config(&self, addresses: &[SocketAddr]) -> ClientConfig {
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let servers: Servers = addresses.join(",").parse().unwrap();
        let [authority, certificate, key] = self.texts();
        let config = ClientConfig::new(servers, Pem::texts(authority, certificate, key));
        config.connect_deadline(PATIENCE).wait_deadline(PATIENCE)
    }

    /// A client of these servers.
    pub(crate) fn client(&self) -> Client {
        Client::connect_blocking(self.config(&self.addresses())).unwrap()
    }
}
