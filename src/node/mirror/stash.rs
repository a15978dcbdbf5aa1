//! Copies in step: what all data centres have told of a tick, until all have.

use std::collections::{BTreeMap, VecDeque};

use crate::id::{DataCentre, Tick};
use crate::key::Key;
use crate::limits;
use crate::wire::Delta;

/// What was told of ticks that have not been settled.
#[derive(Debug, Default)]
pub(in crate::node) struct Stash {
    held: BTreeMap<(Tick, Key), BTreeMap<DataCentre, Vec<Delta>>>,
    weights: BTreeMap<(Tick, DataCentre), f64>,
    settling: VecDeque<(Tick, Key)>,
    /// The last tick whose steps have begun.
    begun: Tick,
    bytes: usize,
    /// The last tick that has been settled: all of it is in the values.
    pub(in crate::node) settled: Tick,
}

impl Stash {
    /// Keeps what a data centre tells of a block or sparse slot.
    pub(in crate::node) fn hold(&mut self, tick: Tick, unit: Key, from: DataCentre, delta: Delta) {
        self.bytes += delta.bytes();
        self.held.entry((tick, unit)).or_default().entry(from).or_default().push(delta);
    }

    /// Whether what others tell of a tick is still to be held: its steps have not begun, and it is
    /// one of the next two, or there is room. Only somebody who does not wait for this data centre
    /// can be further ahead of it.
    pub(in crate::node) fn takes(&self, tick: Tick, delta: &Delta) -> bool {
        let last = self.settled.max(self.begun);
        let near = tick.0 <= last.0.saturating_add(2);
        let room = self.bytes + delta.bytes() <= limits::MIRROR_STASH_BYTES_MAX;
        tick > last && (near || room)
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
                    self.bytes -= deltas.iter().map(Delta::bytes).sum::<usize>();
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
        self.bytes -= told.values().flatten().map(Delta::bytes).sum::<usize>();
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
    }
}
