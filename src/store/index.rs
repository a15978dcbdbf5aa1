//! From a key to the number of its row: open addressing with linear probing.
//!
//! Four entries share a cache line, so that a lookup usually costs one miss. The hash is fixed:
//! replays are exact; keys come from authenticated workers, so that it need not be secret.

use super::aligned::Aligned;
use crate::key::Key;
use crate::rng;
use crate::vector::prefetch;

/// Entries of the smallest index that holds anything: two cache lines.
const ENTRIES_MIN: usize = 8;

/// I1. `entries.len()` is 0 or a power of two, and `shift` = 64 - its logarithm.
/// I2. At most 4 of 5 entries are taken, so that every probe ends.
/// I3. Between an entry's home and its place no entry is free.
#[derive(Debug)]
pub(super) struct Index {
    entries: Aligned<Entry>,
    shift: u32,
    len: usize,
}

/// `taken` is the row's number plus one, so that zeroed memory is an empty index and every key is
/// legal.
#[derive(Clone, Copy, Debug, bytemuck::Zeroable)]
#[repr(C)]
struct Entry {
    key: u64,
    taken: u64,
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
    pub(super) fn new() -> Self {
        Self {
            entries: Aligned::empty(),
            shift: 0,
            len: 0,
        }
    }

    /// Asks for the line where the search will begin.
    #[inline(always)]
    pub(super) fn prefetch(&self, hash: Hash) {
        prefetch(&self.entries, self.home(hash));
    }

    /// The row of the key.
    #[inline(always)]
    pub(super) fn find(&self, hash: Hash, key: Key) -> Option<u64> {
        let entries = &*self.entries;
        let mask = entries.len().checked_sub(1)?;
        let mut at = self.home(hash);
        loop {
            let entry = entries[at & mask];
            let row = entry.taken.checked_sub(1)?;
            if entry.key == key.0 {
                return Some(row);
            }
            at += 1;
        }
    }

    /// Adds a key that is not in the index.
    pub(super) fn insert(&mut self, hash: Hash, key: Key, row: u64) {
        debug_assert!(self.find(hash, key).is_none());
        if (self.len + 1) * 5 > self.entries.len() * 4 {
            self.grow();
        }
        self.len += 1;
        let entry = Entry {
            key: key.0,
            taken: row + 1,
        };
        self.place(hash, entry);
    }

    /// The number of keys.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// All keys and their rows, in no order that means anything.
    pub(super) fn iter(&self) -> impl Iterator<Item = (Key, u64)> + '_ {
        let taken = |entry: &Entry| Some((Key(entry.key), entry.taken.checked_sub(1)?));
        self.entries.iter().filter_map(taken)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.entries.memory_bytes()
    }

    #[inline(always)]
    fn home(&self, hash: Hash) -> usize {
        (hash.0 >> self.shift) as usize
    }

    fn place(&mut self, hash: Hash, entry: Entry) {
        let mut at = self.home(hash);
        let entries = &mut *self.entries;
        let mask = entries.len() - 1;
        while entries[at & mask].taken != 0 {
            at += 1;
        }
        entries[at & mask] = entry;
    }

    fn grow(&mut self) {
        let len = (self.entries.len() * 2).max(ENTRIES_MIN);
        self.shift = 64 - len.trailing_zeros();
        let old = std::mem::replace(&mut self.entries, Aligned::zeroed(len));
        for entry in old.iter().filter(|entry| entry.taken != 0) {
            self.place(Hash::of(Key(entry.key)), *entry);
        }
    }
}
