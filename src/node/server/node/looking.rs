//! What a server tells those who operate it.

use super::super::standing::{AwaitedMembers, GroupStanding, Standing, lasted};
use super::ServerNode;
use crate::error::{AccessError, Result};
use crate::id::TableId;
use crate::key::KeyRange;
use crate::node::shard::{RoundTimes, ShardEngine};
use crate::time::Instant;
use crate::vector::Element;

impl ServerNode {
    /// How requests and workers stand. Cost: a look at all that wait, and at all members.
    pub fn standing(&self, now: Instant) -> Standing {
        let now = self.now.max(now);
        let (mut waits, mut awaited) = (self.waits.clone(), AwaitedMembers::default());
        for held in self.tables.values() {
            for (group, reason) in held.waiting.reasons() {
                waits.lasts(reason.what, lasted(now, &reason));
                awaited.note(group, &reason);
            }
        }
        let groups = self.rolls.iter().filter_map(|(group, roll)| {
            let members: Vec<_> = roll.members().collect();
            let spec = self.plan.group(*group).filter(|_| !members.is_empty())?;
            let (group, name) = (*group, spec.name.clone());
            Some(GroupStanding { group, name, size: spec.size, members })
        });
        Standing { waits: waits.all(), awaited: awaited.most(), groups: groups.collect() }
    }

    /// The values of all rows of a table held here, slot by slot, as
    /// [`ShardEngine::look`] gives them: with closed rounds applied, and unnoticed by anybody.
    ///
    /// # Errors
    /// No such table here, elements of another type, or too many of them.
    pub fn values<T: Element>(&mut self, table: TableId) -> Result<Vec<(KeyRange, Vec<T>)>> {
        let name = self.plan.table(table).map(|planned| planned.table.name().to_owned());
        let name = name.unwrap_or_else(|| format!("number {}", table.0));
        let Some(held) = self.tables.get_mut(&table) else {
            return Err(AccessError::UnknownTable { table: name }.into());
        };
        let expected = held.shard.dtype().name();
        let Some(engine) = ShardEngine::<T>::of(&mut *held.shard) else {
            let (table, found) = (name, T::DTYPE.name());
            return Err(AccessError::DType { table, expected, found }.into());
        };
        engine.look()
    }

    /// How long the rounds of a table's shard took.
    pub fn round_times(&self, table: TableId) -> Option<RoundTimes> {
        Some(self.tables.get(&table)?.shard.round_times())
    }
}
