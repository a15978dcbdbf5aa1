//! A shard among its mirrors: reads that wait for other data centres, passes, what is told and
//! heard. The parts are in the room `mirror`.

mod ending;
mod hearing;
mod passes;
mod recording;
mod relaying;
mod telling;

use super::{ShardEngine, wait};
use crate::consistency::{MirrorAdmit, MirrorRead};
use crate::error::{WaitFor, WaitReason};
use crate::id::{SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::node::mirror::Source;
use crate::node::sabotage::Sabotage;
use crate::node::shard::RowsAsked;
use crate::node::shard::progress::GroupProgress;
use crate::time::Instant;
use crate::vector::Element;

impl<T: Element> ShardEngine<T> {
    /// Why a read that the local policy would serve has to wait for another data centre.
    pub(super) fn mirror_wait(
        &self,
        now: Instant,
        tick: Tick,
        slot: SlotIndex,
        asked: RowsAsked<'_>,
    ) -> Option<WaitReason> {
        let mirror = self.mirror.as_ref()?;
        if self.place.switch.breaks(Sabotage::MirrorServesEarly) {
            return None;
        }
        let barred = |source: &Source| source.bars(slot, |range| covers(range, asked));
        if let Some((who, _)) = mirror.sources.iter().find(|(_, source)| barred(source)) {
            return Some(wait(WaitFor::Barrier { data_centre: *who }, None, tick, now));
        }
        let slowest = mirror.slowest(slot);
        if mirror.in_step && !mirror.ending.told && mirror.stash.settled < tick.back(1) {
            // What a round, or the others, have changed is in the values once it is settled: also
            // when nobody else is left.
            let what = match slowest {
                Some((_, who)) => WaitFor::MirrorClock { data_centre: who },
                None => WaitFor::CloseSteps,
            };
            return Some(wait(what, None, tick.back(1), now));
        }
        match mirror.policy.admit(&MirrorRead { tick, slowest, now }) {
            MirrorAdmit::Serve => None,
            MirrorAdmit::Wait { who, tick } => {
                Some(wait(WaitFor::MirrorClock { data_centre: who }, None, tick, now))
            },
        }
    }

    /// A push, or a round, has changed a block or sparse slot.
    pub(super) fn mirror_touched(&mut self, unit: Key) {
        if let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.keeps_residuals()) {
            mirror.dirty.insert(unit);
        }
        self.mirror_changed(unit);
    }

    /// Values have changed, by whomever: what was said of them at the end is said again.
    fn mirror_changed(&mut self, unit: Key) {
        self.changed_in_pass(unit);
        self.ending_changed(unit);
    }

    /// Whose ticks the mirror clock shows: the writing group's; of a shard that nobody has pushed
    /// to yet, the one's that has come furthest. And whether all of them have ended.
    fn mirror_group(&self) -> Option<(&GroupProgress, bool)> {
        if self.progress.writer().is_some() {
            let group = self.progress.writing().filter(|group| group.formed())?;
            return Some((group, group.slowest().is_none()));
        }
        let formed = self.progress.groups().filter(|group| group.formed());
        let furthest = formed.max_by_key(|group| group.reached())?;
        let ended = |group: &GroupProgress| group.formed() && group.slowest().is_none();
        Some((furthest, self.progress.groups().all(ended)))
    }

    /// All keys of a unit.
    fn unit_range(&self, unit: Key) -> KeyRange {
        match self.table.spec().layout {
            crate::spec::Layout::Dense => self.grid.block_range(unit),
            crate::spec::Layout::Sparse => {
                let range = self.grid.range(self.grid.slot_of(unit));
                range.unwrap_or(KeyRange::single(unit))
            },
        }
    }
}

fn covers(range: &KeyRange, asked: RowsAsked<'_>) -> bool {
    match asked {
        RowsAsked::Block(rows) => range.first() <= rows.last() && rows.first() <= range.last(),
        RowsAsked::Keys(keys) => {
            let at = keys.partition_point(|key| *key < range.first());
            keys.get(at).is_some_and(|key| *key <= range.last())
        },
        // Whoever asks for all rows, or for none, asks for every row.
        RowsAsked::Walk | RowsAsked::Nothing => true,
    }
}
