//! How one field is written, counted and read: one description serves all three, so that sizes
//! and bytes cannot drift apart.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use bytes::Bytes;

use crate::codec::{Reader, Writer};
use crate::error::FrameError;

/// Where the bytes of fields go.
pub(super) trait Sink {
    fn raw(&mut self, bytes: &[u8]);

    /// The last field of a frame: bytes that may be shared instead of copied.
    fn shared(&mut self, bytes: &Bytes) {
        self.raw(bytes);
    }
}

impl Sink for Writer {
    fn raw(&mut self, bytes: &[u8]) {
        Self::raw(self, bytes);
    }
}

/// Copies all but the last field, which it shares.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) head: Writer,
    pub(super) last: Bytes,
}

impl Sink for Parts {
    fn raw(&mut self, bytes: &[u8]) {
        self.head.raw(bytes);
    }

    fn shared(&mut self, bytes: &Bytes) {
        self.last = bytes.clone();
    }
}

/// Counts bytes instead of keeping them.
#[derive(Debug, Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn raw(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}

/// Where the bytes of fields come from.
#[derive(Debug)]
pub(super) struct Source<'a> {
    pub(super) reader: Reader<'a>,
    shared: Option<&'a Bytes>,
}

impl<'a> Source<'a> {
    /// Reads a slice; payloads are copied out of it.
    pub(super) fn borrowed(bytes: &'a [u8]) -> Self {
        Self { reader: Reader::new(bytes), shared: None }
    }

    /// Reads `part`, a slice of `whole`; payloads share its memory.
    pub(super) fn shared(whole: &'a Bytes, part: &'a [u8]) -> Self {
        Self { reader: Reader::new(part), shared: Some(whole) }
    }

    /// The next `count` bytes as an owned value.
    pub(super) fn bytes(&mut self, count: usize) -> Result<Bytes, FrameError> {
        let bytes = self.reader.raw(count)?;
        Ok(match self.shared {
            Some(whole) => whole.slice_ref(bytes),
            None => Bytes::copy_from_slice(bytes),
        })
    }
}

/// A value with one encoding: `take` gives back what `put` wrote and refuses everything else.
pub(super) trait Field: Sized {
    fn put(&self, sink: &mut impl Sink);
    fn take(source: &mut Source<'_>) -> Result<Self, FrameError>;
}

/// A field that comes in lists: a count (u32) and the items.
pub(super) trait Listed: Field {
    /// Of the list, for errors.
    const NAME: &'static str;
    /// The least that an item takes: bounds the count before anything is allocated.
    const BYTES_MIN: usize;
    /// The most items.
    const COUNT_MAX: usize;
}

impl<T: Listed> Field for Vec<T> {
    fn put(&self, sink: &mut impl Sink) {
        put_count(self.len(), sink);
        for item in self {
            item.put(sink);
        }
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let count = source.reader.count(T::NAME, T::BYTES_MIN, T::COUNT_MAX)?;
        let mut items = Self::with_capacity(count);
        for _ in 0..count {
            items.push(T::take(source)?);
        }
        Ok(items)
    }
}

/// A count that does not fit is written as one that no reader accepts; `frame` has refused the
/// message before, because it is longer than a frame may be.
pub(super) fn put_count(count: usize, sink: &mut impl Sink) {
    u32::try_from(count).unwrap_or(u32::MAX).put(sink);
}

macro_rules! integers {
    ($($integer:ty),*) => {$(
        impl Field for $integer {
            fn put(&self, sink: &mut impl Sink) {
                sink.raw(&self.to_le_bytes());
            }

            fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
                let mut bytes = [0; size_of::<Self>()];
                bytes.copy_from_slice(source.reader.raw(size_of::<Self>())?);
                Ok(Self::from_le_bytes(bytes))
            }
        }
    )*};
}

integers!(u8, u32, u64, u128);

impl Field for f64 {
    fn put(&self, sink: &mut impl Sink) {
        self.to_bits().put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok(Self::from_bits(u64::take(source)?))
    }
}

impl Field for () {
    fn put(&self, _sink: &mut impl Sink) {}

    fn take(_source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok(())
    }
}

impl<T: Field> Field for Option<T> {
    fn put(&self, sink: &mut impl Sink) {
        u8::from(self.is_some()).put(sink);
        if let Some(value) = self {
            value.put(sink);
        }
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        match u8::take(source)? {
            0 => Ok(None),
            1 => Ok(Some(T::take(source)?)),
            tag => Err(unknown("option", tag)),
        }
    }
}

impl<T: Field, E: Field> Field for Result<T, E> {
    fn put(&self, sink: &mut impl Sink) {
        u8::from(self.is_err()).put(sink);
        match self {
            Ok(value) => value.put(sink),
            Err(error) => error.put(sink),
        }
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        match u8::take(source)? {
            0 => Ok(Ok(T::take(source)?)),
            1 => Ok(Err(E::take(source)?)),
            tag => Err(unknown("result", tag)),
        }
    }
}

impl<A: Field, B: Field> Field for (A, B) {
    fn put(&self, sink: &mut impl Sink) {
        self.0.put(sink);
        self.1.put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok((A::take(source)?, B::take(source)?))
    }
}

impl<A: Field, B: Field, C: Field> Field for (A, B, C) {
    fn put(&self, sink: &mut impl Sink) {
        self.0.put(sink);
        self.1.put(sink);
        self.2.put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        Ok((A::take(source)?, B::take(source)?, C::take(source)?))
    }
}

/// A tag without a meaning.
pub(super) fn unknown(field: &'static str, tag: u8) -> FrameError {
    FrameError::Malformed { field, found: tag.into() }
}
