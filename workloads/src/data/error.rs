//! What can be wrong with a data file, with the place where it is wrong.

use std::fmt;
use std::io;

/// A place in a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file's name, as the caller gave it.
    pub file: String,
    /// The line, from 1.
    pub line: u64,
    /// The byte in the line (LIBSVM) or the field of the line (CSV), from 1.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// A data file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The operating system cannot open or read the file.
    #[error("{file}: {problem}")]
    Io {
        /// The file.
        file: String,
        /// What the system said.
        #[source]
        problem: io::Error,
    },
    /// The gzip stream is damaged or ends too early.
    #[error(
        "{file}: expected a whole gzip stream, found damage in or after line {line}: {problem}"
    )]
    Gzip {
        /// The file.
        file: String,
        /// The line being read, from 1; 1 for files without lines.
        line: u64,
        /// What the decoder said.
        #[source]
        problem: io::Error,
    },
    /// Text is not what its place demands.
    #[error("{place}: expected {expected}, found {found}")]
    Text {
        /// Where.
        place: Place,
        /// What may stand there.
        expected: String,
        /// What stands there, escaped and cut to 40 characters.
        found: String,
    },
    /// A binary header or body is not what the format demands.
    #[error("{file}: {field}: expected {expected}, found {found}")]
    Binary {
        /// The file.
        file: String,
        /// The part of the file.
        field: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// The file holds no row.
    #[error("{file}: expected at least one row, found none")]
    Empty {
        /// The file.
        file: String,
    },
    /// Rows were asked for that the data does not have.
    #[error("{what}: expected {expected}, found {found}")]
    Shape {
        /// What was asked for.
        what: &'static str,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
}

impl DataError {
    pub(super) fn io(file: &str, problem: io::Error) -> Self {
        Self::Io { file: file.into(), problem }
    }

    pub(super) fn empty(file: &str) -> Self {
        Self::Empty { file: file.into() }
    }

    pub(super) fn binary(
        file: &str,
        field: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> Self {
        Self::Binary {
            file: file.into(),
            field,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}

/// Untrusted bytes for an error message: quoted, whatever is not printable text escaped, cut to
/// 40 characters with dots behind the quote.
pub(super) fn quoted(bytes: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 40;
    if bytes.is_empty() {
        return "nothing".into();
    }
    let (mut text, mut count) = (String::new(), 0);
    for piece in pieces(bytes) {
        count += piece.chars().count();
        if count > CHARACTERS_MAX {
            return format!("\"{text}\"...");
        }
        text.push_str(&piece);
    }
    format!("\"{text}\"")
}

/// Characters, escaped where they have to be, and the bytes that are no characters.
fn pieces(bytes: &[u8]) -> impl Iterator<Item = String> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let escaped = |character: char| match character {
            '\'' => "'".into(),
            _ => character.escape_debug().collect(),
        };
        let broken = chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}"));
        chunk.valid().chars().map(escaped).chain(broken)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_is_escaped_and_cut() {
        assert_eq!(quoted(b""), "nothing");
        assert_eq!(quoted("it's \"5\u{20ac}\"\t".as_bytes()), "\"it's \\\"5\u{20ac}\\\"\\t\"");
        assert_eq!(quoted(b"\xff\x00a\x1b[2J"), r#""\xff\0a\u{1b}[2J""#);
        assert_eq!(quoted(&[b'x'; 40]), format!("{:?}", "x".repeat(40)));
        assert_eq!(quoted(&[b'x'; 41]), format!("{:?}...", "x".repeat(40)));
        assert_eq!(quoted(&[0xfe; 1000]), format!("\"{}\"...", r"\xfe".repeat(10)));
    }
}
