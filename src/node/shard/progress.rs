//! Who has ticked what at one shard: group records, clocks, windows, ticks that wait for data.
//!
//! Invariants: I1 a tick counts for a slot only when the origin's chain of requests to that slot
//! is unbroken up to the last sequence the tick names (a tick never overtakes its data);
//! I2 ticks of one origin count in order; I3 only origins of the current record count (laws 1, 2).

use std::cell::Cell;
use std::collections::BTreeMap;

use crate::clock::{RangeClock, Window, WindowCheck};
use crate::error::Loss;
use crate::id::{GroupId, Incarnation, Origin, Rank, Sequence, ServerId, SlotIndex, TableId, Tick};
use crate::key::{KeyRange, RangeSet};
use crate::limits;
use crate::placement::SlotGrid;
use crate::spec::{GroupRecord, Member, MemberEnd};
use crate::wire::{Answer, Refusal};

/// The progress of all groups at one shard.
#[derive(Debug)]
pub(super) struct Progress {
    keys: RangeSet,
    groups: BTreeMap<GroupId, GroupProgress>,
    writer: Option<GroupId>,
}

/// The progress of one group at one shard.
#[derive(Debug)]
pub(super) struct GroupProgress {
    pub(super) record: GroupRecord,
    clock: RangeClock,
    members: BTreeMap<Rank, MemberProgress>,
    /// The last round closed; stays behind while the table's policy does not gather.
    pub(super) closed: Tick,
    /// The last round in which contributions of several ranks are one already. Nobody who joins
    /// may push to it: a lower rank would come behind what it precedes in fold order.
    pub(super) folded: Tick,
    /// A round, and a rank below which every active member has counted it.
    in_order: Cell<(Tick, Rank)>,
}

/// One member's progress at one shard.
#[derive(Debug)]
pub(super) struct MemberProgress {
    pub(super) origin: Origin,
    pub(super) window: Window<Answer>,
    end: MemberEnd,
    fenced: bool,
    /// The last tick counted for every key of the shard.
    counted: Tick,
    /// Ticks received but not counted everywhere.
    pending: BTreeMap<Tick, PendingTick>,
    /// Weights by round, for rounds that have not closed.
    weights: BTreeMap<Tick, f64>,
}

#[derive(Debug)]
struct PendingTick {
    weight: Option<f64>,
    /// Slots whose chain has to reach a sequence first.
    waiting: Vec<(SlotIndex, Sequence)>,
}

/// Keys for which a tick was counted, reported for histories.
pub(super) type Counted = Vec<(KeyRange, Tick)>;

impl Progress {
    pub(super) fn new(keys: RangeSet) -> Self {
        Self { keys, groups: BTreeMap::new(), writer: None }
    }

    pub(super) fn keys(&self) -> &RangeSet {
        &self.keys
    }

    pub(super) fn writer(&self) -> Option<GroupId> {
        self.writer
    }

    pub(super) fn group(&self, group: GroupId) -> Option<&GroupProgress> {
        self.groups.get(&group)
    }

    pub(super) fn group_mut(&mut self, group: GroupId) -> Option<&mut GroupProgress> {
        self.groups.get_mut(&group)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &GroupProgress> {
        self.groups.values()
    }

    pub(super) fn groups_mut(&mut self) -> impl Iterator<Item = &mut GroupProgress> {
        self.groups.values_mut()
    }

    /// The group whose ticks and rounds the table obeys: its writer once bound.
    pub(super) fn writing(&self) -> Option<&GroupProgress> {
        self.groups.get(&self.writer?)
    }

    /// Binds the writing group at the table's first push.
    pub(super) fn bind(&mut self, group: GroupId) -> Result<(), Refusal> {
        match self.writer {
            None => {
                self.writer = Some(group);
                Ok(())
            },
            Some(writer) if writer == group => Ok(()),
            Some(writer) => Err(Refusal::WriterTaken { writer }),
        }
    }

    /// The member behind an origin. `Ok(None)` when the group's record has not arrived yet.
    pub(super) fn member(
        &mut self,
        origin: Origin,
    ) -> Result<Option<&mut MemberProgress>, Refusal> {
        let Some(group) = self.groups.get_mut(&origin.group) else {
            return Ok(None);
        };
        let formed = group.formed();
        let Some(member) = group.members.get_mut(&origin.rank) else {
            return if formed { Err(Refusal::UnknownWorker) } else { Ok(None) };
        };
        member.check(origin).map(|known| known.then_some(member))
    }

    /// Obeys a record: members that are new, have left or were removed. Older records are ignored.
    /// Returns the members removed, with the last tick that counts for each.
    pub(super) fn hold_record(
        &mut self,
        record: &GroupRecord,
        server: ServerId,
        table: TableId,
    ) -> Vec<(Rank, Tick)> {
        let keys = &self.keys;
        let group = self.groups.entry(record.group).or_insert_with(|| GroupProgress {
            record: GroupRecord { members: Vec::new(), ..record.clone() },
            clock: RangeClock::new(keys.clone()),
            members: BTreeMap::new(),
            closed: Tick(0),
            folded: Tick(0),
            in_order: Cell::default(),
        });
        if record.version < group.record.version {
            return Vec::new();
        }
        group.record = record.clone();
        group.in_order.take();
        let mut removed = Vec::new();
        for member in &record.members {
            // A new life says that the one before has ended, also where the record that said so
            // was never seen: what it had not ticked by then does not count.
            removed.extend(group.ended_by(member));
            if let Some(last) = group.hold_member(member, server, table) {
                removed.push((member.origin.rank, last));
            }
        }
        removed
    }

    /// Takes a tick. Returns the keys for which ticks counted at once.
    pub(super) fn ticked(
        &mut self,
        origin: Origin,
        tick: Tick,
        weight: Option<f64>,
        touched: &[(SlotIndex, Sequence)],
        grid: &SlotGrid,
    ) -> Result<Counted, Refusal> {
        let Some(member) = self.member(origin)? else {
            return Err(Refusal::UnknownWorker);
        };
        if tick <= member.counted || member.pending.contains_key(&tick) {
            return Ok(Vec::new());
        }
        if tick.0 - member.counted.0 > limits::TICKS_PENDING_MAX as u64 {
            return Err(Refusal::TickBackwards { expected: member.counted.next(), found: tick });
        }
        member.pending.insert(tick, PendingTick { weight, waiting: touched.to_vec() });
        let Some(group) = self.groups.get_mut(&origin.group) else {
            return Ok(Vec::new());
        };
        Ok(group.count_next(origin.rank, grid, &self.keys))
    }

    /// Sabotage of law 1: sets a clock that may only be raised. Empty when the tick lies ahead.
    pub(super) fn set_back(&mut self, origin: Origin, tick: Tick) -> Counted {
        let keys = self.keys.clone();
        let Some(group) = self.groups.get_mut(&origin.group) else {
            return Vec::new();
        };
        let member = group.members.get_mut(&origin.rank);
        let Some(member) = member.filter(|m| m.origin == origin && tick < m.counted) else {
            return Vec::new();
        };
        member.counted = tick;
        group.clock.remove(origin.rank);
        group.clock.join(origin.rank, tick);
        keys.iter().map(|range| (range, tick)).collect()
    }

    /// Notes that a request to `slot` was executed: ticks may count now.
    pub(super) fn executed(
        &mut self,
        origin: Origin,
        slot: SlotIndex,
        sequence: Sequence,
        grid: &SlotGrid,
    ) -> Counted {
        let Some(group) = self.groups.get_mut(&origin.group) else {
            return Vec::new();
        };
        group.executed(origin.rank, slot, sequence, grid, &self.keys)
    }

    /// Stops counting a member that is being removed; the last tick counted for it here.
    pub(super) fn fence(&mut self, origin: Origin) -> Option<Tick> {
        let member = self.groups.get_mut(&origin.group)?.members.get_mut(&origin.rank)?;
        if member.origin.incarnation != origin.incarnation {
            return None;
        }
        member.fenced = true;
        Some(member.counted)
    }
}

impl GroupProgress {
    /// Whether all declared workers have joined. Stays true when members leave later.
    pub(super) fn formed(&self) -> bool {
        self.members.len() == self.record.size as usize
    }

    /// The first rank that has not joined. Ranks join in order, so the ones below have.
    pub(super) fn missing(&self) -> Option<Rank> {
        (!self.formed()).then_some(Rank(self.members.len() as u32))
    }

    /// The member furthest behind within `range`.
    pub(super) fn slowest_in(&self, range: &KeyRange) -> Option<(Tick, Rank)> {
        self.clock.min_over(range)
    }

    /// The member furthest behind anywhere in the shard.
    pub(super) fn slowest(&self) -> Option<(Tick, Rank)> {
        self.clock.min()
    }

    /// The last tick counted for a member at a key; `None` once the member has left.
    pub(super) fn tick_at(&self, rank: Rank, range: &KeyRange) -> Option<Tick> {
        self.clock.tick_at(rank, range.first())
    }

    /// The last round that any member can have pushed to, once nobody is left.
    pub(super) fn last_round(&self) -> Tick {
        self.members.values().map(|member| member.counted).max().unwrap_or_default()
    }

    /// The last tick that all members have ended at every key of the shard.
    pub(super) fn reached(&self) -> Tick {
        if let Some((tick, _)) = self.slowest() {
            return tick;
        }
        // A shard without keys has members all the same.
        let members = self.members.values().filter(|member| member.holds_back());
        members.map(|member| member.counted).min().unwrap_or_else(|| self.last_round())
    }

    /// The first member in fold order that can still push to the round after `closed`. Cost: one
    /// walk over the members in a whole round, however often it is asked.
    pub(super) fn next_in_order(&self) -> Option<Origin> {
        let open = self.closed.next();
        let (round, from) = self.in_order.get();
        let from = if round == open { from } else { Rank(0) };
        let is_open =
            |member: &MemberProgress| member.end == MemberEnd::Active && member.counted < open;
        let next = self.members.range(from..).find(|(_, member)| is_open(member));
        self.in_order.set((open, next.map_or(Rank(u32::MAX), |(rank, _)| *rank)));
        next.map(|(_, member)| member.origin)
    }

    /// The sum of weights of the members that pushed to the round, in rank order. Forgets them.
    pub(super) fn take_weights(&mut self, round: Tick) -> f64 {
        let weights = self.members.values_mut().filter_map(|member| member.weights.remove(&round));
        weights.fold(0.0, |sum, weight| sum + weight)
    }

    /// Which ranks pushed to the round.
    pub(super) fn contributors(&self, round: Tick) -> Vec<Rank> {
        let pushed = self.members.iter().filter(|(_, m)| m.weights.contains_key(&round));
        pushed.map(|(rank, _)| *rank).collect()
    }

    /// Ranges held by the clock, for the limits.
    pub(super) fn clock_ranges(&self) -> usize {
        self.clock.range_count()
    }

    /// Outcomes held by the fullest window, for the limits.
    pub(super) fn window_outcomes(&self) -> usize {
        self.members.values().map(|member| member.window.len()).max().unwrap_or(0)
    }

    /// Outcomes held by all windows together.
    pub(super) fn window_entries(&self) -> usize {
        self.members.values().map(|member| member.window.len()).sum()
    }

    /// The life that a member's new one replaces, when no record has ended it here.
    fn ended_by(&self, named: &Member) -> Option<(Rank, Tick)> {
        let old = self.members.get(&named.origin.rank)?;
        let replaced = old.origin.incarnation < named.origin.incarnation;
        (replaced && old.end == MemberEnd::Active).then_some((named.origin.rank, old.counted))
    }

    fn hold_member(&mut self, named: &Member, server: ServerId, table: TableId) -> Option<Tick> {
        let rank = named.origin.rank;
        let known = self.members.get(&rank).map(|member| member.origin.incarnation);
        if known.is_none_or(|incarnation| incarnation < named.origin.incarnation) {
            self.admit(named);
        }
        let member = self.members.get_mut(&rank)?;
        if member.origin != named.origin {
            return None;
        }
        if named.start.back(1) > member.counted {
            // The keeper has learnt of a round closed elsewhere: the joiner starts behind it.
            member.counted = named.start.back(1);
            let _left = self.clock.advance_all(rank, member.counted);
        }
        if member.end == named.end {
            return None;
        }
        member.end = named.end.clone();
        match &named.end {
            MemberEnd::Active => None,
            MemberEnd::Left { last } => {
                if member.counted >= *last {
                    self.clock.remove(rank);
                }
                None
            },
            MemberEnd::Removed { last, .. } => {
                let here = last.iter().find(|(s, t, _)| *s == server && *t == table);
                let last = here.map_or(member.counted, |(_, _, tick)| *tick);
                member.pending.clear();
                member.weights.retain(|round, _| *round <= last);
                self.clock.remove(rank);
                Some(last)
            },
        }
    }

    fn admit(&mut self, named: &Member) {
        let rank = named.origin.rank;
        let before = named.start.back(1);
        // Rounds that the rank's earlier life pushed to may still be open: its weights stay.
        let weights = self.members.remove(&rank).map(|old| old.weights).unwrap_or_default();
        self.clock.remove(rank);
        self.clock.join(rank, before);
        self.members.insert(
            rank,
            MemberProgress {
                origin: named.origin,
                window: Window::new(),
                end: MemberEnd::Active,
                fenced: false,
                counted: before,
                pending: BTreeMap::new(),
                weights,
            },
        );
    }

    /// Counts as many pending ticks of `rank` as its data allows.
    fn count_next(&mut self, rank: Rank, grid: &SlotGrid, keys: &RangeSet) -> Counted {
        let mut counted = Vec::new();
        let Some(member) = self.members.get_mut(&rank) else {
            return counted;
        };
        loop {
            let next = member.counted.next();
            let Some(pending) = member.pending.get_mut(&next) else {
                break;
            };
            let window = &member.window;
            pending.waiting.retain(|(slot, last)| window.head(*slot) < Some(*last));
            if pending.waiting.is_empty() {
                member.complete(next);
                // Fails only for a rank that has left: then nobody waits for its ticks.
                let _left = self.clock.advance_all(rank, next);
                counted.extend(keys.iter().map(|range| (range, next)));
                continue;
            }
            let mut arrived = keys.clone();
            for (slot, _) in &pending.waiting {
                if let Some(range) = grid.range(*slot) {
                    arrived.remove(range);
                }
            }
            for range in arrived.iter() {
                advance(&mut self.clock, rank, range, next, &mut counted);
            }
            break;
        }
        if let (MemberEnd::Left { last }, true) = (&member.end, !counted.is_empty())
            && member.counted >= *last
        {
            self.clock.remove(rank);
        }
        counted
    }

    fn executed(
        &mut self,
        rank: Rank,
        slot: SlotIndex,
        sequence: Sequence,
        grid: &SlotGrid,
        keys: &RangeSet,
    ) -> Counted {
        let Some(member) = self.members.get_mut(&rank) else {
            return Vec::new();
        };
        let next = member.counted.next();
        let Some(pending) = member.pending.get_mut(&next) else {
            return Vec::new();
        };
        let Some(at) = pending.waiting.iter().position(|(s, last)| *s == slot && *last <= sequence)
        else {
            return Vec::new();
        };
        pending.waiting.swap_remove(at);
        if pending.waiting.is_empty() {
            return self.count_next(rank, grid, keys);
        }
        let mut counted = Vec::new();
        if let Some(range) = grid.range(slot) {
            advance(&mut self.clock, rank, range, next, &mut counted);
        }
        counted
    }
}

impl MemberProgress {
    /// What the window says of a push.
    pub(super) fn check_push(
        &mut self,
        sequence: Sequence,
        settled_below: Sequence,
        slot: SlotIndex,
        previous: Option<Sequence>,
    ) -> WindowCheck<Answer> {
        self.window.settle(settled_below);
        self.window.check(sequence, slot, previous)
    }

    /// Whether `origin` is this member and may still send. `Ok(false)`: not known yet.
    fn check(&self, origin: Origin) -> Result<bool, Refusal> {
        let current: Incarnation = self.origin.incarnation;
        if origin.incarnation > current {
            return Ok(false);
        }
        if origin.incarnation < current {
            return Err(Refusal::StaleWorker { current });
        }
        match &self.end {
            MemberEnd::Removed { why, .. } => Err(Refusal::Removed { why: *why }),
            MemberEnd::Active if self.fenced => Err(Refusal::Removed { why: Loss::Silent }),
            MemberEnd::Active => Ok(true),
            MemberEnd::Left { .. } => Err(Refusal::Finished),
        }
    }

    /// Whether rounds after its last tick counted have to wait for it.
    fn holds_back(&self) -> bool {
        match self.end {
            MemberEnd::Active => true,
            MemberEnd::Left { last } => self.counted < last,
            MemberEnd::Removed { .. } => false,
        }
    }

    fn complete(&mut self, tick: Tick) {
        self.counted = tick;
        if let Some(PendingTick { weight: Some(weight), .. }) = self.pending.remove(&tick) {
            self.weights.insert(tick, weight);
        }
    }
}

/// Raises the clock for some keys. At the clock's limit the keys simply count later, with the
/// whole tick: waiting longer is safe, forgetting is not.
fn advance(clock: &mut RangeClock, rank: Rank, range: KeyRange, tick: Tick, counted: &mut Counted) {
    if clock.advance(rank, range, tick).is_ok() {
        counted.push((range, tick));
    }
}
