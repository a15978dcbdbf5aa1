//! Law 8 behind hubs: the clock of a group is none that a member's data has not reached.

use std::collections::BTreeMap;

use super::clocks::Clocks;
use super::violation::{Found, Violation};
use crate::history::{Event, History};
use crate::id::{DataCentre, ServerId, Tick};
use crate::placement::{Feed, Overlay, Telling};

/// Where a hub has told a clock for others that does not count with it (SPEC law 8.2): for its
/// group one ahead of its own passes or of a member that counts, for another group one ahead of
/// what it has heard. Nodes that are servers have their servers' numbers. `data_centres` are those
/// of the nodes.
pub fn check_hub_clocks(
    history: &History,
    data_centres: &[DataCentre],
    overlay: &Overlay,
) -> Vec<Violation> {
    let mut found = Found::new(8);
    let (mut clocks, mut passed) = (Clocks::default(), BTreeMap::new());
    for record in history.records() {
        clocks.note(record);
        if let Event::PassEnded { table, tick, .. } = &record.event {
            passed.insert((record.node, *table), *tick);
        }
        let Event::MirrorClockTold { table, to: ServerId(to), of, tick, .. } = &record.event else {
            continue;
        };
        let [here, there] = [record.node, *to].map(|node| data_centres.get(node as usize));
        let (Some(here), Some(there)) = (here, there) else { continue };
        let tellings = overlay.tellings(*here);
        let Some(telling) = tellings.iter().find(|it| it.of == *of && it.to == *there) else {
            continue;
        };
        let (node, table) = (record.node, *table);
        let needed = match telling.feed {
            Feed::Own => continue,
            Feed::Group => members(&tellings),
            Feed::Relayed(group) => vec![group],
        };
        let heard = needed.into_iter().map(|member| (node, table, member));
        let mut early = heard
            .filter(|heard| !clocks.is_lost(*heard))
            .map(|heard| (heard.2, clocks.counted_everywhere(heard)));
        if let Some((member, counted)) = early.find(|(_, counted)| counted < tick) {
            found.add(
                record,
                format!(
                    "{table}: the hub at node {node} has told {tick} for {of}, {member} counts \
                     there up to {counted} only"
                ),
            );
        }
        let passed = passed.get(&(node, table)).copied().unwrap_or_default();
        if telling.feed == Feed::Group && *tick != Tick(u64::MAX) && passed < *tick {
            let what = format!("{table}: a hub has told {tick} for {of} after its own {passed}");
            found.add(record, what);
        }
    }
    found.done()
}

fn members(tellings: &[Telling]) -> Vec<DataCentre> {
    tellings.iter().filter(|it| it.feed == Feed::Own).map(|it| it.to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{SlotIndex, TableId};
    use crate::placement::HubGroup;
    use crate::time::Instant;

    const TABLE: TableId = TableId(0);

    /// Data centres 0 and 1 are a group, whose hub is 0; 2 is alone.
    fn found(events: &[Event]) -> usize {
        let group = |members: &[u32]| HubGroup {
            members: members.iter().copied().map(DataCentre).collect(),
            hub: DataCentre(members[0]),
        };
        let overlay = Overlay::new(vec![group(&[0, 1]), group(&[2])], &[]).unwrap();
        let mut history = History::new();
        events.iter().for_each(|event| history.push(Instant(0), 0, event.clone()));
        check_hub_clocks(&history, &[0, 1, 2].map(DataCentre), &overlay).len()
    }

    fn counted(of: u32, tick: u64) -> Event {
        let (from, data_centre, slot) = (ServerId(of), DataCentre(of), SlotIndex(0));
        Event::MirrorClockCounted { table: TABLE, from, data_centre, slot, tick: Tick(tick) }
    }

    fn told(to: u32, of: u32, tick: u64) -> Event {
        let (to, of, marks) = (ServerId(to), DataCentre(of), Vec::new());
        Event::MirrorClockTold { table: TABLE, to, of, tick: Tick(tick), marks }
    }

    #[test]
    fn a_hub_tells_no_clock_that_does_not_count_with_it() {
        let (tick, threshold, table) = (Tick(5), 0, TABLE);
        let passed = Event::PassEnded { table, tick, threshold, told: 0, kept: 0, over: 0 };
        assert_eq!(found(&[passed.clone(), counted(1, 5), told(2, 0, 5)]), 0);
        assert_eq!(found(&[passed.clone(), counted(1, 4), told(2, 0, 5)]), 1, "of a member");
        assert_eq!(found(&[counted(1, 5), told(2, 0, 5)]), 1, "its own");
        assert_eq!(found(&[counted(2, 7), told(1, 2, 7)]), 0);
        assert_eq!(found(&[counted(2, 7), told(1, 2, 8)]), 1, "of another group");
        let lost = Event::DataCentreLost { table, data_centre: DataCentre(1) };
        assert_eq!(found(&[passed, lost, told(2, 0, 5)]), 0);
        assert_eq!(found(&[told(1, 0, 9)]), 0, "its own clock is not judged here");
    }
}
