//! A cluster as a test describes it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;

use super::fault::Fault;
use super::outcome::Outcome;
use super::plans::Plans;
use super::process::WorkerProcess;
use super::profile::LinkProfile;
use super::run::Run;
use super::sample::{Sample, Sampler};
use super::topology::Topology;
use crate::error::Result;
use crate::id::{DataCentre, GroupId, ServerId, TableId};
use crate::node::sabotage::Switch;
use crate::node::worker::{RemoteWorker, Session};
use crate::node::{Peer, Plan, Registry};
use crate::placement::Overlay;
use crate::spec::{Hyper, Table, TablePolicy, TableSpec};
use crate::time::{Duration, Instant};

/// Describes a cluster.
#[derive(Clone, Debug)]
pub struct Builder {
    data_centres: Vec<(String, u32)>,
    overlay: Option<Overlay>,
    servers: u32,
    tables: Vec<(TableSpec, TablePolicy, Hyper)>,
    groups: Vec<u32>,
    registry: Registry,
    pub(super) settings: Settings,
}

/// What the run loop needs to know.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) seed: u64,
    pub(super) profile: LinkProfile,
    pub(super) profiles: BTreeMap<(Peer, Peer), LinkProfile>,
    pub(super) topology: Option<Topology>,
    pub(super) faults: Vec<(Instant, Fault)>,
    pub(super) switch: Switch,
    pub(super) record_history: bool,
    pub(super) wait_max: Duration,
    pub(super) step_cost: Duration,
    pub(super) detection_delay: Duration,
    pub(super) deadline: Instant,
    pub(super) events_max: u64,
    pub(super) settle: Duration,
}

impl Builder {
    /// One server, normal links, no faults, a history, a virtual hour.
    pub fn new(seed: u64) -> Self {
        let settings = Settings {
            seed,
            profile: LinkProfile::normal(),
            profiles: BTreeMap::new(),
            topology: None,
            faults: Vec::new(),
            switch: Switch::NONE,
            record_history: true,
            wait_max: crate::limits::WAIT_MAX,
            step_cost: Duration::from_micros(20),
            detection_delay: Duration::from_millis(200),
            deadline: Instant::EPOCH.after(Duration::from_secs(3600)),
            events_max: 20_000_000,
            settle: Duration::from_secs(1),
        };
        let (tables, groups, registry) = (Vec::new(), Vec::new(), Registry::built_in());
        let (data_centres, overlay) = (Vec::new(), None);
        Self { data_centres, overlay, servers: 1, tables, groups, registry, settings }
    }

    /// Adds a data centre with so many servers, which are numbered on from those before. Each holds
    /// all tables, and has groups of its own. Default: one, with as many as
    /// [`servers`](Self::servers) says.
    #[must_use]
    pub fn data_centre(mut self, name: impl Into<String>, servers: u32) -> Self {
        self.data_centres.push((name.into(), servers));
        self
    }

    /// Puts the data centres in groups, so that what leaves for far ones leaves once. Default: each
    /// speaks to all others.
    #[must_use]
    pub fn overlay(mut self, overlay: Overlay) -> Self {
        self.overlay = Some(overlay);
        self
    }

    /// Sets the number of servers, where no data centres are named.
    #[must_use]
    pub fn servers(mut self, servers: u32) -> Self {
        self.servers = servers;
        self
    }

    /// Adds a table that exists from the start; tables are numbered in order.
    #[must_use]
    pub fn table(mut self, spec: TableSpec, policy: TablePolicy, hyper: Hyper) -> Self {
        self.tables.push((spec, policy, hyper));
        self
    }

    /// Adds a group of `size` workers; groups are numbered in order.
    #[must_use]
    pub fn group(mut self, size: u32) -> Self {
        self.groups.push(size);
        self
    }

    /// Sets the code behind names. Default: what is built in.
    #[must_use]
    pub fn registry(mut self, registry: Registry) -> Self {
        self.registry = registry;
        self
    }

    /// Sets what every link is like.
    #[must_use]
    pub fn links(mut self, profile: LinkProfile) -> Self {
        self.settings.profile = profile;
        self
    }

    /// Sets what one direction of one link is like. Under a topology the link has this delay
    /// instead of the topology's, and this bandwidth beside what it shares.
    #[must_use]
    pub fn link(mut self, from: Peer, to: Peer, profile: LinkProfile) -> Self {
        self.settings.profiles.insert((from, to), profile);
        self
    }

    /// Sets which sites and machines there are and what connections share. Each connection then
    /// has its delay and bandwidth from there, unless its link is described by itself; what goes
    /// wrong, and how soon a connection is back, stays with the links. Default: none, and every
    /// connection has a bandwidth of its own.
    #[must_use]
    pub fn topology(mut self, topology: Topology) -> Self {
        self.settings.topology = Some(topology);
        self
    }

    /// Adds a fault to the script.
    #[must_use]
    pub fn fault(mut self, at: Duration, fault: Fault) -> Self {
        self.settings.faults.push((Instant::EPOCH.after(at), fault));
        self
    }

    /// Breaks one law on purpose.
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.settings.switch = switch;
        self
    }

    /// Whether a history is recorded. Default: yes.
    #[must_use]
    pub fn record_history(mut self, record: bool) -> Self {
        self.settings.record_history = record;
        self
    }

    /// How long a wait of a worker lasts at most. Default: `WAIT_MAX`.
    #[must_use]
    pub fn wait_max(mut self, wait_max: Duration) -> Self {
        self.settings.wait_max = wait_max;
        self
    }

    /// How long the run lasts at most, in virtual time. Default: an hour.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.settings.deadline = Instant::EPOCH.after(deadline);
        self
    }

    /// How many events the run takes at most. Default: 20 million.
    #[must_use]
    pub fn events_max(mut self, events: u64) -> Self {
        self.settings.events_max = events;
        self
    }

    /// Plans the cluster.
    ///
    /// # Errors
    /// As [`Plan::new`]; the overlay has other data centres; a server has no place in the topology,
    /// or a fault names sites that there are not.
    pub fn build<'a, R: 'a>(self) -> Result<Cluster<'a, R>> {
        let one = [("one".to_owned(), self.servers)];
        let all = if self.data_centres.is_empty() { &one[..] } else { &self.data_centres };
        let plans = Plans::new((all, self.overlay), &self.tables, &self.groups, &self.registry)?;
        let topology = self.settings.topology.as_ref();
        if let Some(topology) = topology {
            for server in plans.servers() {
                topology.check_placed(Peer::Server(server))?;
            }
        }
        for (_, fault) in &self.settings.faults {
            fault.check(topology)?;
        }
        Ok(Cluster { plans, settings: self.settings, workers: Vec::new(), sampler: None })
    }
}

/// A cluster that has not started yet. Its workers return an `R` each.
///
/// ```
/// use archipelago::id::GroupId;
/// use archipelago::sim::Cluster;
/// use archipelago::time::Duration;
/// use archipelago::{Bsp, Hyper, TablePolicy, TableSpec, Worker};
///
/// let spec = TableSpec::dense("w", 100).block_elements(64);
/// let mut cluster = Cluster::builder(7)
///     .servers(2)
///     .table(spec, TablePolicy::local(Bsp), Hyper::default())
///     .group(3)
///     .build()?;
/// let w = cluster.table(0)?;
/// for _ in 0..3 {
///     let w = w.clone();
///     cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
///         let mut x = [0.0_f32; 100];
///         me.exchange(&w, .., &[1.0; 100], &mut x).await?;
///         me.finish().await?;
///         Ok(x[99])
///     });
/// }
/// let outcome = cluster.run()?;
/// assert!(outcome.is_good(), "{}", outcome.report());
/// assert!(outcome.results.iter().all(|x| *x == Some(Ok(3.0_f32))));
/// # Ok::<(), archipelago::Error>(())
/// ```
pub struct Cluster<'a, R> {
    plans: Plans,
    settings: Settings,
    workers: Vec<WorkerProcess<'a, R>>,
    sampler: Option<Sampler<'a>>,
}

impl Cluster<'_, ()> {
    /// Describes a cluster; the seed names its run.
    pub fn builder(seed: u64) -> Builder {
        Builder::new(seed)
    }
}

impl<'a, R: 'a> Cluster<'a, R> {
    /// The handle of a table, by its number.
    ///
    /// # Errors
    /// There is no such table.
    pub fn table(&self, index: u32) -> Result<Table> {
        let planned = self.plan().table(TableId(index));
        let table = format!("number {index}");
        let unknown = || crate::error::AccessError::UnknownTable { table }.into();
        planned.map(|planned| planned.table.clone()).ok_or_else(unknown)
    }

    /// The plan that all processes share; with several data centres that of the first one.
    pub fn plan(&self) -> &Plan {
        self.plans.first()
    }

    /// The servers of a data centre; none when there is no such one.
    pub fn servers(&self, data_centre: DataCentre) -> &[ServerId] {
        self.plans.of(data_centre).map_or(&[], Plan::servers)
    }

    /// Adds a worker that starts `after` the beginning; returns its token, counted from 0.
    pub fn spawn<F, Fut>(&mut self, group: GroupId, after: Duration, train: F) -> u64
    where
        F: FnOnce(RemoteWorker) -> Fut + 'a,
        Fut: Future<Output = Result<R>> + 'a,
    {
        self.spawn_session(after, async move |session: Session| {
            train(session.join(group).await?).await
        })
    }

    /// As [`spawn`](Self::spawn), in a data centre other than the first.
    pub fn spawn_in<F, Fut>(
        &mut self,
        data_centre: DataCentre,
        group: GroupId,
        after: Duration,
        train: F,
    ) -> u64
    where
        F: FnOnce(RemoteWorker) -> Fut + 'a,
        Fut: Future<Output = Result<R>> + 'a,
    {
        self.spawn_session_in(data_centre, after, async move |session: Session| {
            train(session.join(group).await?).await
        })
    }

    /// As [`spawn_session`](Self::spawn_session), in a data centre other than the first.
    pub fn spawn_session_in<F, Fut>(
        &mut self,
        data_centre: DataCentre,
        after: Duration,
        run: F,
    ) -> u64
    where
        F: FnOnce(Session) -> Fut + 'a,
        Fut: Future<Output = Result<R>> + 'a,
    {
        let token = self.spawn_session(after, run);
        if let Some(worker) = self.workers.last_mut() {
            worker.data_centre = data_centre;
        }
        token
    }

    /// Adds a process that starts `after` the beginning, as a session: it may create tables and
    /// groups before it joins one. Returns its token, counted from 0.
    pub fn spawn_session<F, Fut>(&mut self, after: Duration, run: F) -> u64
    where
        F: FnOnce(Session) -> Fut + 'a,
        Fut: Future<Output = Result<R>> + 'a,
    {
        let run = Box::new(move |me| -> super::executor::Training<'a, R> { Box::pin(run(me)) });
        self.workers.push(WorkerProcess::new(Instant::EPOCH.after(after), run));
        self.workers.len() as u64 - 1
    }

    /// Calls `look` in virtual time at 0, `every`, 2 `every` and so on until the run ends, each
    /// time after all that happens at that time or before. It costs no traffic, and the run does
    /// not change by it. Only the last one that is set is called. `every` is at least 1 ns.
    pub fn sample(&mut self, every: Duration, look: impl FnMut(Sample<'_>) + 'a) {
        self.sampler = Some(Sampler::new(every, Box::new(look)));
    }

    /// Runs until every worker has ended, or a limit comes first.
    ///
    /// # Errors
    /// A server cannot be built from the plan; a worker has no place in the topology.
    pub fn run(self) -> Result<Outcome<R>> {
        if let Some(topology) = &self.settings.topology {
            for token in 0..self.workers.len() as u64 {
                topology.check_placed(Peer::Worker(token))?;
            }
        }
        Ok(Run::new(self.plans, self.settings, self.workers, self.sampler)?.run())
    }
}

impl<R> fmt::Debug for Cluster<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers = self.workers.len();
        f.debug_struct("Cluster").field("plans", &self.plans).field("workers", &workers).finish()
    }
}
