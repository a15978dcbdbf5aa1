//! Law 11: the slots of a table tile its domain, and each has one owner.

use std::collections::BTreeMap;

use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{ServerId, SlotIndex, TableId};
use crate::key::KeyRange;
use crate::placement::Epoch;
use crate::time::Instant;

/// One slot of one epoch: its first key sorts it.
type Slots = Vec<(KeyRange, SlotIndex, ServerId)>;

/// Where the slots placed leave a gap, overlap or do not end with the table's domain, at any epoch
/// (SPEC law 11.1 and 11.2). `domains` are those of the tables, by number.
pub fn check_tiling(history: &History, domains: &[KeyRange]) -> Vec<Violation> {
    let mut found = Found::new(11);
    let mut placed: BTreeMap<(TableId, Epoch), Slots> = BTreeMap::new();
    for record in history.records() {
        if let Event::Placed { table, slot, range, owner, epoch } = &record.event {
            placed.entry((*table, *epoch)).or_default().push((*range, *slot, *owner));
        }
    }
    for (index, domain) in domains.iter().enumerate() {
        let table = TableId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut epochs = placed.range_mut((table, Epoch(0))..=(table, Epoch(u64::MAX))).peekable();
        if epochs.peek().is_none() {
            found.add_at(Instant::EPOCH, format!("{table}: no slot is owned"));
        }
        for ((_, epoch), slots) in epochs {
            slots.sort_unstable_by_key(|(range, ..)| range.first());
            for what in gaps(slots, domain) {
                found.add_at(Instant::EPOCH, format!("{table}, epoch {}: {what}", epoch.0));
            }
        }
    }
    found.done()
}

fn gaps(slots: &Slots, domain: &KeyRange) -> Vec<String> {
    let mut found = Vec::new();
    // The next key that must be owned; `None` behind `u64::MAX`.
    let mut next = Some(domain.first().0);
    for (range, slot, owner) in slots {
        if next != Some(range.first().0) {
            let (first, next) =
                (range.first().0, next.map_or_else(|| "none".into(), |k| k.to_string()));
            found.push(format!("{slot} of {owner} begins at key {first}, next is key {next}"));
        }
        next = range.last().0.checked_add(1);
    }
    if next != domain.last().0.checked_add(1) {
        found.push(format!("the last slot does not end at key {}", domain.last().0));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::Key;

    #[test]
    fn every_key_has_one_owner() {
        let check = |slots: &[(u64, u64)]| {
            let mut history = History::new();
            for (index, (first, last)) in slots.iter().enumerate() {
                let event = Event::Placed {
                    table: TableId(0),
                    slot: SlotIndex(index as u32),
                    range: KeyRange::new(Key(*first), Key(*last)).unwrap(),
                    owner: ServerId(0),
                    epoch: Epoch(0),
                };
                history.push(Instant(0), 0, event);
            }
            check_tiling(&history, &[KeyRange::ALL]).len()
        };
        assert_eq!(check(&[(10, u64::MAX), (0, 9)]), 0);
        assert_eq!(check(&[(0, 9), (10, u64::MAX - 1)]), 1, "the last key");
        assert_eq!(check(&[(0, 9), (9, u64::MAX)]), 1, "overlap");
        assert_eq!(check(&[(0, 9), (11, u64::MAX)]), 1, "gap");
        assert_eq!(check(&[]), 1);
    }
}
