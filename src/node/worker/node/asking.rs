//! What a worker node asks of the catalog, and the tables that it holds by it.

use super::WorkerNode;
use crate::error::{AccessError, Error};
use crate::id::{TableId, Tick};
use crate::spec::{CatalogEntry, Described, GroupEntry, Table, TableEntry};
use crate::wire::{CatalogRefusal, Message};

#[derive(Debug)]
pub(super) struct Ask {
    pub(super) message: Message,
    pub(super) told: Option<Told>,
}

/// What the keeper has told of the catalog.
#[derive(Debug)]
pub(in crate::node::worker) enum Told {
    Table(Result<TableEntry, CatalogRefusal>),
    Group(Result<GroupEntry, CatalogRefusal>),
    Tables(Vec<TableEntry>, Option<TableId>),
    Changed(Result<Tick, CatalogRefusal>),
    Dropped(Result<(), CatalogRefusal>),
}

impl WorkerNode {
    /// Asks the keeper for something of the catalog; the request's number.
    pub(in crate::node::worker) fn ask(&mut self, message: impl FnOnce(u64) -> Message) -> u64 {
        let request = self.next_request;
        self.next_request += 1;
        let message = message(request);
        self.asks.insert(request, Ask { message: message.clone(), told: None });
        self.send_control(self.plan.keeper(), message);
        request
    }

    /// The answer to a request, once it is there.
    pub(in crate::node::worker) fn take_told(&mut self, request: u64) -> Option<Told> {
        self.asks.get_mut(&request)?.told.take()
    }

    /// Nobody waits for the answer any more.
    pub(in crate::node::worker) fn forget_ask(&mut self, request: u64) {
        self.asks.remove(&request);
    }

    /// Checks that this process could use a table.
    pub(in crate::node::worker) fn check_table(&self, described: &Described) -> Result<(), Error> {
        let Described { spec, policy, hyper } = described.clone();
        self.plan.with_table(spec, policy, hyper).map(drop)
    }

    /// Holds a table that every server holds.
    pub(in crate::node::worker) fn hold_table(
        &mut self,
        entry: TableEntry,
    ) -> Result<Table, Error> {
        let (id, found) = (entry.id, entry.clone().into_table());
        if let Some(planned) = self.plan.table(id) {
            planned.table.spec().check_same(found.spec())?;
            return Ok(found);
        }
        // A table of that name was dropped.
        self.forget_table(found.name());
        self.plan = self.plan.with(&CatalogEntry::Table(entry))?;
        let planned = self.plan.table(id);
        let unknown = || AccessError::UnknownTable { table: id.to_string() };
        Ok(planned.ok_or_else(unknown)?.table.clone())
    }

    /// Forgets a table that was dropped: its handles name a number that nobody has any more.
    pub(in crate::node::worker) fn forget_table(&mut self, name: &str) {
        let held = self.plan.table_named(name).map(|planned| planned.table.id());
        let without = held.and_then(|id| self.plan.with(&CatalogEntry::Drop(id)).ok());
        self.plan = without.unwrap_or_else(|| self.plan.clone());
    }

    /// A repeated answer finds nobody who waits for it.
    pub(super) fn tell(&mut self, request: u64, told: Told) {
        if let Some(ask) = self.asks.get_mut(&request) {
            ask.told.get_or_insert(told);
        }
    }
}
