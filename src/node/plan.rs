//! A cluster as its processes know it: servers, tables, groups, placement.
//!
//! The servers are given at start and do not change: placement at run time is the manager's, which
//! is planned. Tables and groups are appended while the cluster runs, by its keeper alone (see
//! [`server`](super::server)), as are changes of tables and their ends: every server appends the
//! same ones in the same order, and a worker holds the tables that it has asked for. A plan never
//! changes: what appends makes another one.

mod abroad;

use std::collections::BTreeMap;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::registry::{Code, Registry};
use crate::error::{GroupError, Result, SpecError};
use crate::id::{CatalogVersion, GroupId, ServerId, SlotIndex, TableId};
use crate::limits;
use crate::placement::{Assignment, Ring, SlotGrid};
use crate::spec::{
    CatalogEntry, ChangeEntry, Described, GroupEntry, GroupSpec, Hyper, Table, TableEntry,
    TablePolicy, TableSpec, Terms,
};
use crate::sync::Arc;
use crate::wire;

pub use abroad::Abroad;

/// A cluster's plan. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    servers: Arc<[ServerId]>,
    /// The other data centres, and which one this is; `None` where there is only one.
    abroad: Option<Arc<Abroad>>,
    ring: Arc<Ring>,
    registry: Arc<Registry>,
    tables: BTreeMap<TableId, Arc<Planned>>,
    /// Tables that were dropped. Their names are free, their numbers are not.
    dropped: BTreeMap<TableId, Table>,
    groups: BTreeMap<GroupId, Arc<GroupSpec>>,
    /// What happened, in order.
    order: Vec<Created>,
    /// Slots of all tables that each server owns.
    owned: BTreeMap<ServerId, usize>,
}

/// What an entry of the catalog has made.
#[derive(Clone, Debug, PartialEq)]
pub enum Created {
    /// A table.
    Table(TableId),
    /// A group.
    Group(GroupId),
    /// Other terms of a table.
    Change(TableId, Arc<Terms>),
    /// The end of a table.
    Drop(TableId),
}

/// A table and where it is.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The table, with its changes.
    pub table: Table,
    /// Its code, as it was created.
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
            abroad: None,
            ring: Arc::new(ring),
            registry: Arc::new(registry.clone()),
            tables: BTreeMap::new(),
            dropped: BTreeMap::new(),
            groups: BTreeMap::new(),
            order: Vec::new(),
            owned: BTreeMap::new(),
        };
        for (spec, policy, hyper) in tables {
            inner.check_name(&spec.name)?;
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
            CatalogEntry::Change(entry) => Created::change(entry),
            CatalogEntry::Drop(table) => Created::Drop(*table),
        });
        Self { inner: Arc::new(inner) }
    }

    /// Whether the entry's number is the next one of its kind; of a change or an end, whether there
    /// is such a table.
    pub fn is_next(&self, entry: &CatalogEntry) -> bool {
        let is_there =
            |id: TableId| id < self.inner.next_table() && !self.inner.dropped.contains_key(&id);
        match entry {
            CatalogEntry::Table(entry) => entry.id == self.inner.next_table(),
            CatalogEntry::Group(entry) => entry.id == self.inner.next_group(),
            CatalogEntry::Change(entry) => is_there(entry.table),
            CatalogEntry::Drop(table) => is_there(*table),
        }
    }

    /// The code of a table under terms of its own.
    ///
    /// # Errors
    /// Terms out of bounds, or an unknown extension.
    pub fn code(&self, table: &Table, terms: &Terms) -> Result<Code, SpecError> {
        self.inner.code(table, terms)
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

    /// The table of that name.
    pub fn table_named(&self, name: &str) -> Option<&Planned> {
        self.tables().find(|planned| planned.table.name() == name)
    }

    /// A table that was dropped.
    pub fn dropped(&self, table: TableId) -> Option<&Table> {
        self.inner.dropped.get(&table)
    }

    /// The number that a table had last which was dropped under that name.
    pub fn dropped_named(&self, name: &str) -> Option<TableId> {
        let mut dropped = self.inner.dropped.iter().rev();
        dropped.find(|(_, table)| table.name() == name).map(|(id, _)| *id)
    }

    /// The groups and what they are, in order of their numbers.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, &GroupSpec)> {
        self.inner.groups.iter().map(|(group, spec)| (*group, &**spec))
    }

    /// One group.
    pub fn group(&self, group: GroupId) -> Option<&GroupSpec> {
        self.inner.groups.get(&group).map(|spec| &**spec)
    }

    /// How many tables and groups were created, changed and dropped.
    pub fn version(&self) -> CatalogVersion {
        CatalogVersion(self.inner.order.len() as u64)
    }

    /// What was created, with the version that it made: version 1 is the first.
    pub fn created(&self) -> impl DoubleEndedIterator<Item = (CatalogVersion, &Created)> {
        let order = self.inner.order.iter().enumerate();
        order.map(|(at, made)| (CatalogVersion(at as u64 + 1), made))
    }

    /// What made a version; `None` when nothing did, or it could not be held here.
    pub fn entry(&self, version: CatalogVersion) -> Option<CatalogEntry> {
        let at = usize::try_from(version.0.checked_sub(1)?).ok()?;
        Some(match self.inner.order.get(at)? {
            Created::Table(id) => {
                let held = self.table(*id).map(|planned| &planned.table);
                let table = held.or_else(|| self.dropped(*id))?;
                CatalogEntry::Table(TableEntry::of(&table.as_created()))
            },
            Created::Group(id) => {
                CatalogEntry::Group(GroupEntry { id: *id, spec: self.group(*id)?.clone() })
            },
            Created::Change(table, terms) => {
                let (table, terms) = (*table, Box::new((**terms).clone()));
                CatalogEntry::Change(ChangeEntry { table, terms })
            },
            Created::Drop(table) => CatalogEntry::Drop(*table),
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

impl Created {
    fn change(entry: &ChangeEntry) -> Self {
        Self::Change(entry.table, Arc::new((*entry.terms).clone()))
    }
}

impl Inner {
    fn create_table(&mut self, described: Described) -> Result<()> {
        let (id, changes) = (self.next_table(), Vec::new());
        let described = Box::new(described);
        self.append(CatalogEntry::Table(TableEntry { id, described, changes }))
    }

    /// Checks that no table has this name already.
    fn check_name(&self, name: &str) -> Result<(), SpecError> {
        if self.tables.values().all(|planned| planned.table.name() != name) {
            return Ok(());
        }
        Err(SpecError::Field {
            table: name.into(),
            field: "name".into(),
            expected: "a name that no other table has".into(),
            found: format!("{name:?} a second time"),
        })
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
            CatalogEntry::Change(entry) => self.change_table(&entry)?,
            CatalogEntry::Drop(id) => self.drop_table(id)?,
        }
        Ok(self.check_frames()?)
    }

    fn add_table(&mut self, entry: TableEntry) -> Result<(), SpecError> {
        let table = entry.into_table();
        let code = self.code(&table, &table.as_created().last_terms())?;
        if self.has_copies(&code) {
            let what = "a table with a global policy that is created while data centres run (all \
                servers have to be given it when they start: ps-server by its option `tables`)";
            return Err(SpecError::Planned { name: table.name().into(), what: what.into() });
        }
        let (id, grid) = (table.id(), SlotGrid::new(table.spec()));
        let assignment = Assignment::compute(&self.ring, id, &grid);
        for server in grid.slots().filter_map(|slot| assignment.owner(slot)) {
            *self.owned.entry(server).or_default() += 1;
        }
        self.tables.insert(id, Arc::new(Planned { table, code, grid, assignment }));
        self.order.push(Created::Table(id));
        Ok(())
    }

    /// A table that could not be held here has nothing to change.
    fn change_table(&mut self, entry: &ChangeEntry) -> Result<(), SpecError> {
        if let Some(planned) = self.tables.get(&entry.table) {
            self.code(&planned.table, &entry.terms)?;
            let (held, found) = (planned.table.policy(), &entry.terms.policy);
            if (&held.global, &held.significance) != (&found.global, &found.significance) {
                let what = "a change of a table's global policy or significance function";
                let name = planned.table.name().into();
                return Err(SpecError::Planned { name, what: what.into() });
            }
            if self.has_copies(&planned.code) && planned.settles_otherwise_by(&entry.terms) {
                let what = "a change of the rate by which data centres settle rounds together, \
                    each from a tick of its own on (stop the servers of all data centres, start \
                    them with the table described anew)";
                let name = planned.table.name().into();
                return Err(SpecError::Planned { name, what: what.into() });
            }
            let table = planned.table.with_change((*entry.terms).clone());
            check_limit("changes of a table", limits::TABLE_CHANGES_MAX, table.changes().len())?;
            check_bytes(&table, 0)?;
            let planned = Planned { table, ..(**planned).clone() };
            self.tables.insert(entry.table, Arc::new(planned));
        }
        self.order.push(Created::change(entry));
        Ok(())
    }

    /// Copies elsewhere would wait for a table that is gone here and cannot be made again.
    fn drop_table(&mut self, id: TableId) -> Result<(), SpecError> {
        if let Some(planned) = self.tables.get(&id).filter(|it| self.has_copies(&it.code)) {
            let what = "a drop of a table with a global policy while data centres run (its copies \
                wait for each other: stop the servers of all data centres, start them with tables \
                that it is not among: ps-server by its option `tables`)";
            let name = planned.table.name().into();
            return Err(SpecError::Planned { name, what: what.into() });
        }
        if let Some(planned) = self.tables.remove(&id) {
            for server in planned.grid.slots().filter_map(|slot| planned.assignment.owner(slot)) {
                *self.owned.entry(server).or_default() -= 1;
            }
            self.dropped.insert(id, planned.table.clone());
        }
        self.order.push(Created::Drop(id));
        Ok(())
    }

    /// Whether a table of this code has copies in other data centres.
    fn has_copies(&self, code: &Code) -> bool {
        let others =
            self.abroad.as_ref().is_some_and(|abroad| abroad.data_centres.iter().len() > 1);
        others && code.is_mirrored()
    }

    fn code(&self, table: &Table, terms: &Terms) -> Result<Code, SpecError> {
        let code = self.registry.resolve(table.spec(), &terms.policy)?;
        terms.hyper.check(table.spec())?;
        Ok(code)
    }

    /// Checks that whatever workers do, ticks and records fit one frame each (SPEC law 14.3).
    fn check_frames(&self) -> Result<(), SpecError> {
        check_entries(self.order.len())?;
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

/// Checks the number of a catalog's entries.
pub(super) fn check_entries(count: usize) -> Result<(), SpecError> {
    let what = "tables and groups created, changes and drops";
    check_limit(what, limits::CATALOG_ENTRIES_MAX, count)
}

/// Checks that a table's description with its changes, and so many bytes `more`, fits one answer.
pub(super) fn check_bytes(table: &Table, more: usize) -> Result<(), SpecError> {
    let bytes = wire::table_entry_bytes(&TableEntry::of(table)).saturating_add(more);
    let what = "bytes of a table's description with its changes";
    check_limit(what, limits::TABLE_BYTES_MAX, bytes)
}

fn check_limit(what: &'static str, limit: usize, found: usize) -> Result<(), SpecError> {
    if found <= limit {
        return Ok(());
    }
    Err(SpecError::Limit { what: what.into(), limit: limit as u64, found: found as u64 })
}

#[cfg(test)]
mod tests;
