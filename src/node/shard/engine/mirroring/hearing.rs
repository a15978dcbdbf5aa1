//! What other data centres tell: updates, clocks, barriers.

use super::super::ShardEngine;
use crate::consistency::Exchange;
use crate::history::Event;
use crate::id::{Mark, Sequence, ServerId, SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::node::mirror::{LineId, Room, Taken, Told, check};
use crate::node::sabotage::Sabotage;
use crate::node::shard::mirroring::Mirroring;
use crate::time::{Duration, Instant};
use crate::vector::Element;
use crate::wire::{Delta, MirrorMessage, Refusal, RowsNamed};

impl<T: Element> ShardEngine<T> {
    /// Takes what a server of another data centre says of a line; what a confirmation has freed.
    ///
    /// # Errors
    /// What makes no sense, from somebody who does not speak for the line or own the slot, or of
    /// other terms.
    pub(in crate::node::shard::engine) fn hear(
        &mut self,
        now: Instant,
        (from, of): LineId,
        message: MirrorMessage,
    ) -> Result<Told, Refusal> {
        let Some(mirror) = &mut self.mirror else {
            return Err(Refusal::UnknownTable { table: self.table.id() });
        };
        mirror.now = mirror.now.max(now);
        if let MirrorMessage::Open { terms_hash } = message {
            return self.on_open(from, terms_hash).map(|()| Told::default());
        }
        if message.is_answer() {
            return self.take_answer((from, of), message);
        }
        let Some(source) = mirror.sources.get_mut(&of).filter(|source| source.speaks(from)) else {
            return Err(Refusal::UnknownWorker);
        };
        // What waited at a hub comes also of a group that the hub has lost: its clock does not.
        if mirror.members.contains(&of) || matches!(message, MirrorMessage::Clock { .. }) {
            source.heard(from, now);
        }
        if self.watch(of, now) {
            self.source_changed();
        }
        let taken = self.take_message(now, (from, of), message);
        self.record_news(of);
        taken.map(|()| Told::default())
    }

    /// A server says what it knows of the table, before anything else on a connection.
    fn on_open(&mut self, from: ServerId, terms_hash: u128) -> Result<(), Refusal> {
        let width = self.width();
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        let expected = mirror.terms_hash;
        let Some(neighbour) = mirror.neighbours.get_mut(&from) else {
            return Err(Refusal::UnknownWorker);
        };
        if terms_hash != expected {
            mirror.differ.insert(from);
            return Err(Refusal::SpecMismatch { expected, found: terms_hash });
        }
        if neighbour.opened() {
            mirror.differ.remove(&from);
            mirror.lanes_to_mut(from).for_each(|lane| lane.opened(width));
            let sources = mirror.sources.iter().filter(|(_, source)| source.speaks(from));
            let sources: Vec<_> = sources.map(|(of, _)| *of).collect();
            sources.into_iter().for_each(|of| self.set_refused((from, of), false));
        }
        Ok(())
    }

    /// Begins or ends to take nothing of a server: nobody waits for its data centre meanwhile.
    fn set_refused(&mut self, (from, of): LineId, refused: bool) {
        let source = self.mirror.as_mut().and_then(|mirror| mirror.sources.get_mut(&of));
        let Some(source) = source else { return };
        let counted = source.counts();
        source.refuse(from, refused);
        self.standing_seen(of, counted);
    }

    /// Takes what a server answers to what was told to it.
    fn take_answer(&mut self, (from, of): LineId, message: MirrorMessage) -> Result<Told, Refusal> {
        let Some(mirror) = &mut self.mirror else { return Ok(Told::default()) };
        let Some(lane) = mirror.lanes.get_mut(&(from, of)) else {
            return Err(Refusal::UnknownWorker);
        };
        match message {
            MirrorMessage::Confirm { slot, sequence, result: Ok(()) } => {
                return Ok(lane.confirmed(slot, sequence));
            },
            MirrorMessage::Confirm { result: Err(refusal), .. } => {
                mirror.differ.insert(from);
                lane.close();
                return Err(refusal);
            },
            MirrorMessage::Arrived { slot, pieces } => {
                return Ok(lane.values.arrived(slot, pieces));
            },
            MirrorMessage::Same { slot, unit, digest } => {
                lane.values.finished(slot, unit, digest);
            },
            MirrorMessage::Differs { slot, unit } => self.on_differs((from, of), (slot, unit))?,
            _ => {},
        }
        Ok(Told::default())
    }

    fn take_message(
        &mut self,
        now: Instant,
        (from, of): LineId,
        message: MirrorMessage,
    ) -> Result<(), Refusal> {
        match message {
            MirrorMessage::Update { tick, .. } | MirrorMessage::Clock { tick, .. }
                if tick.0 > limits::MIRROR_TICK_MAX =>
            {
                return Err(Refusal::Limit);
            },
            MirrorMessage::Update { slot, sequence, tick, mark, delta } => {
                let taken = self.on_update((from, of), (slot, sequence), (tick, mark), delta);
                return taken.inspect_err(|refusal| {
                    self.refuse((from, of), (slot, sequence), *refusal);
                });
            },
            MirrorMessage::Clock { previous, tick, weight, ended, marks } => {
                let clock = if ended { Tick(u64::MAX) } else { tick };
                self.on_clock((from, of), (previous, clock), (tick, weight), &marks)?;
            },
            MirrorMessage::Barrier { slot, mark, ranges } => {
                self.on_barrier(now, (from, of), (slot, mark), ranges)?;
            },
            MirrorMessage::Digest { slot, unit, digest } => {
                self.on_digest((from, of), (slot, unit), digest);
            },
            MirrorMessage::Assign { slot, piece, last, delta } => {
                self.on_assign((from, of), slot, (piece, last), delta)?;
            },
            // Taken before.
            MirrorMessage::Open { .. }
            | MirrorMessage::Confirm { .. }
            | MirrorMessage::Same { .. }
            | MirrorMessage::Differs { .. }
            | MirrorMessage::Arrived { .. } => {},
        }
        Ok(())
    }

    fn on_clock(
        &mut self,
        (from, of): LineId,
        (previous, clock): (Option<Tick>, Tick),
        (tick, weight): (Tick, Option<f64>),
        marks: &[(SlotIndex, Mark)],
    ) -> Result<(), Refusal> {
        let weight = weight.map(checked_sum).transpose()?;
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        let aggregates = mirror.exchange == Exchange::Aggregates;
        let Some(source) = mirror.sources.get_mut(&of) else { return Ok(()) };
        if !source.clock(from, previous, clock, marks) {
            let missing = source.missing(from, previous, clock);
            if let Some(expected) = missing.filter(|_| mirror.notes((from, of), "clocks")) {
                let (data_centre, server) = (of.0, from.0);
                let found = previous.unwrap_or_default();
                tracing::warn!(
                    data_centre, server, %expected, %found,
                    "clocks that do not follow the last one are left out until one does"
                );
            }
            return Ok(());
        }
        if self.place.switch.breaks(Sabotage::MirrorClockOvertakes) {
            source.overtake(from, clock);
        }
        if let Some(weight) = weight.filter(|_| aggregates)
            && mirror.stash.weigh_told(tick, (of, from), weight) == Room::Full
        {
            mirror.note_weight((from, of), tick);
        }
        self.confirm_told((from, of), clock);
        self.source_changed();
        Ok(())
    }

    fn on_barrier(
        &mut self,
        now: Instant,
        (from, of): LineId,
        (slot, mark): (SlotIndex, Mark),
        ranges: Vec<KeyRange>,
    ) -> Result<(), Refusal> {
        let owned = self.owned(slot)?;
        let outside = ranges.iter().find(|range| !owned.covers(range));
        let apart = |a: &KeyRange, b: &KeyRange| a.last() < b.first();
        if let Some(range) = outside.or(ranges.first().filter(|_| !ranges.is_sorted_by(apart))) {
            return Err(Refusal::OutsideDomain { key: range.first() });
        }
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        let endless = self.place.switch.breaks(Sabotage::BarriersStay);
        let lasts = if endless { Duration::MAX } else { mirror.policy.barrier_max() };
        if let Some(source) = mirror.sources.get_mut(&of).filter(|_| !ranges.is_empty()) {
            source.bar(from, (slot, mark), ranges, now.after(lasts));
        }
        Ok(())
    }

    /// A clock that counts has advanced, or a data centre counts, or not any more.
    pub(super) fn source_changed(&mut self) {
        self.changes.any = true;
        self.relay_clocks();
        self.mirror_settle();
    }

    fn on_update(
        &mut self,
        (from, of): LineId,
        (slot, sequence): (SlotIndex, Sequence),
        (tick, mark): (Tick, Option<Mark>),
        delta: Delta,
    ) -> Result<(), Refusal> {
        let place = {
            let source = self.mirror.as_ref().and_then(|it| it.sources.get(&of));
            source.map_or(Taken::Stranger, |source| source.place(from, slot, sequence))
        };
        match place {
            Taken::Stranger => return Err(Refusal::NotOwned { slot }),
            Taken::Early(taken) => {
                self.note_gap((from, of), slot, (taken, sequence));
                return Ok(());
            },
            Taken::Before(taken) => {
                let waits = |it: &Mirroring| it.unconfirmed.contains_key(&((from, of), slot));
                if !self.mirror.as_ref().is_some_and(waits) {
                    self.confirm((from, of), slot, taken);
                }
                return Ok(());
            },
            Taken::Next => {},
        }
        let unit = self.check_delta(slot, &delta)?;
        let sum = if self.records() { self.rows.checksum(&delta) } else { 0 };
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        let room = match mirror.in_step {
            true => mirror.stash.room(tick, of, &delta),
            false => Room::Needless,
        };
        let exchange = mirror.exchange;
        if room == Room::Full {
            self.note_full((from, of), tick);
        }
        let Some(mirror) = &mut self.mirror else { return Ok(()) };
        match (room, exchange) {
            (Room::Left, _) => mirror.stash.hold(tick, unit, of, delta),
            // The round cannot be settled without it.
            (Room::Full, Exchange::Aggregates) => return Err(Refusal::Limit),
            (_, Exchange::Aggregates) => mirror.note_left_out((from, of), tick),
            (_, Exchange::Deltas | Exchange::Nothing) => {
                self.rows.add(slot, &delta)?;
                if self.place.switch.breaks(Sabotage::UpdateTakenTwice) {
                    self.rows.add(slot, &delta)?;
                }
                self.mirror_changed(unit);
                self.relay(of, unit, &delta);
            },
        }
        if self.records() {
            let table = self.table.id();
            self.events.push(Event::UpdateTaken { table, from, of, slot, sequence, mark, sum });
        }
        self.on_taken((from, of), (slot, sequence), (tick, mark));
        Ok(())
    }

    /// An update was taken. Of aggregates that is confirmed once the clock of their tick has come:
    /// who hears of it need not tell their weight again (see `mirror::clocks`).
    fn on_taken(
        &mut self,
        (from, of): LineId,
        (slot, sequence): (SlotIndex, Sequence),
        (tick, mark): (Tick, Option<Mark>),
    ) {
        let Some(mirror) = &mut self.mirror else { return };
        mirror.stats.updates_taken += 1;
        let Some(source) = mirror.sources.get_mut(&of) else { return };
        let (changed, clock) = (source.take(slot, mark), source.told(from));
        let place = ((from, of), slot);
        let confirms = mirror.exchange != Exchange::Aggregates || tick <= clock;
        match confirms {
            true => mirror.unconfirmed.remove(&place),
            false => mirror.unconfirmed.insert(place, (tick, sequence)),
        };
        if changed {
            self.source_changed();
        }
        if confirms {
            self.confirm((from, of), slot, sequence);
        }
    }

    /// Confirms the aggregates whose clock has come only now.
    fn confirm_told(&mut self, line: LineId, clock: Tick) {
        let Some(mirror) = &mut self.mirror else { return };
        let of_line = (line, SlotIndex(0))..=(line, SlotIndex(u32::MAX));
        let come = mirror.unconfirmed.range(of_line).filter(|(_, (tick, _))| *tick <= clock);
        let come: Vec<_> = come.map(|((_, slot), (_, sequence))| (*slot, *sequence)).collect();
        for (slot, sequence) in come {
            if let Some(mirror) = &mut self.mirror {
                mirror.unconfirmed.remove(&(line, slot));
            }
            self.confirm(line, slot, sequence);
        }
    }

    /// Updates before one that has come are missing: honest servers tell them again.
    fn note_gap(
        &mut self,
        (from, of): LineId,
        slot: SlotIndex,
        (taken, found): (Sequence, Sequence),
    ) {
        let Some(mirror) = &mut self.mirror else { return };
        if mirror.notes((from, of), "updates") {
            let (data_centre, server, slot) = (of.0, from.0, slot.0);
            let (expected, found) = (taken.0 + 1, found.0);
            tracing::warn!(
                data_centre,
                server,
                slot,
                expected,
                found,
                "updates that do not follow the last one are left out until one does"
            );
        }
    }

    /// There is no room for all that is told of ticks which are not settled.
    fn note_full(&mut self, (from, of): LineId, tick: Tick) {
        let Some(mirror) = &mut self.mirror else { return };
        if mirror.notes((from, of), "room") {
            let (table, data_centre, server) = (self.table.name(), of.0, from.0);
            let then = match mirror.exchange {
                Exchange::Aggregates => "it is refused, and nobody waits for its sender any more",
                _ => "it is added at once, so that copies may differ by rounding until the end",
            };
            tracing::warn!(
                table,
                data_centre,
                server,
                %tick,
                limit_bytes = mirror.stash.share(),
                "what it tells of two ticks takes more than there is room for: {then} (more \
                 servers, or smaller pushes)"
            );
        }
    }

    /// An update makes no sense: its sender is told, and nobody waits for it any more.
    fn refuse(&mut self, (from, of): LineId, update: (SlotIndex, Sequence), refusal: Refusal) {
        let Some(mirror) = &mut self.mirror else { return };
        if let Some(neighbour) = mirror.neighbours.get_mut(&from) {
            neighbour.refuse(of, update, refusal);
        }
        mirror.differ.insert(from);
        self.set_refused((from, of), true);
        self.source_changed();
    }

    fn confirm(&mut self, (to, of): LineId, slot: SlotIndex, sequence: Sequence) {
        let neighbours = self.mirror.as_mut().map(|mirror| &mut mirror.neighbours);
        if let Some(neighbour) = neighbours.and_then(|all| all.get_mut(&to)) {
            neighbour.confirm(of, slot, sequence);
        }
    }

    /// Checks a delta from elsewhere; its unit.
    pub(super) fn check_delta(&self, slot: SlotIndex, delta: &Delta) -> Result<Key, Refusal> {
        let owned = self.owned(slot)?;
        check::<T>(delta, self.width())?;
        match &delta.rows {
            RowsNamed::Block(rows) => {
                self.check_block(&owned, rows)?;
                Ok(self.grid.block_range(rows.first()).first())
            },
            RowsNamed::Keys(keys) => {
                self.check_keys(&owned, keys)?;
                Ok(self.slot_unit(slot))
            },
        }
    }
}

impl Mirroring {
    /// An aggregate is left out: one of the two data centres was lost and is back.
    fn note_left_out(&mut self, (from, of): LineId, tick: Tick) {
        let data_centre = of.0;
        if !self.stash.is_late(tick) {
            if self.notes((from, of), "ahead") {
                tracing::warn!(
                    data_centre, %tick, "aggregates too far ahead to be held are left out"
                );
            }
        } else if self.late.get(&of).is_none_or(|last| *last < tick) {
            self.late.insert(of, tick);
            tracing::warn!(
                data_centre, %tick, "aggregates of a tick came too late and are left out"
            );
        }
    }

    /// There is no room for more weights of ticks far ahead.
    fn note_weight(&mut self, line: LineId, tick: Tick) {
        if self.notes(line, "weights") {
            tracing::warn!(
                data_centre = line.1.0, %tick, "weights too far ahead to be held are left out"
            );
        }
    }

    /// Whether something is to be logged of a line, once a connection.
    fn notes(&mut self, (from, of): LineId, what: &'static str) -> bool {
        self.neighbours.get_mut(&from).is_some_and(|neighbour| neighbour.notes(of, what))
    }
}

/// Refuses sums of weights that no honest server sends.
fn checked_sum(weight: f64) -> Result<f64, Refusal> {
    let allowed = weight.is_finite() && weight >= limits::WEIGHT_MIN;
    if allowed { Ok(weight) } else { Err(Refusal::Weight { found: weight }) }
}
