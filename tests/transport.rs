//! Who may connect, and what the others hear of it: every refusal is told on both sides, at once,
//! and leaves those who are welcome alone.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "authority/mod.rs"]
mod authority;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Instant;

use archipelago::embed::ThreadPark;
use archipelago::error::{Error, TransportError};
use archipelago::id::{GroupId, ServerId};
use archipelago::node::server::ServerOptions;
use archipelago::node::worker::{Park, RemoteWorker, WorkerOptions};
use archipelago::node::{Plan, Registry};
use archipelago::time::Duration;
use archipelago::transport::{self, Credentials, Role, Server, ServerConfig, WorkerConfig};
use archipelago::{Eventual, Hyper, TablePolicy, TableSpec, Worker};
use authority::{Authority, Request};

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

fn plan(rows: u64) -> Plan {
    let spec = TableSpec::dense("w", rows);
    let tables = vec![(spec, TablePolicy::local(Eventual), Hyper::default())];
    Plan::new(&[ServerId(0)], tables, &[1], &Registry::built_in()).unwrap()
}

fn serve(credentials: Credentials) -> Server {
    let config = ServerConfig {
        server: ServerId(0),
        bind: SocketAddr::from((LOCALHOST, 0)),
        peers: Vec::new(),
        plan: plan(10),
        credentials,
        options: ServerOptions::default(),
    };
    Server::start(config).unwrap()
}

fn join(address: SocketAddr, credentials: Credentials, plan: Plan) -> Result<RemoteWorker, Error> {
    let config = WorkerConfig {
        servers: vec![(ServerId(0), address)],
        plan,
        group: GroupId(0),
        credentials,
        options: WorkerOptions { wait_max: Duration::from_secs(10), ..WorkerOptions::default() },
        connect_max: Duration::from_secs(10),
    };
    ThreadPark.block_on(transport::join(config))
}

/// Refused within two seconds, for a reason that says `word`; and a welcome worker still works.
fn refused(authority: &Authority, server: &Server, shown: Credentials, plan_of: Plan, word: &str) {
    let began = Instant::now();
    let error = join(server.address(), shown, plan_of).unwrap_err();
    assert!(began.elapsed() < Duration::from_secs(2), "{error} after {:?}", began.elapsed());
    let Error::Transport(TransportError::Refused { reason, .. }) = &error else {
        panic!("expected a refusal, found {error}");
    };
    assert!(reason.contains(word), "{word:?} in {reason:?}");
    welcome(authority, server);
}

fn welcome(authority: &Authority, server: &Server) {
    let me = join(server.address(), authority.credentials(Role::Worker), plan(10)).unwrap();
    ThreadPark.block_on(async {
        let table = plan(10).tables()[0].table.clone();
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

    refused(&authority, &server, issue(&revoked), plan(10), "Revoked");
    let expired = Request { expired: true, ..Request::new(Role::Worker, "test") };
    refused(&authority, &server, issue(&expired), plan(10), "expired");
    let stranger = other.credentials_for(&Request::new(Role::Worker, "test"), &authority.pem());
    refused(&authority, &server, stranger, plan(10), "UnknownIssuer");
    let elsewhere = issue(&Request::new(Role::Worker, "paris"));
    refused(&authority, &server, elsewhere, plan(10), "paris");
    refused(&authority, &server, authority.credentials(Role::Worker), plan(11), "plans differ");
    let mut named = Request::new(Role::Worker, "test");
    named.names[0] = "operator.role.archipelago".into();
    // Its own side finds out first, before anything is sent.
    let error = join(server.address(), issue(&named), plan(10)).unwrap_err();
    assert!(error.to_string().contains("a certificate of role worker"), "{error}");
    welcome(&authority, &server);
}

#[test]
fn a_worker_refuses_a_server_that_is_none() {
    let (authority, other) = (Authority::new(), Authority::new());
    // A server of another authority that believes ours.
    let request = Request::new(Role::Server, "test");
    let server = serve(other.credentials_for(&request, &authority.pem()));
    let error = join(server.address(), authority.credentials(Role::Worker), plan(10)).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Refused { .. })), "{error}");
}

#[test]
fn nobody_at_the_address_is_told_in_time() {
    let authority = Authority::new();
    let silent = UdpSocket::bind((LOCALHOST, 0)).unwrap();
    let config = WorkerConfig {
        servers: vec![(ServerId(0), silent.local_addr().unwrap())],
        plan: plan(10),
        group: GroupId(0),
        credentials: authority.credentials(Role::Worker),
        options: WorkerOptions::default(),
        connect_max: Duration::from_millis(300),
    };
    let error = ThreadPark.block_on(transport::join(config)).unwrap_err();
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
            plan: plan(10),
            credentials: authority.credentials(role),
            options: ServerOptions::default(),
        })
    };
    let error = start(taken.local_addr().unwrap(), Role::Server).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Bind { .. })), "{error}");
    let error = start(SocketAddr::from((LOCALHOST, 0)), Role::Worker).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Identity { .. })), "{error}");
}
