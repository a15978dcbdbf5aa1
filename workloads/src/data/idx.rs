//! IDX: the format of MNIST. A header (type, dimensions, big-endian sizes), then bytes.

use std::io::Read;
use std::path::Path;

use super::dense::DenseData;
use super::error::DataError;
use super::source::Source;

/// The code of unsigned bytes, the only element type read here.
const TYPE_BYTES: u8 = 0x08;
/// The most elements of a file: 16 times those of MNIST's training images.
const ELEMENTS_MAX: u64 = 1 << 30;

impl DenseData {
    /// Reads a file of images (any number of dimensions, the first one counting them) and one of
    /// labels, each plain or gzip. Pixels 0 to 255 become values 0 to 1; the classes are 0 to the
    /// largest label.
    ///
    /// # Errors
    /// `Binary` for a wrong magic number, sizes that disagree with the file's length or with each
    /// other; `Empty`, `Gzip`, `Io`.
    pub fn open_idx(images: impl AsRef<Path>, labels: impl AsRef<Path>) -> Result<Self, DataError> {
        load(Source::open(images.as_ref())?, Source::open(labels.as_ref())?)
    }

    /// As [`open_idx`](Self::open_idx), from any readers; the names stand in errors.
    ///
    /// # Errors
    /// As there.
    pub fn read_idx(
        (images_name, images): (&str, impl Read),
        (labels_name, labels): (&str, impl Read),
    ) -> Result<Self, DataError> {
        load(Source::new(images_name, images)?, Source::new(labels_name, labels)?)
    }
}

fn load(images: Source<'_>, labels: Source<'_>) -> Result<DenseData, DataError> {
    let file = labels.name().to_owned();
    let (image_sizes, pixels) = read(images)?;
    let (label_sizes, labels) = read(labels)?;
    if label_sizes.len() != 1 {
        return Err(DataError::binary(&file, "dimensions", 1, label_sizes.len()));
    }
    if label_sizes.first() != image_sizes.first() {
        let images = image_sizes.first().copied().unwrap_or(0);
        return Err(DataError::binary(&file, "labels", images, labels.len()));
    }
    let values = pixels.iter().map(|&pixel| f32::from(pixel) / 255.0).collect();
    let labels: Vec<u32> = labels.into_iter().map(u32::from).collect();
    let classes = labels.iter().max().map_or(0, |label| label + 1);
    DenseData::new(pixels.len() / labels.len(), classes, values, labels)
}

/// The sizes of all dimensions and the elements, at least one.
fn read(mut source: Source<'_>) -> Result<(Vec<u32>, Vec<u8>), DataError> {
    let file = source.name().to_owned();
    let magic = source.bytes(4)?;
    let &[0, 0, TYPE_BYTES, dimensions @ 1..=u8::MAX] = &magic[..] else {
        let expected = "magic bytes 00 00 08 and a number of dimensions from 1";
        return Err(DataError::binary(&file, "header", expected, format!("{magic:02x?}")));
    };
    let header = source.bytes(4 * u64::from(dimensions))?;
    if header.len() < 4 * usize::from(dimensions) {
        let expected = format!("{dimensions} sizes of 4 bytes");
        return Err(DataError::binary(&file, "header", expected, header.len()));
    }
    let (sizes, _) = header.as_chunks::<4>();
    let sizes: Vec<u32> = sizes.iter().map(|size| u32::from_be_bytes(*size)).collect();
    let product = sizes.iter().try_fold(1_u64, |product, &size| product.checked_mul(size.into()));
    let Some(elements) = product.filter(|&elements| elements <= ELEMENTS_MAX) else {
        let expected = format!("at most {ELEMENTS_MAX} elements");
        return Err(DataError::binary(&file, "sizes", expected, format!("{sizes:?}")));
    };
    if elements == 0 {
        return Err(DataError::empty(&file));
    }
    // One byte more than promised shows a file that is too long.
    let body = source.bytes(elements + 1)?;
    if body.len() as u64 != elements {
        let found =
            if body.len() as u64 > elements { "more".into() } else { body.len().to_string() };
        return Err(DataError::binary(&file, "bytes after the header", elements, found));
    }
    Ok((sizes, body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IMAGES: &[u8] = &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 2, 0, 255, 51, 0];
    const LABELS: &[u8] = &[0, 0, 8, 1, 0, 0, 0, 2, 7, 3];

    fn load(images: &[u8], labels: &[u8]) -> Result<DenseData, String> {
        DenseData::read_idx(("i", images), ("l", labels)).map_err(|error| error.to_string())
    }

    #[test]
    fn images_and_labels_meet() {
        let data = load(IMAGES, LABELS).unwrap();
        assert_eq!((data.row(0), data.row(1)), (&[0.0, 1.0][..], &[0.2, 0.0][..]));
        assert_eq!((data.labels(), data.classes()), (&[7, 3][..], 8));
    }

    #[test]
    fn every_fault_is_named() {
        let huge: &[u8] = &[0, 0, 8, 2, 255, 255, 255, 255, 255, 255, 255, 255, 1];
        let large: &[u8] = &[0, 0, 8, 1, 0x3f, 255, 255, 255, 1];
        for (images, labels, message) in [
            (
                &b"\0\0\x09\x01"[..],
                LABELS,
                "i: header: expected magic bytes 00 00 08 and a number \
                of dimensions from 1, found [00, 00, 09, 01]",
            ),
            (&IMAGES[..9], LABELS, "i: header: expected 3 sizes of 4 bytes, found 5"),
            (
                huge,
                LABELS,
                "i: sizes: expected at most 1073741824 elements, \
                found [4294967295, 4294967295]",
            ),
            (large, LABELS, "i: bytes after the header: expected 1073741823, found 1"),
            (IMAGES, &LABELS[..9], "l: bytes after the header: expected 2, found 1"),
            (IMAGES, &[0, 0, 8, 1, 0, 0, 0, 1, 7], "l: labels: expected 2, found 1"),
            (IMAGES, IMAGES, "l: dimensions: expected 1, found 3"),
            (IMAGES, &[0, 0, 8, 1, 0, 0, 0, 0], "l: expected at least one row, found none"),
            (&[IMAGES, &[0]].concat(), LABELS, "i: bytes after the header: expected 4, found more"),
        ] {
            assert_eq!(load(images, labels).unwrap_err(), message);
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(
            images in proptest::collection::vec(any::<u8>(), 0..40),
            labels in proptest::collection::vec(any::<u8>(), 0..40),
            at in 0..IMAGES.len(),
            byte: u8,
        ) {
            let mut mutated = IMAGES.to_vec();
            mutated[at] = byte;
            let headed = [&[0, 0, 8][..], &images].concat();
            for images in [images, mutated, headed] {
                for labels in [&labels, LABELS] {
                    if let Ok(data) = load(&images, labels) {
                        prop_assert!(data.rows() > 0 && data.features() > 0);
                    }
                }
            }
        }
    }
}
