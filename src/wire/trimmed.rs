//! The elements of a delta, without the bytes that are 0 in all of them.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::borrow::Cow;

use bytes::Bytes;

use super::field::{Field, Sink, Source, put_count};
use super::payload::little_endian;
use crate::error::FrameError;
use crate::limits;
use crate::vector::{DType, Element};

/// Elements of which so many are looked at before it is seen whether any byte may be left out.
const LOOK: usize = 256;

/// Little-endian elements of one type, each without its last bytes: floats that were cut to fewer
/// bits take as many bytes as they have left. Cheap to clone: the bytes are shared.
///
/// | type | bytes of each element |
/// |---|---|
/// | `f32` | 2, 3 or 4 |
/// | `f64` | 3, 5 or 8 |
/// | `i64` | 8 |
///
/// ```
/// use archipelago::wire::Trimmed;
/// let halves = Trimmed::from_slice(&[0.5_f32, -1.5]);
/// assert_eq!((halves.len(), halves.bytes()), (2, 4));
/// assert_eq!(&*halves.elements::<f32>()?, [0.5, -1.5]);
/// assert_eq!(Trimmed::from_slice(&[0.1_f32]).bytes(), 4);
/// # Ok::<(), archipelago::error::FrameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trimmed {
    dtype: DType,
    /// Bytes of each element: the most significant ones.
    width: usize,
    bytes: Bytes,
}

/// The bytes that elements of a type may have, ascending.
fn widths(dtype: DType) -> &'static [usize] {
    match dtype {
        DType::F32 => &[2, 3, 4],
        DType::F64 => &[3, 5, 8],
        DType::I64 => &[8],
    }
}

impl Trimmed {
    /// A copy of `elements`. Cost: a pass that ends early where nothing can be left out, and a
    /// copy.
    pub fn from_slice<T: Element>(elements: &[T]) -> Self {
        Self::of_width(elements, Self::width_of(elements))
    }

    /// The same, where [`width_of`](Self::width_of) them is known already. Cost: a copy.
    pub(crate) fn of_width<T: Element>(elements: &[T], width: usize) -> Self {
        let mut whole = Cow::Borrowed(bytemuck::cast_slice::<T, u8>(elements));
        if cfg!(target_endian = "big") {
            little_endian::<T>(whole.to_mut());
        }
        let bytes = match (T::DTYPE.bytes(), width) {
            (4, 2) => narrowed::<4, 2>(&whole),
            (4, 3) => narrowed::<4, 3>(&whole),
            (8, 3) => narrowed::<8, 3>(&whole),
            (8, 5) => narrowed::<8, 5>(&whole),
            _ => whole.into_owned(),
        };
        Self { dtype: T::DTYPE, width, bytes: bytes.into() }
    }

    /// How many bytes each of `elements` takes when they are told together; zeros take none but
    /// the fewest that there are.
    pub fn width_of<T: Element>(elements: &[T]) -> usize {
        let size = T::DTYPE.bytes();
        let mut least = widths(T::DTYPE).first().copied().unwrap_or(size);
        for some in elements.chunks(LOOK) {
            if least == size {
                break;
            }
            let zero_bits = match T::DTYPE {
                DType::F32 => common::<u32>(bytemuck::cast_slice(some)).trailing_zeros(),
                DType::F64 | DType::I64 => {
                    common::<u64>(bytemuck::cast_slice(some)).trailing_zeros()
                },
            };
            let needed = size.saturating_sub(zero_bits as usize / 8);
            let fitting = widths(T::DTYPE).iter().copied().find(|width| *width >= needed);
            least = least.max(fitting.unwrap_or(size));
        }
        least
    }

    /// The type of the elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The bytes of each of them, here and on the way.
    pub fn width(&self) -> usize {
        self.width
    }

    /// The bytes that all of them take, here and on the way.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The elements, borrowed where they are whole and lie aligned, else copied.
    ///
    /// # Errors
    /// `Malformed` when they are of another type.
    pub fn elements<T: Element>(&self) -> Result<Cow<'_, [T]>, FrameError> {
        if self.dtype != T::DTYPE {
            let found = self.dtype.bytes() as u64;
            return Err(FrameError::Malformed { field: "element type of a delta", found });
        }
        let size = self.dtype.bytes();
        if self.width == size
            && cfg!(target_endian = "little")
            && let Ok(elements) = bytemuck::try_cast_slice(&self.bytes)
        {
            return Ok(Cow::Borrowed(elements));
        }
        let mut elements = vec![T::default(); self.len()];
        let target = bytemuck::cast_slice_mut::<T, u8>(&mut elements);
        match (size, self.width) {
            (4, 2) => widen::<2, 4>(&self.bytes, target),
            (4, 3) => widen::<3, 4>(&self.bytes, target),
            (8, 3) => widen::<3, 8>(&self.bytes, target),
            (8, 5) => widen::<5, 8>(&self.bytes, target),
            _ => target.copy_from_slice(&self.bytes),
        }
        little_endian::<T>(target);
        Ok(Cow::Owned(elements))
    }
}

/// The bits that are set in any of the words.
fn common<W: Copy + Default + std::ops::BitOr<Output = W>>(words: &[W]) -> W {
    words.iter().fold(W::default(), |bits, word| bits | *word)
}

fn narrowed<const SIZE: usize, const KEPT: usize>(whole: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; whole.len() / SIZE * KEPT];
    let (elements, _) = whole.as_chunks::<SIZE>();
    for (element, short) in elements.iter().zip(bytes.as_chunks_mut::<KEPT>().0) {
        short.copy_from_slice(element.split_at(SIZE - KEPT).1);
    }
    bytes
}

fn widen<const KEPT: usize, const SIZE: usize>(bytes: &[u8], whole: &mut [u8]) {
    let (elements, _) = whole.as_chunks_mut::<SIZE>();
    for (element, short) in elements.iter_mut().zip(bytes.as_chunks::<KEPT>().0) {
        element.split_at_mut(SIZE - KEPT).1.copy_from_slice(short);
    }
}

impl Field for Trimmed {
    fn put(&self, sink: &mut impl Sink) {
        self.dtype.put(sink);
        u8::try_from(self.width).unwrap_or(u8::MAX).put(sink);
        put_count(self.len(), sink);
        sink.shared(&self.bytes);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let (dtype, width) = (DType::take(source)?, usize::from(u8::take(source)?));
        if !widths(dtype).contains(&width) {
            let (field, found) = ("bytes of an element of a delta", width as u64);
            return Err(FrameError::Malformed { field, found });
        }
        let count =
            source.reader.count("elements of a delta", width, limits::FRAME_ELEMENTS_MAX)?;
        Ok(Self { dtype, width, bytes: source.bytes(count * width)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Writer;

    fn comes_back<T: Element>(elements: &[T], bytes: usize) {
        let trimmed = Trimmed::from_slice(elements);
        assert_eq!((trimmed.len(), trimmed.bytes()), (elements.len(), bytes * elements.len()));
        let mut writer = Writer::default();
        trimmed.put(&mut writer);
        let written = writer.finish();
        assert_eq!(written.len(), 1 + 1 + 4 + trimmed.bytes());
        let mut source = Source::borrowed(&written);
        let read = Trimmed::take(&mut source).unwrap();
        assert_eq!((&read, source.reader.end()), (&trimmed, Ok(())));
        let back = read.elements::<T>().unwrap();
        let bits = bytemuck::cast_slice::<T, u8>;
        assert_eq!(bits(&back), bits(elements));
    }

    proptest! {
        #[test]
        fn elements_come_back_in_as_few_bytes_as_hold_them(
            bits in proptest::collection::vec(any::<u64>(), 1..3 * LOOK), zeros in 0_u32..32,
        ) {
            // The first bit behind the zeros is set.
            let needed = |size: u32| (size * 8 - zeros).div_ceil(8) as usize;
            let fitting = |needed: usize, widths: [usize; 3]| {
                widths.into_iter().find(|width| *width >= needed).unwrap()
            };
            let cut = |bits: &u64| (bits | 1 << zeros) >> zeros << zeros;
            let doubles: Vec<_> = bits.iter().map(cut).map(f64::from_bits).collect();
            comes_back(&doubles, fitting(needed(8), [3, 5, 8]));
            let single = |bits| f32::from_bits(u32::try_from(bits & 0xffff_ffff).unwrap());
            let singles: Vec<_> = bits.iter().map(|bits| single(cut(bits))).collect();
            comes_back(&singles, fitting(needed(4), [2, 3, 4]));
            comes_back(bytemuck::cast_slice::<u64, i64>(&bits), 8);
        }
    }

    #[test]
    fn one_element_behind_many_short_ones_has_all_its_bits() {
        let mut elements = vec![0.25_f32; 5 * LOOK];
        comes_back(&elements, 2);
        *elements.last_mut().unwrap() = 0.1;
        comes_back(&elements, 4);
        comes_back::<f32>(&[], 2);
    }

    #[test]
    fn what_no_element_takes_is_refused() {
        for (kept, bytes) in [(1, 2), (5, 10), (0, 0), (2, 3)] {
            let written = [&[0, kept, 2, 0, 0, 0][..], &vec![1; bytes]].concat();
            assert!(Trimmed::take(&mut Source::borrowed(&written)).is_err(), "{kept} of {bytes}");
        }
        let halves = Trimmed::from_slice(&[0.5_f32]);
        assert!(halves.elements::<f64>().is_err());
    }
}
