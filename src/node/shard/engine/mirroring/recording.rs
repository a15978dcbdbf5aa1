//! What a history tells of mirrors. It is put together only where one is recorded.

use super::super::ShardEngine;
use crate::consistency::Exchange;
use crate::history::Event;
use crate::id::{DataCentre, Origin, SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::node::mirror::{LineId, News, Source};
use crate::node::shard::RowsAsked;
use crate::node::shard::mirroring::Pass;
use crate::vector::{DType, Element};
use crate::wire::{Delta, MirrorMessage};

impl<T: Element> ShardEngine<T> {
    /// Whether anything of mirrors is recorded.
    pub(super) fn records(&self) -> bool {
        self.place.record_history && self.mirror.is_some()
    }

    /// What every element holds is told with its factor (law 7).
    pub(in crate::node::shard::engine) fn record_balance(&mut self) {
        let deltas = self.mirror.as_ref().is_some_and(|it| it.exchange == Exchange::Deltas);
        if !self.records() || !deltas || T::DTYPE != DType::I64 {
            return;
        }
        let (mut values, mut residuals) = (0_u64, 0_u64);
        for unit in self.units() {
            let (slot, range) = (self.grid.slot_of(unit), self.unit_range(unit));
            let sums = self.rows.checksums(self.table.spec(), slot, range);
            values = values.wrapping_add(sums.0);
            residuals = residuals.wrapping_add(sums.1);
        }
        let Some(mirror) = &self.mirror else { return };
        let stashed = mirror.stash.deltas().map(|delta| self.rows.checksum(delta));
        let stashed = stashed.fold(0, u64::wrapping_add);
        let (table, tick) = (self.table.id(), mirror.passed);
        self.events.push(Event::Balance { table, tick, values, residuals, stashed });
    }

    /// A pass has ended: what it should have told and has not (law 6.1).
    pub(super) fn record_pass(&mut self, pass: &Pass) {
        if !self.records() {
            return;
        }
        if pass.ends {
            self.events.push(Event::TrainingEnded { table: self.table.id() });
        }
        let Some(mirror) = &mut self.mirror else { return };
        if mirror.exchange == Exchange::Aggregates {
            return;
        }
        let (significance, mut bitmap) =
            (crate::sync::Arc::clone(&mirror.significance), std::mem::take(&mut mirror.bitmap));
        let mut over = 0;
        for unit in self.units().into_iter().filter(|unit| !pass.touched.contains(unit)) {
            let (slot, range) = (self.grid.slot_of(unit), self.unit_range(unit));
            let scoring = (&*significance, pass.threshold);
            over += self.rows.over(slot, range, scoring, pass.told.get(&unit), &mut bitmap);
        }
        let (table, tick) = (self.table.id(), pass.tick);
        let (told, kept) = (pass.taken, pass.left);
        let threshold = pass.threshold.to_bits();
        self.events.push(Event::PassEnded { table, tick, threshold, told, kept, over });
        if let Some(mirror) = &mut self.mirror {
            mirror.bitmap = bitmap;
        }
    }

    pub(super) fn record_queued(&mut self, slot: SlotIndex, delta: &Delta) {
        if self.records() {
            let (table, sum) = (self.table.id(), self.rows.checksum(delta));
            self.events.push(Event::UpdateQueued { table, slot, sum });
        }
    }

    pub(super) fn record_told(&mut self, (to, of): LineId, message: &MirrorMessage) {
        if !self.records() {
            return;
        }
        let table = self.table.id();
        match message {
            MirrorMessage::Update { slot, sequence, tick, mark, delta } => {
                let (slot, sequence, tick, mark) = (*slot, *sequence, *tick, *mark);
                let sum = self.rows.checksum(delta);
                let event = Event::UpdateTold { table, to, of, slot, sequence, tick, mark, sum };
                self.events.push(event);
            },
            MirrorMessage::Clock { tick, ended, marks, .. } => {
                let (tick, marks) = (if *ended { Tick(u64::MAX) } else { *tick }, marks.clone());
                self.events.push(Event::MirrorClockTold { table, to, of, tick, marks });
            },
            _ => {},
        }
    }

    /// What has changed in how another data centre stands here.
    pub(super) fn record_news(&mut self, data_centre: DataCentre) {
        let records = self.records();
        let source = self.mirror.as_mut().and_then(|mirror| mirror.sources.get_mut(&data_centre));
        let news = source.map(Source::take_news).unwrap_or_default();
        if !records {
            return;
        }
        let table = self.table.id();
        self.events.extend(news.into_iter().map(|news| match news {
            News::Counted(from, slot, tick) => {
                Event::MirrorClockCounted { table, from, data_centre, slot, tick }
            },
            News::Set(slot, mark, ranges, until) => {
                Event::BarrierSet { table, data_centre, slot, mark, ranges, until }
            },
            News::Ended(slot, mark, why) => {
                Event::BarrierEnded { table, data_centre, slot, mark, why }
            },
        }));
    }

    pub(super) fn record_standing(&mut self, data_centre: DataCentre, lost: bool) {
        if self.records() {
            let table = self.table.id();
            self.events.push(match lost {
                true => Event::DataCentreLost { table, data_centre },
                false => Event::DataCentreBack { table, data_centre },
            });
        }
    }

    /// A tick of copies in step is in the values: they are equal everywhere (law 4.7).
    pub(super) fn record_settled(&mut self, tick: Tick) {
        if !self.records() || !self.exchanges_aggregates() {
            return;
        }
        let table = self.table.id();
        for slot in &self.place.slots {
            let (slot, digest) = (*slot, self.rows.digest_slot(*slot));
            self.events.push(Event::Settled { table, slot, tick, digest });
        }
    }

    pub(in crate::node::shard::engine) fn record_mirror_served(
        &mut self,
        (origin, at_tick): (Origin, Tick),
        slot: SlotIndex,
        asked: RowsAsked<'_>,
    ) {
        let writes = self.progress.writer().is_none_or(|writer| writer == origin.group);
        if self.records() && writes {
            let table = self.table.id();
            let rows = match asked {
                RowsAsked::Block(rows) => vec![rows],
                RowsAsked::Keys(keys) => keys.iter().map(|key| KeyRange::single(*key)).collect(),
                RowsAsked::Walk | RowsAsked::Nothing => vec![KeyRange::ALL],
            };
            self.events.push(Event::MirrorServed { origin, table, slot, at_tick, rows });
        }
    }

    pub(super) fn record_assigned(&mut self, slot: SlotIndex) {
        if self.records() {
            self.events.push(Event::Assigned { table: self.table.id(), slot });
        }
    }

    /// Notes that a unit has changed while a pass looks through the others.
    pub(super) fn changed_in_pass(&mut self, unit: Key) {
        let records = self.place.record_history;
        let pass = self.mirror.as_mut().and_then(|mirror| mirror.pass.as_mut());
        if let Some(pass) = pass.filter(|_| records) {
            pass.touched.insert(unit);
        }
    }
}
