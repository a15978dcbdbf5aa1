//! Numeric CSV with one column of class labels.

use std::io::Read;
use std::path::Path;

use super::dense::{CLASSES_MAX, DenseData};
use super::error::DataError;
use super::source::{Source, finite};

/// How a CSV file is to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    /// Whether the first line names the columns and is skipped. Default: no.
    pub header: bool,
    /// The column that holds the label, from 0; all others are features. Default: 0.
    pub label: usize,
    /// What separates fields. Default: a comma.
    pub separator: u8,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { header: false, label: 0, separator: b',' }
    }
}

impl DenseData {
    /// Reads a CSV file, plain or gzip: every field a finite number, labels whole numbers from 0,
    /// the same number of fields in every line. Quotes are not understood; blank lines are
    /// skipped. The classes are 0 to the largest label.
    ///
    /// # Errors
    /// `Text` for a field that is no such number and a line with too few or too many fields (the
    /// column is the field, from 1); `Empty`, `Gzip`, `Io`.
    pub fn open_csv(path: impl AsRef<Path>, options: CsvOptions) -> Result<Self, DataError> {
        load(Source::open(path.as_ref())?, options)
    }

    /// As [`open_csv`](Self::open_csv), from any reader; `name` stands in errors.
    ///
    /// # Errors
    /// As there.
    pub fn read_csv(name: &str, reader: impl Read, options: CsvOptions) -> Result<Self, DataError> {
        load(Source::new(name, reader)?, options)
    }
}

fn load(mut source: Source<'_>, options: CsvOptions) -> Result<DenseData, DataError> {
    let mut rows = Rows { options, fields: None, values: Vec::new(), labels: Vec::new() };
    let mut line = Vec::new();
    if options.header {
        source.next_line(&mut line)?;
    }
    while source.next_line(&mut line)? {
        if !line.trim_ascii().is_empty() {
            rows.add(&source, &line)?;
        }
    }
    let Some(fields) = rows.fields else {
        return Err(DataError::empty(source.name()));
    };
    let classes = rows.labels.iter().max().map_or(0, |label| label + 1);
    DenseData::new(fields - 1, classes, rows.values, rows.labels)
}

struct Rows {
    options: CsvOptions,
    /// Fields of the first line, which all others must have.
    fields: Option<usize>,
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl Rows {
    fn add(&mut self, source: &Source<'_>, line: &[u8]) -> Result<(), DataError> {
        let mut count = 0;
        for field in line.split(|&byte| byte == self.options.separator) {
            let column = count as u64 + 1;
            let field = field.trim_ascii();
            if self.fields.is_some_and(|fields| count >= fields) {
                let expected = format!("{count} fields, as in the first line");
                return Err(source.fields(&expected, line, self.options.separator, column));
            }
            if count == self.options.label {
                let Some(label) = label(field) else {
                    let expected = format!("a class from 0 to {}", CLASSES_MAX - 1);
                    return Err(source.text(column, expected, field));
                };
                self.labels.push(label);
            } else {
                let Some(value) = finite(field) else {
                    return Err(source.text(column, "a finite number", field));
                };
                self.values.push(value);
            }
            count += 1;
        }
        let least = (self.options.label.saturating_add(1)).max(2);
        if count < self.fields.unwrap_or(least) {
            let expected = match self.fields {
                Some(fields) => format!("{fields} fields, as in the first line"),
                None => format!("{least} fields or more, a class and its features"),
            };
            return Err(source.fields(&expected, line, self.options.separator, count as u64));
        }
        self.fields = Some(count);
        Ok(())
    }
}

/// A class: a whole number, in any notation that a float has.
fn label(field: &[u8]) -> Option<u32> {
    let value = finite(field)?;
    let whole = value >= 0.0 && value < CLASSES_MAX as f32 && value.fract() == 0.0;
    whole.then_some(value as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, header: bool, label: usize) -> Result<DenseData, String> {
        let options = CsvOptions { header, label, ..CsvOptions::default() };
        DenseData::read_csv("f", text.as_bytes(), options).map_err(|error| error.to_string())
    }

    #[test]
    fn good_lines_become_rows() {
        let data = read("a,b,class\n1, 2.5 ,0\r\n\n-1e2,4,3.0\n", true, 2).unwrap();
        assert_eq!((data.features(), data.classes()), (2, 4));
        assert_eq!((data.row(0), data.row(1)), (&[1.0, 2.5][..], &[-100.0, 4.0][..]));
        assert_eq!(data.labels(), [0, 3]);
    }

    #[test]
    fn every_fault_is_named_with_its_place() {
        for (text, message) in [
            ("", "f: expected at least one row, found none"),
            ("0,1\n0,x", r#"f:2:2: expected a finite number, found "x""#),
            ("0,inf", r#"f:1:2: expected a finite number, found "inf""#),
            ("0,1\n-1,1", r#"f:2:1: expected a class from 0 to 65535, found "-1""#),
            ("0,1\n0.5,1", r#"f:2:1: expected a class from 0 to 65535, found "0.5""#),
            ("0,1,2\n0,1", r#"f:2:2: expected 3 fields, as in the first line, found 2 in "0,1""#),
            ("7", r#"f:1:1: expected 2 fields or more, a class and its features, found 1 in "7""#),
            (
                "0,1\n0,1,2,3",
                r#"f:2:3: expected 2 fields, as in the first line, found 4 in "0,1,2,3""#,
            ),
        ] {
            assert_eq!(read(text, false, 0).unwrap_err(), message, "{text:?}");
        }
        assert!(read("0,1", false, usize::MAX).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..100),
                "([0-9](,[0-9.-]{0,3}){0,3}\n){0,5}".prop_map(String::into_bytes),
            ],
            header: bool,
            label in 0_usize..4,
        ) {
            let options = CsvOptions { header, label, ..CsvOptions::default() };
            if let Ok(data) = DenseData::read_csv("f", &bytes[..], options) {
                prop_assert!(data.rows() > 0 && data.features() > 0);
            }
        }
    }
}
