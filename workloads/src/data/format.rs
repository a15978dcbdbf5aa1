//! What a file looks like: for hints to whoever has passed the wrong one.

use std::path::Path;

use super::error::DataError;
use super::source::{BYTE_ORDER_MARK, Source, finite};

/// What a data file looks like by its first bytes. A guess: only a loader's word is final.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Rows of `label index:value ..`.
    Libsvm,
    /// Lines of fields.
    Csv {
        /// What separates the fields.
        separator: u8,
        /// Whether no field of the first line is a number.
        header: bool,
    },
    /// The format of MNIST.
    Idx {
        /// 1 for labels, 3 for images.
        dimensions: u8,
    },
    /// Neither text nor IDX.
    Binary,
}

/// How much of a file is looked at.
const HEAD_BYTES: u64 = 1 << 16;

impl Format {
    /// Looks at the first 64 KiB of a file, unpacked where it is gzip; `None` when it looks like
    /// nothing known, and for a pipe, whose bytes would be lost to the loader.
    ///
    /// # Errors
    /// `Io`, `Gzip`.
    pub fn guess(path: impl AsRef<Path>) -> Result<Option<Self>, DataError> {
        let path = path.as_ref();
        let problem = |problem| DataError::io(&path.display().to_string(), problem);
        if !path.metadata().map_err(problem)?.is_file() {
            return Ok(None);
        }
        Ok(Self::of(&Source::open(path)?.bytes(HEAD_BYTES)?))
    }

    /// What starts with these bytes.
    ///
    /// ```
    /// use archipelago_workloads::data::Format;
    /// assert_eq!(Format::of(b"+1 3:1 7:0.5\n"), Some(Format::Libsvm));
    /// let csv = Format::Csv { separator: b',', header: true };
    /// assert_eq!(Format::of(b"class,height,width\n"), Some(csv));
    /// ```
    pub fn of(head: &[u8]) -> Option<Self> {
        let head = head.strip_prefix(BYTE_ORDER_MARK).unwrap_or(head);
        if let [0, 0, _, dimensions @ 1..=u8::MAX, ..] = *head {
            return Some(Self::Idx { dimensions });
        }
        let control = |byte: &u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
        if head.iter().any(control) {
            return Some(Self::Binary);
        }
        let mut lines = head.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let line = lines.find(|line| !line.is_empty() && !line.starts_with(b"#"))?;
        let mut words = line.split(u8::is_ascii_whitespace);
        if words.any(is_pair) {
            return Some(Self::Libsvm);
        }
        let separator = b",;\t ".iter().copied().find(|separator| line.contains(separator))?;
        let mut fields = line.split(|&byte| byte == separator);
        let header = !fields.any(|field| finite(field.trim_ascii()).is_some());
        Some(Self::Csv { separator, header })
    }
}

/// Whether a word is `index:value`.
fn is_pair(word: &[u8]) -> bool {
    let colon = word.iter().position(|&byte| byte == b':');
    colon.is_some_and(|colon| colon > 0 && word[..colon].iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formats_are_told_apart() {
        let csv = |separator, header| Some(Format::Csv { separator, header });
        for (head, format) in [
            (&b""[..], None),
            (b"7\n", None),
            (b"# words\n\n-1 1:0.5 # tail\n", Some(Format::Libsvm)),
            (b"2 qid:4 17:1\n", Some(Format::Libsvm)),
            (b"0,1.5,2\n", csv(b',', false)),
            (b"class, height\n0,1\n", csv(b',', true)),
            (b"\xef\xbb\xbf0\t1\n", csv(b'\t', false)),
            (b"\xef\xbb\xbf0:1\n", Some(Format::Libsvm)),
            (b"cat;1.5\r\n", csv(b';', false)),
            (b"1\t2\n", csv(b'\t', false)),
            (b"12:30 7\n", Some(Format::Libsvm)),
            (b"1 2 3\n", csv(b' ', false)),
            (b"\0\0\x08\x03\0\0\0\x02", Some(Format::Idx { dimensions: 3 })),
            (b"\0\0\x08", Some(Format::Binary)),
            (b"PK\x03\x04", Some(Format::Binary)),
        ] {
            assert_eq!(Format::of(head), format, "{}", head.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..40)) {
            Format::of(&bytes);
        }
    }
}
