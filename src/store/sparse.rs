//! Tables whose rows appear when they are first pushed to.
//!
//! Point access works in groups of 64 keys: ask for the index lines of all, look all up, ask for
//! the rows of all, then, with the next group's index lines on their way, touch them. So the
//! misses of a group overlap, which is worth a factor of three over one key after the other.

use super::aligned::LINE_BYTES;
use super::digest::Digest;
use super::held::{self, Held};
use super::index::{GROUP, Hash, Index};
use super::run::Run;
use super::slab::Slab;
use crate::error::SpecError;
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::spec::{Init, TableSpec};
use crate::vector::{Element, Lanes, prefetch};

/// The rows of some slots of a sparse table.
///
/// Every key is legal, 0 and `u64::MAX` included. Rows that nobody has pushed to read as the
/// spec's init and cost nothing. Rows are never removed.
///
/// ```
/// use archipelago::id::SlotIndex;
/// use archipelago::key::Key;
/// use archipelago::{Init, TableSpec, store::SparseStore};
///
/// let spec = TableSpec::sparse("e", 2).init(Init::Constant(0.5));
/// let slot = SlotIndex(0);
/// let mut store = SparseStore::<f32>::new(&spec, 0, false, &[(slot, spec.domain)])?;
/// let keys = [Key(0), Key(7), Key(u64::MAX)];
/// let created = store.update(slot, &keys[1..], |index, run| run.values[0] = index as f32);
/// assert_eq!(created, Some(2));
///
/// let mut out = [0.0; 6];
/// assert_eq!(store.read(slot, &keys, &mut out), Some(2)); // two of the rows exist
/// assert_eq!(out, [0.5, 0.5, 0.0, 0.5, 1.0, 0.5]);
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug)]
pub struct SparseStore<T> {
    spec: TableSpec,
    counts_steps: bool,
    mirrored: bool,
    held: Held,
    slots: Vec<Slot<T>>,
}

/// I1. Row r of the index is record r of the slab: values, then the lanes and, where the table is
/// mirrored, the residuals, `width` elements each.
/// I2. `steps` has one per row, or none when the rule does not count steps.
/// I3. `order`, while it is there, holds every row in order of key.
#[derive(Clone, Debug)]
struct Slot<T> {
    range: KeyRange,
    index: Index,
    slab: Slab<T>,
    steps: Vec<u64>,
    order: Option<Vec<(Key, u64)>>,
}

impl<T: Element> SparseStore<T> {
    /// These slots without rows, to have `lanes` state lanes and, where the rule counts steps, a
    /// step each.
    ///
    /// # Errors
    /// The spec's type is not `T`, or the rule has more than
    /// [`LANES_MAX`](crate::vector::LANES_MAX) lanes.
    pub fn new(
        spec: &TableSpec,
        lanes: usize,
        counts_steps: bool,
        slots: &[(SlotIndex, KeyRange)],
    ) -> Result<Self, SpecError> {
        Self::with_residuals(spec, lanes, counts_steps, slots, false)
    }

    /// As [`new`](Self::new); with residuals where the table is `mirrored`.
    ///
    /// # Errors
    /// As there.
    pub fn with_residuals(
        spec: &TableSpec,
        lanes: usize,
        counts_steps: bool,
        slots: &[(SlotIndex, KeyRange)],
        mirrored: bool,
    ) -> Result<Self, SpecError> {
        held::check::<T>(spec, lanes)?;
        let record_elements = spec.width as usize * (1 + lanes + usize::from(mirrored));
        let (held, ranges) = Held::new(slots);
        let slots = ranges.into_iter().map(|range| Slot {
            range,
            index: Index::default(),
            slab: Slab::new(record_elements),
            steps: Vec::new(),
            order: None,
        });
        let slots = slots.collect();
        Ok(Self { spec: spec.clone(), counts_steps, mirrored, slots, held })
    }

    /// The slots held and their keys, ascending.
    pub fn slots(&self) -> impl Iterator<Item = (SlotIndex, KeyRange)> + '_ {
        let ranges = self.slots.iter().map(|slot| slot.range);
        self.held.indices().iter().copied().zip(ranges)
    }

    /// How many rows the slot has; `None` when it is not held.
    pub fn len(&self, slot: SlotIndex) -> Option<usize> {
        Some(self.slots[self.held.place(slot)?].index.len())
    }

    /// Whether no slot has a row.
    pub fn is_empty(&self) -> bool {
        self.slots.iter().all(|slot| slot.index.len() == 0)
    }

    /// Copies the values of these rows, in the order of `keys`, and returns how many of them
    /// exist; the others read as the init. `None`, with `out` unchanged, when the slot is not
    /// held.
    ///
    /// # Panics
    /// When `out` has not `width` elements per key.
    pub fn read(&self, slot: SlotIndex, keys: &[Key], out: &mut [T]) -> Option<usize> {
        let slot = &self.slots[self.held.place(slot)?];
        let width = self.spec.width as usize;
        assert_eq!(out.len(), keys.len() * width, "{} keys", keys.len());
        const LINE: usize = LINE_BYTES;
        Some(match width * size_of::<T>() {
            LINE => self.read_groups::<1>(slot, keys, out),
            _ => self.read_groups::<0>(slot, keys, out),
        })
    }

    fn read_groups<const LINES: usize>(
        &self,
        slot: &Slot<T>,
        keys: &[Key],
        out: &mut [T],
    ) -> usize {
        let mut found = 0;
        let mut hashes = slot.ask(keys);
        let mut rest = keys;
        for out in out.chunks_mut(GROUP * self.spec.width as usize) {
            let (group, later) = rest.split_at(rest.len().min(GROUP));
            rest = later;
            found += self.read_group::<LINES>(slot, (group, &mut hashes), rest, out);
        }
        found
    }

    /// Asks for what the search for these keys will touch first, so that it is near when they are
    /// read or updated. Worth its price when something else is done in between.
    pub fn prefetch(&self, slot: SlotIndex, keys: &[Key]) {
        if let Some(place) = self.held.place(slot) {
            self.slots[place].ask(keys);
        }
    }

    /// Reads a group, whose hashes are given and whose index lines have been asked for; leaves the
    /// hashes of the next, asked for.
    #[inline(always)]
    fn read_group<const LINES: usize>(
        &self,
        slot: &Slot<T>,
        (keys, hashes): (&[Key], &mut [Hash; GROUP]),
        next: &[Key],
        out: &mut [T],
    ) -> usize {
        let width = self.spec.width as usize;
        let lines = slot.slab.lines_ahead(width);
        let mut rows = [None; GROUP];
        slot.index.find_group(keys, hashes, &mut rows);
        for row in rows.iter().flatten() {
            slot.slab.prefetch(row.number(), lines);
        }
        *hashes = slot.hash_group(next);
        let mut found = 0;
        for ((row, key), out) in rows.iter().zip(keys).zip(out.chunks_exact_mut(width)) {
            match row {
                Some(row) => {
                    copy_row::<LINES, T>(out, &slot.slab.record(row.number())[..width]);
                    found += 1;
                },
                None => self.spec.fill_init(*key, out),
            }
        }
        found
    }

    /// Lends each of these rows to `visit`, in the order of `keys` and with the index of its key,
    /// making those that are missing; returns how many were made. `None` when the slot is not
    /// held.
    pub fn update(
        &mut self,
        slot: SlotIndex,
        keys: &[Key],
        mut visit: impl FnMut(usize, Run<'_, T>),
    ) -> Option<usize> {
        let (width, mirrored) = (self.spec.width as usize, self.mirrored);
        self.visit_groups(slot, keys, |slot, first, rows| {
            for (index, row) in rows.iter().enumerate() {
                visit(first + index, slot.run(*row, width, mirrored, &mut 0));
            }
        })
    }

    /// Lends every row of the slot to `visit`, in order of key; nothing when it is not held.
    pub fn visit_all(&mut self, slot: SlotIndex, mut visit: impl FnMut(Key, Run<'_, T>)) {
        let (width, mirrored) = (self.spec.width as usize, self.mirrored);
        let Some(place) = self.held.place(slot) else { return };
        let slot = &mut self.slots[place];
        let order = slot.order.take().unwrap_or_else(|| slot.sorted());
        for (key, row) in &order {
            visit(*key, slot.run(*row, width, mirrored, &mut 0));
        }
        slot.order = Some(order);
    }

    /// A digest of the slot's keys and values in order of key, without rows that are at their init,
    /// which read the same when they do not exist; `None` when it is not held.
    pub fn digest_values(&mut self, slot: SlotIndex) -> Option<u128> {
        self.held.place(slot)?;
        let mut digest = Digest::default();
        let (spec, mut init) = (self.spec.clone(), vec![T::default(); self.spec.width as usize]);
        self.visit_all(slot, |key, run| {
            spec.fill_init(key, &mut init);
            if *run.values != *init {
                digest.number(key.0);
                digest.elements(run.values);
            }
        });
        Some(digest.finish())
    }

    /// Sets the values of all rows of a slot back to their init; nothing else of them changes.
    pub fn reset_values(&mut self, slot: SlotIndex) {
        let spec = self.spec.clone();
        self.visit_all(slot, |key, run| spec.fill_init(key, run.values));
    }

    /// As [`update`](Self::update) for a rule without state lanes and steps: lends the values of
    /// as many rows at a time as fit `tile`, copied together, with the index of the first one's
    /// key. Worth it for narrow rows, where calling a rule costs more than what it does.
    ///
    /// # Panics
    /// When `tile` has no room for a row.
    pub fn update_together(
        &mut self,
        slot: SlotIndex,
        keys: &[Key],
        tile: &mut [T],
        mut visit: impl FnMut(usize, &mut [T]),
    ) -> Option<usize> {
        let width = self.spec.width as usize;
        let at_once = tile.len() / width;
        self.visit_groups(slot, keys, |slot, first, rows| {
            for (part, rows) in rows.chunks(at_once).enumerate() {
                let tile = &mut tile[..rows.len() * width];
                for (row, copy) in rows.iter().zip(tile.chunks_exact_mut(width)) {
                    copy.copy_from_slice(&slot.slab.record(*row)[..width]);
                }
                visit(first + part * at_once, tile);
                for (row, copy) in rows.iter().zip(tile.chunks_exact(width)) {
                    slot.slab.record_mut(*row)[..width].copy_from_slice(copy);
                }
            }
        })
    }

    /// Finds or makes the rows, group by group; `visit` gets the index of a group's first key and
    /// its rows, which have been asked for. Returns how many were made.
    #[inline(always)]
    fn visit_groups(
        &mut self,
        slot: SlotIndex,
        keys: &[Key],
        mut visit: impl FnMut(&mut Slot<T>, usize, &[u64]),
    ) -> Option<usize> {
        let slot = &mut self.slots[self.held.place(slot)?];
        let before = slot.index.len();
        let mut hashes = slot.ask(keys);
        let mut rows = [0; GROUP];
        for first in (0..keys.len()).step_by(GROUP) {
            let (group, next) = keys[first..].split_at((keys.len() - first).min(GROUP));
            slot.rows_of_group((group, &hashes), &self.spec, self.counts_steps, &mut rows);
            hashes = slot.hash_group(next);
            visit(slot, first, &rows[..group.len()]);
        }
        Some(slot.index.len() - before)
    }

    /// Copies rows in order of key, from the first one at or after `from`, into the empty places
    /// of `keys` and `values`: at most `rows_max`. Returns the key to continue from, `None` at
    /// the slot's end (and when it is not held).
    ///
    /// The first walk after a new row has appeared sorts the slot's keys.
    pub fn walk(
        &mut self,
        slot: SlotIndex,
        from: Key,
        rows_max: usize,
        keys: &mut Vec<Key>,
        values: &mut Vec<T>,
    ) -> Option<Key> {
        let slot = &mut self.slots[self.held.place(slot)?];
        let order = slot.order.take().unwrap_or_else(|| slot.sorted());
        let start = order.partition_point(|(key, _)| *key < from);
        let end = order.len().min(start.saturating_add(rows_max));
        for (key, row) in &order[start..end] {
            keys.push(*key);
            let record = slot.slab.record(*row);
            values.extend_from_slice(&record[..self.spec.width as usize]);
        }
        let next = order.get(end).map(|(key, _)| *key);
        slot.order = Some(order);
        next
    }

    /// A digest of the slot's keys, values, state lanes and steps in order of key, bit by bit;
    /// `None` when it is not held. The digests of a table's slots, in order of slot, say whether
    /// two copies of it are equal, however they are divided over stores and whatever the order
    /// in which their rows appeared.
    pub fn digest_slot(&self, slot: SlotIndex) -> Option<u128> {
        let slot = &self.slots[self.held.place(slot)?];
        let sorted;
        let order = match &slot.order {
            Some(order) => order,
            None => {
                sorted = slot.sorted();
                &sorted
            },
        };
        let mut digest = Digest::default();
        for (key, row) in order {
            digest.number(key.0);
            digest.elements(slot.slab.record(*row));
            if let Some(step) = slot.steps.get(*row as usize) {
                digest.number(*step);
            }
        }
        Some(digest.finish())
    }

    /// Bytes allocated for rows, index and cached orders.
    pub fn memory_bytes(&self) -> usize {
        let slots = self.slots.capacity() * size_of::<Slot<T>>();
        slots + self.slots.iter().map(Slot::memory_bytes).sum::<usize>()
    }
}

impl<T: Element> Slot<T> {
    /// The hashes of the first group of `keys`, with all that its search needs on the way.
    #[inline(always)]
    fn ask(&self, keys: &[Key]) -> [Hash; GROUP] {
        self.slab.prefetch_chunks();
        self.hash_group(keys)
    }

    /// The hashes of the first [`GROUP`] keys, with their index lines on the way.
    #[inline(always)]
    fn hash_group(&self, keys: &[Key]) -> [Hash; GROUP] {
        let mut hashes = [Hash::default(); GROUP];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            debug_assert!(self.range.contains(*key), "the caller routes by slot");
            *hash = Hash::of(*key);
            self.index.prefetch(*hash);
        }
        hashes
    }

    /// The rows of at most [`GROUP`] keys, made where they were missing and on their way.
    fn rows_of_group(
        &mut self,
        (keys, hashes): (&[Key], &[Hash; GROUP]),
        spec: &TableSpec,
        counts_steps: bool,
        rows: &mut [u64; GROUP],
    ) {
        let lines = self.slab.lines_ahead(self.slab.record_elements());
        let mut found = [None; GROUP];
        self.index.find_group(keys, hashes, &mut found);
        for (((row, found), key), hash) in rows.iter_mut().zip(found).zip(keys).zip(hashes) {
            *row = match found {
                Some(row) => row.number(),
                None => self.add(*hash, *key, spec, counts_steps),
            };
            self.slab.prefetch(*row, lines);
            if counts_steps {
                prefetch(&self.steps, *row as usize);
            }
        }
    }

    #[cold]
    fn add(&mut self, hash: Hash, key: Key, spec: &TableSpec, counts_steps: bool) -> u64 {
        let row = self.slab.add();
        self.index.insert(hash, key, row);
        self.order = None;
        if counts_steps {
            self.steps.push(0);
        }
        if spec.init != Init::Zero {
            let values = &mut self.slab.record_mut(row)[..spec.width as usize];
            spec.fill_init(key, values);
        }
        row
    }

    #[inline(always)]
    fn run<'a>(
        &'a mut self,
        row: u64,
        width: usize,
        mirrored: bool,
        uncounted: &'a mut u64,
    ) -> Run<'a, T> {
        let (values, rest) = self.slab.record_mut(row).split_at_mut(width);
        let lanes_len = rest.len() - if mirrored { width } else { 0 };
        let (lanes, residuals) = rest.split_at_mut(lanes_len);
        let lanes = match lanes.len() {
            0 => Lanes::none(),
            _ => Lanes::take(lanes.chunks_exact_mut(width)),
        };
        let step = self.steps.get_mut(row as usize).unwrap_or(uncounted);
        Run { values, lanes, step, residuals }
    }

    /// All rows in order of key.
    fn sorted(&self) -> Vec<(Key, u64)> {
        let mut order: Vec<_> = self.index.iter().collect();
        order.sort_unstable();
        order
    }

    fn memory_bytes(&self) -> usize {
        let order = self.order.as_ref().map_or(0, Vec::capacity) * size_of::<(Key, u64)>();
        let steps = self.steps.capacity() * size_of::<u64>();
        self.index.memory_bytes() + self.slab.memory_bytes() + steps + order
    }
}

/// Copies a row, of `LINES` cache lines or, with 0, of any length: calling the C library for a
/// line or two costs more than what it does.
#[inline(always)]
fn copy_row<const LINES: usize, T: Element>(target: &mut [T], source: &[T]) {
    let (lines, _) = bytemuck::cast_slice_mut::<T, u8>(target).as_chunks_mut::<LINE_BYTES>();
    let (held, _) = bytemuck::cast_slice::<T, u8>(source).as_chunks::<LINE_BYTES>();
    match (lines.first_chunk_mut::<LINES>(), held.first_chunk::<LINES>()) {
        (Some(lines), Some(held)) if LINES > 0 => *lines = *held,
        _ => target.copy_from_slice(source),
    }
}
