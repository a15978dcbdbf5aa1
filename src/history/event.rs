//! What can happen, as far as a law speaks of it.

use crate::error::{Loss, WaitReason};
use crate::id::{DataCentre, Mark, Origin, Rank, Sequence, ServerId, SlotIndex, TableId, Tick};
use crate::key::KeyRange;
use crate::placement::Epoch;
use crate::spec::GroupRecord;
use crate::time::Instant;

/// One event of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A worker got its place in a group.
    Joined {
        /// Who.
        origin: Origin,
        /// Its first tick.
        start: Tick,
    },
    /// A server obeys this record from now on.
    RecordHeld {
        /// The record.
        record: GroupRecord,
    },
    /// A worker sent a chunk of a push for the first time.
    Pushed {
        /// Who.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// The request.
        sequence: Sequence,
        /// The origin's push before it to the same slot.
        previous: Option<Sequence>,
        /// The tick that it belongs to.
        tick: Tick,
    },
    /// A server admitted or applied a chunk (laws 2 and 4).
    Executed {
        /// Who pushed it.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// The request.
        sequence: Sequence,
        /// The tick that it belongs to.
        tick: Tick,
        /// The round that it belongs to, also when refused; `None` when each push is a round.
        round: Option<Tick>,
    },
    /// A server refused a chunk; nothing of it was applied.
    Refused {
        /// Who pushed it.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The request.
        sequence: Sequence,
    },
    /// A worker ended a tick.
    TickSent {
        /// Who.
        origin: Origin,
        /// The tick.
        tick: Tick,
        /// The last sequence to each slot touched in it.
        touched: Vec<(TableId, SlotIndex, Sequence)>,
    },
    /// A shard counted a worker's tick for a range (law 1).
    TickCounted {
        /// Whose.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The range.
        range: KeyRange,
        /// The tick.
        tick: Tick,
    },
    /// A shard was made while the worker trained: it counts the ticks after this one.
    BeginsBehind {
        /// Whose.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The last tick that its server had heard of.
        tick: Tick,
    },
    /// A shard closed a round (law 4).
    RoundClosed {
        /// The table.
        table: TableId,
        /// Whose shard.
        server: ServerId,
        /// The round.
        round: Tick,
        /// The workers whose contributions were folded, in that order.
        contributors: Vec<Rank>,
    },
    /// A server served one chunk of a pull (law 5).
    Served {
        /// Who pulled.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// The tick of the pull.
        at_tick: Tick,
        /// Every member's pushes of ticks up to this one were in it.
        oldest: Tick,
        /// No push of a later tick was in it.
        newest: Tick,
        /// What the table's policy promises.
        policy: PolicyKind,
        /// The origin's last push to the slot, named by the pull.
        own: Option<Sequence>,
    },
    /// A request began to wait (law 9).
    WaitBegan {
        /// Whose.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// The request.
        sequence: Sequence,
        /// The tick that it belongs to.
        at_tick: Tick,
        /// For what.
        reason: WaitReason,
    },
    /// A request stopped waiting.
    WaitEnded {
        /// Whose.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The request.
        sequence: Sequence,
        /// How.
        outcome: WaitOutcome,
    },
    /// A worker was found lost.
    WorkerLost {
        /// Who.
        origin: Origin,
        /// Why.
        why: Loss,
    },
    /// The size of something that a limit bounds (law 12).
    Held {
        /// What.
        what: &'static str,
        /// How many or how much.
        count: u64,
        /// Its limit.
        limit: u64,
    },
    /// A slot has an owner (law 11).
    Placed {
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// Its keys.
        range: KeyRange,
        /// Who owns it.
        owner: ServerId,
        /// Since which epoch.
        epoch: Epoch,
    },
    /// A shard knows of a change of its table.
    Changed {
        /// The table.
        table: TableId,
        /// The first tick that it holds for.
        from: Tick,
        /// What the policy promises from then on.
        policy: PolicyKind,
    },
    /// A shard has looked through what its values have gained until the end of a tick (law 6).
    PassEnded {
        /// The table.
        table: TableId,
        /// The tick.
        tick: Tick,
        /// The bits of the threshold, an f64.
        threshold: u64,
        /// Elements told.
        told: u64,
        /// Elements kept.
        kept: u64,
        /// Elements kept that score more than the threshold, in blocks and slots that nothing has
        /// changed since the pass began.
        over: u64,
    },
    /// All that a mirrored shard has to tell has been told: training has ended there. Said again
    /// when workers who have joined since have pushed.
    TrainingEnded {
        /// The table.
        table: TableId,
    },
    /// What a mirrored shard of i64 holds, each a sum over all elements times a factor of the
    /// element's own; sums wrap, so that they are exact (law 7).
    Balance {
        /// The table.
        table: TableId,
        /// The last tick that was told; 0 before the first.
        tick: Tick,
        /// Of the values.
        values: u64,
        /// Of what they have gained and was not told.
        residuals: u64,
        /// Of what was taken from others and is not in the values yet.
        stashed: u64,
    },
    /// What values have gained was queued for every other data centre (law 7).
    UpdateQueued {
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// As in `Balance`.
        sum: u64,
    },
    /// An update was sent to a server elsewhere, for the first time or again (laws 7 and 8).
    UpdateTold {
        /// The table.
        table: TableId,
        /// To whom.
        to: ServerId,
        /// For whom: the sender's data centre, or a group by its first one.
        of: DataCentre,
        /// The slot.
        slot: SlotIndex,
        /// Its number.
        sequence: Sequence,
        /// The tick that it is of, or the first one.
        tick: Tick,
        /// Up to which mark everything was told.
        mark: Option<Mark>,
        /// As in `Balance`; of other types the same over their bits.
        sum: u64,
    },
    /// An update was taken, once (laws 7 and 8).
    UpdateTaken {
        /// The table.
        table: TableId,
        /// From whom.
        from: ServerId,
        /// For whom it was told.
        of: DataCentre,
        /// The slot.
        slot: SlotIndex,
        /// Its number.
        sequence: Sequence,
        /// As it was told.
        mark: Option<Mark>,
        /// As it was told.
        sum: u64,
    },
    /// A mirror clock was sent (law 8).
    MirrorClockTold {
        /// The table.
        table: TableId,
        /// To whom.
        to: ServerId,
        /// For whom, as in `UpdateTold`.
        of: DataCentre,
        /// The tick, `u64::MAX` at the end.
        tick: Tick,
        /// The marks that are new since the clock before.
        marks: Vec<(SlotIndex, Mark)>,
    },
    /// A mirror clock counts for a slot (laws 6 and 8).
    MirrorClockCounted {
        /// The table.
        table: TableId,
        /// Whose.
        from: ServerId,
        /// Its data centre.
        data_centre: DataCentre,
        /// The slot.
        slot: SlotIndex,
        /// The tick.
        tick: Tick,
    },
    /// Readers of keys wait from now on (laws 6 and 9).
    BarrierSet {
        /// The table.
        table: TableId,
        /// For whom.
        data_centre: DataCentre,
        /// The slot.
        slot: SlotIndex,
        /// Until this mark has come.
        mark: Mark,
        /// The keys.
        ranges: Vec<KeyRange>,
        /// Or until then.
        until: Instant,
    },
    /// They do not any more.
    BarrierEnded {
        /// The table.
        table: TableId,
        /// For whom they waited.
        data_centre: DataCentre,
        /// The slot.
        slot: SlotIndex,
        /// The mark.
        mark: Mark,
        /// Why.
        why: BarrierEnd,
    },
    /// Nobody waits for a data centre any more: it has been silent for too long, or what it tells
    /// is refused (law 9).
    DataCentreLost {
        /// The table.
        table: TableId,
        /// Which.
        data_centre: DataCentre,
    },
    /// It has caught up, or has a new connection, and counts again.
    DataCentreBack {
        /// The table.
        table: TableId,
        /// Which.
        data_centre: DataCentre,
    },
    /// A tick of copies in step is in the values of a slot (law 4).
    Settled {
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// The tick.
        tick: Tick,
        /// Over all values and state.
        digest: u128,
    },
    /// A read of a mirrored table was served: what it relied on is what counts now (law 6).
    MirrorServed {
        /// Who pulled.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
        /// The tick of the pull.
        at_tick: Tick,
        /// The rows: of a walk all.
        rows: Vec<KeyRange>,
    },
    /// A server has stopped for good: nothing more happens there.
    ServerStopped {
        /// Which.
        server: ServerId,
    },
    /// At the end of training a slot's values were replaced by those of the first data centre.
    Assigned {
        /// The table.
        table: TableId,
        /// The slot.
        slot: SlotIndex,
    },
}

/// Why a barrier has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BarrierEnd {
    /// What it was set for has come.
    Came,
    /// It has lasted for as long as it may.
    Time,
}

/// What a policy promises its readers, as far as a checker can know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum PolicyKind {
    /// Exactly the rounds before the reader's tick.
    Bsp,
    /// Everything up to this many ticks before the last one.
    Ssp(u64),
    /// What is there.
    Eventual,
    /// A user's own.
    Other,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitOutcome {
    /// The request was served.
    Served,
    /// It was refused.
    Refused,
    /// What it waited for can no longer happen.
    OwnerLost,
    /// Whoever waited gave up: at its deadline, or nobody asks any more.
    GivenUp,
}
