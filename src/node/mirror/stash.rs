//! Copies in step: what all data centres have told of a tick, until all have.

use std::collections::{BTreeMap, VecDeque};

use crate::id::{DataCentre, Tick};
use crate::key::Key;
use crate::limits;
use crate::wire::Delta;

/// What was told of ticks that have not been settled.
#[derive(Debug)]
pub(in crate::node) struct Stash {
    held: BTreeMap<(Tick, Key), BTreeMap<DataCentre, Vec<Delta>>>,
    /// How much each data centre has told of each tick that is not settled.
    told: BTreeMap<(Tick, DataCentre), usize>,
    /// How much one may tell of two ticks.
    share: usize,
    weights: BTreeMap<(Tick, DataCentre), f64>,
    settling: VecDeque<(Tick, Key)>,
    /// The last tick whose steps have begun.
    begun: Tick,
    bytes: usize,
    /// The last tick that has been settled: all of it is in the values.
    pub(in crate::node) settled: Tick,
}

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
        let row = row_bytes.saturating_add(16 + limits::MIRROR_DELTA_BYTES);
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

    /// Keeps what a data centre tells of a block or sparse slot.
    pub(in crate::node) fn hold(&mut self, tick: Tick, unit: Key, from: DataCentre, delta: Delta) {
        *self.told.entry((tick, from)).or_default() += delta.cost();
        self.bytes += delta.cost();
        self.held.entry((tick, unit)).or_default().entry(from).or_default().push(delta);
    }

    /// Whether what a data centre tells of a tick is still to be held: its steps have not begun,
    /// and it is one of the next two, or there is room. Only somebody who does not wait for this
    /// data centre can be further ahead of it.
    pub(in crate::node) fn room(&self, tick: Tick, from: DataCentre, delta: &Delta) -> Room {
        let last = self.settled.max(self.begun);
        let near = [1, 2].map(|ahead| Tick(last.0.saturating_add(ahead)));
        if tick <= last {
            return Room::Needless;
        }
        if near.contains(&tick) {
            let told = near.map(|tick| self.told.get(&(tick, from)).copied().unwrap_or_default());
            let full = told[0] + told[1] + delta.cost() > self.share;
            return if full { Room::Full } else { Room::Left };
        }
        let room = self.bytes + delta.cost() <= limits::MIRROR_STASH_BYTES_MAX;
        if room { Room::Left } else { Room::Needless }
    }

    /// Keeps the weight of a data centre's contributions to a round. Only somebody who does not
    /// wait for this one can tell more than there is room for.
    pub(in crate::node) fn weigh(&mut self, tick: Tick, from: DataCentre, weight: f64) {
        if tick > self.settled && self.weights.len() < limits::MIRROR_WEIGHTS_MAX {
            self.weights.insert((tick, from), weight);
        }
    }

    /// The first tick after those that are settled of which anything was told.
    pub(in crate::node) fn next_told(&self) -> Option<Tick> {
        let after = self.settled.next();
        let held = self.held.range((after, Key(0))..).next().map(|((tick, _), _)| *tick);
        let weighed = self.weights.range((after, DataCentre(0))..).next();
        held.into_iter().chain(weighed.map(|((tick, _), _)| *tick)).min()
    }

    /// The tick's steps begin.
    pub(in crate::node) fn settle(&mut self, tick: Tick) {
        let units = self.held.range((tick, Key(0))..=(tick, Key(u64::MAX)));
        self.begun = tick;
        self.settling.extend(units.map(|(place, _)| *place));
    }

    /// Leaves out what some data centres have told of a tick, weights included; how many deltas.
    pub(in crate::node) fn leave_out(
        &mut self,
        tick: Tick,
        out: impl Fn(DataCentre) -> bool,
    ) -> usize {
        let mut left = 0;
        for (_, told) in self.held.range_mut((tick, Key(0))..=(tick, Key(u64::MAX))) {
            told.retain(|from, deltas| {
                let stays = !out(*from);
                if !stays {
                    left += deltas.len();
                    self.bytes -= deltas.iter().map(Delta::cost).sum::<usize>();
                }
                stays
            });
        }
        let of_tick = (tick, DataCentre(0))..=(tick, DataCentre(u32::MAX));
        let weighed: Vec<_> = self.weights.range(of_tick).map(|(place, _)| *place).collect();
        for place in weighed.into_iter().filter(|(_, from)| out(*from)) {
            self.weights.remove(&place);
        }
        left
    }

    /// The next step: what was told of a unit, in order of the data centres.
    pub(in crate::node) fn next_step(
        &mut self,
    ) -> Option<(Tick, Key, BTreeMap<DataCentre, Vec<Delta>>)> {
        let (tick, unit) = self.settling.pop_front()?;
        let told = self.held.remove(&(tick, unit)).unwrap_or_default();
        self.bytes -= told.values().flatten().map(Delta::cost).sum::<usize>();
        Some((tick, unit, told))
    }

    /// Everything that is held, for a history.
    pub(in crate::node) fn deltas(&self) -> impl Iterator<Item = &Delta> {
        self.held.values().flat_map(BTreeMap::values).flatten()
    }

    /// The last tick that anything was told of.
    pub(in crate::node) fn last_tick(&self) -> Tick {
        let told = self.held.last_key_value().map_or(Tick(0), |((tick, _), _)| *tick);
        let weighed = self.weights.last_key_value().map_or(Tick(0), |((tick, _), _)| *tick);
        told.max(weighed)
    }

    /// Whether steps are left.
    pub(in crate::node) fn is_settling(&self) -> bool {
        !self.settling.is_empty()
    }

    /// The weight of a round's contributions, added in order of the data centres.
    pub(in crate::node) fn weight(&self, tick: Tick) -> f64 {
        let of_tick = (tick, DataCentre(0))..=(tick, DataCentre(u32::MAX));
        self.weights.range(of_tick).map(|(_, weight)| weight).sum()
    }

    /// The tick is settled.
    pub(in crate::node) fn settled(&mut self, tick: Tick) {
        self.settled = tick;
        self.weights = self.weights.split_off(&(tick.next(), DataCentre(0)));
        self.told = self.told.split_off(&(tick.next(), DataCentre(0)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyRange;
    use crate::wire::{Payload, RowsNamed};

    fn delta(rows: u64) -> Delta {
        let range = KeyRange::from_count(Key(0), rows).unwrap();
        let values = Payload::from_slice(&vec![1.0_f32; rows as usize]);
        Delta { rows: RowsNamed::Block(range), positions: None, values }
    }

    /// Tells until there is no room; what that cost.
    fn tell(stash: &mut Stash, tick: u64, from: u32) -> usize {
        let (tick, from, delta) = (Tick(tick), DataCentre(from), delta(1000));
        let mut told = 0;
        while told < 10 * stash.share && stash.room(tick, from, &delta) == Room::Left {
            stash.hold(tick, Key(0), from, delta.clone());
            told += delta.cost();
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
        assert!(share <= 1 << 20 && share + delta(1000).cost() > 1 << 20, "{share}");
        assert_eq!(stash.room(Tick(1), DataCentre(1), &delta(1000)), Room::Full);
        assert_eq!(tell(&mut stash, 1, 2), share, "another one has its own");
        stash.settled(Tick(1));
        assert_eq!(stash.room(Tick(1), DataCentre(1), &delta(1)), Room::Needless);
        assert_eq!(tell(&mut stash, 3, 2), share);
        assert_eq!(stash.room(Tick(3), DataCentre(1), &delta(1000)), Room::Full, "of tick 2");
        stash.settled(Tick(2));
        assert_eq!(tell(&mut stash, 3, 1), share);
    }

    /// A delta without elements takes room too: of later ticks anybody can tell many.
    #[test]
    fn deltas_of_nothing_have_an_end() {
        let nothing = Delta {
            rows: RowsNamed::Keys(Vec::new()),
            positions: None,
            values: Payload::from_slice::<f32>(&[]),
        };
        let mut stash = Stash::new(0, 4);
        stash.bytes = limits::MIRROR_STASH_BYTES_MAX - 2 * nothing.cost();
        let held = (10..100).filter(|tick| {
            let (tick, from) = (Tick(*tick), DataCentre(1));
            let left = stash.room(tick, from, &nothing) == Room::Left;
            if left {
                stash.hold(tick, Key(0), from, nothing.clone());
            }
            left
        });
        assert_eq!(held.count(), 2);
        let held = |from| from == DataCentre(1);
        assert_eq!((stash.leave_out(Tick(10), held), stash.leave_out(Tick(11), held)), (1, 1));
        assert_eq!(stash.bytes, limits::MIRROR_STASH_BYTES_MAX - 2 * nothing.cost());
    }

    /// Two ticks of all rows, each told alone, are never too much.
    #[test]
    fn a_share_is_enough_for_a_dense_shard() {
        assert_eq!(Stash::new(0, 4).share, limits::MIRROR_STASH_SHARE_BYTES_MIN);
        let (large, row) = (Stash::new(1 << 30, 4), delta(1));
        assert!(large.share >= 2 * (1 << 30) * row.cost());
        assert_eq!(Stash::new(u128::MAX, usize::MAX).share, usize::MAX);
    }
}
