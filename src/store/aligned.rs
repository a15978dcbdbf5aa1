//! A zeroed buffer that begins on a cache line.

use std::ops::{Deref, DerefMut};

use crate::vector::Element;

/// Bytes of a cache line.
pub(super) const LINE_BYTES: usize = 64;

/// A fixed number of elements, the first at a multiple of 64 bytes.
///
/// I1. `start + len <= buffer.len()`. The buffer is never resized, so the start stays aligned.
#[derive(Debug)]
pub(super) struct Aligned<T> {
    buffer: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Element> Aligned<T> {
    /// `len` zeroes; `None` when the system has not that much memory. Large ones are the system's
    /// untouched pages: they cost memory when written.
    pub(super) fn zeroed(len: usize) -> Option<Self> {
        let spare = LINE_BYTES / size_of::<T>();
        let buffer = bytemuck::allocation::try_zeroed_vec::<T>(len.checked_add(spare)?).ok()?;
        let start = buffer.as_ptr().align_offset(LINE_BYTES).min(spare);
        Some(Self { buffer, start, len })
    }

    /// Bytes allocated.
    pub(super) fn memory_bytes(&self) -> usize {
        self.buffer.capacity() * size_of::<T>()
    }
}

impl<T: Clone> Clone for Aligned<T> {
    /// The copy begins on a cache line too, which a copy of the buffer might not.
    fn clone(&self) -> Self {
        let mut buffer = self.buffer.clone();
        let start = buffer.as_ptr().align_offset(LINE_BYTES).min(buffer.len() - self.len);
        if start < self.start {
            buffer.rotate_left(self.start - start);
        } else {
            buffer.rotate_right(start - self.start);
        }
        Self { buffer, start, len: self.len }
    }
}

impl<T> Deref for Aligned<T> {
    type Target = [T];

    #[inline(always)]
    fn deref(&self) -> &[T] {
        &self.buffer[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Aligned<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.buffer[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_element_is_on_a_line() {
        for len in [0, 1, 15, 1000, 100_000] {
            let buffer = Aligned::<f32>::zeroed(len).unwrap();
            assert_eq!(buffer.as_ptr().addr() % LINE_BYTES, 0);
            assert_eq!(*buffer, vec![0.0; len]);
            let mut buffer = buffer;
            buffer.iter_mut().enumerate().for_each(|(at, x)| *x = at as f32);
            let copy = buffer.clone();
            assert_eq!((copy.as_ptr().addr() % LINE_BYTES, &*copy), (0, &*buffer));
        }
    }
}
