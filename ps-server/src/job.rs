//! One training run in this process: a store, a group of threads, a progress bar, a report.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use archipelago::embed::{Config, StoreStats};
use archipelago::os::Clock;
use archipelago::time::Instant;
use archipelago::{Store, Table, TablePolicy};
use archipelago_workloads::score::Scores;
use archipelago_workloads::train::{Progress, read_model};
use indicatif::{ProgressBar, ProgressStyle};

use crate::Local;
use crate::model::{JobError, Model};

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) model: &'a Model,
    pub(crate) local: Local,
    pub(crate) workers: u32,
    pub(crate) shards: u32,
    /// Draw no bar.
    pub(crate) quiet: bool,
}

/// What came out.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) local: Local,
    pub(crate) workers: u32,
    pub(crate) seconds: f64,
    pub(crate) stats: StoreStats,
    pub(crate) scores: Scores,
    /// Rounds closed, or ticks that all workers made, per second.
    pub(crate) ticks: u64,
}

impl Job<'_> {
    /// Trains and scores.
    pub(crate) fn run(&self) -> anyhow::Result<Outcome> {
        let config = Config { shards: self.shards, ..Config::default() };
        let store = Store::with_config(config);
        let mut tables = Vec::new();
        for (spec, hyper) in self.model.tables(self.workers) {
            let policy = TablePolicy::local(self.local);
            tables.push(store.ensure_table(spec, policy, hyper)?);
        }
        check_size(&tables)?;
        let ticks = self.model.iterations(self.workers)?;
        let bar = self.bar(ticks);
        let clock = Clock::start();
        self.train(&store, &tables, &bar)?;
        let seconds = clock.now().since(Instant::EPOCH).as_secs_f64();
        bar.finish_and_clear();
        // What training took, without the reading that follows.
        let stats = store.stats();
        let reader = store.group("reader", 1)?.join_blocking()?;
        let values = reader.run(async |me| read_model(me, &tables).await);
        let values = values.context("reading the trained model")?;
        Ok(Outcome {
            local: self.local,
            workers: self.workers,
            seconds,
            stats,
            scores: self.model.evaluate(&values),
            ticks,
        })
    }

    fn train(&self, store: &Store, tables: &[Table], bar: &ProgressBar) -> anyhow::Result<()> {
        let group = store.group("workers", self.workers)?;
        let mut members = Vec::new();
        for _ in 0..self.workers {
            members.push(group.join_blocking()?);
        }
        let done = AtomicU64::new(0);
        let progress = |step: Progress<'_>| {
            done.fetch_add(1, Ordering::Relaxed);
            if step.rank.0 == 0 {
                bar.set_position(done.load(Ordering::Relaxed) / u64::from(self.workers));
                bar.set_message(format!("loss {:.4}", step.loss));
            }
        };
        let results: Vec<Result<(), JobError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = members
                .into_iter()
                .map(|member| {
                    let progress = &progress;
                    scope.spawn(move || {
                        let place = (member.origin().rank.0, self.workers);
                        member
                            .run(async |me| self.model.train(me, tables, place, progress).await)?;
                        Ok(())
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        anyhow::ensure!(results.len() == self.workers as usize, "a worker's thread has panicked");
        results.into_iter().collect::<Result<(), JobError>>()?;
        Ok(())
    }

    fn bar(&self, ticks: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        let bar = ProgressBar::new(ticks);
        let template = "{prefix:>9} [{wide_bar}] {pos}/{len} ticks, {msg}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(self.local.to_string());
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// The most values of a model that is read back whole to be scored: 1 GiB of f32.
const MODEL_VALUES_MAX: u128 = 1 << 28;

/// A data file may name a feature so high that the model would not fit memory.
fn check_size(tables: &[Table]) -> anyhow::Result<()> {
    let values = |table: &Table| table.spec().domain.count() * u128::from(table.spec().width);
    let values: u128 = tables.iter().map(values).sum();
    anyhow::ensure!(
        values <= MODEL_VALUES_MAX,
        "the data asks for a model of {values} values, at most {MODEL_VALUES_MAX} can be scored: \
         is a feature number wrong?"
    );
    Ok(())
}
