//! Moves and gathers chosen elements of a slice. Part of [`kernels`](super::kernels).

use super::Element;
use super::bitmap::{Bitmap, HALF, WORD, word};
use super::prefetch::{prefetch, prefetch_outer};
use super::widest::{Kernel, on_widest};

/// How far ahead [`take_where`] asks the second-level cache for memory: beyond the end of a page,
/// where the machine's own prefetching stops.
const OUTER_AHEAD_BYTES: usize = 8 << 10;
/// How far ahead it asks the first-level cache for what the second one has by then. That cache is
/// small, and what is taken passes through it too: lines asked for much earlier would have left it
/// again.
const AHEAD_BYTES: usize = 2 << 10;
/// Bytes of a cache line.
const LINE_BYTES: usize = 64;

/// How many elements moved and how many stayed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Passed {
    /// Moved away, of a residual: what is to be sent. Those that were marked, or where all are
    /// taken, those that were not 0; NaN is not 0, -0.0 is.
    pub taken: u64,
    /// Kept where they were and not 0.
    pub left: u64,
}

/// Moves the marked elements of `source` to `taken`, where all others become 0; what was moved
/// becomes 0 in `source`.
///
/// # Panics
/// When the lengths differ.
pub fn take_marked<T: Element>(bitmap: &Bitmap, source: &mut [T], taken: &mut [T]) -> Passed {
    assert!(bitmap.len() == source.len() && taken.len() == source.len());
    let left = on_widest(TakeMarked { words: bitmap.words(), source, taken });
    Passed { taken: bitmap.count(), left }
}

/// [`Bitmap::mark_where`] and [`take_marked`] in one pass: marks the elements for which
/// `chosen(value, source)` holds and moves them. Faster than one after the other where the data
/// comes from memory, and faster by a tenth where `chosen` is a `move` closure: what it borrows is
/// read again for every few elements.
///
/// # Panics
/// When the lengths differ.
#[inline]
pub fn take_where<T: Element>(
    values: &[T],
    source: &mut [T],
    taken: &mut [T],
    bitmap: &mut Bitmap,
    chosen: impl Fn(T, T) -> bool,
) -> Passed {
    assert!(values.len() == source.len() && taken.len() == source.len());
    let words = bitmap.overwrite(values.len());
    on_widest(TakeWhere { words, values, source, taken, chosen })
}

/// Moves all of `source` to `taken`, bit by bit, and leaves zeros.
///
/// # Panics
/// When the lengths differ.
pub fn take_all<T: Element>(source: &mut [T], taken: &mut [T]) -> Passed {
    assert_eq!(source.len(), taken.len());
    Passed { taken: on_widest(TakeAll { source, taken }), left: 0 }
}

/// Replaces `positions` by those of the elements that are not 0, ascending, and `values` by these
/// elements; NaN is not 0, -0.0 is. Allocates only to grow.
///
/// # Panics
/// When the slice has more than 2^32 elements.
pub fn gather_non_zero<T: Element>(source: &[T], positions: &mut Vec<u32>, values: &mut Vec<T>) {
    assert!(source.len() as u64 <= 1 << u32::BITS, "{} elements", source.len());
    positions.clear();
    values.clear();
    on_widest(GatherNonZero { source, positions, values });
}

/// The largest of positions; 0 of none.
pub fn largest(positions: &[u32]) -> u32 {
    on_widest(Largest { positions })
}

struct TakeMarked<'a, T> {
    words: &'a [u64],
    source: &'a mut [T],
    taken: &'a mut [T],
}

impl<T: Element> Kernel for TakeMarked<'_, T> {
    /// How many that are not 0 are left.
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let mut left = 0;
        let (source, last_source) = self.source.as_chunks_mut::<WORD>();
        let (taken, last_taken) = self.taken.as_chunks_mut::<WORD>();
        let (words, last_word) = self.words.split_at(source.len());
        for ((word, source), taken) in words.iter().zip(source).zip(taken) {
            let (source, _) = source.as_chunks_mut::<HALF>();
            let (taken, _) = taken.as_chunks_mut::<HALF>();
            for (half, (source, taken)) in source.iter_mut().zip(taken).enumerate() {
                left += u64::from(take_half((word >> (half * HALF)) as u32, source, taken));
            }
        }
        for word in last_word {
            let halves = last_source.chunks_mut(HALF).zip(last_taken.chunks_mut(HALF));
            for (half, (source, taken)) in halves.enumerate() {
                left += u64::from(take_half((word >> (half * HALF)) as u32, source, taken));
            }
        }
        left
    }
}

/// At most [`HALF`] elements: a mark is tested in a lane as wide as an f32. Counts what is left.
#[inline(always)]
fn take_half<T: Element>(bits: u32, source: &mut [T], taken: &mut [T]) -> u32 {
    let zero = T::default();
    let mut left = 0;
    for (index, (source, taken)) in source.iter_mut().zip(taken).enumerate() {
        let marked = bits & 1 << index != 0;
        (*taken, *source) = if marked { (*source, zero) } else { (zero, *source) };
        left += u32::from(*source != zero);
    }
    left
}

struct TakeWhere<'a, T, F> {
    words: &'a mut [u64],
    values: &'a [T],
    source: &'a mut [T],
    taken: &'a mut [T],
    chosen: F,
}

impl<T: Element, F: Fn(T, T) -> bool> Kernel for TakeWhere<'_, T, F> {
    type Output = Passed;

    #[inline(always)]
    fn run(self) -> Passed {
        let (mut moved, mut left) = (0, [0; HALF]);
        let (values, last_values) = self.values.as_chunks::<WORD>();
        let (source, last_source) = self.source.as_chunks_mut::<WORD>();
        let (taken, last_taken) = self.taken.as_chunks_mut::<WORD>();
        let (words, last_word) = self.words.split_at_mut(values.len());
        let chunks = values.iter().zip(source).zip(taken);
        for (word, ((values, source), taken)) in words.iter_mut().zip(chunks) {
            for line in (0..WORD).step_by(LINE_BYTES / size_of::<T>()) {
                prefetch_outer(values, OUTER_AHEAD_BYTES / size_of::<T>() + line);
                prefetch_outer(source, OUTER_AHEAD_BYTES / size_of::<T>() + line);
                prefetch(values, AHEAD_BYTES / size_of::<T>() + line);
                prefetch(source, AHEAD_BYTES / size_of::<T>() + line);
            }
            *word = take_word(values, source, taken, &self.chosen, &mut left);
            moved += u64::from(word.count_ones());
        }
        for word in last_word {
            // Padded with zeros, which are not counted.
            let len = last_values.len();
            let (mut values, mut source, mut taken) = [[T::default(); WORD]; 3].into();
            values[..len].copy_from_slice(last_values);
            source[..len].copy_from_slice(last_source);
            let bits = take_word(&values, &mut source, &mut taken, &self.chosen, &mut left);
            *word = bits & ((1 << len) - 1);
            moved += u64::from(word.count_ones());
            last_source.copy_from_slice(&source[..len]);
            last_taken.copy_from_slice(&taken[..len]);
        }
        Passed { taken: moved, left: left.into_iter().map(u64::from).sum() }
    }
}

/// Moves what is chosen of one word's elements; their bits. Counts what is left that is not 0, a
/// lane for each element of half a word.
#[inline(always)]
fn take_word<T: Element>(
    values: &[T; WORD],
    source: &mut [T; WORD],
    taken: &mut [T; WORD],
    chosen: &impl Fn(T, T) -> bool,
    left: &mut [u32; HALF],
) -> u64 {
    let mut word = 0;
    let (values, _) = values.as_chunks::<HALF>();
    let (source, _) = source.as_chunks_mut::<HALF>();
    let (taken, _) = taken.as_chunks_mut::<HALF>();
    let halves = values.iter().zip(source).zip(taken);
    for (half, ((values, source), taken)) in halves.enumerate() {
        let bits = take_half_where(values, source, taken, chosen, left);
        word |= u64::from(bits) << (half * HALF);
    }
    word
}

/// [`take_word`] of half a word. A function of its own, so that the compiler knows that none of its
/// arguments overlap: it finds that out at run time otherwise, and keeps `left` in memory.
#[inline(always)]
fn take_half_where<T: Element>(
    values: &[T; HALF],
    source: &mut [T; HALF],
    taken: &mut [T; HALF],
    chosen: &impl Fn(T, T) -> bool,
    left: &mut [u32; HALF],
) -> u32 {
    let zero = T::default();
    let mut bits = 0;
    for index in 0..HALF {
        let marked = chosen(values[index], source[index]);
        bits |= if marked { 1 << index } else { 0 };
        (taken[index], source[index]) =
            if marked { (source[index], zero) } else { (zero, source[index]) };
        left[index] += u32::from(source[index] != zero);
    }
    bits
}

struct TakeAll<'a, T> {
    source: &'a mut [T],
    taken: &'a mut [T],
}

impl<T: Element> Kernel for TakeAll<'_, T> {
    type Output = u64;

    #[inline(always)]
    fn run(self) -> u64 {
        let zero = T::default();
        let mut moved = 0;
        for (source, taken) in self.source.chunks_mut(WORD).zip(self.taken.chunks_mut(WORD)) {
            let mut count = 0_u32;
            for (source, taken) in source.iter_mut().zip(taken) {
                *taken = *source;
                *source = zero;
                count += u32::from(*taken != zero);
            }
            moved += u64::from(count);
        }
        moved
    }
}

struct GatherNonZero<'a, T> {
    source: &'a [T],
    positions: &'a mut Vec<u32>,
    values: &'a mut Vec<T>,
}

impl<T: Element> Kernel for GatherNonZero<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (chunks, last) = self.source.as_chunks::<WORD>();
        for (index, chunk) in chunks.iter().enumerate() {
            let bits = word(WORD, |at| chunk[at] != T::default());
            gather(self.positions, self.values, chunk, bits, index * WORD);
        }
        let bits = word(last.len(), |at| last[at] != T::default());
        gather(self.positions, self.values, last, bits, chunks.len() * WORD);
    }
}

struct Largest<'a> {
    positions: &'a [u32],
}

impl Kernel for Largest<'_> {
    type Output = u32;

    #[inline(always)]
    fn run(self) -> u32 {
        self.positions.iter().fold(0, |largest, position| largest.max(*position))
    }
}

/// Appends the marked elements of a chunk that begins at `start`.
#[inline(always)]
fn gather<T: Element>(
    positions: &mut Vec<u32>,
    values: &mut Vec<T>,
    chunk: &[T],
    mut bits: u64,
    start: usize,
) {
    while bits != 0 {
        let at = bits.trailing_zeros() as usize;
        positions.push((start + at) as u32);
        values.push(chunk[at]);
        bits &= bits - 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_pass_is_marking_and_taking() {
        for len in (0..200).chain([1000, 4099]) {
            let values: Vec<i64> = (0..len).map(|i| i * 7 % 5).collect();
            let mut source: Vec<i64> = (0..len).map(|i| i % 3).collect();
            let mut taken = vec![9; values.len()];
            for chosen in [|_, _| true, |value, source| value > source, |_, _| false] {
                let (mut also_source, mut also_taken) = (source.clone(), taken.clone());
                let (mut bitmap, mut also_bitmap) = (Bitmap::default(), Bitmap::default());
                let passed = take_where(&values, &mut source, &mut taken, &mut bitmap, chosen);
                also_bitmap.mark_where(&values, &also_source, chosen);
                assert_eq!(passed, take_marked(&also_bitmap, &mut also_source, &mut also_taken));
                assert_eq!((&source, &taken, &bitmap), (&also_source, &also_taken, &also_bitmap));
                let not_0 = |elements: &[i64]| elements.iter().filter(|x| **x != 0).count() as u64;
                assert_eq!(passed, Passed { taken: bitmap.count(), left: not_0(&source) });
            }
        }
    }
}
