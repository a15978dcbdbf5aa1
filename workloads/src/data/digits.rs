//! Handwritten digits that ship with the crate, so that a demonstration needs no download.
//!
//! "Optical Recognition of Handwritten Digits" by E. Alpaydin and C. Kaynak, UCI Machine
//! Learning Repository, 1998, CC BY 4.0; 1,797 images of 8 x 8 pixels in the order of
//! scikit-learn's copy.

use super::dense::DenseData;
use super::error::DataError;
use super::source::Source;

/// Rows of the training part; the other 360 are the test part.
pub const DIGITS_TRAIN_ROWS: usize = 1_437;

const NAME: &str = "data/digits.gz";
const PACKED: &[u8] = include_bytes!("../../data/digits.gz");
const ROWS: usize = 1_797;
const FEATURES: usize = 64;
const RECORD_BYTES: usize = 1 + FEATURES;
const CLASSES: u32 = 10;

/// All 1,797 digits: 64 values from 0 to 1 each, classes 0 to 9.
///
/// # Errors
/// None in a sound build of the crate; `Gzip` or `Binary` when its data file was damaged.
pub fn digits() -> Result<DenseData, DataError> {
    let bytes = Source::new(NAME, PACKED)?.bytes((ROWS * RECORD_BYTES + 1) as u64)?;
    if bytes.len() != ROWS * RECORD_BYTES {
        return Err(DataError::binary(NAME, "bytes", ROWS * RECORD_BYTES, bytes.len()));
    }
    let records = bytes.as_chunks::<RECORD_BYTES>().0;
    let pixels = records.iter().flat_map(|record| &record[1..]);
    let values = pixels.map(|&pixel| f32::from(pixel) / 16.0).collect();
    let labels = records.iter().map(|record| u32::from(record[0])).collect();
    DenseData::new(FEATURES, CLASSES, values, labels)
}

/// The first 1,437 digits to train on, the last 360 (other writers) to test with.
///
/// ```
/// let (train, test) = archipelago_workloads::data::digits_split()?;
/// assert_eq!((train.rows(), test.rows(), test.features()), (1437, 360, 64));
/// # Ok::<(), archipelago_workloads::data::DataError>(())
/// ```
///
/// # Errors
/// As [`digits`].
pub fn digits_split() -> Result<(DenseData, DenseData), DataError> {
    digits()?.split(DIGITS_TRAIN_ROWS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_counts_are_those_of_the_source() {
        let data = digits().unwrap();
        let mut counts = [0; 10];
        for &label in data.labels() {
            counts[label as usize] += 1;
        }
        assert_eq!(counts, [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]);
        assert_eq!(data.row(0)[2..6], [5.0, 13.0, 9.0, 1.0].map(|pixel| pixel / 16.0));
        let inside = |row: usize| data.row(row).iter().all(|v| (0.0..=1.0).contains(v));
        assert!((0..data.rows()).all(inside));
        assert!(PACKED.len() < 60_000);
    }
}
