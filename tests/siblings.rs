//! Workers of one process share a connection, and no worker's fate: what happens to one that comes,
//! goes or fails leaves the others where they are.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "authority/mod.rs"]
mod authority;
#[path = "relay/mod.rs"]
mod relay;
#[path = "stranger/mod.rs"]
mod stranger;

use std::net::SocketAddr;
use std::thread;

use archipelago::embed::ThreadPark;
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::worker::{Park, WorkerOptions};
use archipelago::time::Duration;
use archipelago::transport::{Credentials, Role, Server, WorkerConfig, WorkerProcess};
use archipelago::{Eventual, Hyper, TablePolicy, TableSpec};
use authority::{Authority, Request};
use relay::{Relay, Road};

fn process(address: SocketAddr, credentials: Credentials) -> WorkerProcess {
    let config = WorkerConfig {
        servers: vec![(ServerId(0), address)],
        registry: Registry::built_in(),
        credentials,
        options: WorkerOptions { wait_max: Duration::from_secs(8), ..WorkerOptions::default() },
        connect_max: Duration::from_secs(12),
    };
    WorkerProcess::start(config).unwrap()
}

fn table() -> (TableSpec, TablePolicy, Hyper) {
    (TableSpec::dense("w", 4), TablePolicy::local(Eventual), Hyper::default())
}

async fn sleep(duration: Duration) {
    tokio::time::sleep(duration).await;
}

/// The server's links by connection, ascending.
async fn connections(server: &Server) -> Vec<usize> {
    let links = server.handle().status().await.unwrap().links;
    let mut connections: Vec<_> = links.iter().map(|link| link.connection).collect();
    connections.sort_unstable();
    connections
}

#[test]
fn who_comes_with_a_new_certificate_leaves_those_of_the_old_one_alone() {
    let authority = Authority::new();
    let server = authority.serve(0);
    let lasts = Some(Duration::from_secs(3));
    let short = Request { lasts, ..Request::new(Role::Worker, "test") };
    let short = authority.credentials_for(&short, &authority.pem());
    let process = process(server.address(), short);
    stranger::run(async {
        let first = process.session().await.unwrap();
        sleep(Duration::from_secs(4)).await;
        first.tables().await.expect("a connection outlives its certificate");
        let before = connections(&server).await;
        // Who comes by the old certificate is refused, alone.
        let refused = async { process.session().await?.tables().await };
        assert!(refused.await.is_err());
        first.tables().await.unwrap();
        process.renew(&authority.credentials(Role::Worker)).unwrap();
        let second = process.session().await.unwrap();
        second.tables().await.unwrap();
        first.tables().await.unwrap();
        let after = connections(&server).await;
        assert!(after.len() == 2 && after[0] != after[1] && after.contains(&before[0]));
    });
}

#[test]
fn who_gives_up_while_saying_hello_cuts_nobody() {
    let authority = Authority::new();
    let server = authority.serve(0);
    let slow = Road { delay: Duration::from_millis(100), ..Road::FREE };
    let relay = Relay::start(server.address(), slow, slow, 1);
    let process = process(relay.address(), authority.credentials(Role::Worker));
    stranger::run(async {
        let first = process.session().await.unwrap();
        let before = connections(&server).await;
        for _ in 0..3 {
            let given_up = tokio::time::timeout(Duration::from_millis(50), process.session()).await;
            assert!(given_up.is_err(), "the way takes longer");
            sleep(Duration::from_millis(20)).await;
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(connections(&server).await, before);
        // A hello that is not heard in time is said again.
        relay.cut();
        let heal = async {
            sleep(Duration::from_millis(5_500)).await;
            relay.heal();
        };
        let (second, ()) = tokio::join!(process.session(), heal);
        second.unwrap().tables().await.unwrap();
        first.tables().await.unwrap();
        assert!(connections(&server).await.contains(&before[0]));
    });
}

#[test]
fn who_has_lost_its_tables_keeps_nobody_from_beginning_anew() {
    let authority = Authority::new();
    let server = authority.serve(0);
    let address = server.address();
    let process = process(address, authority.credentials(Role::Worker));
    stranger::run(async {
        let first = process.session().await.unwrap();
        let (spec, policy, hyper) = table();
        first.ensure_table(spec, policy, hyper).await.unwrap();
        server.stop();
        // Where blocking is allowed.
        let server =
            thread::scope(|scope| scope.spawn(|| authority.serve(address.port())).join().unwrap());
        let second = process.session().await.unwrap();
        let error = loop {
            if let Err(error) = first.tables().await {
                break error.to_string();
            }
        };
        assert!(error.contains("was started again"), "{error}");
        second.tables().await.unwrap();
        let before = connections(&server).await;
        // The first one tries again and again.
        sleep(Duration::from_secs(2)).await;
        second.tables().await.unwrap();
        assert_eq!(connections(&server).await, before);
        drop(first);
    });
    ThreadPark.block_on(process.ended());
}
