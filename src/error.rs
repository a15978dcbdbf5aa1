//! Errors, typed by operation and sorted by blame. Each names what was expected, what was found
//! and, where it is not plain, what to do.

mod frame;
mod tensor;
mod topology;
mod transport;
mod wait;

use std::borrow::Cow;
use std::fmt;

use crate::id::{GroupId, Incarnation, Origin, Tick};

pub use frame::FrameError;
pub use tensor::TensorError;
pub use topology::TopologyError;
pub use transport::TransportError;
pub use wait::{WaitError, WaitFor, WaitReason};

/// The result of an operation on the store.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything that can go wrong, by operation.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A table, policy or group was described wrongly.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// A push or pull does not fit its table.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A tensor is not what the table holds under its name.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// A worker or group is not what the request assumes.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// A wait ended without its state being reached.
    #[error(transparent)]
    Wait(#[from] WaitError),
    /// Bytes from a peer or a disk do not decode.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// A peer cannot be reached, or is not who it should be.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// Sites and machines of a simulated cluster were described wrongly.
    #[error(transparent)]
    Topology(#[from] TopologyError),
}

/// Who has to change something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The program that called the library.
    Caller,
    /// The process or disk that sent the bytes.
    Peer,
    /// Nobody: time, load or a lost process. A retry is safe.
    Circumstance,
}

impl Error {
    /// Who has to change something.
    pub fn blame(&self) -> Blame {
        match self {
            Self::Spec(_) | Self::Access(_) | Self::Tensor(_) | Self::Topology(_) => Blame::Caller,
            Self::Group(GroupError::Removed { .. }) | Self::Wait(_) => Blame::Circumstance,
            Self::Group(_) => Blame::Caller,
            Self::Frame(_) => Blame::Peer,
            Self::Transport(error) => error.blame(),
        }
    }

    /// Whether the same request may be sent again. By law 2 that never applies anything twice;
    /// it is useful only where circumstances can change.
    pub fn retry_may_help(&self) -> bool {
        self.blame() == Blame::Circumstance
    }
}

/// A table, policy or group was described wrongly. Blame: the caller.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// A field is outside what it may be.
    #[error("table {table:?}: {field} is {found}, expected {expected}")]
    Field {
        /// The table (or group) described.
        table: String,
        /// The field of the description.
        field: Cow<'static, str>,
        /// What it may be.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Two descriptions of one name differ.
    #[error("{name:?} exists with {field} {expected}, found {found}: use the same or another name")]
    Mismatch {
        /// The name of the table or group.
        name: String,
        /// The first field that differs.
        field: Cow<'static, str>,
        /// What exists.
        expected: String,
        /// What was asked for.
        found: String,
    },
    /// No code is registered under the name of an extension.
    #[error(
        "{name:?} needs the {kind} {extension:?}, which is not registered; registered: {known}"
    )]
    UnknownExtension {
        /// The table that needs it.
        name: String,
        /// Update rule or policy.
        kind: Cow<'static, str>,
        /// The missing `name/version`.
        extension: String,
        /// What is registered instead.
        known: String,
    },
    /// Part of the design, but not built yet.
    #[error("{name:?}: {what} is planned, not built yet (README, section Planned)")]
    Planned {
        /// The table or group described.
        name: String,
        /// The missing part.
        what: String,
    },
    /// Somebody may have come to this tick already: a change would not hold for all of it.
    #[error("table {table:?}: changes can begin at {earliest} or later, not at {found}")]
    TooEarly {
        /// The table.
        table: String,
        /// The earliest tick that a change can begin at.
        earliest: Tick,
        /// The tick asked for.
        found: Tick,
    },
    /// Until then nothing else could change the table.
    #[error("table {table:?}: changes can begin at {latest} or earlier, not at {found}")]
    TooLate {
        /// The table.
        table: String,
        /// The last tick that a change can begin at by now.
        latest: Tick,
        /// The tick asked for.
        found: Tick,
    },
    /// A limit of the store is reached.
    #[error("{what} is {found}, the limit is {limit}")]
    Limit {
        /// What is limited.
        what: Cow<'static, str>,
        /// The limit.
        limit: u64,
        /// What was asked for.
        found: u64,
    },
}

/// A push or pull does not fit its table. Blame: the caller. Nothing was applied.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// No table has this name or number here.
    #[error("unknown table {table:?}: create it with ensure_table first")]
    UnknownTable {
        /// The name that was asked for.
        table: String,
    },
    /// The table was dropped, with all its values.
    #[error("table {table:?} was dropped: ensure_table creates an empty one of that name")]
    Dropped {
        /// The table.
        table: String,
    },
    /// All who trained the table in this data centre have left, and rounds between data centres
    /// are settled without more.
    #[error(
        "table {table:?}: training has ended in this data centre, and under the global policy bsp \
         nothing that is pushed later is in any copy: join before the last worker leaves, or start \
         all data centres again"
    )]
    Ended {
        /// The table.
        table: String,
    },
    /// Before this group began to push to a server, another one had ticked further there, and other
    /// data centres, which settle rounds together, were told that these ticks have ended.
    #[error(
        "table {table:?}: a push of {found} comes too late, for before this group pushed to that \
         server another one had ticked on there, and under the global policy bsp other data \
         centres were told that these ticks have ended: push from {expected} on (end those before \
         it without a push), or let groups that only read begin once this one has pushed to every \
         server"
    )]
    Passed {
        /// The table.
        table: String,
        /// The first tick that may be pushed to.
        expected: Tick,
        /// The tick of the push.
        found: Tick,
    },
    /// The slice's element type is not the table's.
    #[error("table {table:?} holds {expected}, the slice holds {found}")]
    DType {
        /// The table.
        table: String,
        /// The table's type.
        expected: &'static str,
        /// The slice's type.
        found: &'static str,
    },
    /// The slice's length is not rows x width.
    #[error("table {table:?}, {rows}: expected {expected} elements (rows x width), found {found}")]
    Length {
        /// The table.
        table: String,
        /// The rows named, in words.
        rows: String,
        /// Rows times width.
        expected: u64,
        /// The slice's length.
        found: u64,
    },
    /// A key lies outside the table's domain.
    #[error("table {table:?}: key {key} is outside the domain {first}..={last}")]
    OutsideDomain {
        /// The table.
        table: String,
        /// The first key outside.
        key: u64,
        /// The domain's first key.
        first: u64,
        /// The domain's last key.
        last: u64,
    },
    /// The server's table does not have this key, though the caller's description does.
    #[error("table {table:?}: the server refused key {key} as outside the table's domain")]
    KeyRefused {
        /// The table.
        table: String,
        /// The first key refused.
        key: u64,
    },
    /// The server has no room for what the request would keep there.
    #[error("table {table:?}: the server has reached a limit; nothing of the request was kept")]
    ServerLimit {
        /// The table.
        table: String,
    },
    /// Keys must be strictly ascending.
    #[error("keys must be strictly ascending: key {key} at index {index} follows {previous}")]
    KeysNotAscending {
        /// Where the order breaks.
        index: usize,
        /// The key before.
        previous: u64,
        /// The key there.
        key: u64,
    },
    /// A range without keys was named.
    #[error("the range is empty")]
    EmptyRange,
    /// The operation needs the other layout.
    #[error("table {table:?} is {found}, {operation} needs a {expected} table")]
    Layout {
        /// The table.
        table: String,
        /// What was tried.
        operation: &'static str,
        /// The layout needed.
        expected: &'static str,
        /// The table's layout.
        found: &'static str,
    },
    /// A pushed element is NaN or infinite, and the table refuses those. Values are looked at where
    /// they are applied, so this may come from the `wait`, `tick` or `finish` after a push that
    /// was `Ok`.
    #[error(
        "table {table:?}, key {key}, element {element}: {found} pushed; its block was refused \
         whole (TablePolicy::allow_non_finite accepts such values)"
    )]
    NonFinite {
        /// The table.
        table: String,
        /// The row.
        key: u64,
        /// The element of the row.
        element: u32,
        /// The value, in words.
        found: String,
    },
    /// Another group writes this table.
    #[error("table {table:?} is written by {writer}; {group} may only read it")]
    WriterTaken {
        /// The table.
        table: String,
        /// The group bound at the table's first push.
        writer: GroupId,
        /// The group that tried to push.
        group: GroupId,
    },
    /// A weight must be one finite number > 0 for a table and tick.
    #[error("table {table:?}, {tick}: weight {found} {problem}")]
    Weight {
        /// The table.
        table: String,
        /// The tick of the push.
        tick: Tick,
        /// The weight given.
        found: f64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Waiting for a level that only the round's close brings, before `tick`, would never end.
    #[error("a push of {tick} is applied when its round closes: call tick before waiting for it")]
    WaitBeforeTick {
        /// The tick of the push.
        tick: Tick,
    },
    /// A stamp names a push that this worker did not make.
    #[error("the stamp belongs to {found}, this worker is {expected}")]
    ForeignStamp {
        /// This worker.
        expected: Origin,
        /// The stamp's origin.
        found: Origin,
    },
    /// A read that was started ahead belongs to the tick at which it was started.
    #[error("a prefetch of {begun} was awaited at {found}: await it before the tick ends")]
    Prefetched {
        /// When it was started.
        begun: Tick,
        /// When it was awaited.
        found: Tick,
    },
}

/// A worker or group is not what the request assumes. Blame: the caller, unless removed.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// All places of the group are taken.
    #[error("group {group:?} is full: {size} of {size} workers have joined")]
    Full {
        /// The group's name.
        group: String,
        /// Its declared size.
        size: u32,
    },
    /// A group needs a table first: the owner of its slot 0 keeps the group's rounds.
    #[error("group {group:?}: create a table before the group")]
    NeedsTable {
        /// The group's name.
        group: String,
    },
    /// The server knows no such group.
    #[error("{group} is unknown here: create it before joining")]
    Unknown {
        /// The group that was asked for.
        group: GroupId,
    },
    /// The group's record does not know this worker.
    #[error("{worker} is not a member: join the group first")]
    UnknownWorker {
        /// Who asked.
        worker: Origin,
    },
    /// The process may create tables and groups, not join them.
    #[error("only workers join groups: show a worker's certificate")]
    NotWorker,
    /// A younger life of this rank has joined.
    #[error("{worker} was replaced by {current}: join again")]
    StaleWorker {
        /// Who asked.
        worker: Origin,
        /// The incarnation that holds the rank now.
        current: Incarnation,
    },
    /// The worker was declared dead.
    #[error("{worker} was removed from its group: {why}; join again")]
    Removed {
        /// Who was removed.
        worker: Origin,
        /// Why.
        why: Loss,
    },
    /// A tick must follow the worker's last one.
    #[error("{worker}: expected {expected}, found {found}")]
    TickBackwards {
        /// Who ticked.
        worker: Origin,
        /// The tick that follows its last one.
        expected: Tick,
        /// The tick sent.
        found: Tick,
    },
    /// The worker has finished and left the group.
    #[error("{worker} has finished")]
    Finished {
        /// Who has left.
        worker: Origin,
    },
}

/// Why a worker was declared dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Its handle was dropped without `finish`.
    Dropped,
    /// Its driver reported the peer down.
    PeerDown,
    /// Nothing was heard of it for `worker_silence_max`.
    Silent,
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dropped => "its handle was dropped without finish",
            Self::PeerDown => "its connection is down",
            Self::Silent => "it was silent for too long",
        })
    }
}
