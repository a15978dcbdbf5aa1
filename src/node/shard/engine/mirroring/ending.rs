//! The end of training: everything has been told, and copies that still differ by rounding take
//! the values of the first data centre (law 6).

use super::super::ShardEngine;
use crate::consistency::Exchange;
use crate::id::{DataCentre, ServerId, SlotIndex, Tick};
use crate::key::Key;
use crate::limits;
use crate::spec::Layout;
use crate::vector::Element;
use crate::wire::{Delta, MirrorMessage, Refusal, RowsNamed};

impl<T: Element> ShardEngine<T> {
    /// Does one step of the end, if there is one.
    pub(super) fn ending_step(&mut self) -> bool {
        if self.ending_begins() {
            return true;
        }
        let unit = self.mirror.as_mut().and_then(|mirror| mirror.ending.units.pop_front());
        if let Some(unit) = unit {
            self.tell_digest(unit);
            return true;
        }
        self.take_digest()
    }

    /// Everything has been told and heard: the first data centre tells what its values are.
    fn ending_begins(&mut self) -> bool {
        let Some(mirror) = &mut self.mirror else { return false };
        let counting = mirror.sources.values().filter(|source| source.counts());
        let heard = counting.map(|source| source.counted_everywhere()).min();
        let done = heard.is_none_or(|tick| tick == Tick(u64::MAX));
        let settled = !mirror.in_step
            || !mirror.stash.is_settling()
                && mirror.stash.settled >= mirror.passed.max(mirror.stash.last_tick());
        if mirror.ending.heard || !mirror.ending.told || !done || !settled {
            return false;
        }
        mirror.ending.heard = true;
        self.changes.any = true;
        self.record_balance();
        let Some(mirror) = &self.mirror else { return true };
        // In step with aggregates all copies are equal at every tick.
        if mirror.here == DataCentre(0) && mirror.exchange == Exchange::Deltas {
            let units = self.units().into();
            if let Some(mirror) = &mut self.mirror {
                mirror.ending.units = units;
            }
        }
        true
    }

    /// All blocks, or sparse slots, of the shard.
    pub(super) fn units(&self) -> Vec<Key> {
        let ranges = self.place.slots.iter().filter_map(|slot| self.grid.range(*slot));
        match self.table.spec().layout {
            Layout::Sparse => ranges.map(|range| range.first()).collect(),
            Layout::Dense => {
                ranges.flat_map(|range| self.grid.chunks(range)).map(|it| it.1.first()).collect()
            },
        }
    }

    fn tell_digest(&mut self, unit: Key) {
        let slot = self.grid.slot_of(unit);
        let digest = self.rows.digest_values(slot, self.unit_range(unit));
        let Some(mirror) = &mut self.mirror else { return };
        for server in mirror.routes.get(&slot).into_iter().flatten() {
            if let Some(lane) = mirror.lanes.get_mut(server) {
                lane.finish(slot, unit, digest);
            }
        }
    }

    fn take_digest(&mut self) -> bool {
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.ending.heard) else {
            return false;
        };
        if mirror.ending.asked.len() >= limits::ASSIGNS_MAX {
            return false;
        }
        let Some(((slot, unit), (from, digest))) = mirror.ending.digests.pop_first() else {
            return false;
        };
        self.compare(from, (slot, unit), digest);
        true
    }

    pub(super) fn on_digest(
        &mut self,
        from: ServerId,
        (slot, unit): (SlotIndex, Key),
        digest: u128,
    ) {
        if self.owned(slot).is_err() || self.grid.slot_of(unit) != slot {
            return;
        }
        let Some(mirror) = &mut self.mirror else { return };
        if mirror.here == DataCentre(0) {
            if let Some(lane) = mirror.lanes.get_mut(&from) {
                lane.finished(slot, unit, digest);
            }
        } else {
            mirror.ending.asked.remove(&(slot, unit));
            mirror.ending.digests.insert((slot, unit), (from, digest));
        }
    }

    /// Says that a unit's values are those of the first data centre, or asks for them.
    fn compare(&mut self, from: ServerId, (slot, unit): (SlotIndex, Key), digest: u128) {
        let same = self.rows.digest_values(slot, self.unit_range(unit)) == digest;
        let Some(mirror) = &mut self.mirror else { return };
        if !same {
            mirror.ending.asked.insert((slot, unit));
        }
        if let Some(lane) = mirror.lanes.get_mut(&from) {
            lane.reply(match same {
                true => MirrorMessage::Digest { slot, unit, digest },
                false => MirrorMessage::Differs { slot, unit },
            });
        }
    }

    pub(super) fn on_differs(
        &mut self,
        from: ServerId,
        (slot, unit): (SlotIndex, Key),
    ) -> Result<(), Refusal> {
        self.owned(slot)?;
        if self.grid.slot_of(unit) != slot || !self.is_first_at_its_end() {
            return Err(Refusal::OutsideDomain { key: unit });
        }
        let range = self.unit_range(unit);
        let (copies, digest) =
            (self.rows.copies(slot, range), self.rows.digest_values(slot, range));
        let lane = self.mirror.as_mut().and_then(|mirror| mirror.lanes.get_mut(&from));
        if let Some(lane) = lane {
            for delta in copies {
                lane.reply(MirrorMessage::Assign { slot, delta });
            }
            lane.reply(MirrorMessage::Digest { slot, unit, digest });
        }
        Ok(())
    }

    fn is_first_at_its_end(&self) -> bool {
        self.mirror.as_ref().is_some_and(|it| it.here == DataCentre(0) && it.ending.heard)
    }

    pub(super) fn on_assign(
        &mut self,
        from: ServerId,
        slot: SlotIndex,
        delta: &Delta,
    ) -> Result<(), Refusal> {
        self.check_delta(slot, delta)?;
        let mirror = self.mirror.as_ref();
        let first = mirror.and_then(|mirror| mirror.lanes.get(&from)).map(|it| it.data_centre);
        let ended = mirror.is_some_and(|mirror| mirror.ending.heard);
        if first != Some(DataCentre(0)) || !ended {
            let key = match &delta.rows {
                RowsNamed::Block(rows) => rows.first(),
                RowsNamed::Keys(keys) => keys.first().copied().unwrap_or_default(),
            };
            return Err(Refusal::OutsideDomain { key });
        }
        self.changes.any = true;
        self.record_assigned(slot);
        self.rows.assign(slot, delta)
    }
}
