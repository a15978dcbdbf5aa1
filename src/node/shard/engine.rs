//! One shard's engine: what is asked, in order, and carried out.

mod checks;
mod face;
mod looks;
mod mirroring;
mod reads;
mod rounds;
mod terms;

use std::collections::BTreeMap;

use super::course::Course;
use super::face::{Changes, Place, Shard, ShardStats};
use super::gather::{Gathered, Unit};
use super::mirroring::Mirroring;
use super::part::Part;
use super::progress::{GroupProgress, Progress};
use super::rows::{ShardRows, Update};
use super::times::RoundWatch;
use super::waited::Waited;
use super::{Chunk, PullOutcome, PullRequest, PushOutcome, PushRequest, ReadRows};
use crate::clock::WindowCheck;
use crate::error::{SpecError, WaitFor, WaitReason};
use crate::history::Event;
use crate::id::{Origin, Rank, SlotIndex, Tick};
use crate::key::{Key, RangeSet};
use crate::node::mirror::Stash;
use crate::node::registry::Code;
use crate::node::sabotage::Sabotage;
use crate::node::worker::Seen;
use crate::placement::SlotGrid;
use crate::spec::{Layout, Table};
use crate::sync::Arc;
use crate::time::Instant;
use crate::vector::{ApplyContext, Element, UpdateRule};
use crate::wire::{Answer, Header, Refusal};

/// The engine of one shard with elements of type `T`.
#[derive(Debug)]
pub struct ShardEngine<T> {
    table: Table,
    rule: Arc<dyn UpdateRule>,
    course: Course,
    place: Place,
    grid: SlotGrid,
    rows: ShardRows<T>,
    progress: Progress,
    gathered: Gathered<T>,
    /// The latest tick of any push applied, per slot.
    newest: BTreeMap<SlotIndex, Tick>,
    stats: ShardStats,
    waited: Waited,
    rounds: RoundWatch,
    /// `None` where no other data centre is told anything.
    mirror: Option<Mirroring>,
    events: Vec<Event>,
    /// The largest sizes recorded, by what was sized.
    held_max: BTreeMap<&'static str, usize>,
    changes: Changes,
    /// Somebody was told to wait for a push, or for room in the stash.
    push_awaited: bool,
    room_awaited: bool,
}

impl<T: Element> ShardEngine<T> {
    /// An engine that owns the slots of `place`, with every row at its init.
    ///
    /// # Errors
    /// The table's elements are not of type `T`, or its rule wants too many state lanes.
    pub fn new(table: Table, code: Code, place: Place) -> Result<Self, SpecError> {
        let grid = SlotGrid::new(table.spec());
        let range = |slot: &SlotIndex| Some((*slot, grid.range(*slot)?));
        let slots: Vec<_> = place.slots.iter().filter_map(range).collect();
        let mut keys = RangeSet::new();
        for (_, range) in &slots {
            keys.insert(*range);
        }
        let dense = table.spec().layout == Layout::Dense;
        let rows = slots.iter().filter(|_| dense).map(|(_, range)| range.count()).sum();
        let stash = Stash::new(rows, table.spec().width as usize * T::DTYPE.bytes());
        let ways = place.mirrors.as_ref();
        let mirror =
            ways.and_then(|ways| Mirroring::new(&table, &code, ways, stash, place.record_history));
        let mirrored = mirror.as_ref().is_some_and(Mirroring::keeps_residuals);
        let rows = ShardRows::new(table.spec(), &*code.rule, &slots, mirrored)?;
        let mut engine = Self {
            rows,
            grid,
            progress: Progress::new(keys),
            gathered: Gathered::new(),
            newest: BTreeMap::new(),
            stats: ShardStats::default(),
            waited: Waited::default(),
            rounds: RoundWatch::default(),
            mirror,
            events: Vec::new(),
            held_max: BTreeMap::new(),
            changes: Changes::default(),
            push_awaited: false,
            room_awaited: false,
            course: Course::new(&table, code.policy),
            rule: code.rule,
            table,
            place,
        };
        engine.record_balance();
        Ok(engine)
    }

    /// The engine behind a shard, when its elements are of type `T`.
    pub fn of(shard: &mut dyn Shard) -> Option<&mut Self> {
        shard.as_any_mut().downcast_mut()
    }

    /// Executes one chunk of a push, once (law 2), or says what it has to wait for.
    pub fn push(
        &mut self,
        now: Instant,
        request: &PushRequest,
        chunk: Chunk<'_, T>,
    ) -> PushOutcome {
        match self.try_push(now, request, chunk) {
            Ok(outcome) => outcome,
            Err(refusal) => {
                self.stats.refusals += 1;
                PushOutcome::Answered(Answer::Refused(refusal))
            },
        }
    }

    /// Reads one chunk for a member of a group, or says what it has to wait for.
    pub fn pull(
        &mut self,
        now: Instant,
        request: &PullRequest,
        rows: ReadRows<'_, T>,
    ) -> PullOutcome {
        self.pull_into(now, request, rows.asked(), || rows)
    }

    /// Asks the caches for what a push or pull of these keys of a sparse slot will touch first.
    /// Worth its price when another chunk is carried out in between; never changes an answer.
    pub fn prefetch(&self, slot: SlotIndex, keys: &[Key]) {
        self.rows.prefetch(slot, keys);
    }

    /// Reads one chunk for somebody outside every group: what is there, with closed rounds applied.
    ///
    /// # Errors
    /// Rows that are not held here, or a slice of the wrong length.
    pub fn peek(
        &mut self,
        slot: SlotIndex,
        rows: ReadRows<'_, T>,
    ) -> Result<(Seen, Option<Key>), Refusal> {
        self.check_asked(slot, rows.asked())?;
        self.check_place(&rows)?;
        let range = self.owned(slot)?;
        let oldest = match self.progress.writing().filter(|group| group.formed()) {
            Some(group) if self.gathers_now(group) => group.closed,
            Some(group) => group.slowest_in(&range).map_or(group.last_round(), |(tick, _)| tick),
            None => Tick(0),
        };
        let seen = self.seen(slot, oldest);
        Ok((seen, self.read(slot, rows)))
    }

    fn try_push(
        &mut self,
        now: Instant,
        request: &PushRequest,
        chunk: Chunk<'_, T>,
    ) -> Result<PushOutcome, Refusal> {
        let Header { origin, sequence, settled_below, tick } = request.header;
        // Before the window: a peer may not make it grow by slots that are not here.
        self.owned(request.slot)?;
        let Some(member) = self.progress.member(origin)? else {
            return Ok(self.hold(&request.header, wait(WaitFor::GroupForming, None, tick, now)));
        };
        let forget = self.place.switch.breaks(Sabotage::ForgetOutcomes);
        match member.check_push(sequence, settled_below, request.slot, request.previous) {
            WindowCheck::Fresh if member.window.is_full() => return Err(Refusal::WindowFull),
            WindowCheck::Fresh => {},
            WindowCheck::Answered(_) | WindowCheck::Settled if forget => {},
            WindowCheck::Answered(answer) => {
                self.stats.repeats += 1;
                return Ok(PushOutcome::Answered(answer));
            },
            WindowCheck::Settled => {
                self.stats.repeats += 1;
                return Ok(PushOutcome::Answered(Answer::Settled));
            },
            WindowCheck::Gap => {
                let who = Some(origin.rank);
                return Ok(self.hold(&request.header, wait(WaitFor::EarlierPush, who, tick, now)));
            },
        }
        if let Some(reason) = self.barred(now, origin.group, tick) {
            return Ok(self.hold(&request.header, reason));
        }
        let answer = match self.check_chunk(request, &chunk) {
            Err(refusal) => self.refused(refusal),
            Ok(()) if self.course.at(tick).gathers() => match self.gather(now, request, chunk) {
                Ok(answer) => answer,
                Err(reason) => return Ok(self.hold(&request.header, reason)),
            },
            Ok(()) => self.apply_now(request, chunk),
        };
        self.executed(now, request, answer)
    }

    /// Writes the outcome into the window and lets ticks count that waited for it.
    fn executed(
        &mut self,
        now: Instant,
        request: &PushRequest,
        answer: Answer,
    ) -> Result<PushOutcome, Refusal> {
        let Header { origin, sequence, tick, .. } = request.header;
        let Some(member) = self.progress.member(origin)? else {
            return Err(Refusal::UnknownWorker);
        };
        let recorded = member.window.record(sequence, request.slot, answer.clone());
        if recorded.is_err() && !self.place.switch.breaks(Sabotage::ForgetOutcomes) {
            return Err(Refusal::WindowFull);
        }
        self.stats.pushes += 1;
        if self.place.record_history {
            // A chunk that was refused has been made all the same.
            let round = self.course.at(tick).gathers().then_some(tick);
            let (table, slot) = (self.table.id(), request.slot);
            self.events.push(Event::Executed { origin, table, slot, sequence, tick, round });
        }
        let counted = self.progress.executed(origin, request.slot, sequence, &self.grid);
        self.after_counting(now, origin, counted);
        Ok(PushOutcome::Answered(answer))
    }

    fn apply_now(&mut self, request: &PushRequest, chunk: Chunk<'_, T>) -> Answer {
        let tick = request.header.tick;
        let denominator = self.table.spec().combine.denominator(None);
        if self.gathered.is_working() {
            // What this block still holds of rounds under an earlier policy goes first.
            self.force(self.unit(request.slot, &chunk));
        }
        let rate = self.course.at(tick).rate(tick);
        let update = Update { rule: &*self.rule, rate, denominator };
        let unit = self.unit(request.slot, &chunk);
        self.rows.apply(update, request.slot, chunk);
        self.mirror_touched(unit);
        let newest = self.newest.entry(request.slot).or_default();
        *newest = tick.max(*newest);
        Answer::Applied
    }

    /// Stashes a contribution until its round closes. The worker next in fold order is always
    /// admitted; others only while the stash has room (law 12).
    fn gather(
        &mut self,
        now: Instant,
        request: &PushRequest,
        chunk: Chunk<'_, T>,
    ) -> Result<Answer, WaitReason> {
        let Header { origin, tick, .. } = request.header;
        let width = self.width();
        let unit = self.unit(request.slot, &chunk);
        let policy = &self.course.at(tick).terms.policy;
        let (bound, non_finite) = (policy.bsp_stash_bytes_max, policy.non_finite);
        let bytes = self.gathered.growth_max(unit, tick, origin.rank, &chunk);
        let over = self.gathered.bytes() + bytes > bound;
        let over = over && !self.place.switch.breaks(Sabotage::UnboundedStash);
        if over || self.gathered.ranks_before(unit, tick, origin.rank) > 1 {
            let group = self.progress.group(origin.group);
            let open = group.map_or(Tick(0), |group| group.closed.next());
            let next = group.and_then(GroupProgress::next_in_order).map(|next| next.rank);
            let in_turn = next == Some(origin.rank) && tick == open;
            if over && !in_turn {
                return Err(wait(WaitFor::StashFull, next, tick, now));
            }
            if over {
                // What this block still holds of closed rounds goes before anything else.
                self.force(unit);
            }
            if in_turn {
                self.compact(origin, unit, tick);
            }
        }
        // Copied last: a contribution that has to wait is not copied at each of its tries.
        let Some(copy) = self.gathered.copy(chunk.values(), !non_finite) else {
            return Ok(self.refused(self.non_finite(&chunk)));
        };
        let part = match chunk {
            Chunk::Block { rows, .. } => Part::of_rows(rows, copy),
            Chunk::Frame { keys, .. } => Part::Keys(keys.to_vec(), copy),
        };
        self.rounds.contributed(now, tick);
        if self.place.switch.breaks(Sabotage::FoldByArrival) {
            self.gathered.add_by_arrival(unit, tick, part);
        } else {
            self.gathered.add(unit, tick, origin.rank, part, width);
        }
        if !over {
            self.record_held("stash bytes", self.gathered.bytes(), bound);
        }
        Ok(Answer::Admitted)
    }

    /// Folds what the ranks before this one, which have all ticked, pushed to the open round: less
    /// is held, and its buffers are used again while they are near.
    fn compact(&mut self, origin: Origin, unit: Unit, tick: Tick) {
        let width = self.width();
        if self.gathered.compact(unit, tick, origin.rank, width)
            && let Some(group) = self.progress.group_mut(origin.group)
        {
            group.folded = tick;
        }
    }

    fn refused(&mut self, refusal: Refusal) -> Answer {
        self.stats.refusals += 1;
        Answer::Refused(refusal)
    }

    fn hold(&mut self, header: &Header, reason: WaitReason) -> PushOutcome {
        self.note_wait(header, reason);
        PushOutcome::Wait(reason)
    }

    fn note_wait(&mut self, header: &Header, reason: WaitReason) {
        self.stats.waits += u64::from(self.waited.is_first(header));
        self.push_awaited |= matches!(reason.what, WaitFor::OwnPush | WaitFor::EarlierPush);
        self.room_awaited |= reason.what == WaitFor::StashFull;
    }

    fn width(&self) -> usize {
        self.table.spec().width as usize
    }
}

fn wait(what: WaitFor, who: Option<Rank>, tick: Tick, since: Instant) -> WaitReason {
    WaitReason { who, tick, since, what }
}

/// What [`ApplyContext`] needs beside the step count, which the rows hold.
pub(super) fn context(rate: f64, step: u64) -> ApplyContext {
    ApplyContext { rate, step }
}
