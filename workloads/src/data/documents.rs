//! Documents as bags of words, and the UCI `docword` text that holds them.

use std::io::Read;
use std::path::Path;

use super::error::DataError;
use super::share::Examples;
use super::source::{Source, whole};

/// The most words of a vocabulary.
pub const WORDS_MAX: u64 = 1 << 24;
/// The most times that one document may hold one word.
const COUNT_MAX: u64 = 1 << 24;

/// Documents, each a list of words with how often it holds them.
///
/// A document without words is left out. I1: `offsets` has one entry more than there are
/// documents, starts at 0, rises strictly and ends at the number of entries. I2: the words of a
/// document ascend strictly and lie below `vocabulary`. I3: counts are at least 1.
#[derive(Clone, Debug, PartialEq)]
pub struct Documents {
    offsets: Vec<usize>,
    words: Vec<u32>,
    counts: Vec<u32>,
    vocabulary: u64,
}

/// One document.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Document<'a> {
    /// Its words, ascending, from 0.
    pub words: &'a [u32],
    /// How often it holds each.
    pub counts: &'a [u32],
}

impl Document<'_> {
    /// How many words it has, repeated ones counted again.
    pub fn tokens(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }
}

/// The three header lines.
#[derive(Clone, Copy, Debug)]
struct Header {
    documents: u64,
    vocabulary: u64,
    entries: u64,
}

impl Documents {
    /// Reads a UCI `docword` file, plain or gzip: three lines with the numbers of documents, words
    /// and entries, then `document word count` a line, numbered from 1 and sorted by document and
    /// word. Word i of the file is word i - 1 here.
    ///
    /// # Errors
    /// `Text` for a number that does not parse or is out of bounds, lines out of order, and a
    /// number of entries other than the header's; `Empty`, `Gzip`, `Io`.
    pub fn open_docword(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::load(Source::open(path.as_ref())?)
    }

    /// As [`open_docword`](Self::open_docword), from any reader; `name` stands in errors.
    ///
    /// ```
    /// use archipelago_workloads::data::Documents;
    /// let data = Documents::read_docword("inline", &b"2\n5\n3\n1 2 1\n1 5 3\n2 1 1\n"[..])?;
    /// assert_eq!((data.count(), data.vocabulary(), data.tokens()), (2, 5, 5));
    /// assert_eq!(data.document(0).words, [1, 4]);
    /// # Ok::<(), archipelago_workloads::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn read_docword(name: &str, reader: impl Read) -> Result<Self, DataError> {
        Self::load(Source::new(name, reader)?)
    }

    fn load(mut source: Source<'_>) -> Result<Self, DataError> {
        let mut line = Vec::new();
        let mut number = |source: &mut Source<'_>, what| header(source, &mut line, what);
        let header = Header {
            documents: number(&mut source, "the number of documents")?,
            vocabulary: number(&mut source, "the number of words")?,
            entries: number(&mut source, "the number of entries")?,
        };
        if header.vocabulary > WORDS_MAX {
            let expected = format!("at most {WORDS_MAX} words");
            return Err(source.text(1, expected, header.vocabulary.to_string().as_bytes()));
        }
        let mut data =
            Self { offsets: vec![], words: vec![], counts: vec![], vocabulary: header.vocabulary };
        let mut last = (0, 0);
        while source.next_line(&mut line)? {
            if !line.trim_ascii().is_empty() {
                last = data.add_line(&source, &line, &header, last)?;
            }
        }
        if data.words.is_empty() {
            return Err(DataError::empty(source.name()));
        }
        if data.words.len() as u64 != header.entries {
            let expected = format!("{} entries, as the third line says", header.entries);
            return Err(source.text(1, expected, data.words.len().to_string().as_bytes()));
        }
        data.offsets.push(data.words.len());
        Ok(data)
    }

    /// Adds a line that follows on the entry of `last` = (document, word); returns its own.
    fn add_line(
        &mut self,
        source: &Source<'_>,
        line: &[u8],
        header: &Header,
        last: (u64, u64),
    ) -> Result<(u64, u64), DataError> {
        let mut fields = line.split(u8::is_ascii_whitespace).filter(|field| !field.is_empty());
        let mut field = |column, most| {
            let field = fields.next().unwrap_or_default();
            let found = whole(field).filter(|found| (1..=most).contains(found));
            let expected = || format!("a whole number from 1 to {most}");
            found.ok_or_else(|| source.text(column, expected(), field))
        };
        let entry = (field(1, header.documents)?, field(2, header.vocabulary)?);
        let count = field(3, COUNT_MAX)?;
        if fields.next().is_some() {
            return Err(source.text(4, "three numbers", line));
        }
        if entry <= last {
            let expected =
                format!("entries in ascending order, after document {} word {}", last.0, last.1);
            return Err(source.text(1, expected, line));
        }
        if entry.0 != last.0 {
            self.offsets.push(self.words.len());
        }
        self.words.push((entry.1 - 1) as u32);
        self.counts.push(count as u32);
        Ok(entry)
    }

    /// Takes out every `nth` document, the first one as the first: what is left, what was taken.
    #[must_use]
    pub fn hold_out(&self, nth: usize) -> (Self, Self) {
        let none = || Self {
            offsets: vec![0],
            words: vec![],
            counts: vec![],
            vocabulary: self.vocabulary,
        };
        let (mut kept, mut held) = (none(), none());
        for index in 0..self.count() {
            let part = if index.is_multiple_of(nth.max(1)) { &mut held } else { &mut kept };
            let document = self.document(index);
            part.words.extend(document.words);
            part.counts.extend(document.counts);
            part.offsets.push(part.words.len());
        }
        (kept, held)
    }

    /// How many documents.
    pub fn count(&self) -> usize {
        self.offsets.len() - 1
    }

    /// How many words there are; every word lies below.
    pub fn vocabulary(&self) -> u64 {
        self.vocabulary
    }

    /// Words of all documents, repeated ones counted again.
    pub fn tokens(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// One document.
    ///
    /// # Panics
    /// When there are not that many.
    pub fn document(&self, index: usize) -> Document<'_> {
        let span = self.offsets[index]..self.offsets[index + 1];
        Document { words: &self.words[span.clone()], counts: &self.counts[span] }
    }
}

impl Examples for Documents {
    fn rows(&self) -> usize {
        self.count()
    }
}

fn header(source: &mut Source<'_>, line: &mut Vec<u8>, what: &str) -> Result<u64, DataError> {
    source.next_line(line)?;
    whole(line.trim_ascii()).ok_or_else(|| source.text(1, what, line))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<Documents, String> {
        Documents::read_docword("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn entries_become_documents_and_empty_ones_are_left_out() {
        let data = read("4\n9\n4\n1 2 1\n1 9 3\n\n3 1 1\r\n4  1  2\n").unwrap();
        assert_eq!((data.count(), data.tokens(), data.vocabulary()), (3, 7, 9));
        assert_eq!(data.document(0), Document { words: &[1, 8], counts: &[1, 3] });
        assert_eq!(data.document(0).tokens(), 4);
        assert_eq!(data.document(2), Document { words: &[0], counts: &[2] });
        let (kept, held) = data.hold_out(2);
        assert_eq!((kept.count(), held.count(), held.document(1)), (1, 2, data.document(2)));
        assert_eq!(kept.document(0), data.document(1));
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        for (text, message) in [
            ("", "f:1:1: expected the number of documents, found nothing"),
            ("2\nx", r#"f:2:1: expected the number of words, found "x""#),
            ("1\n1\n", "f:3:1: expected the number of entries, found nothing"),
            ("1\n16777217\n1\n", r#"f:3:1: expected at most 16777216 words, found "16777217""#),
            ("1\n1\n0\n", "f: expected at least one row, found none"),
            ("1\n1\n1\n2 1 1", r#"f:4:1: expected a whole number from 1 to 1, found "2""#),
            ("1\n3\n1\n1 4 1", r#"f:4:2: expected a whole number from 1 to 3, found "4""#),
            ("1\n1\n1\n1 1 0", r#"f:4:3: expected a whole number from 1 to 16777216, found "0""#),
            ("1\n1\n1\n1 1", "f:4:3: expected a whole number from 1 to 16777216, found nothing"),
            ("1\n1\n1\n1 1 1 1", r#"f:4:4: expected three numbers, found "1 1 1 1""#),
            (
                "2\n3\n2\n2 3 1\n2 3 1",
                "f:5:1: expected entries in ascending order, after document 2 word 3, found \
                 \"2 3 1\"",
            ),
            ("1\n3\n2\n1 1 1", "f:5:1: expected 2 entries, as the third line says, found \"1\""),
        ] {
            assert_eq!(read(text).unwrap_err(), message, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_loads_is_sound(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..100),
                "[0-9]{1,9}\n[0-9]{1,9}\n[0-4]\n([0-4] [0-9] [0-9]{1,9}\n){0,4}"
                    .prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(data) = Documents::read_docword("f", &bytes[..]) {
                for document in (0..data.count()).map(|index| data.document(index)) {
                    prop_assert!(!document.words.is_empty());
                    prop_assert!(document.words.array_windows().all(|[a, b]| a < b));
                    prop_assert!(document.words.iter().all(|&w| u64::from(w) < data.vocabulary()));
                    prop_assert!(document.counts.iter().all(|&count| count >= 1));
                }
            }
        }
    }
}
