//! What becomes of a request: answers, and refusals as plain numbers.

use crate::error::{AccessError, Error, FrameError, GroupError, Loss, SpecError};
use crate::id::{GroupId, Incarnation, Origin, ServerId, SlotIndex, TableId, Tick};
use crate::key::Key;
use crate::limits;
use crate::vector::DType;

/// What became of one chunk of a push.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// The contribution and its window entry are held; its round has not closed yet.
    Admitted,
    /// The update rule has run.
    Applied,
    /// The request lies below `settled_below`: it was answered before, nothing was done.
    Settled,
    /// Nothing of the chunk was applied.
    Refused(Refusal),
}

/// Why a server did not do what it was asked. Plain numbers: the asker has the names.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// A pushed element is NaN or infinite, and the table refuses those.
    NonFinite {
        /// The row.
        key: Key,
        /// The element of the row.
        element: u32,
        /// The element's value as f64, its bits.
        bits: u64,
    },
    /// The server has no such table.
    UnknownTable {
        /// The number asked for.
        table: TableId,
    },
    /// The table was dropped.
    Dropped {
        /// The number asked for.
        table: TableId,
    },
    /// The worker's description of the table is not the server's.
    SpecMismatch {
        /// The server's hash.
        expected: u128,
        /// The worker's.
        found: u128,
    },
    /// The elements are not of the table's type.
    DType {
        /// The table's type.
        expected: DType,
        /// The payload's.
        found: DType,
    },
    /// The payload is not rows x width elements.
    Shape {
        /// Rows times width.
        expected: u64,
        /// Elements of the payload.
        found: u64,
    },
    /// A key lies outside the table's domain, or outside the slot or block named.
    OutsideDomain {
        /// The first such key.
        key: Key,
    },
    /// The server does not own the slot.
    NotOwned {
        /// The slot.
        slot: SlotIndex,
    },
    /// Only the keeper binds the group that writes a table.
    NotKeeper {
        /// Whom to ask.
        keeper: ServerId,
    },
    /// The group's record does not know the origin.
    UnknownWorker,
    /// A younger life of the rank has joined.
    StaleWorker {
        /// The incarnation that holds the rank now.
        current: Incarnation,
    },
    /// The worker was declared dead.
    Removed {
        /// Why.
        why: Loss,
    },
    /// The worker has left its group.
    Finished,
    /// Another group writes the table.
    WriterTaken {
        /// The group bound to it.
        writer: GroupId,
    },
    /// The weight is not one finite number > 0 for the table and tick.
    Weight {
        /// The weight sent.
        found: f64,
    },
    /// A tick must follow the worker's last one.
    TickBackwards {
        /// The tick that follows.
        expected: Tick,
        /// The tick sent.
        found: Tick,
    },
    /// All places of the group are taken.
    GroupFull {
        /// Its declared size.
        size: u32,
    },
    /// The server knows no such group.
    UnknownGroup {
        /// The number asked for.
        group: GroupId,
    },
    /// The origin has more than `inflight_max` requests open.
    WindowFull,
    /// The server has reached another of its limits.
    Limit,
    /// Training has ended in this data centre, and its rounds are settled elsewhere without more.
    Ended {
        /// The number asked for.
        table: TableId,
    },
    /// Another group had ticked further before this one began to push to the server, which has told
    /// other data centres that ticks up to there have ended.
    Passed {
        /// The first tick that they were not told of.
        expected: Tick,
        /// The tick sent.
        found: Tick,
    },
}

impl Refusal {
    /// The refusal in the caller's words: the table's name, and whose request it was.
    pub fn into_error(self, table_name: &str, origin: Origin, tick: Tick) -> Error {
        let table = table_name.to_owned();
        match self {
            Self::NonFinite { .. }
            | Self::UnknownTable { .. }
            | Self::Dropped { .. }
            | Self::DType { .. }
            | Self::Shape { .. }
            | Self::OutsideDomain { .. }
            | Self::WriterTaken { .. }
            | Self::Weight { .. }
            | Self::Ended { .. }
            | Self::Passed { .. }
            | Self::Limit => self.into_access_error(table, origin, tick).into(),
            Self::SpecMismatch { expected, found } => SpecError::Mismatch {
                name: table,
                field: "hash of the spec".into(),
                expected: format!("{expected:032x}"),
                found: format!("{found:032x}"),
            }
            .into(),
            Self::NotOwned { slot } => FrameError::NotOwned { slot }.into(),
            Self::NotKeeper { keeper } => SpecError::Field {
                table,
                field: "keeper".into(),
                expected: keeper.to_string(),
                found: "another server".into(),
            }
            .into(),
            Self::WindowFull => SpecError::Limit {
                what: "unanswered requests of one worker".into(),
                limit: limits::INFLIGHT_MAX as u64,
                found: limits::INFLIGHT_MAX as u64 + 1,
            }
            .into(),
            Self::UnknownWorker
            | Self::StaleWorker { .. }
            | Self::Removed { .. }
            | Self::Finished
            | Self::TickBackwards { .. }
            | Self::GroupFull { .. }
            | Self::UnknownGroup { .. } => self.into_group_error(origin).into(),
        }
    }

    fn into_access_error(self, table: String, origin: Origin, tick: Tick) -> AccessError {
        match self {
            Self::NonFinite { key, element, bits } => AccessError::NonFinite {
                table,
                key: key.0,
                element,
                found: words_of(f64::from_bits(bits)).into(),
            },
            Self::DType { expected, found } => {
                AccessError::DType { table, expected: expected.name(), found: found.name() }
            },
            Self::Shape { expected, found } => {
                AccessError::Length { table, rows: "one chunk".into(), expected, found }
            },
            Self::OutsideDomain { key } => AccessError::KeyRefused { table, key: key.0 },
            Self::WriterTaken { writer } => {
                AccessError::WriterTaken { table, writer, group: origin.group }
            },
            Self::Weight { found } => AccessError::Weight {
                table,
                tick,
                found,
                problem: "must be finite, > 0 and the same for all pushes of the tick",
            },
            Self::Limit => AccessError::ServerLimit { table },
            Self::Dropped { .. } => AccessError::Dropped { table },
            Self::Ended { .. } => AccessError::Ended { table },
            Self::Passed { expected, found } => AccessError::Passed { table, expected, found },
            _ => AccessError::UnknownTable { table },
        }
    }

    fn into_group_error(self, worker: Origin) -> GroupError {
        match self {
            Self::StaleWorker { current } => GroupError::StaleWorker { worker, current },
            Self::Removed { why } => GroupError::Removed { worker, why },
            Self::Finished => GroupError::Finished { worker },
            Self::TickBackwards { expected, found } => {
                GroupError::TickBackwards { worker, expected, found }
            },
            Self::GroupFull { size } => GroupError::Full { group: worker.group.to_string(), size },
            Self::UnknownGroup { group } => GroupError::Unknown { group },
            _ => GroupError::UnknownWorker { worker },
        }
    }
}

fn words_of(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "infinity"
    } else {
        "-infinity"
    }
}
