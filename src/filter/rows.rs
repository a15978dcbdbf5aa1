//! Rows by their keys: what several deltas or contributions of them add up to.

use crate::key::Key;
use crate::vector::Element;
use crate::vector::kernels::add_assign;

/// Adds rows of `width` elements to others, both by strictly ascending keys: rows of keys in both
/// are summed, the others are taken over. Cost: one walk over both, or a copy of what is added
/// where it lies behind.
///
/// ```
/// use archipelago::filter::merge_rows;
/// use archipelago::key::Key;
/// let (mut keys, mut values) = (vec![Key(1), Key(5)], vec![1.0, 2.0]);
/// merge_rows((&mut keys, &mut values), (&[Key(3), Key(5)], &[7.0, 0.5]), 1);
/// assert_eq!((keys, values), (vec![Key(1), Key(3), Key(5)], vec![1.0, 7.0, 2.5]));
/// ```
///
/// # Panics
/// When there are not `width` elements for each key.
pub fn merge_rows<T: Element>(
    (keys, values): (&mut Vec<Key>, &mut Vec<T>),
    (more_keys, more_values): (&[Key], &[T]),
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
