//! Bulk over real sockets and over long, narrow and lossy roads: what once broke connections or
//! made them slow for good (`transport::settings` says why each setting is as it is).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "authority/mod.rs"]
mod authority;
#[path = "relay/mod.rs"]
mod relay;

use archipelago::embed::ThreadPark;
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::worker::{Park, RemoteWorker, WorkerOptions};
use archipelago::rules::Add;
use archipelago::spec::AckLevel;
use archipelago::time::Duration;
use archipelago::transport::{self, Role, Server, ServerStatus, WorkerConfig};
use archipelago::{Eventual, Hyper, Table, TablePolicy, TableSpec, Worker};
use authority::Authority;
use relay::{Relay, Road};

const MIB: usize = 1 << 20;
/// UDP payload of an Ethernet frame over IPv4.
const ETHERNET: usize = 1_472;

/// One server and a road to it.
struct Scene {
    authority: Authority,
    server: Server,
    relay: Option<Relay>,
}

impl Scene {
    fn new(road: Option<Road>) -> Self {
        let authority = Authority::new();
        let server = authority.serve(0);
        let relay = road.map(|road| Relay::start(server.address(), road, road, 7));
        Self { authority, server, relay }
    }

    /// A worker, and a table of so many bytes.
    fn join(&self, bytes: usize) -> (RemoteWorker, Table) {
        let address = self.relay.as_ref().map_or(self.server.address(), Relay::address);
        let config = WorkerConfig {
            servers: vec![(ServerId(0), address)],
            registry: Registry::built_in(),
            credentials: self.authority.credentials(Role::Worker),
            options: WorkerOptions::default(),
            connect_max: Duration::from_secs(30),
        };
        ThreadPark.block_on(async {
            let session = transport::connect(config).await.unwrap();
            let spec = TableSpec::dense("w", (bytes / size_of::<f32>()) as u64).rule(Add);
            let policy = TablePolicy::local(Eventual);
            let table = session.ensure_table(spec, policy, Hyper::default()).await.unwrap();
            let group = session.ensure_group("train", 1).await.unwrap();
            (session.join(group).await.unwrap(), table)
        })
    }

    fn status(&self) -> ServerStatus {
        ThreadPark.block_on(self.server.handle().status()).unwrap()
    }

    /// Pushes a table of that size once and pulls it once; everything arrives, over one connection.
    fn carry(&self, bytes: usize) -> ServerStatus {
        let (me, table) = self.join(bytes);
        let count = bytes / size_of::<f32>();
        let sent: Vec<_> = (0..count).map(|at| at as f32).collect();
        let mut found = vec![0.0_f32; count];
        ThreadPark.block_on(async {
            let stamp = me.push(&table, .., &sent).await.unwrap();
            me.wait(stamp, AckLevel::Admitted).await.unwrap();
            me.pull(&table, .., &mut found).await.unwrap();
        });
        assert!(sent == found, "what was pushed is pulled");
        let status = self.status();
        assert_eq!(status.handshakes.accepted, 1, "the connection was never made again");
        ThreadPark.block_on(me.finish()).unwrap();
        status
    }
}

#[test]
fn large_datagrams_survive_a_bulk_transfer() {
    let scene = Scene::new(None);
    let status = scene.carry(64 * MIB);
    let link = &status.links[0];
    assert!(link.datagram_bytes > 6_000, "datagrams have fallen to {} bytes", link.datagram_bytes);
}

/// 80 ms there and back, Ethernet's datagrams, a queue of as much as the road holds.
fn long_road(bits_per_second: u64, loss: f64) -> Road {
    Road {
        delay: Duration::from_millis(40),
        bits_per_second: Some(bits_per_second),
        queue_bytes: bits_per_second / 100,
        loss,
        datagram_bytes_max: ETHERNET,
    }
}

#[test]
fn a_long_road_keeps_its_connection_when_its_queue_overflows() {
    let scene = Scene::new(Some(long_road(200_000_000, 0.0)));
    let status = scene.carry(32 * MIB);
    assert!(status.links[0].round_trip >= Duration::from_millis(80));
    let (up, down) = scene.relay.as_ref().unwrap().counts();
    assert!(up.overflowed > 0 && down.overflowed > 0, "{up:?} {down:?}");
    assert!(up.too_large + down.too_large > 0, "the search for larger datagrams was answered");
}

#[test]
fn a_gigabit_over_80_ms_keeps_its_connection_when_packets_are_lost() {
    let scene = Scene::new(Some(long_road(1_000_000_000, 0.001)));
    scene.carry(8 * MIB);
    let (up, down) = scene.relay.as_ref().unwrap().counts();
    assert!(up.lost > 0 && down.lost > 0, "{up:?} {down:?}");
}
