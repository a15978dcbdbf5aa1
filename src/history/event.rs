//! What can happen, as far as a law speaks of it.

use crate::error::{Loss, WaitReason};
use crate::id::{Origin, Rank, Sequence, ServerId, SlotIndex, TableId, Tick};
use crate::key::KeyRange;
use crate::placement::Epoch;
use crate::spec::GroupRecord;

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
        /// The round that it was folded into; `None` when each push is a round.
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
