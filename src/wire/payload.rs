//! Elements as bytes: what pushes carry and pulls bring back.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use std::borrow::Cow;

use bytes::Bytes;

use super::pool::{Pool, Room};
use crate::error::FrameError;
use crate::vector::{DType, Element};

/// Little-endian elements of one type. Cheap to clone: the bytes are shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// The type of the elements.
    pub dtype: DType,
    /// The elements, `dtype.bytes()` each.
    pub bytes: Bytes,
}

impl Payload {
    /// No elements.
    pub fn empty(dtype: DType) -> Self {
        Self { dtype, bytes: Bytes::new() }
    }

    /// A copy of `elements`. Cost: one memcpy on little-endian machines.
    pub fn from_slice<T: Element>(elements: &[T]) -> Self {
        let mut bytes = bytemuck::cast_slice::<T, u8>(elements).to_vec();
        little_endian::<T>(&mut bytes);
        Self { dtype: T::DTYPE, bytes: bytes.into() }
    }

    /// A copy of `elements` in memory of a pool. Cost: one memcpy on little-endian machines.
    pub fn pooled<T: Element>(pool: &Pool, elements: &[T]) -> Self {
        let bytes = bytemuck::cast_slice::<T, u8>(elements);
        let mut room = pool.room(bytes.len());
        if let Some(start) = room.bytes_mut().get_mut(..bytes.len()) {
            start.copy_from_slice(bytes);
        }
        Self::from_room::<T>(room, elements.len())
    }

    /// The first `count` elements that were written to a room, in this machine's byte order.
    pub fn from_room<T: Element>(mut room: Room, count: usize) -> Self {
        let held = room.bytes_mut().len();
        let bytes = count.saturating_mul(size_of::<T>()).min(held);
        if let Some(start) = room.bytes_mut().get_mut(..bytes) {
            little_endian::<T>(start);
        }
        Self { dtype: T::DTYPE, bytes: room.freeze().slice(..bytes) }
    }

    /// How many elements; a broken last one is not counted.
    pub fn len_elements(&self) -> usize {
        self.bytes.len() / self.dtype.bytes()
    }

    /// Replaces what `out` holds by the elements. Cost: one memcpy on little-endian machines.
    ///
    /// # Errors
    /// `Malformed` when the elements are of another type or the last one is cut.
    pub fn read_into<T: Element>(&self, out: &mut Vec<T>) -> Result<(), FrameError> {
        self.check::<T>()?;
        // Stale elements are overwritten below, so nothing is cleared first.
        out.resize(self.len_elements(), T::default());
        let target = bytemuck::cast_slice_mut::<T, u8>(out);
        target.copy_from_slice(&self.bytes);
        little_endian::<T>(target);
        Ok(())
    }

    /// The elements, borrowed where the bytes lie aligned as such elements must, else copied.
    ///
    /// # Errors
    /// `Malformed` when the elements are of another type or the last one is cut.
    pub fn elements<T: Element>(&self) -> Result<Cow<'_, [T]>, FrameError> {
        self.check::<T>()?;
        if cfg!(target_endian = "little")
            && let Ok(elements) = bytemuck::try_cast_slice(&self.bytes)
        {
            return Ok(Cow::Borrowed(elements));
        }
        let mut copy = Vec::new();
        self.read_into(&mut copy)?;
        Ok(Cow::Owned(copy))
    }

    fn check<T: Element>(&self) -> Result<(), FrameError> {
        if self.dtype != T::DTYPE {
            return Err(FrameError::Malformed {
                field: "element type of a payload",
                found: self.dtype.bytes() as u64,
            });
        }
        self.check_whole()
    }

    /// Checks that the last element is not cut.
    pub(super) fn check_whole(&self) -> Result<(), FrameError> {
        if self.bytes.len().is_multiple_of(self.dtype.bytes()) {
            return Ok(());
        }
        Err(FrameError::Malformed { field: "bytes of a payload", found: self.bytes.len() as u64 })
    }
}

/// Turns elements from this machine's byte order to little-endian or back: nothing, usually.
pub(super) fn little_endian<T>(bytes: &mut [u8]) {
    if cfg!(target_endian = "big") {
        for element in bytes.chunks_exact_mut(size_of::<T>()) {
            element.reverse();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_come_back_bit_for_bit() {
        let values = [1.5_f32, -0.0, f32::INFINITY, f32::from_bits(0x7fc0_1234)];
        let payload = Payload::from_slice(&values);
        let mut out = vec![9.0; 7];
        payload.read_into(&mut out).unwrap();
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&out), bits(&values));
        assert_eq!(bits(&payload.elements::<f32>().unwrap()), bits(&values));
        assert_eq!(payload.bytes.slice(..4).as_ref(), [0, 0, 0xc0, 0x3f]);
    }

    #[test]
    fn unaligned_bytes_are_copied_and_wrong_ones_refused() {
        let padded: Bytes =
            [&[0][..], &7_i64.to_le_bytes(), &(-1_i64).to_le_bytes()].concat().into();
        let odd = Payload { dtype: DType::I64, bytes: padded.slice(1..) };
        assert_eq!(odd.elements::<i64>().unwrap().as_ref(), [7, -1]);
        assert!(odd.elements::<f64>().is_err());
        let cut = Payload { bytes: padded, ..odd };
        assert!(cut.read_into(&mut Vec::<i64>::new()).is_err());
    }
}
