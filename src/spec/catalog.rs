//! The tables and groups of a cluster as they are told from process to process. Plain data.

use super::{GroupSpec, Hyper, Table, TablePolicy, TableSpec};
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
    /// What it is, as the cluster holds it.
    pub described: Box<Described>,
}

impl TableEntry {
    /// The entry of a table.
    pub fn of(table: &Table) -> Self {
        let (spec, policy) = (table.spec().clone(), table.policy().clone());
        let described = Box::new(Described { spec, policy, hyper: *table.hyper() });
        Self { id: table.id(), described }
    }

    /// The table as workers hold it.
    pub fn into_table(self) -> Table {
        let Described { spec, policy, hyper } = *self.described;
        Table::new(self.id, spec, policy, hyper)
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

/// One thing created in a cluster.
#[derive(Clone, Debug, PartialEq)]
pub enum CatalogEntry {
    /// A table.
    Table(TableEntry),
    /// A group.
    Group(GroupEntry),
}
