//! What the nodes of a process have in common, and what not: one connection to each server, and
//! links that end alone.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "authority/mod.rs"]
mod authority;
#[path = "stranger/mod.rs"]
mod stranger;

use std::collections::BTreeSet;

use archipelago::embed::ThreadPark;
use archipelago::id::{GroupId, Sequence, ServerId, TableId, Tick};
use archipelago::node::worker::{Park, WorkerOptions};
use archipelago::node::{Peer, Registry};
use archipelago::os::Clock;
use archipelago::placement::SlotGrid;
use archipelago::time::{Duration, Instant};
use archipelago::transport::{LinkStatus, Role, Server, ServerStatus, WorkerConfig, WorkerProcess};
use archipelago::wire::{Header, Message, PullRows};
use archipelago::{Bsp, Eventual, Hyper, Table, TablePolicy, TableSpec, Worker, limits};
use authority::{Authority, Request};
use quinn::{Connection, RecvStream, SendStream, TransportConfig};
use stranger::{Shown, connect, endpoint, greet, hear, say, shown_out, stream};

/// A server, and those who may connect to it.
struct Scene {
    authority: Authority,
    server: Server,
}

impl Scene {
    fn new() -> Self {
        let authority = Authority::new();
        let server = authority.serve(0);
        Self { authority, server }
    }

    fn process(&self) -> WorkerProcess {
        let config = WorkerConfig {
            servers: vec![(ServerId(0), self.server.address())],
            registry: Registry::built_in(),
            credentials: self.authority.credentials(Role::Worker),
            options: WorkerOptions::default(),
            connect_max: Duration::from_secs(20),
        };
        WorkerProcess::start(config).unwrap()
    }

    fn status(&self) -> ServerStatus {
        ThreadPark.block_on(self.server.handle().status()).unwrap()
    }

    /// The server's links, once there are so many; not in vain for long.
    fn links_become(&self, count: usize) -> Vec<LinkStatus> {
        stranger::run(self.links_will_be(|links| links.len() == count))
    }

    /// The same for those who have a runtime.
    async fn links_will_be(&self, wanted: impl Fn(&[LinkStatus]) -> bool) -> Vec<LinkStatus> {
        let clock = Clock::start();
        loop {
            let links = self.server.handle().status().await.unwrap().links;
            if wanted(&links) {
                return links;
            }
            let waited = clock.now().since(Instant::EPOCH);
            assert!(waited < Duration::from_secs(10), "{links:?}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What a stranger of role worker shows.
    fn shown(&self) -> Shown {
        let (certificate, key) = self.authority.issue(&Request::new(Role::Worker, "test"));
        Shown { authority: self.authority.pem(), pair: Some([certificate, key]) }
    }
}

fn connections(links: &[LinkStatus]) -> usize {
    links.iter().map(|link| link.connection).collect::<BTreeSet<_>>().len()
}

#[test]
fn workers_of_a_process_share_a_connection_and_end_alone() {
    let scene = Scene::new();
    let process = scene.process();
    ThreadPark.block_on(async {
        let first = process.session().await.unwrap();
        let (policy, hyper) = (TablePolicy::local(Bsp), Hyper::default());
        let table = first.ensure_table(TableSpec::dense("w", 4), policy, hyper).await.unwrap();
        let group = first.ensure_group("train", 3).await.unwrap();
        let mut members = vec![first.join(group).await.unwrap()];
        for _ in 1..3 {
            let session = process.session().await.unwrap();
            session.tables().await.unwrap();
            members.push(session.join(group).await.unwrap());
        }
        let status = scene.status();
        assert_eq!((status.links.len(), connections(&status.links)), (3, 1));
        let (of_link, of_all) = (status.links[0].traffic, status.traffic.workers);
        assert!(of_all.received_bytes < 2 * of_link.received_bytes, "{of_link:?} {of_all:?}");
        // One is dropped without finish: the others do not wait for its silence to last.
        drop(members.pop());
        let clock = Clock::start();
        for me in &members {
            me.push(&table, .., &[1.0_f32; 4]).await.unwrap();
            me.tick().await.unwrap();
        }
        let mut x = [0.0_f32; 4];
        for me in members {
            me.pull(&table, .., &mut x).await.unwrap();
            assert_eq!(x, [2.0; 4]);
            me.finish().await.unwrap();
        }
        let waited = clock.now().since(Instant::EPOCH);
        assert!(waited < limits::WORKER_SILENCE_MAX / 2, "{waited:?}");
    });
    scene.links_become(0);
    let carried = ThreadPark.block_on(process.ended());
    assert!(carried.sent_bytes > 0 && carried.control_bytes > 0 && carried.data_bytes > 0);
}

#[test]
fn a_process_with_more_workers_than_a_connection_carries_has_another_connection() {
    let scene = Scene::new();
    let process = scene.process();
    let many = limits::CONNECTION_LINKS_MAX + 1;
    let sessions: Vec<_> =
        (0..many).map(|_| ThreadPark.block_on(process.session()).unwrap()).collect();
    let links = scene.links_become(many);
    assert_eq!(connections(&links), 2);
    drop(sessions);
    scene.links_become(0);
}

#[test]
fn a_connection_that_nobody_uses_is_closed_and_made_again_for_the_next() {
    let scene = Scene::new();
    let process = scene.process();
    let first = ThreadPark.block_on(process.session()).unwrap();
    drop(first);
    scene.links_become(0);
    ThreadPark.block_on(async {
        // Soon after, the connection is still there.
        let second = process.session().await.unwrap();
        second.tables().await.unwrap();
    });
    scene.links_become(0);
    let unused = limits::HANDSHAKE_MAX + Duration::from_secs(1);
    stranger::run(async { tokio::time::sleep(unused).await });
    let third = ThreadPark.block_on(process.session()).unwrap();
    ThreadPark.block_on(third.tables()).unwrap();
    let status = scene.status();
    assert_eq!((status.links.len(), status.handshakes.accepted), (1, 2));
}

/// A worker that has joined and asked for more than its share, and reads nothing of it.
async fn full(
    connection: &Connection,
    group: GroupId,
    table: &Table,
) -> (SendStream, RecvStream, SendStream) {
    let token = u64::from(group.0) + 1;
    let (mut control, mut answers) = greet(connection, token).await;
    say(&mut control, &Message::Join { group, token }).await;
    let Message::Joined { result: Ok(grant), .. } = hear(&mut answers).await else {
        panic!("there is a place");
    };
    let mut data = stream(connection, (token, 1)).await;
    let grid = SlotGrid::new(table.spec());
    for number in 0..limits::INFLIGHT_MAX as u64 {
        let slot = grid.slots().nth(number as usize % grid.slots().count()).unwrap();
        let rows = PullRows::Block(grid.range(slot).unwrap());
        let (sequence, settled_below) = (Sequence(number + 1), Sequence(1));
        let header = Header { origin: grant.origin, sequence, settled_below, tick: Tick(1) };
        let table = table.id();
        say(&mut data, &Message::Pull { table, header, slot, own: None, rows }).await;
    }
    (control, answers, data)
}

#[test]
fn a_worker_that_goes_while_it_is_full_leaves_nothing_behind() {
    let scene = Scene::new();
    let process = scene.process();
    let session = ThreadPark.block_on(process.session()).unwrap();
    let (wide, group) = ThreadPark.block_on(async {
        let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::default());
        let spec = TableSpec::dense("wide", 16 << 20);
        let wide = session.ensure_table(spec, policy, hyper).await.unwrap();
        (wide, session.ensure_group("reader", 1).await.unwrap())
    });
    let (shown, address) = (scene.shown(), scene.server.address());
    stranger::run(async {
        let endpoint = endpoint(&shown);
        let connection = connect(&endpoint, address).await;
        let (mut control, _answers, mut data) = full(&connection, group, &wide).await;
        let most = limits::PEER_SHARE_BYTES_MAX / 2;
        scene.links_will_be(|links| links.iter().any(|link| link.queued_bytes > most)).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        // Even its control is held back by now: what it asks for may be large.
        let list = Message::ListTables { request: 1, from: TableId(0) };
        say(&mut control, &list).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
        for sender in [&mut control, &mut data] {
            sender.reset(GONE.into()).unwrap();
        }
        // The worker of the session, and nobody else.
        let left = scene.links_will_be(|links| links.len() == 1).await;
        assert!(matches!(left[0].peer, Peer::Worker(_)) && left[0].queued_bytes < most);
        assert!(connection.close_reason().is_none(), "the connection goes on");
        // So another link on it is served.
        let (mut control, mut answers) = greet(&connection, 99).await;
        say(&mut control, &list).await;
        assert!(matches!(hear(&mut answers).await, Message::Tables { .. }));
    });
}

#[test]
fn links_are_told_apart_and_bounded() {
    let scene = Scene::new();
    let (shown, address) = (scene.shown(), scene.server.address());
    stranger::run(async {
        let endpoint = endpoint(&shown);
        // A stream of a link that there is not.
        let connection = connect(&endpoint, address).await;
        let _control = greet(&connection, 1).await;
        let _stray = stream(&connection, (2, 1)).await;
        shown_out(&connection, "link of a stream").await;
        // Two streams of data of one number: each could hold a frame that does not end.
        let connection = connect(&endpoint, address).await;
        let _control = greet(&connection, 1).await;
        let _twice = [stream(&connection, (1, 1)).await, stream(&connection, (1, 1)).await];
        shown_out(&connection, "second stream of one number").await;
        // Two streams of control of one link.
        let connection = connect(&endpoint, address).await;
        let _control = greet(&connection, 1).await;
        let _again = stream(&connection, (1, 0)).await;
        shown_out(&connection, "second stream of one number").await;
        // Streams for a link that has ended, as many as may have been under way, and one more.
        let connection = connect(&endpoint, address).await;
        let (mut control, _answers) = greet(&connection, 1).await;
        control.reset(GONE.into()).unwrap();
        scene.links_will_be(<[_]>::is_empty).await;
        for _ in 0..=archipelago::node::DATA_STREAMS {
            drop(stream(&connection, (1, 1)).await);
        }
        let _control = greet(&connection, 2).await;
        drop(stream(&connection, (1, 1)).await);
        shown_out(&connection, "link of a stream").await;
    });
}

#[test]
fn who_grants_no_streams_is_shown_out() {
    let scene = Scene::new();
    let (shown, address) = (scene.shown(), scene.server.address());
    stranger::run(async {
        let endpoint = endpoint(&shown);
        let mut grants_none = TransportConfig::default();
        grants_none.max_concurrent_uni_streams(0_u32.into());
        let connection = stranger::connect_by(&endpoint, address, &shown, grants_none).await;
        let _said = stranger::hello(&connection, 1).await;
        shown_out(&connection, "no room for the answer").await;
    });
}

/// The code of a worker that has not finished.
const GONE: u32 = 1;
