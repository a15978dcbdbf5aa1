//! In step: ticks that all have told of are taken, in order of the data centres.

use std::collections::BTreeMap;

use super::super::ShardEngine;
use crate::consistency::Exchange;
use crate::id::{DataCentre, ServerId, SlotIndex, Tick};
use crate::key::Key;
use crate::node::mirror::{Source, Stash};
use crate::node::sabotage::Sabotage;
use crate::node::shard::mirroring::Mirroring;
use crate::node::shard::rows::Update;
use crate::vector::Element;
use crate::wire::Delta;

impl<T: Element> ShardEngine<T> {
    /// In step: begins to settle the next tick that anything was told of, when all data centres
    /// that count have told of it. Cost: nothing for each tick in between.
    pub(super) fn mirror_settle(&mut self) {
        let in_step = |mirror: &&mut Mirroring| mirror.in_step && !mirror.stash.is_settling();
        while let Some(mirror) = self.mirror.as_mut().filter(in_step) {
            let settled = mirror.stash.settled;
            let told = mirror.told_by_all();
            let tick = mirror.stash.next_told().map_or(told, |next| next.min(told));
            if tick <= settled {
                return;
            }
            if mirror.exchange == Exchange::Aggregates {
                mirror.leave_out_parts(tick);
            }
            mirror.stash.settle(tick);
            if !mirror.stash.is_settling() {
                mirror.stash.settled(tick);
                self.changes.any = true;
                self.record_settled(tick);
            }
        }
    }

    pub(super) fn settle_step(&mut self) -> bool {
        let stash = self.mirror.as_mut().map(|mirror| &mut mirror.stash);
        let Some((tick, unit, told)) = stash.and_then(Stash::next_step) else {
            return self.close_settled();
        };
        self.settle_unit(tick, unit, &told);
        if let Some(mirror) = self.mirror.as_mut().filter(|it| !it.stash.is_settling()) {
            mirror.stash.settled(tick);
            self.changes.any = true;
            self.record_settled(tick);
            self.mirror_settle();
        }
        true
    }

    /// Closes the rounds that waited until the one before them was settled.
    fn close_settled(&mut self) -> bool {
        let Some(mirror) = self.mirror.as_ref().filter(|mirror| mirror.in_step) else {
            return false;
        };
        let now = mirror.now;
        let before = self.stats.rounds;
        self.close_rounds(now);
        self.stats.rounds != before
    }

    fn settle_unit(&mut self, tick: Tick, unit: Key, told: &BTreeMap<DataCentre, Vec<Delta>>) {
        let slot = self.grid.slot_of(unit);
        self.mirror_changed(unit);
        if !self.exchanges_aggregates() {
            for delta in told.values().flatten() {
                if let Err(refusal) = self.rows.add(slot, delta) {
                    tracing::error!(?refusal, "an update that was checked does not fit");
                }
            }
            return;
        }
        let Some(mirror) = &self.mirror else { return };
        let weights = mirror.weights(tick, slot, self.place.server);
        let combine = self.table.spec().combine;
        let denominator = combine.denominator(Some(weights.values().sum()));
        // What was told without what to divide by is not whole, nor is a round of nothing else.
        let whole = |from: &DataCentre| denominator.is_none() || weights.contains_key(from);
        if !told.keys().all(whole) {
            tracing::warn!(%tick, "aggregates without a weight are left out");
        }
        let mut order: Vec<_> = told.iter().filter(|(from, _)| whole(from)).collect();
        if order.is_empty() {
            return;
        }
        let here = Some(mirror.here);
        if self.place.switch.breaks(Sabotage::AggregatesByArrival) {
            order.sort_by_key(|(data_centre, _)| Some(**data_centre) != here);
        }
        let parts = order.into_iter().filter_map(|(_, deltas)| self.rows.part(deltas)).collect();
        let rate = self.course.at(tick).rate(tick);
        let update = Update { rule: &*self.rule, rate, denominator };
        let gathered = &mut self.gathered;
        self.rows.fold(update, slot, parts, |buffer| gathered.recycle(buffer));
    }
}

impl Mirroring {
    /// The weights by which what was told of a slot is divided: of each data centre what the server
    /// has told that owns the slot there. Another one of its servers may have lost this one.
    fn weights(&self, tick: Tick, slot: SlotIndex, here: ServerId) -> BTreeMap<DataCentre, f64> {
        let owner = |of: DataCentre| match of == self.here {
            true => Some(here),
            false => self.sources.get(&of).and_then(|source| source.speaker(slot)),
        };
        let told = self.stash.weights(tick).filter(|(of, from, _)| owner(*of) == Some(*from));
        told.map(|(of, _, weight)| (of, weight)).collect()
    }

    /// The last tick that everybody who counts has told of, and no later than anything was told.
    fn told_by_all(&self) -> Tick {
        let last = self.passed.max(self.stash.last_tick());
        let counting = self.sources.values().filter(|source| source.counts());
        let heard = counting.map(Source::counted_everywhere).min();
        heard.into_iter().fold(self.own_clock().min(last), Tick::min)
    }

    /// Leaves out aggregates of which only parts have come: their senders are not waited for.
    fn leave_out_parts(&mut self, tick: Tick) {
        let (here, sources) = (self.here, &self.sources);
        let whole = |from: DataCentre| {
            from == here || sources.get(&from).is_some_and(|it| it.counted_everywhere() >= tick)
        };
        let left = self.stash.leave_out(tick, |from| !whole(from));
        if left > 0 {
            tracing::warn!(%tick, left, "parts of aggregates of lost data centres are left out");
        }
    }
}
