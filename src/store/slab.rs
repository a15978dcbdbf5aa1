//! Records of equal size in chunks: rows that never move once their chunk is full-sized.

use std::marker::PhantomData;

use super::aligned::LINE_BYTES;
use crate::vector::{Element, prefetch};

/// Bytes of a chunk, unless one record is larger.
const CHUNK_BYTES: usize = 64 << 10;
/// Records of the first chunk to begin with, so that a slot with a few rows stays small.
const FIRST_CHUNK_RECORDS: usize = 4;
/// Cache lines of a record that are asked for ahead; the hardware follows a longer one by itself.
const LINES_AHEAD_MAX: usize = 8;
/// Chunks whose entry in the list is asked for ahead.
const CHUNKS_AHEAD_MAX: usize = 64;

/// Records numbered 0, 1, 2, ...
///
/// I1. A chunk spans 2^`chunk_shift` records; only the first may have fewer yet, and only while it
/// is the last.
/// I2. A record is zero when it is made. Its first element is on a cache line when a record is a
/// multiple of one.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Line>>,
    record_elements: usize,
    chunk_shift: u32,
    len: u64,
    element: PhantomData<T>,
}

/// What chunks are allocated in, so that they begin on a cache line.
#[derive(Clone, Copy, Debug, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; LINE_BYTES]);

impl<T: Element> Slab<T> {
    pub(super) fn new(record_elements: usize) -> Self {
        let records = CHUNK_BYTES / (record_elements * size_of::<T>());
        Self {
            chunks: Vec::new(),
            record_elements,
            chunk_shift: records.max(1).ilog2(),
            len: 0,
            element: PhantomData,
        }
    }

    pub(super) fn record_elements(&self) -> usize {
        self.record_elements
    }

    /// Makes a zeroed record and returns its number.
    pub(super) fn add(&mut self) -> u64 {
        let row = self.len;
        let (chunk, at) = self.place(row);
        let bytes = (at + self.record_elements) * size_of::<T>();
        let held = self.chunks.get(chunk).map_or(0, Vec::len);
        if bytes > held * LINE_BYTES {
            self.extend(chunk, held);
        }
        self.len += 1;
        row
    }

    /// Gives the chunk room for more records: the first doubles, the others are made whole.
    fn extend(&mut self, chunk: usize, held: usize) {
        let lines =
            |records: usize| (records * self.record_elements * size_of::<T>()).div_ceil(LINE_BYTES);
        let full = lines(1 << self.chunk_shift);
        if chunk > 0 {
            return self.chunks.push(bytemuck::allocation::zeroed_vec(full));
        }
        let enough = lines(FIRST_CHUNK_RECORDS).max(held * 2).min(full);
        let mut larger: Vec<Line> = bytemuck::allocation::zeroed_vec(enough);
        if let Some(old) = self.chunks.pop() {
            larger[..held].copy_from_slice(&old);
        }
        self.chunks.push(larger);
    }

    #[inline(always)]
    pub(super) fn record(&self, row: u64) -> &[T] {
        let (chunk, at) = self.place(row);
        let elements: &[T] = bytemuck::cast_slice(&self.chunks[chunk]);
        &elements[at..at + self.record_elements]
    }

    #[inline(always)]
    pub(super) fn record_mut(&mut self, row: u64) -> &mut [T] {
        let (chunk, at) = self.place(row);
        let elements: &mut [T] = bytemuck::cast_slice_mut(&mut self.chunks[chunk]);
        &mut elements[at..at + self.record_elements]
    }

    /// Asks for the list of chunks, without which no record can be found.
    #[inline(always)]
    pub(super) fn prefetch_chunks(&self) {
        let chunks = self.chunks.len().min(CHUNKS_AHEAD_MAX);
        for chunk in (0..chunks).step_by(LINE_BYTES / size_of::<Vec<Line>>()) {
            prefetch(&self.chunks, chunk);
        }
    }

    /// How many cache lines to ask for to have the first `elements` of a record.
    pub(super) fn lines_ahead(&self, elements: usize) -> usize {
        let lines = (elements * size_of::<T>()).div_ceil(LINE_BYTES);
        let straddles = !(self.record_elements * size_of::<T>()).is_multiple_of(LINE_BYTES);
        (lines + usize::from(straddles)).min(LINES_AHEAD_MAX)
    }

    /// Asks for the first cache lines of a record.
    #[inline(always)]
    pub(super) fn prefetch(&self, row: u64, lines: usize) {
        let (chunk, at) = self.place(row);
        let chunk = &self.chunks[chunk];
        let first = at * size_of::<T>() / LINE_BYTES;
        prefetch(chunk, first);
        for line in 1..lines {
            prefetch(chunk, first + line);
        }
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let lines: usize = self.chunks.iter().map(Vec::capacity).sum();
        lines * LINE_BYTES + self.chunks.capacity() * size_of::<Vec<Line>>()
    }

    /// The chunk of a record and its first element there.
    #[inline(always)]
    fn place(&self, row: u64) -> (usize, usize) {
        let within = row & ((1 << self.chunk_shift) - 1);
        let chunk = (row >> self.chunk_shift) as usize;
        (chunk, within as usize * self.record_elements)
    }
}
