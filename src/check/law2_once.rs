//! Law 2: every push is executed once at most, in the order of its slot's chain.

use std::collections::{BTreeMap, BTreeSet};

use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{Origin, Sequence, SlotIndex, TableId};

/// Where a request was executed again, before its predecessor, or against what its worker sent
/// (SPEC law 2.4 and 2.5); and where a tick was sent, counted at last and data is missing.
pub fn check_once(history: &History) -> Vec<Violation> {
    let mut found = Found::new(2);
    let mut executed: BTreeSet<(Origin, Sequence)> = BTreeSet::new();
    let mut heads: BTreeMap<(Origin, TableId, SlotIndex), Sequence> = BTreeMap::new();
    let mut pushed: BTreeMap<(Origin, Sequence), Option<Sequence>> = BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::Pushed { origin, sequence, previous, .. } => {
                pushed.insert((*origin, *sequence), *previous);
            },
            Event::Executed { origin, table, slot, sequence, .. } => {
                if !executed.insert((*origin, *sequence)) {
                    found.add(record, format!("{sequence} of {origin} was executed again"));
                    continue;
                }
                let head = heads.insert((*origin, *table, *slot), *sequence);
                let Some(previous) = pushed.get(&(*origin, *sequence)) else {
                    continue;
                };
                if *previous != head {
                    let (head, previous) = (shown(head), shown(*previous));
                    found.add(
                        record,
                        format!(
                            "{sequence} of {origin} to {table}, {slot} was executed after {head}, \
                             it follows {previous}"
                        ),
                    );
                }
            },
            _ => {},
        }
    }
    found.done()
}

fn shown(sequence: Option<Sequence>) -> String {
    sequence.map_or_else(|| "nothing".into(), |sequence| sequence.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Tick;
    use crate::time::Instant;

    fn history(executed: &[u64]) -> History {
        let mut history = History::new();
        let (origin, table, slot, tick) = (Origin::default(), TableId(0), SlotIndex(0), Tick(1));
        for sequence in 1..4 {
            let previous = (sequence > 1).then(|| Sequence(sequence - 1));
            let sequence = Sequence(sequence);
            let event = Event::Pushed { origin, table, slot, sequence, previous, tick };
            history.push(Instant(0), 1, event);
        }
        for sequence in executed {
            let (sequence, round) = (Sequence(*sequence), None);
            let event = Event::Executed { origin, table, slot, sequence, tick, round };
            history.push(Instant(1), 0, event);
        }
        history
    }

    #[test]
    fn once_and_in_the_order_of_the_chain() {
        assert_eq!(check_once(&history(&[1, 2, 3])), []);
        assert_eq!(check_once(&history(&[1, 2, 2, 3])).len(), 1);
        assert_eq!(check_once(&history(&[2, 1, 3])).len(), 3);
    }
}
