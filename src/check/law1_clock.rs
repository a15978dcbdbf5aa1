//! Law 1: the ticks counted of a worker ascend by one, and never go back.

use std::collections::BTreeMap;

use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{Origin, TableId, Tick};
use crate::key::{Key, KeyRange, RangeMap, RangeSet};

/// Where ticks counted at a shard skip, repeat or go back at some key (SPEC law 1.3 and 1.7).
pub fn check_clock(history: &History) -> Vec<Violation> {
    let mut found = Found::new(1);
    let mut starts: BTreeMap<Origin, Tick> = BTreeMap::new();
    let mut clocks: BTreeMap<(u32, TableId, Origin), Clock> = BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::RecordHeld { record } => {
                for member in &record.members {
                    starts.insert(member.origin, member.start);
                }
            },
            Event::BeginsBehind { origin, table, tick } => {
                let clock = clocks.entry((record.node, *table, *origin)).or_default();
                clock.0.assign(KeyRange::ALL, *tick);
            },
            Event::TickCounted { origin, table, range, tick } => {
                let clock = clocks.entry((record.node, *table, *origin)).or_default();
                let start = starts.get(origin).copied().unwrap_or(Tick::FIRST);
                if let Some((key, before)) = clock.count(*range, *tick, start.back(1)) {
                    let node = record.node;
                    found.add(
                        record,
                        format!(
                            "node {node}, {table}: {tick} of {origin} counted at key {key} after \
                             {before}"
                        ),
                    );
                }
            },
            _ => {},
        }
    }
    found.done()
}

/// Ticks by range, as far as they were counted.
#[derive(Debug, Default)]
struct Clock(RangeMap<Tick>);

impl Clock {
    /// Counts a tick. A key where it does not follow the tick before, when there is one. A tick
    /// may be counted again where it was counted for a part first.
    fn count(&mut self, range: KeyRange, tick: Tick, before_all: Tick) -> Option<(Key, Tick)> {
        let follows = |held: Tick| held.next() == tick || held == tick;
        let mut fresh = RangeSet::new();
        fresh.insert(range);
        let mut wrong = None;
        for (piece, held) in self.0.pieces_in(&range) {
            fresh.remove(piece);
            if !follows(*held) {
                wrong.get_or_insert((piece.first(), *held));
            }
        }
        if let Some(piece) = fresh.iter().next().filter(|_| !follows(before_all)) {
            wrong.get_or_insert((piece.first(), before_all));
        }
        self.0.assign(range, tick);
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn counted(ticks: &[(u64, u64, u64)]) -> usize {
        let mut history = History::new();
        for (first, last, tick) in ticks {
            let range = KeyRange::new(Key(*first), Key(*last)).unwrap();
            let (origin, table) = (Origin::default(), TableId(0));
            let event = Event::TickCounted { origin, table, range, tick: Tick(*tick) };
            history.push(Instant(0), 0, event);
        }
        check_clock(&history).len()
    }

    #[test]
    fn ticks_follow_each_other_at_every_key() {
        assert_eq!(counted(&[(0, 9, 1), (0, 4, 2), (5, 9, 2), (0, 9, 3)]), 0);
        assert_eq!(counted(&[(0, 4, 1), (0, 9, 1), (0, 9, 2)]), 0);
        assert_eq!(counted(&[(0, 9, 1), (0, 4, 2), (0, 9, 3)]), 1, "5..=9 skips tick 2");
        assert_eq!(counted(&[(0, 9, 1), (0, 9, 2), (3, 3, 1)]), 1, "back");
        assert_eq!(counted(&[(0, 9, 2)]), 1, "the first is 1");
    }
}
