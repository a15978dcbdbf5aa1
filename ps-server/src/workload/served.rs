//! Training against servers: the workers of this process share one connection to each of them.

use std::io::Write;

use anyhow::Context;
use archipelago::embed::ThreadPark;
use archipelago::error::{Error, GroupError, SpecError, WaitError, WaitFor};
use archipelago::id::{Incarnation, Rank};
use archipelago::node::Registry;
use archipelago::node::worker::{Blocking, Park, RemoteWorker, WorkerOptions};
use archipelago::time::Duration;
use archipelago::transport::WorkerProcess;
use archipelago::{Bsp, Off, Table, Worker, limits};
use archipelago_client::Servers;
use archipelago_workloads::train::{Values, read_model};

use super::arguments::ServedArguments;
use super::job::{Counted, Job, Member, Place};
use super::model::JobError;
use super::stop::Stop;
use crate::connect::ConnectArguments;

/// Why training against servers cannot begin or go on, and what to do about it.
#[derive(Debug, thiserror::Error)]
enum ServedError {
    #[error(
        "run {run:?} has been trained on these servers before, and they keep its values until \
         they stop: give this run another name with --run NAME"
    )]
    Trained { run: String },
    #[error(
        "run {run:?} has been trained on these servers before, and they keep its values until \
         they stop. Its tables have a global policy, and servers are given such when they start: \
         stop those of all data centres and start them again"
    )]
    TrainedAbroad { run: String },
    #[error(
        "{error}. But the tables of this run have a global policy, and servers are given such when \
         they start: for another --run, or to begin again, stop the servers of all data centres \
         and start them with its tables"
    )]
    Abroad { error: Box<ServedError> },
    #[error(
        "run {run:?} exists on these servers with other options: give the same ones to all its \
         processes, or this run another name with --run NAME"
    )]
    Differs { run: String, source: Error },
    #[error(
        "run {run:?} exists on these servers for another number of workers or rows of a batch, by \
         which its tables divide what is pushed: give all its processes the same --group-size (of \
         one process, --workers) and --batch, as for --describe-tables, or this run another name \
         with --run NAME"
    )]
    Divided { run: String, source: Error },
    #[error(
        "run {run:?} has all of its {size} workers: give this run another name with --run NAME, \
         or all of its processes a larger --group-size"
    )]
    Full { run: String, size: u32 },
    #[error(
        "run {run:?} waits for all of its {size} workers: start the other processes with the \
         same --run and --group-size"
    )]
    Incomplete { run: String, size: u32, source: Error },
    #[error(
        "{address} has to answer and does not, so that run {run:?} has ended here. A server that \
         was stopped or started again has lost its tables: stop the others too, start all of \
         them, train again. If it was the network, train again under another name with --run NAME"
    )]
    Gone { run: String, address: String, source: Error },
}

/// A cluster's servers, and how to reach them.
pub(crate) struct Served {
    connect: ConnectArguments,
    servers: Servers,
    registry: Registry,
    options: WorkerOptions,
    stop: Stop,
    run: String,
    /// Its tables have a global policy.
    abroad: bool,
    size: u32,
    /// The first worker of this process.
    first: Rank,
    process: Option<WorkerProcess>,
}

impl Served {
    /// The servers that the command line names, for workers with this code.
    pub(crate) fn of(
        arguments: &ServedArguments,
        registry: Registry,
        stop: Stop,
    ) -> anyhow::Result<Self> {
        let wait_max = arguments.wait_max.map_or(limits::WAIT_MAX, Duration::from_secs_f64);
        Ok(Self {
            connect: arguments.connect.clone(),
            servers: Servers::new(&arguments.connect.servers)?,
            registry,
            options: WorkerOptions { wait_max, ..WorkerOptions::default() },
            stop,
            run: String::new(),
            abroad: false,
            size: 0,
            first: Rank(0),
            process: None,
        })
    }

    /// Connects, finds or creates the tables, and joins a group.
    fn join(
        &mut self,
        job: &Job<'_>,
        group: &str,
        size: u32,
    ) -> anyhow::Result<(Vec<Table>, Member<Self>)> {
        let process = match self.process.take() {
            Some(process) => process,
            None => {
                let config = self.connect.config(self.registry.clone(), self.options)?;
                WorkerProcess::start(config)?
            },
        };
        let process = self.process.insert(process);
        let connecting = || ThreadPark.block_on(self.stop.or(process.session()));
        let session = self.connect.patiently(&self.servers, connecting)?;
        let session = session.map_err(|error| self.connect.explained(error))?;
        let joining = async {
            let mut tables = Vec::new();
            for (spec, policy, hyper) in job.tables() {
                tables.push(session.ensure_table(spec, policy, hyper).await?);
            }
            let group = session.ensure_group(group, size).await?;
            Ok((session.join(group).await?, tables))
        };
        let joined = ThreadPark.block_on(self.stop.or(joining))?;
        let (me, tables) = joined.map_err(|error| self.explained(error))?;
        Ok((tables, Blocking::new(me, ThreadPark)))
    }

    /// What to do about an error, where more can be said than the library knows.
    fn explained(&self, error: Error) -> anyhow::Error {
        match self.known(error) {
            // Who is missing may still be started.
            Ok(error) if self.abroad && !matches!(error, ServedError::Incomplete { .. }) => {
                ServedError::Abroad { error: Box::new(error) }.into()
            },
            Ok(error) => error.into(),
            Err(error) => error.into(),
        }
    }

    fn known(&self, error: Error) -> Result<ServedError, Error> {
        let (run, size) = (self.run.clone(), self.size);
        Ok(match &error {
            Error::Spec(SpecError::Mismatch { field, .. }) if field == "combine" => {
                ServedError::Divided { run, source: error }
            },
            Error::Spec(SpecError::Mismatch { .. }) => ServedError::Differs { run, source: error },
            Error::Group(GroupError::Full { .. }) => ServedError::Full { run, size },
            Error::Wait(WaitError::Deadline { reason, .. })
                if reason.what == WaitFor::GroupForming =>
            {
                ServedError::Incomplete { run, size, source: error }
            },
            Error::Wait(WaitError::ServerDown { server, .. }) => {
                let address = self.servers.address(*server).unwrap_or("an unknown address");
                let address = format!("{server} at {address}");
                ServedError::Gone { run, address, source: error }
            },
            _ => return Err(error),
        })
    }

    /// Says which of the group's workers are here: the others have to be started too.
    fn tell(&self, ranks: &[Rank]) -> std::io::Result<()> {
        let listed: Vec<_> = ranks.iter().map(ToString::to_string).collect();
        let (listed, size, run) = (listed.join(", "), self.size, &self.run);
        let joined = ranks.iter().map(|rank| rank.0 + 1).max().unwrap_or_default();
        let missing = match size.saturating_sub(joined) {
            0 => String::new(),
            more => {
                let most = self.options.wait_max.as_secs_f64();
                format!("; waiting for {more} more (up to {most} s, --wait-max)")
            },
        };
        writeln!(std::io::stderr(), "run {run:?} has {size} workers, here: {listed}{missing}")
    }

    /// Waits until the workers, which have ended, have told the servers; what they have carried.
    fn part(&mut self) -> Counted {
        let Some(process) = self.process.take() else { return Counted::default() };
        let traffic = ThreadPark.block_on(process.ended());
        let (bytes_up, bytes_down) = (traffic.sent_bytes, traffic.received_bytes);
        Counted { bytes_up, bytes_down, ..Counted::default() }
    }
}

impl Place for Served {
    type Worker = RemoteWorker;

    fn enter(&mut self, job: &Job<'_>) -> anyhow::Result<(Vec<Table>, Vec<Member<Self>>)> {
        (self.run, self.size) = (job.model.run().into(), job.group_size);
        self.abroad = job.policy.global != Off.into();
        let (mut tables, mut members) = (Vec::new(), Vec::new());
        for _ in 0..job.workers {
            let (found, member) = self.join(job, job.model.run(), job.group_size)?;
            if member.origin().incarnation > Incarnation(1) {
                let run = self.run.clone();
                let abroad = found.iter().any(|table| table.policy().global != Off.into());
                let trained = if abroad {
                    ServedError::TrainedAbroad { run }
                } else {
                    ServedError::Trained { run }
                };
                return Err(trained.into());
            }
            tables = found;
            members.push(member);
        }
        let ranks: Vec<_> = members.iter().map(|member| member.origin().rank).collect();
        self.first = ranks.first().copied().unwrap_or_default();
        if job.workers < job.group_size {
            self.tell(&ranks)?;
        }
        Ok((tables, members))
    }

    fn run<R>(&self, training: impl Future<Output = Result<R, JobError>>) -> Result<R, JobError> {
        ThreadPark.block_on(self.stop.or(training))?
    }

    fn explain(&self, error: JobError) -> anyhow::Error {
        match error {
            JobError::Store(error) => self.explained(error),
            other => other.into(),
        }
    }

    fn count(&mut self, members: Vec<Member<Self>>) -> Counted {
        let waits: Vec<_> = members.iter().map(|member| member.worker().waited()).collect();
        drop(members);
        let mut counted = self.part();
        for wait in waits {
            counted.waits += wait.count;
            counted.waited += wait.total;
        }
        counted
    }

    /// Under Bsp a member sees all rounds. Others see what there is when they have finished, and
    /// all of it when nobody is left in other processes.
    fn reader(&self, job: &Job<'_>) -> Option<Rank> {
        (job.policy.local == Bsp.into()).then_some(self.first)
    }

    fn read(&mut self, job: &Job<'_>) -> anyhow::Result<Values> {
        let group = format!("{}, reader {}", self.run, self.first.0);
        let (tables, reader) = self.join(job, &group, 1)?;
        let reading = async {
            let values = read_model(reader.worker(), &tables).await?;
            reader.worker().finish().await?;
            Ok(values)
        };
        let values = ThreadPark.block_on(self.stop.or(reading))?;
        values.map_err(|error| self.explained(error)).context("reading the trained model")
    }

    fn servers(&self) -> usize {
        self.servers.numbers().len()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // The servers hear at once that its workers are gone, not after a long silence.
        self.part();
    }
}
