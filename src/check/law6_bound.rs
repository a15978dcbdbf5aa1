//! Law 6: what matters has left after each pass, and nobody reads what is too far behind.

use std::collections::{BTreeMap, BTreeSet};

use super::clocks::{Clocks, Heard};
use super::violation::{Found, Violation};
use crate::history::{Event, History, Record};
use crate::id::{DataCentre, Mark, SlotIndex};
use crate::key::KeyRange;
use crate::placement::Overlay;

/// Where a pass has kept what scores more than its threshold (SPEC law 6.1), and where a read was
/// served although the mirror clock of a data centre that counts was too far behind for the
/// table's `staleness`, or a barrier covered its rows (6.2). `data_centres` are those of the
/// nodes, which in an `overlay` hear of other groups by their first ones; tables without a
/// staleness are not judged for 6.2.
pub fn check_bound(
    history: &History,
    data_centres: &[DataCentre],
    overlay: Option<&Overlay>,
    staleness: &[Option<u64>],
) -> Vec<Violation> {
    let mut found = Found::new(6);
    let mut readers = Readers::default();
    let heard = data_centres.iter().map(|here| (*here, heard_at(*here, data_centres, overlay)));
    let heard: BTreeMap<_, _> = heard.collect();
    for record in history.records() {
        readers.note(record);
        match &record.event {
            Event::PassEnded { table, tick, over, .. } if *over > 0 => {
                let node = record.node;
                let what = format!(
                    "{table}: the pass of {tick} at node {node} has kept {over} elements that \
                     score more than its threshold"
                );
                found.add(record, what);
            },
            Event::MirrorServed { table, .. } => {
                let bound = staleness.get(table.0 as usize).copied().flatten();
                let wrong = bound.and_then(|bound| {
                    let here = data_centres.get(record.node as usize)?;
                    readers.misread(record, heard.get(here)?, bound)
                });
                if let Some(what) = wrong {
                    found.add(record, what);
                }
            },
            _ => {},
        }
    }
    found.done()
}

/// Whom a data centre hears of.
fn heard_at(
    here: DataCentre,
    data_centres: &[DataCentre],
    overlay: Option<&Overlay>,
) -> BTreeSet<DataCentre> {
    match overlay {
        Some(overlay) => overlay.hearings(here).iter().map(|hearing| hearing.of).collect(),
        None => data_centres.iter().copied().filter(|other| *other != here).collect(),
    }
}

/// What reads rely on, shard by shard.
#[derive(Debug, Default)]
struct Readers {
    clocks: Clocks,
    barriers: BTreeMap<(Heard, SlotIndex, Mark), Vec<KeyRange>>,
}

impl Readers {
    fn note(&mut self, record: &Record) {
        self.clocks.note(record);
        let node = record.node;
        match &record.event {
            Event::BarrierSet { table, data_centre, slot, mark, ranges, .. } => {
                let place = ((node, *table, *data_centre), *slot, *mark);
                self.barriers.insert(place, ranges.clone());
            },
            Event::BarrierEnded { table, data_centre, slot, mark, .. } => {
                self.barriers.remove(&((node, *table, *data_centre), *slot, *mark));
            },
            _ => {},
        }
    }

    fn misread(
        &self,
        record: &Record,
        others: &BTreeSet<DataCentre>,
        bound: u64,
    ) -> Option<String> {
        let Event::MirrorServed { origin, table, slot, at_tick, rows } = &record.event else {
            return None;
        };
        let heard = others.iter().map(|other| (record.node, *table, *other));
        let needed = at_tick.back(bound.saturating_add(1));
        heard.filter(|heard| !self.clocks.is_lost(*heard)).find_map(|heard| {
            let counted = self.clocks.counted(heard, *slot);
            let barred = rows.iter().any(|rows| self.is_barred(heard, *slot, rows));
            let who = heard.2;
            let told = format!("{table}, {slot}: {origin} was served at {at_tick}, {who}");
            match (counted < needed, barred) {
                (true, _) => Some(format!("{told} counts there up to {counted} only")),
                (false, true) => Some(format!("{told} has barred these rows")),
                (false, false) => None,
            }
        })
    }

    fn is_barred(&self, heard: Heard, slot: SlotIndex, rows: &KeyRange) -> bool {
        let of_slot = (heard, slot, Mark(0))..=(heard, slot, Mark(u64::MAX));
        let mut barred = self.barriers.range(of_slot).flat_map(|(_, ranges)| ranges);
        barred.any(|range| range.first() <= rows.last() && rows.first() <= range.last())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Origin, ServerId, TableId, Tick};
    use crate::key::Key;
    use crate::time::Instant;

    const TABLE: TableId = TableId(0);
    const SLOT: SlotIndex = SlotIndex(2);

    fn found(events: &[Event]) -> usize {
        let mut history = History::new();
        events.iter().for_each(|event| history.push(Instant(0), 0, event.clone()));
        check_bound(&history, &[DataCentre(0), DataCentre(1)], None, &[Some(2)]).len()
    }

    fn served(at: u64, first: u64) -> Event {
        let (origin, at_tick) = (Origin::default(), Tick(at));
        // Every fourth key: as a sparse table's are.
        let rows = (0..3).map(|at| KeyRange::single(Key(first + 4 * at))).collect();
        Event::MirrorServed { origin, table: TABLE, slot: SLOT, at_tick, rows }
    }

    #[test]
    fn a_read_waits_for_clocks_and_barriers_of_those_that_count() {
        let (table, slot, data_centre, mark) = (TABLE, SLOT, DataCentre(1), Mark(4));
        let (from, tick) = (ServerId(1), Tick(5));
        let counted = Event::MirrorClockCounted { table, from, data_centre, slot, tick };
        assert_eq!(found(&[served(3, 0)]), 0, "the beginning");
        assert_eq!(found(&[served(4, 0)]), 1);
        assert_eq!(found(&[counted.clone(), served(8, 0)]), 0);
        assert_eq!(found(&[counted, served(9, 0)]), 1);
        let lost = Event::DataCentreLost { table, data_centre };
        assert_eq!(found(&[lost.clone(), served(9, 0)]), 0);
        let ranges = vec![KeyRange::single(Key(12))];
        let until = Instant(9);
        let set = Event::BarrierSet { table, data_centre, slot, mark, ranges, until };
        assert_eq!(found(&[set.clone(), served(1, 1), served(1, 8)]), 1);
        assert_eq!(found(&[set, lost, served(1, 8)]), 0);
    }

    #[test]
    fn a_pass_keeps_nothing_that_matters() {
        let (table, tick, threshold) = (TABLE, Tick(1), 0);
        let pass = |over| Event::PassEnded { table, tick, threshold, told: 1, kept: 9, over };
        assert_eq!((found(&[pass(0)]), found(&[pass(1)])), (0, 1));
    }
}
