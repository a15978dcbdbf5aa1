//! One key, one range of keys, and what a push or pull may name.

use std::fmt;
use std::ops::{Bound, Range, RangeBounds, RangeFrom, RangeFull, RangeInclusive, RangeTo};

use super::KeyList;

/// A key. Every u64 is legal, `u64::MAX` included.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    bytemuck::Pod,
    bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct Key(pub u64);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A range of keys with both ends included, so that it is never empty and can end at `u64::MAX`.
///
/// ```
/// use archipelago::key::{Key, KeyRange};
/// let range = KeyRange::new(Key(3), Key(5)).expect("3 <= 5");
/// assert_eq!(range.count(), 3);
/// assert_eq!(KeyRange::ALL.count(), 1 << 64);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyRange {
    first: Key,
    last: Key,
}

impl KeyRange {
    /// Every key.
    pub const ALL: Self = Self { first: Key(0), last: Key(u64::MAX) };

    /// The keys from `first` to `last`, both included; `None` when there are none.
    pub fn new(first: Key, last: Key) -> Option<Self> {
        (first <= last).then_some(Self { first, last })
    }

    /// The one key.
    pub fn single(key: Key) -> Self {
        Self { first: key, last: key }
    }

    /// The `count` keys from `first`; `None` when `count` is 0 or the end lies past `u64::MAX`.
    pub fn from_count(first: Key, count: u64) -> Option<Self> {
        let last = first.0.checked_add(count.checked_sub(1)?)?;
        Some(Self { first, last: Key(last) })
    }

    /// The first key.
    pub fn first(&self) -> Key {
        self.first
    }

    /// The last key, which belongs to the range.
    pub fn last(&self) -> Key {
        self.last
    }

    /// How many keys: 1 to 2^64.
    pub fn count(&self) -> u128 {
        u128::from(self.last.0 - self.first.0) + 1
    }

    /// Whether the key lies in the range.
    pub fn contains(&self, key: Key) -> bool {
        self.first <= key && key <= self.last
    }

    /// Whether all of `other` lies in the range.
    pub fn covers(&self, other: &Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }

    /// The keys in both.
    pub fn intersect(&self, other: &Self) -> Option<Self> {
        Self::new(self.first.max(other.first), self.last.min(other.last))
    }

    /// How many keys of the range lie before `key`; the index of `key` when it is inside.
    pub fn offset(&self, key: Key) -> u64 {
        key.0.saturating_sub(self.first.0)
    }
}

impl fmt::Display for KeyRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "keys {}..={}", self.first, self.last)
    }
}

/// The rows that a push or pull names: a range, or a list of keys.
///
/// Made from `..`, `a..b`, `a..=b`, `a..`, `..b` over u64, a [`KeyRange`] or a `&`[`KeyList`].
#[derive(Clone, Copy, Debug)]
pub enum Selection<'a> {
    /// The keys between two bounds; an open end means the domain's end.
    Range {
        /// The lower bound.
        from: Bound<u64>,
        /// The upper bound.
        to: Bound<u64>,
    },
    /// These keys.
    Keys(&'a KeyList),
}

impl Selection<'_> {
    /// The range that bounds name within `domain`, `None` when it holds no key. Keys outside the
    /// domain are not cut off: the caller checks with [`KeyRange::covers`].
    pub fn resolve(from: Bound<u64>, to: Bound<u64>, domain: &KeyRange) -> Option<KeyRange> {
        let first = match from {
            Bound::Included(key) => key,
            Bound::Excluded(key) => key.checked_add(1)?,
            Bound::Unbounded => domain.first.0,
        };
        let last = match to {
            Bound::Included(key) => key,
            Bound::Excluded(key) => key.checked_sub(1)?,
            Bound::Unbounded => domain.last.0,
        };
        KeyRange::new(Key(first), Key(last))
    }
}

impl<'a> From<&'a KeyList> for Selection<'a> {
    fn from(keys: &'a KeyList) -> Self {
        Self::Keys(keys)
    }
}

impl From<KeyRange> for Selection<'_> {
    fn from(range: KeyRange) -> Self {
        Self::Range { from: Bound::Included(range.first.0), to: Bound::Included(range.last.0) }
    }
}

macro_rules! selection_from {
    ($($range:ty),*) => {$(
        impl From<$range> for Selection<'_> {
            fn from(range: $range) -> Self {
                Self::Range { from: range.start_bound().cloned(), to: range.end_bound().cloned() }
            }
        }
    )*};
}

selection_from!(Range<u64>, RangeInclusive<u64>, RangeFrom<u64>, RangeTo<u64>);

impl From<RangeFull> for Selection<'_> {
    fn from(_: RangeFull) -> Self {
        Self::Range { from: Bound::Unbounded, to: Bound::Unbounded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(selection: impl Into<Selection<'static>>) -> Option<(u64, u64)> {
        let domain = KeyRange::new(Key(10), Key(u64::MAX)).unwrap();
        let Selection::Range { from, to } = selection.into() else {
            return None;
        };
        Selection::resolve(from, to, &domain).map(|r| (r.first().0, r.last().0))
    }

    #[test]
    fn bounds_resolve_up_to_the_last_key() {
        assert_eq!(resolve(..), Some((10, u64::MAX)));
        assert_eq!(resolve(11..12), Some((11, 11)));
        assert_eq!(resolve(u64::MAX..=u64::MAX), Some((u64::MAX, u64::MAX)));
        assert_eq!(resolve(..0), None);
        assert_eq!(resolve(5..5), None);
    }

    #[test]
    fn intersections() {
        let a = KeyRange::new(Key(0), Key(9)).unwrap();
        let b = KeyRange::from_count(Key(9), 2).unwrap();
        assert_eq!(a.intersect(&b), Some(KeyRange::single(Key(9))));
        assert_eq!(KeyRange::single(Key(1)).intersect(&b), None);
        assert!(KeyRange::ALL.covers(&b) && !a.covers(&b));
        assert_eq!(KeyRange::from_count(Key(u64::MAX), 2), None);
    }
}
