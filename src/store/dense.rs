//! Tables of which every row exists: one contiguous allocation per slot and lane.

use std::ops::Range;

use super::aligned::Aligned;
use super::digest::Digest;
use super::held::{self, Held};
use super::run::Run;
use crate::error::SpecError;
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::spec::TableSpec;
use crate::vector::kernels::copy_part;
use crate::vector::{Element, Lanes};

/// The rows of some slots of a dense table.
///
/// Reading is a slice, writing a slice within one block: no hash, lock or allocation per key.
/// Zero-initialised lanes cost memory only where they have been written.
///
/// ```
/// use archipelago::id::SlotIndex;
/// use archipelago::key::{Key, KeyRange};
/// use archipelago::{TableSpec, store::DenseStore};
///
/// let spec = TableSpec::dense("w", 100).width(2).block_elements(64);
/// let slot = SlotIndex(0);
/// let mut store = DenseStore::<f32>::new(&spec, 0, &[(slot, spec.domain)])?;
/// assert_eq!(store.block_count(slot), Some(4)); // 32 rows each, the last one short
///
/// let rows = KeyRange::from_count(Key(32), 3).expect("not empty");
/// store.rows_mut(slot, rows).expect("within block 1").values.fill(1.5);
/// assert_eq!(store.rows(slot, KeyRange::single(Key(34))), Some(&[1.5, 1.5][..]));
///
/// let across = KeyRange::from_count(Key(31), 2).expect("not empty");
/// assert!(store.rows_mut(slot, across).is_none());
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct DenseStore<T> {
    domain_first: Key,
    block_rows: u64,
    width: usize,
    held: Held,
    slots: Vec<Slot<T>>,
}

/// I1. `values` and every lane have `range.count() * width` elements, `steps` one per block;
/// `residuals` has as many as `values`, or none where the table is not mirrored.
#[derive(Clone, Debug)]
struct Slot<T> {
    range: KeyRange,
    values: Aligned<T>,
    lanes: Vec<Aligned<T>>,
    residuals: Aligned<T>,
    steps: Vec<u64>,
}

impl<T: Element> DenseStore<T> {
    /// The untouched rows of these slots, with `lanes` state lanes. A slot holds whole blocks of
    /// the grid that begins with the domain; only the domain's last block may be short.
    ///
    /// # Errors
    /// The spec's type is not `T`, or the rule has more than
    /// [`LANES_MAX`](crate::vector::LANES_MAX) lanes.
    ///
    /// # Panics
    /// When a slot cuts a block or lies outside the domain: placement does neither.
    pub fn new(
        spec: &TableSpec,
        lanes: usize,
        slots: &[(SlotIndex, KeyRange)],
    ) -> Result<Self, SpecError> {
        Self::with_residuals(spec, lanes, slots, false)
    }

    /// As [`new`](Self::new); with residuals where the table is `mirrored`.
    ///
    /// # Errors
    /// As there.
    ///
    /// # Panics
    /// As there.
    pub fn with_residuals(
        spec: &TableSpec,
        lanes: usize,
        slots: &[(SlotIndex, KeyRange)],
        mirrored: bool,
    ) -> Result<Self, SpecError> {
        held::check::<T>(spec, lanes)?;
        let (held, ranges) = Held::new(slots);
        let slots = ranges.into_iter().map(|range| Slot::new(spec, lanes, range, mirrored));
        let slots = slots.collect::<Option<_>>().ok_or_else(|| SpecError::Field {
            table: spec.name.clone(),
            field: "domain".into(),
            expected: "rows that fit this machine's memory".into(),
            found: format!("{} rows of {} elements", spec.domain.count(), spec.width),
        })?;
        Ok(Self {
            domain_first: spec.domain.first(),
            block_rows: spec.block_rows(),
            width: spec.width as usize,
            slots,
            held,
        })
    }

    /// The slots held and their keys, ascending.
    pub fn slots(&self) -> impl Iterator<Item = (SlotIndex, KeyRange)> + '_ {
        let ranges = self.slots.iter().map(|slot| slot.range);
        self.held.indices().iter().copied().zip(ranges)
    }

    /// How many blocks the slot has; `None` when it is not held.
    pub fn block_count(&self, slot: SlotIndex) -> Option<usize> {
        Some(self.slots[self.held.place(slot)?].steps.len())
    }

    /// The values of these rows, over any number of blocks; `None` when not all are held in the
    /// slot.
    pub fn rows(&self, slot: SlotIndex, rows: KeyRange) -> Option<&[T]> {
        let slot = &self.slots[self.held.place(slot)?];
        slot.values.get(slot.elements(rows, self.width)?)
    }

    /// Values, state and step of these rows; `None` when they are not within one block held in
    /// the slot.
    pub fn rows_mut(&mut self, slot: SlotIndex, rows: KeyRange) -> Option<Run<'_, T>> {
        let slot = &mut self.slots[self.held.place(slot)?];
        let elements = slot.elements(rows, self.width)?;
        let block = |key: Key| (key.0 - self.domain_first.0) / self.block_rows;
        if block(rows.first()) != block(rows.last()) {
            return None;
        }
        let index = block(rows.first()) - block(slot.range.first());
        Some(Run {
            values: &mut slot.values[elements.clone()],
            lanes: Lanes::take(slot.lanes.iter_mut().map(|lane| &mut lane[elements.clone()])),
            step: &mut slot.steps[index as usize],
            residuals: match slot.residuals.is_empty() {
                true => &mut [],
                false => &mut slot.residuals[elements],
            },
        })
    }

    /// Copies the values of these rows, a part of a read of `whole_bytes`; `None`, with `out`
    /// unchanged, when not all are held in the slot.
    ///
    /// # Panics
    /// When `out` has not one element for each of the rows'.
    pub fn read_range(
        &self,
        slot: SlotIndex,
        rows: KeyRange,
        out: &mut [T],
        whole_bytes: usize,
    ) -> Option<()> {
        copy_part(out, self.rows(slot, rows)?, whole_bytes);
        Some(())
    }

    /// A digest of the slot's values, state lanes and steps in order of key, bit by bit; `None`
    /// when it is not held. The digests of a table's slots, in order of slot, say whether two
    /// copies of it are equal, however they are divided over stores. Cost: one pass at about
    /// 2 GB/s.
    pub fn digest_slot(&self, slot: SlotIndex) -> Option<u128> {
        let slot = &self.slots[self.held.place(slot)?];
        let mut digest = Digest::default();
        digest.elements(&slot.values);
        for lane in &slot.lanes {
            digest.elements(lane);
        }
        for step in &slot.steps {
            digest.number(*step);
        }
        Some(digest.finish())
    }

    /// A digest of the values of these rows; `None` when not all are held in the slot.
    pub fn digest_values(&self, slot: SlotIndex, rows: KeyRange) -> Option<u128> {
        let mut digest = Digest::default();
        digest.elements(self.rows(slot, rows)?);
        Some(digest.finish())
    }

    /// Bytes allocated for values, lanes and steps, touched or not.
    pub fn memory_bytes(&self) -> usize {
        self.slots.iter().map(Slot::memory_bytes).sum()
    }
}

impl<T: Element> Slot<T> {
    /// `None` when the system has not that much memory.
    fn new(spec: &TableSpec, lanes: usize, range: KeyRange, mirrored: bool) -> Option<Self> {
        let block_rows = spec.block_rows();
        assert!(
            spec.domain.covers(&range)
                && spec.domain.offset(range.first()).is_multiple_of(block_rows)
                && (range.last() == spec.domain.last()
                    || (spec.domain.offset(range.last()) + 1).is_multiple_of(block_rows)),
            "a slot of table {:?} holds whole blocks, found {range}",
            spec.name
        );
        let rows = range.last().0 - range.first().0 + 1;
        let elements = rows as usize * spec.width as usize;
        let mut values = Aligned::zeroed(elements)?;
        if !spec.starts_at_zero() {
            spec.fill_init(range.first(), &mut values);
        }
        Some(Self {
            range,
            values,
            lanes: (0..lanes).map(|_| Aligned::zeroed(elements)).collect::<Option<_>>()?,
            residuals: Aligned::zeroed(if mirrored { elements } else { 0 })?,
            steps: vec![0; rows.div_ceil(block_rows) as usize],
        })
    }

    /// Where the rows lie in `values` and in the lanes.
    #[inline]
    fn elements(&self, rows: KeyRange, width: usize) -> Option<Range<usize>> {
        if !self.range.covers(&rows) {
            return None;
        }
        let start = (rows.first().0 - self.range.first().0) as usize;
        let end = (rows.last().0 - self.range.first().0) as usize + 1;
        Some(start * width..end * width)
    }

    fn memory_bytes(&self) -> usize {
        let lanes: usize = self.lanes.iter().map(Aligned::memory_bytes).sum();
        let residuals = self.residuals.memory_bytes();
        self.values.memory_bytes() + residuals + lanes + self.steps.capacity() * size_of::<u64>()
    }
}
