//! The engine as a shard of any element type.

use std::any::Any;

use super::super::face::{Changes, Room, Shard, ShardStats, Work};
use super::ShardEngine;
use super::checks::checked_weight;
use crate::consistency::{LinkView, LocalPolicy};
use crate::history::Event;
use crate::id::{DataCentre, GroupId, Origin, Rank, Sequence, ServerId, SlotIndex, Tick};
use crate::key::RangeSet;
use crate::node::mirror::{Letter, Told};
use crate::node::sabotage::Sabotage;
use crate::node::shard::mirroring::{MirrorStanding, MirrorStats, Mirroring};
use crate::node::shard::progress::GroupProgress;
use crate::node::shard::times::RoundTimes;
use crate::spec::{GroupRecord, Terms};
use crate::sync::Arc;
use crate::time::Instant;
use crate::vector::{DType, Element};
use crate::wire::{MirrorMessage, Refusal};

impl<T: Element> Shard for ShardEngine<T> {
    fn hold_record(&mut self, now: Instant, record: &GroupRecord) {
        let removed = self.progress.hold_record(record, self.place.server, self.table.id());
        self.waited.hold_record(record);
        self.changes.shrunk |= !removed.is_empty();
        for (rank, last) in removed {
            self.gathered.drop_after(rank, last);
        }
        self.changes.any = true;
        self.close_rounds(now);
    }

    fn bind(&mut self, origin: Origin) -> Result<(), Refusal> {
        if self.progress.member(origin)?.is_none() {
            return Err(Refusal::UnknownWorker);
        }
        self.progress.bind(origin.group)
    }

    fn change(&mut self, now: Instant, terms: Terms, policy: Arc<dyn LocalPolicy>) {
        self.change_terms(now, terms, policy);
    }

    fn writer(&self) -> Option<GroupId> {
        self.progress.writer()
    }

    fn gathers(&self, tick: Tick) -> bool {
        self.course.at(tick).gathers()
    }

    fn held_back(&self, group: GroupId, tick: Tick) -> bool {
        self.barrier(group, tick).is_some()
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
        if self.place.switch.breaks(Sabotage::ClockGoesBack) {
            let set_back = self.progress.set_back(origin, tick);
            self.after_counting(now, origin, set_back);
        }
        let early = self.place.switch.breaks(Sabotage::TickOvertakesData);
        let touched = if early { &[] } else { touched };
        // Only a gathered round has a denominator of its own.
        let weight = weight.map(checked_weight).transpose()?;
        let weight = weight.filter(|_| self.course.at(tick).gathers());
        let counted = self.progress.ticked(origin, tick, weight, touched, &self.grid)?;
        self.after_counting(now, origin, counted);
        Ok(())
    }

    fn settle(&mut self, origin: Origin, settled_below: Sequence) {
        if let Ok(Some(member)) = self.progress.member(origin) {
            member.window.settle(settled_below);
        }
    }

    fn fence(&mut self, origin: Origin) -> Option<Tick> {
        self.progress.fence(origin)
    }

    fn poll(&mut self) -> Work {
        let Some((unit, closing, parts)) = self.gathered.next_step() else {
            return if self.mirror_step() { Work::Working } else { Work::Idle };
        };
        self.step(unit, closing, parts);
        if self.gathered.is_working() {
            return Work::Working;
        }
        if self.mirror.is_some() {
            self.changes.any = true;
            return Work::Working;
        }
        // Somebody may wait until all that was closed is applied.
        self.changes.any = true;
        Work::Idle
    }

    fn take_changes(&mut self) -> Changes {
        std::mem::take(&mut self.changes)
    }

    fn room(&self) -> Room {
        let writing = self.progress.writing();
        let round = writing.map_or(Tick::FIRST, |group| group.closed.next());
        let piece = self.course.at(round);
        if !piece.gathers() {
            return Room { bytes: usize::MAX, next: None };
        }
        let bound = piece.terms.policy.bsp_stash_bytes_max;
        let open = |group: &GroupProgress| Some((group.next_in_order()?, round));
        let next = writing.and_then(open);
        Room { bytes: bound.saturating_sub(self.gathered.bytes()), next }
    }

    fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    fn stats(&self) -> ShardStats {
        let writing = self.progress.writing();
        ShardStats {
            clock_ranges: writing.map_or(0, GroupProgress::clock_ranges) as u64,
            window_outcomes: writing.map_or(0, GroupProgress::window_outcomes) as u64,
            window_entries: writing.map_or(0, GroupProgress::window_entries) as u64,
            open_rounds: self.rounds.open() as u64,
            stash_bytes: self.gathered.bytes() as u64,
            stash_bytes_peak: self.gathered.bytes_peak() as u64,
            memory_bytes: self.rows.memory_bytes() as u64,
            ..self.stats
        }
    }

    fn round_times(&self) -> RoundTimes {
        self.rounds.times()
    }

    fn closed(&self, group: GroupId) -> Tick {
        self.progress.group(group).map_or(Tick(0), |group| group.closed)
    }

    fn folded(&self, group: GroupId) -> Tick {
        self.progress.group(group).map_or(Tick(0), |group| group.closed.max(group.folded))
    }

    fn slowest(&self, group: GroupId) -> Option<(Tick, Rank)> {
        self.progress.group(group)?.slowest()
    }

    fn last_tick(&self, group: GroupId) -> Tick {
        self.progress.group(group).map_or(Tick(0), GroupProgress::last_round)
    }

    fn keys(&self) -> &RangeSet {
        self.progress.keys()
    }

    fn digests(&mut self) -> Vec<(SlotIndex, u128)> {
        while self.poll() == Work::Working {}
        let slots = self.place.slots.iter();
        slots.map(|slot| (*slot, self.rows.digest_slot(*slot))).collect()
    }

    fn value_digests(&mut self) -> Vec<(SlotIndex, u128)> {
        while self.poll() == Work::Working {}
        let slots = self.place.slots.iter();
        let range = |slot: &SlotIndex| Some((*slot, self.grid.range(*slot)?));
        let slots: Vec<_> = slots.filter_map(range).collect();
        let rows = &mut self.rows;
        slots.into_iter().map(|(slot, range)| (slot, rows.digest_values(slot, range))).collect()
    }

    fn mirror_heard(
        &mut self,
        now: Instant,
        line: (ServerId, DataCentre),
        message: MirrorMessage,
    ) -> Result<Told, Refusal> {
        self.hear(now, line, message)
    }

    fn mirror_connect(&mut self, now: Instant, to: ServerId) {
        self.connect(now, to);
    }

    fn mirror_next(&mut self, now: Instant, to: ServerId, room: bool) -> Option<Letter> {
        self.next_letter(now, to, room)
    }

    fn mirror_sent(&self, to: ServerId) -> usize {
        self.mirror.as_ref().map_or(0, |mirror| mirror.sent_bytes(to))
    }

    fn mirror_link(&mut self, to: ServerId, view: LinkView) {
        if let Some(mirror) = &mut self.mirror {
            mirror.links.insert(to, view);
        }
    }

    fn mirror_view(&self, to: ServerId) -> Option<LinkView> {
        self.mirror.as_ref()?.way(to)
    }

    fn mirror_is_new(&self, to: ServerId) -> bool {
        self.mirror.as_ref().is_none_or(|mirror| mirror.is_new(to))
    }

    fn mirror_time(&mut self, now: Instant) -> Option<Instant> {
        self.look_at_time(now)
    }

    fn mirror_stats(&self) -> Option<MirrorStats> {
        self.mirror.as_ref().map(Mirroring::stats)
    }

    fn mirror_standing(&self) -> Option<MirrorStanding> {
        self.mirror.as_ref().map(Mirroring::standing)
    }

    fn as_any_mut(&mut self) -> &mut dyn Any {
        self
    }
}
