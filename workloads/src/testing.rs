//! A store for tests: one process, Bsp only, rules `sgd/1` and `adagrad/1`.
//!
//! As small as the meaning of the operations allows, so that training functions are tested
//! against the contract and not against one driver.

use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use archipelago::id::{Origin, Rank, Sequence, TableId};
use archipelago::key::Key;
use archipelago::rng::Rng;
use archipelago::sync::{Arc, AtomicU64, Mutex, Ordering};
use archipelago::time::Duration;
use archipelago::vector::Element;
use archipelago::{
    AckLevel, Combine, Extension, Hyper, PushOptions, Result, Rows, Seen, Selection, Stamp, Table,
    TablePolicy, TableSpec, Tick, Worker,
};

/// The contributions of one round to one table, by worker: weight, then (element, value) in order.
type Round = BTreeMap<Rank, (f64, Vec<(usize, f32)>)>;

#[derive(Debug)]
struct Lanes {
    values: Vec<f32>,
    squares: Vec<f32>,
    /// Zero between rounds.
    sums: Vec<f32>,
    rounds: BTreeMap<Tick, Round>,
    table: Table,
}

#[derive(Debug)]
struct State {
    tables: Vec<Lanes>,
    /// The current tick of each member; `None` once it has left.
    ticks: Vec<Option<Tick>>,
    /// The last closed round.
    closed: Tick,
}

/// The store and its group.
#[derive(Clone, Debug)]
pub(crate) struct Bench {
    state: Arc<Mutex<State>>,
    tables: Vec<Table>,
}

/// One member of the group.
#[derive(Debug)]
pub(crate) struct Member {
    bench: Bench,
    rank: Rank,
    size: u32,
    computed: AtomicU64,
}

impl Bench {
    pub(crate) fn new(tables: Vec<(TableSpec, Hyper)>, workers: u32) -> Self {
        let local = Extension::new("bsp/1");
        let table = |(index, (spec, hyper)): (usize, (TableSpec, Hyper))| {
            spec.check().unwrap();
            Table::new(TableId(index as u32), spec, TablePolicy::local(local.clone()), hyper)
        };
        let tables: Vec<Table> = tables.into_iter().enumerate().map(table).collect();
        let lanes = |table: &Table| {
            let spec = table.spec();
            let mut values = vec![0.0; (spec.rows() * u64::from(spec.width)) as usize];
            spec.fill_init(spec.domain.first(), &mut values);
            let (squares, sums) = (vec![0.0; values.len()], vec![0.0; values.len()]);
            let table = table.clone();
            Lanes { values, squares, sums, rounds: BTreeMap::new(), table }
        };
        let state = State {
            tables: tables.iter().map(lanes).collect(),
            ticks: vec![Some(Tick::FIRST); workers as usize],
            closed: Tick(0),
        };
        Self { state: Arc::new(Mutex::new(state)), tables }
    }

    pub(crate) fn tables(&self) -> &[Table] {
        &self.tables
    }

    pub(crate) fn member(&self, rank: u32) -> Member {
        let size = self.state.lock().ticks.len() as u32;
        Member { bench: self.clone(), rank: Rank(rank), size, computed: AtomicU64::new(0) }
    }

    /// All tables' values, one after the other.
    pub(crate) fn values(&self) -> Vec<f32> {
        let state = self.state.lock();
        state.tables.iter().flat_map(|lanes| lanes.values.iter().copied()).collect()
    }
}

impl State {
    fn close_rounds(&mut self) {
        while self.ticks.iter().flatten().all(|tick| *tick > self.closed.next()) {
            self.closed = self.closed.next();
            for lanes in &mut self.tables {
                lanes.close(self.closed);
            }
            let left = self.ticks.iter().all(Option::is_none);
            if left && self.tables.iter().all(|lanes| lanes.rounds.is_empty()) {
                return;
            }
        }
    }
}

impl Lanes {
    fn close(&mut self, round: Tick) {
        let contributions = self.rounds.remove(&round).unwrap_or_default();
        let mut weight = 0.0;
        let mut touched = Vec::new();
        for (own, pairs) in contributions.values() {
            weight += own;
            for (at, value) in pairs {
                self.sums[*at] += value;
                touched.push(*at);
            }
        }
        touched.sort_unstable();
        touched.dedup();
        let rate = self.table.hyper().rate.at(round.0) as f32;
        let divisor = match self.table.spec().combine {
            Combine::WeightedMean { .. } => weight as f32,
            _ => 1.0,
        };
        for at in touched {
            let slope = std::mem::take(&mut self.sums[at]) / divisor;
            self.squares[at] += slope * slope;
            self.values[at] -= match self.table.spec().rule.name() {
                "adagrad/1" => rate * slope / (self.squares[at].sqrt() + 1e-8),
                "sgd/1" => rate * slope,
                other => panic!("rule {other} is not built here"),
            };
        }
    }
}

impl Member {
    fn now(&self) -> Tick {
        self.bench.state.lock().ticks[self.rank.0 as usize].expect("has not left")
    }

    /// Modelled time spent.
    pub(crate) fn computed(&self) -> Duration {
        Duration::from_nanos(self.computed.load(Ordering::Relaxed))
    }

    /// The element indices that a selection names.
    fn elements(table: &Table, rows: &Selection<'_>) -> Vec<usize> {
        let spec = table.spec();
        let width = spec.width as usize;
        let first = |key: &Key| (key.0 - spec.domain.first().0) as usize * width;
        match *rows {
            Selection::Keys(keys) => keys.iter().flat_map(|k| first(k)..first(k) + width).collect(),
            Selection::Range { from, to } => {
                let range = Selection::resolve(from, to, &spec.domain).unwrap();
                assert!(spec.domain.covers(&range));
                (first(&range.first())..first(&range.last()) + width).collect()
            },
        }
    }
}

impl Worker for Member {
    fn origin(&self) -> Origin {
        Origin { rank: self.rank, ..Origin::default() }
    }

    fn group_size(&self) -> u32 {
        self.size
    }

    fn current_tick(&self) -> Tick {
        self.now()
    }

    fn pull<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        out: &'a mut [T],
    ) -> impl Future<Output = Result<Seen>> + Send {
        let rows = rows.into();
        async move {
            let elements = Self::elements(table, &rows);
            assert_eq!(elements.len(), out.len());
            let now = self.now();
            poll_fn(|_| {
                let state = self.bench.state.lock();
                if state.closed.next() < now {
                    return Poll::Pending;
                }
                let values = &state.tables[table.id().0 as usize].values;
                for (out, at) in out.iter_mut().zip(&elements) {
                    *out = T::from_f64(values[*at].into());
                }
                Poll::Ready(Ok(Seen { oldest: state.closed, newest: state.closed }))
            })
            .await
        }
    }

    fn pull_rows<'a, T: Element>(
        &'a self,
        _: &'a Table,
        _: impl Into<Selection<'a>>,
    ) -> impl Future<Output = Result<(Rows<T>, Seen)>> + Send {
        poll_fn(|_| panic!("no training function needs it"))
    }

    fn push_with<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        options: PushOptions<'a>,
    ) -> impl Future<Output = Result<Stamp>> + Send {
        let rows = rows.into();
        async move {
            let elements = Self::elements(table, &rows);
            assert_eq!(elements.len(), values.len());
            assert!(values.iter().all(|value| value.is_finite()));
            let tick = self.now();
            let pairs = elements.iter().zip(values);
            let pairs = pairs.map(|(at, value)| (*at, value.to_f64() as f32)).collect();
            let contribution = (options.weight.unwrap_or(1.0), pairs);
            let mut state = self.bench.state.lock();
            let rounds = &mut state.tables[table.id().0 as usize].rounds;
            let earlier = rounds.entry(tick).or_default().insert(self.rank, contribution);
            assert!(earlier.is_none(), "one push per table and tick");
            Ok(Stamp {
                table: table.id(),
                origin: self.origin(),
                tick,
                first: Sequence(1),
                last: Sequence(1),
            })
        }
    }

    fn exchange<'a, T: Element>(
        &'a self,
        _: &'a Table,
        _: impl Into<Selection<'a>>,
        _: &'a [T],
        _: &'a mut [T],
    ) -> impl Future<Output = Result<Seen>> + Send {
        poll_fn(|_| panic!("no training function needs it"))
    }

    async fn wait(&self, _: Stamp, _: AckLevel) -> Result<()> {
        Ok(())
    }

    async fn tick(&self) -> Result<Tick> {
        let next = self.now().next();
        let mut state = self.bench.state.lock();
        state.ticks[self.rank.0 as usize] = Some(next);
        state.close_rounds();
        Ok(next)
    }

    async fn finish(&self) -> Result<()> {
        let mut state = self.bench.state.lock();
        state.ticks[self.rank.0 as usize] = None;
        state.close_rounds();
        Ok(())
    }

    async fn compute(&self, cost: Duration) {
        self.computed.fetch_add(cost.as_nanos() as u64, Ordering::Relaxed);
    }
}

/// The largest distance of a gradient from the central differences of its loss, relative to the
/// gradient's largest element.
pub(crate) fn gradient_error(
    values: &[f32],
    gradient: &[f32],
    mut loss: impl FnMut(&[f32]) -> f64,
) -> f64 {
    const STEP: f32 = 1.0 / 128.0;
    let mut moved = values.to_vec();
    let mut worst = 0.0_f64;
    for (at, &slope) in gradient.iter().enumerate() {
        moved[at] = values[at] + STEP;
        let above = loss(&moved);
        moved[at] = values[at] - STEP;
        let below = loss(&moved);
        moved[at] = values[at];
        let difference = (above - below) / f64::from(2.0 * STEP);
        worst = worst.max((difference - f64::from(slope)).abs());
    }
    let largest = gradient.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
    worst / f64::from(largest)
}

/// Values that look random, in [-1/2, 1/2).
pub(crate) fn scattered(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| rng.unit() as f32 - 0.5).collect()
}

/// Polls all futures in turn until every one is done.
pub(crate) fn run_all<R, F: Future<Output = R> + Send>(futures: Vec<F>) -> Vec<R> {
    let mut futures: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut results: Vec<Option<R>> = futures.iter().map(|_| None).collect();
    let mut context = Context::from_waker(Waker::noop());
    while results.iter().any(Option::is_none) {
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if result.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(&mut context)
            {
                *result = Some(done);
            }
        }
    }
    results.into_iter().flatten().collect()
}
