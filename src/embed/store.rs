//! The store: tables and groups by name.

use dashmap::DashMap;

use super::group::{Group, GroupState};
use super::held::Held;
use super::recorder::{Recorder, Witness};
use super::stats::{StoreStats, TableStats, WaitCounters};
use super::timer::Timer;
use crate::error::{AccessError, GroupError, Result, SpecError};
use crate::history::History;
use crate::id::{GroupId, Origin, Sequence, TableId, Tick};
use crate::key::Selection;
use crate::limits;
use crate::node::Registry;
use crate::node::sabotage::Switch;
use crate::node::worker::{Seen, Target};
use crate::os::Clock;
use crate::spec::{GroupSpec, Hyper, Table, TablePolicy, TableSpec};
use crate::sync::{Arc, Mutex};
use crate::time::Duration;
use crate::vector::Element;
use crate::wire::{self, Answer, Message};

/// How a store is built.
#[derive(Clone, Debug)]
pub struct Config {
    /// Shards per table: how many threads can work on one table at the same time. Values do not
    /// depend on it. Default 8; fewer when a table has fewer slots.
    pub shards: u32,
    /// How long a wait lasts at most. Default 300 s.
    pub wait_max: Duration,
    /// The code behind names. Default: the built-in rules and policies.
    pub registry: Registry,
    /// Whether a history is recorded, of at most [`limits::HISTORY_EVENTS_MAX`] events. Default
    /// not: it costs one lock for all shards, and about 100 bytes an event.
    pub record_history: bool,
    /// Which law is broken on purpose, if any.
    pub switch: Switch,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            shards: 8,
            wait_max: limits::WAIT_MAX,
            registry: Registry::built_in(),
            record_history: false,
            switch: Switch::NONE,
        }
    }
}

/// A parameter store in this process. Cheap to clone; clones are the same store.
///
/// ```
/// use archipelago::{Bsp, Hyper, Schedule, Store, TablePolicy, TableSpec, rules::Sgd};
///
/// let store = Store::in_memory();
/// let spec = TableSpec::dense("w", 3).rule(Sgd);
/// let hyper = Hyper::rate(Schedule::Constant(0.5));
/// let w = store.ensure_table(spec, TablePolicy::local(Bsp), hyper)?;
/// let me = store.group("train", 1)?.join_blocking()?;
/// me.push(&w, .., &[2.0_f32, 4.0, 6.0])?;
/// me.tick()?;
/// let mut x = [0.0_f32; 3];
/// me.pull(&w, .., &mut x)?;
/// assert_eq!(x, [-1.0, -2.0, -3.0]);
/// me.finish()?;
/// # Ok::<(), archipelago::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Store {
    inner: Arc<Inner>,
}

/// Tables by number. Shared, so that nobody works on them under the lock or copies the list.
pub(super) type Tables = Arc<Vec<Arc<Held>>>;

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) config: Config,
    pub(super) clock: Clock,
    pub(super) timer: Timer,
    pub(super) waits: WaitCounters,
    recorder: Option<Arc<Recorder>>,
    /// What the answer to a push takes on the wire.
    pub(super) push_answer_bytes: u64,
    by_name: DashMap<String, Arc<Held>>,
    groups: DashMap<String, Arc<GroupState>>,
    /// Tables in order of creation. Also the lock under which tables, groups and members change,
    /// so that every shard hears of every member.
    pub(super) tables: Mutex<Tables>,
    /// Tables that were dropped, in order.
    dropped: Mutex<Vec<Table>>,
}

impl Store {
    /// A store in memory with the default configuration.
    pub fn in_memory() -> Self {
        Self::with_config(Config::default())
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// A store in memory.
    pub fn with_config(config: Config) -> Self {
        let clock = Clock::start();
        let timer = Timer::new(clock);
        let recorder = config.record_history.then(|| Arc::new(Recorder::new(clock)));
        let inner = Inner {
            config,
            clock,
            timer,
            waits: WaitCounters::default(),
            recorder,
            push_answer_bytes: push_answer_bytes(),
            by_name: DashMap::new(),
            groups: DashMap::new(),
            tables: Mutex::new(Tables::default()),
            dropped: Mutex::new(Vec::new()),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Creates a table, or finds the one of that name when it was created with the same
    /// description, or changed to it last.
    ///
    /// # Errors
    /// A description out of bounds, unknown extensions, or a different table of that name.
    pub fn ensure_table(
        &self,
        spec: TableSpec,
        policy: TablePolicy,
        hyper: Hyper,
    ) -> Result<Table> {
        let code = self.inner.config.registry.resolve(&spec, &policy)?;
        hyper.check(&spec)?;
        let mut tables = self.inner.tables.lock();
        if let Some(held) = tables.iter().find(|held| held.table.name() == spec.name) {
            let table = held.changed();
            table.check_same(&spec, &policy, &hyper)?;
            return Ok(table);
        }
        check_count("tables", tables.len(), limits::TABLES_MAX)?;
        let made = tables.len() + self.inner.dropped.lock().len();
        check_count("tables created", made, limits::CATALOG_ENTRIES_MAX)?;
        let id = TableId(u32::try_from(made).unwrap_or(u32::MAX));
        let table = Table::new(id, spec, policy, hyper);
        let config = &self.inner.config;
        let held = Held::new(table.clone(), &code, config, || self.inner.witness())?;
        let held = Arc::new(held);
        for group in &self.inner.groups {
            held.hold_record(self.inner.clock.now(), &group.keeper.lock().record_from_now());
        }
        tracing::info!(table = table.name(), shards = held.shards().len(), "table created");
        self.inner.by_name.insert(table.name().into(), Arc::clone(&held));
        Arc::make_mut(&mut tables).push(held);
        Ok(table)
    }

    /// Finds a table by name.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub fn table(&self, name: &str) -> Result<Table> {
        let held = self.inner.by_name.get(name).map(|held| held.changed());
        held.ok_or_else(|| self.inner.not_there(name).into())
    }

    /// Creates a group of `size` workers, or finds the one of that name and size. Nobody reads
    /// before all of them have joined.
    ///
    /// # Errors
    /// A size out of bounds or different from the existing group's; no table exists yet.
    pub fn group(&self, name: &str, size: u32) -> Result<Group> {
        let described = GroupSpec { name: name.into(), size };
        described.check()?;
        let tables = self.inner.tables.lock();
        if tables.is_empty() {
            return Err(GroupError::NeedsTable { group: name.into() }.into());
        }
        check_count("groups", self.inner.groups.len(), limits::GROUPS_MAX)?;
        let next = GroupId(u32::try_from(self.inner.groups.len()).unwrap_or(u32::MAX));
        let state = || Arc::new(GroupState::new(next, name, size, self.inner.witness()));
        let state = self.inner.groups.entry(name.into()).or_insert_with(state).clone();
        drop(tables);
        GroupSpec { name: name.into(), size: state.size }.check_same(&described)?;
        Ok(Group::new(self.inner.clone(), state))
    }

    /// Reads rows without belonging to a group: what is there, with closed rounds applied.
    ///
    /// # Errors
    /// The table, rows and slice do not fit together.
    pub fn read<'a, T: Element>(
        &self,
        table: &Table,
        rows: impl Into<Selection<'a>>,
        out: &mut [T],
    ) -> Result<Seen> {
        let held = self.inner.held(table)?;
        let target = Target::new(table, rows.into(), out.len(), T::DTYPE)?;
        let whole_bytes = size_of_val(out);
        let mut seen: Option<Seen> = None;
        let mut rest = out;
        for chunk in target.chunks(&held.grid) {
            let (part, later) = rest.split_at_mut(chunk.elements);
            rest = later;
            let mut cell = held.shard_of(chunk.slot).lock();
            let one = super::worker::engine::<T>(&mut cell, table)?
                .peek(chunk.slot, chunk.read(part, whole_bytes))
                .map_err(|refusal| refusal.into_error(table.name(), Origin::default(), Tick(0)))?
                .0;
            seen = Some(one.joined(seen));
        }
        Ok(seen.unwrap_or_else(|| Seen::nothing(Tick(0))))
    }

    /// A digest of all values and state of a table, equal for equal tables whatever the number
    /// of shards or servers that hold them.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub fn digest(&self, table: &Table) -> Result<u128> {
        Ok(self.inner.held(table)?.digest())
    }

    /// The history recorded so far, for the checkers of [`check`](crate::check): every shard,
    /// group and worker is a node of its own, numbered as they were made. Nothing is recorded
    /// after it, and waits that are under way then look as if nobody had ended them (law 9): take
    /// it when the workers have ended. `None` when nothing was to be, or it was taken before.
    pub fn take_history(&self) -> Option<History> {
        self.inner.recorder.as_ref()?.take()
    }

    /// Counters of all tables and waits.
    pub fn stats(&self) -> StoreStats {
        let tables = self.inner.tables.lock();
        let of_table = |held: &Arc<Held>| {
            let (shards, bytes_up, bytes_down) = held.stats();
            TableStats { name: held.table.name().into(), bytes_up, bytes_down, shards }
        };
        StoreStats { tables: tables.iter().map(of_table).collect(), waits: self.inner.waits.all() }
    }
}

impl Inner {
    /// Another node of the history.
    pub(super) fn witness(&self) -> Witness {
        Witness::new(self.recorder.as_ref())
    }

    /// The shards of a table of this store.
    pub(super) fn held(&self, table: &Table) -> Result<Arc<Held>> {
        let held = self.by_name.get(table.name()).map(|held| Arc::clone(&held));
        // A handle of another store may have the same name and mean something else.
        let held = held.filter(|held| held.table.is(table));
        held.ok_or_else(|| self.without(table.name(), |dropped| dropped.is(table)).into())
    }
}

impl Inner {
    /// As [`held`](Self::held), by number.
    pub(super) fn held_by_id(&self, id: TableId) -> Result<Arc<Held>> {
        let found = |held: &&Arc<Held>| held.table.id() == id;
        let held = self.tables.lock().iter().find(found).cloned();
        held.ok_or_else(|| self.without(&id.to_string(), |dropped| dropped.id() == id).into())
    }

    /// Why there is no table of that name.
    pub(super) fn not_there(&self, name: &str) -> AccessError {
        self.without(name, |dropped| dropped.name() == name)
    }

    fn without(&self, asked: &str, is_it: impl Fn(&Table) -> bool) -> AccessError {
        let dropped = self.dropped.lock();
        match dropped.iter().find(|table| is_it(table)) {
            Some(table) => AccessError::Dropped { table: table.name().into() },
            None => AccessError::UnknownTable { table: asked.into() },
        }
    }

    /// A table is dropped; its number stays taken.
    pub(super) fn bury(&self, table: &Table) {
        self.by_name.remove(table.name());
        self.dropped.lock().push(table.clone());
    }

    /// The last tick heard of any member of a group.
    pub(super) fn reached(&self, group: GroupId) -> Tick {
        let found = self.groups.iter().find(|state| state.keeper.lock().record().group == group);
        found.map_or(Tick(0), |state| state.keeper.lock().reached())
    }

    /// Notes a tick at the group's keeper; the tables that have to hear of it. A table created
    /// later starts behind the tick.
    pub(super) fn ticking(&self, group: &GroupState, origin: Origin, tick: Tick) -> Tables {
        let tables = self.tables.lock();
        group.keeper.lock().ticked(self.clock.now(), origin, tick);
        Arc::clone(&tables)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.timer.close();
    }
}

fn push_answer_bytes() -> u64 {
    let (table, sequence, answer) = (TableId(0), Sequence(0), Answer::Applied);
    wire::encoded_len(&Message::PushAnswer { table, sequence, answer }) as u64
}

fn check_count(what: &'static str, held: usize, limit: usize) -> Result<(), SpecError> {
    if held < limit {
        return Ok(());
    }
    Err(SpecError::Limit { what: what.into(), limit: limit as u64, found: held as u64 + 1 })
}
