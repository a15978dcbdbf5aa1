//! What a server tells those who operate it.

use super::super::standing::{AwaitedMembers, GroupStanding, Standing, lasted};
use super::ServerNode;
use crate::id::TableId;
use crate::node::shard::RoundTimes;
use crate::time::Instant;

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

    /// How long the rounds of a table's shard took.
    pub fn round_times(&self, table: TableId) -> Option<RoundTimes> {
        Some(self.tables.get(&table)?.shard.round_times())
    }
}
