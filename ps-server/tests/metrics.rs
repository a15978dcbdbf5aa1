//! The metrics of a server as SPEC section 10 states them, while workers come and go.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "page/mod.rs"]
mod page;
#[path = "process/mod.rs"]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use archipelago::embed::ThreadPark;
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::worker::{Park, RemoteWorker, WorkerOptions};
use archipelago::rules::Add;
use archipelago::transport::{self, Credentials, WorkerConfig};
use archipelago::{Bsp, Hyper, Table, TablePolicy, TableSpec, Worker};
use page::Page;
use process::cluster::{Cluster, Papers};
use process::{page as http, until};

const ROWS: usize = 1024;
/// Small enough that both servers own a part of the table.
const BLOCK_ELEMENTS: u32 = 64;

fn metrics(address: &str) -> Page {
    Page::read(http(address, "/metrics").split_once("\r\n\r\n").unwrap().1)
}

/// A worker with a connection to every server.
fn come(papers: &Papers, cluster: &Cluster) -> (RemoteWorker, Table) {
    let shown = papers.of_worker();
    let [ca, certificate, key] = [1, 3, 5].map(|at| std::fs::read(&shown[at]).unwrap());
    let servers = (0..).map(ServerId).zip(cluster.found_at.iter().copied());
    let config = WorkerConfig {
        servers: servers.collect(),
        registry: Registry::built_in(),
        credentials: Credentials::from_pem(&ca, &certificate, &key).unwrap(),
        options: WorkerOptions::default(),
        connect_max: Duration::from_secs(20),
    };
    ThreadPark.block_on(async {
        let session = transport::connect(config).await.unwrap();
        let spec = TableSpec::dense("w", ROWS as u64).rule(Add).block_elements(BLOCK_ELEMENTS);
        let policy = TablePolicy::local(Bsp);
        let table = session.ensure_table(spec, policy, Hyper::default()).await.unwrap();
        let group = session.ensure_group("train", 1).await.unwrap();
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

/// The families of SPEC section 10, with their types.
fn specified() -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../SPEC.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("10. Metrics")).unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let family = |row: &str| {
        let (name, rest) = row.split_once("` | ").unwrap();
        (format!("archipelago_{name}"), rest.split(" | ").next().unwrap().to_owned())
    };
    rows.map(family).collect()
}

#[test]
fn a_page_has_the_families_that_are_specified_whatever_has_happened() {
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::new(folder.path());
    let cluster = Cluster::start(&papers, 1, |address| address);
    let specified = specified();
    assert_eq!(metrics(&cluster.metrics[0]).families(), &specified, "nobody has come");
    step(&come(&papers, &cluster));
    assert_eq!(metrics(&cluster.metrics[0]).families(), &specified);
}

#[test]
fn workers_that_come_and_go_leave_no_series_behind_and_no_counter_falls() {
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::new(folder.path());
    let cluster = Cluster::start(&papers, 2, |address| address);
    let mut before = cluster.metrics.iter().map(|address| metrics(address)).collect::<Vec<_>>();
    let mut seen = BTreeSet::new();
    for turn in 0..6 {
        let worker = come(&papers, &cluster);
        step(&worker);
        let [links, connections] =
            ["links", "connections"].map(|name| format!("archipelago_{name}{{kind=\"worker\"}}"));
        for (server, address) in cluster.metrics.iter().enumerate() {
            let page = until("the one that is there counts alone", || {
                Some(metrics(address)).filter(|page| page.value(&links) == 1.0)
            });
            assert_eq!(page.value(&connections), 1.0);
            page.check_follows(&before[server]);
            // Reasons to wait are few; which of them turn up is a matter of timing.
            let named = |name: &&str| !name.contains("{reason=");
            let names = page.names().into_iter().filter(named).map(str::to_owned);
            let news: Vec<_> = names.filter(|name| seen.insert((server, name.clone()))).collect();
            assert!(turn == 0 || news.is_empty(), "turn {turn}, server {server}: {news:?}");
            let other =
                format!("archipelago_link_round_trip_seconds{{peer=\"server {}\"}}", 1 - server);
            assert!(page.value(&other) > 0.0);
            before[server] = page;
        }
        // One finishes, the next is lost.
        if turn % 2 == 0 {
            ThreadPark.block_on(worker.0.finish()).unwrap();
        }
    }
    // Each of them stands in the list of links while it is there.
    let worker = come(&papers, &cluster);
    let status = &cluster.status()[0];
    let peers: Vec<_> = status["links"].as_array().unwrap().iter().collect();
    let peer =
        |kind: &str| peers.iter().find(|link| link["peer"].as_str().unwrap().starts_with(kind));
    assert!(peer("server 1").is_some() && peer("worker process ").is_some(), "{status}");
    drop(worker);
}
