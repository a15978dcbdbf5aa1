//! What a server has heard of a group, for shards that are made while the group trains.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{Origin, Rank, Tick};
use crate::limits;
use crate::spec::{GroupRecord, MemberEnd};

/// A group's record, and how far its members have come.
#[derive(Debug, Default)]
pub(super) struct Roll {
    record: GroupRecord,
    /// The last tick heard of each member.
    heard: BTreeMap<Origin, Tick>,
    fenced: BTreeSet<Origin>,
    /// The last tick heard of anybody.
    reached: Tick,
}

impl Roll {
    /// Takes a record; older ones are ignored. Who is not named any more is forgotten.
    pub(super) fn hold(&mut self, record: &GroupRecord) {
        if record.version < self.record.version {
            return;
        }
        self.record = record.clone();
        let named = |origin: &Origin| record.members.iter().any(|member| member.origin == *origin);
        self.heard.retain(|origin, _| named(origin));
        self.fenced.retain(|origin| named(origin));
    }

    /// Whether a worker can have ended this tick, as far as is known without a shard.
    pub(super) fn believes(&self, origin: Origin, tick: Tick) -> bool {
        let mut members = self.record.members.iter();
        let member = members.find(|member| member.origin == origin);
        member.is_some_and(|member| {
            let heard = self.heard.get(&origin).copied().unwrap_or_default();
            let last = heard.max(member.start.back(1));
            tick.0 <= last.0.saturating_add(limits::TICKS_PENDING_MAX as u64)
        })
    }

    /// Notes a tick that the shards believe.
    pub(super) fn ticked(&mut self, origin: Origin, tick: Tick) {
        let heard = self.heard.entry(origin).or_default();
        *heard = tick.max(*heard);
        self.reached = tick.max(self.reached);
    }

    /// The last tick heard of anybody, whatever has become of the tables.
    pub(super) fn reached(&self) -> Tick {
        self.reached
    }

    /// Notes that a member is being removed.
    pub(super) fn fence(&mut self, origin: Origin) {
        if self.record.members.iter().any(|member| member.origin == origin) {
            self.fenced.insert(origin);
        }
    }

    /// The members that are being removed.
    pub(super) fn fenced(&self) -> impl Iterator<Item = Origin> {
        self.fenced.iter().copied()
    }

    /// The members that are there, by rank, and the last tick heard of each.
    pub(super) fn members(&self) -> impl Iterator<Item = (Rank, Tick)> {
        let active = self.record.members.iter().filter(|member| member.end == MemberEnd::Active);
        active.map(|member| {
            let heard = self.heard.get(&member.origin).copied().unwrap_or_default();
            (member.origin.rank, heard.max(member.start.back(1)))
        })
    }

    /// The record for a shard that is made only now: members begin behind the ticks heard of.
    pub(super) fn record_from_now(&self) -> GroupRecord {
        let mut record = self.record.clone();
        for member in &mut record.members {
            let heard = self.heard.get(&member.origin).copied().unwrap_or_default();
            member.start = member.start.max(heard.next());
        }
        record
    }

    /// The members whose ticks heard of lie behind their start in the record, and those ticks.
    pub(super) fn ahead(&self) -> impl Iterator<Item = (Origin, Tick)> {
        let members = self.record.members.iter();
        members.filter_map(|member| {
            let heard = *self.heard.get(&member.origin)?;
            (heard >= member.start).then_some((member.origin, heard))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupId, Incarnation, RecordVersion};
    use crate::spec::Member;

    #[test]
    fn a_shard_made_late_begins_behind_the_ticks_heard_of() {
        let origin =
            |rank| Origin { group: GroupId(0), rank: Rank(rank), incarnation: Incarnation(1) };
        let member = |rank| Member { origin: origin(rank), start: Tick(3), end: MemberEnd::Active };
        let members = vec![member(0), member(1), member(2)];
        let record = GroupRecord { version: RecordVersion(2), members, ..Default::default() };
        let mut roll = Roll::default();
        roll.hold(&record);
        roll.ticked(origin(1), Tick(7));
        roll.ticked(origin(1), Tick(6));
        roll.ticked(origin(2), Tick(2));
        let starts: Vec<_> = roll.record_from_now().members.iter().map(|m| m.start.0).collect();
        assert_eq!(starts, [3, 8, 3]);
        assert_eq!(roll.ahead().collect::<Vec<_>>(), [(origin(1), Tick(7))]);
        roll.hold(&GroupRecord { version: RecordVersion(1), ..Default::default() });
        assert_eq!(roll.record_from_now().members.len(), 3, "an older record is ignored");
    }
}
