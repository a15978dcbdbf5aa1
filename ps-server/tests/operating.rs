//! What an operator sees and does: who is slow, what everybody waits for, tables from the command
//! line, and a server that lacks what a table needs.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "page/mod.rs"]
mod page;
#[path = "process/mod.rs"]
mod process;

use std::path::{Path, PathBuf};
use std::time::Duration;

use archipelago::consistency::{Admit, LocalPolicy, ReadView};
use archipelago::embed::ThreadPark;
use archipelago::error::{Error, SpecError};
use archipelago::node::Registry;
use archipelago::node::worker::{Park, RemoteWorker, Session, WorkerOptions};
use archipelago::os::Clock;
use archipelago::rules::Add;
use archipelago::sync::Arc;
use archipelago::time::Instant;
use archipelago::{Bsp, Extension, Hyper, Table, TablePolicy, TableSpec, Worker, transport};
use page::Page;
use process::{Served, authority, complaint, issue, join, run, said, text, until};
use ps_server::ConnectArguments;
use serde_json::Value;

const ANY: &str = "127.0.0.1:0";
const ROWS: usize = 1024;
/// A name that has to be quoted.
const TABLE: &str = "w \"1\"";

/// An authority, and the folder that it and its certificates are in.
struct Authority {
    folder: tempfile::TempDir,
    ca: String,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ca = authority(folder.path());
        Self { folder, ca }
    }

    /// The options that show a new certificate of this role.
    fn shown(&self, role: &str) -> Vec<String> {
        let [certificate, key] = issue(&self.ca, role, role, self.folder.path());
        let root = text(Path::new(&self.ca).join("ca.pem"));
        ["--ca", &root, "--certificate", &certificate, "--key", &key].map(str::to_owned).to_vec()
    }

    fn serve(&self, options: &[&str]) -> Served {
        let shown = self.shown("server");
        let shown: Vec<_> = shown.iter().map(String::as_str).collect();
        Served::start(&[options, &shown].concat())
    }

    fn session(&self, server: &Served, role: &str, registry: Registry) -> Session {
        let [_, ca, _, certificate, _, key]: [String; 6] = self.shown(role).try_into().unwrap();
        let [ca, certificate, key] = [ca, certificate, key].map(PathBuf::from).map(Some);
        let servers = vec![server.address.to_string().parse().unwrap()];
        let connect =
            ConnectArguments { servers, ca, certificate, key, ..ConnectArguments::default() };
        let wait_max = Duration::from_secs(20);
        let options = WorkerOptions { wait_max, ..WorkerOptions::default() };
        let config = connect.config(registry, options).unwrap();
        ThreadPark.block_on(transport::connect(config)).unwrap()
    }
}

/// The body of a page over HTTP.
fn get(address: &str, path: &str) -> String {
    let text = process::page(address, path);
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

fn metrics(address: &str) -> Page {
    Page::read(&get(address, "/metrics"))
}

/// A worker of the group `train` of two, whose table gathers.
fn joined(authority: &Authority, server: &Served) -> (RemoteWorker, Table) {
    let session = authority.session(server, "worker", Registry::built_in());
    ThreadPark.block_on(async {
        let spec = TableSpec::dense(TABLE, ROWS as u64).rule(Add);
        let policy = TablePolicy::local(Bsp);
        let table = session.ensure_table(spec, policy, Hyper::default()).await.unwrap();
        let group = session.ensure_group("train", 2).await.unwrap();
        (session.join(group).await.unwrap(), table)
    })
}

fn step((me, table): &(RemoteWorker, Table)) {
    let (ones, mut found) = (vec![1.0_f32; ROWS], vec![0.0_f32; ROWS]);
    ThreadPark.block_on(async {
        me.pull(table, .., &mut found).await.unwrap();
        me.push(table, .., &ones).await.unwrap();
        me.tick().await.unwrap();
    });
}

/// Bytes by class, of five pulls of the table.
fn counts_bytes(page: &Page) {
    for class in ["control", "data"] {
        let frames = "archipelago_frames_queued_bytes_total";
        let to = |kind| page.value(&format!("{frames}{{kind=\"{kind}\",class=\"{class}\"}}"));
        assert!(to("worker") > 0.0 && to("server") == 0.0, "{class}");
    }
    // Pulls of a table come back as data.
    let data = "archipelago_frames_queued_bytes_total{kind=\"worker\",class=\"data\"}";
    let udp = "archipelago_udp_sent_bytes_total{kind=\"worker\"}";
    assert!(page.value(data) > 5.0 * 4.0 * ROWS as f64 && page.value(udp) > page.value(data));
}

#[test]
fn a_paused_worker_shows_as_lag_and_as_waits_with_its_reason() {
    let authority = Authority::new();
    let mut server = authority.serve(&["--bind", ANY, "--metrics", ANY]);
    let address = server.metrics();
    let empty = metrics(&address);
    assert!(empty.values("archipelago_worker_lag_ticks").is_empty());
    let (ahead, behind) = (joined(&authority, &server), joined(&authority, &server));
    let lag =
        |rank: u32| format!("archipelago_worker_lag_ticks{{group=\"train\",rank=\"{rank}\"}}");
    let of = |name: &str| format!("archipelago_{name}{{reason=\"member_tick\"}}");
    std::thread::scope(|threads| {
        let training = threads.spawn(|| (0..3).for_each(|_| step(&ahead)));
        step(&behind);
        // The other has ended tick 2 and cannot read at tick 3.
        let paused = until("the pause shows", || {
            let page = metrics(&address);
            let waits = page.value_or_zero(&of("requests_waiting_by_reason")) > 0.0;
            let tick = page.value_or_zero("archipelago_group_tick{group=\"train\"}");
            (waits && tick == 2.0 && page.value_or_zero(&lag(1)) == 1.0).then_some(page)
        });
        assert_eq!(paused.value(&lag(0)), 0.0);
        assert_eq!(paused.value("archipelago_group_lag_ticks{group=\"train\"}"), 1.0);
        assert_eq!(paused.value("archipelago_group_members{group=\"train\"}"), 2.0);
        let longer = until("the wait lasts", || {
            let page = metrics(&address);
            let before = paused.value(&of("longest_wait_seconds"));
            (page.value(&of("longest_wait_seconds")) > before).then_some(page)
        });
        let open = "archipelago_table_open_rounds{table=\"w \\\"1\\\"\"}";
        assert_eq!(longer.value(open), 1.0);
        let stash =
            |what: &str| format!("archipelago_table_stash{what}_bytes{{table=\"w \\\"1\\\"\"}}");
        let held = longer.value(&stash(""));
        assert!(held >= 4.0 * ROWS as f64 && held <= longer.value(&stash("_peak")), "{held}");
        assert!(longer.value(&stash("_peak")) < longer.value(&stash("_limit")));
        let health: Value = serde_json::from_str(&get(&address, "/healthz")).unwrap();
        let awaited = &health["awaited"][0];
        assert_eq!((&awaited["group"], &awaited["rank"]), (&"train".into(), &1.into()));
        assert_eq!(health["groups"][0]["lag_ticks"], 1);
        let status = said(&["status", "--metrics", &address]);
        assert!(status.contains("worker 1, 1 behind"), "{status}");
        assert!(status.contains("tick 2 of worker 1 of train"), "{status}");
        step(&behind);
        step(&behind);
        training.join().unwrap();
    });
    let rounds = "archipelago_table_round_seconds";
    let table = "table=\"w \\\"1\\\"\"";
    let count = format!("{rounds}_count{{{table}}}");
    // A tick returns when it is sent: the last ones may still be on their way, or being closed.
    let after = until("all rounds are closed", || {
        let page = metrics(&address);
        (page.value(&count) == 3.0).then_some(page)
    });
    assert_eq!(after.values("archipelago_worker_lag_ticks"), [0.0, 0.0]);
    assert_eq!(after.value_or_zero(&of("requests_waiting_by_reason")), 0.0);
    assert!(after.value(&of("waits_ended_total")) >= 1.0);
    assert!(after.value(&of("waited_seconds_total")) > 0.0);
    assert_eq!(after.value(&format!("{rounds}_bucket{{{table},le=\"+Inf\"}}")), 3.0);
    // The second round lasted as long as the pause.
    let pause = after.value(&of("waited_seconds_total"));
    assert!(after.value(&format!("{rounds}_sum{{{table}}}")) > 0.0 && pause > 0.0);
    counts_bytes(&after);
}

#[test]
fn tables_are_created_listed_and_described_from_the_command_line() {
    let authority = Authority::new();
    let listed = ["--servers", "127.0.0.1:1,127.0.0.1:2", "--bind", ANY];
    let mut first = authority.serve(&[&["--server", "0", "--metrics", ANY][..], &listed].concat());
    let metrics_at = first.metrics();
    let servers = format!("0={},1=127.0.0.1:2", first.address);
    let second = authority.serve(&["--server", "1", "--servers", &servers, "--bind", ANY]);
    let servers = format!("{},{}", first.address, second.address);
    let operator = authority.shown("operator");
    let at = |words: &[&str]| {
        let connect = ["--servers", &servers].into_iter().chain(operator.iter().map(|w| &**w));
        words.iter().copied().chain(connect).map(str::to_owned).collect::<Vec<_>>()
    };
    let said = |words: &[&str]| {
        let words = at(words);
        said(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    let complaint = |words: &[&str]| {
        let words = at(words);
        complaint(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    assert!(said(&["table", "list"]).contains("no tables"));
    let options = ["--dense", "1000", "--width", "64", "--block-elements", "64", "--slots", "11"];
    let create = [&["table", "create", "w", "--rule", "momentum:0.9"][..], &options].concat();
    let created = said(&create);
    assert!(created.starts_with("table w: created\n"), "{created}");
    assert!(created.contains("dense, 1000 rows of 64 f32"), "{created}");
    assert!(said(&create).contains("existed already"), "the same again");
    let other = [&create[..], &["--dtype", "f64"]].concat();
    let other = complaint(&other);
    assert!(other.contains("\"w\" exists with dtype f32, found f64"), "{other}");
    said(&["table", "create", "rows", "--sparse", "--local", "ssp:3", "--rule", "adam"]);
    let tables = said(&["table", "list"]);
    assert!(tables.contains("rows") && tables.contains("ssp/1(staleness=3)"), "{tables}");
    let lines = said(&["table", "list", "--json"]);
    let names: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&names[0]["table"], &names[1]["rows"]), (&"w".into(), &Value::Null));
    let described: Value =
        serde_json::from_str(&said(&["table", "describe", "w", "--json"])).unwrap();
    assert_eq!(described["rule"], "momentum/1(beta=0.9)");
    let slots: Vec<_> = [0, 1].map(|at| described["owners"][at]["slots"].as_u64().unwrap()).into();
    assert!(slots.iter().sum::<u64>() == 11 && slots.iter().all(|slots| *slots > 0), "{slots:?}");
    let unknown = complaint(&["table", "describe", "row"]);
    assert!(unknown.contains("there is no table \"row\": did you mean `rows`?"), "{unknown}");
    // Commands tell the servers that they go: long before a silent one would be noticed.
    let clock = Clock::start();
    let workers = "archipelago_links{kind=\"worker\"}";
    until("the commands have left", || (metrics(&metrics_at).value(workers) == 0.0).then_some(()));
    assert!(clock.now().since(Instant::EPOCH) < Duration::from_secs(3));
    let nowhere = run(&["table", "list"]);
    assert!(String::from_utf8(nowhere.stderr).unwrap().contains("--servers"));
}

/// Reads are always served; what it is called is all that matters here.
#[derive(Debug)]
struct Mine;

impl LocalPolicy for Mine {
    fn extension(&self) -> Extension {
        Extension::new("mine/1")
    }

    fn admit(&self, _read: &ReadView) -> Admit {
        Admit::Serve
    }
}

#[test]
fn a_server_that_lacks_an_extension_says_which_and_which_it_has() {
    let authority = Authority::new();
    let server = authority.serve(&["--bind", ANY]);
    let registry = Registry::built_in()
        .rule("own-add/1", |_| Ok(Arc::new(Add)))
        .policy("mine/1", |_| Ok(Arc::new(Mine)));
    let operator = authority.session(&server, "operator", registry);
    let create = |rule: &str, local: &str| {
        let spec = TableSpec::dense("w", 9).rule(Extension::new(rule));
        let policy = TablePolicy::local(Extension::new(local));
        ThreadPark.block_on(operator.ensure_table(spec, policy, Hyper::default()))
    };
    for (rule, local, lacks, is, has) in [
        ("own-add/1", "bsp/1", "own-add/1", "update rule", "momentum/1, sgd/1"),
        ("add/1", "mine/1", "mine/1", "local policy", "bsp/1, eventual/1, ssp/1"),
    ] {
        match create(rule, local) {
            Err(Error::Spec(SpecError::UnknownExtension { name, kind, extension, known })) => {
                assert_eq!((&*name, &*extension, &*kind), ("w", lacks, is));
                assert!(known.ends_with(has), "{known}");
            },
            other => panic!("{other:?}"),
        }
    }
    // The server and the session go on, and the name is free.
    create("add/1", "bsp/1").unwrap();
}

#[test]
#[cfg(unix)]
fn certificates_that_expire_soon_are_spoken_of_and_good_ones_are_not() {
    let authority = Authority::new();
    for (days, spoken) in [("3", true), ("30", false)] {
        for role in ["server", "worker"] {
            let out = text(authority.folder.path().join(days));
            let names = ["--role", role, "--dc", "test", "--days", days, "--out", &out];
            said(&[&["cert", "issue", "--ca", &authority.ca][..], &names].concat());
        }
        let file = |name: &str| text(authority.folder.path().join(days).join(name));
        let [ca, certificate, key] = ["ca.pem", "server.pem", "server.key"].map(file);
        let shown = ["--ca", &ca, "--certificate", &certificate, "--key", &key, "--bind", ANY];
        let server = Served::start(&shown);
        let pair = ["worker.pem", "worker.key"].map(file);
        join(server.address, 0, &ca, &pair).unwrap().step().unwrap();
        server.signal("-TERM");
        let (_, logged) = server.ended();
        for words in ["its certificate expires within 7 days", "a certificate expires soon"] {
            assert_eq!(logged.contains(words), spoken, "{days} days: {words:?} in {logged}");
        }
    }
}

#[test]
#[cfg(unix)]
fn a_second_order_to_stop_ends_the_process_at_once() {
    let server = Served::start(&["--dev", "--bind", ANY]);
    // Both are there when it looks for the first.
    for signal in ["-STOP", "-INT", "-TERM", "-CONT"] {
        server.signal(signal);
    }
    let (status, logged) = server.ended();
    let stopped = [130, 143].map(Some);
    assert!(stopped.contains(&status.code()), "{status}: {logged}");
    assert!(logged.contains("stopping: another signal stops at once"), "{logged}");
}

#[test]
fn a_table_is_changed_while_a_worker_trains_and_dropped_when_it_is_done() {
    let authority = Authority::new();
    let server = authority.serve(&["--bind", ANY]);
    let operator = authority.shown("operator");
    let address = server.address.to_string();
    let connect: Vec<_> =
        ["--servers", &address].into_iter().chain(operator.iter().map(|word| &**word)).collect();
    let said = |words: &[&str]| said(&[words, &connect].concat());
    let complaint = |words: &[&str]| complaint(&[words, &connect].concat());
    let name = TABLE;
    let (one, two) = (joined(&authority, &server), joined(&authority, &server));
    let both = |ticks: u64| {
        std::thread::scope(|threads| {
            for worker in [&one, &two] {
                threads.spawn(move || (0..ticks).for_each(|_| step(worker)));
            }
        });
    };
    both(3);
    let changed = said(&["table", "set", name, "--local", "ssp:1", "--rate", "0.5", "--json"]);
    let changed: Value = serde_json::from_str(&changed).unwrap();
    assert_eq!(
        (&changed["local"], &changed["rate"]),
        (&"ssp/1(staleness=1)".into(), &"0.5".into())
    );
    let from = changed["from"].as_u64().unwrap();
    assert!(from > 4 && changed["from_tick"] == from, "{changed}");
    assert_eq!(changed["changed"], true);
    let same = said(&["table", "set", name, "--local", "ssp:1"]);
    assert!(same.contains(&format!("nothing is changed: it holds from tick {from} on")), "{same}");
    // Everybody trains on, over the change.
    both(from);
    let text = said(&["table", "describe", name]);
    assert!(text.contains(&format!("from tick {from} on to")), "{text}");
    let late = complaint(&["table", "set", name, "--rate", "0.1", "--from", "2"]);
    assert!(late.contains("can begin at tick"), "{late}");
    for (words, expected) in [
        (&["table", "set", name][..], "--local <POLICY>|--rate <RATE>"),
        (&["table", "set", name, "--local", "spp:2"], "did you mean `ssp`?"),
        (&["table", "set", "x", "--rate", "1"], "there is no table \"x\""),
        (&["table", "drop", "x"], "there is no table \"x\""),
    ] {
        let error = complaint(words);
        assert!(error.contains(expected), "{expected:?} in {error}");
    }
    assert!(said(&["table", "drop", name]).contains("dropped"));
    assert!(said(&["table", "list"]).contains("no tables"));
    let (me, table) = &one;
    let mut found = vec![0.0_f32; ROWS];
    let gone = ThreadPark.block_on(me.pull(table, .., &mut found)).unwrap_err().to_string();
    assert!(gone.contains("dropped"), "{gone}");
}
