//! What Gaia's theorem says (NSDI'17 section 3.4), measured: where its three conditions hold, the
//! regret of a convex problem is O(sqrt T); where one of them does not, a run exists in which it is
//! more, and users are warned of that one by its name.

use archipelago::consistency::{Decay, GlobalPolicy, Threshold};
use archipelago::id::{DataCentre, GroupId, ServerId};
use archipelago::node::Peer;
use archipelago::node::worker::RemoteWorker;
use archipelago::rules::Sgd;
use archipelago::sim::{Builder, Cluster, Fault, LinkProfile};
use archipelago::spec::Init;
use archipelago::vector::{Absolute, Relative};
use archipelago::{
    Asp, Extension, Hyper, Schedule, Ssp, Table, TablePolicy, TableSpec, Worker, rng,
};

use crate::play::millis;
use crate::warnings::warnings;

/// Two decades: the ratio is looked at where T = 2^4, 2^5, .. 2^11.
const FIRST_POWER: u32 = 4;
const LAST_POWER: u32 = 11;
/// Of those, how many lie below ten times the first.
const FIRST_DECADE: usize = 4;

const RATE: &str = "the learning rate decays as 1 / sqrt(tick)";
const THRESHOLD: &str = "the threshold decays as 1 / sqrt(tick)";
const STALENESS: &str = "mirror clocks differ by a bounded number of ticks";

const DATA_CENTRES: u32 = 3;
const WORKERS: u32 = 2;
/// Weights of the model.
const SIZE: usize = 4;
/// The one weight vector with the least loss over all data centres, over any even number of ticks.
const BEST: [f64; SIZE] = [2.0, -1.5, 1.0, -0.5];
/// How far the best weights for the first data centre's losses alone are from [`BEST`], in each
/// weight; the second one's lie as far the other way, the third one's are the same.
const LEAN: f64 = 1.0;
/// What is added to a target at every odd tick, and taken away at the next one.
const NOISE: f64 = 1.0;

/// One training of all data centres.
#[derive(Clone, Debug)]
struct Course {
    asp: Asp,
    significance: Extension,
    rate: Schedule,
    /// Whether the first data centre cannot be reached for a minute, a second after the start.
    apart: bool,
}

/// The loss of one worker at one tick: sqrt(1 + r^2) - 1 of the residual r. Convex, and its
/// gradient is at most as long as the features, 2.
struct Loss {
    features: [f64; SIZE],
    target: f64,
}

impl Loss {
    /// The features are those of the same worker in every other data centre and of the tick before
    /// or after. Leans and noise so cancel out: at [`BEST`] the gradients sum to 0.
    fn new((data_centre, worker): (u32, u32), tick: u64) -> Self {
        let pair = (u64::from(worker) << 40) | tick.div_ceil(2);
        let one = |at: usize| rng::unit(rng::mix(pair ^ ((at as u64 + 1) << 50))) * 2.0 - 1.0;
        let features = std::array::from_fn(one);
        let lean = [LEAN, -LEAN, 0.0][data_centre as usize];
        let noise = if tick.is_multiple_of(2) { -NOISE } else { NOISE };
        let target = product(&features, &BEST.map(|weight| weight + lean)) + noise;
        Self { features, target }
    }

    fn at(&self, weights: &[f64; SIZE]) -> f64 {
        (1.0 + self.residual(weights).powi(2)).sqrt() - 1.0
    }

    /// What is pushed: the way down.
    fn descent(&self, weights: &[f64; SIZE]) -> [f64; SIZE] {
        let residual = self.residual(weights);
        let slope = residual / (1.0 + residual * residual).sqrt();
        self.features.map(|feature| feature * slope)
    }

    fn residual(&self, weights: &[f64; SIZE]) -> f64 {
        product(&self.features, weights) - self.target
    }
}

/// All workers: (data centre, rank there).
fn members() -> impl Iterator<Item = (u32, u32)> {
    (0..DATA_CENTRES).flat_map(|data_centre| (0..WORKERS).map(move |rank| (data_centre, rank)))
}

fn product(a: &[f64; SIZE], b: &[f64; SIZE]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

impl Course {
    /// All three conditions hold.
    fn proved() -> Self {
        let asp = Asp {
            hard: Threshold::new(0.2).decay(Decay::InverseSqrt),
            staleness: 8,
            silence_max: millis(300_000),
            ..Asp::default()
        };
        let rate = Schedule::inverse_sqrt(0.3);
        Self { asp, significance: Relative.into(), rate, apart: false }
    }

    fn conditions_broken(&self) -> Vec<&'static str> {
        self.asp.conditions_broken(&self.rate)
    }

    fn builder(&self, seed: u64) -> Builder {
        let policy = TablePolicy::local(Ssp { staleness: 1 })
            .global(self.asp)
            .significance(self.significance.clone());
        let spec = TableSpec::dense("w", SIZE as u64).dtype::<f64>().rule(Sgd);
        let mut builder = Cluster::builder(seed)
            .table(spec.init(Init::Constant(0.0)), policy, Hyper::rate(self.rate))
            .group(WORKERS)
            .links(LinkProfile::normal())
            .record_history(false);
        for data_centre in 0..DATA_CENTRES {
            builder = builder.data_centre(format!("dc{data_centre}"), 1);
        }
        let wan = LinkProfile::normal().latency(millis(40)).jitter_max(millis(5));
        let server = |data_centre| Peer::Server(ServerId(data_centre));
        for (a, b) in (0..DATA_CENTRES).flat_map(|a| (0..a).map(move |b| (a, b))) {
            builder = builder.link(server(a), server(b), wan).link(server(b), server(a), wan);
        }
        if !self.apart {
            return builder;
        }
        let (a, b) = (vec![server(0)], vec![server(1), server(2)]);
        builder.fault(millis(1_000), Fault::Partition { a, b, lasts: millis(60_000) })
    }

    /// Trains for 2^[`LAST_POWER`] ticks; what each worker has read at each of them.
    fn views(&self, seed: u64) -> Vec<Vec<[f64; SIZE]>> {
        let mut cluster = self.builder(seed).build().unwrap();
        let w = cluster.table(0).unwrap();
        for who in members() {
            let w = w.clone();
            cluster.spawn_in(DataCentre(who.0), GroupId(0), millis(0), async move |me| {
                train(me, w, who, 1 << LAST_POWER).await
            });
        }
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{}", outcome.report());
        outcome.results.into_iter().map(|result| result.unwrap().unwrap()).collect()
    }

    /// R\[T\] / sqrt(T) for T = 2^[`FIRST_POWER`], .. 2^[`LAST_POWER`].
    ///
    /// The theorem judges what a worker has read by its own loss. Here all losses of the tick judge
    /// it, averaged over the readers: a difference of at most the gradients' bound times how far
    /// views are apart, O(sqrt T) too where the conditions hold. Otherwise copies that never
    /// exchange anything would pass: each has little regret by its own data centre's losses.
    fn ratios(&self, seed: u64) -> Vec<f64> {
        let views = self.views(seed);
        let (mut regret, mut ratios) = (0.0, Vec::new());
        for tick in 1..=1_u64 << LAST_POWER {
            let losses: Vec<_> = members().map(|who| Loss::new(who, tick)).collect();
            let all =
                |weights: &[f64; SIZE]| -> f64 { losses.iter().map(|it| it.at(weights)).sum() };
            let read = views.iter().map(|views| all(&views[tick as usize - 1])).sum::<f64>();
            regret += read / views.len() as f64 - all(&BEST);
            if tick.is_power_of_two() && tick >= 1 << FIRST_POWER {
                ratios.push(regret / (tick as f64).sqrt());
            }
        }
        ratios
    }
}

/// One worker's part; what it has read, tick by tick.
async fn train(
    me: RemoteWorker,
    w: Table,
    who: (u32, u32),
    ticks: u64,
) -> archipelago::Result<Vec<[f64; SIZE]>> {
    let mut views = Vec::new();
    for tick in 1..=ticks {
        let mut weights = [0.0; SIZE];
        me.pull(&w, .., &mut weights).await?;
        me.compute(millis(10)).await;
        me.push(&w, .., &Loss::new(who, tick).descent(&weights)).await?;
        views.push(weights);
        me.tick().await?;
    }
    me.finish().await?;
    Ok(views)
}

/// The last ratio as a share of the largest one of the first decade: above 1 the regret has grown
/// faster than sqrt T.
fn growth(ratios: &[f64]) -> f64 {
    let first_decade = ratios[..FIRST_DECADE].iter().copied().fold(f64::MIN, f64::max);
    ratios.last().unwrap() / first_decade
}

/// The course with the one condition of that name broken, and nothing else.
fn broken(condition: &str) -> Course {
    let proved = Course::proved();
    match condition {
        RATE => Course { rate: Schedule::Constant(0.3), ..proved },
        // What is never told may move a weight by 2: more than the leans do.
        THRESHOLD => Course {
            asp: Asp { hard: Threshold::new(2.0), ..proved.asp },
            significance: Absolute.into(),
            ..proved
        },
        _ => Course { asp: Asp { staleness: u64::MAX, ..proved.asp }, apart: true, ..proved },
    }
}

#[test]
fn regret_is_of_the_order_of_sqrt_t_where_the_three_conditions_hold() {
    for apart in [false, true] {
        let course = Course { apart, ..Course::proved() };
        assert_eq!(course.conditions_broken(), [""; 0]);
        for seed in [1, 2] {
            let ratios = course.ratios(seed);
            assert!(growth(&ratios) <= 1.0, "apart: {apart}, seed {seed}: {ratios:.3?}");
            assert!(ratios.iter().all(|ratio| *ratio > 0.0), "seed {seed}: {ratios:.3?}");
        }
    }
}

/// Each with all else as above, so that the test before could have failed.
#[test]
fn regret_is_more_where_one_of_the_conditions_is_broken() {
    for condition in [RATE, THRESHOLD, STALENESS] {
        let course = broken(condition);
        assert_eq!(course.conditions_broken(), [condition]);
        let ratios = course.ratios(1);
        assert!(growth(&ratios) > 2.0, "{condition}: {ratios:.3?}");
    }
}

/// By the keeper of each data centre, once.
#[test]
fn servers_warn_of_each_condition_that_is_broken_by_its_name() {
    let warned = |course: Course| {
        warnings(|| {
            let cluster = course.builder(1).build::<()>().unwrap();
            assert!(cluster.run().unwrap().is_good());
        })
    };
    assert_eq!(warned(Course::proved()), [""; 0]);
    for condition in [RATE, THRESHOLD, STALENESS] {
        let heard = warned(broken(condition));
        let named = format!("table = w, condition = {condition}");
        let count = heard.iter().filter(|line| line.contains(&named)).count();
        assert_eq!((count, heard.len()), (DATA_CENTRES as usize, count), "{heard:#?}");
    }
    let all = Course { rate: Schedule::Constant(0.3), apart: false, ..broken(STALENESS) };
    let all = Course { asp: Asp { hard: Threshold::new(0.2), ..all.asp }, ..all };
    assert_eq!(all.conditions_broken(), [RATE, THRESHOLD, STALENESS]);
    assert_eq!(warned(all).len(), 3 * DATA_CENTRES as usize);
}
