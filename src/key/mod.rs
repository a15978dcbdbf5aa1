//! Keys and ranges. Knows nothing of values.

mod list;
mod range;
mod range_map;
mod range_set;

pub use list::{KeyList, check_ascending};
pub use range::{Key, KeyRange, Selection};
pub use range_map::RangeMap;
pub use range_set::RangeSet;

#[cfg(test)]
pub(crate) use range_set::tests as range_set_tests;
