//! Which keys readers have to wait for (Gaia, section 3.2.2: the selective barrier).

use std::collections::BTreeMap;

use crate::id::{Mark, SlotIndex};
use crate::key::KeyRange;
use crate::limits;
use crate::time::Instant;

/// The barriers of one sender, at most `BARRIERS_MAX`.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    set: BTreeMap<(SlotIndex, Mark), Barrier>,
    /// No barrier's time is over before.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Barrier {
    ranges: Vec<KeyRange>,
    until: Instant,
}

impl Barriers {
    /// Until when one more may be set, or this one anew; `None` when there is no room. Whoever
    /// announces one again, for more keys or on a new connection, makes nobody wait for longer.
    pub(super) fn lasts(&self, slot: SlotIndex, mark: Mark, until: Instant) -> Option<Instant> {
        match self.set.get(&(slot, mark)) {
            Some(held) => Some(held.until.min(until)),
            None => (self.set.len() < limits::BARRIERS_MAX).then_some(until),
        }
    }

    /// Readers of these keys wait for the mark, until a time at most.
    pub(super) fn set(
        &mut self,
        slot: SlotIndex,
        mark: Mark,
        ranges: Vec<KeyRange>,
        until: Instant,
    ) {
        self.set.insert((slot, mark), Barrier { ranges, until });
        self.until = Some(self.until.map_or(until, |least| least.min(until)));
    }

    /// Whether one covers any of these keys. Cost: the ranges of the slot's barriers.
    pub(super) fn cover(&self, slot: SlotIndex, covers: impl Fn(&KeyRange) -> bool) -> bool {
        let mut of_slot = self.set.range((slot, Mark(0))..=(slot, Mark(u64::MAX)));
        of_slot.any(|(_, barrier)| barrier.ranges.iter().any(&covers))
    }

    /// Ends those of a slot whose mark has come; whether there was one. Cost: those that end.
    pub(super) fn come(
        &mut self,
        slot: SlotIndex,
        marked: Mark,
        mut ended: impl FnMut(Mark),
    ) -> bool {
        let mut any = false;
        while let Some((&(_, mark), _)) = self.set.range((slot, Mark(0))..=(slot, marked)).next() {
            self.set.remove(&(slot, mark));
            ended(mark);
            any = true;
        }
        if self.set.is_empty() {
            self.until = None;
        }
        any
    }

    /// Ends those whose time is over; whether there was one. Cost: nothing before the first is.
    pub(super) fn time(&mut self, now: Instant, mut ended: impl FnMut(SlotIndex, Mark)) -> bool {
        if self.until.is_none_or(|until| until > now) {
            return false;
        }
        let before = self.set.len();
        self.set.retain(|(slot, mark), barrier| {
            let over = barrier.until <= now;
            if over {
                ended(*slot, *mark);
            }
            !over
        });
        self.until = self.set.values().map(|barrier| barrier.until).min();
        self.set.len() != before
    }

    /// When to look at them again.
    pub(super) fn until(&self) -> Option<Instant> {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_barrier_ends_by_its_mark_or_its_time_and_covers_its_keys_until_then() {
        let mut barriers = Barriers::default();
        let keys = |first, count| KeyRange::from_count(crate::key::Key(first), count).unwrap();
        let (slot, other) = (SlotIndex(3), SlotIndex(4));
        barriers.set(slot, Mark(2), vec![keys(0, 4)], Instant(20));
        barriers.set(slot, Mark(5), vec![keys(8, 4)], Instant(10));
        barriers.set(other, Mark(1), vec![keys(0, 1)], Instant(30));
        let covers = |barriers: &Barriers, at: u64| {
            barriers.cover(slot, |range| range.contains(crate::key::Key(at)))
        };
        assert!(covers(&barriers, 3) && !covers(&barriers, 4) && covers(&barriers, 8));
        let mut ended = Vec::new();
        assert!(!barriers.time(Instant(9), |_, mark| ended.push(mark)));
        assert!(barriers.come(slot, Mark(4), |mark| ended.push(mark)));
        assert!(!barriers.come(slot, Mark(4), |mark| ended.push(mark)));
        assert!(barriers.time(Instant(10), |_, mark| ended.push(mark)));
        assert_eq!((ended, barriers.until()), (vec![Mark(2), Mark(5)], Some(Instant(30))));
        assert!(!covers(&barriers, 3) && !covers(&barriers, 8));
    }

    /// A connection that breaks again and again announces the same barriers again and again.
    #[test]
    fn a_barrier_that_is_announced_again_lasts_no_longer() {
        let mut barriers = Barriers::default();
        let (slot, mark) = (SlotIndex(3), Mark(2));
        for announced in [10, 15, 12] {
            let until = barriers.lasts(slot, mark, Instant(announced)).unwrap();
            barriers.set(slot, mark, vec![KeyRange::ALL], until);
        }
        assert!(barriers.time(Instant(10), |_, _| {}));
        assert!(!barriers.cover(slot, |_| true));
    }
}
