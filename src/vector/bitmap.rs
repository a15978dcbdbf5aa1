//! Which elements of a slice are marked, one bit each.

use super::Element;
use super::widest::{Kernel, on_widest};

/// Elements of one word.
pub(super) const WORD: usize = u64::BITS as usize;
/// Elements of half a word: as many as an f32 has bits.
pub(super) const HALF: usize = WORD / 2;

/// One mark per element of a slice: bit `i % 64` of word `i / 64` belongs to element `i`. Bits
/// behind the last element are 0. Made once and used again, it allocates only to grow.
///
/// ```
/// use archipelago::vector::Bitmap;
/// let mut bitmap = Bitmap::default();
/// bitmap.reset(70);
/// bitmap.set(3);
/// bitmap.set(69);
/// assert!(bitmap.get(3) && !bitmap.get(4) && bitmap.get(69));
/// assert_eq!(bitmap.words(), [1 << 3, 1 << 5]);
/// assert_eq!(bitmap.count(), 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bitmap {
    words: Vec<u64>,
    len: usize,
}

impl Bitmap {
    /// Makes it one unset mark for each of `len` elements.
    pub fn reset(&mut self, len: usize) {
        self.words.clear();
        self.words.resize(len.div_ceil(WORD), 0);
        self.len = len;
    }

    /// Elements, marked or not.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Marks element `index`.
    ///
    /// # Panics
    /// When there is no such element.
    #[inline]
    pub fn set(&mut self, index: usize) {
        assert!(index < self.len, "element {index} of {}", self.len);
        self.words[index / WORD] |= 1 << (index % WORD);
    }

    /// Whether element `index` is marked.
    ///
    /// # Panics
    /// When there is no such element.
    #[inline]
    pub fn get(&self, index: usize) -> bool {
        assert!(index < self.len, "element {index} of {}", self.len);
        self.words[index / WORD] >> (index % WORD) & 1 == 1
    }

    /// The marks, 64 to a word, the first element in the lowest bit of the first word.
    pub fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many elements are marked.
    pub fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    /// Marks exactly the elements for which `chosen(value, residual)` holds, one mark for each
    /// element of the two slices. Marks from before are forgotten.
    ///
    /// Runs in the widest vectors of the machine where `chosen` has no branch: `|` and `&`
    /// instead of `||` and `&&`.
    ///
    /// # Panics
    /// When the lengths differ.
    #[inline]
    pub fn mark_where<T: Element>(
        &mut self,
        values: &[T],
        residuals: &[T],
        chosen: impl Fn(T, T) -> bool,
    ) {
        assert_eq!(values.len(), residuals.len());
        on_widest(MarkWhere { words: self.overwrite(values.len()), values, residuals, chosen });
    }

    /// The words of `len` elements, all of which the caller writes; what they hold is of no use.
    pub(super) fn overwrite(&mut self, len: usize) -> &mut [u64] {
        if self.len != len {
            self.reset(len);
        }
        &mut self.words
    }
}

/// A word of marks, one for each index of a whole or last chunk of elements that is `chosen`.
///
/// Bits are combined in lanes as wide as an f32, which is what makes it fast: a comparison's result
/// is masked with the bit of its lane, and lanes are folded once in 32 elements.
#[inline(always)]
pub(super) fn word(elements: usize, chosen: impl Fn(usize) -> bool) -> u64 {
    let half = |start: usize, end: usize| {
        let bit = |index| if chosen(start + index) { 1_u32 << index } else { 0 };
        (0..end - start).fold(0, |half, index| half | bit(index))
    };
    let low = half(0, elements.min(HALF));
    let high = if elements > HALF { half(HALF, elements) } else { 0 };
    u64::from(low) | u64::from(high) << HALF
}

struct MarkWhere<'a, T, F> {
    words: &'a mut [u64],
    values: &'a [T],
    residuals: &'a [T],
    chosen: F,
}

impl<T: Element, F: Fn(T, T) -> bool> Kernel for MarkWhere<'_, T, F> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let (values, last_values) = self.values.as_chunks::<WORD>();
        let (residuals, last_residuals) = self.residuals.as_chunks::<WORD>();
        let (words, last_word) = self.words.split_at_mut(values.len());
        for ((bits, values), residuals) in words.iter_mut().zip(values).zip(residuals) {
            *bits = word(WORD, |index| (self.chosen)(values[index], residuals[index]));
        }
        if let [bits] = last_word {
            let chosen = |index| (self.chosen)(last_values[index], last_residuals[index]);
            *bits = word(last_values.len(), chosen);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn marks_are_what_was_chosen(
            pairs in proptest::collection::vec(any::<(i64, i64)>(), 0..300),
        ) {
            let (values, residuals): (Vec<i64>, Vec<i64>) = pairs.into_iter().unzip();
            let mut bitmap = Bitmap::default();
            bitmap.reset(values.len());
            (0..values.len()).for_each(|index| bitmap.set(index));
            prop_assert_eq!(bitmap.count(), values.len() as u64);
            bitmap.mark_where(&values, &residuals, |value, residual| value < residual);
            let mut one_by_one = Bitmap::default();
            one_by_one.reset(values.len());
            for (index, (value, residual)) in values.iter().zip(&residuals).enumerate() {
                prop_assert_eq!(bitmap.get(index), value < residual);
                if value < residual {
                    one_by_one.set(index);
                }
            }
            prop_assert_eq!(bitmap, one_by_one);
        }
    }

    #[test]
    fn a_reset_forgets_and_keeps_its_memory() {
        let mut bitmap = Bitmap::default();
        bitmap.reset(1000);
        let memory = bitmap.words.as_ptr();
        for len in [64, 1, 0, 999, 1000] {
            bitmap.reset(len);
            assert!(bitmap.count() == 0 && bitmap.len() == len && bitmap.is_empty() == (len == 0));
            (0..len).for_each(|index| bitmap.set(index));
            assert_eq!(bitmap.count(), len as u64);
            bitmap.mark_where(&vec![0.0; len], &vec![0.0; len], |_: f64, _| true);
            assert_eq!(bitmap.count(), len as u64);
        }
        assert_eq!(bitmap.words.as_ptr(), memory);
    }
}
