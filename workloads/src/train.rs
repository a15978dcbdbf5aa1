//! What all training functions share: their pace and their reports.
//!
//! One iteration = one minibatch = one tick: pull, gradient, push, tick. The pushed values are
//! *sums* over the batch and carry the batch's rows as weight; the table divides (combine
//! `WeightedMean`). I1: all workers make the same number of iterations, so that none waits for a
//! member that has left. I2: what is pushed is a function of (pulled values, share, config)
//! alone; with Bsp the trained model therefore is a function of (data, config, workers), whatever
//! the driver and the timing.

use std::ops::Range;

use archipelago::error::SpecError;
use archipelago::id::Rank;
use archipelago::time::Duration;
use archipelago::vector::{DType, Element};
use archipelago::{
    Combine, Extension, Hyper, KeyList, Layout, Result, Schedule, Seen, Table, TableSpec, Tick,
    Worker,
};

use crate::data::{Examples, Share};

/// In what steps, and for how long, each worker trains.
#[derive(Clone, Debug, PartialEq)]
pub struct Pace {
    /// Rows of one worker's minibatch, at least 1.
    pub batch: usize,
    /// Passes over the data. Ignored when `iterations` is given.
    pub epochs: u32,
    /// Iterations of each worker, when the number is to be exact. Default: none.
    pub iterations: Option<u64>,
    /// The seed of the order of rows. Default 1.
    pub seed: u64,
    /// Modelled nanoseconds per floating-point operation, passed to `Worker::compute`: time in
    /// the simulator, nothing elsewhere. Default 1, about what one core does with these kernels.
    pub flop_nanoseconds: f64,
    /// Who reads the whole model after its last tick and returns it in its report. Costs one pull
    /// of everything; exact under Bsp. Default: nobody.
    pub final_model: Option<Rank>,
}

impl Pace {
    /// Batches of `batch` rows, `epochs` passes, the defaults elsewhere.
    pub fn new(batch: usize, epochs: u32) -> Self {
        Self { batch, epochs, iterations: None, seed: 1, flop_nanoseconds: 1.0, final_model: None }
    }

    /// The iterations of each worker of this share's group.
    pub fn iterations<D: Examples>(&self, share: &Share<'_, D>) -> u64 {
        let passes = u64::from(self.epochs).saturating_mul(share.epoch_ticks(self.batch));
        self.iterations.unwrap_or(passes)
    }

    /// How tables merge the pushes of `workers` workers: the mean over their rows. Where a round
    /// is one push it still is divided by the rows of all, so that n workers do not multiply the
    /// learning rate by n.
    pub fn combine(&self, workers: u32) -> Combine {
        let rows = self.batch.max(1) as f64 * f64::from(workers.max(1));
        Combine::WeightedMean { round_weight: rows }
    }

    pub(crate) fn cost(&self, flops: u64) -> Duration {
        // Saturating: a negative or NaN cost is none.
        Duration::from_nanos((flops as f64 * self.flop_nanoseconds) as u64)
    }
}

/// How training goes, after each tick of one worker.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Whose progress.
    pub rank: Rank,
    /// The tick that the worker has begun.
    pub tick: Tick,
    /// Iterations done, from 1.
    pub iteration: u64,
    /// Iterations in all.
    pub iterations: u64,
    /// Rows of this iteration's batch; 0 for a worker without rows.
    pub rows: usize,
    /// The batch's mean loss in nats, before its push; 0 without rows.
    pub loss: f64,
    /// Which ticks the pulled values reflected.
    pub seen: Option<Seen>,
    /// The values that the batch's gradient was taken at, where the whole model was pulled.
    pub model: Option<&'a [f32]>,
}

/// Called with a worker's progress.
pub type OnProgress<'a> = &'a (dyn Fn(Progress<'_>) + Sync);

/// What a worker has done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TrainReport {
    /// Minibatches, each one tick.
    pub iterations: u64,
    /// Rows over all of them.
    pub rows: u64,
    /// Mean loss per row over the first pass of the share, in nats, each batch before its push.
    pub first_loss: f64,
    /// Mean loss per row over the last pass.
    pub last_loss: f64,
    /// All tables' values in order, when [`Pace::final_model`] names this worker.
    pub model: Option<Values>,
}

/// The values of a model: the rows of its tables, one table after the other. All tables of a model
/// hold elements of one type.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Values {
    /// Weights.
    F32(Vec<f32>),
    /// Counts.
    I64(Vec<i64>),
}

impl Values {
    /// The weights; `None` when they are counts.
    pub fn weights(&self) -> Option<&[f32]> {
        match self {
            Self::F32(values) => Some(values),
            Self::I64(_) => None,
        }
    }

    /// The counts; `None` when they are weights.
    pub fn counts(&self) -> Option<&[i64]> {
        match self {
            Self::I64(values) => Some(values),
            Self::F32(_) => None,
        }
    }
}

/// Reads all rows of tables, one after the other. Rows of a sparse table that nobody has pushed
/// to read as its init.
///
/// # Errors
/// `Limit` when they are more than 2^30 elements together; those of `pull`, for one when they are
/// of several types.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn is not known to be Send where the worker's type is concrete"
)]
pub fn read_model<'a, W: Worker>(
    me: &'a W,
    tables: &'a [Table],
) -> impl Future<Output = Result<Values>> + Send {
    async move {
        match tables.first().map(|table| table.spec().dtype) {
            Some(DType::I64) => Ok(Values::I64(read_elements(me, tables).await?)),
            _ => Ok(Values::F32(read_elements(me, tables).await?)),
        }
    }
}

/// Reads all rows of tables whose elements are of one type.
pub(crate) async fn read_elements<W: Worker, T: Element>(
    me: &W,
    tables: &[Table],
) -> Result<Vec<T>> {
    const KEYS_MAX: usize = 65_536;
    let (spans, elements) = spans(tables)?;
    let mut values = vec![T::default(); elements];
    for (table, span) in tables.iter().zip(spans) {
        let (spec, part) = (table.spec(), &mut values[span]);
        if spec.layout == Layout::Dense {
            me.pull(table, .., part).await?;
            continue;
        }
        let mut next = spec.domain.first().0;
        for part in part.chunks_mut(KEYS_MAX * spec.width as usize) {
            let count = part.len() / spec.width as usize;
            let keys = KeyList::new((next..).take(count).collect())?;
            me.pull(table, &keys, part).await?;
            next = next.wrapping_add(count as u64);
        }
    }
    Ok(values)
}

/// The default rule of all models, as the store describes it by default.
pub(crate) fn adagrad() -> Extension {
    Extension::new("adagrad/1").with("epsilon", 1e-8)
}

/// One table of a model, with its learning rate.
pub(crate) fn described(
    spec: TableSpec,
    rule: &Extension,
    rate: Schedule,
    pace: &Pace,
    workers: u32,
) -> (TableSpec, Hyper) {
    let spec = spec.rule(rule.clone()).combine(pace.combine(workers));
    (spec, Hyper::rate(rate))
}

/// Checks that tables have the rows and widths that a model and its data need.
pub(crate) fn check_tables(tables: &[Table], expected: &[(TableSpec, Hyper)]) -> Result<()> {
    let shape = |spec: &TableSpec| (spec.domain, spec.width);
    let found = tables.iter().map(|table| shape(table.spec()));
    if found.clone().eq(expected.iter().map(|(spec, _)| shape(spec))) {
        return Ok(());
    }
    let words = |(domain, width)| format!("[{domain}, width {width}]");
    let expected_words: String = expected.iter().map(|(spec, _)| words(shape(spec))).collect();
    Err(SpecError::Field {
        table: expected.iter().map(|(spec, _)| spec.name.as_str()).collect::<Vec<_>>().join(", "),
        field: "shape".into(),
        expected: expected_words,
        found: found.map(words).collect(),
    }
    .into())
}

/// Where each table's elements lie when all are put one after the other, and how many they are.
pub(crate) fn spans(tables: &[Table]) -> Result<(Vec<Range<usize>>, usize)> {
    const ELEMENTS_MAX: u64 = 1 << 30;
    let mut end = 0;
    let mut spans = Vec::with_capacity(tables.len());
    for table in tables {
        let spec = table.spec();
        let next = spec.rows().saturating_mul(u64::from(spec.width)).saturating_add(end);
        if next > ELEMENTS_MAX {
            let what = "elements of a model".into();
            return Err(SpecError::Limit { what, limit: ELEMENTS_MAX, found: next }.into());
        }
        spans.push(end as usize..next as usize);
        end = next;
    }
    Ok((spans, end as usize))
}
