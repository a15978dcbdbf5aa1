//! The face of a shard that does not depend on its element type.

use std::any::Any;
use std::fmt::Debug;

use super::{MirrorStanding, MirrorStats, RoundTimes, ShardEngine};
use crate::consistency::{LinkView, LocalPolicy};
use crate::error::SpecError;
use crate::history::Event;
use crate::id::{DataCentre, GroupId, Origin, Rank, Sequence, ServerId, SlotIndex, Tick};
use crate::key::RangeSet;
use crate::node::mirror::{Letter, Told, Ways};
use crate::node::registry::Code;
use crate::node::sabotage::Switch;
use crate::spec::{GroupRecord, Table, Terms};
use crate::sync::Arc;
use crate::time::Instant;
use crate::vector::{DType, Element};
use crate::wire::{MirrorMessage, Refusal};

/// Where a shard is: which table's slots, held by whom, and how it is built.
#[derive(Clone, Debug)]
pub struct Place {
    /// The server, or in `embed` the number of the shard.
    pub server: ServerId,
    /// The slots owned.
    pub slots: Vec<SlotIndex>,
    /// Whether events are recorded for a history.
    pub record_history: bool,
    /// Which law is broken on purpose, if any.
    pub switch: Switch,
    /// Where the other copies are; `None` where there is only one.
    pub mirrors: Option<Ways>,
}

/// Whether close steps are left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// One step was done and more wait.
    Working,
    /// Nothing waits.
    Idle,
}

/// What has happened at a shard that a waiting request may wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Anything at all.
    pub any: bool,
    /// The stash has shrunk.
    pub shrunk: bool,
}

/// Whose contributions a shard admits (SPEC law 12.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Bytes that anybody may still stash; `usize::MAX` when the policy does not gather.
    pub bytes: usize,
    /// The worker next in fold order and the open round: always admitted.
    pub next: Option<(Origin, Tick)>,
}

/// Counters of one shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShardStats {
    /// Chunks pushed and executed.
    pub pushes: u64,
    /// Chunks pulled and served.
    pub pulls: u64,
    /// Rounds closed.
    pub rounds: u64,
    /// Requests that had to wait, each once, however often it was looked at.
    pub waits: u64,
    /// Repeated requests that got their stored answer.
    pub repeats: u64,
    /// Chunks refused.
    pub refusals: u64,
    /// Bytes stashed now.
    pub stash_bytes: u64,
    /// The most bytes ever stashed.
    pub stash_bytes_peak: u64,
    /// Bytes of rows, state and index.
    pub memory_bytes: u64,
    /// Ranges that the clock of the writing group holds now.
    pub clock_ranges: u64,
    /// The most outcomes that a window of the writing group holds now.
    pub window_outcomes: u64,
    /// Outcomes that all windows of the writing group hold now.
    pub window_entries: u64,
    /// Rounds with contributions that have not closed.
    pub open_rounds: u64,
}

/// A shard of any element type.
pub trait Shard: Debug + Send {
    /// Obeys a group's record. Members that it removes lose what they pushed after the last tick
    /// that the record names for this shard.
    fn hold_record(&mut self, now: Instant, record: &GroupRecord);

    /// Binds a member's group as the writing one, once.
    ///
    /// # Errors
    /// `WriterTaken` when another group writes the table; an unknown or stale worker.
    fn bind(&mut self, origin: Origin) -> Result<(), Refusal>;

    /// Works by other terms from their first tick on; nobody may have come there yet.
    fn change(&mut self, now: Instant, terms: Terms, policy: Arc<dyn LocalPolicy>);

    /// The group that writes the table, once bound.
    fn writer(&self) -> Option<GroupId>;

    /// Whether pushes of a tick are gathered until their round closes.
    fn gathers(&self, tick: Tick) -> bool;

    /// Whether requests of a group at a tick wait for the policy that begins there or before.
    fn held_back(&self, group: GroupId, tick: Tick) -> bool;

    /// The type of the elements.
    fn dtype(&self) -> DType;

    /// Takes a member's tick; idempotent.
    ///
    /// # Errors
    /// An unknown, stale or removed worker, a bad weight, or a tick too far ahead.
    fn ticked(
        &mut self,
        now: Instant,
        origin: Origin,
        tick: Tick,
        weight: Option<f64>,
        touched: &[(SlotIndex, Sequence)],
    ) -> Result<(), Refusal>;

    /// Forgets the outcomes below a member's lowest unanswered sequence (SPEC law 2.3).
    fn settle(&mut self, origin: Origin, settled_below: Sequence);

    /// Stops counting a member that is being removed. Its last tick counted here, `None` when it
    /// is unknown.
    fn fence(&mut self, origin: Origin) -> Option<Tick>;

    /// Does at most one close step.
    fn poll(&mut self) -> Work;

    /// What has changed since the last call.
    fn take_changes(&mut self) -> Changes;

    /// Whether something has changed since the last call that a waiting request may wait for.
    fn take_changed(&mut self) -> bool {
        self.take_changes().any
    }

    /// Whom the stash has room for.
    fn room(&self) -> Room;

    /// Events recorded since the last call.
    fn take_events(&mut self) -> Vec<Event>;

    /// Counters.
    fn stats(&self) -> ShardStats;

    /// How long rounds took; empty unless the policy gathers.
    fn round_times(&self) -> RoundTimes;

    /// The last round of a group that has closed here; 0 until a policy has gathered.
    fn closed(&self, group: GroupId) -> Tick;

    /// The last round of a group that nobody who joins now may push to: closed, or partly folded.
    fn folded(&self, group: GroupId) -> Tick;

    /// The member of a group whose ticks counted here are furthest behind, with the last of them.
    fn slowest(&self, group: GroupId) -> Option<(Tick, Rank)>;

    /// The last tick counted for any member of a group.
    fn last_tick(&self, group: GroupId) -> Tick;

    /// The keys held.
    fn keys(&self) -> &RangeSet;

    /// A digest of values and state per slot, in slot order, after all close steps. Equal for
    /// equal tables however they are cut into shards.
    fn digests(&mut self) -> Vec<(SlotIndex, u128)>;

    /// Takes what a server of another data centre says of a line; what a confirmation has freed.
    ///
    /// # Errors
    /// What makes no sense, or from somebody who does not own the slot there.
    fn mirror_heard(
        &mut self,
        now: Instant,
        line: (ServerId, DataCentre),
        message: MirrorMessage,
    ) -> Result<Told, Refusal>;

    /// A connection to a server of another data centre is up, for the first time or again.
    fn mirror_connect(&mut self, now: Instant, to: ServerId);

    /// The next thing to send to a server of another data centre; updates and values only while
    /// there is `room`.
    fn mirror_next(&mut self, now: Instant, to: ServerId, room: bool) -> Option<Letter>;

    /// Bytes of updates and values on their way to a server of another data centre.
    fn mirror_sent(&self, to: ServerId) -> usize;

    /// What was measured of the way to a server of another data centre.
    fn mirror_link(&mut self, to: ServerId, view: LinkView);

    /// The way to a server of another data centre and what waits for it; `None` where the shard has
    /// nothing to do with that server.
    fn mirror_view(&self, to: ServerId) -> Option<LinkView>;

    /// Whether neither side has told the other anything that a server in the place of that one
    /// would lack.
    fn mirror_is_new(&self, to: ServerId) -> bool;

    /// Ends waits for other data centres that have lasted too long; when to look again.
    fn mirror_time(&mut self, now: Instant) -> Option<Instant>;

    /// What has crossed to and from other data centres; `None` where nothing does.
    fn mirror_stats(&self) -> Option<MirrorStats>;

    /// How the shard stands to other data centres; `None` where there is nothing to stand to.
    fn mirror_standing(&self) -> Option<MirrorStanding>;

    /// A digest of the values alone per slot, in slot order, after all close steps. Equal for equal
    /// values, whatever state data centres of their own keep beside them.
    fn value_digests(&mut self) -> Vec<(SlotIndex, u128)>;

    /// The engine behind, for [`ShardEngine::of`].
    fn as_any_mut(&mut self) -> &mut dyn Any;
}

/// Makes the shard of a table's slots.
///
/// # Errors
/// The rule wants too many state lanes.
pub fn new_shard(table: &Table, code: &Code, place: Place) -> Result<Box<dyn Shard>, SpecError> {
    match table.spec().dtype {
        DType::F32 => boxed::<f32>(table, code, place),
        DType::F64 => boxed::<f64>(table, code, place),
        DType::I64 => boxed::<i64>(table, code, place),
    }
}

/// The digest of a table from those of its slots, in any order: equal for equal tables, however
/// they are cut into shards.
pub fn digest_of(slots: impl IntoIterator<Item = (SlotIndex, u128)>) -> u128 {
    // Rotation by the slot makes the sum depend on which slot holds what.
    let turned = slots.into_iter().map(|(slot, digest)| digest.rotate_left(slot.0 % 128));
    turned.fold(0, u128::wrapping_add)
}

fn boxed<T: Element>(
    table: &Table,
    code: &Code,
    place: Place,
) -> Result<Box<dyn Shard>, SpecError> {
    Ok(Box::new(ShardEngine::<T>::new(table.clone(), code.clone(), place)?))
}
