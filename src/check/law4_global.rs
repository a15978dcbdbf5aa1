//! Law 4 between data centres: copies that exchange aggregates are equal at every tick.

use std::collections::BTreeMap;

use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{SlotIndex, TableId, Tick};

/// Where two copies of a slot differ after the same tick (SPEC law 4.7). Once a data centre has
/// been lost the others go on without it, and nothing more is judged.
pub fn check_global(history: &History) -> Vec<Violation> {
    let mut found = Found::new(4);
    let mut settled: BTreeMap<(TableId, SlotIndex, Tick), (u32, u128)> = BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::DataCentreLost { .. } => break,
            Event::Settled { table, slot, tick, digest } => {
                let place = (*table, *slot, *tick);
                let (node, first) = *settled.entry(place).or_insert((record.node, *digest));
                if first != *digest {
                    let here = record.node;
                    found.add(
                        record,
                        format!("{table}, {slot}: nodes {node} and {here} differ after {tick}"),
                    );
                }
            },
            _ => {},
        }
    }
    found.done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    #[test]
    fn copies_are_equal_after_every_tick() {
        let check = |digests: [u128; 3]| {
            let mut history = History::new();
            for (node, digest) in (0..).zip(digests) {
                let (table, slot, tick) = (TableId(0), SlotIndex(3), Tick(9));
                history.push(Instant(1), node, Event::Settled { table, slot, tick, digest });
            }
            check_global(&history).len()
        };
        assert_eq!(check([7, 7, 7]), 0);
        assert_eq!(check([7, 8, 7]), 1);
    }
}
