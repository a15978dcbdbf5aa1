//! Little-endian reading and writing with every length checked: the base of wire and disk formats.
//!
//! Invariants: I1 a [`Reader`] never reads past its slice and never allocates more than it has
//! bytes for; I2 what [`Writer`] puts, [`Reader`] takes back. (SPEC law 14)

use crate::error::FrameError;

/// Appends little-endian fields to a byte vector.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Writes behind what `bytes` already holds; a pooled buffer is handed in this way.
    pub fn into(bytes: Vec<u8>) -> Self {
        Self { bytes }
    }

    /// Everything written so far.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }

    /// Bytes written so far.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.bytes.push(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// Eight bytes: the bits of the number.
    pub fn f64(&mut self, value: f64) {
        self.u64(value.to_bits());
    }

    /// The bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// A length (u32) and the bytes of the text.
    pub fn text(&mut self, text: &str) {
        self.u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.raw(text.as_bytes());
    }
}

/// Takes little-endian fields off a borrowed slice.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Reads `bytes` from the front.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// Bytes not yet read.
    pub fn remaining(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    /// The next `count` bytes, borrowed.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub fn raw(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let Some((head, tail)) = self.bytes.split_at_checked(count) else {
            return Err(FrameError::Truncated { expected: count, found: self.bytes.len() });
        };
        self.bytes = tail;
        Ok(head)
    }

    /// One byte.
    ///
    /// # Errors
    /// `Truncated` at the end.
    pub fn u8(&mut self) -> Result<u8, FrameError> {
        Ok(self.array::<1>()?[0])
    }

    /// Four bytes.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Eight bytes.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub fn u64(&mut self) -> Result<u64, FrameError> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// Eight bytes: the bits of a number.
    ///
    /// # Errors
    /// `Truncated` when fewer are left.
    pub fn f64(&mut self) -> Result<f64, FrameError> {
        Ok(f64::from_bits(self.u64()?))
    }

    /// A text of at most `bytes_max` bytes.
    ///
    /// # Errors
    /// `Truncated`, `TooLarge`, or `Malformed` when it is not UTF-8.
    pub fn text(&mut self, bytes_max: usize) -> Result<&'a str, FrameError> {
        let length = self.u32()? as usize;
        if length > bytes_max {
            return Err(FrameError::TooLarge { field: "text", limit: bytes_max, found: length });
        }
        std::str::from_utf8(self.raw(length)?)
            .map_err(|_not_utf8| FrameError::Malformed { field: "text", found: length as u64 })
    }

    /// A count of items that take at least `item_bytes` each; never more than the bytes left
    /// can hold, so that a caller may allocate for it.
    ///
    /// # Errors
    /// `Truncated`, or `TooLarge` above `count_max`.
    pub fn count(
        &mut self,
        field: &'static str,
        item_bytes: usize,
        count_max: usize,
    ) -> Result<usize, FrameError> {
        let count = self.u32()? as usize;
        if count > count_max {
            return Err(FrameError::TooLarge { field, limit: count_max, found: count });
        }
        let expected = count.saturating_mul(item_bytes);
        if expected > self.bytes.len() {
            return Err(FrameError::Truncated { expected, found: self.bytes.len() });
        }
        Ok(count)
    }

    /// Checks that everything was read.
    ///
    /// # Errors
    /// `Malformed` when bytes are left over.
    pub fn end(&self) -> Result<(), FrameError> {
        if self.bytes.is_empty() {
            return Ok(());
        }
        Err(FrameError::Malformed { field: "end of message", found: self.bytes.len() as u64 })
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let Some((head, tail)) = self.bytes.split_first_chunk::<N>() else {
            return Err(FrameError::Truncated { expected: N, found: self.bytes.len() });
        };
        self.bytes = tail;
        Ok(*head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut w = Writer::default();
        w.u8(7);
        w.u32(8);
        w.u64(u64::MAX);
        w.f64(-0.5);
        w.text("tick");
        let bytes = w.finish();
        let mut r = Reader::new(&bytes);
        assert_eq!((r.u8(), r.u32(), r.u64()), (Ok(7), Ok(8), Ok(u64::MAX)));
        assert_eq!((r.f64(), r.text(4), r.end()), (Ok(-0.5), Ok("tick"), Ok(())));
        assert!(matches!(r.u8(), Err(FrameError::Truncated { expected: 1, found: 0 })));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_allocation() {
        let bytes = u32::MAX.to_le_bytes();
        let refused = Reader::new(&bytes).count("keys", 8, usize::MAX);
        assert!(matches!(refused, Err(FrameError::Truncated { .. })));
    }
}
