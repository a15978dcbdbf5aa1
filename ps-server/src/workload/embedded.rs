//! Training in this process: a store, and a group of its threads.

use anyhow::Context;
use archipelago::embed::{Config, EmbedWorker, ThreadPark};
use archipelago::id::Rank;
use archipelago::node::Registry;
use archipelago::node::worker::Park;
use archipelago::{Store, Table};
use archipelago_workloads::train::{Values, read_model};

use super::job::{Counted, Job, Member, Place};
use super::model::JobError;
use super::stop::Stop;

/// A store of its own.
#[derive(Debug)]
pub(crate) struct Embedded {
    store: Store,
    stop: Stop,
}

impl Embedded {
    /// With so many shards per table, and this code.
    pub(crate) fn new(shards: u32, registry: Registry, stop: Stop) -> Self {
        Self { store: Store::with_config(Config { shards, registry, ..Config::default() }), stop }
    }

    fn tables(&self, job: &Job<'_>) -> archipelago::Result<Vec<Table>> {
        let tables = job.tables().into_iter();
        tables.map(|(spec, policy, hyper)| self.store.ensure_table(spec, policy, hyper)).collect()
    }
}

impl Place for Embedded {
    type Worker = EmbedWorker;

    fn enter(&mut self, job: &Job<'_>) -> anyhow::Result<(Vec<Table>, Vec<Member<Self>>)> {
        let tables = self.tables(job)?;
        let group = self.store.group(job.model.run(), job.group_size)?;
        let members: archipelago::Result<_> =
            (0..job.workers).map(|_| group.join_blocking()).collect();
        Ok((tables, members?))
    }

    fn run<R>(&self, training: impl Future<Output = Result<R, JobError>>) -> Result<R, JobError> {
        ThreadPark.block_on(self.stop.or(training))?
    }

    fn count(&mut self, _members: Vec<Member<Self>>) -> Counted {
        let stats = self.store.stats();
        Counted {
            bytes_up: stats.bytes_up(),
            bytes_down: stats.bytes_down(),
            waits: stats.waits.iter().map(|wait| wait.count).sum(),
            waited: stats.waited(),
        }
    }

    fn reader(&self, _job: &Job<'_>) -> Option<Rank> {
        None
    }

    fn read(&mut self, job: &Job<'_>) -> anyhow::Result<Values> {
        let reader =
            self.store.group(&format!("{}, reader", job.model.run()), 1)?.join_blocking()?;
        let tables = self.tables(job)?;
        let values = reader.run(async |me| read_model(me, &tables).await);
        values.context("reading the trained model")
    }

    fn servers(&self) -> usize {
        0
    }
}
