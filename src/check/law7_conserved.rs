//! Law 7: nothing that a copy has gained is lost or counted twice.

use std::collections::{BTreeMap, BTreeSet};

use super::clocks::Clocks;
use super::violation::{Found, Violation};
use crate::history::{Event, History, Record};
use crate::id::{DataCentre, Sequence, ServerId, SlotIndex, TableId};
use crate::placement::Overlay;
use crate::time::Instant;

/// One line of updates: sender, receiver, for whom, table, slot.
type Line = (u32, u32, DataCentre, TableId, SlotIndex);

/// Where an update was taken out of order, twice or other than it was told; where a shard's
/// values are not what was there first, gained here and taken from elsewhere, or what was
/// gained is not what was queued and what is left (SPEC law 7.1, exact on i64); and where at the
/// end an update was told and not taken, or what all data centres have queued of a slot is not what
/// one of them has queued and taken, by whatever hubs. Who was lost and is back is judged with all
/// others; of those that somebody has lost at the end, or that have stopped, nothing is expected.
/// Nodes that are servers have their servers' numbers. `data_centres` are those of the nodes, which
/// in an `overlay` hear of other groups by their first ones.
pub fn check_conserved(
    history: &History,
    data_centres: &[DataCentre],
    overlay: Option<&Overlay>,
) -> Vec<Violation> {
    let mut found = Found::new(7);
    let mut lines = Lines::default();
    let mut shards: BTreeMap<(u32, TableId), Sums> = BTreeMap::new();
    let (mut clocks, mut stopped) = (Clocks::default(), BTreeSet::new());
    for record in history.records() {
        clocks.note(record);
        if let Event::ServerStopped { server: ServerId(node) } = record.event {
            stopped.insert(node);
        }
        let wrong = lines.note(record);
        let wrong = wrong.or_else(|| note_sums(&mut shards, record));
        if let Some(what) = wrong {
            found.add(record, what);
        }
    }
    let at = history.records().last().map_or(Instant::EPOCH, |record| record.at);
    let parted = Parted { clocks, stopped, data_centres, overlay };
    for what in lines.unfinished(&parted).into_iter().chain(untold(&shards, &parted)) {
        found.add_at(at, what);
    }
    found.done()
}

/// Who has lost whom at the end.
struct Parted<'a> {
    clocks: Clocks,
    /// Nodes at which nothing happens any more.
    stopped: BTreeSet<u32>,
    data_centres: &'a [DataCentre],
    overlay: Option<&'a Overlay>,
}

impl Parted<'_> {
    /// Whether a line is cut: one end has stopped, or has lost the other.
    fn cuts(&self, (from, to, of, table, _): Line) -> bool {
        let back = self.of(from).zip(self.of(to)).and_then(|(here, there)| self.name(here, there));
        let lost = |at, of| self.clocks.is_lost((at, table, of));
        let stopped = self.stopped.contains(&from) || self.stopped.contains(&to);
        stopped || lost(to, of) || back.is_some_and(|back| lost(from, back))
    }

    fn of(&self, node: u32) -> Option<DataCentre> {
        self.data_centres.get(node as usize).copied()
    }

    /// By which name one data centre hears of another: its own, or its group's.
    fn name(&self, here: DataCentre, there: DataCentre) -> Option<DataCentre> {
        self.overlay.map_or(Some(there), |overlay| overlay.name(here, there))
    }

    /// The data centres that somebody has lost, in some table, and those with servers that stopped.
    fn lost(&self) -> BTreeSet<DataCentre> {
        let stopped = self.stopped.iter().filter_map(|node| self.of(*node));
        self.clocks.lost().map(|(_, _, of)| of).chain(stopped).collect()
    }
}

/// What was told and taken, line by line.
#[derive(Debug, Default)]
struct Lines {
    told: BTreeMap<(Line, Sequence), u64>,
    taken: BTreeMap<Line, Sequence>,
}

impl Lines {
    fn note(&mut self, record: &Record) -> Option<String> {
        match &record.event {
            Event::UpdateTold { table, to: ServerId(to), of, slot, sequence, sum, .. } => {
                let line = (record.node, *to, *of, *table, *slot);
                let first = *self.told.entry((line, *sequence)).or_insert(*sum);
                (first != *sum).then(|| format!("{table}, {slot}: {sequence} was told in two ways"))
            },
            Event::UpdateTaken { table, from: ServerId(from), of, slot, sequence, sum, .. } => {
                let line = (*from, record.node, *of, *table, *slot);
                let last = self.taken.insert(line, *sequence).unwrap_or_default();
                let told = self.told.get(&(line, *sequence));
                let from = format!("{table}, {slot}: {sequence} of node {from}");
                if sequence.0 != last.0 + 1 {
                    return Some(format!("{from} was taken after {last}"));
                }
                (told != Some(sum)).then(|| format!("{from} was taken as it was not told"))
            },
            _ => None,
        }
    }

    fn unfinished(&self, parted: &Parted<'_>) -> Vec<String> {
        let mut last: BTreeMap<Line, Sequence> = BTreeMap::new();
        for (line, sequence) in self.told.keys() {
            last.insert(*line, *sequence);
        }
        let missing = last.into_iter().filter(|(line, last)| self.taken.get(line) != Some(last));
        missing
            .filter(|(line, _)| !parted.cuts(*line))
            .map(|((from, to, _, table, slot), last)| {
                format!("{table}, {slot}: node {to} has not taken {last} of node {from}")
            })
            .collect()
    }
}

/// Data centres that do not have what all have gained in a slot, of those that nobody has lost.
fn untold(shards: &BTreeMap<(u32, TableId), Sums>, parted: &Parted<'_>) -> Vec<String> {
    let mut gained: BTreeMap<(TableId, SlotIndex), u64> = BTreeMap::new();
    let mut known: BTreeMap<(TableId, SlotIndex, DataCentre), u64> = BTreeMap::new();
    let (mut found, lost) = (Vec::new(), parted.lost());
    if parted.overlay.is_some() && !lost.is_empty() {
        // What was taken of a group is not told apart by its members.
        return found;
    }
    for ((node, table), sums) in shards.iter().filter(|(_, sums)| sums.first.is_some()) {
        let here = parted.of(*node).filter(|here| !lost.contains(here));
        let Some(here) = here else { continue };
        for (slot, (queued, taken)) in &sums.slots {
            add(gained.entry((*table, *slot)).or_default(), *queued);
            let taken = taken.iter().filter(|(of, _)| !lost.contains(of));
            let taken = taken.fold(*queued, |sum, (_, taken)| sum.wrapping_add(*taken));
            add(known.entry((*table, *slot, here)).or_default(), taken);
        }
        if sums.left {
            found.push(format!("{table}: node {node} has something left at the end"));
        }
    }
    let all = parted.data_centres.iter().copied().filter(|it| !lost.contains(it));
    let all: BTreeSet<_> = all.collect();
    for ((table, slot), gained) in gained {
        let knows = |it: &&DataCentre| known.get(&(table, slot, **it)).copied().unwrap_or_default();
        for without in all.iter().filter(|data_centre| knows(data_centre) != gained) {
            found.push(format!("{table}, {slot}: {without} has not what all have gained"));
        }
    }
    found
}

fn add(sum: &mut u64, more: u64) {
    *sum = sum.wrapping_add(more);
}

/// What a shard has gained, as sums that wrap.
#[derive(Debug, Default)]
struct Sums {
    first: Option<u64>,
    /// By slot: what has left by passes, and what was taken, by whose line.
    slots: BTreeMap<SlotIndex, (u64, BTreeMap<DataCentre, u64>)>,
    /// Values were replaced: they cannot be accounted for any more.
    assigned: bool,
    /// What the last balance has left: not told, or not in the values.
    left: bool,
}

fn note_sums(shards: &mut BTreeMap<(u32, TableId), Sums>, record: &Record) -> Option<String> {
    let table = match &record.event {
        Event::UpdateQueued { table, .. }
        | Event::UpdateTaken { table, .. }
        | Event::Assigned { table, .. }
        | Event::Balance { table, .. } => *table,
        _ => return None,
    };
    let shard = shards.entry((record.node, table)).or_default();
    match &record.event {
        Event::UpdateQueued { slot, sum, .. } => {
            add(&mut shard.slots.entry(*slot).or_default().0, *sum);
        },
        Event::UpdateTaken { of, slot, sum, .. } => {
            let (_, taken) = shard.slots.entry(*slot).or_default();
            add(taken.entry(*of).or_default(), *sum);
        },
        Event::Assigned { .. } => shard.assigned = true,
        Event::Balance { values, residuals, stashed, tick, .. } => {
            let first = *shard.first.get_or_insert(*values);
            shard.left = *residuals != 0 || *stashed != 0;
            let gained = values.wrapping_sub(first).wrapping_add(*stashed);
            let known = shard.slots.values().fold(*residuals, |sum, (queued, taken)| {
                taken
                    .values()
                    .fold(sum.wrapping_add(*queued), |sum, taken| sum.wrapping_add(*taken))
            });
            let node = record.node;
            if gained != known && !shard.assigned {
                return Some(format!("{table}: node {node} does not balance after {tick}"));
            }
        },
        _ => {},
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::Tick;

    const TABLE: TableId = TableId(0);
    const SLOT: SlotIndex = SlotIndex(1);
    const OF: DataCentre = DataCentre(0);

    fn found(events: &[(u32, Event)]) -> usize {
        let mut history = History::new();
        events.iter().for_each(|(node, event)| history.push(Instant(0), *node, event.clone()));
        check_conserved(&history, &[DataCentre(0), DataCentre(1)], None).len()
    }

    fn told(sequence: u64, sum: u64) -> (u32, Event) {
        let (table, slot, sequence, to) = (TABLE, SLOT, Sequence(sequence), ServerId(1));
        let (tick, mark) = (Tick(1), None);
        (0, Event::UpdateTold { table, to, of: OF, slot, sequence, tick, mark, sum })
    }

    fn taken(sequence: u64, sum: u64) -> (u32, Event) {
        let (table, slot, sequence, from) = (TABLE, SLOT, Sequence(sequence), ServerId(0));
        (1, Event::UpdateTaken { table, from, of: OF, slot, sequence, mark: None, sum })
    }

    fn balance(node: u32, values: u64, residuals: u64) -> (u32, Event) {
        let (table, tick, stashed) = (TABLE, Tick(1), 0);
        (node, Event::Balance { table, tick, values, residuals, stashed })
    }

    #[test]
    fn updates_are_taken_once_in_order_and_as_they_were_told() {
        assert_eq!(found(&[told(1, 5), taken(1, 5), told(2, 6), told(2, 6), taken(2, 6)]), 0);
        assert_eq!(found(&[told(1, 5), taken(1, 5), taken(1, 5)]), 1, "twice");
        assert_eq!(found(&[told(1, 5), taken(1, 6)]), 1);
        assert_eq!(found(&[told(1, 5)]), 1, "never");
    }

    #[test]
    fn who_was_lost_is_judged_once_it_is_back() {
        let (table, data_centre) = (TABLE, DataCentre(1));
        let lost = (0, Event::DataCentreLost { table, data_centre });
        let back = (0, Event::DataCentreBack { table, data_centre });
        let start = [balance(0, 100, 0), balance(1, 100, 0)];
        let queued = (0, Event::UpdateQueued { table, slot: SLOT, sum: 7 });
        let gained = [&start[..], &[queued, told(1, 7), balance(0, 107, 0), lost]].concat();
        assert_eq!(found(&gained), 0, "nothing can be expected of who is lost");
        let back = [&gained[..], &[back]].concat();
        assert_eq!(found(&back), 2, "not taken, and not what all have gained");
        assert_eq!(found(&[&back[..], &[taken(1, 7), balance(1, 107, 0)]].concat()), 0);
    }

    #[test]
    fn what_was_gained_is_queued_or_left_and_told_to_everybody() {
        let queued = |sum| (0, Event::UpdateQueued { table: TABLE, slot: SLOT, sum });
        let good = [balance(0, 100, 0), balance(1, 100, 0), queued(7), balance(0, 110, 3)];
        let rest = [queued(3), told(1, 7), taken(1, 7), told(2, 3), taken(2, 3)];
        let end = [&rest[..], &[balance(0, 110, 0), balance(1, 110, 0)]].concat();
        assert_eq!(found(&[&good[..], &end].concat()), 0);
        assert_eq!(found(&good), 2, "not told, and something left");
        let forgotten =
            [balance(0, 100, 0), queued(7), balance(0, 110, 2), balance(1, 100, 0), told(1, 7)];
        let forgotten = [&forgotten[..], &[taken(1, 7)]].concat();
        assert_eq!(found(&forgotten), 2, "and something left");
        let twice = [&good[..], &rest, &[balance(0, 110, 0), balance(1, 120, 0)]].concat();
        assert_eq!(found(&twice), 1);
        // As it was told, but other than it was gained: a hub has lost something on the way.
        let fewer = [told(1, 7), taken(1, 7), told(2, 2), taken(2, 2)];
        let fewer = [&good[..], &[queued(3)], &fewer, &end[5..6]].concat();
        let fewer = [&fewer[..], &[balance(1, 109, 0)]].concat();
        assert_eq!(found(&fewer), 1);
    }
}
