//! Which keys readers have to wait for (Gaia, section 3.2.2: the selective barrier).

use std::collections::BTreeMap;

use crate::id::{Mark, SlotIndex};
use crate::key::KeyRange;
use crate::limits;
use crate::time::Instant;

/// The barriers of one sender, at most `BARRIERS_MAX`, with some more than `BARRIERS_RANGES_MAX`
/// ranges at most.
#[derive(Debug, Default)]
pub(super) struct Barriers {
    set: BTreeMap<(SlotIndex, Mark), Barrier>,
    /// The ranges of all of them.
    ranges: usize,
    /// No barrier's time is over before.
    until: Option<Instant>,
}

#[derive(Debug)]
struct Barrier {
    /// Ascending, and apart.
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

    /// The ranges that there is room for: these, or all keys from the first to the last.
    pub(super) fn fitting(&self, ranges: Vec<KeyRange>) -> Vec<KeyRange> {
        match ranges.as_slice() {
            [first, .., last] if self.ranges + ranges.len() > limits::BARRIERS_RANGES_MAX => {
                KeyRange::new(first.first(), last.last()).into_iter().collect()
            },
            _ => ranges,
        }
    }

    /// Readers of these keys, ascending and apart, wait for the mark, until a time at most.
    pub(super) fn set(
        &mut self,
        slot: SlotIndex,
        mark: Mark,
        ranges: Vec<KeyRange>,
        until: Instant,
    ) {
        self.remove((slot, mark));
        self.ranges += ranges.len();
        self.set.insert((slot, mark), Barrier { ranges, until });
        self.until = Some(self.until.map_or(until, |least| least.min(until)));
    }

    fn remove(&mut self, place: (SlotIndex, Mark)) {
        let removed = self.set.remove(&place);
        self.ranges -= removed.map_or(0, |barrier| barrier.ranges.len());
    }

    /// Whether one of a slot covers what `covers` asks of the ranges of one, ascending and apart.
    pub(super) fn cover(&self, slot: SlotIndex, covers: impl Fn(&[KeyRange]) -> bool) -> bool {
        let mut of_slot = self.set.range((slot, Mark(0))..=(slot, Mark(u64::MAX)));
        of_slot.any(|(_, barrier)| covers(&barrier.ranges))
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
            self.remove((slot, mark));
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
        let (before, ranges) = (self.set.len(), &mut self.ranges);
        self.set.retain(|(slot, mark), barrier| {
            let over = barrier.until <= now;
            if over {
                *ranges -= barrier.ranges.len();
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
            barriers.cover(slot, |all| all.iter().any(|it| it.contains(crate::key::Key(at))))
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

    /// More ranges than there is room for cost no more: readers of what lies between wait too.
    #[test]
    fn the_ranges_of_all_barriers_are_bounded_and_given_back() {
        let single = |key| KeyRange::single(crate::key::Key(key));
        let ranges: Vec<_> =
            (0..limits::BARRIER_RANGES_MAX as u64).map(|at| single(2 * at)).collect();
        let mut barriers = Barriers::default();
        let slot = SlotIndex(0);
        for mark in 1..=limits::BARRIERS_MAX as u64 {
            let fitting = barriers.fitting(ranges.clone());
            barriers.set(slot, Mark(mark), fitting, Instant(mark));
        }
        let most = limits::BARRIERS_RANGES_MAX + limits::BARRIERS_MAX;
        assert!((limits::BARRIERS_RANGES_MAX..=most).contains(&barriers.ranges));
        let hull = KeyRange::new(ranges[0].first(), ranges[ranges.len() - 1].last()).unwrap();
        assert_eq!(barriers.fitting(ranges.clone()), [hull]);
        // One that is announced again takes the place of what it was.
        let before = barriers.ranges;
        barriers.set(slot, Mark(1), vec![hull], Instant(1));
        assert_eq!(barriers.ranges, before + 1 - ranges.len());
        assert!(barriers.time(Instant(100), |_, _| {}) && barriers.come(slot, Mark(9999), |_| {}));
        assert_eq!(barriers.ranges, 0);
        assert_eq!(barriers.fitting(ranges.clone()), ranges);
    }
}
