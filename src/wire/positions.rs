//! Which elements of a delta are told, as they travel: written once, however many are told.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use bytes::Bytes;

use super::field::{Field, Sink, Source, put_count};
use super::keys::{put_number, take_number};
use crate::codec::{Reader, Writer};
use crate::error::FrameError;
use crate::limits;

/// Of eight numbers at once, the bits that are set where one has more than a byte.
const LONGER: u64 = 0x8080_8080_8080_8080;

/// Strictly ascending positions of elements, held as they are written: a count (u32), and for each
/// position the difference to the one before, less one, as a number of 1 to 5 bytes. A frame holds
/// at most [`FRAME_ELEMENTS_MAX`] of them. Cheap to clone: the bytes are shared.
///
/// ```
/// use archipelago::wire::Positions;
/// let positions = Positions::new(&[3, 4, 900])?;
/// assert_eq!((positions.len(), positions.largest()), (3, Some(900)));
/// assert_eq!(positions.to_vec(), [3, 4, 900]);
/// assert!(Positions::new(&[4, 4]).is_err());
/// # Ok::<(), archipelago::error::FrameError>(())
/// ```
///
/// [`FRAME_ELEMENTS_MAX`]: limits::FRAME_ELEMENTS_MAX
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Positions {
    count: usize,
    largest: Option<u32>,
    gaps: Bytes,
}

impl Positions {
    /// Writes positions. Cost: one pass.
    ///
    /// # Errors
    /// `Malformed` when they do not ascend.
    pub fn new(ascending: &[u32]) -> Result<Self, FrameError> {
        let found = ascending.len();
        if !ascending.is_sorted_by(|a, b| a < b) {
            let field = "positions that do not ascend";
            return Err(FrameError::Malformed { field, found: found as u64 });
        }
        // Most gaps are of one byte.
        let mut gaps = Writer::into(Vec::with_capacity(found + found / 8));
        let mut least = 0_u32;
        for position in ascending {
            let gap = position.wrapping_sub(least);
            match u8::try_from(gap) {
                Ok(byte) if byte < 0x80 => gaps.u8(byte),
                _ => put_number(gap.into(), &mut gaps),
            }
            least = position.wrapping_add(1);
        }
        let gaps = gaps.finish().into();
        Ok(Self { count: found, largest: ascending.last().copied(), gaps })
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The last one.
    pub fn largest(&self) -> Option<u32> {
        self.largest
    }

    /// All of them, ascending. Cost: one pass.
    pub fn to_vec(&self) -> Vec<u32> {
        let mut positions = Vec::with_capacity(self.count);
        let mut reader = Reader::new(&self.gaps);
        let mut least = 0_u32;
        while reader.remaining() > 0 {
            if let Some(gaps) = next_short(&mut reader) {
                positions.extend_from_slice(&gaps.map(|gap| {
                    let position = least.wrapping_add(gap.into());
                    least = position.wrapping_add(1);
                    position
                }));
                continue;
            }
            // What was written, or scanned when it was taken, is whole.
            let Ok(gap) = take_number(&mut reader) else { break };
            let position = u32::try_from(u64::from(least) + gap).unwrap_or(u32::MAX);
            positions.push(position);
            least = position.wrapping_add(1);
        }
        positions
    }
}

/// The next eight numbers, when each is of one byte.
fn next_short(reader: &mut Reader<'_>) -> Option<[u8; 8]> {
    let (eight, _) = reader.rest().split_first_chunk::<8>()?;
    if u64::from_le_bytes(*eight) & LONGER != 0 {
        return None;
    }
    reader.raw(8).ok()?;
    Some(*eight)
}

/// The largest of `count` positions, and the bytes that they take at the start.
fn scan(bytes: &[u8], count: usize) -> Result<(Option<u32>, usize), FrameError> {
    let mut reader = Reader::new(bytes);
    // Behind the position before.
    let (mut least, mut left) = (0_u64, count);
    while left > 0 {
        let short = if left >= 8 { next_short(&mut reader) } else { None };
        let (positions, gap) = match short {
            Some(gaps) => (8, gaps.iter().map(|gap| u64::from(*gap)).sum()),
            None => (1, take_number(&mut reader)?),
        };
        let end = least.checked_add(gap).and_then(|end| end.checked_add(positions));
        least = end
            .filter(|end| *end <= 1 << 32)
            .ok_or(FrameError::Malformed { field: "difference of positions", found: gap })?;
        left -= usize::try_from(positions).unwrap_or(left);
    }
    let largest = least.checked_sub(1).and_then(|largest| u32::try_from(largest).ok());
    Ok((largest, bytes.len() - reader.remaining()))
}

impl Field for Positions {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.count, sink);
        sink.raw(&self.gaps);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let count = source.reader.count("positions", 1, limits::FRAME_ELEMENTS_MAX)?;
        let (largest, bytes) = scan(source.reader.rest(), count)?;
        Ok(Self { count, largest, gaps: source.bytes(bytes)? })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn taken(bytes: &[u8]) -> Result<Positions, FrameError> {
        let mut source = Source::borrowed(bytes);
        let positions = Positions::take(&mut source)?;
        source.reader.end()?;
        Ok(positions)
    }

    fn written(positions: &Positions) -> Vec<u8> {
        let mut writer = Writer::default();
        positions.put(&mut writer);
        writer.finish()
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(
            gaps in proptest::collection::vec(
                prop_oneof![20 => 1_u32..100, 1 => 100_u32..40_000, 1 => Just(1 << 24)], 0..200,
            ),
        ) {
            let mut at = 0_u32;
            let positions: Vec<u32> = gaps.iter().map_while(|gap| {
                at = at.checked_add(*gap)?;
                Some(at - 1)
            }).collect();
            let held = Positions::new(&positions).unwrap();
            prop_assert_eq!(held.to_vec(), positions.clone());
            prop_assert_eq!(held.len(), positions.len());
            prop_assert_eq!(held.largest(), positions.last().copied());
            prop_assert_eq!(taken(&written(&held)), Ok(held));
        }
    }

    #[test]
    fn the_last_position_that_there_is_can_be_named_and_none_behind_it() {
        let top = Positions::new(&[u32::MAX - 1, u32::MAX]).unwrap();
        assert_eq!(top.to_vec(), [u32::MAX - 1, u32::MAX]);
        let mut bytes = written(&top);
        assert_eq!(taken(&bytes), Ok(top));
        *bytes.last_mut().unwrap() = 1;
        assert!(taken(&bytes).is_err());
        let eight_behind = [&[9, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0; 8]].concat();
        assert!(taken(&eight_behind).is_err());
        let needless = [1, 0, 0, 0, 0x80, 0];
        assert!(taken(&needless).is_err());
        let cut = [9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80];
        assert!(taken(&cut).is_err());
    }

    #[test]
    fn what_does_not_ascend_is_refused() {
        assert!(Positions::new(&[3, 3]).is_err() && Positions::new(&[3, 2]).is_err());
        assert_eq!(Positions::new(&[]).unwrap().largest(), None);
        let many: Vec<u32> = (0..).take(limits::FRAME_ELEMENTS_MAX + 1).collect();
        assert!(
            taken(&written(&Positions::new(&many).unwrap())).is_err(),
            "more than a frame holds"
        );
    }
}
