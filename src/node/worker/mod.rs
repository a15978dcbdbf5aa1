//! What a training function sees of the store: the trait [`Worker`].
//!
//! A portable workload is one `async fn train<W: Worker>(me: &W, ..)`. No executor is assumed:
//! the simulator polls it in virtual time, [`Blocking`] drives it on a plain thread, an async
//! program awaits it.

mod blocking;
mod deadline;
mod line;
mod node;
mod prefetch;
mod remote;
mod session;
mod target;
mod tensor_map;

use std::future::Future;

pub use blocking::{Blocking, Park};
pub use line::Line;
pub use node::{Waited, WorkerNode, WorkerOptions};
pub use prefetch::{Prefetch, prefetch};
pub use remote::{Notify, RemoteWorker};
pub use session::Session;
pub use target::{ChunkPlace, Target};
pub use tensor_map::{Named, TensorMap};

use crate::error::{AccessError, Error, Result, WaitError};
use crate::id::{Origin, Sequence, TableId, Tick};
use crate::key::{Key, KeyList, Selection};
use crate::limits;
use crate::spec::{AckLevel, Table};
use crate::time::Duration;
use crate::vector::Element;
use crate::wire::Header;

/// What a pull reflects, in ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Every member's pushes of ticks up to this one are in all values returned.
    pub oldest: Tick,
    /// No push of a later tick is in any value returned.
    pub newest: Tick,
}

impl Seen {
    /// What a pull of no rows at `tick` reflects: all of nothing, so nothing is missing.
    #[must_use]
    pub fn nothing(tick: Tick) -> Self {
        Self { oldest: tick.back(1), newest: tick.back(1) }
    }

    /// What both parts of one pull reflect together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self { oldest: self.oldest.min(other.oldest), newest: self.newest.max(other.newest) }
    }
}

impl Seen {
    /// This and what earlier parts of the same pull reflect, together.
    #[must_use]
    pub(crate) fn joined(self, before: Option<Self>) -> Self {
        before.map_or(self, |before| before.merge(self))
    }
}

/// The receipt of one push: which requests carried it. Plain data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Who pushed.
    pub origin: Origin,
    /// To which table.
    pub table: TableId,
    /// The iteration of the push, or of its last chunk when the worker ticked meanwhile.
    pub tick: Tick,
    /// The first of its chunks.
    pub first: Sequence,
    /// The last of its chunks; the one before `first` when the push named no rows.
    pub last: Sequence,
}

impl Stamp {
    /// The receipt once one more chunk has begun.
    #[inline]
    pub(crate) fn with(before: Option<Self>, table: TableId, header: &Header) -> Self {
        let Header { origin, sequence, tick, .. } = *header;
        let first = before.map_or(sequence, |before| before.first);
        Self { origin, table, tick, first, last: sequence }
    }
}

/// Options of a push.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PushOptions<'a> {
    /// The weight of this tick's contribution to the table, > 0 and finite: the number of
    /// examples, usually. 1 when `None`. All pushes of one tick to one table must agree.
    pub weight: Option<f64>,
    /// Pushes of this worker that must be answered before this one is sent: the
    /// execute-after-finished edges of the paper (OSDI'14 section 3.4).
    pub after: &'a [Stamp],
}

/// Rows found by a walk over a range of a sparse table, in key order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows<T> {
    /// The keys that exist in the range.
    pub keys: KeyList,
    /// Their values, `width` elements each.
    pub values: Vec<T>,
}

impl<T> Rows<T> {
    /// What a walk has found, part by part.
    pub(crate) fn found(
        keys: Vec<Key>,
        values: Vec<T>,
        seen: Option<Seen>,
    ) -> Result<(Self, Seen)> {
        let keys = KeyList::new(bytemuck::allocation::cast_vec(keys))?;
        Ok((Self { keys, values }, seen.ok_or(AccessError::EmptyRange)?))
    }
}

/// One member of a group: pushes, pulls and ticks. All drivers implement it.
///
/// Slices hold whole rows: `rows x width` elements. A push is cut into chunks, one per block or
/// frame; its shape and keys are checked whole before anything is sent, finiteness chunk by
/// chunk where it is applied. Errors of a push surface at `wait`, `tick` or `finish`.
pub trait Worker: Send + Sync {
    /// This worker's identity in its group.
    fn origin(&self) -> Origin;

    /// How many workers the group has.
    fn group_size(&self) -> u32;

    /// The iteration that the next push and pull belong to.
    fn current_tick(&self) -> Tick;

    /// Reads rows into `out` (rows x width elements) at the current tick.
    fn pull<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        out: &'a mut [T],
    ) -> impl Future<Output = Result<Seen>> + Send;

    /// Reads the rows that exist in a range of a sparse table.
    fn pull_rows<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
    ) -> impl Future<Output = Result<(Rows<T>, Seen)>> + Send;

    /// Contributes to rows; returns once the chunks are in the send window.
    fn push<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
    ) -> impl Future<Output = Result<Stamp>> + Send {
        self.push_with(table, rows, values, PushOptions::default())
    }

    /// As [`push`](Self::push), with a weight and edges.
    fn push_with<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        options: PushOptions<'a>,
    ) -> impl Future<Output = Result<Stamp>> + Send;

    /// Push, tick, and pull of the same rows at the next tick, without waiting in between.
    fn exchange<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        out: &'a mut [T],
    ) -> impl Future<Output = Result<Seen>> + Send {
        let rows = rows.into();
        async move {
            self.push(table, rows, values).await?;
            self.tick().await?;
            self.pull(table, rows, out).await
        }
    }

    /// Waits until a push has reached a level. Waiting before `tick` for a level that only the
    /// round's close brings is an error.
    fn wait(&self, stamp: Stamp, level: AckLevel) -> impl Future<Output = Result<()>> + Send;

    /// Ends the iteration: after it, pushes and pulls belong to the next one, which it returns.
    fn tick(&self) -> impl Future<Output = Result<Tick>> + Send;

    /// Leaves the group once everything sent is answered; ticks first if something was pushed
    /// since the last tick. Idempotent.
    fn finish(&self) -> impl Future<Output = Result<()>> + Send;

    /// Costs `cost` of virtual time in the simulator and nothing elsewhere.
    fn compute(&self, cost: Duration) -> impl Future<Output = ()> + Send;
}

/// Checks a weight.
///
/// # Errors
/// `Weight` when it is not finite, not > 0, or so small or large that an f32 divided by it is not.
pub fn check_weight(table: &Table, tick: Tick, weight: f64) -> Result<f64, AccessError> {
    if limits::allows_weight(weight) {
        return Ok(weight);
    }
    let problem = "must lie between 1e-30 and 1e30";
    Err(AccessError::Weight { table: table.name().into(), tick, found: weight, problem })
}

/// A deadline between two chunks of a push: which rows are left.
pub(crate) fn interrupted(error: Error, first: Key) -> Error {
    match error {
        Error::Wait(WaitError::Deadline { reason, waited }) => {
            WaitError::Interrupted { reason, waited, first: first.0 }.into()
        },
        other => other,
    }
}

/// Checks that a stamp is this worker's own.
pub(crate) fn check_stamp(stamp: &Stamp, expected: Origin) -> Result<(), AccessError> {
    if stamp.origin == expected {
        return Ok(());
    }
    Err(AccessError::ForeignStamp { expected, found: stamp.origin })
}
