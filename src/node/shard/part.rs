//! One worker's contributions to one block or slot: rows and their sums so far.

use crate::key::{Key, KeyRange};
use crate::vector::Element;
use crate::vector::kernels::add_assign;

/// Contributions to one unit.
#[derive(Debug)]
pub(super) enum Part<T> {
    /// Dense rows: disjoint segments, ascending.
    Rows(Vec<Segment<T>>),
    /// Sparse rows: strictly ascending keys and their values.
    Keys(Vec<Key>, Vec<T>),
}

/// Consecutive rows and their contributions.
#[derive(Debug)]
pub(super) struct Segment<T> {
    pub(super) rows: KeyRange,
    pub(super) values: Vec<T>,
}

impl<T: Element> Part<T> {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Rows(segments) => {
                segments.iter().map(|segment| size_of_val(&segment.values[..])).sum()
            },
            Self::Keys(keys, values) => size_of_val(&keys[..]) + size_of_val(&values[..]),
        }
    }

    /// The segments of a dense part.
    pub(super) fn into_rows(self) -> Option<Vec<Segment<T>>> {
        match self {
            Self::Rows(segments) => Some(segments),
            Self::Keys(..) => None,
        }
    }

    /// Adds a later contribution: rows in both are summed, the others are taken over. The first
    /// buffer that is free by that is given back.
    pub(super) fn merge(&mut self, later: Self, width: usize) -> Option<Vec<T>> {
        match (self, later) {
            (Self::Rows(held), Self::Rows(later)) => {
                let mut free = None;
                for segment in later {
                    free = free.or(merge_segment(held, segment, width));
                }
                free
            },
            (Self::Keys(keys, values), Self::Keys(more_keys, more_values)) => {
                merge_keys(keys, values, &more_keys, &more_values, width);
                Some(more_values)
            },
            // One shard holds one layout, and makes all its parts itself.
            (Self::Rows(_), Self::Keys(..)) | (Self::Keys(..), Self::Rows(_)) => None,
        }
    }
}

/// Cost: a search, and the segments that overlap; those behind move up when there are new ones.
fn merge_segment<T: Element>(
    held: &mut Vec<Segment<T>>,
    later: Segment<T>,
    width: usize,
) -> Option<Vec<T>> {
    let from = held.partition_point(|segment| segment.rows.last() < later.rows.first());
    let overlapping =
        held[from..].partition_point(|segment| segment.rows.first() <= later.rows.last());
    if overlapping == 0 {
        held.insert(from, later);
        return None;
    }
    let of = |rows: &KeyRange| {
        let start = later.rows.offset(rows.first()) as usize * width;
        &later.values[start..start + row_count(rows) * width]
    };
    let mut merged = Vec::with_capacity(2 * overlapping + 1);
    let mut rest = Some(later.rows);
    for mut segment in held.drain(from..from + overlapping) {
        let open = rest.and_then(|open| Some((open, segment.rows.intersect(&open)?)));
        if let Some((open, both)) = open {
            let fresh = before(&open, &both);
            merged.extend(fresh.map(|rows| Segment { rows, values: of(&rows).to_vec() }));
            let start = segment.rows.offset(both.first()) as usize * width;
            add_assign(&mut segment.values[start..start + row_count(&both) * width], of(&both));
            rest = after(&open, &both);
        }
        merged.push(segment);
    }
    merged.extend(rest.map(|rows| Segment { rows, values: of(&rows).to_vec() }));
    held.splice(from..from, merged);
    Some(later.values)
}

fn merge_keys<T: Element>(
    keys: &mut Vec<Key>,
    values: &mut Vec<T>,
    more_keys: &[Key],
    more_values: &[T],
    width: usize,
) {
    if keys.last() < more_keys.first() {
        keys.extend_from_slice(more_keys);
        values.extend_from_slice(more_values);
        return;
    }
    let mut merged_keys = Vec::with_capacity(keys.len() + more_keys.len());
    let mut merged = Vec::with_capacity(values.len() + more_values.len());
    let (mut i, mut j) = (0, 0);
    while i < keys.len() || j < more_keys.len() {
        let here = keys.get(i).copied();
        let there = more_keys.get(j).copied();
        let take_held = there.is_none_or(|key| here.is_some_and(|held| held <= key));
        let take_more = here.is_none_or(|key| there.is_some_and(|more| more <= key));
        let start = merged.len();
        if take_held {
            merged_keys.extend(here);
            merged.extend_from_slice(&values[i * width..(i + 1) * width]);
            i += 1;
        }
        if take_more {
            let row = &more_values[j * width..(j + 1) * width];
            if take_held {
                add_assign(&mut merged[start..], row);
            } else {
                merged_keys.extend(there);
                merged.extend_from_slice(row);
            }
            j += 1;
        }
    }
    *keys = merged_keys;
    *values = merged;
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
        Part::Rows(vec![Segment { rows, values: values.to_vec() }])
    }

    fn flatten(part: &Part<i64>) -> BTreeMap<u64, i64> {
        match part {
            Part::Rows(segments) => segments
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
            let mut dense = Part::Rows(Vec::new());
            let mut sparse = Part::Keys(Vec::new(), Vec::new());
            for (first, values) in pushes {
                for (i, value) in values.iter().enumerate() {
                    *model.entry(first + i as u64).or_default() += value;
                }
                let keys = (0..values.len() as u64).map(|i| Key(first + i)).collect();
                sparse.merge(Part::Keys(keys, values.clone()), 1);
                dense.merge(rows(first, &values), 1);
            }
            prop_assert_eq!(flatten(&dense), model.clone());
            prop_assert_eq!(flatten(&sparse), model);
            let Part::Rows(segments) = &dense else { unreachable!() };
            prop_assert!(segments.array_windows().all(|[a, b]| a.rows.last() < b.rows.first()));
        }
    }
}
