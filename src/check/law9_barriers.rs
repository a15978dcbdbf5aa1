//! Law 9: every barrier ends, with what it was set for or with its time.

use std::collections::BTreeMap;

use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{DataCentre, Mark, SlotIndex, TableId};
use crate::limits;
use crate::time::{Duration, Instant};

/// How late a server may look.
const SLACK: Duration = limits::MIRROR_LOOK_INTERVAL.saturating_mul(2);

/// Barriers that have lasted for longer than they may (SPEC law 9.13).
pub fn check_barriers(history: &History) -> Vec<Violation> {
    let mut found = Found::new(9);
    let mut open: BTreeMap<(u32, TableId, DataCentre, SlotIndex, Mark), Instant> = BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::BarrierSet { table, data_centre, slot, mark, until, .. } => {
                let until = (*until).min(record.at.after(limits::BARRIER_MAX));
                open.insert((record.node, *table, *data_centre, *slot, *mark), until);
            },
            Event::ServerStopped { .. } => open.retain(|barrier, _| barrier.0 != record.node),
            Event::BarrierEnded { table, data_centre, slot, mark, .. } => {
                let until = open.remove(&(record.node, *table, *data_centre, *slot, *mark));
                if until.is_some_and(|until| record.at > until.after(SLACK)) {
                    found.add(record, format!("{table}, {slot}: a barrier has lasted too long"));
                }
            },
            _ => {},
        }
    }
    let end = history.records().last().map_or(Instant::EPOCH, |record| record.at);
    let late = open.into_iter().filter(|(_, until)| end > until.after(SLACK));
    for ((node, table, data_centre, slot, _), until) in late {
        let what = format!("{table}, {slot}: node {node} never ended a barrier for {data_centre}");
        found.add_at(until, what);
    }
    found.done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::BarrierEnd;
    use crate::key::KeyRange;

    #[test]
    fn a_barrier_ends_in_time_or_is_found() {
        let (table, slot, mark, data_centre) = (TableId(0), SlotIndex(1), Mark(2), DataCentre(1));
        let second = |count| Instant::EPOCH.after(Duration::from_secs(count));
        let (ranges, until) = (vec![KeyRange::ALL], second(3));
        let set = Event::BarrierSet { table, data_centre, slot, mark, ranges, until };
        let why = BarrierEnd::Time;
        let ended = Event::BarrierEnded { table, data_centre, slot, mark, why };
        let other = Event::Held { what: "window", count: 0, limit: 1 };
        let check = |events: &[(u64, &Event)]| {
            let mut history = History::new();
            events.iter().for_each(|(at, event)| history.push(second(*at), 0, (*event).clone()));
            check_barriers(&history).len()
        };
        assert_eq!(check(&[(0, &set), (3, &ended), (60, &other)]), 0);
        assert_eq!(check(&[(0, &set), (2, &other)]), 0, "still open");
        assert_eq!(check(&[(0, &set), (60, &ended)]), 1);
        assert_eq!(check(&[(0, &set), (60, &other)]), 1);
    }
}
