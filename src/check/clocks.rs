//! Which mirror clocks count where, as a history goes on, and whom nobody waits for.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, Record};
use crate::id::{DataCentre, SlotIndex, TableId, Tick};

/// A shard, and a data centre or group that it hears of.
pub(super) type Heard = (u32, TableId, DataCentre);

/// What all shards have heard so far.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// The slots of each shard.
    slots: BTreeMap<(u32, TableId), BTreeSet<SlotIndex>>,
    counted: BTreeMap<Heard, BTreeMap<SlotIndex, Tick>>,
    lost: BTreeSet<Heard>,
}

impl Clocks {
    pub(super) fn note(&mut self, record: &Record) {
        let node = record.node;
        match &record.event {
            Event::Placed { table, slot, .. } => {
                self.slots.entry((node, *table)).or_default().insert(*slot);
            },
            Event::MirrorClockCounted { table, data_centre, slot, tick, .. } => {
                let slots = self.counted.entry((node, *table, *data_centre)).or_default();
                slots.insert(*slot, *tick);
            },
            Event::DataCentreLost { table, data_centre } => {
                self.lost.insert((node, *table, *data_centre));
            },
            Event::DataCentreBack { table, data_centre } => {
                self.lost.remove(&(node, *table, *data_centre));
            },
            _ => {},
        }
    }

    /// The clock that counts for a slot.
    pub(super) fn counted(&self, heard: Heard, slot: SlotIndex) -> Tick {
        let slots = self.counted.get(&heard);
        slots.and_then(|slots| slots.get(&slot)).copied().unwrap_or_default()
    }

    /// The clock that counts for every slot of the shard: none while nothing was heard for one.
    pub(super) fn counted_everywhere(&self, heard: Heard) -> Tick {
        let slots = self.slots.get(&(heard.0, heard.1)).into_iter().flatten();
        slots.map(|slot| self.counted(heard, *slot)).min().unwrap_or_default()
    }

    /// Whether nobody waits for it there.
    pub(super) fn is_lost(&self, heard: Heard) -> bool {
        self.lost.contains(&heard)
    }

    /// Whom nobody waits for, and where.
    pub(super) fn lost(&self) -> impl Iterator<Item = Heard> {
        self.lost.iter().copied()
    }
}
