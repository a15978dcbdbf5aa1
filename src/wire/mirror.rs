//! What the servers of two data centres tell each other of one table, and how it is written.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use super::field::{Field, Listed, Sink, Source, unknown};
use super::layout::{Choice, choice, choices_as_fields};
use super::{Positions, Refusal, RowsNamed, Trimmed};
use crate::error::FrameError;
use crate::id::{Mark, Sequence, SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::limits;

/// Everything that mirrors of one table say to each other.
#[derive(Clone, Debug, PartialEq)]
pub enum MirrorMessage {
    /// What values of one slot have gained, or the aggregate of a round.
    Update {
        /// The slot that holds every row.
        slot: SlotIndex,
        /// Its number in the line of updates from this sender for this slot, from 1.
        sequence: Sequence,
        /// The tick that it is of; where several were added together, the first.
        tick: Tick,
        /// With it, everything up to this mark has been told.
        mark: Option<Mark>,
        /// What.
        delta: Delta,
    },
    /// All updates of the slot up to this one have arrived, or why they are not taken.
    Confirm {
        /// The slot.
        slot: SlotIndex,
        /// The last update.
        sequence: Sequence,
        /// Whether it is taken.
        result: Result<(), Refusal>,
    },
    /// The sender's mirror clock. It counts for a slot once its mark has come there (law 8).
    Clock {
        /// The clock before; `None` when this one names all slots that ever had a mark.
        previous: Option<Tick>,
        /// The tick that has ended at the sender.
        tick: Tick,
        /// The weight of the round's contributions; `None` without any.
        weight: Option<f64>,
        /// Whether it is the last one: its group has ended and everything has been told.
        ended: bool,
        /// The last mark of each slot that has a new one since the clock before.
        marks: Vec<(SlotIndex, Mark)>,
    },
    /// What the sender knows of the table, before it says anything else on a connection.
    Open {
        /// The hash of spec and policies, which have to be the same.
        terms_hash: u128,
    },
    /// Readers of these keys have to wait until the mark has come.
    Barrier {
        /// The slot.
        slot: SlotIndex,
        /// The mark.
        mark: Mark,
        /// The keys: ranges that ascend and are apart.
        ranges: Vec<KeyRange>,
    },
    /// At the end: what the unit's values are where they count.
    Digest {
        /// The slot.
        slot: SlotIndex,
        /// The first key of the block, or of the slot of a sparse table.
        unit: Key,
        /// Over keys and values.
        digest: u128,
    },
    /// At the end: the unit's values have this digest, too.
    Same {
        /// The slot.
        slot: SlotIndex,
        /// As in `Digest`.
        unit: Key,
        /// Which.
        digest: u128,
    },
    /// At the end: the unit's values differ; send them.
    Differs {
        /// The slot.
        slot: SlotIndex,
        /// As in `Digest`.
        unit: Key,
    },
    /// At the end: these are the values of a unit that was asked for, in pieces.
    Assign {
        /// The slot.
        slot: SlotIndex,
        /// Which piece, from 0.
        piece: u32,
        /// Whether it is the last one.
        last: bool,
        /// The rows, all elements of each.
        delta: Delta,
    },
    /// At the end: so many pieces of `Assign` have come on this connection, taken or not.
    Arrived {
        /// The slot.
        slot: SlotIndex,
        /// How many, of all its units.
        pieces: u64,
    },
}

/// Elements of rows: all of them, or those at `positions`.
#[derive(Clone, Debug, PartialEq)]
pub struct Delta {
    /// The rows.
    pub rows: RowsNamed,
    /// Which of their elements, counted row after row; `None` for all.
    pub positions: Option<Positions>,
    /// The elements.
    pub values: Trimmed,
}

impl MirrorMessage {
    /// Whether it answers what the receiver has told, and so is of the receiver's line.
    pub fn is_answer(&self) -> bool {
        match self {
            Self::Confirm { .. }
            | Self::Same { .. }
            | Self::Differs { .. }
            | Self::Arrived { .. } => true,
            Self::Update { .. }
            | Self::Clock { .. }
            | Self::Open { .. }
            | Self::Barrier { .. }
            | Self::Digest { .. }
            | Self::Assign { .. } => false,
        }
    }
}

impl Delta {
    /// About how many bytes it takes on the way, and in memory.
    pub fn bytes(&self) -> usize {
        let keys = if let RowsNamed::Keys(keys) = &self.rows { keys.len() * 2 } else { 16 };
        keys + self.positions.as_ref().map_or(0, |it| it.len() * 2) + self.values.bytes()
    }
}

choice! { MirrorMessage, "kind of mirror message",
    0 => Update { slot, sequence, tick, mark, delta },
    1 => Confirm { slot, sequence, result },
    2 => Clock { previous, tick, weight, ended, marks },
    3 => Open { terms_hash },
    4 => Barrier { slot, mark, ranges },
    5 => Digest { slot, unit, digest },
    6 => Differs { slot, unit },
    7 => Assign { slot, piece, last, delta },
    8 => Same { slot, unit, digest },
    9 => Arrived { slot, pieces },
}

choices_as_fields!(MirrorMessage);

impl Field for Delta {
    fn put(&self, sink: &mut impl Sink) {
        self.rows.put(sink);
        self.positions.put(sink);
        self.values.put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let (rows, positions) = (Field::take(source)?, Field::take(source)?);
        Ok(Self { rows, positions, values: Field::take(source)? })
    }
}

impl Listed for (SlotIndex, Mark) {
    const NAME: &'static str = "marks";
    const BYTES_MIN: usize = 4 + 8;
    const COUNT_MAX: usize = limits::SLOTS_MAX as usize;
}
