//! Law 8 behind hubs: the clock of a group is none that a member's data has not reached.

use std::collections::BTreeMap;

use super::clocks::Clocks;
use super::violation::{Found, Violation};
use crate::history::{Event, History, Record};
use crate::id::{DataCentre, ServerId, TableId, Tick};
use crate::placement::{Feed, Overlay, Telling};

/// Where a hub has told a clock for others that has never counted with it (SPEC law 8.2): for its
/// group one ahead of its own passes or of a member that counts, for another group one ahead of
/// what it has heard; and where it has told any of a group that it has lost (9.16). Nodes that are
/// servers have their servers' numbers. `data_centres` are those of the nodes.
pub fn check_hub_clocks(
    history: &History,
    data_centres: &[DataCentre],
    overlay: &Overlay,
) -> Vec<Violation> {
    let mut found = Found::new(8);
    let mut hubs = Hubs::default();
    for record in history.records() {
        let node = record.node;
        let Some(here) = data_centres.get(node as usize) else { continue };
        if let Event::DataCentreBack { table, .. } = &record.event {
            hubs.grant((node, *table), &overlay.tellings(*here));
        }
        hubs.note(record);
        let Event::MirrorClockTold { table, to: ServerId(to), of, tick, .. } = &record.event else {
            continue;
        };
        let Some(there) = data_centres.get(*to as usize) else { continue };
        let tellings = overlay.tellings(*here);
        let Some(telling) = tellings.iter().find(|it| it.of == *of && it.to == *there) else {
            continue;
        };
        if let Some(what) = hubs.mistold((node, *table), telling, &tellings, *tick) {
            found.add(record, what);
        }
    }
    found.done()
}

/// A table at a node.
type Shard = (u32, TableId);

/// What hubs may tell.
#[derive(Debug, Default)]
struct Hubs {
    clocks: Clocks,
    /// Own clocks: the end once everything has been told.
    passed: BTreeMap<Shard, Tick>,
    /// What has counted, by line, before somebody came back who is further behind.
    granted: BTreeMap<(Shard, DataCentre), Tick>,
}

impl Hubs {
    fn note(&mut self, record: &Record) {
        self.clocks.note(record);
        match &record.event {
            Event::PassEnded { table, tick, .. } => {
                let passed = self.passed.entry((record.node, *table)).or_default();
                *passed = (*tick).max(*passed);
            },
            Event::TrainingEnded { table } => {
                self.passed.insert((record.node, *table), Tick(u64::MAX));
            },
            _ => {},
        }
    }

    /// The least of the clocks that count for a line, with whose it is; `None` of its own line.
    fn counts(
        &self,
        shard: Shard,
        telling: &Telling,
        tellings: &[Telling],
    ) -> Option<(Tick, String)> {
        let passed = self.passed.get(&shard).copied().unwrap_or_default();
        let (of, own) = match telling.feed {
            Feed::Own => return None,
            Feed::Group => (members(tellings), passed),
            Feed::Relayed(group) => (vec![group], Tick(u64::MAX)),
        };
        let heard = of.into_iter().map(|member| (shard.0, shard.1, member));
        let heard = heard.filter(|heard| !self.clocks.is_lost(*heard));
        let heard = heard.map(|heard| (self.clocks.counted_everywhere(heard), heard.2.to_string()));
        heard.chain([(own, "its own".into())]).min()
    }

    /// Somebody is about to count again: what counts without it was told, or will be.
    fn grant(&mut self, shard: Shard, tellings: &[Telling]) {
        for telling in tellings {
            if let Some((counts, _)) = self.counts(shard, telling, tellings) {
                let granted = self.granted.entry((shard, telling.of)).or_default();
                *granted = counts.max(*granted);
            }
        }
    }

    fn mistold(
        &self,
        shard: Shard,
        telling: &Telling,
        tellings: &[Telling],
        tick: Tick,
    ) -> Option<String> {
        let ((node, table), of) = (shard, telling.of);
        if let Feed::Relayed(group) = telling.feed
            && self.clocks.is_lost((node, table, group))
        {
            return Some(format!(
                "{table}: the hub at node {node} tells of {group}, which is lost"
            ));
        }
        let (counts, who) = self.counts(shard, telling, tellings)?;
        let granted = self.granted.get(&(shard, of)).copied().unwrap_or_default();
        (tick > counts.max(granted)).then(|| {
            format!(
                "{table}: the hub at node {node} has told {tick} for {of}, {who} counts there up \
                 to {counts} only"
            )
        })
    }
}

fn members(tellings: &[Telling]) -> Vec<DataCentre> {
    tellings.iter().filter(|it| it.feed == Feed::Own).map(|it| it.to).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::SlotIndex;
    use crate::key::KeyRange;
    use crate::placement::{Epoch, HubGroup};
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
        for slot in [0, 1] {
            let (range, owner, epoch) = (KeyRange::ALL, ServerId(0), Epoch(0));
            let slot = SlotIndex(slot);
            history.push(Instant(0), 0, Event::Placed { table: TABLE, slot, range, owner, epoch });
        }
        events.iter().for_each(|event| history.push(Instant(0), 0, event.clone()));
        check_hub_clocks(&history, &[0, 1, 2].map(DataCentre), &overlay).len()
    }

    fn counted_at(slot: u32, of: u32, tick: u64) -> Event {
        let (from, data_centre, slot) = (ServerId(of), DataCentre(of), SlotIndex(slot));
        Event::MirrorClockCounted { table: TABLE, from, data_centre, slot, tick: Tick(tick) }
    }

    fn counted(of: u32, tick: u64) -> [Event; 2] {
        [0, 1].map(|slot| counted_at(slot, of, tick))
    }

    fn told(to: u32, of: u32, tick: u64) -> Event {
        let (to, of, marks) = (ServerId(to), DataCentre(of), Vec::new());
        Event::MirrorClockTold { table: TABLE, to, of, tick: Tick(tick), marks }
    }

    #[test]
    fn a_hub_tells_no_clock_that_does_not_count_with_it() {
        let (tick, threshold, table) = (Tick(5), 0, TABLE);
        let passed = Event::PassEnded { table, tick, threshold, told: 0, kept: 0, over: 0 };
        let after = |counted: &[Event], told: Event| {
            let before = std::slice::from_ref(&passed);
            found(&[before, counted, &[told]].concat())
        };
        assert_eq!(after(&counted(1, 5), told(2, 0, 5)), 0);
        assert_eq!(after(&counted(1, 4), told(2, 0, 5)), 1, "of a member");
        assert_eq!(after(&[counted_at(0, 1, 5)], told(2, 0, 5)), 1, "a slot was never heard of");
        assert_eq!(after(&counted(1, 6), told(2, 0, 6)), 1, "its own");
        assert_eq!(after(&counted(2, 7), told(1, 2, 7)), 0);
        assert_eq!(after(&counted(2, 7), told(1, 2, 8)), 1, "of another group");
        assert_eq!(after(&[], told(1, 0, 9)), 0, "its own clock is not judged here");
    }

    #[test]
    fn who_is_lost_does_not_count_and_nothing_is_said_of_a_lost_group() {
        let (tick, threshold, table) = (Tick(5), 0, TABLE);
        let passed = Event::PassEnded { table, tick, threshold, told: 0, kept: 0, over: 0 };
        let lost = |of| Event::DataCentreLost { table, data_centre: DataCentre(of) };
        let back = |of| Event::DataCentreBack { table, data_centre: DataCentre(of) };
        assert_eq!(found(&[passed.clone(), lost(1), told(2, 0, 5)]), 0);
        let again = [passed.clone(), lost(1), back(1), told(2, 0, 5), told(2, 0, 6)];
        assert_eq!(found(&again), 1, "what had counted before may be told, and no more");
        let end = u64::MAX;
        let ended = Event::TrainingEnded { table };
        let alone = [passed.clone(), lost(1), ended.clone(), back(1), told(2, 0, end)];
        assert_eq!(found(&alone), 0, "the group had ended when its hub had, which was alone");
        assert_eq!(found(&[passed.clone(), lost(1), back(1), ended, told(2, 0, end)]), 1);
        assert_eq!(found(&[passed, lost(1), told(2, 0, end)]), 1, "its own has not ended");
        let heard = counted(2, 7);
        assert_eq!(found(&[&heard[..], &[lost(2), told(1, 2, 7)]].concat()), 1);
        assert_eq!(found(&[&heard[..], &[lost(2), back(2), told(1, 2, 7)]].concat()), 0);
    }
}
