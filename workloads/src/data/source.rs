//! Bytes and lines of a file, plain or gzip.
//!
//! Whether a stream is gzip is read off its first two bytes, never off its name. Nothing is
//! allocated on the word of a header: buffers grow with the bytes that really arrive, and a line
//! is at most `LINE_BYTES_MAX` long. A byte order mark, which editors put before UTF-8 text, is
//! no part of the first line.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use flate2::bufread::MultiGzDecoder;

use super::error::{DataError, Place, quoted};

/// The byte order mark of UTF-8.
pub(super) const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The longest line of a text file.
pub(super) const LINE_BYTES_MAX: usize = 16 << 20;

/// An open data file.
pub(super) struct Source<'a> {
    name: String,
    gzip: bool,
    line: u64,
    reader: Box<dyn BufRead + 'a>,
}

impl<'a> Source<'a> {
    pub(super) fn open(path: &Path) -> Result<Source<'static>, DataError> {
        let name = path.display().to_string();
        let file = File::open(path).map_err(|problem| DataError::io(&name, problem))?;
        Source::new(&name, file)
    }

    /// Reads from `reader`; `name` stands in errors.
    pub(super) fn new(name: &str, reader: impl Read + 'a) -> Result<Self, DataError> {
        let reader = BufReader::with_capacity(1 << 16, Peek::new(reader, name)?);
        let gzip = reader.get_ref().gzip();
        let reader: Box<dyn BufRead + 'a> = if gzip {
            Box::new(BufReader::with_capacity(1 << 16, MultiGzDecoder::new(reader)))
        } else {
            Box::new(reader)
        };
        Ok(Self { name: name.into(), gzip, line: 0, reader })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The line at hand, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// Reads the next line into `line`, without its end; false at the end of the file.
    pub(super) fn next_line(&mut self, line: &mut Vec<u8>) -> Result<bool, DataError> {
        line.clear();
        self.line += 1;
        let mut limited = self.reader.by_ref().take(LINE_BYTES_MAX as u64 + 1);
        match limited.read_until(b'\n', line) {
            Ok(0) => return Ok(false),
            Ok(_) => {},
            Err(problem) => return Err(self.broken(problem)),
        }
        if self.line == 1 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if line.len() > LINE_BYTES_MAX {
            let expected = format!("at most {LINE_BYTES_MAX} bytes a line");
            return Err(self.bad(LINE_BYTES_MAX as u64, expected, "a longer line".into()));
        }
        Ok(true)
    }

    /// Reads up to `bytes_max` bytes: fewer only at the end of the file.
    pub(super) fn bytes(&mut self, bytes_max: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = self.reader.by_ref().take(bytes_max).read_to_end(&mut bytes);
        read.map_err(|problem| self.broken(problem))?;
        Ok(bytes)
    }

    /// An error at a column of the current line.
    pub(super) fn text(&self, column: u64, expected: impl Into<String>, found: &[u8]) -> DataError {
        self.bad(column, expected.into(), quoted(found))
    }

    /// A number of fields that does not fit, at a column of the current line.
    pub(super) fn fields(
        &self,
        expected: &str,
        line: &[u8],
        separator: u8,
        column: u64,
    ) -> DataError {
        let found = line.split(|&byte| byte == separator).count();
        self.bad(column, expected.into(), format!("{found} in {}", quoted(line)))
    }

    fn bad(&self, column: u64, expected: String, found: String) -> DataError {
        let place = Place { file: self.name.clone(), line: self.line, column };
        DataError::Text { place, expected, found }
    }

    fn broken(&self, problem: io::Error) -> DataError {
        let (file, line) = (self.name.clone(), self.line.max(1));
        if self.gzip {
            return DataError::Gzip { file, line, problem };
        }
        DataError::Io { file, problem }
    }
}

/// A reader whose first two bytes have been looked at.
struct Peek<R> {
    head: [u8; 2],
    len: usize,
    taken: usize,
    rest: R,
}

impl<R: Read> Peek<R> {
    fn new(mut rest: R, name: &str) -> Result<Self, DataError> {
        let mut head = [0; 2];
        let mut len = 0;
        while len < 2 {
            match rest.read(&mut head[len..]) {
                Ok(0) => break,
                Ok(read) => len += read,
                Err(problem) if problem.kind() == io::ErrorKind::Interrupted => {},
                Err(problem) => return Err(DataError::io(name, problem)),
            }
        }
        Ok(Self { head, len, taken: 0, rest })
    }

    fn gzip(&self) -> bool {
        self.len == 2 && self.head == [0x1f, 0x8b]
    }
}

impl<R: Read> Read for Peek<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.len {
            return self.rest.read(out);
        }
        let count = out.len().min(self.len - self.taken);
        out[..count].copy_from_slice(&self.head[self.taken..self.taken + count]);
        self.taken += count;
        Ok(count)
    }
}

/// Parses a finite f32.
pub(super) fn finite(text: &[u8]) -> Option<f32> {
    let value: f32 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Parses a whole number from 0.
pub(super) fn whole(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::SparseData;
    use super::*;
    use flate2::{Compression, write::GzEncoder};
    use proptest::prelude::*;
    use std::io::Write;

    const TEXT: &[u8] = b"+1 1:1 2:0.5\n-1 4:2\n";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn plain_and_gzip_files_read_alike() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("rows.gz");
        let packed = dir.path().join("rows");
        std::fs::write(&plain, TEXT).unwrap();
        std::fs::write(&packed, [gzip(&TEXT[..13]), gzip(&TEXT[13..])].concat()).unwrap();
        let data = SparseData::open_libsvm(&plain).unwrap();
        assert_eq!(data.rows(), 2);
        assert_eq!(SparseData::open_libsvm(&packed).unwrap(), data);
        let missing = SparseData::open_libsvm(dir.path().join("none"));
        assert!(matches!(missing, Err(DataError::Io { .. })));
    }

    #[test]
    fn a_byte_order_mark_is_skipped() {
        let marked = [b"\xef\xbb\xbf", TEXT].concat();
        let data = SparseData::read_libsvm("f", TEXT).unwrap();
        assert_eq!(SparseData::read_libsvm("f", &marked[..]).unwrap(), data);
        assert_eq!(SparseData::read_libsvm("f", &gzip(&marked)[..]).unwrap(), data);
        // Only before the first line.
        let inside = [TEXT, &marked[..]].concat();
        assert!(SparseData::read_libsvm("f", &inside[..]).is_err());
    }

    #[test]
    fn an_endless_line_is_refused() {
        let error = SparseData::read_libsvm("f", io::repeat(b' ')).unwrap_err();
        assert!(matches!(error, DataError::Text { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn a_cut_or_damaged_gzip_stream_is_an_error(
            cut in 2_usize..1000,
            at: prop::sample::Index,
            flip in 1_u8..,
        ) {
            let whole = gzip(TEXT);
            let cut = &whole[..cut.min(whole.len() - 1)];
            let read = SparseData::read_libsvm("f", cut);
            prop_assert!(matches!(read, Err(DataError::Gzip { .. })), "{read:?}");
            let mut damaged = whole.clone();
            let at = at.index(damaged.len());
            damaged[at] ^= flip;
            // A few bits (the header's time, padding) mean nothing; all others are checked.
            if let Ok(data) = SparseData::read_libsvm("f", &damaged[..]) {
                prop_assert_eq!(data, SparseData::read_libsvm("f", TEXT).unwrap());
            }
        }
    }
}
