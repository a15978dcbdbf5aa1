//! Tables of this process that change, or end, while they are trained.

use super::store::{Inner, Store};
use crate::consistency::LocalPolicy;
use crate::error::{AccessError, Result};
use crate::id::{GroupId, Tick};
use crate::spec::{Table, TableChange, Terms};
use crate::sync::Arc;

impl Store {
    /// Changes a table from a tick on, for its pushes, reads and rounds of that tick and of later
    /// ones; the tick. Nobody can have come to it: a table that nobody writes changes from tick 1,
    /// another one a few ticks later, or when the change says. Asked for what holds already,
    /// nothing is changed.
    ///
    /// A change of policy is a barrier: requests of its first tick wait until all members have
    /// ended the tick before.
    ///
    /// ```
    /// use archipelago::{Bsp, Hyper, Schedule, Store, TableChange, TablePolicy, TableSpec, Tick};
    /// let store = Store::in_memory();
    /// let policy = TablePolicy::local(Bsp);
    /// store.ensure_table(TableSpec::dense("w", 9), policy, Hyper::default())?;
    /// let slower = Hyper::rate(Schedule::Constant(0.1));
    /// let change = TableChange::default().hyper(slower).from(Tick(100));
    /// assert_eq!(store.change_table("w", &change)?, Tick(100));
    /// # Ok::<(), archipelago::Error>(())
    /// ```
    ///
    /// # Errors
    /// No such table, or it was dropped; terms out of bounds or unknown code; a tick that somebody
    /// may have come to, with the earliest possible one, or one too far ahead, with the last one.
    pub fn change_table(&self, name: &str, change: &TableChange) -> Result<Tick> {
        let inner = self.inner();
        // No tick ends while the table changes.
        let tables = inner.tables.lock();
        let found = tables.iter().find(|held| held.table.name() == name);
        let held = Arc::clone(found.ok_or_else(|| inner.not_there(name))?);
        let changed =
            held.change(inner.clock.now(), |table, writer| inner.terms(table, change, writer));
        drop(tables);
        held.work();
        changed
    }

    /// Drops a table, whoever uses it: its values are gone, and its name is free. Requests for it
    /// that wait or come later are refused, with an error that says so. A table that was dropped
    /// before is found dropped.
    ///
    /// # Errors
    /// There never was such a table.
    pub fn drop_table(&self, name: &str) -> Result<()> {
        let inner = self.inner();
        let mut tables = inner.tables.lock();
        let found = tables.iter().position(|held| held.table.name() == name);
        let Some(at) = found else {
            return match inner.not_there(name) {
                AccessError::Dropped { .. } => Ok(()),
                unknown => Err(unknown.into()),
            };
        };
        let held = Arc::make_mut(&mut tables).remove(at);
        inner.bury(&held.table);
        drop(tables);
        tracing::info!(table = name, "table dropped");
        held.end();
        Ok(())
    }
}

/// What becomes of a change.
pub(super) enum Changed {
    /// It holds already, from this tick on.
    Found(Tick),
    /// It makes these terms, with this code.
    New(Box<Terms>, Arc<dyn LocalPolicy>),
}

impl Inner {
    fn terms(
        &self,
        table: &Table,
        change: &TableChange,
        writer: Option<GroupId>,
    ) -> Result<Changed> {
        if let Some(terms) = change.found_in(table) {
            return Ok(Changed::Found(terms.from));
        }
        let reached = writer.map(|group| self.reached(group));
        let free = reached.map_or(Tick::FIRST, free_tick);
        let terms = change.of(table, free, reached.unwrap_or_default())?;
        let code = self.config.registry.resolve(table.spec(), &terms.policy)?;
        terms.hyper.check(table.spec())?;
        Ok(Changed::New(Box::new(terms), code.policy))
    }
}

/// The first tick that no member of a group can have come to: a worker's line may be one tick
/// ahead of what the keeper has heard, and pushes belong to the tick after that.
fn free_tick(reached: Tick) -> Tick {
    Tick(reached.0.saturating_add(3))
}
