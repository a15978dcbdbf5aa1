//! What goes wrong in a cluster of processes: everybody concerned is told what, and what to do,
//! and nothing waits longer than it may.

#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "process/mod.rs"]
mod process;

use std::net::SocketAddr;

use archipelago::os::Clock;
use archipelago::time::{Duration, Instant};
use process::cluster::{self, ANY, Cluster, Papers, Trainer, list, options};
use process::{Served, until};

/// Long enough to be in the middle of it when something happens.
const LONG: &str = "--model mlp --train digits --epochs 2000 --block-elements 256 --json";
const SHORT: &str = "--model softmax --train digits --epochs 1 --json";

fn papers() -> (tempfile::TempDir, Papers) {
    let folder = tempfile::tempdir().unwrap();
    let papers = Papers::new(folder.path());
    (folder, papers)
}

fn cluster(papers: &Papers, count: usize) -> Cluster {
    Cluster::start(papers, count, |address| address)
}

/// Trains at a cluster with these options too.
fn train(cluster: &Cluster, job: &str, more: &str) -> Trainer {
    Trainer::start(&[&cluster.options(), &options(job), &options(more)])
}

/// Waits until it is in the middle.
fn begun(cluster: &Cluster) {
    until("training begins", || (cluster.rounds(0) > 0).then_some(()));
}

#[track_caller]
fn says(complaint: &str, words: &[&str]) {
    for word in words {
        assert!(complaint.contains(word), "{word:?} in {complaint:?}");
    }
}

#[test]
fn a_server_that_is_gone_is_named_in_time() {
    let (_folder, papers) = papers();
    let cluster = cluster(&papers, 2);
    let trainer = train(&cluster, LONG, "--wait-max 14");
    begun(&cluster);
    let clock = Clock::start();
    cluster.servers[1].signal("-KILL");
    let complaint = trainer.complaint();
    let took = clock.now().since(Instant::EPOCH);
    assert!(took < Duration::from_secs(20), "{took:?}");
    let named = format!("server 1 at {}", cluster.found_at[1]);
    says(&complaint, &[&named, "has been away for", "start all of them, train again"]);
}

/// Ends a server, and starts one of its number and address that knows nothing.
fn start_again(papers: &Papers, cluster: &mut Cluster, number: usize) {
    let address = cluster.found_at[number];
    let before = cluster.servers.remove(number);
    before.signal("-TERM");
    assert!(before.ended().0.success());
    let list = list(&cluster.found_at, number, cluster.found_at.len());
    let mut again = cluster::start_at(papers, number, &list, address);
    cluster.metrics[number] = again.metrics();
    cluster.servers.insert(number, again);
}

#[test]
fn a_server_that_is_started_again_has_lost_its_tables_and_everybody_is_told() {
    const LOST: &str = "was started again and has lost its tables: start all servers again";
    let (_folder, papers) = papers();
    for number in [0, 1] {
        let mut cluster = cluster(&papers, 2);
        let trainer = train(&cluster, LONG, "");
        begun(&cluster);
        let clock = Clock::start();
        start_again(&papers, &mut cluster, number);
        let complaint = trainer.complaint();
        let took = clock.now().since(Instant::EPOCH);
        assert!(took < Duration::from_secs(10), "{took:?}");
        says(&complaint, &[&format!("server {number} {LOST}")]);
        // The one that was there all the time lets nobody begin with half of a cluster.
        until("newcomers are told too", || {
            let complaint = train(&cluster, SHORT, "--run other --wait-max 5").complaint();
            complaint.contains(&format!("server {number} {LOST}")).then_some(())
        });
        start_again(&papers, &mut cluster, 1 - number);
        train(&cluster, SHORT, "").report();
    }
}

#[test]
fn of_two_servers_with_one_number_the_second_is_refused_and_the_first_is_not_harmed() {
    let (_folder, papers) = papers();
    let cluster = cluster(&papers, 2);
    until("the servers have met", || {
        cluster.status().iter().all(|status| status["links_to_servers"] == 1).then_some(())
    });
    let second = cluster::start(&papers, 1, &list(&cluster.found_at, 1, 2));
    train(&cluster, SHORT, "").report();
    let words = ["server 1 is here already", "give every server a number of its own"];
    // The word that closes a connection may be lost: then the next call hears it.
    until("the second one is told", || second.logged().contains(words[0]).then_some(()));
    second.signal("-TERM");
    says(&second.ended().1, &words);
    cluster.servers[0].signal("-TERM");
    let mut servers = cluster.servers;
    says(&servers.remove(0).ended().1, &words);
}

#[test]
fn a_worker_that_knows_other_servers_is_refused() {
    let (_folder, papers) = papers();
    let cluster = cluster(&papers, 2);
    let with = |servers: &[SocketAddr]| {
        let listed: Vec<_> = servers.iter().map(ToString::to_string).collect();
        let listed = ["--servers".into(), listed.join(",")];
        Trainer::start(&[&listed, &papers.of_worker(), &options(SHORT)]).complaint()
    };
    let [first, second] = [cluster.found_at[0], cluster.found_at[1]];
    says(&with(&[first]), &["the lists of servers differ", "give all processes the same servers"]);
    says(&with(&[second, first]), &["expected server", "found server"]);
}

#[test]
fn a_run_is_trained_once_by_processes_that_agree() {
    let (_folder, papers) = papers();
    let cluster = cluster(&papers, 1);
    train(&cluster, SHORT, "").report();
    let again = train(&cluster, SHORT, "").complaint();
    says(&again, &["run \"softmax\" has been trained", "another name with --run NAME"]);
    train(&cluster, SHORT, "--run second").report();
    let other = train(&cluster, SHORT, "--rate 0.5").complaint();
    says(&other, &["\"softmax\" exists on these servers with other options", "rate Constant(0.1)"]);
    let two = "--run two --workers 1 --group-size 2";
    let alone = train(&cluster, SHORT, &format!("{two} --wait-max 2")).complaint();
    says(&alone, &["run \"two\" waits for all of its 2 workers: start the other processes"]);
    let more = train(&cluster, SHORT, "--workers 3 --group-size 2").complaint();
    says(&more, &["--group-size 2", "--workers 3"]);
    let mut holds = train(&cluster, LONG, "--run three --workers 2");
    until("it trains", || (cluster.status()[0]["links_to_workers"] == 2).then_some(()));
    begun(&cluster);
    let full = train(&cluster, LONG, "--run three --workers 1 --group-size 2").complaint();
    says(&full, &["run \"three\" has all of its 2 workers"]);
    assert!(holds.is_running());
}

#[test]
fn a_worker_process_that_is_stopped_leaves_and_the_others_go_on() {
    let (_folder, papers) = papers();
    let mut cluster = cluster(&papers, 2);
    let job = "--model mlp --train digits --epochs 40 --block-elements 256 --json";
    let two = "--workers 1 --group-size 2";
    let (stops, stays) = (train(&cluster, job, two), train(&cluster, job, two));
    begun(&cluster);
    stops.signal("-INT");
    let (status, _, log) = stops.ended();
    assert_eq!(status.code(), Some(130), "{log}");
    says(&log, &["stopped before the end"]);
    let (clock, report) = (Clock::start(), stays.report());
    assert!(report["accuracy"].as_f64() > Some(0.8), "{report}");
    let took = clock.now().since(Instant::EPOCH);
    assert!(took < Duration::from_secs(25), "it did not wait for silence: {took:?}");
    // Workers are not told; who keeps the group says whom it has lost.
    let keeper = cluster.servers.remove(0);
    keeper.signal("-TERM");
    let (_, log) = keeper.ended();
    let lost: Vec<_> = log.lines().filter(|line| line.contains("a worker is lost")).collect();
    assert_eq!(lost.len(), 1, "{log}");
    says(lost[0], &["WARN", "\"mlp\"", "rank"]);
}

#[test]
fn a_server_with_an_input_to_obey_ends_with_it() {
    // The input of a test's commands is empty: it has ended before it began.
    let server = Served::start(&["--dev", "--bind", ANY, "--while-input"]);
    let (status, log) = server.ended();
    assert!(status.success() && log.contains("stopping"), "{log}");
}

/// The processes that a process has started.
#[cfg(target_os = "linux")]
fn children(parent: u32) -> Vec<u32> {
    let ids = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str().and_then(|name| name.parse().ok()));
    let parent_of = |id: &u32| {
        // After the name, which is in brackets: the state, then the parent.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    ids.filter(|id| parent_of(id) == Some(parent)).collect()
}

#[test]
#[cfg(target_os = "linux")]
fn a_demo_that_is_stopped_or_killed_leaves_no_server_behind() {
    for (how, code) in [("-INT", Some(130)), ("-TERM", Some(143)), ("-KILL", None)] {
        let mut demo = process::command(&["demo", "--json", "--epochs", "2000"]);
        let silent = std::process::Stdio::null;
        let mut demo = demo.stdout(silent()).stderr(silent()).spawn().unwrap();
        let servers = until("the demo has its servers", || {
            Some(children(demo.id())).filter(|servers| servers.len() == 2)
        });
        // Well into the training of the first policy.
        std::thread::park_timeout(Duration::from_millis(500));
        process::signal(demo.id(), how);
        assert_eq!(demo.wait().unwrap().code(), code, "{how}");
        until("the servers are gone", || {
            let runs = |id: &u32| {
                let line = std::fs::read_to_string(format!("/proc/{id}/cmdline"));
                line.is_ok_and(|line| line.contains("--while-input"))
            };
            (!servers.iter().any(runs)).then_some(())
        });
    }
}
