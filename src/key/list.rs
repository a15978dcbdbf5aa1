//! Lists of keys, strictly ascending by type.

use std::ops::Deref;

use super::Key;
use crate::error::AccessError;

/// Keys in strictly ascending order, checked once when the list is made.
///
/// ```
/// use archipelago::KeyList;
/// let keys = KeyList::new(vec![2, 3, 5])?;
/// assert_eq!(keys.len(), 3);
/// assert!(KeyList::new(vec![2, 2]).is_err());
/// # Ok::<(), archipelago::error::AccessError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct KeyList {
    keys: Vec<Key>,
}

impl KeyList {
    /// Takes keys that are strictly ascending.
    ///
    /// # Errors
    /// `KeysNotAscending` with the first place where the order breaks.
    pub fn new(keys: Vec<u64>) -> Result<Self, AccessError> {
        let keys = bytemuck::allocation::cast_vec(keys);
        check_ascending(&keys)?;
        Ok(Self { keys })
    }

    /// Sorts the keys and drops repetitions. Cost: one sort.
    pub fn from_unsorted(mut keys: Vec<u64>) -> Self {
        keys.sort_unstable();
        keys.dedup();
        Self { keys: bytemuck::allocation::cast_vec(keys) }
    }

    /// The keys, ascending.
    pub fn as_slice(&self) -> &[Key] {
        &self.keys
    }
}

impl Deref for KeyList {
    type Target = [Key];

    fn deref(&self) -> &[Key] {
        &self.keys
    }
}

/// Checks that keys are strictly ascending.
///
/// # Errors
/// `KeysNotAscending` with the first place where the order breaks.
pub fn check_ascending(keys: &[Key]) -> Result<(), AccessError> {
    // One pass without an early exit vectorises; the place is looked for only when it fails.
    if keys.array_windows().fold(true, |ok, [a, b]| ok & (a < b)) {
        return Ok(());
    }
    let index = keys.array_windows().position(|[a, b]| a >= b).unwrap_or(0);
    Err(AccessError::KeysNotAscending {
        index: index + 1,
        previous: keys[index].0,
        key: keys[index + 1].0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_break_is_named() {
        let error = KeyList::new(vec![1, 4, 4, 3]).unwrap_err();
        assert_eq!(error, AccessError::KeysNotAscending { index: 2, previous: 4, key: 4 });
        assert!(KeyList::new(vec![0, u64::MAX]).is_ok());
        assert_eq!(KeyList::from_unsorted(vec![3, 1, 3]).as_slice(), [Key(1), Key(3)]);
    }
}
