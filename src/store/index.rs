//! From a key to the number of its row: open addressing over cache lines.
//!
//! Four entries share a line. A key lives in the line that its hash names or, when that is full,
//! in the next one with room: a lookup costs one miss, and a second, in the line beside, only for
//! keys that found theirs full. The hash is fixed: replays are exact; keys come from
//! authenticated workers, so that it need not be secret.

use std::hint::select_unpredictable;
use std::num::NonZeroU64;

use super::aligned::LINE_BYTES;
use crate::key::Key;
use crate::rng;
use crate::vector::prefetch;

/// Keys looked up together, so that their misses overlap.
pub(super) const GROUP: usize = 64;
/// Lines of the smallest index that holds anything.
const LINES_MIN: usize = 2;
const LINE_ENTRIES: usize = LINE_BYTES / size_of::<Entry>();

/// I1. `lines.len()` is 0 or a power of two from 2, and `shift` = 64 - its logarithm.
/// I2. At most 4 of 5 entries are taken, so that every search ends.
/// I3. A line is taken from its first entry on; all lines from a key's home to its own are full.
#[derive(Clone, Debug, Default)]
pub(super) struct Index {
    lines: Vec<Line>,
    shift: u32,
    len: usize,
}

#[derive(Clone, Copy, Debug, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([Entry; LINE_ENTRIES]);

/// `taken` is the row's number plus one, so that zeroed memory is an empty index and every key is
/// legal.
#[derive(Clone, Copy, Debug, bytemuck::Zeroable)]
#[repr(C)]
struct Entry {
    key: u64,
    taken: u64,
}

const _: () = assert!(size_of::<Line>() == LINE_BYTES);

impl Line {
    /// `taken` of the entry with this key, 0 when there is none. Without a branch: where in its
    /// line a key lies cannot be predicted, and a wrong guess would stop the misses behind it.
    #[inline(always)]
    fn taken(&self, key: Key) -> u64 {
        let taken = |e: &Entry| select_unpredictable(e.key == key.0, e.taken, 0);
        self.0.iter().fold(0, |found, entry| found | taken(entry))
    }

    #[inline(always)]
    fn is_full(&self) -> bool {
        self.0[LINE_ENTRIES - 1].taken != 0
    }
}

/// The number of a row, in a word also where there may be none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Row(NonZeroU64);

impl Row {
    #[inline(always)]
    pub(super) fn number(self) -> u64 {
        self.0.get() - 1
    }

    #[inline(always)]
    fn of_taken(taken: u64) -> Option<Self> {
        NonZeroU64::new(taken).map(Self)
    }
}

/// The hash of a key.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Hash(u64);

impl Hash {
    #[inline(always)]
    pub(super) fn of(key: Key) -> Self {
        Self(rng::mix(key.0))
    }
}

impl Index {
    /// Asks for the line where the search will begin.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: Hash) {
        prefetch(&self.lines, self.home(hash));
    }

    /// Looks up at most [`GROUP`] keys, whose hashes are given. `rows` of further places stay.
    ///
    /// First all homes without a branch on what is found, then the few keys that found theirs
    /// full: a wrong guess about one key would stop the misses of all behind it.
    #[inline(always)]
    pub(super) fn find_group(
        &self,
        keys: &[Key],
        hashes: &[Hash; GROUP],
        rows: &mut [Option<Row>; GROUP],
    ) {
        let mut open = [0_u8; GROUP];
        let mut open_count = 0;
        for (at, ((row, key), hash)) in rows.iter_mut().zip(keys).zip(hashes).enumerate() {
            let taken = self.lines.get(self.home(*hash)).map_or(0, |line| line.taken(*key));
            *row = Row::of_taken(taken);
            open[open_count % GROUP] = at as u8;
            open_count += usize::from(taken == 0);
        }
        for at in open[..open_count].iter().map(|at| usize::from(*at)) {
            rows[at] = self.find_further(hashes[at], keys[at]);
        }
    }

    /// The row of a key that is not in its home.
    fn find_further(&self, hash: Hash, key: Key) -> Option<Row> {
        let mask = self.lines.len().checked_sub(1)?;
        let mut at = self.home(hash);
        while self.lines[at & mask].is_full() {
            at += 1;
            let taken = self.lines[at & mask].taken(key);
            if taken != 0 {
                return Row::of_taken(taken);
            }
        }
        None
    }

    /// Adds a key that is not in the index.
    pub(super) fn insert(&mut self, hash: Hash, key: Key, row: u64) {
        if (self.len + 1) * 5 > self.lines.len() * LINE_ENTRIES * 4 {
            self.grow();
        }
        self.len += 1;
        let entry = Entry { key: key.0, taken: row + 1 };
        self.place(hash, entry);
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All keys and their rows, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, u64)> + '_ {
        let taken = |entry: &Entry| Some((Key(entry.key), entry.taken.checked_sub(1)?));
        let entries = self.lines.iter().flat_map(|line| &line.0);
        entries.filter_map(taken)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.lines.capacity() * LINE_BYTES
    }

    #[inline(always)]
    fn home(&self, hash: Hash) -> usize {
        (hash.0 >> self.shift) as usize
    }

    /// Puts the entry into the first free place from its home on; by I2 there is one.
    fn place(&mut self, hash: Hash, entry: Entry) {
        let mut at = self.home(hash);
        let lines = self.lines.as_mut_slice();
        let mask = lines.len() - 1;
        while lines[at & mask].is_full() {
            at += 1;
        }
        let line = &mut lines[at & mask];
        if let Some(free) = line.0.iter_mut().find(|entry| entry.taken == 0) {
            *free = entry;
        }
    }

    fn grow(&mut self) {
        let len = (self.lines.len() * 2).max(LINES_MIN);
        self.shift = 64 - len.trailing_zeros();
        let old = std::mem::replace(&mut self.lines, bytemuck::allocation::zeroed_vec(len));
        let entries = old.iter().flat_map(|line| &line.0);
        for entry in entries.filter(|entry| entry.taken != 0) {
            self.place(Hash::of(Key(entry.key)), *entry);
        }
    }
}
