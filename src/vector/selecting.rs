//! Moves and gathers chosen elements of a slice. Part of [`kernels`](super::kernels).

use super::Element;
use super::marks::{Marks, WORD, pack};
use super::widest::{Kernel, on_widest};

/// Elements that a step of [`take_marked`] handles: as many as an f32 has bits, so that a mark is
/// tested in the lane of its element.
const STEP: usize = u32::BITS as usize;

/// Moves the marked elements of `source` to `taken`, where all others become 0; what was moved
/// becomes 0 in `source`. Returns how many elements that are not 0 were moved, and how many are
/// left; NaN is not 0, -0.0 is.
///
/// # Panics
/// When the lengths differ.
pub fn take_marked<T: Element>(marks: &Marks, source: &mut [T], taken: &mut [T]) -> (u64, u64) {
    assert!(marks.len() == source.len() && taken.len() == source.len());
    on_widest(TakeMarked { words: marks.words(), source, taken })
}

/// Moves all of `source` to `taken`, bit by bit, and leaves zeros. Returns how many elements that
/// are not 0 were moved; NaN is not 0, -0.0 is.
///
/// # Panics
/// When the lengths differ.
pub fn take_all<T: Element>(source: &mut [T], taken: &mut [T]) -> u64 {
    assert_eq!(source.len(), taken.len());
    on_widest(TakeAll { source, taken })
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

struct TakeMarked<'a, T> {
    words: &'a [u64],
    source: &'a mut [T],
    taken: &'a mut [T],
}

impl<T: Element> Kernel for TakeMarked<'_, T> {
    type Output = (u64, u64);

    #[inline(always)]
    fn run(self) -> (u64, u64) {
        let (mut moved, mut left) = (0, 0);
        let chunks = self.source.chunks_mut(WORD).zip(self.taken.chunks_mut(WORD));
        for (word, (source, taken)) in self.words.iter().zip(chunks) {
            let halves = source.chunks_mut(STEP).zip(taken.chunks_mut(STEP));
            for (half, (source, taken)) in halves.enumerate() {
                let marks = (word >> (half * STEP)) as u32;
                let counts = match (source.as_mut_array::<STEP>(), taken.as_mut_array::<STEP>()) {
                    (Some(source), Some(taken)) => take_step(marks, source, taken),
                    _ => take_step(marks, source, taken),
                };
                moved += u64::from(counts.0);
                left += u64::from(counts.1);
            }
        }
        (moved, left)
    }
}

/// At most [`STEP`] elements. Inlined twice, once for a length that the compiler knows.
#[inline(always)]
fn take_step<T: Element>(marks: u32, source: &mut [T], taken: &mut [T]) -> (u32, u32) {
    let zero = T::default();
    let (mut moved, mut left) = (0, 0);
    for (index, (source, taken)) in source.iter_mut().zip(taken).enumerate() {
        let marked = marks & 1 << index != 0;
        *taken = if marked { *source } else { zero };
        *source = if marked { zero } else { *source };
        moved += u32::from(*taken != zero);
        left += u32::from(*source != zero);
    }
    (moved, left)
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
        for (index, chunk) in self.source.chunks(WORD).enumerate() {
            let mut flags = [0; WORD];
            for (flag, element) in flags.iter_mut().zip(chunk) {
                *flag = u8::from(*element != T::default());
            }
            let mut word = pack(&flags);
            while word != 0 {
                let at = word.trailing_zeros() as usize;
                self.positions.push((index * WORD + at) as u32);
                self.values.push(chunk[at]);
                word &= word - 1;
            }
        }
    }
}
