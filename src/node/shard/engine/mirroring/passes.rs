//! Passes: after each tick the significant part of what values have gained leaves.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::super::ShardEngine;
use crate::consistency::{Exchange, PassView, Precision};
use crate::id::Tick;
use crate::key::Key;
use crate::node::mirror::{Clock, Place, Source};
use crate::node::sabotage::Sabotage;
use crate::node::shard::mirroring::Pass;
use crate::node::shard::part::Part;
use crate::node::shard::progress::GroupProgress;
use crate::node::shard::rows::Takes;
use crate::placement::Feed;
use crate::vector::{DType, Element};
use crate::wire::Delta;

impl<T: Element> ShardEngine<T> {
    /// Does one step, if there is one: of a pass, of a tick that is settled, or of the end.
    pub(in crate::node::shard::engine) fn mirror_step(&mut self) -> bool {
        self.mirror.is_some() && (self.pass_step() || self.settle_step() || self.ending_step())
    }

    /// Begins the pass of a tick that has ended, once everything of it is in the values.
    fn begin_pass(&mut self) -> bool {
        let Some((tick, ends)) = self.pass_due() else {
            return false;
        };
        let watched =
            self.mirror_group().map(|(group, _)| (group.record.group, self.ended_tick(group)));
        let rate_share = self.course.rate_share(tick);
        let Some(mirror) = &mut self.mirror else { return false };
        mirror.watched = watched;
        mirror.pace.note(mirror.now, tick);
        let (slowest_link, round_trip_ticks) = mirror.slowest_links();
        let (counts, in_step, now) = (T::DTYPE == DType::I64, mirror.in_step, mirror.now);
        let view =
            PassView { tick, rate_share, slowest_link, round_trip_ticks, counts, in_step, now };
        let threshold = mirror.policy.threshold(&view);
        let mut units: VecDeque<_> = mirror.dirty.iter().copied().collect();
        if self.place.switch.breaks(Sabotage::PassSkips) && !ends {
            units.pop_back();
        }
        let full = ends || counts || threshold == 0.0;
        let precision = if full { Precision::Full } else { mirror.policy.precision() };
        let (touched, told) = (BTreeSet::new(), BTreeMap::new());
        let (taken, left) = (0, 0);
        mirror.pass =
            Some(Pass { tick, threshold, precision, units, ends, taken, left, touched, told });
        mirror.stats.passes += 1;
        true
    }

    /// The tick that has ended and was not told, and whether it is the last one.
    fn pass_due(&self) -> Option<(Tick, bool)> {
        let mirror = self.mirror.as_ref()?;
        if mirror.pass.is_some() || self.gathered.is_working() {
            return None;
        }
        let passed = mirror.passed;
        if mirror.ending.told {
            // Whoever joins after the end is not waited for any more, but nothing of it is lost.
            return (!mirror.dirty.is_empty()).then_some((passed.next(), true));
        }
        let (group, ended) = self.mirror_group()?;
        let tick = self.ended_tick(group);
        let ends = ended && (!self.gathers_now(group) || tick == group.last_round());
        if tick > passed {
            // In step what ends is a tick of its own: whether somebody has left by the end of the
            // last one depends on messages.
            return Some((tick, ends && !mirror.in_step));
        }
        // Of a group whose ticks were not those that were told until it pushed here.
        let other = mirror.watched.is_some_and(|(id, at)| id != group.record.group || at < tick);
        let late = (other && !mirror.dirty.is_empty()).then_some((passed, false));
        ends.then_some((passed.next(), true)).or(late)
    }

    /// The last tick of a group of which everything is in the values.
    fn ended_tick(&self, group: &GroupProgress) -> Tick {
        if self.gathers_now(group) { group.closed } else { group.reached() }
    }

    fn pass_step(&mut self) -> bool {
        if self.mirror.as_ref().is_some_and(|mirror| mirror.pass.is_none()) {
            return self.begin_pass();
        }
        let Some(mirror) = &mut self.mirror else { return false };
        let Some(pass) = &mut mirror.pass else { return false };
        let Some(unit) = pass.units.pop_front() else {
            self.end_pass();
            return true;
        };
        let Pass { tick, threshold, precision, ends, .. } = *pass;
        let slot = self.grid.slot_of(unit);
        let significance = crate::sync::Arc::clone(&mirror.significance);
        let takes = match ends {
            true => Takes::All,
            false => Takes::Significant(&*significance, threshold, precision),
        };
        let mut bitmap = std::mem::take(&mut mirror.bitmap);
        let range = self.unit_range(unit);
        let (delta, passed) = self.rows.pass(slot, range, takes, &mut bitmap);
        if self.place.switch.breaks(Sabotage::PassForgets) {
            self.rows.pass(slot, range, Takes::All, &mut bitmap);
        }
        let cut = precision == Precision::Bf16 && passed.taken > 0;
        let records = self.records();
        let Some(mirror) = &mut self.mirror else { return false };
        mirror.bitmap = bitmap;
        if let Some(pass) = &mut mirror.pass {
            pass.taken += passed.taken;
            pass.left += passed.left;
            if cut && records {
                pass.told.insert(unit, delta.clone());
            }
        }
        // What was cut off has stayed.
        if passed.left == 0 && !cut {
            mirror.dirty.remove(&unit);
        }
        if passed.taken > 0 {
            self.queue_everywhere(unit, tick, 0, &delta);
        }
        true
    }

    fn end_pass(&mut self) {
        let width = self.width();
        let Some(mirror) = &mut self.mirror else { return };
        let Some(pass) = mirror.pass.take() else { return };
        mirror.stats.elements_told += pass.taken;
        mirror.stats.elements_kept += pass.left;
        let weight = mirror.weights.remove(&pass.tick);
        mirror.weights = mirror.weights.split_off(&pass.tick.next());
        if let Some(weight) = weight {
            mirror.stash.weigh(pass.tick, (mirror.here, self.place.server), weight);
        }
        if mirror.exchange == Exchange::Deltas && !mirror.in_step {
            // What others have told is announced when it may leave.
            let own = mirror.lanes.iter().filter(|(_, lane)| lane.feed == Feed::Own);
            let lines: Vec<_> = own.map(|(line, _)| *line).collect();
            let barriers: u64 = lines.into_iter().map(|line| mirror.bar(line, width)).sum();
            mirror.stats.barriers += barriers;
        }
        for lane in mirror.lanes.values_mut().filter(|lane| lane.feed == Feed::Own) {
            let counts = mirror.sources.get(&lane.data_centre).is_some_and(Source::counts);
            let weight = weight.filter(|_| lane.tells_round(pass.tick, counts));
            lane.clock(Clock { tick: pass.tick, weight, ended: pass.ends });
        }
        mirror.passed = pass.tick;
        mirror.ending.told = pass.ends;
        self.relay_clocks();
        self.record_pass(&pass);
        self.record_balance();
        self.mirror_settle();
    }

    /// Queues what a unit has to tell for every data centre.
    fn queue_everywhere(&mut self, unit: Key, tick: Tick, piece: u32, delta: &Delta) {
        let (slot, width) = (self.grid.slot_of(unit), self.width());
        self.record_queued(slot, delta);
        let Some(mirror) = &mut self.mirror else { return };
        for line in mirror.routes.get(&slot).into_iter().flatten() {
            let Some(lane) = mirror.lanes.get_mut(line) else { continue };
            let tick = match lane.feed {
                Feed::Own => tick,
                Feed::Group => tick.max(lane.next_tick()),
                Feed::Relayed(_) => continue,
            };
            let counts = mirror.sources.get(&lane.data_centre).is_some_and(Source::counts);
            // Who is not waited for takes nothing in step: what it has missed adds up (law 12),
            // and of rounds that are settled without it nothing is told, nor their weight.
            let aggregates = mirror.exchange == Exchange::Aggregates;
            let tells = if aggregates { lane.tells_round(tick, counts) } else { counts };
            let place = match (mirror.in_step && tells, aggregates) {
                (true, _) => Place { tick, unit, piece },
                (false, true) => continue,
                (false, false) => Place { tick: Tick(0), unit, piece: 0 },
            };
            lane.queue::<T>((slot, place), tick, delta.clone(), width);
        }
    }

    /// A unit's aggregate of a round is told instead of applied.
    pub(in crate::node::shard::engine) fn tell_aggregate(
        &mut self,
        unit: Key,
        round: Tick,
        parts: Vec<Part<T>>,
    ) {
        let deltas = self.rows.aggregate(parts);
        for (piece, delta) in (0..).zip(&deltas) {
            self.queue_everywhere(unit, round, piece, delta);
        }
        if let Some(mirror) = &mut self.mirror {
            for delta in deltas {
                mirror.stash.hold(round, unit, mirror.here, delta);
            }
        }
    }

    /// Whether aggregates of rounds are exchanged.
    pub(in crate::node::shard::engine) fn exchanges_aggregates(&self) -> bool {
        self.mirror.as_ref().is_some_and(|mirror| mirror.exchange == Exchange::Aggregates)
    }
}
