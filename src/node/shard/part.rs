//! One worker's contributions to one block or slot: rows and their sums so far.

use std::ops::Range;

use crate::filter::merge_rows;
use crate::key::{Key, KeyRange};
use crate::vector::Element;
use crate::vector::kernels::add_assign;

/// What a segment takes beside its values: itself, and what an allocator keeps of a block.
const SEGMENT_BYTES: usize = size_of::<Segment<u8>>() + 32;

/// Contributions to one unit.
#[derive(Clone, Debug)]
pub(super) enum Part<T> {
    /// Dense rows: disjoint segments, ascending.
    Rows(Segments<T>),
    /// Sparse rows: strictly ascending keys and their values.
    Keys(Vec<Key>, Vec<T>),
}

/// Disjoint segments, ascending; `bytes` is what they take.
#[derive(Clone, Debug)]
pub(super) struct Segments<T> {
    held: Vec<Segment<T>>,
    bytes: usize,
}

/// Consecutive rows and their contributions.
#[derive(Clone, Debug)]
pub(super) struct Segment<T> {
    pub(super) rows: KeyRange,
    pub(super) values: Vec<T>,
}

impl<T> Segment<T> {
    fn bytes(&self) -> usize {
        size_of_val(&self.values[..]) + SEGMENT_BYTES
    }
}

impl<T: Element> Part<T> {
    /// Contributions to these rows.
    pub(super) fn of_rows(rows: KeyRange, values: Vec<T>) -> Self {
        let segment = Segment { rows, values };
        Self::Rows(Segments { bytes: segment.bytes(), held: vec![segment] })
    }

    /// The most bytes by which contributions of `value_bytes` to `rows` can make it grow: every
    /// segment that they overlap may cut them once more.
    pub(super) fn growth_max(&self, rows: &KeyRange, value_bytes: usize) -> usize {
        let overlapping = match self {
            Self::Rows(segments) => segments.overlapping(rows).len(),
            Self::Keys(..) => 0,
        };
        value_bytes + (overlapping + 1) * SEGMENT_BYTES
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Rows(segments) => segments.bytes,
            Self::Keys(keys, values) => size_of_val(&keys[..]) + size_of_val(&values[..]),
        }
    }

    /// The segments of a dense part.
    pub(super) fn into_rows(self) -> Option<Vec<Segment<T>>> {
        match self {
            Self::Rows(segments) => Some(segments.held),
            Self::Keys(..) => None,
        }
    }

    /// Adds a later contribution: rows in both are summed, the others are taken over. The first
    /// buffer that is free by that is given back.
    pub(super) fn merge(&mut self, later: Self, width: usize) -> Option<Vec<T>> {
        match (self, later) {
            (Self::Rows(held), Self::Rows(later)) => {
                let mut free = None;
                for segment in later.held {
                    free = free.or(held.merge(segment, width));
                }
                free
            },
            (Self::Keys(keys, values), Self::Keys(more_keys, more_values)) => {
                merge_rows((keys, values), (&more_keys, &more_values), width);
                Some(more_values)
            },
            // One shard holds one layout, and makes all its parts itself.
            (Self::Rows(_), Self::Keys(..)) | (Self::Keys(..), Self::Rows(_)) => None,
        }
    }
}

impl<T: Element> Segments<T> {
    /// The places of the segments that share rows with `rows`.
    fn overlapping(&self, rows: &KeyRange) -> Range<usize> {
        let from = self.held.partition_point(|segment| segment.rows.last() < rows.first());
        let behind = &self.held[from..];
        from..from + behind.partition_point(|segment| segment.rows.first() <= rows.last())
    }

    /// Cost: a search, and the segments that overlap; those behind move up when there are new ones.
    fn merge(&mut self, later: Segment<T>, width: usize) -> Option<Vec<T>> {
        let places = self.overlapping(&later.rows);
        if places.is_empty() {
            self.bytes += later.bytes();
            self.held.insert(places.start, later);
            return None;
        }
        let of = |rows: &KeyRange| {
            let start = later.rows.offset(rows.first()) as usize * width;
            &later.values[start..start + row_count(rows) * width]
        };
        let fresh = |rows: KeyRange| Segment { rows, values: of(&rows).to_vec() };
        let mut merged = Vec::with_capacity(2 * places.len() + 1);
        let mut rest = Some(later.rows);
        for mut segment in self.held.drain(places.clone()) {
            self.bytes -= segment.bytes();
            let open = rest.and_then(|open| Some((open, segment.rows.intersect(&open)?)));
            if let Some((open, both)) = open {
                merged.extend(before(&open, &both).map(fresh));
                let start = segment.rows.offset(both.first()) as usize * width;
                let end = start + row_count(&both) * width;
                add_assign(&mut segment.values[start..end], of(&both));
                rest = after(&open, &both);
            }
            merged.push(segment);
        }
        merged.extend(rest.map(fresh));
        self.bytes += merged.iter().map(Segment::bytes).sum::<usize>();
        self.held.splice(places.start..places.start, merged);
        Some(later.values)
    }
}

/// Rows of a range that lies within one block, so that they fit memory.
pub(super) fn row_count(rows: &KeyRange) -> usize {
    rows.count() as usize
}

fn before(range: &KeyRange, inner: &KeyRange) -> Option<KeyRange> {
    KeyRange::new(range.first(), Key(inner.first().0.checked_sub(1)?))
}

fn after(range: &KeyRange, inner: &KeyRange) -> Option<KeyRange> {
    KeyRange::new(Key(inner.last().0.checked_add(1)?), range.last())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn rows(first: u64, values: &[i64]) -> Part<i64> {
        let rows = KeyRange::from_count(Key(first), values.len() as u64).unwrap();
        Part::of_rows(rows, values.to_vec())
    }

    fn flatten(part: &Part<i64>) -> BTreeMap<u64, i64> {
        match part {
            Part::Rows(segments) => segments
                .held
                .iter()
                .flat_map(|s| {
                    s.values.iter().enumerate().map(|(i, v)| (s.rows.first().0 + i as u64, *v))
                })
                .collect(),
            Part::Keys(keys, values) => {
                keys.iter().map(|k| k.0).zip(values.iter().copied()).collect()
            },
        }
    }

    proptest! {
        #[test]
        fn merging_equals_adding_per_key(
            pushes in prop::collection::vec(
                (0_u64..40, prop::collection::vec(-9_i64..9, 1..20)),
                1..12,
            ),
        ) {
            let mut model = BTreeMap::<u64, i64>::new();
            let mut dense = Part::Rows(Segments { held: Vec::new(), bytes: 0 });
            let mut sparse = Part::Keys(Vec::new(), Vec::new());
            for (first, values) in pushes {
                for (i, value) in values.iter().enumerate() {
                    *model.entry(first + i as u64).or_default() += value;
                }
                let keys = (0..values.len() as u64).map(|i| Key(first + i)).collect();
                sparse.merge(Part::Keys(keys, values.clone()), 1);
                let added = rows(first, &values);
                let range = KeyRange::from_count(Key(first), values.len() as u64).unwrap();
                let most = dense.bytes() + dense.growth_max(&range, values.len() * 8);
                dense.merge(added, 1);
                prop_assert!(dense.bytes() <= most);
            }
            prop_assert_eq!(flatten(&dense), model.clone());
            prop_assert_eq!(flatten(&sparse), model);
            let Part::Rows(Segments { held, bytes }) = &dense else { unreachable!() };
            prop_assert_eq!(*bytes, held.iter().map(Segment::bytes).sum::<usize>());
            prop_assert!(held.array_windows().all(|[a, b]| a.rows.last() < b.rows.first()));
        }
    }
}
