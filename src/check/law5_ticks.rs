//! Law 5: a tick never overtakes its data.

use std::collections::BTreeMap;

use super::members::Members;
use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{Origin, Sequence, SlotIndex, TableId, Tick};

/// What a tick names: the last sequence to each slot touched.
type Touched = Vec<(TableId, SlotIndex, Sequence)>;

/// Where a tick was counted at a slot before the last push that it names there was executed (SPEC
/// law 5.5).
pub fn check_ticks(history: &History) -> Vec<Violation> {
    let mut found = Found::new(5);
    let mut members = Members::default();
    let mut sent: BTreeMap<(Origin, Tick), &Touched> = BTreeMap::new();
    let mut heads: BTreeMap<(Origin, TableId, SlotIndex), Sequence> = BTreeMap::new();
    for record in history.records() {
        members.note(record.node, &record.event);
        match &record.event {
            Event::TickSent { origin, tick, touched } => {
                sent.insert((*origin, *tick), touched);
            },
            Event::Executed { origin, table, slot, sequence, .. } => {
                heads.insert((*origin, *table, *slot), *sequence);
            },
            Event::TickCounted { origin, table, range, tick } => {
                let touched = sent.get(&(*origin, *tick)).into_iter().copied().flatten();
                for (_, slot, last) in touched.filter(|(of, ..)| of == table) {
                    let keys = members.slot(*table, *slot);
                    let here = keys.is_some_and(|keys| keys.intersect(range).is_some());
                    let head = heads.get(&(*origin, *table, *slot));
                    if here && head < Some(last) {
                        let what = format!(
                            "{table}, {slot}: {tick} of {origin} was counted before its {last}"
                        );
                        found.add(record, what);
                    }
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
    use crate::id::ServerId;
    use crate::key::{Key, KeyRange};
    use crate::placement::Epoch;
    use crate::time::Instant;

    #[test]
    fn a_tick_is_counted_behind_its_data() {
        let (origin, table, tick, owner) = (Origin::default(), TableId(0), Tick(1), ServerId(0));
        let range = |slot: u64| KeyRange::from_count(Key(slot * 10), 10).unwrap();
        let placed = |slot: u32| Event::Placed {
            table,
            slot: SlotIndex(slot),
            range: range(slot.into()),
            owner,
            epoch: Epoch(0),
        };
        let touched = vec![(table, SlotIndex(0), Sequence(1)), (table, SlotIndex(1), Sequence(3))];
        let sent = Event::TickSent { origin, tick, touched };
        let executed = |sequence, slot| {
            let (sequence, slot) = (Sequence(sequence), SlotIndex(slot));
            Event::Executed { origin, table, slot, sequence, tick, round: None }
        };
        let counted = |slot| Event::TickCounted { origin, table, range: range(slot), tick };
        let check = |events: &[Event]| {
            let mut history = History::new();
            let all = [placed(0), placed(1), sent.clone()].into_iter();
            all.chain(events.iter().cloned()).for_each(|event| history.push(Instant(0), 0, event));
            check_ticks(&history).len()
        };
        assert_eq!(check(&[executed(1, 0), counted(0), executed(3, 1), counted(1)]), 0);
        assert_eq!(check(&[executed(1, 0), counted(0), counted(1)]), 1, "slot 1 has no data");
        assert_eq!(check(&[executed(1, 0), executed(2, 1), counted(1)]), 1, "only a part of it");
    }
}
