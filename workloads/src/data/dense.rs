//! Rows with a value for every feature and a class as label.

use super::error::DataError;
use super::share::Examples;

/// The most classes of a data set.
pub const CLASSES_MAX: u32 = 65_536;

/// Labelled dense rows. Every row has `features` finite values and a label below `classes`.
#[derive(Clone, Debug, PartialEq)]
pub struct DenseData {
    features: usize,
    classes: u32,
    values: Vec<f32>,
    labels: Vec<u32>,
}

impl DenseData {
    /// Takes values row by row.
    ///
    /// # Errors
    /// `Shape` when the lengths do not fit, a value is not finite or a label is not below
    /// `classes`.
    pub fn new(
        features: usize,
        classes: u32,
        values: Vec<f32>,
        labels: Vec<u32>,
    ) -> Result<Self, DataError> {
        let shape =
            |what, expected: String, found: String| Err(DataError::Shape { what, expected, found });
        if features == 0 {
            return shape("features", "at least 1".into(), "0".into());
        }
        if features.checked_mul(labels.len()) != Some(values.len()) {
            let expected = format!("{} rows x {features}", labels.len());
            return shape("values", expected, values.len().to_string());
        }
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            return shape("value", "a finite number".into(), value.to_string());
        }
        if classes > CLASSES_MAX {
            return shape("classes", format!("at most {CLASSES_MAX}"), classes.to_string());
        }
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            return shape("label", format!("below {classes}"), label.to_string());
        }
        Ok(Self { features, classes, values, labels })
    }

    /// Values per row.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many classes there are; every label lies below.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// How many rows.
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The labels.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// The values of one row.
    ///
    /// # Panics
    /// When there are not that many rows.
    pub fn row(&self, row: usize) -> &[f32] {
        &self.values[row * self.features..(row + 1) * self.features]
    }

    /// The same rows with room for more classes: a part of a data set may lack the last ones.
    ///
    /// # Errors
    /// `Shape` when a label would not lie below.
    pub fn with_classes(mut self, classes: u32) -> Result<Self, DataError> {
        if classes < self.classes {
            return Err(DataError::Shape {
                what: "classes",
                expected: format!("at least {}", self.classes),
                found: classes.to_string(),
            });
        }
        self.classes = classes;
        Ok(self)
    }

    /// The first `rows` rows and the rest. Both parts keep the classes of the whole.
    ///
    /// # Errors
    /// `Shape` when there are fewer rows.
    pub fn split(mut self, rows: usize) -> Result<(Self, Self), DataError> {
        if rows > self.labels.len() {
            return Err(DataError::Shape {
                what: "rows of the first part",
                expected: format!("at most {}", self.labels.len()),
                found: rows.to_string(),
            });
        }
        let rest = Self {
            features: self.features,
            classes: self.classes,
            values: self.values.split_off(rows * self.features),
            labels: self.labels.split_off(rows),
        };
        Ok((self, rest))
    }
}

impl Examples for DenseData {
    fn rows(&self) -> usize {
        self.labels.len()
    }

    fn kind(&self, row: usize) -> u32 {
        self.labels[row]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_checked_and_split() {
        let data = DenseData::new(2, 3, vec![1.0, 2.0, 3.0, 4.0], vec![2, 0]).unwrap();
        assert_eq!(data.row(1), [3.0, 4.0]);
        assert_eq!(data.clone().with_classes(9).unwrap().classes(), 9);
        assert!(data.clone().with_classes(2).is_err());
        let (first, rest) = data.clone().split(1).unwrap();
        assert_eq!((first.labels(), rest.row(0)), (&[2][..], &[3.0, 4.0][..]));
        assert!(data.split(3).is_err());
        assert!(DenseData::new(0, 3, vec![], vec![]).is_err());
        assert!(DenseData::new(2, 3, vec![1.0; 3], vec![0, 0]).is_err());
        assert!(DenseData::new(1, 3, vec![f32::NAN], vec![0]).is_err());
        assert!(DenseData::new(1, 3, vec![1.0], vec![3]).is_err());
        assert!(DenseData::new(1, CLASSES_MAX + 1, vec![1.0], vec![3]).is_err());
    }
}
