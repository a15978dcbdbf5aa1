//! What every training loop does around its own step: batches in their order, ticks, the report.

use archipelago::{PushOptions, Result, Seen, Table, Worker};

use crate::data::{Batches, Examples, Share};
use crate::train::{OnProgress, Pace, Progress, TrainReport, read_model};

/// One worker's way through its iterations: `next_batch`, then `end_iteration`, until there is no
/// further one; then `finish`.
pub(crate) struct Course<'a, W> {
    me: &'a W,
    pace: &'a Pace,
    batches: Batches,
    iterations: u64,
    progress: OnProgress<'a>,
    /// Summed loss and rows of the first pass.
    first: (f64, u64),
    /// The same of the last pass.
    last: (f64, u64),
    report: TrainReport,
}

/// What an iteration works on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Batch<'a> {
    /// Batches come up in order, again and again; the same number means the same rows.
    pub(crate) index: usize,
    /// Empty for a worker without rows, which ticks along.
    pub(crate) rows: &'a [usize],
}

impl Batch<'_> {
    /// What is derived from the batch's rows once, by `make`, and used whenever it comes up.
    /// `known` holds what was derived of batches so far: they come up in order, so that this one's
    /// is there or is the next one.
    pub(crate) fn derived<'k, D>(
        &self,
        known: &'k mut Vec<D>,
        make: impl FnOnce(&[usize]) -> Result<D>,
    ) -> Result<&'k mut D> {
        if self.index == known.len() {
            known.push(make(self.rows)?);
        }
        Ok(&mut known[self.index])
    }
}

/// What one iteration has computed.
#[derive(Debug, Default)]
pub(crate) struct Step<'a> {
    /// Summed over the batch's rows.
    pub(crate) loss: f64,
    pub(crate) seen: Option<Seen>,
    pub(crate) model: Option<&'a [f32]>,
}

impl Batch<'_> {
    /// The weight of a push of sums over the batch: its rows.
    pub(crate) fn weight(&self) -> PushOptions<'static> {
        PushOptions { weight: Some(self.rows.len() as f64), after: &[] }
    }
}

impl<'a, W: Worker> Course<'a, W> {
    pub(crate) fn new<D: Examples>(
        me: &'a W,
        share: &Share<'_, D>,
        pace: &'a Pace,
        progress: OnProgress<'a>,
    ) -> Self {
        Self {
            me,
            pace,
            batches: share.batches(pace.seed, pace.batch),
            iterations: pace.iterations(share),
            progress,
            first: (0.0, 0),
            last: (0.0, 0),
            report: TrainReport::default(),
        }
    }

    /// The batch of the iteration at hand; `None` after the last one.
    pub(crate) fn next_batch(&self) -> Option<Batch<'_>> {
        let done = self.report.iterations;
        let index = self.batches.index(done).unwrap_or(0);
        (done < self.iterations).then(|| Batch { index, rows: self.batches.rows(index) })
    }

    /// Costs the modelled time of `flops` operations.
    pub(crate) async fn compute(&self, flops: u64) {
        self.me.compute(self.pace.cost(flops)).await;
    }

    /// Ticks, counts the step and tells of it.
    pub(crate) async fn end_iteration(&mut self, step: Step<'_>) -> Result<()> {
        let rows = self.next_batch().map_or(0, |batch| batch.rows.len());
        let tick = self.me.tick().await?;
        let (done, pass) = (self.report.iterations, self.batches.count() as u64);
        let add = |(loss, count): (f64, u64)| (loss + step.loss, count + rows as u64);
        if done < pass {
            self.first = add(self.first);
        }
        if done.saturating_add(pass) >= self.iterations {
            self.last = add(self.last);
        }
        self.report.iterations += 1;
        self.report.rows += rows as u64;
        (self.progress)(Progress {
            rank: self.me.origin().rank,
            tick,
            iteration: self.report.iterations,
            iterations: self.iterations,
            rows,
            loss: mean((step.loss, rows as u64)),
            seen: step.seen,
            model: step.model,
        });
        Ok(())
    }

    /// Reads the model if asked to, leaves the group and sums up.
    pub(crate) async fn finish(mut self, tables: &[Table]) -> Result<TrainReport> {
        if self.pace.final_model == Some(self.me.origin().rank) {
            self.report.model = Some(read_model(self.me, tables).await?);
        }
        self.me.finish().await?;
        self.report.first_loss = mean(self.first);
        self.report.last_loss = mean(self.last);
        Ok(self.report)
    }
}

fn mean((sum, count): (f64, u64)) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DenseData, digits};
    use crate::softmax;
    use archipelago::id::GroupId;
    use archipelago::sim::{Cluster, LinkProfile};
    use archipelago::time::{Duration, Instant};
    use archipelago::{Bsp, Error, TablePolicy};

    /// Virtual nanoseconds that two passes of one worker take, over a link that costs none.
    fn virtual_time(data: &DenseData, flop_nanoseconds: f64) -> u128 {
        let pace = Pace { flop_nanoseconds, ..Pace::new(100, 2) };
        let config = softmax::Config { pace, ..softmax::Config::default() };
        let still = LinkProfile::normal().latency(Duration::ZERO).jitter_max(Duration::ZERO);
        let mut builder = Cluster::builder(1).links(still.bytes_per_second(u64::MAX)).group(1);
        for (spec, hyper) in config.tables(data.features(), data.classes(), 1) {
            builder = builder.table(spec, TablePolicy::local(Bsp), hyper);
        }
        let mut cluster = builder.build().unwrap();
        let tables = [cluster.table(0).unwrap()];
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            let share = Share::strided(data, 0, 1).unwrap();
            softmax::train(&me, &tables, &share, &config, &|_| {}).await?;
            Ok::<(), Error>(())
        });
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{}", outcome.report());
        outcome.time.since(Instant::EPOCH).as_nanos()
    }

    #[test]
    fn every_operation_costs_its_modelled_time() {
        let data = digits().unwrap();
        let operations = 2 * 1797 * 4 * 65 * 10;
        let free = virtual_time(&data, 0.0);
        assert_eq!(virtual_time(&data, 3.0) - free, 3 * operations);
    }
}
