//! A cluster as its processes know it: servers, tables, groups, placement.
//!
//! The servers are given at start and do not change: placement at run time is the manager's, which
//! is planned. Tables and groups are appended while the cluster runs, by its keeper alone (see
//! [`server`](super::server)): every server appends the same ones in the same order, and a worker
//! holds those that it has asked for. A plan never changes: what appends makes another one.

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::registry::{Code, Registry};
use crate::error::{GroupError, Result, SpecError};
use crate::id::{CatalogVersion, GroupId, ServerId, SlotIndex, TableId};
use crate::limits;
use crate::placement::{Assignment, Ring, SlotGrid};
use crate::spec::{
    CatalogEntry, Described, GroupEntry, GroupSpec, Hyper, Table, TableEntry, TablePolicy,
    TableSpec,
};
use crate::sync::Arc;
use crate::wire;

/// A cluster's plan. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    servers: Arc<[ServerId]>,
    ring: Arc<Ring>,
    registry: Arc<Registry>,
    tables: BTreeMap<TableId, Arc<Planned>>,
    groups: BTreeMap<GroupId, Arc<GroupSpec>>,
    /// What was created, in order.
    order: Vec<Created>,
    /// Slots of all tables that each server owns.
    owned: BTreeMap<ServerId, usize>,
}

/// What an entry of the catalog has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Created {
    /// A table.
    Table(TableId),
    /// A group.
    Group(GroupId),
}

/// A table and where it is.
#[derive(Debug)]
pub struct Planned {
    /// The table.
    pub table: Table,
    /// Its code.
    pub code: Code,
    /// Its slots.
    pub grid: SlotGrid,
    /// Who owns which.
    pub assignment: Assignment,
}

impl Plan {
    /// Plans `tables` on `servers` of equal weight, and groups of the given sizes, named by their
    /// numbers. There may be none of either: they can be created while the cluster runs.
    ///
    /// # Errors
    /// Too many or no servers; and as [`with_table`](Self::with_table) and
    /// [`with_group`](Self::with_group).
    pub fn new(
        servers: &[ServerId],
        tables: Vec<(TableSpec, TablePolicy, Hyper)>,
        groups: &[u32],
        registry: &Registry,
    ) -> Result<Self> {
        let weighted: Vec<_> = servers.iter().map(|server| (*server, 1)).collect();
        let ring = Ring::new(&weighted).map_err(|error| SpecError::Field {
            table: "cluster".into(),
            field: "servers".into(),
            expected: error.to_string(),
            found: servers.len().to_string(),
        })?;
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        let mut inner = Inner {
            servers: servers.into(),
            ring: Arc::new(ring),
            registry: Arc::new(registry.clone()),
            tables: BTreeMap::new(),
            groups: BTreeMap::new(),
            order: Vec::new(),
            owned: BTreeMap::new(),
        };
        for (spec, policy, hyper) in tables {
            inner.create_table(Described { spec, policy, hyper })?;
        }
        for (number, size) in groups.iter().enumerate() {
            inner.create_group(GroupSpec { name: number.to_string(), size: *size })?;
        }
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The plan with one table more, under the next number. Cost: a sort of its slots, and a copy
    /// of the lists of tables and groups.
    ///
    /// # Errors
    /// A description out of bounds, an unknown extension, too many tables; or so many slots,
    /// tables and workers that a tick or a group's record may not fit one frame.
    pub fn with_table(&self, spec: TableSpec, policy: TablePolicy, hyper: Hyper) -> Result<Self> {
        self.changed(|inner| inner.create_table(Described { spec, policy, hyper }))
    }

    /// The plan with one group more, under the next number.
    ///
    /// # Errors
    /// `NeedsTable` while there is no table; a name or size out of bounds, too many groups, or a
    /// record that may not fit one frame.
    pub fn with_group(&self, spec: GroupSpec) -> Result<Self> {
        self.changed(|inner| inner.create_group(spec))
    }

    /// The plan with one entry more, under the number that it has elsewhere.
    ///
    /// # Errors
    /// As [`with_table`](Self::with_table) and [`with_group`](Self::with_group).
    pub fn with(&self, entry: &CatalogEntry) -> Result<Self> {
        self.changed(|inner| inner.append(entry.clone()))
    }

    fn changed(&self, change: impl FnOnce(&mut Inner) -> Result<()>) -> Result<Self> {
        let mut inner = (*self.inner).clone();
        change(&mut inner)?;
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The plan of a server that cannot hold the entry: its number is taken all the same.
    #[must_use]
    pub fn without(&self, entry: &CatalogEntry) -> Self {
        let mut inner = (*self.inner).clone();
        inner.order.push(match entry {
            CatalogEntry::Table(entry) => Created::Table(entry.id),
            CatalogEntry::Group(entry) => Created::Group(entry.id),
        });
        Self { inner: Arc::new(inner) }
    }

    /// Whether the entry's number is the next one of its kind.
    pub fn is_next(&self, entry: &CatalogEntry) -> bool {
        match entry {
            CatalogEntry::Table(entry) => entry.id == self.inner.next_table(),
            CatalogEntry::Group(entry) => entry.id == self.inner.next_group(),
        }
    }

    /// All servers, ascending.
    pub fn servers(&self) -> &[ServerId] {
        &self.inner.servers
    }

    /// All tables, in order of their numbers.
    pub fn tables(&self) -> impl Iterator<Item = &Planned> {
        self.inner.tables.values().map(|planned| &**planned)
    }

    /// One table.
    pub fn table(&self, table: TableId) -> Option<&Planned> {
        self.inner.tables.get(&table).map(|planned| &**planned)
    }

    /// The groups and what they are, in order of their numbers.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &GroupSpec)> {
        self.inner.groups.iter().map(|(group, spec)| (*group, &**spec))
    }

    /// One group.
    pub fn group(&self, group: GroupId) -> Option<&GroupSpec> {
        self.inner.groups.get(&group).map(|spec| &**spec)
    }

    /// How many tables and groups were created.
    pub fn version(&self) -> CatalogVersion {
        CatalogVersion(self.inner.order.len() as u64)
    }

    /// What was created, with the version that it made: version 1 is the first.
    pub fn created(&self) -> impl DoubleEndedIterator<Item = (CatalogVersion, Created)> {
        let order = self.inner.order.iter().copied().enumerate();
        order.map(|(at, made)| (CatalogVersion(at as u64 + 1), made))
    }

    /// What made a version; `None` when nothing did, or it could not be held here.
    pub fn entry(&self, version: CatalogVersion) -> Option<CatalogEntry> {
        let at = usize::try_from(version.0.checked_sub(1)?).ok()?;
        Some(match *self.inner.order.get(at)? {
            Created::Table(id) => CatalogEntry::Table(TableEntry::of(&self.table(id)?.table)),
            Created::Group(id) => {
                CatalogEntry::Group(GroupEntry { id, spec: self.group(id)?.clone() })
            },
        })
    }

    /// The keeper of the catalog and of every group: the first server, until there is a manager.
    /// It has to be known before there is any table, so it cannot depend on one.
    pub fn keeper(&self) -> ServerId {
        // A ring without servers was refused.
        self.inner.servers.first().copied().unwrap_or_default()
    }

    /// What two processes compare to know that they place keys alike: the servers. Tables and
    /// groups come and go while processes meet.
    pub fn digest(&self) -> u128 {
        let mut hasher = SipHasher24::new();
        for server in self.servers() {
            hasher.write(&server.0.to_le_bytes());
        }
        hasher.finish128().as_u128()
    }

    /// Who owns a slot.
    pub fn owner(&self, table: TableId, slot: SlotIndex) -> Option<ServerId> {
        self.table(table)?.assignment.owner(slot)
    }
}

impl Inner {
    fn create_table(&mut self, described: Described) -> Result<()> {
        let id = self.next_table();
        self.append(CatalogEntry::Table(TableEntry { id, described: Box::new(described) }))
    }

    fn create_group(&mut self, spec: GroupSpec) -> Result<()> {
        if self.tables.is_empty() {
            return Err(GroupError::NeedsTable { group: spec.name }.into());
        }
        let id = self.next_group();
        self.append(CatalogEntry::Group(GroupEntry { id, spec }))
    }

    fn next_table(&self) -> TableId {
        let tables = self.order.iter().filter(|made| matches!(made, Created::Table(_)));
        TableId(u32::try_from(tables.count()).unwrap_or(u32::MAX))
    }

    fn next_group(&self) -> GroupId {
        let groups = self.order.iter().filter(|made| matches!(made, Created::Group(_)));
        GroupId(u32::try_from(groups.count()).unwrap_or(u32::MAX))
    }

    fn append(&mut self, entry: CatalogEntry) -> Result<()> {
        match entry {
            CatalogEntry::Table(entry) => self.add_table(entry)?,
            CatalogEntry::Group(entry) => {
                entry.spec.check()?;
                self.groups.insert(entry.id, Arc::new(entry.spec));
                self.order.push(Created::Group(entry.id));
            },
        }
        Ok(self.check_frames()?)
    }

    fn add_table(&mut self, entry: TableEntry) -> Result<(), SpecError> {
        let table = entry.into_table();
        let code = self.registry.resolve(table.spec(), table.policy())?;
        table.hyper().check(table.spec())?;
        let (id, grid) = (table.id(), SlotGrid::new(table.spec()));
        let assignment = Assignment::compute(&self.ring, id, &grid);
        for server in grid.slots().filter_map(|slot| assignment.owner(slot)) {
            *self.owned.entry(server).or_default() += 1;
        }
        self.tables.insert(id, Arc::new(Planned { table, code, grid, assignment }));
        self.order.push(Created::Table(id));
        Ok(())
    }

    /// Checks that whatever workers do, ticks and records fit one frame each (SPEC law 14.3).
    fn check_frames(&self) -> Result<(), SpecError> {
        check_limit("tables", limits::TABLES_MAX, self.tables.len())?;
        check_limit("groups", limits::GROUPS_MAX, self.groups.len())?;
        let slots = self.owned.values().max().copied().unwrap_or_default();
        let tick = wire::tick_bytes_max(self.tables.len(), slots);
        let what =
            "bytes of a tick that touches every slot of one server (use fewer slots a table)";
        check_limit(what, limits::FRAME_BYTES_MAX, tick)?;
        let members = self.groups.values().map(|group| group.size).max().unwrap_or_default();
        let shards = self.servers.len() * self.tables.len();
        let record = wire::record_bytes_max(members as usize, shards);
        let what =
            "bytes of a group's record when all are lost (use smaller groups or fewer tables)";
        check_limit(what, limits::FRAME_BYTES_MAX, record)
    }
}

fn check_limit(what: &'static str, limit: usize, found: usize) -> Result<(), SpecError> {
    if found <= limit {
        return Ok(());
    }
    Err(SpecError::Limit { what: what.into(), limit: limit as u64, found: found as u64 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Eventual;

    fn planned(servers: u32, tables: usize, slots: u32, group: u32) -> Result<Plan> {
        let servers: Vec<_> = (0..servers).map(ServerId).collect();
        let table = |at| {
            let spec = TableSpec::sparse(format!("table {at}"), 1).slots(slots);
            (spec, TablePolicy::local(Eventual), Hyper::default())
        };
        Plan::new(&servers, (0..tables).map(table).collect(), &[group], &Registry::built_in())
    }

    #[test]
    fn what_a_frame_may_not_hold_is_refused() {
        let slots = limits::SLOTS_MAX;
        assert!(planned(1, 1, slots, 1).is_ok());
        let refused = planned(1, 2, slots, 1).unwrap_err().to_string();
        assert!(refused.starts_with("bytes of a tick"), "{refused}");
        assert!(planned(2, 2, slots, 1).is_ok(), "each server owns half");
        assert!(planned(1, 14, 1, limits::GROUP_SIZE_MAX).is_ok());
        let refused = planned(2, 14, 1, limits::GROUP_SIZE_MAX).unwrap_err().to_string();
        assert!(refused.starts_with("bytes of a group's record"), "{refused}");
        assert!(planned(1, limits::TABLES_MAX + 1, 1, 1).is_err());
    }

    #[test]
    fn what_is_appended_has_its_number_and_leaves_the_plan_before_as_it_was() {
        let servers = [ServerId(3), ServerId(1)];
        let empty = Plan::new(&servers, Vec::new(), &[], &Registry::built_in()).unwrap();
        assert_eq!((empty.keeper(), empty.version()), (ServerId(1), CatalogVersion(0)));
        let train = GroupSpec { name: "train".into(), size: 2 };
        let refused = empty.with_group(train.clone()).unwrap_err().to_string();
        assert!(refused.contains("create a table before the group"), "{refused}");
        let table = |plan: &Plan, name: &str| {
            let spec = TableSpec::dense(name, 9);
            plan.with_table(spec, TablePolicy::local(Eventual), Hyper::default()).unwrap()
        };
        let grown = table(&table(&empty, "a").with_group(train).unwrap(), "b");
        assert_eq!((grown.tables().count(), empty.tables().count()), (2, 0));
        assert_eq!(grown.table(TableId(1)).unwrap().table.name(), "b");
        assert_eq!(grown.digest(), empty.digest());
        // Who replays the entries holds the same.
        let entries = (1..=3).map(|version| grown.entry(CatalogVersion(version)).unwrap());
        let replayed = entries.fold(empty, |plan, entry| plan.with(&entry).unwrap());
        assert_eq!(replayed.entry(CatalogVersion(3)), grown.entry(CatalogVersion(3)));
        assert_eq!(grown.entry(CatalogVersion(4)).or(grown.entry(CatalogVersion(0))), None);
    }
}
