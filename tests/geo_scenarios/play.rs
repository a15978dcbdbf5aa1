//! A system of data centres whose workers push made-up contributions: the stage of all scenarios.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

use std::collections::BTreeSet;

use archipelago::check::{Expected, Violation, check_all};
use archipelago::id::{DataCentre, GroupId, ServerId, TableId, Tick};
use archipelago::node::Peer;
use archipelago::node::mirror::Standing;
use archipelago::node::sabotage::Switch;
use archipelago::node::worker::RemoteWorker;
use archipelago::placement::Overlay;
use archipelago::rules::Sgd;
use archipelago::sim::{Builder, Cluster, Fault, LinkProfile, Outcome, Sample};
use archipelago::spec::Layout;
use archipelago::time::Duration;
use archipelago::vector::{DType, Element};
use archipelago::{
    Bsp, Extension, Hyper, KeyList, Schedule, Table, TablePolicy, TableSpec, Worker, rng,
};

/// One data centre.
#[derive(Clone, Debug)]
pub(crate) struct Site {
    pub(crate) servers: u32,
    /// What each worker's computation of a tick costs.
    pub(crate) costs: Vec<Duration>,
    pub(crate) ticks: u64,
    /// Whether its workers push anything.
    pub(crate) pushes: bool,
}

/// A run, before it begins.
#[derive(Clone, Debug)]
pub(crate) struct Play {
    pub(crate) sites: Vec<Site>,
    pub(crate) spec: TableSpec,
    pub(crate) local: Extension,
    pub(crate) global: Extension,
    pub(crate) hyper: Hyper,
    /// Within data centres, and between them.
    pub(crate) lan: LinkProfile,
    pub(crate) wan: LinkProfile,
    pub(crate) faults: Vec<(Duration, Fault)>,
    pub(crate) switch: Switch,
    pub(crate) deadline: Duration,
    pub(crate) record: bool,
    /// Keys of a sparse table that each worker touches in a tick.
    pub(crate) keys: u64,
    pub(crate) overlay: Option<Overlay>,
}

pub(crate) fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

impl Site {
    pub(crate) fn new(servers: u32, workers: u32) -> Self {
        let costs = vec![millis(20); workers as usize];
        Self { servers, costs, ticks: 10, pushes: true }
    }
}

impl Play {
    /// Three data centres of two servers and two workers each, 40 ms and 5 MB/s apart.
    pub(crate) fn new(global: impl Into<Extension>) -> Self {
        let wan = LinkProfile::normal()
            .latency(millis(40))
            .jitter_max(millis(5))
            .bytes_per_second(5_000_000);
        Self {
            sites: vec![Site::new(2, 2); 3],
            spec: TableSpec::dense("w", 300).block_elements(64).slots(5).rule(Sgd),
            local: Bsp.into(),
            global: global.into(),
            hyper: Hyper::rate(Schedule::Constant(0.125)),
            lan: LinkProfile::normal(),
            wan,
            faults: Vec::new(),
            switch: Switch::NONE,
            deadline: Duration::from_secs(3600),
            record: true,
            keys: 40,
            overlay: None,
        }
    }

    pub(crate) fn local(mut self, local: impl Into<Extension>) -> Self {
        self.local = local.into();
        self
    }

    pub(crate) fn spec(mut self, spec: TableSpec) -> Self {
        self.spec = spec;
        self
    }

    pub(crate) fn sites(mut self, sites: impl IntoIterator<Item = Site>) -> Self {
        self.sites = sites.into_iter().collect();
        self
    }

    pub(crate) fn ticks(mut self, ticks: u64) -> Self {
        self.sites.iter_mut().for_each(|site| site.ticks = ticks);
        self
    }

    pub(crate) fn wan(mut self, latency: Duration, bytes_per_second: u64) -> Self {
        self.wan = self.wan.latency(latency).bytes_per_second(bytes_per_second);
        self
    }

    pub(crate) fn fault(mut self, at: Duration, fault: Fault) -> Self {
        self.faults.push((at, fault));
        self
    }

    /// The servers of a site.
    pub(crate) fn servers(&self, site: usize) -> Vec<ServerId> {
        let before: u32 = self.sites[..site].iter().map(|site| site.servers).sum();
        (before..before + self.sites[site].servers).map(ServerId).collect()
    }

    /// The tokens of the workers of a site.
    pub(crate) fn workers(&self, site: usize) -> Vec<u64> {
        let before: usize = self.sites[..site].iter().map(|site| site.costs.len()).sum();
        (before as u64..(before + self.sites[site].costs.len()) as u64).collect()
    }

    /// Nothing passes between a site and all others for a while.
    pub(crate) fn cut_off(self, site: usize, at: Duration, lasts: Duration) -> Self {
        let others: Vec<_> = (0..self.sites.len()).filter(|other| *other != site).collect();
        self.cut_between(&[site], &others, at, lasts)
    }

    /// Nothing passes between some sites and some others for a while.
    pub(crate) fn cut_between(
        self,
        some: &[usize],
        others: &[usize],
        at: Duration,
        lasts: Duration,
    ) -> Self {
        let peers = |site: &usize| self.servers(*site).into_iter().map(Peer::Server);
        let a = some.iter().flat_map(peers).collect();
        let b = others.iter().flat_map(peers).collect();
        self.fault(at, Fault::Partition { a, b, lasts })
    }

    /// All processes of a site stop at once, and nobody is told.
    pub(crate) fn stop(mut self, site: usize, at: Duration) -> Self {
        for server in self.servers(site) {
            self = self.fault(at, Fault::Stop { server });
        }
        for worker in self.workers(site) {
            self = self.fault(at, Fault::Crash { worker, silent: true });
        }
        self
    }

    fn part(&self, who: u64, cost: Duration, site: &Site) -> Part {
        Part { who, cost, site: site.clone(), keys: self.keys }
    }

    fn builder(&self, seed: u64) -> Builder {
        let policy = TablePolicy::local(self.local.clone()).global(self.global.clone());
        let mut builder = Cluster::builder(seed)
            .table(self.spec.clone(), policy, self.hyper)
            .links(self.lan)
            .switch(self.switch)
            .record_history(self.record)
            .deadline(self.deadline);
        for (name, site) in self.sites.iter().enumerate() {
            builder = builder.data_centre(format!("dc{name}"), site.servers);
        }
        if let Some(overlay) = &self.overlay {
            builder = builder.overlay(overlay.clone());
        }
        for (a, b) in (0..self.sites.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            for (a, b) in pairs(&self.servers(a), &self.servers(b)) {
                let (a, b) = (Peer::Server(a), Peer::Server(b));
                builder = builder.link(a, b, self.wan).link(b, a, self.wan);
            }
        }
        let faults = self.faults.iter();
        faults.fold(builder, |builder, (at, fault)| builder.fault(*at, fault.clone()))
    }

    /// Runs it to its end, however that is.
    pub(crate) fn play(&self, seed: u64) -> Outcome<Vec<f64>> {
        self.play_sampled(seed, Duration::from_secs(3600), |_| {})
    }

    /// As `play`, and looks at it from time to time.
    pub(crate) fn play_sampled(
        &self,
        seed: u64,
        every: Duration,
        look: impl FnMut(Sample<'_>),
    ) -> Outcome<Vec<f64>> {
        let size = self.sites.iter().map(|site| site.costs.len()).max().unwrap_or(0);
        let alike = self.sites.iter().all(|site| site.costs.len() == size);
        // Groups have one size for all data centres: those with fewer workers have another group.
        let mut sizes: Vec<_> = self.sites.iter().map(|site| site.costs.len() as u32).collect();
        sizes.sort_unstable();
        sizes.dedup();
        assert!(alike || sizes.len() > 1);
        let builder = sizes.iter().fold(self.builder(seed), |builder, size| builder.group(*size));
        let mut cluster = builder.build().unwrap();
        cluster.sample(every, look);
        let w = cluster.table(0).unwrap();
        let mut who = 0;
        for (number, site) in (0..).map(DataCentre).zip(&self.sites) {
            let group = sizes.iter().position(|size| *size == site.costs.len() as u32).unwrap();
            for cost in &site.costs {
                let (w, part) = (w.clone(), self.part(who, *cost, site));
                let group = GroupId(group as u32);
                cluster.spawn_in(number, group, Duration::ZERO, async move |me| {
                    match w.spec().dtype {
                        DType::I64 => train::<i64>(me, w, part).await,
                        DType::F64 => train::<f64>(me, w, part).await,
                        _ => train::<f32>(me, w, part).await,
                    }
                });
                who += 1;
            }
        }
        cluster.run().unwrap()
    }

    /// Runs it to a good end that breaks no law.
    pub(crate) fn run(&self, seed: u64) -> Outcome<Vec<f64>> {
        let outcome = self.play(seed);
        let found = self.judge(&outcome);
        assert!(found.is_empty(), "seed {seed}, {}: {}", self.global, shown(&found));
        assert!(outcome.is_good(), "seed {seed}, {}: {}", self.global, outcome.report());
        outcome
    }

    /// The laws that a run has broken.
    pub(crate) fn judge(&self, outcome: &Outcome<Vec<f64>>) -> Vec<Violation> {
        let data_centres = outcome.data_centres.clone();
        let staleness = match self.global.name() {
            "off/1" | "eventual/1" => None,
            _ => Some(self.global.parameter("staleness").unwrap_or(0.0) as u64),
        };
        let (domains, staleness) = (vec![self.spec.domain], vec![staleness]);
        // Copies in step go straight.
        let in_step = staleness == [Some(0)] && self.local.name() == "bsp/1";
        let overlay = self.overlay.clone().filter(|_| !in_step);
        check_all(&outcome.history, &Expected { domains, data_centres, overlay, staleness })
    }
}

pub(crate) fn shown(found: &[Violation]) -> String {
    found.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

fn pairs(a: &[ServerId], b: &[ServerId]) -> Vec<(ServerId, ServerId)> {
    a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b))).collect()
}

/// One worker's part.
#[derive(Clone, Debug)]
struct Part {
    /// Its number among all workers of all data centres.
    who: u64,
    cost: Duration,
    site: Site,
    keys: u64,
}

/// Pulls, and pushes what depends on nothing but who and when, so that sums can be foretold.
async fn train<T: Element>(
    me: RemoteWorker,
    w: Table,
    part: Part,
) -> archipelago::Result<Vec<f64>> {
    let width = w.spec().width as usize;
    let sparse = w.spec().layout == Layout::Sparse;
    let dense_rows = if sparse { 0 } else { w.spec().domain.count() as usize };
    let mut x = vec![T::default(); dense_rows * width];
    for tick in 1..=part.site.ticks {
        let keys = keys(&w, &part, tick);
        if sparse {
            x.resize(keys.len() * width, T::default());
            me.pull(&w, &keys, &mut x).await?;
        } else {
            me.pull(&w, .., &mut x).await?;
        }
        me.compute(part.cost).await;
        let g: Vec<T> = (0..x.len()).map(|at| contribution(part.who, tick, at)).collect();
        if part.site.pushes && sparse {
            me.push(&w, &keys, &g).await?;
        } else if part.site.pushes {
            me.push(&w, .., &g).await?;
        }
        me.tick().await?;
    }
    me.finish().await?;
    Ok(x.into_iter().map(Element::to_f64).collect())
}

/// Contributions of f64 are multiples of its inverse.
const EXACT: f64 = (1 << 20) as f64;

/// In [-1, 1), or of integers in [-1000, 1000); most are small. Sums of f64 are exact, too.
fn contribution<T: Element>(who: u64, tick: u64, at: usize) -> T {
    let unit = rng::unit(rng::mix((who << 48) ^ (tick << 24) ^ at as u64)) * 2.0 - 1.0;
    let skewed = unit * unit * unit;
    T::from_f64(match T::DTYPE {
        DType::I64 => (skewed * 1000.0).trunc(),
        DType::F64 => (skewed * EXACT).trunc() / EXACT,
        _ => skewed,
    })
}

/// The sparse keys that a worker touches in a tick.
fn keys(w: &Table, part: &Part, tick: u64) -> KeyList {
    let of = |i: u64| rng::mix((i * (part.who + 1) + tick) % (part.keys * 2 + 17));
    let all = (0..part.keys).map(of).chain([0, u64::MAX]).collect();
    let all = if w.spec().layout == Layout::Sparse { all } else { Vec::new() };
    KeyList::from_unsorted(all)
}

/// The values of each copy of the table, in one number each.
pub(crate) fn copies<R>(outcome: &Outcome<R>) -> Vec<u128> {
    outcome.tables.iter().map(|table| table.values).collect()
}

/// The one number of all copies.
pub(crate) fn copy<R>(outcome: &Outcome<R>) -> u128 {
    let all: BTreeSet<_> = copies(outcome).into_iter().collect();
    assert_eq!(all.len(), 1, "copies differ: {:x?}", copies(outcome));
    all.into_iter().next().unwrap()
}

/// What the servers of each site hold of the first table.
pub(crate) fn held<T: Element>(sample: &mut Sample<'_>, sites: &[&[u32]]) -> Vec<Vec<T>> {
    let servers = |site: &[u32]| site.iter().copied().map(ServerId).collect::<Vec<_>>();
    sites.iter().map(|site| sample.values(&servers(site), TableId(0))).collect()
}

/// The last tick that has passed at a server, and how a data centre stands there.
pub(crate) fn stands(sample: &Sample<'_>, at: ServerId, of: DataCentre) -> (Tick, Standing) {
    let standing = sample.mirror_standing(at, TableId(0)).unwrap();
    let (_, _, stands) = standing.others.iter().find(|(other, ..)| *other == of).unwrap();
    (standing.passed, *stands)
}
