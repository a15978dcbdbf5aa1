//! Rounds: when they close, and the close steps, one per block.

use super::ShardEngine;
use crate::consistency::{Exchange, RoundView};
use crate::history::Event;
use crate::id::{Origin, Rank, Tick};
use crate::limits;
use crate::node::shard::gather::{Closing, Unit};
use crate::node::shard::mirroring::Mirroring;
use crate::node::shard::part::Part;
use crate::node::shard::progress::Counted;
use crate::node::shard::rows::Update;
use crate::time::Instant;
use crate::vector::Element;

impl<T: Element> ShardEngine<T> {
    /// Does the close steps that a unit still waits for.
    pub(super) fn force(&mut self, unit: Unit) {
        let closed = self.progress.writing().map_or(Tick(0), |group| group.closed);
        while let Some((closing, parts)) = self.gathered.step_of(unit, closed) {
            self.step(unit, closing, parts);
        }
    }

    pub(super) fn step(&mut self, unit: Unit, closing: Closing, parts: Vec<Part<T>>) {
        // The stash has shrunk: whoever waits for room may try again.
        self.changes.shrunk = true;
        self.changes.any |= std::mem::take(&mut self.room_awaited);
        if self.exchanges_aggregates() {
            return self.tell_aggregate(unit, closing.round, parts);
        }
        let slot = self.grid.slot_of(unit);
        let denominator = self.denominator(&closing);
        let update = Update { rule: &*self.rule, rate: closing.rate, denominator };
        let gathered = &mut self.gathered;
        self.rows.fold(update, slot, parts, |buffer| gathered.recycle(buffer));
        self.mirror_touched(unit);
    }

    /// What the sums of a closed round are divided by.
    pub(super) fn denominator(&self, closing: &Closing) -> Option<f64> {
        // Of a round among mirrors only the own data centre's part is known.
        let known = self.mirror.is_none().then_some(closing.denominator);
        self.table.spec().combine.denominator(known)
    }

    pub(super) fn after_counting(&mut self, now: Instant, origin: Origin, counted: Counted) {
        // A push releases whoever waits for a push; a tick releases everybody.
        self.changes.any |= std::mem::take(&mut self.push_awaited) || !counted.is_empty();
        if counted.is_empty() {
            return;
        }
        if self.place.record_history {
            let table = self.table.id();
            let events = counted.into_iter();
            self.events.extend(events.map(|(range, tick)| Event::TickCounted {
                origin,
                table,
                range,
                tick,
            }));
        }
        self.record_sizes();
        self.close_rounds(now);
    }

    pub(super) fn close_rounds(&mut self, now: Instant) {
        if !self.course.gathers() {
            return;
        }
        let Some(writer) = self.progress.writer() else {
            // Unbound tables have nothing to apply, but their rounds pass all the same.
            return self.close_unbound();
        };
        while let Some(group) = self.progress.group_mut(writer).filter(|group| group.formed()) {
            // A round that a member may still push to is never closed, whatever a policy says.
            let reached = group.reached();
            let Some(round) = self.course.closes(group.closed, reached) else {
                return;
            };
            if self.mirror.as_ref().is_some_and(|mirror| mirror.holds_close(group.closed)) {
                return;
            }
            let piece = self.course.at(round);
            if !piece.gathers() {
                group.closed = round;
                self.changes.any = true;
                continue;
            }
            let view = RoundView { round, slowest: group.slowest(), now };
            let over = view.slowest.is_none() || self.course.is_over(round, reached);
            if !over && !piece.policy.close(&view) {
                return;
            }
            let rate = piece.rate(round);
            let contributors = group.contributors(round);
            group.closed = round;
            let denominator = group.take_weights(round);
            let tells =
                |it: &&mut Mirroring| it.exchange == Exchange::Aggregates && !it.has_ended();
            let mirror = self.mirror.as_mut().filter(tells);
            if let Some(mirror) = mirror.filter(|_| !contributors.is_empty()) {
                mirror.weights.insert(round, denominator);
            }
            self.gathered.close(round, denominator, rate);
            self.stats.rounds += 1;
            self.rounds.closed(now, round);
            self.changes.any = true;
            self.record_close(round, contributors);
        }
    }

    pub(super) fn close_unbound(&mut self) {
        for group in self.progress.groups_mut().filter(|group| group.formed()) {
            while let Some(round) = self.course.closes(group.closed, group.reached()) {
                group.closed = round;
                group.take_weights(round);
                self.changes.any = true;
            }
        }
    }

    /// Reports sizes against their limits when they have grown (SPEC law 12).
    fn record_sizes(&mut self) {
        let Some(group) = self.progress.writing().filter(|_| self.place.record_history) else {
            return;
        };
        let (ranges, outcomes) = (group.clock_ranges(), group.window_outcomes());
        self.record_held("clock ranges", ranges, limits::CLOCK_RANGES_MAX);
        self.record_held("window outcomes", outcomes, limits::INFLIGHT_MAX);
    }

    /// Records the largest size seen so far.
    pub(super) fn record_held(&mut self, what: &'static str, count: usize, limit: usize) {
        if !self.place.record_history {
            return;
        }
        let held = self.held_max.entry(what).or_default();
        if count > *held {
            *held = count;
            let (count, limit) = (count as u64, limit as u64);
            self.events.push(Event::Held { what, count, limit });
        }
    }

    pub(super) fn record_close(&mut self, round: Tick, contributors: Vec<Rank>) {
        if self.place.record_history {
            let (table, server) = (self.table.id(), self.place.server);
            self.events.push(Event::RoundClosed { table, server, round, contributors });
        }
    }
}
