//! Every law under a swarm of seeds: with faults while they last, to the end once they stop; and
//! with the switch that breaks it, to see its checker or the digests find it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "laws/hostile.rs"]
mod hostile;
#[path = "laws/mirrors.rs"]
mod mirrors;
#[path = "geo_scenarios/play.rs"]
mod play;
#[path = "training/mod.rs"]
mod training;

use std::collections::{BTreeMap, BTreeSet};

use archipelago::check::{Expected, Law, Violation, check_all};
use archipelago::error::WaitFor;
use archipelago::history::{Event, History};
use archipelago::id::{GroupId, ServerId};
use archipelago::node::Peer;
use archipelago::node::sabotage::{Sabotage, Switch};
use archipelago::rng::Rng;
use archipelago::sim::{self, Cluster, End, Fault, LinkProfile, Outcome, Trouble};
use archipelago::time::Duration;
use archipelago::{Bsp, Eventual, Extension, Hyper, Ssp, TablePolicy, TableSpec, Worker};

const TICKS: u64 = 8;

/// One run of the swarm.
struct Case {
    seed: u64,
    servers: u32,
    workers: u32,
    local: Extension,
    links: LinkProfile,
    /// Whether scripted faults strike too; a crash among them when `crash`.
    faults: bool,
    crash: bool,
    /// Whether the workers create tables and group while the cluster runs.
    creates: bool,
    /// Whether a worker changes the policies of the tables and drops another one meanwhile.
    changes: bool,
    switch: Switch,
    /// How much longer each rank computes than the one before it.
    pace: Duration,
}

impl Case {
    fn of(seed: u64) -> Self {
        let local = match seed % 4 {
            0 | 1 => Bsp.into(),
            2 => Ssp { staleness: (seed / 4) % 3 }.into(),
            _ => Eventual.into(),
        };
        let normal = LinkProfile::normal();
        Self {
            seed,
            servers: 1 + (seed / 2 % 4) as u32,
            workers: 2 + (seed / 3 % 3) as u32,
            local,
            links: if seed.is_multiple_of(3) { normal } else { LinkProfile::hostile() },
            faults: seed % 5 > 1,
            crash: seed % 7 > 4,
            creates: seed % 2 == 1 && seed % 7 <= 4,
            changes: seed % 3 == 1,
            switch: Switch::NONE,
            pace: Duration::from_millis(20),
        }
    }

    /// The script: chance decides what, when and whom.
    fn script(&self) -> Vec<(Duration, Fault)> {
        let mut rng = Rng::named(self.seed, "script");
        let mut script = vec![(CALM, Fault::Calm)];
        let at = |rng: &mut Rng| Duration::from_millis(150 + rng.below(500));
        for _ in 0..if self.faults { 8 } else { 0 } {
            let worker = rng.below(u64::from(self.workers));
            let server = Peer::Server(ServerId(rng.below(u64::from(self.servers)) as u32));
            let lasts = Duration::from_millis(rng.below(400));
            let fault = match rng.below(4) {
                0 => Fault::Break { a: server, b: Peer::Worker(worker) },
                1 => Fault::Pause { worker, lasts },
                2 => {
                    let (a, b) = (vec![server], vec![Peer::Worker(worker)]);
                    Fault::Partition { a, b, lasts }
                },
                _ => {
                    let all = (0..self.servers).map(|id| Peer::Server(ServerId(id)));
                    let b = all.filter(|other| *other != server).collect();
                    Fault::Partition { a: vec![server], b, lasts }
                },
            };
            script.push((at(&mut rng), fault));
        }
        if self.crash {
            let (worker, silent) = (rng.below(u64::from(self.workers)), rng.chance(0.3));
            // Under Eventual the others have ended before a silent one is missed.
            let silent = silent && self.local.name() != "eventual/1";
            // By then all have joined: a group that never forms waits by design (law 5.7).
            script.push((CRASH, Fault::Crash { worker, silent }));
        }
        script
    }

    fn run(&self) -> Outcome<u64> {
        let mut builder = Cluster::builder(self.seed)
            .servers(self.servers)
            .links(self.links)
            .switch(self.switch)
            .wait_max(Duration::from_secs(60))
            .deadline(Duration::from_secs(200));
        for (at, fault) in self.script() {
            builder = builder.fault(at, fault);
        }
        if self.creates {
            return self.run_creating(builder);
        }
        for (spec, policy, hyper) in training::tables(self.local.clone()) {
            builder = builder.table(spec, policy, hyper);
        }
        let mut cluster = builder.group(self.workers).build().unwrap();
        for worker in 0..self.workers {
            let (dense, sparse) = (cluster.table(0).unwrap(), cluster.table(1).unwrap());
            let cost = self.pace * (worker + 1);
            cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
                training::train(&me, (&dense, &sparse), TICKS, cost).await
            });
        }
        cluster.run().unwrap()
    }

    fn run_creating(&self, builder: sim::Builder) -> Outcome<u64> {
        let mut cluster = builder.build().unwrap();
        for worker in 0..self.workers {
            let cost = self.pace * (worker + 1);
            let (local, workers) = (self.local.clone(), self.workers);
            let (changes, seed) = (self.changes && worker == 0, self.seed);
            cluster.spawn_session(Duration::ZERO, async move |session| {
                if changes {
                    training::change_and_drop(&session, local.clone(), seed).await?;
                }
                training::create_and_train(session, local, workers, TICKS, cost).await
            });
        }
        cluster.run().unwrap()
    }

    fn sabotaged(mut self, sabotage: Sabotage) -> Self {
        self.switch = Switch::on(sabotage);
        self
    }
}

fn judged(history: &History) -> Vec<Violation> {
    let domains = training::tables(Bsp).map(|(spec, ..)| spec.domain);
    check_all(history, &Expected { domains: domains.to_vec(), ..Expected::default() })
}

fn shown(found: &[Violation]) -> String {
    found.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_laws_hold_under_faults_and_everybody_finishes_after_them() {
    let mut cells = BTreeMap::new();
    for seed in 0..SEEDS {
        let case = Case::of(seed);
        let outcome = case.run();
        let found = judged(&outcome.history);
        assert!(found.is_empty(), "seed {seed}: {}", shown(&found));
        assert!(outcome.is_good(), "seed {seed}: {}", outcome.report());
        for (cell, count) in &outcome.cells {
            *cells.entry(*cell).or_insert(0) += count;
        }
    }
    let lines: Vec<_> =
        cells.iter().map(|((fault, step), hits)| format!("{fault} x {step}: {hits}")).collect();
    let struck = |fault| cells.keys().any(|(held, _)| *held == fault);
    assert!(struck("partition") && struck("crash") && struck("scripted break"));
    println!("{} cells hit\n{}", lines.len(), lines.join("\n"));
    for fault in ["break", "dropped", "duplicated", "reordered"] {
        for step in ["push", "pull", "ticked", "push_answer", "pull_answer", "tick_answer"] {
            assert!(cells.contains_key(&(fault, step)), "no {fault} has hit a {step}");
        }
    }
}

#[test]
fn one_seed_names_one_run() {
    for seed in [2, 7, 13] {
        let (a, b) = (Case::of(seed).run(), Case::of(seed).run());
        assert_eq!(a.history.digest(), b.history.digest(), "seed {seed}");
        assert_eq!((a.time, a.events, a.bytes()), (b.time, b.events, b.bytes()), "seed {seed}");
        assert_eq!(a.tables, b.tables, "seed {seed}");
    }
    let (a, b) = (Case::of(13).run(), Case::of(13 + 60).run());
    assert_ne!(a.history.digest(), b.history.digest());
}

/// Some seed of a few shows the broken law.
fn is_caught(law: u8, sabotage: Sabotage, case: impl Fn(u64) -> Case) {
    let caught = (0..30).any(|seed| {
        let outcome = case(seed).sabotaged(sabotage).run();
        judged(&outcome.history).iter().any(|violation| violation.law == Law(law))
    });
    assert!(caught, "{sabotage:?} breaks law {law} unseen");
}

fn hostile(local: impl Into<Extension>) -> impl Fn(u64) -> Case {
    let local = local.into();
    move |seed| Case {
        local: local.clone(),
        links: LinkProfile::hostile(),
        faults: true,
        crash: false,
        creates: false,
        changes: false,
        workers: 3,
        servers: 2,
        ..Case::of(seed)
    }
}

#[test]
fn law_1_is_seen_broken() {
    let case = hostile(Ssp { staleness: 2 });
    // Answers are lost and the connection stays up for some ticks more: when it is back, an old
    // tick is repeated although a later one has been counted.
    let breaks_within = Duration::from_millis(200);
    let trouble =
        Trouble { drops: 0.0002, control_times: 100.0, breaks_within, ..Trouble::default() };
    let links = LinkProfile::normal().trouble(trouble);
    let fast = |seed| Case { pace: Duration::from_micros(100), links, ..case(seed) };
    is_caught(1, Sabotage::ClockGoesBack, fast);
}

#[test]
fn law_2_is_seen_broken() {
    is_caught(2, Sabotage::ForgetOutcomes, hostile(Eventual));
}

/// Digests by which two runs of the same training are compared.
fn bits(outcome: &Outcome<u64>) -> Vec<u128> {
    outcome.tables.iter().map(|table| table.digest).collect()
}

#[test]
fn law_4_is_seen_broken() {
    let run = |seed, switch| bits(&Case { switch, ..hostile(Bsp)(seed) }.run());
    let by_rank = [run(1, Switch::NONE), run(2, Switch::NONE)];
    assert_eq!(by_rank[0], by_rank[1]);
    let arrival = Switch::on(Sabotage::FoldByArrival);
    assert!((1..5).any(|seed| run(seed, arrival) != by_rank[0]));
}

#[test]
fn law_5_is_seen_broken() {
    is_caught(5, Sabotage::SspServesEarly, hostile(Ssp { staleness: 0 }));
    is_caught(5, Sabotage::SspWaitsLonger, hostile(Ssp { staleness: 3 }));
    is_caught(5, Sabotage::TickOvertakesData, hostile(Bsp));
}

#[test]
fn law_9_is_seen_broken() {
    let crashed = |seed| Case { crash: true, faults: false, ..hostile(Bsp)(seed) };
    is_caught(9, Sabotage::KeepTheDead, crashed);
    let outcome = crashed(3).run();
    assert!(outcome.is_good() && outcome.end == End::Done, "{}", outcome.report());
}

#[test]
fn law_11_is_seen_broken() {
    is_caught(11, Sabotage::DropLastKey, hostile(Bsp));
}

/// Workers that all push a whole table, larger than the bound of the stash.
fn stash(seed: u64, workers: u32, switch: Switch) -> (Outcome<u64>, Vec<Violation>) {
    let spec = TableSpec::dense("large", STASH_ROWS).block_elements(4096);
    let policy = TablePolicy::local(Bsp).bsp_stash_bytes_max(STASH_BYTES);
    let builder = Cluster::builder(seed).table(spec, policy, Hyper::default()).switch(switch);
    let mut cluster = builder.group(workers).build().unwrap();
    let w = cluster.table(0).unwrap();
    for _ in 0..workers {
        let w = w.clone();
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            let mut x = vec![0.0_f32; STASH_ROWS as usize];
            for _ in 0..3 {
                me.exchange(&w, .., &vec![1.0; STASH_ROWS as usize], &mut x).await?;
            }
            me.finish().await?;
            let wrong = x.iter().position(|x| *x != (3 * workers) as f32);
            assert_eq!(wrong.map(|at| (at, x[at])), None, "seed {seed}");
            Ok(0)
        });
    }
    let outcome = cluster.run().unwrap();
    let found = check_all(&outcome.history, &Expected::default());
    (outcome, found)
}

#[test]
fn law_12_is_seen_broken() {
    for seed in 0..3 {
        let (outcome, found) = stash(seed, 5, Switch::NONE);
        assert!(outcome.is_good(), "seed {seed}: {}", outcome.report());
        assert!(found.is_empty(), "seed {seed}: {}", shown(&found));
        let stats = outcome.tables[0].servers[0].stats;
        // What the worker next in order may add: a fold of the ranks before it, its own pushes.
        let most = STASH_BYTES as u64 + 2 * STASH_ROWS * 4;
        assert!((STASH_BYTES as u64 / 2..=most).contains(&stats.stash_bytes_peak));
        // Each request counts once, however often it was looked at or sent again.
        let waited = outcome.history.records().iter().filter_map(|record| match record.event {
            Event::WaitBegan { origin, sequence, .. } => Some((origin, sequence)),
            _ => None,
        });
        let waited: BTreeSet<_> = waited.collect();
        assert_eq!(stats.waits, waited.len() as u64, "seed {seed}");
        assert!(stats.waits > 0);
    }
    let (_, found) = stash(1, 5, Switch::on(Sabotage::UnboundedStash));
    assert!(found.iter().any(|violation| violation.law == Law(12)));
}

/// Each try of a deferred push sends its data again, so the tries must not grow with the number
/// of pushes that wait.
#[test]
fn a_deferred_push_is_tried_again_only_when_it_may_go_on() {
    for workers in [4, 12] {
        let (outcome, _) = stash(7, workers, Switch::NONE);
        assert!(outcome.is_good(), "{}", outcome.report());
        let pushes = outcome.tables[0].servers[0].stats.pushes;
        let deferred = outcome.history.records().iter().filter(|record| match &record.event {
            Event::WaitBegan { reason, .. } => {
                matches!(reason.what, WaitFor::StashFull | WaitFor::EarlierPush)
            },
            _ => false,
        });
        let deferred = deferred.count() as u64;
        assert!(deferred > pushes / 4, "{workers} workers: {deferred} of {pushes}: no pressure");
        assert!(deferred <= 2 * pushes, "{workers} workers: {deferred} tries of {pushes} failed");
    }
}

const SEEDS: u64 = 45;
const STASH_ROWS: u64 = 200_000;
const STASH_BYTES: usize = 512 << 10;
const CRASH: Duration = Duration::from_millis(400);
const CALM: Duration = Duration::from_secs(2);
