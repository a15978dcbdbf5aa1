//! Records of equal size in chunks: rows that never move once their chunk is full-sized.

use super::aligned::{Aligned, LINE_BYTES};
use crate::vector::{Element, prefetch};

/// Bytes of a chunk, unless one record is larger.
const CHUNK_BYTES: usize = 64 << 10;
/// Records of the first chunk to begin with, so that a slot with a few rows stays small.
const FIRST_CHUNK_RECORDS: usize = 4;
/// Cache lines of a record that are asked for ahead; the hardware follows a longer one by itself.
const LINES_AHEAD_MAX: usize = 8;

/// Records numbered 0, 1, 2, ...
///
/// I1. A chunk spans 2^`chunk_shift` records; only the first may have fewer yet, and only while it
/// is the last.
/// I2. A record is zero when it is made. Its first element is on a cache line when a record is a
/// multiple of one.
#[derive(Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Aligned<T>>,
    record_elements: usize,
    chunk_shift: u32,
    len: u64,
}

impl<T: Element> Slab<T> {
    pub(super) fn new(record_elements: usize) -> Self {
        let records = CHUNK_BYTES / (record_elements * size_of::<T>());
        Self {
            chunks: Vec::new(),
            record_elements,
            chunk_shift: records.max(1).ilog2(),
            len: 0,
        }
    }

    /// Makes a zeroed record and returns its number.
    pub(super) fn add(&mut self) -> u64 {
        let row = self.len;
        let (chunk, at) = self.place(row);
        let held = self.chunks.get(chunk).map_or(0, |chunk| chunk.len());
        if at == held {
            self.extend(chunk, held);
        }
        self.len += 1;
        row
    }

    /// Gives the chunk room for more records.
    fn extend(&mut self, chunk: usize, held: usize) {
        let full = self.record_elements << self.chunk_shift;
        if chunk > 0 {
            return self.chunks.push(Aligned::zeroed(full));
        }
        let first = FIRST_CHUNK_RECORDS * self.record_elements;
        let mut larger = Aligned::zeroed((held * 2).max(first).min(full));
        if let Some(old) = self.chunks.pop() {
            larger[..held].copy_from_slice(&old);
        }
        self.chunks.push(larger);
    }

    #[inline(always)]
    pub(super) fn record(&self, row: u64) -> &[T] {
        let (chunk, at) = self.place(row);
        &self.chunks[chunk][at..at + self.record_elements]
    }

    #[inline(always)]
    pub(super) fn record_mut(&mut self, row: u64) -> &mut [T] {
        let (chunk, at) = self.place(row);
        &mut self.chunks[chunk][at..at + self.record_elements]
    }

    /// Asks for the first `elements` of a record.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: u64, elements: usize) {
        let (chunk, at) = self.place(row);
        let line = LINE_BYTES / size_of::<T>();
        let chunk = &*self.chunks[chunk];
        for ahead in (0..elements).step_by(line).take(LINES_AHEAD_MAX) {
            prefetch(chunk, at + ahead);
        }
        // A record that does not begin on a line ends on one more.
        if !self.record_elements.is_multiple_of(line) {
            prefetch(chunk, at + elements - 1);
        }
    }

    /// Asks for a whole record.
    #[inline(always)]
    pub(super) fn prefetch_record(&self, row: u64) {
        self.prefetch(row, self.record_elements);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(Aligned::memory_bytes).sum();
        chunks + self.chunks.capacity() * size_of::<Aligned<T>>()
    }

    /// The chunk of a record and its first element there.
    #[inline(always)]
    fn place(&self, row: u64) -> (usize, usize) {
        let within = row & ((1 << self.chunk_shift) - 1);
        let chunk = (row >> self.chunk_shift) as usize;
        (chunk, within as usize * self.record_elements)
    }
}
