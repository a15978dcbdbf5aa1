//! One shard's engine: what is asked, in order, and carried out.

use std::any::Any;
use std::collections::BTreeMap;

use super::gather::{Gathered, Unit};
use super::part::{Part, Segment};
use super::progress::{Counted, GroupProgress, Progress};
use super::rows::{ShardRows, Update};
use super::shard::{Place, Shard, ShardStats, Work};
use super::{Chunk, PullOutcome, PullRequest, PushOutcome, PushRequest, ReadRows};
use crate::clock::WindowCheck;
use crate::consistency::{Admit, ReadView, RoundView};
use crate::error::{SpecError, WaitFor, WaitReason};
use crate::extension::Extension;
use crate::history::{Event, PolicyKind};
use crate::id::{GroupId, Origin, Rank, Sequence, SlotIndex, Tick};
use crate::key::{Key, KeyRange, RangeSet};
use crate::node::registry::Code;
use crate::node::sabotage::Sabotage;
use crate::node::worker::Seen;
use crate::placement::SlotGrid;
use crate::spec::{Combine, GroupRecord, Layout, Table};
use crate::time::Instant;
use crate::vector::{ApplyContext, DType, Element};
use crate::wire::{Answer, Header, Refusal};

/// The engine of one shard with elements of type `T`.
#[derive(Debug)]
pub struct ShardEngine<T> {
    table: Table,
    code: Code,
    place: Place,
    grid: SlotGrid,
    rows: ShardRows<T>,
    progress: Progress,
    gathered: Gathered<T>,
    /// The latest tick of any push applied, per slot.
    newest: BTreeMap<SlotIndex, Tick>,
    stats: ShardStats,
    events: Vec<Event>,
    changed: bool,
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
        let rows = ShardRows::new(table.spec(), &*code.rule, &slots)?;
        Ok(Self {
            rows,
            grid,
            progress: Progress::new(keys),
            gathered: Gathered::new(),
            newest: BTreeMap::new(),
            stats: ShardStats::default(),
            events: Vec::new(),
            changed: false,
            push_awaited: false,
            room_awaited: false,
            table,
            code,
            place,
        })
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
        match self.admit_pull(now, request, &rows) {
            Ok(Some(seen)) => {
                self.stats.pulls += 1;
                self.record_served(&request.header, request, seen);
                let next = self.read(request.slot, rows);
                PullOutcome::Served { seen, next }
            },
            Ok(None) => PullOutcome::Settled,
            Err(Halt::Refused(refusal)) => PullOutcome::Refused(refusal),
            Err(Halt::Wait(reason)) => {
                self.note_wait(reason);
                PullOutcome::Wait(reason)
            },
        }
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
        self.check_read(slot, &rows)?;
        let range = self.owned(slot)?;
        let oldest = match self.progress.writing() {
            Some(group) if self.code.policy.gathers() => group.closed,
            Some(group) => group
                .slowest_in(&range)
                .map_or(group.last_round(), |(tick, _)| tick),
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
        let Header {
            origin,
            sequence,
            settled_below,
            tick,
        } = request.header;
        let Some(member) = self.progress.member(origin)? else {
            return Ok(self.hold(wait(WaitFor::GroupForming, None, tick, now)));
        };
        let forget = self.place.switch.breaks(Sabotage::ForgetOutcomes);
        match member.check_push(sequence, settled_below, request.slot, request.previous) {
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
                return Ok(self.hold(wait(WaitFor::EarlierPush, who, tick, now)));
            },
        }
        let answer = match self.check_chunk(request, &chunk) {
            Err(refusal) => {
                self.stats.refusals += 1;
                Answer::Refused(refusal)
            },
            Ok(()) if self.code.policy.gathers() => match self.gather(now, request, chunk) {
                Ok(answer) => answer,
                Err(reason) => return Ok(self.hold(reason)),
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
        let Header {
            origin,
            sequence,
            tick,
            ..
        } = request.header;
        let Some(member) = self.progress.member(origin)? else {
            return Err(Refusal::UnknownWorker);
        };
        let recorded = member.window.record(sequence, request.slot, answer.clone());
        if recorded.is_err() && !self.place.switch.breaks(Sabotage::ForgetOutcomes) {
            return Err(Refusal::WindowFull);
        }
        self.stats.pushes += 1;
        if self.place.record_history {
            let round = (answer == Answer::Admitted).then_some(tick);
            let (table, slot) = (self.table.id(), request.slot);
            self.events.push(Event::Executed {
                origin,
                table,
                slot,
                sequence,
                tick,
                round,
            });
        }
        let counted = self
            .progress
            .executed(origin, request.slot, sequence, &self.grid);
        self.after_counting(now, origin, counted);
        Ok(PushOutcome::Answered(answer))
    }

    fn check_chunk(&mut self, request: &PushRequest, chunk: &Chunk<'_, T>) -> Result<(), Refusal> {
        let origin = request.header.origin;
        let owned = self.owned(request.slot)?;
        let (rows, values) = match chunk {
            Chunk::Block { rows, values } => {
                self.check_block(&owned, rows)?;
                (rows.count() as usize, *values)
            },
            Chunk::Frame { keys, values } => {
                self.check_keys(&owned, keys)?;
                (keys.len(), *values)
            },
        };
        self.check_length(rows, values.len())?;
        self.progress.bind(origin.group)?;
        let counted = self
            .progress
            .group(origin.group)
            .and_then(|g| g.tick_at(origin.rank, &owned));
        if let Some(counted) = counted.filter(|counted| request.header.tick <= *counted) {
            let (expected, found) = (counted.next(), request.header.tick);
            return Err(Refusal::TickBackwards { expected, found });
        }
        if self.table.policy().non_finite {
            return Ok(());
        }
        check_finite(chunk, values, self.width())
    }

    fn apply_now(&mut self, request: &PushRequest, chunk: Chunk<'_, T>) -> Answer {
        let tick = request.header.tick;
        let denominator = match self.table.spec().combine {
            Combine::Sum => None,
            Combine::WeightedMean { round_weight } => Some(round_weight),
        };
        let rate = self.table.hyper().rate.at(tick.0);
        let update = Update {
            rule: &*self.code.rule,
            rate,
            denominator,
        };
        self.rows.apply(update, request.slot, chunk);
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
        let (unit, bytes) = match chunk {
            Chunk::Block { rows, values } => (
                self.grid.block_range(rows.first()).first(),
                size_of_val(values),
            ),
            Chunk::Frame { keys, values } => (
                self.slot_unit(request.slot),
                size_of_val(keys) + size_of_val(values),
            ),
        };
        let bound = self.table.policy().bsp_stash_bytes_max;
        let over = self.gathered.bytes() + bytes > bound;
        if over && !self.place.switch.breaks(Sabotage::UnboundedStash) {
            let group = self.progress.group(origin.group);
            let open = group.map_or(Tick(0), |group| group.closed.next());
            let next = group.and_then(GroupProgress::next_in_order);
            if next != Some(origin.rank) || tick != open {
                return Err(wait(WaitFor::StashFull, next, tick, now));
            }
            self.gathered.compact(unit, tick, origin.rank, width);
        }
        // Copied last: a contribution that has to wait is not copied at each of its tries.
        let part = match chunk {
            Chunk::Block { rows, values } => Part::Rows(vec![Segment {
                rows,
                values: self.gathered.copy(values),
            }]),
            Chunk::Frame { keys, values } => Part::Keys(keys.to_vec(), values.to_vec()),
        };
        if self.place.switch.breaks(Sabotage::FoldByArrival) {
            self.gathered.add_by_arrival(unit, tick, part);
        } else {
            self.gathered.add(unit, tick, origin.rank, part, width);
        }
        Ok(Answer::Admitted)
    }

    fn admit_pull(
        &mut self,
        now: Instant,
        request: &PullRequest,
        rows: &ReadRows<'_, T>,
    ) -> Result<Option<Seen>, Halt> {
        let Header {
            origin,
            sequence,
            settled_below,
            tick,
        } = request.header;
        let forming = || Halt::Wait(wait(WaitFor::GroupForming, None, tick, now));
        let Some(member) = self.progress.member(origin)? else {
            return Err(forming());
        };
        member.window.settle(settled_below);
        if sequence < member.window.settled_below() {
            return Ok(None);
        }
        if member.window.head(request.slot) < request.own {
            return Err(Halt::Wait(wait(
                WaitFor::OwnPush,
                Some(origin.rank),
                tick,
                now,
            )));
        }
        self.check_read(request.slot, rows)?;
        let range = self.owned(request.slot)?;
        let Some(group) = self.progress.group(origin.group) else {
            return Err(forming());
        };
        if !group.formed() {
            return Err(forming());
        }
        if self
            .progress
            .writer()
            .is_some_and(|writer| writer != origin.group)
        {
            let oldest = self
                .progress
                .writing()
                .map_or(Tick(0), |writing| writing.closed);
            return Ok(Some(self.seen(request.slot, oldest)));
        }
        let counted = group.tick_at(origin.rank, &range).unwrap_or_default();
        if tick <= counted {
            let expected = counted.next();
            return Err(Halt::Refused(Refusal::TickBackwards {
                expected,
                found: tick,
            }));
        }
        let slowest = group.slowest_in(&range);
        let view = ReadView {
            tick,
            slowest,
            closed: group.closed,
            now,
        };
        let oldest = match slowest {
            _ if self.code.policy.gathers() => group.closed,
            Some((slowest, _)) => slowest,
            None => group.last_round(),
        };
        match self.decide(view) {
            Admit::Serve => Ok(Some(self.seen(request.slot, oldest))),
            Admit::Wait { who, tick } => Err(Halt::Wait(WaitReason {
                who,
                tick,
                since: now,
                what: WaitFor::MemberTick,
            })),
            Admit::Refuse { earliest } => Err(Halt::Refused(Refusal::TickBackwards {
                expected: earliest,
                found: tick,
            })),
        }
    }

    fn decide(&self, view: ReadView) -> Admit {
        let admit = self.code.policy.admit(&view);
        if self.place.switch.breaks(Sabotage::SspServesEarly) {
            return Admit::Serve;
        }
        if self.place.switch.breaks(Sabotage::SspWaitsLonger)
            && let Some((slowest, rank)) = view.slowest
            && slowest < view.tick.back(1)
        {
            return Admit::Wait {
                who: Some(rank),
                tick: view.tick.back(1),
            };
        }
        admit
    }

    fn seen(&self, slot: SlotIndex, oldest: Tick) -> Seen {
        if self.code.policy.gathers() {
            return Seen {
                oldest,
                newest: oldest,
            };
        }
        let newest = self.newest.get(&slot).copied().unwrap_or_default();
        Seen {
            oldest,
            newest: newest.max(oldest),
        }
    }

    fn read(&mut self, slot: SlotIndex, rows: ReadRows<'_, T>) -> Option<Key> {
        match rows {
            ReadRows::Block { rows, out } => {
                self.force(self.grid.block_range(rows.first()).first());
                self.rows.read_block(slot, rows, out);
                None
            },
            ReadRows::Keys { keys, out } => {
                self.force(self.slot_unit(slot));
                self.rows.read_keys(slot, keys, out);
                None
            },
            ReadRows::Walk {
                range,
                rows_max,
                keys,
                values,
            } => {
                self.force(self.slot_unit(slot));
                self.rows.walk(slot, range, rows_max, keys, values)
            },
            ReadRows::Nothing => None,
        }
    }

    /// Does the close steps that a unit still waits for.
    fn force(&mut self, unit: Unit) {
        let closed = self.closed();
        while let Some((closing, parts)) = self.gathered.step_of(unit, closed) {
            self.step(unit, closing, parts);
        }
    }

    fn step(&mut self, unit: Unit, closing: super::gather::Closing, parts: Vec<Part<T>>) {
        let denominator = match self.table.spec().combine {
            Combine::Sum => None,
            Combine::WeightedMean { .. } => Some(closing.denominator),
        };
        let slot = self.grid.slot_of(unit);
        let update = Update {
            rule: &*self.code.rule,
            rate: closing.rate,
            denominator,
        };
        let gathered = &mut self.gathered;
        self.rows
            .fold(update, slot, parts, |buffer| gathered.recycle(buffer));
        // The stash has shrunk: whoever waits for room may try again.
        self.changed |= std::mem::take(&mut self.room_awaited);
    }

    fn after_counting(&mut self, now: Instant, origin: Origin, counted: Counted) {
        // A push releases whoever waits for a push; a tick releases everybody.
        self.changed |= std::mem::take(&mut self.push_awaited) || !counted.is_empty();
        if counted.is_empty() {
            return;
        }
        if self.place.record_history {
            let table = self.table.id();
            let events = counted.into_iter();
            self.events
                .extend(events.map(|(range, tick)| Event::TickCounted {
                    origin,
                    table,
                    range,
                    tick,
                }));
        }
        self.close_rounds(now);
    }

    fn close_rounds(&mut self, now: Instant) {
        if !self.code.policy.gathers() {
            return;
        }
        let Some(writer) = self.progress.writer() else {
            // Unbound tables have nothing to apply, but their rounds pass all the same.
            return self.close_unbound();
        };
        while let Some(group) = self.progress.group_mut(writer) {
            let round = group.closed.next();
            let complete = match group.slowest() {
                slowest @ Some(_) => self.code.policy.close(&RoundView {
                    round,
                    slowest,
                    now,
                }),
                None => round <= group.last_round(),
            };
            if !group.formed() || !complete {
                return;
            }
            let contributors = group.contributors(round);
            group.closed = round;
            let denominator = group.take_weights(round);
            self.gathered
                .close(round, denominator, self.table.hyper().rate.at(round.0));
            self.stats.rounds += 1;
            self.changed = true;
            self.record_close(round, contributors);
        }
    }

    fn close_unbound(&mut self) {
        for group in self.progress.groups_mut().filter(|group| group.formed()) {
            let reached = group.slowest().map_or(group.last_round(), |(tick, _)| tick);
            if reached > group.closed {
                group.closed = reached;
                self.changed = true;
            }
        }
    }

    fn record_close(&mut self, round: Tick, contributors: Vec<Rank>) {
        if self.place.record_history {
            let (table, server) = (self.table.id(), self.place.server);
            self.events.push(Event::RoundClosed {
                table,
                server,
                round,
                contributors,
            });
        }
    }

    fn record_served(&mut self, header: &Header, request: &PullRequest, seen: Seen) {
        if !self.place.record_history {
            return;
        }
        self.events.push(Event::Served {
            origin: header.origin,
            table: self.table.id(),
            slot: request.slot,
            at_tick: header.tick,
            oldest: seen.oldest,
            newest: seen.newest,
            policy: policy_kind(&self.table.policy().local),
            own: request.own,
        });
    }

    fn hold(&mut self, reason: WaitReason) -> PushOutcome {
        self.note_wait(reason);
        PushOutcome::Wait(reason)
    }

    fn note_wait(&mut self, reason: WaitReason) {
        self.stats.waits += 1;
        self.push_awaited |= matches!(reason.what, WaitFor::OwnPush | WaitFor::EarlierPush);
        self.room_awaited |= reason.what == WaitFor::StashFull;
    }

    fn owned(&self, slot: SlotIndex) -> Result<KeyRange, Refusal> {
        if self.place.slots.binary_search(&slot).is_err() {
            return Err(Refusal::NotOwned { slot });
        }
        self.grid.range(slot).ok_or(Refusal::NotOwned { slot })
    }

    /// The unit of a sparse slot. Slots are checked before they get here.
    fn slot_unit(&self, slot: SlotIndex) -> Unit {
        self.grid.range(slot).map_or(Key(0), |range| range.first())
    }

    fn check_block(&self, owned: &KeyRange, rows: &KeyRange) -> Result<(), Refusal> {
        if !owned.covers(rows) {
            return Err(Refusal::OutsideDomain { key: rows.last() });
        }
        let block = self.grid.block_range(rows.first());
        if self.table.spec().layout != Layout::Dense || !block.covers(rows) {
            return Err(Refusal::Shape {
                expected: block.last().0,
                found: rows.last().0,
            });
        }
        Ok(())
    }

    fn check_keys(&self, owned: &KeyRange, keys: &[Key]) -> Result<(), Refusal> {
        if self.table.spec().layout != Layout::Sparse {
            return Err(Refusal::Shape {
                expected: 0,
                found: keys.len() as u64,
            });
        }
        let (Some(first), Some(last)) = (keys.first(), keys.last()) else {
            return Ok(());
        };
        if !owned.contains(*first) {
            return Err(Refusal::OutsideDomain { key: *first });
        }
        if !owned.contains(*last) {
            return Err(Refusal::OutsideDomain { key: *last });
        }
        Ok(())
    }

    fn check_read(&self, slot: SlotIndex, rows: &ReadRows<'_, T>) -> Result<(), Refusal> {
        let owned = self.owned(slot)?;
        match rows {
            ReadRows::Block { rows, out } => {
                self.check_block(&owned, rows)?;
                self.check_length(rows.count() as usize, out.len())
            },
            ReadRows::Keys { keys, out } => {
                self.check_keys(&owned, keys)?;
                self.check_length(keys.len(), out.len())
            },
            ReadRows::Walk { .. } => self.check_keys(&owned, &[]),
            ReadRows::Nothing => Ok(()),
        }
    }

    fn check_length(&self, rows: usize, elements: usize) -> Result<(), Refusal> {
        let (expected, found) = ((rows * self.width()) as u64, elements as u64);
        if expected == found {
            Ok(())
        } else {
            Err(Refusal::Shape { expected, found })
        }
    }

    fn width(&self) -> usize {
        self.table.spec().width as usize
    }
}

impl<T: Element> Shard for ShardEngine<T> {
    fn hold_record(&mut self, now: Instant, record: &GroupRecord) {
        let removed = self
            .progress
            .hold_record(record, self.place.server, self.table.id());
        for (rank, last) in removed {
            self.gathered.drop_after(rank, last);
        }
        self.changed = true;
        self.close_rounds(now);
    }

    fn bind(&mut self, group: GroupId) -> Result<(), Refusal> {
        self.progress.bind(group)
    }

    fn dtype(&self) -> DType {
        T::DTYPE
    }

    fn ticked(
        &mut self,
        now: Instant,
        origin: Origin,
        tick: Tick,
        weight: Option<f64>,
        touched: &[(SlotIndex, Sequence)],
    ) -> Result<(), Refusal> {
        let early = self.place.switch.breaks(Sabotage::TickOvertakesData);
        let touched = if early { &[] } else { touched };
        let counted = self
            .progress
            .ticked(origin, tick, weight, touched, &self.grid)?;
        self.after_counting(now, origin, counted);
        Ok(())
    }

    fn fence(&mut self, origin: Origin) -> Option<Tick> {
        self.progress.fence(origin)
    }

    fn poll(&mut self) -> Work {
        let Some((unit, closing, parts)) = self.gathered.next_step() else {
            return Work::Idle;
        };
        self.step(unit, closing, parts);
        if self.gathered.is_working() {
            Work::Working
        } else {
            Work::Idle
        }
    }

    fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn stats(&self) -> ShardStats {
        ShardStats {
            stash_bytes: self.gathered.bytes() as u64,
            stash_bytes_peak: self.gathered.bytes_peak() as u64,
            memory_bytes: self.rows.memory_bytes() as u64,
            ..self.stats
        }
    }

    fn closed(&self) -> Tick {
        self.progress
            .writing()
            .map_or(Tick(0), |group| group.closed)
    }

    fn keys(&self) -> &RangeSet {
        self.progress.keys()
    }

    fn digests(&mut self) -> Vec<(SlotIndex, u128)> {
        while self.poll() == Work::Working {}
        let slots = self.place.slots.iter();
        slots
            .map(|slot| (*slot, self.rows.digest_slot(*slot)))
            .collect()
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}

/// Why a pull is not served now.
enum Halt {
    Wait(WaitReason),
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

fn wait(what: WaitFor, who: Option<Rank>, tick: Tick, since: Instant) -> WaitReason {
    WaitReason {
        who,
        tick,
        since,
        what,
    }
}

/// What a history says of a policy, so that checkers know what it promised.
fn policy_kind(local: &Extension) -> PolicyKind {
    match local.name() {
        "bsp/1" => PolicyKind::Bsp,
        "ssp/1" => PolicyKind::Ssp(local.parameter("staleness").unwrap_or(0.0) as u64),
        "eventual/1" => PolicyKind::Eventual,
        _ => PolicyKind::Other,
    }
}

fn check_finite<T: Element>(
    chunk: &Chunk<'_, T>,
    values: &[T],
    width: usize,
) -> Result<(), Refusal> {
    use crate::vector::kernels::{all_finite, first_non_finite};
    if all_finite(values) {
        return Ok(());
    }
    let at = first_non_finite(values).unwrap_or_default();
    let key = match chunk {
        Chunk::Block { rows, .. } => Key(rows.first().0 + (at / width) as u64),
        Chunk::Frame { keys, .. } => keys[at / width],
    };
    let element = u32::try_from(at % width).unwrap_or(u32::MAX);
    Err(Refusal::NonFinite {
        key,
        element,
        bits: values[at].to_f64().to_bits(),
    })
}

/// What [`ApplyContext`] needs beside the step count, which the rows hold.
pub(super) fn context(rate: f64, step: u64) -> ApplyContext {
    ApplyContext { rate, step }
}
