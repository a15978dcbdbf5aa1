//! The end of training: everything has been told, and copies that still differ by rounding take
//! the values of the first data centre that counts (law 6), by way of hubs where there are groups.

use super::super::ShardEngine;
use crate::id::{SlotIndex, Tick};
use crate::key::Key;
use crate::limits;
use crate::node::mirror::{Behind, LineId, Source};
use crate::node::shard::mirroring::{Ending, Mirroring};
use crate::spec::Layout;
use crate::vector::Element;
use crate::wire::{Delta, Refusal};

impl<T: Element> ShardEngine<T> {
    /// Does one step of the end, if there is one.
    pub(super) fn ending_step(&mut self) -> bool {
        if self.ending_begins() {
            return true;
        }
        let unit = self.mirror.as_mut().and_then(|mirror| mirror.ending.units.pop_first());
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
        let heard = counting.map(Source::counted_everywhere).min();
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
        self.tell_all_digests();
        true
    }

    /// Where the values are those that count, says what all of them are.
    fn tell_all_digests(&mut self) {
        if self.mirror.as_ref().is_some_and(|mirror| mirror.follows().is_none()) {
            let units = self.units().into_iter().collect();
            if let Some(mirror) = &mut self.mirror {
                mirror.ending.units = units;
            }
        }
    }

    /// Values have changed: by what a data centre that was lost, or somebody who has joined after
    /// the end, tells late. What was said of them is said again, or compared again.
    pub(super) fn ending_changed(&mut self, unit: Key) {
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.ending.heard) else {
            return;
        };
        let slot = self.grid.slot_of(unit);
        if mirror.follows().is_none() {
            mirror.ending.units.insert(unit);
        } else if mirror.ending.digests.contains_key(&(slot, unit)) {
            mirror.ending.compare.insert((slot, unit));
        }
    }

    /// A data centre was lost, or is back: another one's values may count.
    pub(super) fn ending_stands(&mut self, counts: bool) {
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.ending.heard) else {
            return;
        };
        // Who counts now is asked anew: what others were asked for may never come, and what they
        // have told counts no more. Of one that is back, what it has told meanwhile does.
        let sources = &mirror.sources;
        let Ending { digests, asked, coming, overruled, too_large, compare, .. } =
            &mut mirror.ending;
        digests.retain(|_, told| {
            told.retain(|_, ((_, of), _)| counts || sources.get(of).is_some_and(Source::counts));
            !told.is_empty()
        });
        asked.clear();
        coming.clear();
        too_large.clear();
        overruled.clear();
        *compare = digests.keys().copied().collect();
        mirror.forget_followed();
        self.tell_all_digests();
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
        let lines = mirror.routes.get(&slot).into_iter().flatten().copied();
        let leads = |line: &LineId| mirror.lanes.get(line).is_some_and(|lane| mirror.leads(lane));
        for line in lines.filter(leads).collect::<Vec<_>>() {
            if let Some(lane) = mirror.lanes.get_mut(&line) {
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
        let Some(place) = mirror.ending.compare.pop_first() else {
            return false;
        };
        if let Some((line, digest)) = mirror.told_last(place) {
            self.compare(line, place, digest);
        }
        true
    }

    pub(super) fn on_digest(&mut self, line: LineId, (slot, unit): (SlotIndex, Key), digest: u128) {
        let fits = self.is_unit(slot, unit);
        let may = |mirror: &&mut Mirroring| fits && mirror.precedes(line.1);
        let Some(mirror) = self.mirror.as_mut().filter(may) else { return };
        let place = (slot, unit);
        let rank = mirror.rank(line.1);
        mirror.ending.digests.entry(place).or_default().insert(rank, (line, digest));
        // Of two that tell, which have lost each other, the first one counts.
        match mirror.told_last(place) {
            // What there was no room for is not asked for again.
            Some(_) if mirror.ending.too_large.get(&place) == Some(&digest) => {},
            Some(told) if told == (line, digest) => {
                mirror.ending.asked.remove(&place);
                mirror.ending.coming.remove(&place);
                mirror.ending.too_large.remove(&place);
                mirror.ending.compare.insert(place);
            },
            Some(((_, first), _)) if mirror.ending.overruled.insert(line.1) => {
                tracing::warn!(
                    data_centre = line.1.0,
                    first = first.0,
                    "two tell what values are at the end, they have \
                     lost each other: those of the first are taken, the other's copy differs"
                );
            },
            _ => {},
        }
    }

    /// Takes the values of a unit, which have come whole.
    fn take_values(&mut self, slot: SlotIndex, pieces: &[Delta]) {
        self.changes.any = true;
        self.record_assigned(slot);
        self.rows.reset(slot);
        for piece in pieces {
            if let Err(refusal) = self.rows.assign(slot, piece) {
                tracing::error!(?refusal, "values that were checked do not fit");
            }
        }
    }

    /// Whether a slot is owned here, and this one of its units.
    fn is_unit(&self, slot: SlotIndex, unit: Key) -> bool {
        let owned = self.owned(slot).is_ok_and(|range| range.contains(unit));
        owned && self.unit_range(unit).first() == unit
    }

    /// Says that a unit's values are those that count, or asks for them.
    fn compare(&mut self, (from, of): LineId, (slot, unit): (SlotIndex, Key), digest: u128) {
        let same = self.rows.digest_values(slot, self.unit_range(unit)) == digest;
        let Some(mirror) = &mut self.mirror else { return };
        if same {
            // Others may hear of them by this one.
            mirror.ending.units.insert(unit);
        } else {
            mirror.ending.asked.insert((slot, unit));
        }
        if let Some(neighbour) = mirror.neighbours.get_mut(&from) {
            neighbour.answer(of, (slot, unit), same.then_some(digest));
        }
    }

    pub(super) fn on_differs(
        &mut self,
        line: LineId,
        (slot, unit): (SlotIndex, Key),
    ) -> Result<(), Refusal> {
        self.owned(slot)?;
        if !self.is_unit(slot, unit) {
            return Err(Refusal::OutsideDomain { key: unit });
        }
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.ending.heard) else {
            return Ok(());
        };
        // Whose values do not count any more tells none, and is asked once more perhaps.
        if mirror.lanes.get(&line).is_some_and(|lane| mirror.leads(lane))
            && let Some(lane) = mirror.lanes.get_mut(&line)
        {
            lane.values.ask(slot, unit);
        }
        Ok(())
    }

    /// Makes the piece of the values that a server elsewhere has asked for which may leave now.
    pub(super) fn tell_values(&mut self, to: LineId, room: bool) {
        let lane = self.mirror.as_mut().and_then(|mirror| mirror.lanes.get_mut(&to));
        let Some(part) = lane.and_then(|lane| lane.next_part(room)) else { return };
        let range = self.unit_range(part.unit);
        let (delta, next) = self.rows.copy_part(part.slot, range, part.from);
        let behind = match next {
            Some(from) => Behind::Piece(from),
            None => Behind::Digest(self.rows.digest_values(part.slot, range)),
        };
        let lane = self.mirror.as_mut().and_then(|mirror| mirror.lanes.get_mut(&to));
        if let Some(lane) = lane {
            lane.values.tell(delta, behind);
        }
    }

    pub(super) fn on_assign(
        &mut self,
        line: LineId,
        slot: SlotIndex,
        piece: (u32, bool),
        delta: Delta,
    ) -> Result<(), Refusal> {
        self.owned(slot)?;
        let neighbours = self.mirror.as_mut().map(|mirror| &mut mirror.neighbours);
        if let Some(neighbour) = neighbours.and_then(|all| all.get_mut(&line.0)) {
            neighbour.arrived(line.1, slot);
        }
        let unit = self.check_delta(slot, &delta)?;
        let (place, limit_bytes) = ((slot, unit), self.room_at_end());
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        // Whose digest counts here was asked, if anybody; one that counted before, perhaps.
        let told = mirror.told_last(place).filter(|(who, _)| *who == line);
        let Some((_, digest)) = told else { return Ok(()) };
        let ending = &mut mirror.ending;
        if !ending.asked.contains(&place) {
            // A newer digest has come meanwhile: after it has been compared they come again.
            return Ok(());
        }
        let others = ending.coming.iter().filter(|(other, _)| **other != place);
        let held: usize = others.map(|(_, pieces)| pieces.bytes()).sum();
        let come = ending.coming.entry(place).or_default();
        match come.take(piece, delta, limit_bytes.saturating_sub(held)) {
            Ok(None) => Ok(()),
            Ok(Some(pieces)) => {
                ending.coming.remove(&place);
                self.take_values(slot, &pieces);
                Ok(())
            },
            Err(Refusal::Limit) => {
                ending.asked.remove(&place);
                ending.coming.remove(&place);
                ending.too_large.insert(place, digest);
                let (table, data_centre, slot) = (self.table.name(), line.1.0, slot.0);
                tracing::warn!(
                    table,
                    data_centre,
                    slot,
                    limit_bytes,
                    "values of a slot at the end take more than there is room for: this copy \
                     keeps its own and stays unequal (more slots make each smaller)"
                );
                Ok(())
            },
            Err(refusal) => Err(refusal),
        }
    }

    /// What the pieces of all units that are coming may take. They are held until the last one of
    /// theirs has come, for a copy that is half of another's would lead if its sender were lost
    /// now; those of a copy with the same rows take less than this one does.
    fn room_at_end(&self) -> usize {
        limits::MIRROR_STASH_BYTES_MAX.max(self.rows.memory_bytes())
    }
}
