//! Weighted means of rounds between data centres: each sum is divided by the weights of those whose
//! contributions it has, whoever is lost, is back, or loses a connection.

use archipelago::check::{Expected, check_all};
use archipelago::history::Event;
use archipelago::id::{DataCentre, GroupId, Mark, ServerId, SlotIndex, TableId, Tick};
use archipelago::node::mirror::Standing;
use archipelago::node::{Input, Output, Peer};
use archipelago::rules::{Add, Momentum, Sgd};
use archipelago::sim::{Cluster, Fault, LinkProfile, Outcome};
use archipelago::spec::{Combine, Layout};
use archipelago::time::{Duration, Instant};
use archipelago::wire::{Message, MirrorMessage};
use archipelago::{Bsp, Extension, Hyper, Schedule, TablePolicy, TableSpec, Worker};

use crate::faults::{count, hostile};
use crate::play::{Play, copies, copy, millis, shown};
use crate::strangers::{TABLE, delta, end_training, say, server_of, update};

const SECOND: Duration = Duration::from_secs(1);
const ROWS: usize = 300;

/// One data centre with one worker, which pushes the same number everywhere, at each tick.
#[derive(Clone, Copy, Debug)]
struct Site {
    servers: u32,
    pushes: f32,
    ticks: u64,
    cost: Duration,
    /// Up to which tick they cost something else, and what.
    slow: Option<(u64, Duration)>,
    /// What its last tick costs.
    last_cost: Duration,
}

/// Data centres whose means tell who was in each round.
#[derive(Clone, Debug)]
struct Stage {
    sites: Vec<Site>,
    rule: Extension,
    wan: LinkProfile,
    faults: Vec<(Duration, Fault)>,
}

impl Site {
    fn new(pushes: f32, ticks: u64, cost: Duration) -> Self {
        Self { servers: 1, pushes, ticks, cost, slow: None, last_cost: cost }
    }

    fn cost(&self, tick: u64) -> Duration {
        let slow = self.slow.filter(|(last, _)| tick <= *last).map(|(_, cost)| cost);
        if tick == self.ticks { self.last_cost } else { slow.unwrap_or(self.cost) }
    }
}

impl Stage {
    fn new(sites: impl IntoIterator<Item = Site>, latency: Duration) -> Self {
        let sites = sites.into_iter().collect();
        let wan = LinkProfile::normal().latency(latency);
        Self { sites, rule: Sgd.into(), wan, faults: Vec::new() }
    }

    fn servers(&self, site: usize) -> Vec<Peer> {
        let before: u32 = self.sites[..site].iter().map(|site| site.servers).sum();
        let own = before..before + self.sites[site].servers;
        own.map(|server| Peer::Server(ServerId(server))).collect()
    }

    /// Nothing passes between the first two for a while.
    fn cut(mut self, at: Duration, lasts: Duration) -> Self {
        let (a, b) = (self.servers(0), self.servers(1));
        self.faults.push((at, Fault::Partition { a, b, lasts }));
        self
    }

    /// All connections between the first two break.
    fn breaks(mut self, at: Duration) -> Self {
        for a in self.servers(0) {
            self.faults.extend(self.servers(1).into_iter().map(|b| (at, Fault::Break { a, b })));
        }
        self
    }

    fn cluster<'a>(&self, seed: u64) -> Cluster<'a, Vec<f32>> {
        let mean = Combine::WeightedMean { round_weight: 2.0 };
        let spec = TableSpec::dense("w", ROWS as u64).block_elements(64).slots(5);
        let spec = spec.rule(self.rule.clone()).combine(mean);
        let hyper = Hyper::rate(Schedule::Constant(0.5));
        let policy = TablePolicy::local(Bsp).global(Bsp);
        let mut builder = Cluster::builder(seed).table(spec, policy, hyper).group(1);
        for (name, site) in self.sites.iter().enumerate() {
            builder = builder.data_centre(format!("dc{name}"), site.servers);
        }
        for (a, b) in (0..self.sites.len()).flat_map(|a| (0..a).map(move |b| (a, b))) {
            for (a, b) in self
                .servers(a)
                .into_iter()
                .flat_map(|a| self.servers(b).into_iter().map(move |b| (a, b)))
            {
                builder = builder.link(a, b, self.wan).link(b, a, self.wan);
            }
        }
        let faults = self.faults.iter();
        let builder = faults.fold(builder, |it, (at, fault)| it.fault(*at, fault.clone()));
        let mut cluster = builder.deadline(3600 * SECOND).build().unwrap();
        let w = cluster.table(0).unwrap();
        for (number, site) in (0..).map(DataCentre).zip(self.sites.clone()) {
            let w = w.clone();
            cluster.spawn_in(number, GroupId(0), Duration::ZERO, async move |me| {
                let mut read = Vec::new();
                for tick in 1..=site.ticks {
                    let mut x = vec![0.0_f32; ROWS];
                    me.pull(&w, .., &mut x).await?;
                    read.extend(x);
                    me.compute(site.cost(tick)).await;
                    me.push(&w, .., &[site.pushes; ROWS]).await?;
                    me.tick().await?;
                }
                me.finish().await?;
                Ok(read)
            });
        }
        cluster
    }

    /// Runs it to a good end at which all copies are equal; whether that broke a law.
    fn run(&self, seed: u64) -> (Outcome<Vec<f32>>, String) {
        let outcome = self.cluster(seed).run().unwrap();
        assert!(outcome.is_good(), "{}", outcome.report());
        copy(&outcome);
        let data_centres = outcome.data_centres.clone();
        let expected = Expected { data_centres, ..Expected::default() };
        let found = shown(&check_all(&outcome.history, &expected));
        (outcome, found)
    }
}

/// The mean of each round at each element, as a worker has read it.
fn means(outcome: &Outcome<Vec<f32>>, site: usize) -> Vec<Vec<f32>> {
    let read = outcome.results[site].as_ref().and_then(|result| result.as_ref().ok());
    let read = read.unwrap_or_else(|| unreachable!("{}", outcome.report()));
    let ticks: Vec<_> = read.chunks_exact(ROWS).collect();
    let between = ticks.windows(2).map(|pair| pair[0].iter().zip(pair[1]));
    between
        .map(|elements| elements.map(|(before, after)| (before - after) / 0.5).collect())
        .collect()
}

/// Both go on alone for a while. Who is behind when it is back hears the other's clocks and none of
/// its aggregates: until it has caught up it divides by its own weight alone.
#[test]
fn who_is_back_and_behind_divides_by_the_weights_of_what_it_has() {
    let late = Site { slow: Some((30, SECOND)), ..Site::new(3.0, 400, millis(20)) };
    for (seed, servers) in [(1, [1, 1]), (2, [1, 1]), (3, [2, 3]), (4, [3, 1])] {
        let [a, b] = servers;
        let steady = Site { servers: a, ..Site::new(1.0, 400, millis(100)) };
        let stage = Stage::new([steady, Site { servers: b, ..late }], millis(20));
        let stage = stage.cut(10 * SECOND, 50 * SECOND);
        let (mut seen, mut cluster) = (Vec::new(), stage.cluster(seed));
        cluster.sample(millis(100), |sample| {
            let standing = sample.mirror_standing(ServerId(0), TableId(0)).unwrap();
            seen.push(standing.others[0].2);
        });
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{}", outcome.report());
        seen.dedup();
        let [counts, lost] = [Standing::Counts, Standing::Lost];
        assert_eq!(seen, [counts, lost, Standing::Behind, counts], "{servers:?}");
        for (site, alone) in [(0, 1.0), (1, 3.0)] {
            let means = means(&outcome, site);
            for element in 0..ROWS {
                let mut means: Vec<_> = means.iter().map(|round| round[element]).collect();
                means.dedup();
                assert_eq!(means, [2.0, alone, 2.0], "{servers:?}, site {site}, {element}");
            }
        }
    }
}

/// A worker who has pushed its last ends at once: its last two rounds and the end are under way
/// together, and a break loses all three clocks.
#[test]
fn a_break_at_the_end_loses_no_weight() {
    let mut slow = Site::new(1.0, 6, millis(300));
    slow.last_cost = millis(5);
    let mut stage = Stage::new([slow, Site::new(3.0, 6, millis(10))], millis(100));
    stage.rule = Momentum { beta: 0.9 }.into();
    let (calm, found) = stage.run(1);
    assert_eq!(found, "");
    for at in (1300..2100).step_by(10) {
        let (outcome, found) = stage.clone().breaks(millis(at)).run(1);
        assert_eq!((found.as_str(), copies(&outcome)), ("", copies(&calm)), "break at {at} ms");
        assert_eq!(outcome.results, calm.results, "break at {at} ms");
    }
}

/// Nobody waits for one that has ended: many rounds of the other are under way together.
#[test]
fn a_break_after_one_has_ended_loses_no_weight() {
    let sites = [Site::new(1.0, 60, millis(10)), Site::new(3.0, 3, millis(10))];
    for servers in [[1, 1], [2, 1]] {
        let mut stage = Stage::new(sites, millis(100));
        (stage.sites[0].servers, stage.sites[1].servers) = (servers[0], servers[1]);
        stage.rule = Momentum { beta: 0.9 }.into();
        let (calm, found) = stage.run(1);
        assert_eq!(found, "");
        for at in (600..1800).step_by(50) {
            let (outcome, found) = stage.clone().breaks(millis(at)).run(1);
            let lost = |event: &Event| matches!(event, Event::DataCentreLost { .. });
            let mut events = outcome.history.records().iter().map(|record| &record.event);
            assert!(!events.any(lost), "break at {at} ms");
            assert_eq!((found.as_str(), copies(&outcome)), ("", copies(&calm)), "break at {at} ms");
        }
    }
}

/// The same whatever is lost, on the way of clocks or of data, over and over.
#[test]
fn hostile_links_to_one_that_has_ended_lose_no_weight() {
    let sites = [Site::new(1.0, 60, millis(30)), Site::new(3.0, 3, millis(10))];
    let mut stage = Stage::new(sites, millis(50));
    stage.rule = Momentum { beta: 0.9 }.into();
    let (calm, found) = stage.run(1);
    assert_eq!(found, "");
    stage.wan = LinkProfile::hostile().latency(millis(50));
    stage.faults.push((10 * SECOND, Fault::Calm));
    for seed in 0..30 {
        let (outcome, found) = stage.run(seed);
        assert_eq!((found.as_str(), copies(&outcome)), ("", copies(&calm)), "seed {seed}");
    }
}

/// As of sums: whatever chance does to links, copies are those of quiet ones, as long as nobody is
/// lost.
#[test]
fn hostile_links_change_no_mean() {
    let combine = Combine::WeightedMean { round_weight: 6.0 };
    let dense = TableSpec::dense("w", 300).block_elements(64).slots(8);
    let sparse = TableSpec::sparse("w", 1).slots(8);
    let specs = [dense, sparse].map(|spec| spec.rule(Momentum { beta: 0.9 }).combine(combine));
    let quiet = specs.clone().map(|spec| copy(&Play::new(Bsp).ticks(25).spec(spec).run(1)));
    let mut whole = 0;
    for seed in 100..140 {
        let (mut play, stopped) = hostile(seed);
        let which = usize::from(play.spec.layout == Layout::Sparse);
        (play.global, play.local) = (Bsp.into(), Bsp.into());
        play.spec = specs[which].clone();
        let outcome = play.run(seed);
        let lost = count(&outcome, |event| matches!(event, Event::DataCentreLost { .. })) > 0;
        match (stopped, lost) {
            (true, _) => assert_eq!(copies(&outcome)[0], copies(&outcome)[1], "seed {seed}"),
            (false, true) => assert!(copy(&outcome) != 0, "seed {seed}"),
            (false, false) => assert_eq!(copy(&outcome), quiet[which], "seed {seed}"),
        }
        whole += usize::from(!stopped && !lost);
    }
    assert!(whole > 10, "{whole}");
}

/// Each server tells with what it owns by what to divide it. Of one that has lost this data centre
/// while another one of its servers has not, there is neither; and what comes without a weight is
/// left out. Aggregates are confirmed once their clock has come, and so has their weight.
#[test]
fn each_server_tells_the_weight_of_what_it_owns() {
    let combine = Combine::WeightedMean { round_weight: 1.0 };
    let spec = TableSpec::dense("w", 512).block_elements(64).slots(8).rule(Add);
    let (mut node, there) = server_of(spec.combine(combine), Bsp);
    end_training(&mut node);
    for server in [1, 2] {
        say(&mut node, Instant::EPOCH, Input::PeerUp(Peer::Server(ServerId(server))));
    }
    let owner = |slot: u32| there.owner(TABLE, SlotIndex(slot)).unwrap();
    let confirms = |outputs: Vec<Output>| {
        let is_confirm = |output: &Output| match output {
            Output::Send { message: Message::Mirror { message, .. }, .. } => {
                matches!(message, MirrorMessage::Confirm { result: Ok(()), .. })
            },
            _ => false,
        };
        outputs.iter().filter(|output| is_confirm(output)).count()
    };
    let mut hear = |from: ServerId, message: MirrorMessage| {
        let (from, of) = (Peer::Server(from), DataCentre(1));
        let message = Message::Mirror { table: TABLE, of, message };
        confirms(say(&mut node, Instant::EPOCH, Input::Message { from, message }))
    };
    let slots = |server| (0..8).filter(|slot| owner(*slot) == server).collect::<Vec<_>>();
    for (server, weight) in [(ServerId(1), Some(4.0)), (ServerId(2), None)] {
        let slots = slots(server);
        for slot in &slots {
            let told = update(*slot, 1, delta(u64::from(*slot) * 64, &[8.0; 64]));
            assert_eq!(hear(server, told.clone()) + hear(server, told), 0, "before its clock");
        }
        let marks = slots.iter().map(|slot| (SlotIndex(*slot), Mark(1))).collect();
        let (previous, tick, ended) = (None, Tick(1), false);
        let clock = MirrorMessage::Clock { previous, tick, weight, ended, marks };
        assert_eq!(hear(server, clock), slots.len());
        let again = update(slots[0], 1, delta(u64::from(slots[0]) * 64, &[8.0; 64]));
        assert_eq!(hear(server, again), 1);
    }
    for (range, values) in node.values::<f32>(TABLE).unwrap() {
        for (key, value) in (range.first().0..).zip(values) {
            let expected = if owner(key as u32 / 64) == ServerId(1) { 2.0 } else { 0.0 };
            assert_eq!(value, expected, "{key}");
        }
    }
}
