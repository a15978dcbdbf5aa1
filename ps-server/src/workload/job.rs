//! One training run in this process: a store, a group of threads, a progress bar, a report.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use archipelago::embed::{Config, StoreStats};
use archipelago::os::Clock;
use archipelago::time::Instant;
use archipelago::{Store, Table, TablePolicy};
use archipelago_workloads::score::Scores;
use archipelago_workloads::train::{Progress, TrainReport, read_model};
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::Local;
use super::model::{JobError, Model};

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
    pub(crate) model: &'static str,
    /// Rows trained on.
    pub(crate) rows: usize,
    pub(crate) rate: f64,
    pub(crate) local: Local,
    pub(crate) workers: u32,
    /// What training took, without loading and scoring.
    pub(crate) seconds: f64,
    pub(crate) stats: StoreStats,
    pub(crate) scores: Scores,
    /// A log-loss far above that of guessing, of the last pass or the held-out rows.
    pub(crate) diverged: Option<f64>,
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
        let reports = self.train(&store, &tables, &bar)?;
        let seconds = clock.now().since(Instant::EPOCH).as_secs_f64();
        bar.finish_and_clear();
        // What training took, without the reading that follows.
        let stats = store.stats();
        let reader = store.group("reader", 1)?.join_blocking()?;
        let values = reader.run(async |me| read_model(me, &tables).await);
        let values = values.context("reading the trained model")?;
        let scores = self.model.evaluate(&values);
        let mut losses = reports.iter().map(|report| report.last_loss).chain([scores.log_loss]);
        Ok(Outcome {
            model: self.model.name(),
            rows: self.model.rows(),
            rate: self.model.rate(),
            local: self.local,
            workers: self.workers,
            seconds,
            stats,
            diverged: losses.find(|loss| self.is_diverged(*loss)),
            scores,
            ticks,
        })
    }

    fn is_diverged(&self, loss: f64) -> bool {
        !loss.is_finite() || loss > DIVERGED_GUESSES * self.model.guessing()
    }

    fn train(
        &self,
        store: &Store,
        tables: &[Table],
        bar: &ProgressBar,
    ) -> anyhow::Result<Vec<TrainReport>> {
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
                bar.set_message(format!("loss {}", nats(step.loss)));
            }
        };
        let results: Vec<Result<TrainReport, JobError>> = std::thread::scope(|scope| {
            let threads: Vec<_> = members
                .into_iter()
                .map(|member| {
                    let progress = &progress;
                    scope.spawn(move || {
                        let place = (member.origin().rank.0, self.workers);
                        member.run(async |me| self.model.train(me, tables, place, progress).await)
                    })
                })
                .collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        anyhow::ensure!(results.len() == self.workers as usize, "a worker's thread has panicked");
        Ok(results.into_iter().collect::<Result<_, JobError>>()?)
    }

    fn bar(&self, ticks: u64) -> ProgressBar {
        if self.quiet {
            return ProgressBar::hidden();
        }
        // Everything is set before the first line is drawn.
        let bar = ProgressBar::new(ticks).with_message("starting");
        let bar = bar.with_prefix(self.local.to_string());
        let template = "{prefix:>9} [{wide_bar}] {pos}/{len} ticks, {msg}{left}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.with_key("left", write_left).progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        bar
    }
}

/// The time left, once there is something to tell it from.
fn write_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // A bar has nobody to tell of an error.
        let _ = write!(out, ", {:#} left", HumanDuration(state.eta()));
    }
}

/// A log-loss; in scientific notation when it is absurd.
pub(crate) fn nats(loss: f64) -> String {
    if loss.abs() < 1e4 { format!("{loss:.4}") } else { format!("{loss:.1e}") }
}

/// Training that ends with so many times the loss of guessing has not learned too little: its
/// steps were too large.
const DIVERGED_GUESSES: f64 = 10.0;

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
