//! Rows with few nonzero features and a label of -1 or +1, and the LIBSVM text that holds them.

use std::io::Read;
use std::path::Path;

use super::error::DataError;
use super::share::Examples;
use super::source::{Source, finite};

/// Labelled sparse rows, one after the other (CSR).
///
/// I1: `offsets` has one entry more than there are rows, starts at 0, never falls, and ends at
/// the length of `indices` and `values`. I2: the indices of a row ascend strictly and lie below
/// `features`. I3: values are finite, labels are -1 or +1.
#[derive(Clone, Debug, PartialEq)]
pub struct SparseData {
    offsets: Vec<usize>,
    indices: Vec<u32>,
    values: Vec<f32>,
    labels: Vec<f32>,
    features: u64,
}

/// One row of [`SparseData`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SparseRow<'a> {
    /// The features that are not zero, ascending, from 0.
    pub indices: &'a [u32],
    /// Their values.
    pub values: &'a [f32],
    /// -1 or +1.
    pub label: f32,
}

impl SparseData {
    /// Reads a LIBSVM file: `label index:value index:value ...`, one row a line, indices from 1.
    ///
    /// Plain or gzip, told apart by the first bytes. Labels are -1, 0 (meaning -1) or +1, in any
    /// notation that a number has; text after `#` and blank lines are skipped. Feature i of the
    /// file is index i - 1 here, and `features` is the largest that occurs.
    ///
    /// # Errors
    /// `Text` for a label or number that does not parse or is not finite, an index of 0 and
    /// indices that do not ascend; `Empty`, `Gzip`, `Io`.
    pub fn open_libsvm(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::load(Source::open(path.as_ref())?)
    }

    /// As [`open_libsvm`](Self::open_libsvm), from any reader; `name` stands in errors.
    ///
    /// ```
    /// use archipelago_workloads::data::SparseData;
    /// let data = SparseData::read_libsvm("inline", &b"+1 1:0.5 7:2\n-1 3:1\n"[..])?;
    /// assert_eq!((data.rows(), data.features()), (2, 7));
    /// assert_eq!(data.row(0).indices, [0, 6]);
    /// # Ok::<(), archipelago_workloads::data::DataError>(())
    /// ```
    ///
    /// # Errors
    /// As there.
    pub fn read_libsvm(name: &str, reader: impl Read) -> Result<Self, DataError> {
        Self::load(Source::new(name, reader)?)
    }

    fn load(mut source: Source<'_>) -> Result<Self, DataError> {
        let mut data = Self {
            offsets: vec![0],
            indices: Vec::new(),
            values: Vec::new(),
            labels: Vec::new(),
            features: 0,
        };
        let mut line = Vec::new();
        while source.next_line(&mut line)? {
            data.add_line(&source, &line)?;
        }
        if data.labels.is_empty() {
            return Err(DataError::empty(source.name()));
        }
        data.features = data.indices.iter().map(|&i| u64::from(i) + 1).max().unwrap_or(0);
        Ok(data)
    }

    fn add_line(&mut self, source: &Source<'_>, line: &[u8]) -> Result<(), DataError> {
        let mut tokens = Tokens { line, at: 0 };
        let Some((column, token)) = tokens.next() else {
            return Ok(());
        };
        let label = match finite(token) {
            Some(1.0) => 1.0,
            Some(-1.0 | 0.0) => -1.0,
            _ => return Err(source.text(column, "a label: -1, 0 or +1", token)),
        };
        let mut last = None;
        for (column, token) in tokens {
            let index = self.add_pair(source, column, token)?;
            if last.is_some_and(|last| last >= index) {
                let expected = format!("indices in ascending order, above {}", last.unwrap_or(0));
                return Err(source.text(column, expected, token));
            }
            last = Some(index);
        }
        self.labels.push(label);
        self.offsets.push(self.indices.len());
        Ok(())
    }

    /// Adds `index:value` and returns the index as written.
    fn add_pair(
        &mut self,
        source: &Source<'_>,
        column: u64,
        token: &[u8],
    ) -> Result<u32, DataError> {
        let Some(colon) = token.iter().position(|&byte| byte == b':') else {
            return Err(source.text(column, "index:value", token));
        };
        let (index, value) = (&token[..colon], &token[colon + 1..]);
        let parsed = std::str::from_utf8(index).ok().and_then(|text| text.parse::<u32>().ok());
        let Some(index) = parsed.filter(|&index| index > 0) else {
            return Err(source.text(column, "an index from 1 to 4294967295", index));
        };
        let Some(value) = finite(value) else {
            return Err(source.text(column + colon as u64 + 1, "a finite number", value));
        };
        self.indices.push(index - 1);
        self.values.push(value);
        Ok(index)
    }

    /// Sets how many features there are, when the file does not name the largest: a test split
    /// has to have as many as its train split.
    ///
    /// # Errors
    /// `Shape` when a row names a feature beyond.
    pub fn with_features(mut self, features: u64) -> Result<Self, DataError> {
        let used = self.indices.iter().map(|&i| u64::from(i) + 1).max().unwrap_or(0);
        if features < used {
            return Err(DataError::Shape {
                what: "features",
                expected: format!("at least {used}, the largest that occurs"),
                found: features.to_string(),
            });
        }
        self.features = features;
        Ok(self)
    }

    /// How many features there are; every index lies below.
    pub fn features(&self) -> u64 {
        self.features
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// How many values that are written in the file, over all rows.
    pub fn nonzeros(&self) -> usize {
        self.values.len()
    }

    /// The labels, -1 or +1.
    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    /// One row.
    ///
    /// # Panics
    /// When there are not that many rows.
    pub fn row(&self, row: usize) -> SparseRow<'_> {
        let span = self.offsets[row]..self.offsets[row + 1];
        SparseRow {
            indices: &self.indices[span.clone()],
            values: &self.values[span],
            label: self.labels[row],
        }
    }
}

impl Examples for SparseData {
    fn rows(&self) -> usize {
        self.labels.len()
    }

    fn kind(&self, row: usize) -> u32 {
        u32::from(self.labels[row] > 0.0)
    }
}

/// The words of a line with their columns, up to a comment.
struct Tokens<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (u64, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let blank = |byte: &u8| *byte == b' ' || *byte == b'\t';
        let rest = &self.line[self.at..];
        let start = self.at + rest.iter().position(|byte| !blank(byte))?;
        if self.line[start] == b'#' {
            return None;
        }
        let word = &self.line[start..];
        let len = word.iter().position(blank).unwrap_or(word.len());
        self.at = start + len;
        Some((start as u64 + 1, &word[..len]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str) -> Result<SparseData, String> {
        SparseData::read_libsvm("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn good_lines_become_rows() {
        let data = read("# head\n+1 1:0.5\t7:-2e1 # tail\r\n\n0\n1 3:1").unwrap();
        assert_eq!(data.labels(), [1.0, -1.0, 1.0]);
        assert_eq!((data.features(), data.nonzeros()), (7, 3));
        assert_eq!(data.row(0).values, [0.5, -20.0]);
        assert!(data.row(1).indices.is_empty());
        assert!(data.clone().with_features(6).is_err());
        assert_eq!(data.with_features(9).unwrap().features(), 9);
    }

    #[test]
    fn labels_may_be_written_with_a_point() {
        let data = read("1.0 1:1\n-1.0 1:1\n0.0 1:1\n+1e0 1:1\n").unwrap();
        assert_eq!(data.labels(), [1.0, -1.0, -1.0, 1.0]);
        for label in ["0.5", "2.0", "nan", "1:1"] {
            assert!(read(&format!("{label} 1:1")).unwrap_err().contains("a label"), "{label}");
        }
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        for (text, message) in [
            ("", "f: expected at least one row, found none"),
            ("+1 1:1\n+2 1:1", r#"f:2:1: expected a label: -1, 0 or +1, found "+2""#),
            ("+1 0:1", r#"f:1:4: expected an index from 1 to 4294967295, found "0""#),
            ("+1 x:1", r#"f:1:4: expected an index from 1 to 4294967295, found "x""#),
            (
                "+1 4294967296:1",
                "f:1:4: expected an index from 1 to 4294967295, found \"4294967296\"",
            ),
            ("+1 2:1 2:1", r#"f:1:8: expected indices in ascending order, above 2, found "2:1""#),
            ("+1 3:1 2:1", r#"f:1:8: expected indices in ascending order, above 3, found "2:1""#),
            ("+1 3:nan", r#"f:1:6: expected a finite number, found "nan""#),
            ("+1 3:1e40", r#"f:1:6: expected a finite number, found "1e40""#),
            ("+1 3:", "f:1:6: expected a finite number, found nothing"),
            ("+1 qid7", r#"f:1:4: expected index:value, found "qid7""#),
        ] {
            assert_eq!(read(text).unwrap_err(), message, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_what_loads_is_sound(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "([+-]?1( [0-9]{1,2}:[0-9.e-]{1,4}){0,4}[ #]?\n){0,6}".prop_map(String::into_bytes),
            ],
        ) {
            if let Ok(data) = SparseData::read_libsvm("f", &bytes[..]) {
                for row in (0..data.rows()).map(|row| data.row(row)) {
                    prop_assert!(row.indices.array_windows().all(|[a, b]| a < b));
                    prop_assert!(row.indices.iter().all(|&i| u64::from(i) < data.features()));
                    prop_assert!(row.values.iter().all(|value| value.is_finite()));
                }
            }
        }
    }
}
