//! The ticks of one worker over the keys of one shard: one tick while all keys agree, else ranges.
//! The keys belong to the clock and come as an argument; other workers are no concern of this
//! file.
//!
//! With `K` the shard's keys and `c(k)` the worker's tick at key `k`:
//! - I1 `One(t)`: `c(k) = t` for every `k` in `K`; always this form when all keys agree.
//! - I2 `Many`: the ranges of `pieces` tile `K`; `keys_at[t] = |{ k in K : c(k) = t }|`, with an
//!   entry for each tick that occurs, two at least. So the least tick is known without a scan.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::id::Tick;
use crate::key::{Key, KeyRange, RangeMap, RangeSet};

/// One worker's tick at every key of a shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum WorkerTicks {
    /// All keys stand at this tick.
    One(Tick),
    /// The keys differ.
    Many(Ragged),
}

/// Ticks that differ from key to key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ragged {
    pieces: RangeMap<Tick>,
    keys_at: BTreeMap<Tick, u128>,
}

/// The change would leave more than the allowed number of ranges; it was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyRanges;

impl WorkerTicks {
    /// The ticks that disjoint `pieces` name; `tick` when there are none.
    pub(super) fn from_pieces(pieces: impl Iterator<Item = (KeyRange, Tick)>, tick: Tick) -> Self {
        let mut ragged = Ragged::default();
        for (range, tick) in pieces {
            ragged.pieces.assign(range, tick);
            *ragged.keys_at.entry(tick).or_default() += range.count();
        }
        ragged.into_ticks(tick)
    }

    /// The lowest tick of any key.
    pub(super) fn least(&self) -> Tick {
        match self {
            Self::One(tick) => *tick,
            Self::Many(ragged) => ragged.least(),
        }
    }

    /// The tick at a key of the shard.
    pub(super) fn at(&self, key: Key) -> Option<Tick> {
        match self {
            Self::One(tick) => Some(*tick),
            Self::Many(ragged) => ragged.pieces.lookup(key).copied(),
        }
    }

    /// The lowest tick of any key in `range`, which holds some of the shard's keys.
    pub(super) fn least_over(&self, range: &KeyRange) -> Option<Tick> {
        match self {
            Self::One(tick) => Some(*tick),
            Self::Many(ragged) => ragged.pieces.pieces_in(range).map(|(_, tick)| *tick).min(),
        }
    }

    /// How many ranges are held.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::One(_) => 1,
            Self::Many(ragged) => ragged.pieces.len(),
        }
    }

    /// The ranges with their ticks, in order; `keys` are the shard's.
    pub(super) fn pieces<'a>(
        &'a self,
        keys: &'a RangeSet,
    ) -> impl Iterator<Item = (KeyRange, Tick)> + 'a {
        let (one, many) = match self {
            Self::One(tick) => (Some(*tick), None),
            Self::Many(ragged) => (None, Some(&ragged.pieces)),
        };
        let one = one.into_iter().flat_map(|tick| keys.iter().map(move |range| (range, tick)));
        let many = many.into_iter().flat_map(RangeMap::iter).map(|(range, tick)| (range, *tick));
        one.chain(many)
    }

    /// The same ticks at fewer keys; `before` and `after` are the shard's keys.
    pub(super) fn restrict(&self, before: &RangeSet, after: &RangeSet) -> Self {
        match self {
            Self::One(tick) => Self::One(*tick),
            Self::Many(ragged) => {
                let kept = self
                    .pieces(before)
                    .flat_map(|(range, tick)| after.intersect(range).map(move |r| (r, tick)));
                Self::from_pieces(kept, ragged.least())
            },
        }
    }

    /// These ticks at `keys` and those of `other` at `other_keys`; the two share no key.
    pub(super) fn union(&self, keys: &RangeSet, other: &Self, other_keys: &RangeSet) -> Self {
        if let (Self::One(_), true) = (self, self == other) {
            return self.clone();
        }
        let pieces = self.pieces(keys).chain(other.pieces(other_keys));
        Self::from_pieces(pieces, self.least().min(other.least()))
    }

    /// Sets every key below `tick` to `tick`. Never adds a range.
    pub(super) fn advance_all(&mut self, tick: Tick) {
        match self {
            Self::One(held) => *held = tick.max(*held),
            Self::Many(ragged) => {
                let raised = ragged.pieces.iter().map(|(range, held)| (range, tick.max(*held)));
                *self = Self::from_pieces(raised, tick);
            },
        }
    }

    /// Algorithm 2: sets every key of `range` below `tick` to `tick`, cutting ranges at its ends.
    /// `keys` are the shard's; the rest of `range` means nothing here.
    pub(super) fn advance(
        &mut self,
        keys: &RangeSet,
        range: &KeyRange,
        tick: Tick,
        ranges_max: usize,
    ) -> Result<(), TooManyRanges> {
        match self {
            Self::One(held) if tick <= *held => Ok(()),
            Self::One(held) if keys.span().is_some_and(|span| range.covers(&span)) => {
                *held = tick;
                Ok(())
            },
            Self::One(held) => {
                let mut ragged = Ragged::level(keys, *held);
                ragged.advance(range, tick, ranges_max)?;
                *self = ragged.into_ticks(*held);
                Ok(())
            },
            Self::Many(ragged) => {
                ragged.advance(range, tick, ranges_max)?;
                if ragged.keys_at.len() == 1 {
                    *self = std::mem::take(ragged).into_ticks(tick);
                }
                Ok(())
            },
        }
    }
}

impl Ragged {
    /// All keys at one tick: on the way to more, or I2 would not allow it.
    fn level(keys: &RangeSet, tick: Tick) -> Self {
        let mut ragged = Self::default();
        keys.iter().for_each(|range| ragged.pieces.assign(range, tick));
        ragged.keys_at.insert(tick, keys.count());
        ragged
    }

    fn least(&self) -> Tick {
        self.keys_at.first_key_value().map_or(Tick::default(), |(tick, _)| *tick)
    }

    /// The form that I1 asks for; `tick` when there are no keys.
    fn into_ticks(self, tick: Tick) -> WorkerTicks {
        match self.keys_at.len() {
            0 => WorkerTicks::One(tick),
            1 => WorkerTicks::One(self.least()),
            _ => WorkerTicks::Many(self),
        }
    }

    fn advance(
        &mut self,
        range: &KeyRange,
        tick: Tick,
        ranges_max: usize,
    ) -> Result<(), TooManyRanges> {
        let in_range = self.pieces.pieces_in(range);
        let raised: Vec<_> = in_range
            .filter(|(_, held)| **held < tick)
            .map(|(range, held)| (range, *held))
            .collect();
        for (range, _) in &raised {
            self.pieces.assign(*range, tick);
        }
        if self.pieces.len() > ranges_max {
            // A range map is canonical, so that the old ticks bring back the old ranges.
            for (range, held) in raised {
                self.pieces.assign(range, held);
            }
            return Err(TooManyRanges);
        }
        for (range, held) in raised {
            self.leave(held, range.count());
            *self.keys_at.entry(tick).or_default() += range.count();
        }
        Ok(())
    }

    /// Counts `keys` keys less at `tick`.
    fn leave(&mut self, tick: Tick, keys: u128) {
        if let Entry::Occupied(mut count) = self.keys_at.entry(tick) {
            debug_assert!(keys <= *count.get(), "I2: {keys} keys left {tick}");
            *count.get_mut() -= keys;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}
