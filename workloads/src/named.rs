//! The rows of a table that a batch names, and where each lies among them.

use archipelago::key::Selection;
use archipelago::{KeyList, Layout, Result};

/// All rows of a dense table, whose keys start at 0, or a list of keys of a sparse one. A list on
/// a dense table would travel in as many pieces as it has runs of consecutive keys.
#[derive(Clone, Debug)]
pub(crate) enum Named {
    All(usize),
    Keys(KeyList),
}

impl Named {
    /// What a batch asks for that names `keys`, in any order, of a table with keys below `rows`.
    pub(crate) fn new(layout: Layout, rows: u64, keys: impl Iterator<Item = u64>) -> Result<Self> {
        if layout == Layout::Dense {
            return Ok(Self::All(rows as usize));
        }
        let mut keys: Vec<u64> = keys.collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(Self::Keys(KeyList::new(keys)?))
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::All(rows) => *rows,
            Self::Keys(keys) => keys.len(),
        }
    }

    pub(crate) fn is_all(&self) -> bool {
        matches!(self, Self::All(_))
    }

    pub(crate) fn selection(&self) -> Selection<'_> {
        match self {
            Self::All(_) => (..).into(),
            Self::Keys(keys) => keys.into(),
        }
    }

    /// Where a key that was named lies.
    pub(crate) fn place(&self, key: u64) -> u32 {
        match self {
            Self::All(_) => key as u32,
            // Found, as it was named.
            Self::Keys(keys) => {
                keys.as_slice().binary_search_by_key(&key, |key| key.0).unwrap_or_default() as u32
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_of_the_selection() {
        let keys = || [7, 2, 9, 2].into_iter();
        let sparse = Named::new(Layout::Sparse, 10, keys()).unwrap();
        assert_eq!((sparse.len(), sparse.place(7), sparse.place(9)), (3, 1, 2));
        let dense = Named::new(Layout::Dense, 10, keys()).unwrap();
        assert_eq!((dense.len(), dense.place(7)), (10, 7));
    }
}
