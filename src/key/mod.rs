//! Keys and ranges. Knows nothing of values.

mod list;
mod range;

pub use list::{KeyList, check_ascending};
pub use range::{Key, KeyRange, Selection};
