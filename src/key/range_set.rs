//! A set of keys, held as ranges: what one shard owns. It keeps nothing per key.
//!
//! For the ranges `r1, r2, ..` of a set, in order:
//! - I1 (canonical): `r(i).last + 1 < r(i+1).first`, so they are disjoint, never touch, and two
//!   sets are equal exactly when their ranges are.

use std::ops::Range;

use super::{Key, KeyRange};

/// Keys as sorted, disjoint ranges that never touch.
///
/// A sorted vector: shards have few ranges, which are read far more often than changed.
///
/// ```
/// use archipelago::key::{Key, KeyRange, RangeSet};
/// let range = |first, last| KeyRange::new(Key(first), Key(last)).expect("first <= last");
/// let mut keys = RangeSet::from(range(0, 9));
/// keys.insert(range(10, 19));
/// keys.remove(range(5, 6));
/// assert_eq!(keys.as_slice(), [range(0, 4), range(7, 19)]);
/// assert_eq!(keys.count(), 18);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RangeSet {
    ranges: Vec<KeyRange>,
}

impl RangeSet {
    /// The set without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the keys of `range`. Cost: a binary search, and a move of the ranges after it.
    pub fn insert(&mut self, range: KeyRange) {
        // Saturation is harmless: no range lies past u64::MAX, and none before 0.
        let below = Key(range.first().0.saturating_sub(1));
        let above = Key(range.last().0.saturating_add(1));
        let touching = self.overlapping(below, above);
        let held = &self.ranges[touching.clone()];
        let first = held.first().map_or(range.first(), |r| r.first().min(range.first()));
        let last = held.last().map_or(range.last(), |r| r.last().max(range.last()));
        self.ranges.splice(touching, KeyRange::new(first, last));
    }

    /// Takes the keys of `range` out. Cost: as [`insert`](Self::insert).
    pub fn remove(&mut self, range: KeyRange) {
        let hit = self.overlapping(range.first(), range.last());
        let held = &self.ranges[hit.clone()];
        let left = held.first().and_then(|r| part_below(r, range.first()));
        let right = held.last().and_then(|r| part_above(r, range.last()));
        self.ranges.splice(hit, left.into_iter().chain(right));
    }

    /// Whether the key is in the set. Cost: a binary search.
    pub fn contains(&self, key: Key) -> bool {
        self.covers(&KeyRange::single(key))
    }

    /// Whether every key of `range` is in the set. Cost: a binary search.
    pub fn covers(&self, range: &KeyRange) -> bool {
        // By I1 the keys of one range lie in one range of the set or not all of them do.
        let hit = self.overlapping(range.first(), range.last());
        self.ranges[hit].first().is_some_and(|held| held.covers(range))
    }

    /// The set's keys within `range`, as ranges in order. Cost: a binary search, then the answer.
    pub fn intersect(&self, range: KeyRange) -> impl Iterator<Item = KeyRange> + '_ {
        let hit = self.overlapping(range.first(), range.last());
        self.ranges[hit].iter().filter_map(move |held| held.intersect(&range))
    }

    /// The keys of this set that `other` lacks.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut kept = Vec::new();
        for &range in &self.ranges {
            let mut rest = Some(range);
            for hole in other.intersect(range) {
                kept.extend(rest.and_then(|rest| part_below(&rest, hole.first())));
                rest = rest.and_then(|rest| part_above(&rest, hole.last()));
            }
            kept.extend(rest);
        }
        Self { ranges: kept }
    }

    /// The keys in both sets.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self { ranges: self.iter().flat_map(|range| other.intersect(range)).collect() }
    }

    /// The ranges, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = KeyRange> + ExactSizeIterator + '_ {
        self.ranges.iter().copied()
    }

    /// The ranges, in order, as a slice.
    pub fn as_slice(&self) -> &[KeyRange] {
        &self.ranges
    }

    /// The least range that holds the whole set; `None` when it has no keys.
    pub fn span(&self) -> Option<KeyRange> {
        KeyRange::new(self.ranges.first()?.first(), self.ranges.last()?.last())
    }

    /// How many keys: 0 to 2^64. Cost: linear in the ranges.
    pub fn count(&self) -> u128 {
        self.ranges.iter().map(KeyRange::count).sum()
    }

    /// Whether the set has no keys.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The indices of the ranges that hold a key from `first` to `last`.
    fn overlapping(&self, first: Key, last: Key) -> Range<usize> {
        let from = self.ranges.partition_point(|range| range.last() < first);
        let to = from + self.ranges[from..].partition_point(|range| range.first() <= last);
        from..to
    }
}

impl From<KeyRange> for RangeSet {
    fn from(range: KeyRange) -> Self {
        Self { ranges: vec![range] }
    }
}

impl FromIterator<KeyRange> for RangeSet {
    fn from_iter<I: IntoIterator<Item = KeyRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        set.extend(ranges);
        set
    }
}

impl Extend<KeyRange> for RangeSet {
    fn extend<I: IntoIterator<Item = KeyRange>>(&mut self, ranges: I) {
        ranges.into_iter().for_each(|range| self.insert(range));
    }
}

/// The keys of `range` that lie below `key`.
pub(super) fn part_below(range: &KeyRange, key: Key) -> Option<KeyRange> {
    let last = Key(key.0.checked_sub(1)?);
    KeyRange::new(range.first(), range.last().min(last))
}

/// The keys of `range` that lie above `key`.
pub(super) fn part_above(range: &KeyRange, key: Key) -> Option<KeyRange> {
    let first = Key(key.0.checked_add(1)?);
    KeyRange::new(range.first().max(first), range.last())
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// How many keys at each end of the key space the properties look at.
    const EDGE: u64 = 24;

    /// Keys near 0 and near `u64::MAX`, where the arithmetic can go wrong.
    pub(crate) fn edge_keys() -> impl Iterator<Item = Key> {
        (0..EDGE).chain(u64::MAX - EDGE + 1..=u64::MAX).map(Key)
    }

    fn edge_key() -> impl Strategy<Value = Key> {
        prop_oneof![0..EDGE, u64::MAX - EDGE + 1..=u64::MAX].prop_map(Key)
    }

    /// Ranges with both ends among the edge keys; some reach over the whole middle.
    pub(crate) fn edge_range() -> impl Strategy<Value = KeyRange> {
        let near = (any::<bool>(), 0..EDGE, 0..6_u64).prop_map(|(top, offset, more)| {
            let base = if top { u64::MAX - EDGE + 1 } else { 0 };
            let last = (offset + more).min(EDGE - 1);
            KeyRange::new(Key(base + offset), Key(base + last)).unwrap()
        });
        let any =
            (edge_key(), edge_key()).prop_map(|(a, b)| KeyRange::new(a.min(b), a.max(b)).unwrap());
        prop_oneof![4 => near, 1 => any]
    }

    /// Sets of up to eight such ranges.
    pub(crate) fn edge_set() -> impl Strategy<Value = RangeSet> {
        prop::collection::vec(edge_range(), 0..8).prop_map(RangeSet::from_iter)
    }

    /// The model of a set: the probes that it holds.
    fn model(set: &RangeSet) -> BTreeSet<Key> {
        probes().filter(|&key| set.contains(key)).collect()
    }

    /// The edge keys and one from the middle, which all ranges here hold or lack as a whole.
    pub(crate) fn probes() -> impl Iterator<Item = Key> {
        edge_keys().chain([Key(u64::MAX / 2)])
    }

    fn assert_canonical(set: &RangeSet) {
        for [a, b] in set.as_slice().array_windows() {
            assert!(a.last() < b.first() && a.last().0 + 1 < b.first().0, "{a} touches {b}");
        }
    }

    proptest! {
        #[test]
        fn changes_match_a_set_of_keys(
            steps in prop::collection::vec((any::<bool>(), edge_range()), 1..40),
        ) {
            let (mut set, mut keys) = (RangeSet::new(), BTreeSet::new());
            for (insert, range) in steps {
                let named = probes().filter(|&key| range.contains(key));
                if insert {
                    set.insert(range);
                    keys.extend(named);
                } else {
                    set.remove(range);
                    named.for_each(|key| {
                        keys.remove(&key);
                    });
                }
                assert_canonical(&set);
                prop_assert_eq!(&model(&set), &keys);
                prop_assert_eq!(set.is_empty(), keys.is_empty());
                // All keys but the probed middle one are counted one by one.
                let middle = u128::from(u64::MAX) + 1 - 2 * u128::from(EDGE);
                let count = keys.iter().map(|key| if key.0 == u64::MAX / 2 { middle } else { 1 });
                prop_assert_eq!(set.count(), count.sum::<u128>());
            }
        }

        #[test]
        fn queries_match_a_set_of_keys(a in edge_set(), b in edge_set(), range in edge_range()) {
            let in_range = |key: &Key| range.contains(*key);
            let (keys, others) = (model(&a), model(&b));
            prop_assert_eq!(a.covers(&range), probes().filter(in_range).all(|k| keys.contains(&k)));

            let clipped: RangeSet = a.intersect(range).collect();
            prop_assert_eq!(model(&clipped), keys.iter().copied().filter(in_range).collect());

            let (left, both) = (a.difference(&b), a.intersection(&b));
            assert_canonical(&left);
            assert_canonical(&both);
            prop_assert_eq!(model(&left), keys.difference(&others).copied().collect());
            prop_assert_eq!(model(&both), keys.intersection(&others).copied().collect());
        }
    }

    #[test]
    fn the_whole_key_space_is_one_range() {
        let mut set = RangeSet::from(KeyRange::ALL);
        set.insert(KeyRange::ALL);
        assert_eq!(set.count(), 1 << 64);
        set.remove(KeyRange::single(Key(u64::MAX)));
        assert!(!set.contains(Key(u64::MAX)) && set.contains(Key(u64::MAX - 1)));
        set.insert(KeyRange::single(Key(u64::MAX)));
        assert_eq!(set.as_slice(), [KeyRange::ALL]);
        assert!(RangeSet::from(KeyRange::ALL).difference(&set).is_empty());
    }
}
