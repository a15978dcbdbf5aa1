//! Sorted keys as variable-length differences: 1 to 3 bytes a key instead of 8.
//!
//! A list is a count (u32), the first key, and for every further key the difference to its
//! predecessor less one; numbers are LEB128, seven bits a byte, lowest first. Strictly ascending
//! keys are exactly the lists that can be written, so decoding need not compare any.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use super::field::{Field, Sink, Source, put_count};
use crate::codec::Reader;
use crate::error::FrameError;
use crate::id::{Sequence, SlotIndex};
use crate::key::Key;
use crate::limits;

impl Field for Vec<Key> {
    fn put(&self, sink: &mut impl Sink) {
        put_keys(self, sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let count = source.reader.count("keys", 1, limits::FRAME_KEYS_MAX)?;
        let mut keys = Self::with_capacity(count);
        let mut least = Some(0_u64);
        for _ in 0..count {
            let key = take_from(least, "difference of keys", source)?;
            keys.push(Key(key));
            least = key.checked_add(1);
        }
        Ok(keys)
    }
}

/// Takes the difference of a number to the least that it may be, if there is one; the number.
pub(super) fn take_from(
    least: Option<u64>,
    field: &'static str,
    source: &mut Source<'_>,
) -> Result<u64, FrameError> {
    let found = take_number(&mut source.reader)?;
    let number = least.and_then(|least| least.checked_add(found));
    number.ok_or(FrameError::Malformed { field, found })
}

/// Writes strictly ascending keys; `frame` has checked that they are.
pub(super) fn put_keys(keys: &[Key], sink: &mut impl Sink) {
    put_count(keys.len(), sink);
    let mut least = 0_u64;
    for key in keys {
        put_number(key.0.wrapping_sub(least), sink);
        least = key.0.wrapping_add(1);
    }
}

/// The list of slots touched by a tick. Its slots mostly ascend and its sequences lie close
/// together, so both travel as signed differences; any list can be written.
impl Field for Vec<(SlotIndex, Sequence)> {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.len(), sink);
        let (mut slot, mut sequence) = (0_u32, 0_u64);
        for touched in self {
            let along = i64::from(touched.0.0) - i64::from(slot);
            put_number(folded(along), sink);
            put_number(folded(touched.1.0.wrapping_sub(sequence).cast_signed()), sink);
            (slot, sequence) = (touched.0.0, touched.1.0);
        }
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let slots_max = limits::SLOTS_MAX as usize;
        let count = source.reader.count("slots touched", 2, slots_max)?;
        let mut touched = Self::with_capacity(count);
        let (mut slot, mut sequence) = (0_u32, 0_u64);
        for _ in 0..count {
            let along = take_number(&mut source.reader)?;
            let next = i64::from(slot).checked_add(unfolded(along));
            let next = next.and_then(|slot| u32::try_from(slot).ok());
            slot =
                next.ok_or(FrameError::Malformed { field: "difference of slots", found: along })?;
            sequence =
                sequence.wrapping_add(unfolded(take_number(&mut source.reader)?).cast_unsigned());
            touched.push((SlotIndex(slot), Sequence(sequence)));
        }
        Ok(touched)
    }
}

/// Maps numbers near zero, of either sign, to small ones: 0, -1, 1, -2, ...
fn folded(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

fn unfolded(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -(number & 1).cast_signed()
}

/// Written at once, so that who only counts the bytes pays for their number and not for them.
#[inline]
pub(super) fn put_number(number: u64, sink: &mut impl Sink) {
    let groups = (u64::BITS - (number | 1).leading_zeros()).div_ceil(7) as usize;
    let mut bytes = [0_u8; 10];
    let group = |at: usize| (number >> (7 * at)).to_le_bytes()[0];
    for (at, byte) in bytes.iter_mut().enumerate().take(groups) {
        let more = if at + 1 < groups { 0x80 } else { 0 };
        *byte = group(at) & 0x7f | more;
    }
    sink.raw(bytes.get(..groups).unwrap_or(&bytes));
}

/// Takes a number in its only encoding: no needless zero byte at its end, nothing above 64 bits.
pub(super) fn take_number(reader: &mut Reader<'_>) -> Result<u64, FrameError> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = reader.u8()?;
        let bits = u64::from(byte & 0x7f);
        let placed = bits << shift;
        let lost = placed >> shift != bits;
        let needless = byte == 0 && shift > 0;
        if lost || needless {
            return Err(malformed(byte));
        }
        number |= placed;
        if byte < 0x80 {
            return Ok(number);
        }
    }
    Err(malformed(0x80))
}

fn malformed(byte: u8) -> FrameError {
    FrameError::Malformed { field: "variable-length number", found: byte.into() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Writer;

    fn written(put: impl Fn(&mut Writer)) -> Vec<u8> {
        let mut writer = Writer::default();
        put(&mut writer);
        writer.finish()
    }

    fn number(bytes: &[u8]) -> Result<u64, FrameError> {
        let mut source = Source::borrowed(bytes);
        let number = take_number(&mut source.reader)?;
        source.reader.end()?;
        Ok(number)
    }

    #[test]
    fn a_number_has_one_encoding() {
        assert_eq!(number(&[0]), Ok(0));
        assert_eq!(number(&[0xac, 0x02]), Ok(300));
        let mut top = [0xff; 10];
        top[9] = 1;
        assert_eq!(number(&top), Ok(u64::MAX));
        top[9] = 2;
        assert!(number(&top).is_err(), "65 bits");
        top[9] = 0x81;
        assert!(number(&top).is_err(), "no end");
        assert!(number(&[0x80, 0]).is_err(), "a needless byte");
        assert!(number(&[0x80]).is_err(), "cut");
    }

    #[test]
    fn keys_beyond_the_last_are_refused() {
        let keys = vec![Key(0), Key(u64::MAX)];
        let mut bytes = written(|w| keys.put(w));
        assert_eq!(Vec::<Key>::take(&mut Source::borrowed(&bytes)), Ok(keys));
        *bytes.first_mut().unwrap() = 3;
        bytes.push(0);
        let refused = Vec::<Key>::take(&mut Source::borrowed(&bytes));
        assert!(matches!(refused, Err(FrameError::Malformed { .. })));
    }

    #[test]
    fn neighbouring_keys_take_one_byte_each() {
        let keys: Vec<_> = (0..1000).map(|i| Key((1 << 40) + i * 100)).collect();
        assert_eq!(written(|w| keys.put(w)).len(), 4 + 6 + 999);
    }

    proptest! {
        #[test]
        fn touched_slots_come_back(list in prop::collection::vec(any::<(u32, u64)>(), 0..20)) {
            let list: Vec<_> = list.into_iter().map(|(a, b)| (SlotIndex(a), Sequence(b))).collect();
            let bytes = written(|w| list.put(w));
            prop_assert_eq!(Vec::take(&mut Source::borrowed(&bytes)), Ok(list));
        }
    }
}
