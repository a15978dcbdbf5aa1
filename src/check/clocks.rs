//! Which mirror clocks count where, as a history goes on, and whom nobody waits for.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, Record};
use crate::id::{DataCentre, SlotIndex, TableId, Tick};

/// A shard, and a data centre or group that it hears of.
pub(super) type Heard = (u32, TableId, DataCentre);

/// What all shards have heard so far.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    counted: BTreeMap<Heard, BTreeMap<SlotIndex, Tick>>,
    lost: BTreeSet<Heard>,
}

impl Clocks {
    pub(super) fn note(&mut self, record: &Record) {
        let node = record.node;
        match &record.event {
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

    /// The clock that counts for every slot that any was heard of for.
    pub(super) fn counted_everywhere(&self, heard: Heard) -> Tick {
        let slots = self.counted.get(&heard);
        slots.and_then(|slots| slots.values().min()).copied().unwrap_or_default()
    }

    /// Whether nobody waits for it there.
    pub(super) fn is_lost(&self, heard: Heard) -> bool {
        self.lost.contains(&heard)
    }
}
