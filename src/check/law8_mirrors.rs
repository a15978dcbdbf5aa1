//! Law 8: a mirror clock counts only where what it covers has come.

use std::collections::BTreeMap;

use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{DataCentre, Mark, ServerId, SlotIndex, TableId, Tick};

/// What one server tells another of a table, for itself or for others.
type Way = (u32, u32, DataCentre, TableId);

/// Where a clock counts for a slot although updates up to its mark were not taken there; and
/// where an update of a tick follows the clock of that tick, which did not name its mark
/// (SPEC law 8.1). Nodes that are servers have their servers' numbers.
pub fn check_mirror_clocks(history: &History) -> Vec<Violation> {
    let mut found = Found::new(8);
    let mut ways: BTreeMap<Way, Told> = BTreeMap::new();
    let mut taken: BTreeMap<(Way, SlotIndex), Mark> = BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::MirrorClockTold { table, to: ServerId(to), of, tick, marks } => {
                ways.entry((record.node, *to, *of, *table)).or_default().clock(*tick, marks);
            },
            Event::UpdateTold {
                table, to: ServerId(to), of, slot, tick, mark: Some(mark), ..
            } => {
                let told = ways.entry((record.node, *to, *of, *table)).or_default();
                let named = told.named.get(slot).copied().unwrap_or_default();
                if *tick <= told.last && told.last != Tick(u64::MAX) && *mark > named {
                    let last = told.last;
                    let what =
                        format!("{table}, {slot}: {last} was told without {mark:?} of {tick}");
                    found.add(record, what);
                }
            },
            Event::UpdateTaken {
                table, from: ServerId(from), of, slot, mark: Some(mark), ..
            } => {
                taken.insert(((*from, record.node, *of, *table), *slot), *mark);
            },
            Event::MirrorClockCounted { table, from: ServerId(from), data_centre, slot, tick } => {
                let way = (*from, record.node, *data_centre, *table);
                let needed = ways.get(&way).and_then(|told| told.needed(*slot, *tick));
                let come = taken.get(&(way, *slot)).copied();
                if come < needed {
                    let node = record.node;
                    let what = format!(
                        "{table}, {slot}: {tick} of node {from} counts at node {node} with \
                         {come:?}, it covers {needed:?}"
                    );
                    found.add(record, what);
                }
            },
            _ => {},
        }
    }
    found.done()
}

/// Clocks told on one way.
#[derive(Debug, Default)]
struct Told {
    last: Tick,
    named: BTreeMap<SlotIndex, Mark>,
    /// The first mark that the first clock of a tick needs, where it changes.
    marks: BTreeMap<SlotIndex, Vec<(Tick, Mark)>>,
}

impl Told {
    fn clock(&mut self, tick: Tick, marks: &[(SlotIndex, Mark)]) {
        for (slot, mark) in marks {
            let before = self.named.insert(*slot, *mark);
            // Said again after a break: what the tick needs was said before.
            if before < Some(*mark) && tick > self.last {
                self.marks.entry(*slot).or_default().push((tick, *mark));
            }
        }
        self.last = self.last.max(tick);
    }

    fn needed(&self, slot: SlotIndex, tick: Tick) -> Option<Mark> {
        let marks = self.marks.get(&slot)?.iter().rev();
        marks.clone().find(|(of, _)| *of <= tick).map(|(_, mark)| *mark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Sequence;
    use crate::time::Instant;

    const TABLE: TableId = TableId(0);
    const SLOT: SlotIndex = SlotIndex(1);
    const OF: DataCentre = DataCentre(0);

    fn clock(tick: u64, mark: u64) -> (u32, Event) {
        let marks = vec![(SLOT, Mark(mark))];
        (
            0,
            Event::MirrorClockTold {
                table: TABLE,
                to: ServerId(1),
                of: OF,
                tick: Tick(tick),
                marks,
            },
        )
    }

    fn told(tick: u64, mark: u64) -> (u32, Event) {
        let (table, slot, to, sequence) = (TABLE, SLOT, ServerId(1), Sequence(mark));
        let (tick, mark, sum) = (Tick(tick), Some(Mark(mark)), 0);
        (0, Event::UpdateTold { table, to, of: OF, slot, sequence, tick, mark, sum })
    }

    fn taken(mark: u64) -> (u32, Event) {
        let (table, slot, from, sequence) = (TABLE, SLOT, ServerId(0), Sequence(mark));
        (
            1,
            Event::UpdateTaken {
                table,
                from,
                of: OF,
                slot,
                sequence,
                mark: Some(Mark(mark)),
                sum: 0,
            },
        )
    }

    fn counted(tick: u64) -> (u32, Event) {
        let (table, slot, from, data_centre) = (TABLE, SLOT, ServerId(0), DataCentre(0));
        let tick = Tick(tick);
        (1, Event::MirrorClockCounted { table, from, data_centre, slot, tick })
    }

    #[test]
    fn a_clock_counts_behind_what_it_covers() {
        let found = |events: &[(u32, Event)]| {
            let mut history = History::new();
            events.iter().for_each(|(node, event)| history.push(Instant(0), *node, event.clone()));
            check_mirror_clocks(&history).len()
        };
        let good = [clock(1, 1), told(1, 1), clock(2, 2), taken(1), counted(1), told(2, 2)];
        assert_eq!(found(&[&good[..], &[taken(2), counted(2)]].concat()), 0);
        assert_eq!(found(&[&good[..], &[counted(2), taken(2)]].concat()), 1);
        assert_eq!(found(&[clock(1, 1), told(1, 2)]), 1, "not named");
    }
}
