//! Copies in step: what all data centres have told of a tick, until all have.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;

use super::delta::held_bytes;
use crate::id::{DataCentre, ServerId, Tick};
use crate::key::Key;
use crate::limits;
use crate::wire::Delta;

/// What was told of ticks that have not been settled.
#[derive(Debug)]
pub(in crate::node) struct Stash {
    /// Flat, for a tree of its own for each place takes more than most deltas.
    held: BTreeMap<(Tick, Key, DataCentre), Vec<Delta>>,
    /// How much each data centre has told of each tick that is not settled.
    told: BTreeMap<(Tick, DataCentre), usize>,
    /// How much one may tell of two ticks.
    share: usize,
    /// The weights of rounds, as each server has told them with what it owns.
    weights: BTreeMap<Weighed, f64>,
    settling: VecDeque<(Tick, Key)>,
    /// The last tick whose steps have begun.
    begun: Tick,
    /// What everything that is held takes in memory.
    bytes: usize,
    /// The last tick that has been settled: all of it is in the values.
    pub(in crate::node) settled: Tick,
}

/// Of which round a weight is, and who has told it.
type Weighed = (Tick, DataCentre, ServerId);

/// Whether there is room for what others tell of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Room {
    /// There is.
    Left,
    /// It need not be held: the tick's steps have begun, or it is told by somebody so far ahead
    /// that it does not wait for this data centre.
    Needless,
    /// It is one of the next two ticks, and its sender has told more of them than it can have.
    Full,
}

impl Stash {
    /// For a shard with so many rows that are told one by one at worst, of so many bytes each; 0
    /// rows where their number is not known.
    pub(in crate::node) fn new(rows: u128, row_bytes: usize) -> Self {
        let row = row_bytes.saturating_add(16 + limits::MIRROR_HELD_DELTA_BYTES);
        let rows = usize::try_from(rows).unwrap_or(usize::MAX);
        let twice = rows.saturating_mul(row).saturating_mul(2);
        Self {
            held: BTreeMap::new(),
            told: BTreeMap::new(),
            share: twice.max(limits::MIRROR_STASH_SHARE_BYTES_MIN),
            weights: BTreeMap::new(),
            settling: VecDeque::new(),
            begun: Tick(0),
            bytes: 0,
            settled: Tick(0),
        }
    }

    /// How much one may tell of two ticks.
    pub(in crate::node) fn share(&self) -> usize {
        self.share
    }

    /// Keeps what a data centre tells of a block or sparse slot.
    pub(in crate::node) fn hold(&mut self, tick: Tick, unit: Key, from: DataCentre, delta: Delta) {
        let bytes = held_bytes(&delta);
        *self.told.entry((tick, from)).or_default() += bytes;
        self.bytes += bytes;
        // Most places have one.
        let held = self.held.entry((tick, unit, from));
        held.or_insert_with(|| Vec::with_capacity(1)).push(delta);
    }

    /// Whether what a data centre tells of a tick is still to be held: its steps have not begun,
    /// and it is one of the next two, or there is room. Only somebody who does not wait for this
    /// data centre can be further ahead of it.
    pub(in crate::node) fn room(&self, tick: Tick, from: DataCentre, delta: &Delta) -> Room {
        if self.is_late(tick) {
            return Room::Needless;
        }
        let last = self.settled.max(self.begun);
        let near = [1, 2].map(|ahead| Tick(last.0.saturating_add(ahead)));
        if near.contains(&tick) {
            let told = near.map(|tick| self.told.get(&(tick, from)).copied().unwrap_or_default());
            let full = told[0] + told[1] + held_bytes(delta) > self.share;
            return if full { Room::Full } else { Room::Left };
        }
        let room = self.bytes + held_bytes(delta) <= limits::MIRROR_STASH_BYTES_MAX;
        if room { Room::Left } else { Room::Needless }
    }

    /// Whether a tick is settled, or its steps have begun.
    pub(in crate::node) fn is_late(&self, tick: Tick) -> bool {
        tick <= self.settled.max(self.begun)
    }

    /// Keeps the weight of the own data centre's contributions to a round.
    pub(in crate::node) fn weigh(&mut self, tick: Tick, here: (DataCentre, ServerId), weight: f64) {
        self.weights.insert((tick, here.0, here.1), weight);
    }

    /// Keeps what a server of another one has told of its weight, or not, where there is no room:
    /// only somebody who does not wait for this one can be further ahead than two ticks.
    pub(in crate::node) fn weigh_told(
        &mut self,
        tick: Tick,
        (of, from): (DataCentre, ServerId),
        weight: f64,
    ) -> Room {
        if self.is_late(tick) {
            return Room::Needless;
        }
        let room = self.is_near(tick) || self.weights.len() < limits::MIRROR_WEIGHTS_MAX;
        if room {
            self.weights.insert((tick, of, from), weight);
        }
        if room { Room::Left } else { Room::Full }
    }

    /// Whether it is one of the next two ticks.
    fn is_near(&self, tick: Tick) -> bool {
        let last = self.settled.max(self.begun);
        last < tick && tick.0 - last.0 <= 2
    }

    /// The first tick after those that are settled of which anything was told.
    pub(in crate::node) fn next_told(&self) -> Option<Tick> {
        let after = self.settled.next();
        let held = self.held.range((after, Key(0), DataCentre(0))..).next();
        let held = held.map(|((tick, ..), _)| *tick);
        let weighed = self.weights.range((after, DataCentre(0), ServerId(0))..).next();
        held.into_iter().chain(weighed.map(|((tick, ..), _)| *tick)).min()
    }

    /// The tick's steps begin.
    pub(in crate::node) fn settle(&mut self, tick: Tick) {
        let mut units: Vec<_> = self.of_tick(tick).map(|(_, unit, _)| (tick, unit)).collect();
        units.dedup();
        self.begun = tick;
        self.settling.extend(units);
    }

    /// Leaves out what some data centres have told of a tick, weights included; how many deltas.
    pub(in crate::node) fn leave_out(
        &mut self,
        tick: Tick,
        out: impl Fn(DataCentre) -> bool,
    ) -> usize {
        let mut left = 0;
        let lost: Vec<_> = self.of_tick(tick).filter(|(.., from)| out(*from)).collect();
        for place in lost {
            left += self.remove(place).len();
        }
        let weighed: Vec<_> = self.weights.range(of_round(tick)).map(|(it, _)| *it).collect();
        for place in weighed.into_iter().filter(|(_, from, _)| out(*from)) {
            self.weights.remove(&place);
        }
        left
    }

    /// The next step: what was told of a unit, in order of the data centres.
    pub(in crate::node) fn next_step(
        &mut self,
    ) -> Option<(Tick, Key, BTreeMap<DataCentre, Vec<Delta>>)> {
        let (tick, unit) = self.settling.pop_front()?;
        let all = (tick, unit, DataCentre(0))..=(tick, unit, DataCentre(u32::MAX));
        let from: Vec<_> = self.held.range(all).map(|((.., from), _)| *from).collect();
        let told = from.into_iter().map(|from| (from, self.remove((tick, unit, from)))).collect();
        Some((tick, unit, told))
    }

    /// Where anything is held of a tick.
    fn of_tick(&self, tick: Tick) -> impl Iterator<Item = (Tick, Key, DataCentre)> {
        let (first, last) = (DataCentre(0), DataCentre(u32::MAX));
        let all = (tick, Key(0), first)..=(tick, Key(u64::MAX), last);
        self.held.range(all).map(|(place, _)| *place)
    }

    fn remove(&mut self, place: (Tick, Key, DataCentre)) -> Vec<Delta> {
        let deltas = self.held.remove(&place).unwrap_or_default();
        self.bytes -= deltas.iter().map(held_bytes).sum::<usize>();
        deltas
    }

    /// Everything that is held, for a history.
    pub(in crate::node) fn deltas(&self) -> impl Iterator<Item = &Delta> {
        self.held.values().flatten()
    }

    /// The last tick that anything was told of.
    pub(in crate::node) fn last_tick(&self) -> Tick {
        let told = self.held.last_key_value().map_or(Tick(0), |((tick, ..), _)| *tick);
        let weighed = self.weights.last_key_value().map_or(Tick(0), |((tick, ..), _)| *tick);
        told.max(weighed)
    }

    /// Whether steps are left.
    pub(in crate::node) fn is_settling(&self) -> bool {
        !self.settling.is_empty()
    }

    /// What was told of the weights of a round, in order of the data centres, and by whom.
    pub(in crate::node) fn weights(
        &self,
        tick: Tick,
    ) -> impl Iterator<Item = (DataCentre, ServerId, f64)> {
        self.weights.range(of_round(tick)).map(|((_, of, from), weight)| (*of, *from, *weight))
    }

    /// The tick is settled.
    pub(in crate::node) fn settled(&mut self, tick: Tick) {
        self.settled = tick;
        self.weights = self.weights.split_off(&(tick.next(), DataCentre(0), ServerId(0)));
        self.told = self.told.split_off(&(tick.next(), DataCentre(0)));
    }
}

/// All that may be told of the weight of a round.
fn of_round(tick: Tick) -> RangeInclusive<Weighed> {
    let (first, last) = ((DataCentre(0), ServerId(0)), (DataCentre(u32::MAX), ServerId(u32::MAX)));
    (tick, first.0, first.1)..=(tick, last.0, last.1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyRange;
    use crate::wire::{Positions, RowsNamed, Trimmed};

    fn delta(rows: u64) -> Delta {
        let range = KeyRange::from_count(Key(0), rows.max(1)).unwrap();
        let values = Trimmed::from_slice(&vec![1.0_f32; rows as usize]);
        Delta { rows: RowsNamed::Block(range), positions: None, values }
    }

    /// Tells until there is no room; what that cost.
    fn tell(stash: &mut Stash, tick: u64, from: u32) -> usize {
        let (tick, from, delta) = (Tick(tick), DataCentre(from), delta(1000));
        let mut told = 0;
        while told < 10 * stash.share && stash.room(tick, from, &delta) == Room::Left {
            stash.hold(tick, Key(0), from, delta.clone());
            told += held_bytes(&delta);
        }
        told
    }

    /// Whatever others tell, and whatever it has told of later ticks; each tick that is settled
    /// makes room.
    #[test]
    fn a_sender_has_a_share_of_the_next_two_ticks() {
        let mut stash = Stash { share: 1 << 20, ..Stash::new(0, 4) };
        assert!(tell(&mut stash, 9, 1) > 5 << 20, "of later ones there is more room");
        let share = tell(&mut stash, 2, 1);
        assert!(share <= 1 << 20 && share + held_bytes(&delta(1000)) > 1 << 20, "{share}");
        assert_eq!(stash.room(Tick(1), DataCentre(1), &delta(1000)), Room::Full);
        assert_eq!(tell(&mut stash, 1, 2), share, "another one has its own");
        stash.settled(Tick(1));
        assert_eq!(stash.room(Tick(1), DataCentre(1), &delta(1)), Room::Needless);
        assert_eq!(tell(&mut stash, 3, 2), share);
        assert_eq!(stash.room(Tick(3), DataCentre(1), &delta(1000)), Room::Full, "of tick 2");
        stash.settled(Tick(2));
        assert_eq!(tell(&mut stash, 3, 1), share);
    }

    /// Deltas of nothing take what the structures that hold them take, whether each has a place of
    /// its own or all have one: what is counted is that within a factor of two.
    #[test]
    fn a_tiny_delta_costs_what_it_takes_in_memory() {
        const COUNT: u64 = 2000;
        let empty = || Delta { positions: Positions::new(&[]).ok(), ..delta(0) };
        for far in [1, 0] {
            let mut stash = Stash::new(0, 4);
            for at in 1..=COUNT {
                stash.hold(Tick(1 + far * at), Key(0), DataCentre(1), empty());
            }
            // A leaf of a tree has room for 11 entries, and is half full when they ascend.
            let entry = size_of::<((Tick, Key, DataCentre), Vec<Delta>)>() * 11 / 6;
            let told = size_of::<((Tick, DataCentre), usize)>() * 11 / 6;
            let room: usize = stash.held.values().map(Vec::capacity).sum();
            let places = stash.held.len() * (entry + told) + room * size_of::<Delta>();
            let counted = stash.bytes;
            assert!(counted <= 2 * places && places <= 2 * counted, "{counted}, not {places}");
        }
    }

    /// Told of ticks far ahead without end, it ends; also when each delta is of nothing.
    #[test]
    fn tiny_deltas_fill_a_stash_by_what_they_take() {
        let empty = Delta { positions: Positions::new(&[]).ok(), ..delta(0) };
        let bytes = limits::MIRROR_STASH_BYTES_MAX - held_bytes(&empty);
        let mut stash = Stash { bytes, ..Stash::new(0, 4) };
        assert_eq!(stash.room(Tick(9), DataCentre(1), &empty), Room::Left);
        stash.hold(Tick(9), Key(0), DataCentre(1), empty.clone());
        assert_eq!(stash.room(Tick(10), DataCentre(1), &empty), Room::Needless);
        stash.settle(Tick(9));
        assert!(stash.next_step().is_some());
        assert_eq!(stash.bytes, bytes);
    }

    /// Two ticks of all rows, each told alone, are never too much.
    #[test]
    fn a_share_is_enough_for_a_dense_shard() {
        assert_eq!(Stash::new(0, 4).share, limits::MIRROR_STASH_SHARE_BYTES_MIN);
        let (large, row) = (Stash::new(1 << 30, 4), delta(1));
        assert!(large.share >= 2 * (1 << 30) * held_bytes(&row));
        assert_eq!(Stash::new(u128::MAX, usize::MAX).share, usize::MAX);
    }
}
