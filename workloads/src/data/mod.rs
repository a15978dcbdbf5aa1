//! Loaders: files into rows, rows into shares and batches.
//!
//! | format | into | function |
//! |---|---|---|
//! | LIBSVM text | [`SparseData`] | [`SparseData::open_libsvm`] |
//! | numeric CSV with a label column | [`DenseData`] | [`DenseData::open_csv`] |
//! | IDX (MNIST) | [`DenseData`] | [`DenseData::open_idx`] |
//! | digits inside the crate | [`DenseData`] | [`digits`] |
//! | ratings, `user,item,rating` or `user::item::rating::time` | [`Ratings`] | [`Ratings::open`] |
//! | UCI `docword` | [`Documents`] | [`Documents::open_docword`] |
//!
//! Files may be gzip; their first bytes tell. No bytes, however malformed, make a loader panic
//! or allocate more than a constant times the bytes it has read; what is wrong is answered with
//! a [`DataError`] that names the place, and [`Format`] guesses what a wrong file may be. Whole
//! data sets are held in memory; nothing is streamed.

mod csv;
mod dense;
mod digits;
mod documents;
mod error;
mod format;
mod idx;
mod ratings;
mod share;
mod source;
mod sparse;

pub use csv::CsvOptions;
pub use dense::{CLASSES_MAX, DenseData};
pub use digits::{DIGITS_TRAIN_ROWS, digits, digits_split};
pub use documents::{Document, Documents, WORDS_MAX};
pub use error::{DataError, Place};
pub use format::Format;
pub use ratings::{RatingFormat, Ratings, UserRatings};
pub use share::{Batches, Cut, Examples, Share};
pub use sparse::{SparseData, SparseRow};
