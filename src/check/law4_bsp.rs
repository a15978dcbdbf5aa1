//! Law 4: under Bsp a reader sees exactly the rounds before its tick, and every shard closes the
//! same rounds from the same workers. Bits are compared by digest, not here.

use std::collections::{BTreeMap, BTreeSet};

use super::courses::Courses;
use super::violation::{Found, Violation};
use crate::history::{Event, History, PolicyKind};
use crate::id::{Origin, Rank, SlotIndex, TableId, Tick};

/// Where a Bsp read saw other rounds than those before its tick (SPEC law 5.3), a shard closed a
/// round out of order, twice, with ranks out of fold order, or without a contribution executed for
/// it (SPEC law 4.1 and 4.3).
pub fn check_bsp(history: &History) -> Vec<Violation> {
    let mut found = Found::new(4);
    let courses = Courses::of(history);
    let mut closed: BTreeMap<(u32, TableId), Tick> = BTreeMap::new();
    let mut contributed: BTreeMap<(u32, TableId, Tick), BTreeSet<Rank>> = BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::Executed { origin, table, round: Some(round), .. } => {
                let key = (record.node, *table, *round);
                contributed.entry(key).or_default().insert(origin.rank);
                let last = closed.get(&(record.node, *table)).copied().unwrap_or_default();
                if *round <= last {
                    let what =
                        format!("{table}: a push of {origin} joined {round} after its close");
                    found.add(record, what);
                }
            },
            Event::RoundClosed { table, round, contributors, .. } => {
                let last = closed.insert((record.node, *table), *round);
                let skips =
                    |last: &Tick| (last.0 + 1..round.0).any(|t| courses.gathers(*table, Tick(t)));
                if last.is_some_and(|last| last >= *round || skips(&last)) {
                    let last = last.unwrap_or_default();
                    found.add(record, format!("{table}: {round} closed after {last}"));
                }
                if !contributors.is_sorted_by(|a, b| a < b) {
                    found.add(record, format!("{table}: {round} folded in order {contributors:?}"));
                }
                let here = contributed.get(&(record.node, *table, *round));
                // A worker that pushed elsewhere only weighs in here without a contribution.
                let all = here.into_iter().flatten();
                let missing: Vec<_> = all.filter(|rank| !contributors.contains(rank)).collect();
                if !missing.is_empty() && !removed_since(history, &missing) {
                    let what = format!("{table}: {round} closed without {missing:?}");
                    found.add(record, what);
                }
            },
            Event::Served { policy: PolicyKind::Bsp, .. } => {
                if let Some(what) = misread(&record.event) {
                    found.add(record, what);
                }
            },
            _ => {},
        }
    }
    found.done()
}

/// Whether all of these ranks were lost at some time: then their open pushes are dropped.
fn removed_since(history: &History, ranks: &[&Rank]) -> bool {
    let lost: BTreeSet<Rank> = history
        .records()
        .iter()
        .filter_map(|record| match &record.event {
            Event::WorkerLost { origin, .. } => Some(origin.rank),
            _ => None,
        })
        .collect();
    ranks.iter().all(|rank| lost.contains(rank))
}

fn misread(event: &Event) -> Option<String> {
    let Event::Served { origin, table, slot, at_tick, oldest, newest, .. } = event else {
        return None;
    };
    let (origin, table, slot): (&Origin, &TableId, &SlotIndex) = (origin, table, slot);
    let expected = at_tick.back(1);
    (*oldest != expected || *newest != expected).then(|| {
        format!(
            "{table}, {slot}: {origin} read at {at_tick} and saw {oldest} to {newest}, expected \
             exactly {expected}"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ServerId;
    use crate::time::Instant;

    #[test]
    fn rounds_close_in_order_and_readers_see_them_all() {
        let close = |round, contributors: Vec<u32>| Event::RoundClosed {
            table: TableId(0),
            server: ServerId(0),
            round: Tick(round),
            contributors: contributors.into_iter().map(Rank).collect(),
        };
        let served = |at, newest| Event::Served {
            origin: Origin::default(),
            table: TableId(0),
            slot: SlotIndex(0),
            at_tick: Tick(at),
            oldest: Tick(at - 1),
            newest: Tick(newest),
            policy: PolicyKind::Bsp,
            own: None,
        };
        let check = |events: Vec<Event>| {
            let mut history = History::new();
            events.into_iter().for_each(|event| history.push(Instant(0), 0, event));
            check_bsp(&history).len()
        };
        assert_eq!(check(vec![close(1, vec![0, 2]), close(2, vec![]), served(3, 2)]), 0);
        assert_eq!(check(vec![close(1, vec![]), close(3, vec![])]), 1);
        assert_eq!(check(vec![close(1, vec![2, 0])]), 1);
        assert_eq!(check(vec![served(3, 3)]), 1);
    }
}
