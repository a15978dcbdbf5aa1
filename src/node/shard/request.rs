//! What an engine is asked and what it answers.

use crate::error::WaitReason;
use crate::id::{Sequence, SlotIndex};
use crate::key::{Key, KeyRange};
use crate::node::worker::Seen;
use crate::wire::{Answer, Header, Refusal};

/// The head of a push of one chunk.
#[derive(Clone, Copy, Debug)]
pub struct PushRequest {
    /// Who, which request, at which tick.
    pub header: Header,
    /// The slot that holds the chunk.
    pub slot: SlotIndex,
    /// The origin's previous push to that slot.
    pub previous: Option<Sequence>,
}

/// The body of a push: rows and their contributions, `width` elements each.
#[derive(Clone, Copy, Debug)]
pub enum Chunk<'a, T> {
    /// Rows within one block of a dense table.
    Block {
        /// The rows.
        rows: KeyRange,
        /// Their contributions.
        values: &'a [T],
    },
    /// Rows of one slot of a sparse table.
    Frame {
        /// Their keys, strictly ascending.
        keys: &'a [Key],
        /// Their contributions.
        values: &'a [T],
    },
}

impl<'a, T> Chunk<'a, T> {
    /// The contributions, row after row.
    pub fn values(&self) -> &'a [T] {
        match self {
            Self::Block { values, .. } | Self::Frame { values, .. } => values,
        }
    }
}

/// What became of a push.
#[derive(Clone, Debug, PartialEq)]
pub enum PushOutcome {
    /// Final, and stored in the window.
    Answered(Answer),
    /// Not executed; try again when something has changed. The caller keeps the data.
    Wait(WaitReason),
}

/// The head of a pull of one chunk.
#[derive(Clone, Copy, Debug)]
pub struct PullRequest {
    /// Who, which request, at which tick.
    pub header: Header,
    /// The slot that holds the rows.
    pub slot: SlotIndex,
    /// The origin's last push to that slot: the answer must contain it.
    pub own: Option<Sequence>,
}

/// Which rows a pull reads, and where to.
#[derive(Debug)]
pub enum ReadRows<'a, T> {
    /// Rows within one block of a dense table.
    Block {
        /// The rows.
        rows: KeyRange,
        /// Where their values go.
        out: &'a mut [T],
        /// Bytes of the whole pull that this is a part of: a large one is copied past the caches.
        whole_bytes: usize,
    },
    /// Rows of one slot of a sparse table.
    Keys {
        /// Their keys, strictly ascending.
        keys: &'a [Key],
        /// Where their values go.
        out: &'a mut [T],
    },
    /// The rows that exist in a range of one slot of a sparse table.
    Walk {
        /// The range.
        range: KeyRange,
        /// How many rows at most.
        rows_max: usize,
        /// Keys found are appended here.
        keys: &'a mut Vec<Key>,
        /// Their values are appended here.
        values: &'a mut Vec<T>,
    },
    /// No rows: only the wait.
    Nothing,
}

/// Which rows a pull asks for, before there is a place for their values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowsAsked<'a> {
    /// As in [`ReadRows`].
    Block(KeyRange),
    /// As there.
    Keys(&'a [Key]),
    /// As there.
    Walk,
    /// As there.
    Nothing,
}

impl<'a, T> ReadRows<'a, T> {
    /// The rows without the place for their values.
    pub fn asked(&self) -> RowsAsked<'a> {
        match self {
            Self::Block { rows, .. } => RowsAsked::Block(*rows),
            Self::Keys { keys, .. } => RowsAsked::Keys(keys),
            Self::Walk { .. } => RowsAsked::Walk,
            Self::Nothing => RowsAsked::Nothing,
        }
    }
}

/// What became of a pull.
#[derive(Clone, Debug, PartialEq)]
pub enum PullOutcome {
    /// The values are where they were wanted.
    Served {
        /// What they reflect.
        seen: Seen,
        /// Where a walk continues; `None` at its end.
        next: Option<Key>,
    },
    /// Not yet; try again when something has changed.
    Wait(WaitReason),
    /// The answer was given and taken before; nothing is read.
    Settled,
    /// Never.
    Refused(Refusal),
}
