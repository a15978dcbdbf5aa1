//! Ranges of keys, ascending and apart, as variable-length differences: a barrier travels ahead of
//! its update over a link that is too slow, and takes less than it.
//!
//! A list is a count (u32), and for every range the keys between it and the one before, then the
//! difference of its last key to its first; numbers are those of [`keys`](super::keys). Decoding
//! yields ranges that ascend and are apart, whatever the bytes are.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use super::field::{Field, Sink, Source, put_count};
use super::keys::{put_number, take_from};
use crate::error::FrameError;
use crate::key::{Key, KeyRange};
use crate::limits;

impl Field for Vec<KeyRange> {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.len(), sink);
        let mut least = 0_u64;
        for range in self {
            let (first, last) = (range.first().0, range.last().0);
            put_number(first.wrapping_sub(least), sink);
            put_number(last - first, sink);
            least = last.wrapping_add(1);
        }
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let count = source.reader.count("ranges of a barrier", 2, limits::BARRIER_RANGES_MAX)?;
        let mut ranges = Self::with_capacity(count);
        let mut least = Some(0_u64);
        for _ in 0..count {
            let first = take_from(least, "difference of ranges", source)?;
            let last = take_from(Some(first), "length of a range", source)?;
            // There is one: `last` is `first` or more.
            ranges.extend(KeyRange::new(Key(first), Key(last)));
            least = last.checked_add(1);
        }
        Ok(ranges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Writer;

    fn written(ranges: &Vec<KeyRange>) -> Vec<u8> {
        let mut writer = Writer::default();
        ranges.put(&mut writer);
        writer.finish()
    }

    fn read(bytes: &[u8]) -> Result<Vec<KeyRange>, FrameError> {
        let mut source = Source::borrowed(bytes);
        let ranges = Field::take(&mut source)?;
        source.reader.end()?;
        Ok(ranges)
    }

    #[test]
    fn ranges_come_back_and_scattered_rows_take_two_bytes_each() {
        let range = |first, last| KeyRange::new(Key(first), Key(last)).unwrap();
        for ranges in [
            vec![],
            vec![KeyRange::ALL],
            vec![range(0, 0), range(1, 5), range(9, u64::MAX)],
            vec![KeyRange::single(Key(u64::MAX))],
        ] {
            assert_eq!(read(&written(&ranges)), Ok(ranges));
        }
        let rows: Vec<_> = (0..1000).map(|at| KeyRange::single(Key(64 * at))).collect();
        assert_eq!(written(&rows).len(), 4 + 2 * 1000);
    }

    #[test]
    fn ranges_beyond_the_last_key_are_refused() {
        let mut bytes = written(&vec![KeyRange::single(Key(u64::MAX))]);
        // Its last key is one more, and then there is another range.
        *bytes.last_mut().unwrap() = 1;
        assert!(matches!(read(&bytes), Err(FrameError::Malformed { .. })));
        let mut bytes = written(&vec![KeyRange::ALL]);
        *bytes.first_mut().unwrap() = 2;
        bytes.extend([0, 0]);
        assert!(matches!(read(&bytes), Err(FrameError::Malformed { .. })));
    }
}
