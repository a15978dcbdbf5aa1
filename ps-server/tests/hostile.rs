//! Peers that read slowly or never, say nothing, or say what no honest peer says: a server's memory
//! stays bounded, they hear why they were cut, and a worker beside them goes on.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/mod.rs"]
mod process;
#[path = "../../tests/stranger/mod.rs"]
mod stranger;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use archipelago::embed::ThreadPark;
use archipelago::id::{
    GroupId, Incarnation, Origin, Rank, Sequence, ServerId, SlotIndex, TableId, Tick,
};
use archipelago::node::Registry;
use archipelago::node::worker::{Park, RemoteWorker, Session, WorkerOptions};
use archipelago::os::Clock;
use archipelago::placement::SlotGrid;
use archipelago::spec::AckLevel;
use archipelago::time::Instant;
use archipelago::transport::{self, Credentials, WorkerConfig};
use archipelago::wire::{Header, Message, PullRows};
use archipelago::{Eventual, Hyper, Table, TablePolicy, TableSpec, Worker, limits};
use process::{Served, authority, issue, page, text};
use quinn::{Connection, Endpoint, SendStream};
use stranger::{Shown, Strangers, connect, endpoint, greet, hear, say, shown_out, stream};

const MIB: u64 = 1 << 20;
/// What a server may need for everything that is not its peers': code, its tables, TLS.
const BASE_BYTES: u64 = 200 * MIB;
/// Far above what a step takes on a busy machine, far below what a stuck one would take.
const STEP_MAX: Duration = Duration::from_secs(5);

/// A server, a worker that trains on it, and what a stranger with a good certificate shows.
struct Scene {
    _folder: tempfile::TempDir,
    server: Served,
    metrics: String,
    operator: Session,
    worker: RemoteWorker,
    table: Table,
    shown: Shown,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority(folder.path());
        let root = text(Path::new(&ca).join("ca.pem"));
        let [certificate, key] = issue(&ca, "server", "server", folder.path());
        let shown = ["--ca", &root, "--certificate", &certificate, "--key", &key];
        let places = ["--bind", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--log", "error"];
        let mut server = Served::start(&[&shown[..], &places].concat());
        let metrics = server.metrics();
        let pair = |role| {
            issue(&ca, role, role, folder.path()).map(|path| std::fs::read_to_string(path).unwrap())
        };
        let (authority, worker) = (std::fs::read_to_string(&root).unwrap(), pair("worker"));
        let operator = session(server.address, &authority, &pair("operator"));
        let session = session(server.address, &authority, &worker);
        let (worker_node, table) = ThreadPark.block_on(async {
            let spec = TableSpec::dense("w", 1024);
            let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::default());
            let table = session.ensure_table(spec, policy, hyper).await.unwrap();
            let group = session.ensure_group("train", 1).await.unwrap();
            (session.join(group).await.unwrap(), table)
        });
        let shown = Shown { authority, pair: Some(worker) };
        Self { _folder: folder, server, metrics, operator, worker: worker_node, table, shown }
    }

    /// Steps of the worker for as long as `lasting` says: how many a second. Each pushes, waits and
    /// pulls, and none takes long.
    fn steps_while(&self, mut lasting: impl FnMut(Duration) -> bool) -> f64 {
        let clock = Clock::start();
        let (mut values, mut steps, mut began) = ([0.0_f32; 1024], 0, clock.now());
        loop {
            ThreadPark.block_on(async {
                let stamp = self.worker.push(&self.table, .., &[1.0_f32; 1024]).await.unwrap();
                self.worker.wait(stamp, AckLevel::Admitted).await.unwrap();
                self.worker.pull(&self.table, .., &mut values).await.unwrap();
            });
            let (ended, step) = (clock.now(), clock.now().since(began));
            assert!(step < STEP_MAX, "a step took {step:?}");
            (steps, began) = (steps + 1, ended);
            let elapsed = ended.since(Instant::EPOCH);
            if !lasting(elapsed) {
                return f64::from(steps) / elapsed.as_secs_f64();
            }
        }
    }

    fn unharmed(&self) -> f64 {
        self.steps_while(|elapsed| elapsed < Duration::from_millis(500))
    }

    /// Handshakes that the server has begun.
    fn handshakes(&self) -> f64 {
        let page = page(&self.metrics, "/metrics");
        let sample = "archipelago_handshakes_total{outcome=\"accepted\"} ";
        page.lines().find_map(|line| line.strip_prefix(sample)).unwrap().parse().unwrap()
    }

    /// The most memory that the server has held, once that has not grown for a second.
    fn memory_peak(&self) -> u64 {
        let (mut peak, mut since) = (0, Duration::ZERO);
        self.steps_while(|elapsed| {
            let now = self.server.memory_peak();
            if now > peak {
                (peak, since) = (now, elapsed);
            }
            elapsed < since + Duration::from_secs(1)
        });
        peak
    }
}

fn session(server: SocketAddr, authority: &str, [certificate, key]: &[String; 2]) -> Session {
    let [ca, certificate, key] = [authority, certificate, key].map(str::as_bytes);
    let config = WorkerConfig {
        servers: vec![(ServerId(0), server)],
        registry: Registry::built_in(),
        credentials: Credentials::from_pem(ca, certificate, key).unwrap(),
        options: WorkerOptions::default(),
        connect_max: Duration::from_secs(20),
    };
    ThreadPark.block_on(transport::connect(config)).unwrap()
}

/// A worker that has joined, and asks for as many blocks as its window holds, over and over.
async fn ask_for_everything(
    connection: Connection,
    group: GroupId,
    table: (TableId, SlotGrid),
) -> (Connection, Vec<SendStream>) {
    let token = u64::from(group.0);
    let (mut control, mut answers) = greet(&connection, token).await;
    say(&mut control, &Message::Join { group, token }).await;
    let Message::Joined { result: Ok(grant), .. } = hear(&mut answers).await else {
        unreachable!("there is a place");
    };
    let mut data = stream(&connection, (token, 1)).await;
    let (table, grid) = table;
    for number in 0..limits::INFLIGHT_MAX as u64 {
        let slot = grid.slots().nth(number as usize % grid.slots().count()).unwrap();
        let rows = PullRows::Block(grid.range(slot).unwrap());
        let (sequence, settled_below) = (Sequence(number + 1), Sequence(1));
        let header = Header { origin: grant.origin, sequence, settled_below, tick: Tick(1) };
        say(&mut data, &Message::Pull { table, header, slot, own: None, rows }).await;
    }
    (connection, vec![control, data])
}

#[test]
#[cfg(target_os = "linux")]
fn those_who_ask_for_much_and_never_read_cost_their_share() {
    const READERS: usize = 24;
    let scene = Scene::new();
    let (wide, groups) = ThreadPark.block_on(async {
        // One block a slot, 256 KiB: all that one reader asks for is 256 MiB.
        let spec = TableSpec::dense("wide", 16 << 20);
        let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::default());
        let wide = scene.operator.ensure_table(spec, policy, hyper).await.unwrap();
        let mut groups = Vec::new();
        for reader in 0..READERS {
            groups.push(scene.operator.ensure_group(&format!("reader {reader}"), 1).await.unwrap());
        }
        (wide, groups)
    });
    let (address, shown) = (scene.server.address, scene.shown.clone());
    let table = (wide.id(), SlotGrid::new(wide.spec()));
    let strangers = Strangers::start(async move || {
        let mut kept = Vec::new();
        for group in groups {
            let endpoint = endpoint(&shown);
            let connection = connect(&endpoint, address).await;
            kept.push((endpoint, ask_for_everything(connection, group, table).await));
        }
        kept
    });
    let held = scene.memory_peak();
    // So many have 8 MiB each of what waits, and of what is sent and not acknowledged.
    let bound = BASE_BYTES + (READERS * limits::PEER_SHARE_BYTES_MAX) as u64;
    assert!(bound < limits::PEERS_BYTES_MAX as u64);
    assert!(held < bound, "{} MiB held, at most {} MiB", held / MIB, bound / MIB);
    drop(strangers);
    scene.unharmed();
}

#[test]
fn those_who_say_nothing_are_shown_out_and_those_who_say_too_little_cost_nobody_anything() {
    let scene = Scene::new();
    let (address, shown) = (scene.server.address, scene.shown.clone());
    stranger::run(async {
        let endpoint = endpoint(&shown);
        // TLS, and not a word.
        let silent = connect(&endpoint, address).await;
        // A hello, then streams without a name, and a frame without its end.
        let idle = connect(&endpoint, address).await;
        let _control = greet(&idle, 1).await;
        let mut streams = Vec::new();
        for _ in 0..7 {
            streams.push(idle.open_uni().await.unwrap());
        }
        let mut half = stream(&idle, (1, 1)).await;
        let mut frame = Vec::new();
        let message = Message::Join { group: GroupId(0), token: 1 };
        archipelago::wire::encode(&message, &mut frame).unwrap();
        half.write_all(&frame[..frame.len() - 1]).await.unwrap();
        shown_out(&silent, "no hello").await;
        assert!(idle.close_reason().is_none(), "who has said hello may take its time");
        drop((endpoint, streams));
    });
    scene.unharmed();
}

#[test]
fn what_no_honest_peer_says_costs_its_connection_and_is_told() {
    let scene = Scene::new();
    let (address, shown) = (scene.server.address, scene.shown.clone());
    stranger::run(async {
        let endpoint = endpoint(&shown);
        for (token, (bytes, words)) in (0..).zip(broken()) {
            let connection = connect(&endpoint, address).await;
            let _control = greet(&connection, token).await;
            let mut sender = stream(&connection, (token, 1)).await;
            sender.write_all(&bytes).await.unwrap();
            if bytes.is_empty() {
                sender.finish().unwrap();
            }
            shown_out(&connection, words).await;
        }
        // A pull where control is.
        let connection = connect(&endpoint, address).await;
        let (mut control, _answers) = greet(&connection, 97).await;
        let (header, slot, own) = (HEADER, SlotIndex(0), None);
        let rows = PullRows::Keys(Vec::new());
        say(&mut control, &Message::Pull { table: TableId(0), header, slot, own, rows }).await;
        shown_out(&connection, "on the stream of control").await;
        // A stream that is given up.
        let connection = connect(&endpoint, address).await;
        let _control = greet(&connection, 98).await;
        let mut sender = stream(&connection, (98, 1)).await;
        sender.write_all(b"x").await.unwrap();
        sender.reset(7_u32.into()).unwrap();
        shown_out(&connection, "reset of a stream").await;
        // A stream of a number that there is not.
        let connection = connect(&endpoint, address).await;
        let _control = greet(&connection, 99).await;
        let _sender = stream(&connection, (99, 200)).await;
        shown_out(&connection, "stream").await;
    });
    scene.unharmed();
}

const HEADER: Header = Header {
    origin: Origin { group: GroupId(0), rank: Rank(0), incarnation: Incarnation(1) },
    sequence: Sequence(1),
    settled_below: Sequence(1),
    tick: Tick(1),
};

/// What is said on a data stream, and what the reason has to name.
fn broken() -> Vec<(Vec<u8>, &'static str)> {
    let mut frame = Vec::new();
    let message = Message::Join { group: GroupId(0), token: 1 };
    archipelago::wire::encode(&message, &mut frame).unwrap();
    let with = |at: usize, byte: u8| {
        let mut bytes = frame.clone();
        bytes[at] = byte;
        bytes
    };
    vec![
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), "magic"),
        // The highest byte of the length.
        (with(7, 0xff), "above the limit"),
        (with(frame.len() - 1, 0xff), "checksum"),
        // A stream that ends while its connection goes on.
        (Vec::new(), "end of a stream"),
    ]
}

#[test]
#[cfg(target_os = "linux")]
fn a_flood_of_calls_leaves_those_who_are_connected_alone() {
    let scene = Scene::new();
    let (address, authority) = (scene.server.address, scene.shown.authority.clone());
    let (clock, begun) = (Clock::start(), scene.handshakes());
    let strangers = Strangers::start(async move || {
        // Without a certificate: every call costs the server a handshake, and ends refused.
        let endpoint = endpoint(&Shown { authority, pair: None });
        drop(tokio::spawn(flood(endpoint, address)));
    });
    scene.steps_while(|elapsed| elapsed < Duration::from_secs(3));
    let (begun, lasted) = (scene.handshakes() - begun, clock.now().since(Instant::EPOCH));
    // A burst, and then as many a second: without bounds a thousand a second were begun, and the
    // worker had a twentieth of its steps.
    let most = f64::from(limits::HANDSHAKES_PER_SECOND_MAX) * (1.0 + lasted.as_secs_f64());
    assert!(begun <= most + 1.0, "{begun} handshakes in {lasted:?}");
    assert!(begun > f64::from(limits::HANDSHAKES_PER_SECOND_MAX), "{begun} are no flood");
    // Who comes in the middle of it comes in, too.
    let pair = scene.shown.pair.clone().unwrap();
    drop(session(address, &scene.shown.authority, &pair));
    let held = scene.server.memory_peak();
    assert!(held < 2 * BASE_BYTES, "{} MiB held", held / MIB);
    drop(strangers);
    scene.unharmed();
}

/// Calls as fast as they go, 512 at a time, for five seconds.
async fn flood(endpoint: Endpoint, address: SocketAddr) {
    for _ in 0..100 {
        let calls: Vec<_> = (0..512)
            .map(|_| endpoint.connect(address, "server.role.archipelago").unwrap())
            .collect();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(calls);
    }
}
