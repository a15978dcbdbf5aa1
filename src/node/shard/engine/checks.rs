//! Whether a request fits the shard: slots owned, rows within them, lengths, finiteness.

use super::ShardEngine;
use crate::id::{SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::node::sabotage::Sabotage;
use crate::node::shard::gather::Unit;
use crate::node::shard::mirroring::Mirroring;
use crate::node::shard::{Chunk, PushRequest, ReadRows, RowsAsked};
use crate::spec::Layout;
use crate::vector::Element;
use crate::vector::kernels::{all_finite, first_non_finite};
use crate::wire::Refusal;

impl<T: Element> ShardEngine<T> {
    pub(super) fn check_chunk(
        &mut self,
        request: &PushRequest,
        chunk: &Chunk<'_, T>,
    ) -> Result<(), Refusal> {
        let origin = request.header.origin;
        let owned = self.owned(request.slot)?;
        if !self.place.switch.breaks(Sabotage::TrustShapes) {
            self.check_shape(&owned, chunk)?;
        }
        self.progress.bind(origin.group)?;
        let ended = self.mirror.as_ref().is_some_and(Mirroring::has_ended);
        if ended && self.exchanges_aggregates() {
            // Others settle its round without it: they were told that nothing more comes.
            return Err(Refusal::Ended { table: self.table.id() });
        }
        let counted =
            self.progress.group(origin.group).and_then(|g| g.tick_at(origin.rank, &owned));
        if let Some(counted) = counted.filter(|counted| request.header.tick <= *counted) {
            let (expected, found) = (counted.next(), request.header.tick);
            return Err(Refusal::TickBackwards { expected, found });
        }
        let passed = self.mirror.as_ref().map_or(Tick(0), Mirroring::told_up_to);
        if request.header.tick <= passed && self.exchanges_aggregates() {
            // Ticks of a group that only reads were told before this one was bound.
            let (expected, found) = (passed.next(), request.header.tick);
            return Err(Refusal::Passed { expected, found });
        }
        // A gathering shard checks the elements while it copies them.
        let piece = self.course.at(request.header.tick);
        let unchecked = piece.terms.policy.non_finite || piece.gathers();
        if unchecked || all_finite(chunk.values()) { Ok(()) } else { Err(self.non_finite(chunk)) }
    }

    /// Why a chunk with an element that is not finite is refused: where the first one is.
    pub(super) fn non_finite(&self, chunk: &Chunk<'_, T>) -> Refusal {
        let (values, width) = (chunk.values(), self.width());
        let at = first_non_finite(values).unwrap_or_default();
        let key = match chunk {
            Chunk::Block { rows, .. } => Key(rows.first().0 + (at / width) as u64),
            Chunk::Frame { keys, .. } => keys[at / width],
        };
        let element = u32::try_from(at % width).unwrap_or(u32::MAX);
        Refusal::NonFinite { key, element, bits: values[at].to_f64().to_bits() }
    }

    fn check_shape(&self, owned: &KeyRange, chunk: &Chunk<'_, T>) -> Result<(), Refusal> {
        match chunk {
            Chunk::Block { rows, values } => {
                self.check_block(owned, rows)?;
                self.check_length(rows.count() as usize, values.len())
            },
            Chunk::Frame { keys, values } => {
                self.check_keys(owned, keys)?;
                self.check_length(keys.len(), values.len())
            },
        }
    }

    pub(super) fn owned(&self, slot: SlotIndex) -> Result<KeyRange, Refusal> {
        if self.place.slots.binary_search(&slot).is_err() {
            return Err(Refusal::NotOwned { slot });
        }
        self.grid.range(slot).ok_or(Refusal::NotOwned { slot })
    }

    /// The unit of a chunk that fits its slot.
    pub(super) fn unit(&self, slot: SlotIndex, chunk: &Chunk<'_, T>) -> Unit {
        match chunk {
            Chunk::Block { rows, .. } => self.grid.block_range(rows.first()).first(),
            Chunk::Frame { .. } => self.slot_unit(slot),
        }
    }

    /// The unit of a sparse slot. Slots are checked before they get here.
    pub(super) fn slot_unit(&self, slot: SlotIndex) -> Unit {
        self.grid.range(slot).map_or(Key(0), |range| range.first())
    }

    pub(super) fn check_block(&self, owned: &KeyRange, rows: &KeyRange) -> Result<(), Refusal> {
        if !owned.covers(rows) {
            return Err(Refusal::OutsideDomain { key: rows.last() });
        }
        let block = self.grid.block_range(rows.first());
        if self.table.spec().layout != Layout::Dense || !block.covers(rows) {
            return Err(Refusal::Shape { expected: block.last().0, found: rows.last().0 });
        }
        Ok(())
    }

    pub(super) fn check_keys(&self, owned: &KeyRange, keys: &[Key]) -> Result<(), Refusal> {
        if self.table.spec().layout != Layout::Sparse {
            return Err(Refusal::Shape { expected: 0, found: keys.len() as u64 });
        }
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
            return Ok(());
        };
        if !owned.contains(*first) {
            return Err(Refusal::OutsideDomain { key: *first });
        }
        if !owned.contains(*last) {
            return Err(Refusal::OutsideDomain { key: *last });
        }
        Ok(())
    }

    /// Whether the place for the values has their length.
    pub(super) fn check_place(&self, rows: &ReadRows<'_, T>) -> Result<(), Refusal> {
        match rows {
            ReadRows::Block { rows, out, .. } => {
                self.check_length(rows.count() as usize, out.len())
            },
            ReadRows::Keys { keys, out } => self.check_length(keys.len(), out.len()),
            ReadRows::Walk { .. } | ReadRows::Nothing => Ok(()),
        }
    }

    pub(super) fn check_asked(&self, slot: SlotIndex, rows: RowsAsked<'_>) -> Result<(), Refusal> {
        let owned = self.owned(slot)?;
        match rows {
            RowsAsked::Block(rows) => self.check_block(&owned, &rows),
            RowsAsked::Keys(keys) => self.check_keys(&owned, keys),
            RowsAsked::Walk => self.check_keys(&owned, &[]),
            RowsAsked::Nothing => Ok(()),
        }
    }

    fn check_length(&self, rows: usize, elements: usize) -> Result<(), Refusal> {
        let (expected, found) = ((rows * self.width()) as u64, elements as u64);
        if expected == found { Ok(()) } else { Err(Refusal::Shape { expected, found }) }
    }
}

/// Refuses weights that no honest worker sends.
pub(super) fn checked_weight(weight: f64) -> Result<f64, Refusal> {
    if limits::allows_weight(weight) {
        return Ok(weight);
    }
    Err(Refusal::Weight { found: weight })
}
