//! Contributions of rounds that have not been applied: the stash of a gathering policy.
//!
//! Fold order is part of the meaning (law 4): a worker's contributions to a row are first summed
//! in sequence order, then the workers' subtotals in rank order; the first operand is a copy.
//! Neither depends on who arrives first, nor on how a table is cut into shards.
//!
//! Invariants: I1 the parts of a unit and round are sorted by rank; I2 a part belongs to one
//! worker until that worker's tick is counted, so that a removed worker's open contributions can
//! be dropped; I3 `bytes` is the sum of all parts held; I4 (law 12) parts and spare buffers
//! together take at most twice `bytes_peak`, which the table's policy bounds.

use std::collections::{BTreeMap, VecDeque};

use super::Chunk;
use super::part::Part;
use crate::id::{Rank, Tick};
use crate::key::Key;
use crate::vector::Element;
use crate::vector::kernels::{copy, copy_finite};

/// A block (dense) or slot (sparse), named by its first key: the unit of a close step.
pub(super) type Unit = Key;

/// The open and closing rounds of one shard.
#[derive(Clone, Debug)]
pub(super) struct Gathered<T> {
    units: BTreeMap<(Unit, Tick), Vec<Ranked<T>>>,
    rounds: BTreeMap<Tick, Vec<Unit>>,
    steps: VecDeque<(Tick, Unit)>,
    closing: BTreeMap<Tick, Closing>,
    bytes: usize,
    bytes_peak: usize,
    /// Buffers of parts that have been folded, to be filled again.
    spare: Vec<Vec<T>>,
    spare_bytes: usize,
}

/// One worker's subtotal, or the fold of all ranks up to this one.
#[derive(Clone, Debug)]
struct Ranked<T> {
    rank: Rank,
    part: Part<T>,
}

/// What every step of a closed round needs to know.
#[derive(Clone, Copy, Debug)]
pub(super) struct Closing {
    /// The sum of the weights, for `WeightedMean`.
    pub(super) denominator: f64,
    /// The learning rate of the round.
    pub(super) rate: f64,
    /// The round.
    pub(super) round: Tick,
    steps_left: usize,
}

impl<T: Element> Gathered<T> {
    pub(super) fn new() -> Self {
        Self {
            units: BTreeMap::new(),
            rounds: BTreeMap::new(),
            steps: VecDeque::new(),
            closing: BTreeMap::new(),
            bytes: 0,
            bytes_peak: 0,
            spare: Vec::new(),
            spare_bytes: 0,
        }
    }

    /// A copy of `values`, in a buffer that was used before if there is one. `None` when it must
    /// be `finite` and is not: checked in the pass that copies, which would otherwise be two.
    pub(super) fn copy(&mut self, values: &[T], finite: bool) -> Option<Vec<T>> {
        let mut buffer = self.spare.pop().unwrap_or_default();
        self.spare_bytes -= buffer.capacity() * size_of::<T>();
        if buffer.capacity() > 2 * values.len() {
            // A part is counted by what it holds, so what holds it may not be much larger.
            buffer = Vec::new();
        }
        buffer.resize(values.len(), T::default());
        if !finite {
            copy(&mut buffer, values);
        } else if !copy_finite(&mut buffer, values) {
            self.recycle(buffer);
            return None;
        }
        Some(buffer)
    }

    /// Keeps the buffer of a part that has been folded: a page that is given back to the system
    /// and asked for again costs more than filling it. Keeping only some was measured to be
    /// slower than keeping none.
    pub(super) fn recycle(&mut self, buffer: Vec<T>) {
        let bytes = buffer.capacity() * size_of::<T>();
        if bytes > 0 && self.bytes + self.spare_bytes + bytes <= self.bytes_peak {
            self.spare.push(buffer);
            self.spare_bytes += bytes;
        }
    }

    /// Bytes held by all parts.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The most bytes ever held.
    pub(super) fn bytes_peak(&self) -> usize {
        self.bytes_peak
    }

    /// The most bytes by which a chunk can make the stash grow.
    pub(super) fn growth_max(
        &self,
        unit: Unit,
        round: Tick,
        rank: Rank,
        chunk: &Chunk<'_, T>,
    ) -> usize {
        let value_bytes = size_of_val(chunk.values());
        let rows = match chunk {
            Chunk::Block { rows, .. } => rows,
            Chunk::Frame { keys, .. } => return size_of_val(*keys) + value_bytes,
        };
        let parts = self.units.get(&(unit, round)).map_or(&[][..], Vec::as_slice);
        match parts.binary_search_by_key(&rank, |held| held.rank) {
            Ok(at) => parts[at].part.growth_max(rows, value_bytes),
            Err(_) => Part::<T>::of_rows(*rows, Vec::new()).bytes() + value_bytes,
        }
    }

    /// Adds a contribution to the worker's subtotal.
    pub(super) fn add(&mut self, unit: Unit, round: Tick, rank: Rank, part: Part<T>, width: usize) {
        let rounds = &mut self.rounds;
        let parts = self.units.entry((unit, round)).or_insert_with(|| {
            rounds.entry(round).or_default().push(unit);
            Vec::new()
        });
        match parts.binary_search_by_key(&rank, |held| held.rank) {
            Ok(at) => {
                let before = parts[at].part.bytes();
                let free = parts[at].part.merge(part, width);
                self.bytes = self.bytes + parts[at].part.bytes() - before;
                free.into_iter().for_each(|buffer| self.recycle(buffer));
            },
            Err(at) => {
                self.bytes += part.bytes();
                parts.insert(at, Ranked { rank, part });
            },
        }
        self.bytes_peak = self.bytes_peak.max(self.bytes);
    }

    /// Sabotage of law 4: appends instead of keeping rank order.
    pub(super) fn add_by_arrival(&mut self, unit: Unit, round: Tick, part: Part<T>) {
        self.rounds.entry(round).or_default().push(unit);
        let parts = self.units.entry((unit, round)).or_default();
        self.bytes += part.bytes();
        let rank = Rank(u32::try_from(parts.len()).unwrap_or(u32::MAX));
        parts.push(Ranked { rank, part });
    }

    /// How many ranks below this one have contributed to the unit in the round.
    pub(super) fn ranks_before(&self, unit: Unit, round: Tick, rank: Rank) -> usize {
        let parts = self.units.get(&(unit, round));
        parts.map_or(0, |parts| parts.partition_point(|held| held.rank < rank))
    }

    /// Folds the subtotals of all ranks below `open` into one. They have ticked, so none of them
    /// can be dropped any more; the result is what the close would have computed.
    pub(super) fn compact(&mut self, unit: Unit, round: Tick, open: Rank, width: usize) -> bool {
        let Some(parts) = self.units.get_mut(&(unit, round)) else {
            return false;
        };
        let ticked = parts.partition_point(|held| held.rank < open);
        if ticked < 2 {
            return false;
        }
        let mut folded = parts.drain(..ticked);
        let Some(mut first) = folded.next() else {
            return false;
        };
        let (mut before, mut free) = (first.part.bytes(), Vec::new());
        for next in folded {
            before += next.part.bytes();
            first.rank = next.rank;
            free.extend(first.part.merge(next.part, width));
        }
        self.bytes = self.bytes + first.part.bytes() - before;
        parts.insert(0, first);
        free.into_iter().for_each(|buffer| self.recycle(buffer));
        true
    }

    /// Drops what a removed worker contributed to rounds after `last`.
    pub(super) fn drop_after(&mut self, rank: Rank, last: Tick) {
        for ((_, round), parts) in &mut self.units {
            if *round > last {
                let before: usize = parts.iter().map(|held| held.part.bytes()).sum();
                parts.retain(|held| held.rank != rank);
                let after: usize = parts.iter().map(|held| held.part.bytes()).sum();
                self.bytes = self.bytes + after - before;
            }
        }
    }

    /// Queues one step per unit of the round. Cost: flat, whatever the round's size.
    pub(super) fn close(&mut self, round: Tick, denominator: f64, rate: f64) {
        let Some(units) = self.rounds.remove(&round) else {
            return;
        };
        self.closing.insert(round, Closing { denominator, rate, round, steps_left: units.len() });
        self.steps.extend(units.into_iter().map(|unit| (round, unit)));
    }

    /// The next step, in the order of closing.
    pub(super) fn next_step(&mut self) -> Option<(Unit, Closing, Vec<Part<T>>)> {
        while let Some((round, unit)) = self.steps.pop_front() {
            if let Some((closing, parts)) = self.take(unit, round) {
                return Some((unit, closing, parts));
            }
        }
        None
    }

    /// The earliest step that `unit` still waits for.
    pub(super) fn step_of(&mut self, unit: Unit, closed: Tick) -> Option<(Closing, Vec<Part<T>>)> {
        let (_, round) = *self.units.range((unit, Tick(0))..=(unit, closed)).next()?.0;
        self.take(unit, round)
    }

    /// Whether steps wait.
    pub(super) fn is_working(&self) -> bool {
        !self.steps.is_empty()
    }

    fn take(&mut self, unit: Unit, round: Tick) -> Option<(Closing, Vec<Part<T>>)> {
        let closing = self.closing.get_mut(&round)?;
        let parts = self.units.remove(&(unit, round))?;
        let taken = *closing;
        closing.steps_left -= 1;
        if closing.steps_left == 0 {
            self.closing.remove(&round);
        }
        self.bytes -= parts.iter().map(|held| held.part.bytes()).sum::<usize>();
        Some((taken, parts.into_iter().map(|held| held.part).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyRange;

    #[test]
    fn buffers_are_used_again_and_never_take_more_than_the_stash_did() {
        let mut gathered = Gathered::<f32>::new();
        let rows = KeyRange::from_count(Key(0), 64).unwrap();
        for round in 1..20 {
            for rank in 0..3 {
                let values = gathered.copy(&[rank as f32; 64], true).unwrap();
                let part = Part::of_rows(rows, values);
                gathered.add(Key(0), Tick(round), Rank(rank), part, 1);
            }
            assert!(gathered.spare.is_empty(), "all were used again");
            gathered.close(Tick(round), 1.0, 1.0);
            let (_, _, parts) = gathered.next_step().unwrap();
            let segments = parts.into_iter().filter_map(Part::into_rows).flatten();
            for (rank, segment) in segments.enumerate() {
                assert_eq!(segment.values, [rank as f32; 64]);
                gathered.recycle(segment.values);
            }
            gathered.recycle(vec![1.0; 64]);
            assert_eq!((gathered.spare.len(), gathered.spare_bytes), (3, 3 * 256));
        }
    }
}
