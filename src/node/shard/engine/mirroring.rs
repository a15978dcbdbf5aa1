//! A shard among its mirrors: reads that wait for other data centres, passes, what is told and
//! heard. The parts are in the room `mirror`.

mod ending;
mod hearing;
mod passes;
mod recording;
mod relaying;
mod settling;
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
        let barred = |source: &Source| source.bars(slot, |ranges| cover(ranges, asked));
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

/// Whether ranges, ascending and apart, have a row that is asked for, whose keys ascend. Cost: a
/// search for each of those that are fewer.
fn cover(mut ranges: &[KeyRange], asked: RowsAsked<'_>) -> bool {
    match asked {
        RowsAsked::Block(rows) => {
            let at = ranges.partition_point(|range| range.last() < rows.first());
            ranges.get(at).is_some_and(|range| range.first() <= rows.last())
        },
        RowsAsked::Keys(mut keys) => {
            while let ([range, ..], [key, ..]) = (ranges, keys) {
                if range.contains(*key) {
                    return true;
                }
                if range.last() < *key {
                    ranges = &ranges[ranges.partition_point(|range| range.last() < *key)..];
                } else {
                    keys = &keys[keys.partition_point(|key| *key < range.first())..];
                }
            }
            false
        },
        // Whoever asks for all rows, or for none, asks for every row.
        RowsAsked::Walk | RowsAsked::Nothing => !ranges.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_cover_what_one_of_them_covers() {
        let range = |first, last| KeyRange::new(Key(first), Key(last)).unwrap();
        let ranges = [range(2, 3), range(6, 6), range(8, 11), range(20, 29)];
        let one_by_one = |rows: KeyRange| {
            ranges.iter().any(|it| it.first() <= rows.last() && rows.first() <= it.last())
        };
        for (first, last) in (0..32).flat_map(|first| (first..32).map(move |last| (first, last))) {
            let rows = range(first, last);
            assert_eq!(cover(&ranges, RowsAsked::Block(rows)), one_by_one(rows), "{rows:?}");
            for step in [1, 3, 5] {
                let keys: Vec<_> = (first..=last).step_by(step).map(Key).collect();
                let any = keys.iter().any(|key| one_by_one(KeyRange::single(*key)));
                assert_eq!(cover(&ranges, RowsAsked::Keys(&keys)), any, "{keys:?}");
            }
        }
        assert!(cover(&ranges, RowsAsked::Nothing) && !cover(&[], RowsAsked::Walk));
    }
}
