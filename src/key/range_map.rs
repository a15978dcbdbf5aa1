//! A map from keys to values that change only from range to range. It keeps nothing per key.
//!
//! For the pieces `(r1, v1), (r2, v2), ..` of a map, in order:
//! - I1 (disjoint): `r(i).last < r(i+1).first`;
//! - I2 (canonical): where `r(i).last + 1 = r(i+1).first`, `v(i) != v(i+1)`. So two maps are equal
//!   exactly when every key has the same value in both, and undoing a change restores the pieces.

use std::collections::BTreeMap;

use super::range_set::{part_above, part_below};
use super::{Key, KeyRange};

/// Disjoint ranges with a value each; neighbours that touch differ in value.
///
/// ```
/// use archipelago::key::{Key, KeyRange, RangeMap};
/// let range = |first, last| KeyRange::new(Key(first), Key(last)).expect("first <= last");
/// let mut owners = RangeMap::new();
/// owners.assign(range(0, 99), 'a');
/// owners.assign(range(40, 59), 'b');
/// assert_eq!(owners.lookup(Key(50)), Some(&'b'));
/// assert_eq!(owners.len(), 3);
/// owners.assign(range(40, 59), 'a');
/// assert_eq!(owners.len(), 1);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeMap<V> {
    /// By the first key of the range.
    pieces: BTreeMap<Key, (KeyRange, V)>,
}

impl<V> Default for RangeMap<V> {
    fn default() -> Self {
        Self { pieces: BTreeMap::new() }
    }
}

impl<V: Clone + PartialEq> RangeMap<V> {
    /// The map without keys.
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives every key of `range` the value. Cost: logarithmic, plus the pieces that vanish.
    pub fn assign(&mut self, range: KeyRange, value: V) {
        self.remove(range);
        let (mut first, mut last) = (range.first(), range.last());
        if let Some(left) = first.0.checked_sub(1).and_then(|key| self.piece(Key(key)))
            && left.1 == value
        {
            first = left.0.first();
        }
        if let Some(right) = last.0.checked_add(1).and_then(|key| self.piece(Key(key)))
            && right.1 == value
        {
            last = right.0.last();
            let key = right.0.first();
            self.pieces.remove(&key);
        }
        // A piece that `range` continues has the same first key and is replaced here.
        let grown = KeyRange::new(first, last);
        self.pieces.extend(grown.map(|grown| (first, (grown, value))));
    }

    /// Takes the keys of `range` out. Cost: as [`assign`](Self::assign).
    pub fn remove(&mut self, range: KeyRange) {
        self.cut_below(range.first());
        if let Some(after) = range.last().0.checked_add(1) {
            self.cut_below(Key(after));
        }
        let named = range.first()..=range.last();
        self.pieces.extract_if(named, |_, _| true).for_each(drop);
    }

    /// The value of a key. Cost: logarithmic.
    pub fn lookup(&self, key: Key) -> Option<&V> {
        self.piece(key).map(|(_, value)| value)
    }

    /// The pieces within `range`, in order, clipped to it. Cost: logarithmic, then the answer.
    pub fn pieces_in(&self, range: &KeyRange) -> impl Iterator<Item = (KeyRange, &V)> {
        let range = *range;
        let before = self.pieces.range(..=range.first()).next_back();
        let from = before.map_or(range.first(), |(first, _)| *first);
        self.pieces
            .range(from..=range.last())
            .filter_map(move |(_, (held, value))| Some((held.intersect(&range)?, value)))
    }

    /// The pieces, in order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (KeyRange, &V)> + ExactSizeIterator {
        self.pieces.values().map(|(range, value)| (*range, value))
    }

    /// How many pieces.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    fn piece(&self, key: Key) -> Option<&(KeyRange, V)> {
        let (_, piece) = self.pieces.range(..=key).next_back()?;
        piece.0.contains(key).then_some(piece)
    }

    /// Sees to it that no piece has keys on both sides of the border below `key`.
    fn cut_below(&mut self, key: Key) {
        let Some((_, (held, value))) = self.pieces.range_mut(..key).next_back() else {
            return;
        };
        let below = part_below(held, key);
        let rest = below.and_then(|below| part_above(held, below.last()));
        if let (Some(below), Some(rest)) = (below, rest) {
            *held = below;
            let value = value.clone();
            self.pieces.insert(rest.first(), (rest, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::range_set::tests::{edge_keys, edge_range};
    use super::*;

    fn assert_canonical(map: &RangeMap<u8>) {
        let pieces: Vec<_> = map.iter().collect();
        for [(a, v), (b, w)] in pieces.array_windows() {
            assert!(a.last() < b.first(), "{a} overlaps {b}");
            assert!(a.last().0 + 1 < b.first().0 || v != w, "{a} and {b} both hold {v}");
        }
    }

    proptest! {
        #[test]
        fn changes_match_a_map_of_keys(
            steps in prop::collection::vec((edge_range(), prop::option::of(0..3_u8)), 1..40),
            window in edge_range(),
        ) {
            let (mut map, mut keys) = (RangeMap::new(), BTreeMap::new());
            for (range, value) in steps {
                match value {
                    Some(value) => map.assign(range, value),
                    None => map.remove(range),
                }
                for key in edge_keys().filter(|&key| range.contains(key)) {
                    match value {
                        Some(value) => keys.insert(key, value),
                        None => keys.remove(&key),
                    };
                }
                assert_canonical(&map);
                for key in edge_keys() {
                    prop_assert_eq!(map.lookup(key), keys.get(&key));
                }
                let pieces: Vec<_> = map.pieces_in(&window).collect();
                prop_assert!(pieces.iter().all(|(range, _)| window.covers(range)));
                for key in edge_keys() {
                    let mut held = pieces.iter().filter(|(range, _)| range.contains(key));
                    let expected = keys.get(&key).filter(|_| window.contains(key));
                    prop_assert_eq!(held.next().map(|(_, value)| *value), expected);
                    prop_assert!(held.next().is_none());
                }
            }
        }
    }

    #[test]
    fn only_equal_neighbours_that_touch_become_one_piece() {
        let range = |first, last| KeyRange::new(Key(first), Key(last)).unwrap();
        let mut map = RangeMap::new();
        map.assign(range(0, 1), 'a');
        map.assign(range(3, 4), 'a');
        assert_eq!(map.len(), 2, "a hole lies between");
        map.assign(range(2, 2), 'b');
        assert_eq!(map.len(), 3, "the values differ");
        map.assign(range(2, 2), 'a');
        assert_eq!(map.iter().collect::<Vec<_>>(), [(range(0, 4), &'a')]);
        map.assign(KeyRange::ALL, 'c');
        assert_eq!(map.iter().collect::<Vec<_>>(), [(KeyRange::ALL, &'c')]);
    }
}
