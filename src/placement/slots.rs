//! Slots: a table's domain cut into equal runs of blocks; and how selections are cut into chunks.

use std::ops::Range;

use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::spec::{Layout, TableSpec};

/// The slots of one table: equal runs of blocks (dense) or keys (sparse) along the domain, the
/// last one possibly shorter. At least one, at most `spec.slots`, at most one per block.
///
/// Every method is O(1), every iterator allocates nothing.
///
/// ```
/// use archipelago::TableSpec;
/// use archipelago::id::SlotIndex;
/// use archipelago::key::Key;
/// use archipelago::placement::SlotGrid;
/// let spec = TableSpec::dense("w", 1000).block_elements(64).slots(4);
/// let grid = SlotGrid::new(&spec);
/// assert_eq!(grid.count(), 4);
/// assert_eq!(grid.slot_of(Key(999)), SlotIndex(3));
/// assert_eq!(grid.range(SlotIndex(1)).map(|r| r.first()), Some(Key(256)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotGrid {
    domain: KeyRange,
    /// Rows of a block, 1 when the table is sparse.
    block_rows: u128,
    /// Rows of every slot but the last; up to 2^64.
    slot_rows: u128,
    count: u32,
}

impl SlotGrid {
    /// The slots of a table whose spec has been checked.
    pub fn new(spec: &TableSpec) -> Self {
        let block_rows = match spec.layout {
            Layout::Dense => u128::from(spec.block_rows()),
            Layout::Sparse => 1,
        };
        let blocks = spec.domain.count().div_ceil(block_rows);
        let slot_blocks = blocks.div_ceil(u128::from(spec.slots.max(1)));
        let count = blocks.div_ceil(slot_blocks);
        Self {
            domain: spec.domain,
            block_rows,
            slot_rows: slot_blocks * block_rows,
            // At most `spec.slots`, since ceil(b / ceil(b / s)) <= s.
            count: u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// How many slots; their indices are `0..count`.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The keys that the slots tile.
    pub fn domain(&self) -> KeyRange {
        self.domain
    }

    /// Every slot, along the domain.
    pub fn slots(&self) -> impl DoubleEndedIterator<Item = SlotIndex> + ExactSizeIterator + use<> {
        (0..self.count).map(SlotIndex)
    }

    /// The slot of a key. A key outside the domain counts as the nearest one inside.
    pub fn slot_of(&self, key: Key) -> SlotIndex {
        let key = key.clamp(self.domain.first(), self.domain.last());
        let slot = cell_index(self.domain.offset(key), self.slot_rows);
        SlotIndex(u32::try_from(slot).unwrap_or(u32::MAX))
    }

    /// The keys of a slot; `None` when there is no such slot.
    pub fn range(&self, slot: SlotIndex) -> Option<KeyRange> {
        (slot.0 < self.count).then(|| self.cell(u128::from(slot.0), self.slot_rows))
    }

    /// The slots that hold keys of `range`: none when it lies outside the domain.
    pub fn slots_in(
        &self,
        range: &KeyRange,
    ) -> impl DoubleEndedIterator<Item = SlotIndex> + ExactSizeIterator + use<> {
        let slots = match self.domain.intersect(range) {
            Some(inside) => self.slot_of(inside.first()).0..self.slot_of(inside.last()).0 + 1,
            None => 0..0,
        };
        slots.map(SlotIndex)
    }

    /// The rows of the block that holds `key` (of a sparse table: the key alone). A key outside
    /// the domain counts as the nearest one inside.
    pub fn block_range(&self, key: Key) -> KeyRange {
        self.cell_of(key, self.block_rows)
    }

    /// Cuts a range of a dense table at its blocks' borders: the chunks of a push or pull, in key
    /// order. Keys outside the domain are left out.
    pub fn chunks(&self, range: KeyRange) -> Chunks {
        self.cut(range, self.block_rows)
    }

    /// Cuts a range at the slots' borders: the chunks of a walk, in key order. Keys outside the
    /// domain are left out.
    pub fn walks(&self, range: KeyRange) -> Chunks {
        self.cut(range, self.slot_rows)
    }

    /// Cuts strictly ascending keys of the domain, with rows of `width` elements, into frames: the
    /// slot of each and where in `keys` it lies. Cost: a binary search per frame.
    pub fn frames<'a>(&self, keys: &'a [Key], width: u32) -> Frames<'a> {
        Frames { grid: *self, keys, start: 0, rows_max: limits::frame_rows_max(width) }
    }

    fn cut(&self, range: KeyRange, cell_rows: u128) -> Chunks {
        Chunks { grid: *self, cell_rows, rest: self.domain.intersect(&range) }
    }

    /// The cell that holds `key` on the grid of cells of `cell_rows` rows.
    fn cell_of(&self, key: Key, cell_rows: u128) -> KeyRange {
        let key = key.clamp(self.domain.first(), self.domain.last());
        let index = cell_index(self.domain.offset(key), cell_rows);
        self.cell(u128::from(index), cell_rows)
    }

    /// Cell `index`, cut at the domain's end; the caller knows that it begins inside.
    fn cell(&self, index: u128, cell_rows: u128) -> KeyRange {
        let first = u128::from(self.domain.first().0) + index * cell_rows;
        let last = (first + cell_rows - 1).min(u128::from(self.domain.last().0));
        let key = |key: u128| Key(u64::try_from(key).unwrap_or(u64::MAX));
        KeyRange::new(key(first), key(last)).unwrap_or(KeyRange::single(self.domain.last()))
    }
}

/// Which cell holds the row at `offset`. A cell can have 2^64 rows, and then there is only one; all
/// others fit a division of 64 bits, which costs a fifth of one of 128.
#[inline]
fn cell_index(offset: u64, cell_rows: u128) -> u64 {
    u64::try_from(cell_rows).map_or(0, |rows| offset / rows)
}

/// How many of the keys, which ascend, are at most `last`: looked for from the front in growing
/// steps, because a frame is mostly much shorter than it may be.
fn count_up_to(keys: &[Key], last: Key) -> usize {
    let mut reach = 16;
    while keys.get(reach).is_some_and(|key| *key <= last) {
        reach *= 4;
    }
    keys[..keys.len().min(reach + 1)].partition_point(|key| *key <= last)
}

/// The chunks of a range, with their slots; see [`SlotGrid::chunks`] and [`SlotGrid::walks`].
#[derive(Clone, Debug)]
pub struct Chunks {
    grid: SlotGrid,
    cell_rows: u128,
    rest: Option<KeyRange>,
}

impl Iterator for Chunks {
    type Item = (SlotIndex, KeyRange);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.rest?;
        let first = rest.first();
        let last = self.grid.cell_of(first, self.cell_rows).last();
        let last = last.min(rest.last());
        let after = last.0.checked_add(1);
        self.rest = after.and_then(|after| KeyRange::new(Key(after), rest.last()));
        let chunk = KeyRange::new(first, last)?;
        Some((self.grid.slot_of(first), chunk))
    }
}

/// The frames of a key list, with their slots; see [`SlotGrid::frames`].
#[derive(Clone, Debug)]
pub struct Frames<'a> {
    grid: SlotGrid,
    keys: &'a [Key],
    start: usize,
    rows_max: usize,
}

impl Iterator for Frames<'_> {
    type Item = (SlotIndex, Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.keys.get(self.start..)?;
        let window = &rest[..rest.len().min(self.rows_max)];
        let slot = self.grid.slot_of(*window.first()?);
        let last = self.grid.range(slot)?.last();
        // At least one key, so that the walk ends even when a key lies outside the domain.
        let count = count_up_to(window, last).max(1);
        let frame = self.start..self.start + count;
        self.start = frame.end;
        Some((slot, frame))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::KeyList;

    fn key_like() -> impl Strategy<Value = u64> {
        prop_oneof![any::<u64>(), 0_u64..500, (0_u64..500).prop_map(|back| u64::MAX - back)]
    }

    prop_compose! {
        fn any_spec()(
            (a, b) in (key_like(), key_like()), slots in 1_u32..3000, width in 1_u32..300,
            block in 6_u32..17, dense: bool,
        ) -> TableSpec {
            let spec = match dense {
                true => TableSpec::dense("t", 1).width(width),
                false => TableSpec::sparse("t", width),
            };
            let domain = KeyRange::new(Key(a.min(b)), Key(a.max(b))).unwrap();
            spec.domain(domain).slots(slots).block_elements(1 << block)
        }
    }

    proptest! {
        /// Law 11, the part of the slots: they tile the domain in order, on block borders.
        #[test]
        fn slots_tile_the_domain(
            spec in any_spec(), probes in prop::collection::vec(key_like(), 9),
        ) {
            let grid = SlotGrid::new(&spec);
            prop_assert!((1..=spec.slots).contains(&grid.count()));
            let mut next = Some(spec.domain.first().0);
            for slot in grid.slots() {
                let range = grid.range(slot).unwrap();
                prop_assert_eq!(Some(range.first().0), next);
                prop_assert_eq!(grid.slot_of(range.first()), slot);
                prop_assert_eq!(grid.slot_of(range.last()), slot);
                prop_assert_eq!(grid.block_range(range.first()).first(), range.first());
                prop_assert_eq!(grid.block_range(range.last()).last(), range.last());
                next = range.last().0.checked_add(1);
            }
            prop_assert_eq!(next, spec.domain.last().0.checked_add(1));
            prop_assert_eq!(grid.range(SlotIndex(grid.count())), None);
            for key in probes.into_iter().map(Key).filter(|key| spec.domain.contains(*key)) {
                prop_assert!(grid.range(grid.slot_of(key)).unwrap().contains(key));
                let block = grid.block_range(key);
                prop_assert!(block.contains(key) && block.count() <= grid.block_rows);
            }
        }

        #[test]
        fn chunks_tile_a_range(spec in any_spec(), from in key_like(), rows in 1_u64..2000) {
            let grid = SlotGrid::new(&spec);
            let range = KeyRange::new(Key(from), Key(from.saturating_add(rows))).unwrap();
            let inside = grid.domain().intersect(&range);
            for (cuts, by_block) in [(grid.chunks(range), true), (grid.walks(range), false)] {
                let chunks: Vec<_> = cuts.collect();
                prop_assert_eq!(chunks.first().map(|c| c.1.first()), inside.map(|r| r.first()));
                prop_assert_eq!(chunks.last().map(|c| c.1.last()), inside.map(|r| r.last()));
                for [(_, a), (_, b)] in chunks.array_windows() {
                    prop_assert_eq!(Key(a.last().0 + 1), b.first());
                }
                for (slot, chunk) in &chunks {
                    prop_assert!(grid.range(*slot).unwrap().covers(chunk));
                    prop_assert!(!by_block || grid.block_range(chunk.first()).covers(chunk));
                }
                let mut slots: Vec<_> = chunks.iter().map(|chunk| chunk.0).collect();
                slots.dedup();
                prop_assert_eq!(slots, grid.slots_in(&range).collect::<Vec<_>>());
            }
        }

        #[test]
        fn frames_tile_a_key_list(
            spec in any_spec(), width in 1_u32..70_000,
            keys in prop::collection::vec(key_like(), 0..60),
        ) {
            let grid = SlotGrid::new(&spec);
            let keys = KeyList::from_unsorted(keys);
            let mut at = 0;
            for (slot, frame) in grid.frames(&keys, width) {
                prop_assert_eq!(frame.start, at);
                at = frame.end;
                let elements = frame.len() * width as usize;
                prop_assert!(elements <= limits::FRAME_ELEMENTS_MAX || frame.len() == 1);
                let inside = |key: &&Key| spec.domain.contains(**key);
                for key in keys[frame].iter().filter(inside) {
                    prop_assert_eq!(grid.slot_of(*key), slot);
                }
            }
            prop_assert_eq!(at, keys.len());
        }
    }

    #[test]
    fn a_long_list_is_cut_at_the_limit_of_a_frame() {
        let grid = SlotGrid::new(&TableSpec::sparse("t", 1).slots(1));
        let keys: Vec<_> = (0..10_000).map(Key).collect();
        let lengths: Vec<_> = grid.frames(&keys, 16).map(|frame| frame.1.len()).collect();
        assert_eq!(lengths, [4096, 4096, 1808]);
        assert_eq!(grid.frames(&keys, 64).count(), 10);
    }
}
