//! The tables and groups of a cluster as they are told from process to process. Plain data.

use super::{GroupSpec, Hyper, Table, TablePolicy, TableSpec, Terms};
use crate::id::{GroupId, TableId};

/// All three parts of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Described {
    /// What it is.
    pub spec: TableSpec,
    /// How it behaves.
    pub policy: TablePolicy,
    /// The numbers that change while it is trained.
    pub hyper: Hyper,
}

/// A table that exists. Boxed, so that messages stay small.
#[derive(Clone, Debug, PartialEq)]
pub struct TableEntry {
    /// Its number.
    pub id: TableId,
    /// What it is, as it was created.
    pub described: Box<Described>,
    /// What was changed since, ascending by tick.
    pub changes: Vec<Terms>,
}

impl TableEntry {
    /// The entry of a table.
    pub fn of(table: &Table) -> Self {
        let (spec, policy) = (table.spec().clone(), table.policy().clone());
        let described = Box::new(Described { spec, policy, hyper: *table.hyper() });
        Self { id: table.id(), described, changes: table.changes().to_vec() }
    }

    /// The table as workers hold it.
    pub fn into_table(self) -> Table {
        let Described { spec, policy, hyper } = *self.described;
        let created = Table::new(self.id, spec, policy, hyper);
        self.changes.into_iter().fold(created, |table, terms| table.with_change(terms))
    }
}

/// A group that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupEntry {
    /// Its number.
    pub id: GroupId,
    /// What it is.
    pub spec: GroupSpec,
}

/// A change of a table: from a tick on it has other terms.
#[derive(Clone, Debug, PartialEq)]
pub struct ChangeEntry {
    /// The table.
    pub table: TableId,
    /// Its terms. Those that begin at the same tick are replaced.
    pub terms: Box<Terms>,
}

/// One thing created, changed or dropped in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogEntry {
    /// A table.
    Table(TableEntry),
    /// A group.
    Group(GroupEntry),
    /// A table changes.
    Change(ChangeEntry),
    /// A table is dropped. Its number stays taken.
    Drop(TableId),
}
