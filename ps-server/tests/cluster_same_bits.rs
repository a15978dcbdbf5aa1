//! Law 4 over real processes: servers and workers of their own, over QUIC with mutual TLS, end
//! with the bits of one process and of the simulator, also when workers are paused and
//! connections cut.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/mod.rs"]
mod process;
#[path = "../../tests/relay/mod.rs"]
mod relay;

use std::collections::BTreeMap;
use std::hash::Hasher;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

use archipelago::id::{GroupId, Rank};
use archipelago::rng::Rng;
use archipelago::sim::{Cluster as Simulated, LinkProfile};
use archipelago::sync::{Arc, Mutex};
use archipelago::time::Duration;
use archipelago::{Bsp, Error, TablePolicy, Worker};
use archipelago_workloads::data::{Share, digits_split};
use archipelago_workloads::{mlp, train::Values};
use process::cluster::{Cluster, Papers, Trainer, options, rounds};
use process::{said, until};
use relay::{Relay, Road};
use siphasher::sip128::{Hasher128, SipHasher13};

const EPOCHS: u32 = 8;
/// Small enough that five servers have some of them.
const BLOCK_ELEMENTS: u32 = 256;
/// Longer than connections live without a sign of life, shorter than workers do.
const LONG_CUT: Duration = Duration::from_secs(12);

/// What is trained, whoever trains it.
fn job() -> Vec<String> {
    options(&format!(
        "--model mlp --train digits --epochs {EPOCHS} --block-elements {BLOCK_ELEMENTS} --json"
    ))
}

fn digest(report: &serde_json::Value) -> String {
    report["digest"].as_str().unwrap().to_owned()
}

/// What one process ends with.
fn embedded(workers: u32) -> String {
    let here = options(&format!("--embedded --workers {workers}"));
    digest(&Trainer::start(&[&here, &job()]).report())
}

/// What the simulator ends with: the same function, in virtual time, over bad links.
fn simulated(servers: u32, workers: u32) -> String {
    let data = Arc::new(digits_split().unwrap().0);
    let mut config = mlp::Config { block_elements: BLOCK_ELEMENTS, ..mlp::Config::default() };
    (config.pace.epochs, config.pace.final_model) = (EPOCHS, Some(Rank(0)));
    let mut builder = Simulated::builder(1).servers(servers).links(LinkProfile::hostile());
    for (spec, hyper) in config.tables(data.features(), data.classes(), workers) {
        builder = builder.table(spec, TablePolicy::local(Bsp), hyper);
    }
    let mut cluster = builder.group(workers).record_history(false).build().unwrap();
    let model = Arc::new(Mutex::new(None));
    for _ in 0..workers {
        let (data, model, config) = (Arc::clone(&data), Arc::clone(&model), config.clone());
        let tables = [cluster.table(0).unwrap().clone(), cluster.table(1).unwrap().clone()];
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            let share = Share::strided(&*data, me.origin().rank.0, workers).unwrap();
            let report = mlp::train(&me, &tables, &share, &config, &|_| ()).await?;
            if let Some(Values::F32(values)) = report.model {
                *model.lock() = Some(values);
            }
            Ok::<(), Error>(())
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    let mut hasher = SipHasher13::new();
    let values: Vec<f32> = model.lock().take().unwrap();
    values.iter().for_each(|value| hasher.write(&value.to_bits().to_le_bytes()));
    format!("{:032x}", hasher.finish128().as_u128())
}

/// Worker processes that train together, one worker each.
fn trainers(cluster: &Cluster, workers: u32) -> Vec<Trainer> {
    let place = options(&format!("--workers 1 --group-size {workers} --wait-max 60"));
    let start = |_| Trainer::start(&[&cluster.options(), &place, &job()]);
    (0..workers).map(start).collect()
}

/// Every process ends with these bits, and every server has taken part.
fn check(cluster: &Cluster, trainers: Vec<Trainer>, expected: &str, what: &str) {
    let mut ticks = 0;
    for trainer in trainers {
        let report = trainer.report();
        assert_eq!(digest(&report), expected, "{what}");
        ticks = report["ticks"].as_u64().unwrap();
    }
    for status in cluster.status() {
        assert_eq!(rounds(&status), ticks, "{what}: a server closed all rounds: {status}");
        let tables = status["tables"].as_array().unwrap();
        let owned = |table: &serde_json::Value| table["pushes"].as_u64() > Some(0);
        assert!(tables.iter().any(owned), "{what}: a server owned a slot: {status}");
    }
}

/// Waits until training has begun.
fn begun(cluster: &Cluster) {
    until("training begins", || (cluster.rounds(0) > 0).then_some(()));
}

fn pause(lasts: Duration) {
    thread::park_timeout(lasts);
}

fn papers() -> (tempfile::TempDir, Papers) {
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::new(folder.path());
    (folder, papers)
}

#[test]
fn servers_and_worker_processes_end_with_the_bits_of_one_process_and_of_the_simulator() {
    let (_folder, papers) = papers();
    for workers in [2, 4] {
        let expected = embedded(workers);
        assert_eq!(simulated(3, workers), expected, "simulated, {workers} workers");
        for count in [1, 2, 3, 5] {
            let cluster = Cluster::start(&papers, count, |address| address);
            let trainers = trainers(&cluster, workers);
            check(&cluster, trainers, &expected, &format!("{count} servers, {workers} workers"));
        }
    }
}

/// Whether the system says of a process that it is stopped.
fn is_stopped(id: u32) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(id.to_string()).join("stat"));
    stat.is_ok_and(|stat| stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T")))
}

#[test]
#[cfg(target_os = "linux")]
fn paused_workers_change_no_bit() {
    const PAUSES: usize = 3;
    let (_folder, papers) = papers();
    for (count, workers, seed) in [(2, 4, 1), (3, 2, 2)] {
        let cluster = Cluster::start(&papers, count, |address| address);
        let mut trainers = trainers(&cluster, workers);
        let mut rng = Rng::named(seed, "pauses");
        let mut paused = 0;
        begun(&cluster);
        for _ in 0..PAUSES {
            pause(Duration::from_millis(rng.below(200)));
            let chosen = rng.below(u64::from(workers)) as usize;
            if !trainers[chosen].is_running() {
                break;
            }
            trainers[chosen].signal("-STOP");
            // What the others have under way may still close the round at hand.
            pause(Duration::from_millis(200));
            let (id, before) = (trainers[chosen].id(), cluster.rounds(0));
            pause(Duration::from_millis(800 + rng.below(3000)));
            let stands_still = is_stopped(id) && cluster.rounds(0) == before;
            paused += usize::from(stands_still && before < cluster_ticks(workers));
            trainers[chosen].signal("-CONT");
        }
        let what = format!("{count} servers, {workers} workers, pauses of seed {seed}");
        assert!(paused >= 2, "{what}: only {paused} pauses have held up training");
        check(&cluster, trainers, &embedded(workers), &what);
    }
}

/// Ticks of each of so many workers.
fn cluster_ticks(workers: u32) -> u64 {
    let rows = u64::try_from(digits_split().unwrap().0.rows()).unwrap();
    u64::from(EPOCHS) * rows.div_ceil(u64::from(workers)).div_ceil(16)
}

/// A cluster whose servers are reached through relays alone, also by each other.
fn relayed(papers: &Papers, count: usize) -> (Cluster, Vec<Relay>) {
    let mut relays = Vec::new();
    let through = |server: SocketAddr| {
        let relay = Relay::start(server, Road::FREE, Road::FREE, 1);
        let address = relay.address();
        relays.push(relay);
        address
    };
    let cluster = Cluster::start(papers, count, through);
    (cluster, relays)
}

/// Datagrams dropped while a relay was cut, in both directions.
fn dropped(relay: &Relay) -> u64 {
    let (up, down) = relay.counts();
    up.cut + down.cut
}

#[test]
fn cut_connections_change_no_bit() {
    const CUTS: usize = 4;
    let (_folder, papers) = papers();
    for (count, workers, seed) in [(2, 2, 1), (3, 4, 2)] {
        let (cluster, relays) = relayed(&papers, count);
        let mut trainers = trainers(&cluster, workers);
        let mut rng = Rng::named(seed, "cuts");
        begun(&cluster);
        let mut hit = BTreeMap::new();
        for _ in 0..CUTS {
            pause(Duration::from_millis(rng.below(150)));
            if !trainers.iter_mut().all(Trainer::is_running) {
                break;
            }
            let chosen = rng.below(count as u64) as usize;
            let before = dropped(&relays[chosen]);
            relays[chosen].cut_for(Duration::from_millis(200 + rng.below(2000)));
            let lost = dropped(&relays[chosen]) - before;
            *hit.entry(chosen).or_insert(0) += lost;
        }
        let what = format!("{count} servers, {workers} workers, cuts of seed {seed}: {hit:?}");
        // After a cut everybody may still wait for its server, so that the next one hits nothing.
        assert!(hit.values().any(|lost| *lost > 0), "{what}");
        check(&cluster, trainers, &embedded(workers), &what);
    }
}

#[test]
fn a_connection_that_had_to_be_made_again_changes_no_bit() {
    const WORKERS: u32 = 2;
    let (_folder, papers) = papers();
    let (mut cluster, relays) = relayed(&papers, 2);
    let trainers = trainers(&cluster, WORKERS);
    begun(&cluster);
    let before = dropped(&relays[0]);
    relays[0].cut_for(LONG_CUT);
    assert!(dropped(&relays[0]) > before, "the cut has hit");
    check(&cluster, trainers, &embedded(WORKERS), "after a long cut");
    let keeper = cluster.servers.remove(0);
    keeper.signal("-TERM");
    let (status, log) = keeper.ended();
    assert!(status.success(), "{log}");
    // Both workers and the other server, each twice.
    let times = |words: &str| log.lines().filter(|line| line.contains(words)).count();
    assert!(times(" connected peer=") >= 6, "all were there twice: {log}");
    assert!(times("timed out") >= 3, "the first connections timed out: {log}");
    drop(said(&["status", "--metrics", &cluster.metrics[1]]));
}
