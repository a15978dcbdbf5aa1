//! The range vector clock of one shard: for each member of the group a tick at every key, held by
//! range (law 1; OSDI'14 section 4.1, Algorithm 2). It decides nothing: policies read it.
//!
//! With `K` the shard's keys, `M` its members and `c(r, k)` the tick of member `r` at key `k`:
//! - I1 (tiling) for each `r` in `M` the ranges of `r` are disjoint and their union is `K`.
//! - I2 (advance) after `advance(r, R, t)`: `c'(r, k) = max(c(r, k), t)` for `k` in `R` and `K`,
//!   and `c' = c` elsewhere; `advance_all(r, t)` is `R = K`. So a tick never goes back.
//! - I3 (coalescing) two ranges of `r` that touch hold different ticks: only equal ticks coalesce.
//! - I4 (collapse) a worker whose keys all agree is held as one tick, whatever `K` is.
//! - I5 (split, merge) `split_off(S)` leaves `K - S` here and `K & S` there, `merge` needs
//!   disjoint keys and makes their union; `c(r, k)` stays for every `r` and `k`.
//! - I6 (bounded) no worker holds more than `CLOCK_RANGES_MAX` ranges.
//! - I7 (order) `order = { (min over k of c(r, k), r) : r in M }`, which is what makes the laggard
//!   known without a walk over members or keys.

use std::collections::{BTreeMap, BTreeSet};

use super::worker_ticks::WorkerTicks;
use crate::id::{Rank, Tick};
use crate::key::{Key, KeyRange, RangeSet};
use crate::limits::CLOCK_RANGES_MAX;

/// A change that a clock refused. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClockError {
    /// The worker is not a member.
    #[error("{rank} is not a member of this clock")]
    NotMember {
        /// The worker named.
        rank: Rank,
    },
    /// The worker's ticks would fall into too many ranges.
    #[error("the clock of {rank} would need more than {limit} ranges")]
    TooManyRanges {
        /// The worker named.
        rank: Rank,
        /// [`CLOCK_RANGES_MAX`].
        limit: usize,
    },
    /// Two clocks to merge both hold these keys.
    #[error("{range} are in both clocks")]
    Overlap {
        /// The first keys in both.
        range: KeyRange,
    },
    /// Two clocks to merge have different members, so that some tick would be unknown.
    #[error("{rank} is a member of one clock only")]
    MembersDiffer {
        /// The lowest such member.
        rank: Rank,
    },
}

/// The range vector clock of one shard.
///
/// While every worker's ticks agree over all keys, as they do after each worker's own Tick, every
/// operation but a split or merge costs O(log members), whatever the number of keys.
///
/// ```
/// use archipelago::clock::RangeClock;
/// use archipelago::id::{Rank, Tick};
/// use archipelago::key::{Key, KeyRange, RangeSet};
/// let keys = KeyRange::new(Key(0), Key(99)).expect("0 <= 99");
/// let mut clock = RangeClock::new(RangeSet::from(keys));
/// clock.join(Rank(0), Tick(1));
/// clock.join(Rank(1), Tick(1));
///
/// let front = KeyRange::new(Key(0), Key(9)).expect("0 <= 9");
/// clock.advance(Rank(0), front, Tick(2))?;
/// clock.advance_all(Rank(1), Tick(2))?;
/// assert_eq!(clock.min(), Some((Tick(1), Rank(0))));
/// assert_eq!(clock.min_over(&front), Some((Tick(2), Rank(0))));
/// # Ok::<(), archipelago::clock::ClockError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RangeClock {
    keys: RangeSet,
    workers: BTreeMap<Rank, WorkerTicks>,
    order: BTreeSet<(Tick, Rank)>,
}

impl RangeClock {
    /// The clock of a shard that owns `keys`, without members.
    pub fn new(keys: RangeSet) -> Self {
        Self::from_parts(keys, BTreeMap::new())
    }

    /// The shard's keys.
    pub fn keys(&self) -> &RangeSet {
        &self.keys
    }

    /// Makes `rank` a member with every key at `tick`. A member stays one, and its ticks never go
    /// back: to start a rank over, [`remove`](Self::remove) it first.
    pub fn join(&mut self, rank: Rank, tick: Tick) {
        let ticks = self.workers.entry(rank).or_insert(WorkerTicks::One(tick));
        self.order.remove(&(ticks.least(), rank));
        ticks.advance_all(tick);
        self.order.insert((ticks.least(), rank));
    }

    /// Forgets a member; `false` when it was none.
    pub fn remove(&mut self, rank: Rank) -> bool {
        let Some(ticks) = self.workers.remove(&rank) else {
            return false;
        };
        self.order.remove(&(ticks.least(), rank))
    }

    /// The members, by rank.
    pub fn members(&self) -> impl ExactSizeIterator<Item = Rank> + '_ {
        self.workers.keys().copied()
    }

    /// Whether `rank` is a member.
    pub fn contains(&self, rank: Rank) -> bool {
        self.workers.contains_key(&rank)
    }

    /// Raises the worker's keys in `range` to `tick` (I2). Keys that the shard does not own are
    /// left out, as the paper's messages are cut at a receiver's ends.
    ///
    /// Cost: logarithmic, plus the worker's ranges that lie in `range`; the shard's ranges instead
    /// when this is where a collapsed worker's keys begin to differ.
    ///
    /// # Errors
    /// `NotMember`, or `TooManyRanges` when the worker would hold more than [`CLOCK_RANGES_MAX`].
    pub fn advance(&mut self, rank: Rank, range: KeyRange, tick: Tick) -> Result<(), ClockError> {
        let keys = &self.keys;
        let ticks = self.workers.get_mut(&rank).ok_or(ClockError::NotMember { rank })?;
        let before = ticks.least();
        ticks.advance(keys, &range, tick, CLOCK_RANGES_MAX).map_err(|_| too_many_ranges(rank))?;
        let after = ticks.least();
        self.reorder(rank, before, after);
        Ok(())
    }

    /// Raises all the worker's keys to `tick` and collapses its ranges to one; keys already above
    /// the tick keep theirs. Cost: O(log members) once collapsed, else linear in its ranges.
    ///
    /// # Errors
    /// `NotMember`.
    pub fn advance_all(&mut self, rank: Rank, tick: Tick) -> Result<(), ClockError> {
        let ticks = self.workers.get_mut(&rank).ok_or(ClockError::NotMember { rank })?;
        let before = ticks.least();
        ticks.advance_all(tick);
        let after = ticks.least();
        self.reorder(rank, before, after);
        Ok(())
    }

    /// The worker's tick at a key; `None` for a stranger or a key the shard does not own.
    pub fn tick_at(&self, rank: Rank, key: Key) -> Option<Tick> {
        let ticks = self.workers.get(&rank)?;
        self.keys.contains(key).then(|| ticks.at(key))?
    }

    /// The worker's lowest tick; `None` for a stranger or a shard without keys.
    pub fn worker_min(&self, rank: Rank) -> Option<Tick> {
        let ticks = self.workers.get(&rank)?;
        (!self.keys.is_empty()).then(|| ticks.least())
    }

    /// The laggard: the lowest tick, and the lowest rank that is there. `None` without members or
    /// without keys.
    pub fn min(&self) -> Option<(Tick, Rank)> {
        self.order.first().copied().filter(|_| !self.keys.is_empty())
    }

    /// The laggard over the shard's keys in `range`; `None` when there are no such keys or no
    /// members. Cost: logarithmic, plus a walk of those workers' ranges in `range` whose lowest
    /// tick, somewhere, lies below the answer.
    pub fn min_over(&self, range: &KeyRange) -> Option<(Tick, Rank)> {
        self.keys.intersect(*range).next()?;
        let mut laggard = None;
        for &(least, rank) in &self.order {
            // By I7 nobody from here on is below `least` at any key.
            if laggard.is_some_and(|found| found < (least, rank)) {
                break;
            }
            let tick = self.workers.get(&rank).and_then(|ticks| ticks.least_over(range));
            laggard = tick.map(|tick| (tick, rank)).into_iter().chain(laggard).min();
        }
        laggard
    }

    /// The worker's ranges with their ticks, in order; they tile the shard's keys (I1). Nothing
    /// for a stranger.
    pub fn ranges(&self, rank: Rank) -> impl Iterator<Item = (KeyRange, Tick)> + '_ {
        self.workers.get(&rank).into_iter().flat_map(|ticks| ticks.pieces(&self.keys))
    }

    /// How many ranges are held over all members; a collapsed worker counts one. Cost: linear in
    /// the members.
    pub fn range_count(&self) -> usize {
        self.workers.values().map(WorkerTicks::len).sum()
    }

    /// Takes the keys of `keys` out into a clock of their own, with the same members and every
    /// tick kept (I5). Cost: linear in the members and their ranges.
    #[must_use]
    pub fn split_off(&mut self, keys: &RangeSet) -> Self {
        let (taken, kept) = (self.keys.intersection(keys), self.keys.difference(keys));
        let split = self.restrict(taken);
        *self = self.restrict(kept);
        split
    }

    /// Adds the keys of `other`, every tick kept (I5). Cost: linear in the members and ranges.
    ///
    /// # Errors
    /// `Overlap` when a key is in both; `MembersDiffer` when the members are not the same;
    /// `TooManyRanges`. Whoever may want `other` back after an error keeps a copy.
    pub fn merge(&mut self, other: Self) -> Result<(), ClockError> {
        if let Some(range) = self.keys.intersection(&other.keys).iter().next() {
            return Err(ClockError::Overlap { range });
        }
        let (ours, theirs): (BTreeSet<_>, BTreeSet<_>) =
            (self.members().collect(), other.members().collect());
        if let Some(&rank) = ours.symmetric_difference(&theirs).next() {
            return Err(ClockError::MembersDiffer { rank });
        }
        let mut workers = BTreeMap::new();
        for ((&rank, ours), theirs) in self.workers.iter().zip(other.workers.values()) {
            let merged = ours.union(&self.keys, theirs, &other.keys);
            if merged.len() > CLOCK_RANGES_MAX {
                return Err(too_many_ranges(rank));
            }
            workers.insert(rank, merged);
        }
        let keys = self.keys.iter().chain(other.keys.iter()).collect();
        *self = Self::from_parts(keys, workers);
        Ok(())
    }

    fn from_parts(keys: RangeSet, workers: BTreeMap<Rank, WorkerTicks>) -> Self {
        let order = workers.iter().map(|(&rank, ticks)| (ticks.least(), rank)).collect();
        Self { keys, workers, order }
    }

    fn restrict(&self, keys: RangeSet) -> Self {
        let narrow = |ticks: &WorkerTicks| ticks.restrict(&self.keys, &keys);
        let workers = self.workers.iter().map(|(&rank, ticks)| (rank, narrow(ticks))).collect();
        Self::from_parts(keys, workers)
    }

    /// Restores I7 after a change of one worker.
    fn reorder(&mut self, rank: Rank, before: Tick, after: Tick) {
        debug_assert!(before <= after, "{rank} went back from {before} to {after}");
        if before != after {
            let known = self.order.remove(&(before, rank));
            debug_assert!(known, "{rank} was not in order at {before}");
            self.order.insert((after, rank));
        }
    }
}

fn too_many_ranges(rank: Rank) -> ClockError {
    ClockError::TooManyRanges { rank, limit: CLOCK_RANGES_MAX }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::key::range_set_tests::{edge_range, edge_set, probes};

    /// The model of law 1: a tick for each member and probed key.
    type Model = BTreeMap<Rank, BTreeMap<Key, Tick>>;

    #[derive(Clone, Debug)]
    enum Step {
        Join(Rank, Tick),
        Remove(Rank),
        Advance(Rank, KeyRange, Tick),
        AdvanceAll(Rank, Tick),
        Split(RangeSet),
        Merge,
    }

    fn step() -> impl Strategy<Value = Step> {
        let rank = || (0..4_u32).prop_map(Rank);
        let tick = || (0..6_u64).prop_map(Tick);
        prop_oneof![
            2 => (rank(), tick()).prop_map(|(r, t)| Step::Join(r, t)),
            1 => rank().prop_map(Step::Remove),
            8 => (rank(), edge_range(), tick()).prop_map(|(r, k, t)| Step::Advance(r, k, t)),
            2 => (rank(), tick()).prop_map(|(r, t)| Step::AdvanceAll(r, t)),
            1 => edge_set().prop_map(Step::Split),
            1 => Just(Step::Merge),
        ]
    }

    fn raise(model: &mut Model, rank: Rank, range: KeyRange, tick: Tick) {
        let keys = model.get_mut(&rank).into_iter().flatten();
        keys.filter(|(key, _)| range.contains(**key)).for_each(|(_, t)| *t = tick.max(*t));
    }

    fn apply(step: &Step, parts: &mut Vec<RangeClock>, keys: &RangeSet, model: &mut Model) {
        match step.clone() {
            Step::Join(rank, tick) => {
                parts.iter_mut().for_each(|part| part.join(rank, tick));
                let new = || probes().filter(|&k| keys.contains(k)).map(|k| (k, tick)).collect();
                model.entry(rank).or_insert_with(new);
                raise(model, rank, KeyRange::ALL, tick);
            },
            Step::Remove(rank) => {
                let known = model.remove(&rank).is_some();
                parts.iter_mut().for_each(|part| assert_eq!(part.remove(rank), known));
            },
            Step::Advance(rank, range, tick) => {
                for part in parts {
                    let known = part.contains(rank);
                    assert_eq!(part.advance(rank, range, tick).is_ok(), known);
                }
                raise(model, rank, range, tick);
            },
            Step::AdvanceAll(rank, tick) => {
                for part in parts {
                    assert_eq!(part.advance_all(rank, tick).is_ok(), part.contains(rank));
                }
                raise(model, rank, KeyRange::ALL, tick);
            },
            Step::Split(taken) => {
                let split: Vec<_> = parts.iter_mut().map(|part| part.split_off(&taken)).collect();
                parts.extend(split);
            },
            Step::Merge => {
                let last = parts.pop().unwrap();
                match parts.last_mut() {
                    Some(part) => part.merge(last).unwrap(),
                    None => parts.push(last),
                }
            },
        }
    }

    /// Compares everything a clock can be asked with the model, and its ranges with I1, I3, I4.
    fn check(part: &RangeClock, model: &Model, window: &KeyRange) {
        let held = |key: &Key| part.keys().contains(*key);
        assert!(part.members().eq(model.keys().copied()));
        let mut range_count = 0;
        for (&rank, ticks) in model {
            for (key, tick) in ticks {
                assert_eq!(part.tick_at(rank, *key), held(key).then_some(*tick));
            }
            let here = || ticks.iter().filter(|(key, _)| held(key)).map(|(_, tick)| *tick);
            assert_eq!(part.worker_min(rank), here().min());

            let ranges: Vec<_> = part.ranges(rank).collect();
            assert_eq!(&ranges.iter().map(|(range, _)| *range).collect::<RangeSet>(), part.keys());
            let count: u128 = ranges.iter().map(|(range, _)| range.count()).sum();
            assert_eq!(count, part.keys().count(), "ranges overlap");
            for [(a, t), (b, u)] in ranges.array_windows() {
                assert!(a.last() < b.first() && (a.last().0 + 1 < b.first().0 || t != u));
            }
            range_count += if here().min() == here().max() { 1 } else { ranges.len() };
        }
        assert_eq!(part.range_count(), range_count);
        let laggard = |range: &KeyRange| {
            let all =
                model.iter().flat_map(|(&r, ticks)| ticks.iter().map(move |(k, t)| (k, t, r)));
            all.filter(|(k, ..)| held(k) && range.contains(**k)).map(|(_, t, r)| (*t, r)).min()
        };
        assert_eq!(part.min(), laggard(&KeyRange::ALL));
        assert_eq!(part.min_over(window), laggard(window));
    }

    proptest! {
        #[test]
        fn law_1_against_a_tick_per_key(
            keys in edge_set(),
            steps in prop::collection::vec(step(), 1..40),
            window in edge_range(),
        ) {
            let mut parts = vec![RangeClock::new(keys.clone())];
            let mut model = Model::new();
            for step in steps {
                apply(&step, &mut parts, &keys, &mut model);
                parts.iter().for_each(|part| check(part, &model, &window));
            }
        }
    }

    fn range(first: u64, last: u64) -> KeyRange {
        KeyRange::new(Key(first), Key(last)).unwrap()
    }

    #[test]
    fn one_set_makes_at_most_three_ranges() {
        let mut clock = RangeClock::new(RangeSet::from(KeyRange::ALL));
        clock.join(Rank(7), Tick(1));
        clock.advance(Rank(7), range(10, 19), Tick(4)).unwrap();
        let expected =
            [(range(0, 9), Tick(1)), (range(10, 19), Tick(4)), (range(20, u64::MAX), Tick(1))];
        assert!(clock.ranges(Rank(7)).eq(expected));
        clock.advance_all(Rank(7), Tick(5)).unwrap();
        assert_eq!(clock.range_count(), 1);
    }

    #[test]
    fn a_refused_advance_changes_nothing() {
        let mut clock = RangeClock::new(RangeSet::from(KeyRange::ALL));
        clock.join(Rank(0), Tick(1));
        let every_other = |index| KeyRange::single(Key(2 * index));
        // Each of these adds two ranges, but the first key has nothing before it.
        for index in 0..CLOCK_RANGES_MAX as u64 / 2 {
            clock.advance(Rank(0), every_other(index), Tick(2)).unwrap();
        }
        assert_eq!(clock.range_count(), CLOCK_RANGES_MAX);
        let before = clock.clone();
        let refused = clock.advance(Rank(0), range(1 << 60, 1 << 61), Tick(3));
        assert_eq!(refused, Err(too_many_ranges(Rank(0))));
        assert!(clock == before);
        clock.advance(Rank(0), range(0, 2), Tick(3)).unwrap();
        assert!(clock.range_count() < CLOCK_RANGES_MAX);
    }

    #[test]
    fn clocks_that_would_not_tile_do_not_merge() {
        let mut left = RangeClock::new(RangeSet::from(range(0, 9)));
        left.join(Rank(1), Tick(1));
        let mut right = RangeClock::new(RangeSet::from(range(9, 20)));
        right.join(Rank(1), Tick(1));
        let overlap = ClockError::Overlap { range: range(9, 9) };
        assert_eq!(left.merge(right.clone()), Err(overlap));
        let _nine = right.split_off(&RangeSet::from(range(9, 9)));
        right.join(Rank(0), Tick(1));
        let differ = ClockError::MembersDiffer { rank: Rank(0) };
        assert_eq!(left.merge(right.clone()), Err(differ));
        right.remove(Rank(0));
        assert_eq!(left.merge(right), Ok(()));
        assert_eq!(left.keys().as_slice(), [range(0, 20)]);
    }
}
