//! Stage directions for a cluster, in `scenarios/*.txt`: who plays, what goes wrong when, and what
//! the audience must see. Every scenario also has to keep all laws that a history can show.
//!
//! One direction a line, `#` begins a remark:
//!
//! ```text
//! seed 7 | servers 3 | workers 2 | ticks 20 | compute 10ms | links hostile
//! policy bsp | policy ssp 1 | policy eventual
//! at 120ms partition worker 0 from server 1 for 2s
//! at 120ms break worker 0 from server 1
//! at 1s crash worker 1 | at 1s silence worker 1 | at 1s pause worker 1 for 10s
//! at 0ms slow worker 0 to server 1 latency 40ms | at 1s join | at 2s calm
//! expect worker 0 finishes | expect worker 1 crashes | expect worker 1 lost silent
//! expect nobody lost | expect rounds 20 on every server | expect the bits of quiet links
//! expect time under 3s | expect time over 30s
//! ```

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "training/mod.rs"]
mod training;

use std::fs;
use std::path::Path;

use archipelago::check::{Expected, check_all};
use archipelago::error::Loss;
use archipelago::history::Event;
use archipelago::id::{GroupId, ServerId};
use archipelago::node::Peer;
use archipelago::sim::{Cluster, Fault, LinkProfile, Outcome};
use archipelago::time::Duration;
use archipelago::{Bsp, Eventual, Extension, Ssp};

/// A scenario, parsed.
struct Scenario {
    seed: u64,
    servers: u32,
    workers: u32,
    ticks: u64,
    compute: Duration,
    local: Extension,
    links: LinkProfile,
    faults: Vec<(Duration, Fault)>,
    joins: Vec<Duration>,
    expected: Vec<Expectation>,
}

/// What must be seen.
enum Expectation {
    Finishes(usize),
    Crashes(usize),
    Lost(usize, Loss),
    NobodyLost,
    Rounds(u64),
    QuietBits,
    Under(Duration),
    Over(Duration),
}

impl Scenario {
    fn parse(text: &str) -> Result<Self, String> {
        let mut scenario = Self {
            seed: 1,
            servers: 1,
            workers: 1,
            ticks: 10,
            compute: Duration::from_millis(10),
            local: Bsp.into(),
            links: LinkProfile::normal(),
            faults: Vec::new(),
            joins: Vec::new(),
            expected: Vec::new(),
        };
        for (index, line) in text.lines().enumerate() {
            let words: Vec<_> = line.split_whitespace().collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            let read = scenario.direct(&words);
            read.ok_or_else(|| format!("line {}: {line:?} means nothing", index + 1))?;
        }
        Ok(scenario)
    }

    fn direct(&mut self, words: &[&str]) -> Option<()> {
        match words {
            ["seed", n] => self.seed = number(n)?,
            ["servers", n] => self.servers = number(n)? as u32,
            ["workers", n] => self.workers = number(n)? as u32,
            ["ticks", n] => self.ticks = number(n)?,
            ["compute", cost] => self.compute = duration(cost)?,
            ["policy", "bsp"] => self.local = Bsp.into(),
            ["policy", "ssp", n] => self.local = Ssp { staleness: number(n)? }.into(),
            ["policy", "eventual"] => self.local = Eventual.into(),
            ["links", "normal"] => self.links = LinkProfile::normal(),
            ["links", "hostile"] => self.links = LinkProfile::hostile(),
            ["at", at, "join"] => self.joins.push(duration(at)?),
            ["at", at, what @ ..] => self.faults.push((duration(at)?, fault(what)?)),
            ["expect", what @ ..] => self.expected.push(expectation(what)?),
            _ => return None,
        }
        Some(())
    }

    fn run(&self, links: LinkProfile, faults: &[(Duration, Fault)]) -> Outcome<u64> {
        let mut builder = Cluster::builder(self.seed).servers(self.servers).links(links);
        for (spec, policy, hyper) in training::tables(self.local.clone()) {
            builder = builder.table(spec, policy, hyper);
        }
        for (at, fault) in faults {
            builder = builder.fault(*at, fault.clone());
        }
        let mut cluster = builder.group(self.workers).build().unwrap();
        let together = (0..self.workers).map(|_| Duration::ZERO);
        for starts in together.chain(self.joins.iter().copied()) {
            let (dense, sparse) = (cluster.table(0).unwrap(), cluster.table(1).unwrap());
            cluster.spawn(GroupId(0), starts, async move |me| {
                training::train(&me, (&dense, &sparse), self.ticks, self.compute).await
            });
        }
        cluster.run().unwrap()
    }

    /// What was not as expected.
    fn play(&self) -> Vec<String> {
        let outcome = self.run(self.links, &self.faults);
        let mut wrong = Vec::new();
        if !outcome.is_good() {
            wrong.push(outcome.report());
        }
        let domains = training::tables(Bsp).map(|(spec, ..)| spec.domain).to_vec();
        let found = check_all(&outcome.history, &Expected { domains, ..Expected::default() });
        wrong.extend(found.iter().take(5).map(ToString::to_string));
        for expected in &self.expected {
            wrong.extend(self.judge(expected, &outcome));
        }
        wrong
    }

    fn judge(&self, expected: &Expectation, outcome: &Outcome<u64>) -> Option<String> {
        let time = Duration::from_nanos(outcome.time.0);
        match expected {
            Expectation::Finishes(worker) => {
                let result = outcome.results.get(*worker);
                let good = result == Some(&Some(Ok(self.ticks)));
                (!good).then(|| format!("worker {worker}: {result:?}"))
            },
            Expectation::Crashes(worker) => {
                let result = outcome.results.get(*worker);
                (result != Some(&None)).then(|| format!("worker {worker}: {result:?}"))
            },
            Expectation::Lost(worker, loss) => {
                let lost = losses(outcome, self.servers as usize);
                let found = lost.contains(&(*worker, *loss));
                (!found).then(|| format!("worker {worker} not lost as {loss:?}: {lost:?}"))
            },
            Expectation::NobodyLost => {
                let lost = losses(outcome, self.servers as usize);
                (!lost.is_empty()).then(|| format!("lost: {lost:?}"))
            },
            Expectation::Rounds(rounds) => {
                let shards = outcome.tables.iter().flat_map(|table| &table.servers);
                let mut other = shards.filter(|shard| shard.stats.rounds != *rounds);
                other.next().map(|shard| format!("{}: {} rounds", shard.server, shard.stats.rounds))
            },
            Expectation::QuietBits => {
                let quiet = self.run(LinkProfile::normal(), &[]);
                let same =
                    quiet.tables.iter().zip(&outcome.tables).all(|(a, b)| a.digest == b.digest);
                (!same).then(|| "the bits differ from those of quiet links".into())
            },
            Expectation::Under(limit) => (time >= *limit).then(|| format!("took {time:?}")),
            Expectation::Over(limit) => (time <= *limit).then(|| format!("took {time:?} only")),
        }
    }
}

/// Which workers were lost, by token, and why.
fn losses(outcome: &Outcome<u64>, servers: usize) -> Vec<(usize, Loss)> {
    let records = outcome.history.records();
    let token = |lost| {
        let joined = records.iter().find(|record| match &record.event {
            Event::Joined { origin, .. } => *origin == lost,
            _ => false,
        });
        joined.map_or(usize::MAX, |record| record.node as usize - servers)
    };
    let lost = records.iter().filter_map(|record| match &record.event {
        Event::WorkerLost { origin, why } => Some((token(*origin), *why)),
        _ => None,
    });
    lost.collect()
}

fn fault(words: &[&str]) -> Option<Fault> {
    Some(match words {
        ["partition", ka, a, "from", kb, b, "for", lasts] => Fault::Partition {
            a: vec![peer(ka, a)?],
            b: vec![peer(kb, b)?],
            lasts: duration(lasts)?,
        },
        ["break", ka, a, "from", kb, b] => Fault::Break { a: peer(ka, a)?, b: peer(kb, b)? },
        ["crash", "worker", worker] => Fault::Crash { worker: number(worker)?, silent: false },
        ["silence", "worker", worker] => Fault::Crash { worker: number(worker)?, silent: true },
        ["pause", "worker", worker, "for", lasts] => {
            Fault::Pause { worker: number(worker)?, lasts: duration(lasts)? }
        },
        ["slow", ka, a, "to", kb, b, "latency", latency] => {
            let profile = LinkProfile::normal().latency(duration(latency)?);
            Fault::Link { a: peer(ka, a)?, b: peer(kb, b)?, profile }
        },
        ["calm"] => Fault::Calm,
        _ => return None,
    })
}

fn expectation(words: &[&str]) -> Option<Expectation> {
    Some(match words {
        ["worker", worker, "finishes"] => Expectation::Finishes(number(worker)? as usize),
        ["worker", worker, "crashes"] => Expectation::Crashes(number(worker)? as usize),
        ["worker", worker, "lost", why] => {
            let losses = [("silent", Loss::Silent), ("peer_down", Loss::PeerDown)];
            let loss = losses.into_iter().find(|(name, _)| name == why)?.1;
            Expectation::Lost(number(worker)? as usize, loss)
        },
        ["nobody", "lost"] => Expectation::NobodyLost,
        ["rounds", rounds, "on", "every", "server"] => Expectation::Rounds(number(rounds)?),
        ["the", "bits", "of", "quiet", "links"] => Expectation::QuietBits,
        ["time", "under", limit] => Expectation::Under(duration(limit)?),
        ["time", "over", limit] => Expectation::Over(duration(limit)?),
        _ => return None,
    })
}

fn peer(kind: &str, number: &str) -> Option<Peer> {
    match kind {
        "server" => Some(Peer::Server(ServerId(number.parse().ok()?))),
        "worker" => Some(Peer::Worker(number.parse().ok()?)),
        _ => None,
    }
}

fn number(word: &str) -> Option<u64> {
    word.parse().ok()
}

fn duration(word: &str) -> Option<Duration> {
    let digits = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    match &word[digits.len()..] {
        "ms" => Some(Duration::from_millis(number(digits)?)),
        "s" => Some(Duration::from_secs(number(digits)?)),
        _ => None,
    }
}

#[test]
fn every_scenario_ends_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 9, "scenarios are missing");
    let mut wrong = Vec::new();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let scenario = Scenario::parse(&fs::read_to_string(&path).unwrap());
        let found = scenario.map_or_else(|error| vec![error], |scenario| scenario.play());
        wrong.extend(found.into_iter().map(|what| format!("{name}: {what}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_wrong_expectation_is_noticed() {
    let text = "workers 2\nticks 3\nexpect worker 1 crashes\nexpect rounds 4 on every server\n\
                expect worker 0 finishes\nexpect time over 1s\nexpect worker 0 lost silent";
    assert_eq!(Scenario::parse(text).unwrap().play().len(), 4);
    let unknown = Scenario::parse("workers 2\nat 1s explode worker 0").err();
    assert_eq!(unknown.as_deref(), Some("line 2: \"at 1s explode worker 0\" means nothing"));
}
