//! Who may connect, and what the others hear of it: every refusal is told on both sides, at once,
//! and leaves those who are welcome alone.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![expect(clippy::disallowed_methods, reason = "how long a refusal takes is real time")]

#[path = "authority/mod.rs"]
mod authority;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use archipelago::embed::ThreadPark;
use archipelago::error::{Error, GroupError, TransportError};
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::server::ServerOptions;
use archipelago::node::worker::{Park, Session, WorkerOptions};
use archipelago::time::Duration;
use archipelago::transport::{self, Credentials, Role, Server, ServerConfig, WorkerConfig};
use archipelago::{Eventual, Hyper, TablePolicy, TableSpec, Worker};
use authority::{Authority, Request};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn serve(credentials: Credentials) -> Server {
    let config = ServerConfig {
        server: ServerId(0),
        bind: SocketAddr::from((LOCALHOST, 0)),
        peers: Vec::new(),
        servers: vec![ServerId(0)],
        registry: Registry::built_in(),
        credentials,
        options: ServerOptions::default(),
    };
    Server::start(config).unwrap()
}

fn connect(servers: &[(u32, SocketAddr)], credentials: Credentials) -> Result<Session, Error> {
    let servers = servers.iter().map(|(server, address)| (ServerId(*server), *address)).collect();
    let config = WorkerConfig {
        servers,
        registry: Registry::built_in(),
        credentials,
        options: WorkerOptions { wait_max: Duration::from_secs(10), ..WorkerOptions::default() },
        connect_max: Duration::from_secs(10),
    };
    ThreadPark.block_on(transport::connect(config))
}

/// Refused within two seconds, for a reason that says `word`; and a welcome worker still works.
fn refused(authority: &Authority, server: &Server, shown: Credentials, as_number: u32, word: &str) {
    let began = Instant::now();
    let error = connect(&[(as_number, server.address())], shown).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2), "{error} after {:?}", began.elapsed());
    let Error::Transport(TransportError::Refused { reason, .. }) = &error else {
        panic!("expected a refusal, found {error}");
    };
    assert!(reason.contains(word), "{word:?} in {reason:?}");
    welcome(authority, server);
}

fn welcome(authority: &Authority, server: &Server) {
    let credentials = authority.credentials(Role::Worker);
    let session = connect(&[(0, server.address())], credentials).unwrap();
    ThreadPark.block_on(async {
        let spec = TableSpec::dense("w", 10);
        let policy = TablePolicy::local(Eventual);
        let table = session.ensure_table(spec, policy, Hyper::default()).await.unwrap();
        let group = session.ensure_group("train", 1).await.unwrap();
        let me = session.join(group).await.unwrap();
        me.push(&table, .., &[1.0_f32; 10]).await.unwrap();
        let mut x = [0.0_f32; 10];
        me.pull(&table, .., &mut x).await.unwrap();
        assert!(x[9] >= 1.0);
        me.finish().await.unwrap();
    });
}

#[test]
fn strangers_are_refused_with_the_reason_and_others_are_not_harmed() {
    let (authority, other) = (Authority::new(), Authority::new());
    let revoked = Request { serial: 7, ..Request::new(Role::Worker, "test") };
    let server = authority.credentials(Role::Server);
    let server = serve(server.revoke(authority.revoke(7).as_bytes()).unwrap());
    let issue = |request: &Request| authority.credentials_for(request, &authority.pem());

    refused(&authority, &server, issue(&revoked), 0, "Revoked");
    let expired = Request { expired: true, ..Request::new(Role::Worker, "test") };
    refused(&authority, &server, issue(&expired), 0, "expired");
    let stranger = other.credentials_for(&Request::new(Role::Worker, "test"), &authority.pem());
    refused(&authority, &server, stranger, 0, "invalid peer certificate");
    let elsewhere = issue(&Request::new(Role::Worker, "paris"));
    refused(&authority, &server, elsewhere, 0, "paris");
    refused(&authority, &server, authority.credentials(Role::Worker), 7, "lists of servers differ");
    let mut named = Request::new(Role::Worker, "test");
    named.names[0] = "manager.role.archipelago".into();
    // Its own side finds out first, before anything is sent.
    let error = connect(&[(0, server.address())], issue(&named)).unwrap_err();
    assert!(error.to_string().contains("a certificate of role worker"), "{error}");
    welcome(&authority, &server);
}

#[test]
fn an_operator_creates_what_workers_find_and_does_not_join() {
    let authority = Authority::new();
    let server = serve(authority.credentials(Role::Server));
    let session = connect(&[(0, server.address())], authority.credentials(Role::Operator)).unwrap();
    ThreadPark.block_on(async {
        let policy = TablePolicy::local(Eventual);
        let spec = TableSpec::dense("w", 10);
        session.ensure_table(spec, policy, Hyper::default()).await.unwrap();
        let group = session.ensure_group("train", 1).await.unwrap();
        assert_eq!(session.tables().await.unwrap()[0].name(), "w");
        let error = session.join(group).await.unwrap_err();
        assert!(matches!(error, Error::Group(GroupError::NotWorker)), "{error}");
    });
    welcome(&authority, &server);
}

#[test]
fn a_worker_refuses_a_server_that_is_none() {
    let (authority, other) = (Authority::new(), Authority::new());
    // A server of another authority that believes ours.
    let request = Request::new(Role::Server, "test");
    let server = serve(other.credentials_for(&request, &authority.pem()));
    let error = connect(&[(0, server.address())], authority.credentials(Role::Worker)).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Refused { .. })), "{error}");
}

#[test]
fn nobody_at_the_address_is_told_in_time() {
    let authority = Authority::new();
    let silent = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    let config = WorkerConfig {
        servers: vec![(ServerId(0), silent.local_addr().unwrap())],
        registry: Registry::built_in(),
        credentials: authority.credentials(Role::Worker),
        options: WorkerOptions::default(),
        connect_max: Duration::from_millis(300),
    };
    let error = ThreadPark.block_on(transport::connect(config)).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Unreachable { .. })), "{error}");
}

#[test]
fn an_address_in_use_and_a_wrong_role_are_told_at_start() {
    let authority = Authority::new();
    let taken = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    let start = |bind, role| {
        Server::start(ServerConfig {
            server: ServerId(0),
            bind,
            peers: Vec::new(),
            servers: vec![ServerId(0)],
            registry: Registry::built_in(),
            credentials: authority.credentials(role),
            options: ServerOptions::default(),
        })
    };
    let error = start(taken.local_addr().unwrap(), Role::Server).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Bind { .. })), "{error}");
    let error = start(SocketAddr::from((LOCALHOST, 0)), Role::Worker).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Identity { .. })), "{error}");
}
