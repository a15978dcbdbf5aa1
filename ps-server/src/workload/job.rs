//! One training run: the same steps in this process and against servers.

use std::hash::Hasher;
use std::thread;

use anyhow::Context;
use archipelago::embed::ThreadPark;
use archipelago::id::Rank;
use archipelago::node::worker::Blocking;
use archipelago::os::Clock;
use archipelago::time::{Duration, Instant};
use archipelago::{Hyper, Table, TablePolicy, TableSpec, Worker};
use archipelago_workloads::score::Scores;
use archipelago_workloads::train::{Progress, TrainReport, Values};
use siphasher::sip128::{Hasher128, SipHasher13};

use super::bar::Bar;
use super::model::{JobError, Model};
use crate::code::written;

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job<'a> {
    pub(crate) model: &'a Model,
    /// Of all its tables.
    pub(crate) policy: &'a TablePolicy,
    /// Workers of this process.
    pub(crate) workers: u32,
    /// Workers of all processes together.
    pub(crate) group_size: u32,
    /// Draw no bar.
    pub(crate) quiet: bool,
}

/// A worker of this process, driven by a thread of its own.
pub(crate) type Member<P> = Blocking<<P as Place>::Worker, ThreadPark>;

/// Where a job is done.
pub(crate) trait Place: Sized {
    /// Its workers.
    type Worker: Worker;

    /// Creates the run's tables, or finds them, and joins with all workers of this process.
    fn enter(&mut self, job: &Job<'_>) -> anyhow::Result<(Vec<Table>, Vec<Member<Self>>)>;

    /// Trains with one of them, unless told to stop.
    fn run<R>(&self, training: impl Future<Output = Result<R, JobError>>) -> Result<R, JobError>;

    /// What to say of a worker's failure.
    fn explain(&self, error: JobError) -> anyhow::Error {
        error.into()
    }

    /// What the workers have moved and waited for; their time is over.
    fn count(&mut self, members: Vec<Member<Self>>) -> Counted;

    /// Which worker reads the trained values before it finishes; `None`: they are read afterwards.
    fn reader(&self, job: &Job<'_>) -> Option<Rank>;

    /// The values of all tables, for when no worker has read them.
    fn read(&mut self, job: &Job<'_>) -> anyhow::Result<Values>;

    /// How many servers there are; none in this process.
    fn servers(&self) -> usize;
}

/// What a run has moved, and what it has waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) bytes_up: u64,
    pub(crate) bytes_down: u64,
    pub(crate) waits: u64,
    pub(crate) waited: Duration,
}

/// What came out.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) model: &'static str,
    pub(crate) run: String,
    /// Rows trained on.
    pub(crate) rows: usize,
    pub(crate) rate: f64,
    /// As the command line writes them.
    pub(crate) local: String,
    pub(crate) rule: String,
    /// Workers of all processes together.
    pub(crate) workers: u32,
    pub(crate) servers: usize,
    /// What training took, without loading and scoring.
    pub(crate) seconds: f64,
    pub(crate) counted: Counted,
    pub(crate) scores: Scores,
    /// A log-loss far above that of guessing, of the last pass or the held-out rows.
    pub(crate) diverged: Option<f64>,
    /// Rounds closed, or ticks that all workers made, per second.
    pub(crate) ticks: u64,
    /// Of the trained values.
    pub(crate) digest: u128,
}

impl Job<'_> {
    /// The tables to create.
    pub(crate) fn tables(&self) -> Vec<(TableSpec, TablePolicy, Hyper)> {
        let tables = self.model.tables(self.group_size).into_iter();
        tables.map(|(spec, hyper)| (spec, self.policy.clone(), hyper)).collect()
    }

    /// Trains and scores.
    pub(crate) fn run(&self, mut place: impl Place + Sync) -> anyhow::Result<Outcome> {
        check_size(self.tables().iter().map(|(spec, ..)| spec))?;
        let ticks = self.model.iterations(self.group_size)?;
        let (tables, members) = place.enter(self)?;
        let clock = Clock::start();
        let (reports, members) = self.train(&place, &tables, members, ticks)?;
        let seconds = clock.now().since(Instant::EPOCH).as_secs_f64();
        // What training took, without the reading that follows.
        let counted = place.count(members);
        let values = match reports.iter().find_map(|report| report.model.clone()) {
            Some(values) => values,
            None => place.read(self)?,
        };
        let values = values.weights().context("the model holds no weights")?;
        let scores = self.model.evaluate(values);
        let mut losses = reports.iter().map(|report| report.last_loss).chain([scores.log_loss]);
        Ok(Outcome {
            model: self.model.name(),
            run: self.model.run().into(),
            rows: self.model.rows(),
            rate: self.model.rate(),
            local: written(&self.policy.local),
            rule: written(self.model.rule()),
            workers: self.group_size,
            servers: place.servers(),
            seconds,
            counted,
            diverged: losses.find(|loss| self.is_diverged(*loss)),
            scores,
            ticks,
            digest: digest(values),
        })
    }

    fn is_diverged(&self, loss: f64) -> bool {
        !loss.is_finite() || loss > DIVERGED_GUESSES * self.model.guessing()
    }

    fn train<P: Place + Sync>(
        &self,
        place: &P,
        tables: &[Table],
        members: Vec<Member<P>>,
        ticks: u64,
    ) -> anyhow::Result<(Vec<TrainReport>, Vec<Member<P>>)> {
        let first = members.first().map(|member| member.origin().rank).unwrap_or_default();
        let bar = Bar::new(&written(&self.policy.local), ticks, members.len(), first, self.quiet);
        let mut model = self.model.clone();
        model.pace_mut().final_model = place.reader(self);
        let (model, count) = (&model, members.len());
        let progress = &|step: Progress<'_>| bar.step(step);
        let results: Vec<_> = thread::scope(|scope| {
            let threads = members.into_iter().map(|member| {
                scope.spawn(move || {
                    let trained = model.train(member.worker(), tables, progress);
                    place.run(trained).map(|report| (report, member))
                })
            });
            let threads: Vec<_> = threads.collect();
            threads.into_iter().filter_map(|thread| thread.join().ok()).collect()
        });
        anyhow::ensure!(results.len() == count, "a worker's thread has panicked");
        let trained = results.into_iter().collect::<Result<Vec<_>, JobError>>();
        let trained = trained.map_err(|error| place.explain(error))?;
        Ok(trained.into_iter().unzip())
    }
}

/// A log-loss; in scientific notation when it is absurd.
pub(crate) fn nats(loss: f64) -> String {
    if loss.abs() < 1e4 { format!("{loss:.4}") } else { format!("{loss:.1e}") }
}

/// The bits of trained values in one number, the same on every machine.
fn digest(values: &[f32]) -> u128 {
    let mut hasher = SipHasher13::new();
    values.iter().for_each(|value| hasher.write(&value.to_bits().to_le_bytes()));
    hasher.finish128().as_u128()
}

/// Training that ends with so many times the loss of guessing has not learned too little: its
/// steps were too large.
const DIVERGED_GUESSES: f64 = 10.0;

/// The most values of a model that is read back whole to be scored: 1 GiB of f32.
const MODEL_VALUES_MAX: u128 = 1 << 28;

/// A data file may name a feature so high that the model would not fit memory.
fn check_size<'a>(tables: impl Iterator<Item = &'a TableSpec>) -> anyhow::Result<()> {
    let values: u128 = tables.map(|spec| spec.domain.count() * u128::from(spec.width)).sum();
    anyhow::ensure!(
        values <= MODEL_VALUES_MAX,
        "the data asks for a model of {values} values, at most {MODEL_VALUES_MAX} can be scored: \
         is a feature number wrong?"
    );
    Ok(())
}
