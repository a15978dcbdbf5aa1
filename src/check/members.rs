//! Who is a member at a server, and which of its ticks are counted for which keys, as a history
//! tells it. The model that laws 4 and 5 are judged by: written from SPEC, not from the engine.

use std::collections::BTreeMap;

use crate::history::Event;
use crate::id::{GroupId, Origin, Rank, SlotIndex, TableId, Tick};
use crate::key::{Key, KeyRange};
use crate::spec::{GroupRecord, Member, MemberEnd};

/// The records that each server holds, and the ticks that each has counted.
#[derive(Debug, Default)]
pub(super) struct Members {
    records: BTreeMap<(u32, GroupId), GroupRecord>,
    ticks: BTreeMap<(u32, TableId, Origin), Counted>,
    slots: BTreeMap<(TableId, SlotIndex), KeyRange>,
}

/// Ticks counted of one origin, by range; a later entry covers an earlier one.
#[derive(Debug, Default)]
struct Counted(Vec<(KeyRange, Tick)>);

impl Members {
    /// Takes note of an event of one node.
    pub(super) fn note(&mut self, node: u32, event: &Event) {
        match event {
            Event::RecordHeld { record } => {
                let held = self.records.entry((node, record.group)).or_default();
                if record.version >= held.version {
                    *held = record.clone();
                }
            },
            Event::TickCounted { origin, table, range, tick } => {
                let counted = self.ticks.entry((node, *table, *origin)).or_default();
                counted.0.retain(|(held, _)| !range.covers(held));
                counted.0.push((*range, *tick));
            },
            Event::BeginsBehind { origin, table, tick } => {
                let counted = self.ticks.entry((node, *table, *origin)).or_default();
                counted.0.push((KeyRange::ALL, *tick));
            },
            Event::Placed { table, slot, range, .. } => {
                self.slots.insert((*table, *slot), *range);
            },
            _ => {},
        }
    }

    /// The keys of a slot.
    pub(super) fn slot(&self, table: TableId, slot: SlotIndex) -> Option<KeyRange> {
        self.slots.get(&(table, slot)).copied()
    }

    /// The record that a server holds.
    pub(super) fn record(&self, node: u32, group: GroupId) -> Option<&GroupRecord> {
        self.records.get(&(node, group))
    }

    /// The last tick of `origin` counted at a key of a table on a node; 0 when none is.
    pub(super) fn counted(&self, node: u32, table: TableId, origin: Origin, key: Key) -> Tick {
        let counted = self.ticks.get(&(node, table, origin));
        let of_key = counted.into_iter().flat_map(|counted| counted.0.iter().rev());
        let mut of_key = of_key.filter(|(range, _)| range.contains(key));
        of_key.next().map_or(Tick(0), |(_, tick)| *tick)
    }

    /// The member whose counted ticks at a slot hold readers back most, with its tick there.
    /// Members that have left after their last tick, or were removed, hold nobody back.
    pub(super) fn slowest(
        &self,
        node: u32,
        group: GroupId,
        table: TableId,
        slot: SlotIndex,
    ) -> Option<(Tick, Rank)> {
        let key = self.slot(table, slot)?.first();
        let members = &self.record(node, group)?.members;
        let holding = members.iter().filter_map(|member| {
            let tick = self.counted(node, table, member.origin, key).max(member.start.back(1));
            holds_back(member, tick).then_some((tick, member.origin.rank))
        });
        holding.min()
    }
}

fn holds_back(member: &Member, counted: Tick) -> bool {
    match &member.end {
        MemberEnd::Active => true,
        MemberEnd::Left { last } => counted < *last,
        MemberEnd::Removed { .. } => false,
    }
}
