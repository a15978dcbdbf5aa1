//! What a push or pull names, checked whole and cut into chunks.

use crate::error::AccessError;
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange, Selection};
use crate::node::shard::{Chunk, ReadRows};
use crate::placement::SlotGrid;
use crate::spec::{Layout, Table};
use crate::vector::DType;

/// Rows of a table, checked against its spec and the length of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    rows: Named<'a>,
    width: usize,
}

#[derive(Clone, Copy, Debug)]
enum Named<'a> {
    Range(KeyRange),
    /// Keys of a dense table: cut into runs of consecutive keys.
    Runs(&'a [Key]),
    Keys(&'a [Key]),
}

/// One chunk: a unit of travel, identity and atomicity.
#[derive(Clone, Copy, Debug)]
pub struct ChunkPlace<'a> {
    /// The slot that holds it.
    pub slot: SlotIndex,
    /// Elements of the slice that it takes.
    pub elements: usize,
    rows: ChunkRows<'a>,
}

#[derive(Clone, Copy, Debug)]
enum ChunkRows<'a> {
    Block(KeyRange),
    Keys(&'a [Key]),
}

impl<'a> Target<'a> {
    /// Checks rows against a table, and that a slice of `elements` elements of type `dtype` holds
    /// exactly them.
    ///
    /// # Errors
    /// An empty range, keys outside the domain, the wrong element type, layout or length.
    pub fn new(
        table: &Table,
        rows: Selection<'a>,
        elements: usize,
        dtype: DType,
    ) -> Result<Self, AccessError> {
        check_dtype(table, dtype)?;
        let spec = table.spec();
        let rows = match rows {
            Selection::Keys(keys) => {
                check_ends(table, keys)?;
                match spec.layout {
                    Layout::Dense => Named::Runs(keys),
                    Layout::Sparse => Named::Keys(keys),
                }
            },
            Selection::Range { from, to } if spec.layout == Layout::Dense => {
                let range = Selection::resolve(from, to, &spec.domain);
                let range = range.ok_or(AccessError::EmptyRange)?;
                check_range(table, &range)?;
                Named::Range(range)
            },
            Selection::Range { .. } => {
                return Err(AccessError::Layout {
                    table: table.name().into(),
                    operation: "a push or pull of a range",
                    expected: Layout::Dense.name(),
                    found: Layout::Sparse.name(),
                });
            },
        };
        let target = Self { rows, width: spec.width as usize };
        target.check_length(table, elements)?;
        Ok(target)
    }

    /// The range that a walk over a sparse table names.
    ///
    /// # Errors
    /// A dense table, an empty range, keys outside the domain, the wrong element type.
    pub fn walk(table: &Table, rows: Selection<'_>, dtype: DType) -> Result<KeyRange, AccessError> {
        check_dtype(table, dtype)?;
        let spec = table.spec();
        let Selection::Range { from, to } = rows else {
            return Err(AccessError::Layout {
                table: table.name().into(),
                operation: "pull_rows of a list of keys",
                expected: "range of a sparse",
                found: "asked for keys",
            });
        };
        if spec.layout != Layout::Sparse {
            return Err(AccessError::Layout {
                table: table.name().into(),
                operation: "pull_rows",
                expected: Layout::Sparse.name(),
                found: spec.layout.name(),
            });
        }
        let range = Selection::resolve(from, to, &spec.domain).ok_or(AccessError::EmptyRange)?;
        check_range(table, &range)?;
        Ok(range)
    }

    /// The chunks, in order of key. Allocates nothing.
    pub fn chunks(&self, grid: &SlotGrid) -> impl Iterator<Item = ChunkPlace<'a>> {
        let width = self.width;
        let (range, runs, keys) = match self.rows {
            Named::Range(range) => (Some(range), None, None),
            Named::Runs(keys) => (None, Some(keys), None),
            Named::Keys(keys) => (None, None, Some(keys)),
        };
        let block = move |(slot, rows): (SlotIndex, KeyRange)| ChunkPlace {
            slot,
            elements: rows.count() as usize * width,
            rows: ChunkRows::Block(rows),
        };
        let of_range = range.into_iter().flat_map(|range| grid.chunks(range)).map(block);
        let of_runs =
            runs.into_iter().flat_map(consecutive).flat_map(|range| grid.chunks(range)).map(block);
        let of_keys = keys.into_iter().flat_map(move |keys| {
            grid.frames(keys, width as u32).map(move |(slot, range)| ChunkPlace {
                slot,
                elements: range.len() * width,
                rows: ChunkRows::Keys(&keys[range]),
            })
        });
        of_range.chain(of_runs).chain(of_keys)
    }

    fn check_length(&self, table: &Table, elements: usize) -> Result<(), AccessError> {
        let rows = match self.rows {
            Named::Range(range) => range.count(),
            Named::Runs(keys) | Named::Keys(keys) => keys.len() as u128,
        };
        let expected = rows * self.width as u128;
        if expected == elements as u128 {
            return Ok(());
        }
        let named = match self.rows {
            Named::Range(range) => range.to_string(),
            Named::Runs(keys) | Named::Keys(keys) => format!("{} keys", keys.len()),
        };
        Err(AccessError::Length {
            table: table.name().into(),
            rows: named,
            expected: u64::try_from(expected).unwrap_or(u64::MAX),
            found: elements as u64,
        })
    }
}

impl<'a> ChunkPlace<'a> {
    /// The chunk with its contributions.
    pub fn push<'v, T>(&self, values: &'v [T]) -> Chunk<'v, T>
    where
        'a: 'v,
    {
        match self.rows {
            ChunkRows::Block(rows) => Chunk::Block { rows, values },
            ChunkRows::Keys(keys) => Chunk::Frame { keys, values },
        }
    }

    /// The chunk with the place for its values, a part of a pull of `whole_bytes`.
    pub fn read<'v, T>(&self, out: &'v mut [T], whole_bytes: usize) -> ReadRows<'v, T>
    where
        'a: 'v,
    {
        match self.rows {
            ChunkRows::Block(rows) => ReadRows::Block { rows, out, whole_bytes },
            ChunkRows::Keys(keys) => ReadRows::Keys { keys, out },
        }
    }

    /// The first key.
    pub fn first_key(&self) -> Key {
        match self.rows {
            ChunkRows::Block(rows) => rows.first(),
            ChunkRows::Keys(keys) => keys.first().copied().unwrap_or_default(),
        }
    }

    /// The rows, when they are rows of a block.
    pub fn block(&self) -> Option<KeyRange> {
        match self.rows {
            ChunkRows::Block(rows) => Some(rows),
            ChunkRows::Keys(_) => None,
        }
    }

    /// The keys, when they are keys of a frame.
    pub fn keys(&self) -> Option<&'a [Key]> {
        match self.rows {
            ChunkRows::Block(_) => None,
            ChunkRows::Keys(keys) => Some(keys),
        }
    }
}

/// Runs of consecutive keys.
fn consecutive(keys: &[Key]) -> impl Iterator<Item = KeyRange> {
    let runs = keys.chunk_by(|a, b| a.0 + 1 == b.0);
    runs.filter_map(|run| KeyRange::new(*run.first()?, *run.last()?))
}

fn check_dtype(table: &Table, dtype: DType) -> Result<(), AccessError> {
    let expected = table.spec().dtype;
    if expected == dtype {
        return Ok(());
    }
    let (expected, found) = (expected.name(), dtype.name());
    Err(AccessError::DType { table: table.name().into(), expected, found })
}

fn check_range(table: &Table, range: &KeyRange) -> Result<(), AccessError> {
    check_key(table, range.first())?;
    check_key(table, range.last())
}

fn check_ends(table: &Table, keys: &[Key]) -> Result<(), AccessError> {
    for key in keys.first().into_iter().chain(keys.last()) {
        check_key(table, *key)?;
    }
    Ok(())
}

fn check_key(table: &Table, key: Key) -> Result<(), AccessError> {
    let domain = table.spec().domain;
    if domain.contains(key) {
        return Ok(());
    }
    Err(AccessError::OutsideDomain {
        table: table.name().into(),
        key: key.0,
        first: domain.first().0,
        last: domain.last().0,
    })
}
