//! Law 5: under Ssp nobody reads what is too stale, and nobody waits when the bound holds.

use std::collections::BTreeMap;

use super::courses::Courses;
use super::members::Members;
use super::violation::{Found, Violation};
use crate::error::WaitFor;
use crate::history::{Event, History, PolicyKind, Record};
use crate::id::{Origin, Sequence, SlotIndex, TableId};

/// Where an Ssp read was served although a member's ticks were missing (SPEC law 5.1), without
/// its own pushes (5.4), with an untrue `oldest` (5.6), before the group had formed (5.7), or had
/// to wait although the bound held (5.2).
pub fn check_ssp(history: &History) -> Vec<Violation> {
    let mut found = Found::new(5);
    let mut members = Members::default();
    let mut heads: BTreeMap<(Origin, TableId, SlotIndex), Sequence> = BTreeMap::new();
    let courses = Courses::of(history);
    for record in history.records() {
        members.note(record.node, &record.event);
        match &record.event {
            Event::Executed { origin, table, slot, sequence, .. } => {
                heads.insert((*origin, *table, *slot), *sequence);
            },
            Event::Served { origin, table, slot, own, policy, .. } => {
                if heads.get(&(*origin, *table, *slot)) < own.as_ref() {
                    let what = format!("{table}, {slot}: {origin} read without its own {own:?}");
                    found.add(record, what);
                }
                if let PolicyKind::Ssp(bound) = policy {
                    served(&mut found, &members, record, *bound);
                }
            },
            Event::WaitBegan { table, at_tick, .. } => {
                if let Some((_, PolicyKind::Ssp(bound))) = courses.at(*table, *at_tick) {
                    waits(&mut found, &members, record, bound);
                }
            },
            _ => {},
        }
    }
    found.done()
}

fn served(found: &mut Found, members: &Members, record: &Record, bound: u64) {
    let Event::Served { origin, table, slot, at_tick, oldest, .. } = &record.event else {
        return;
    };
    let needed = at_tick.back(bound.saturating_add(1));
    let group = members.record(record.node, origin.group);
    if group.is_none_or(|group| group.members.len() < group.size as usize) {
        let what = format!("{origin} read at {at_tick} before all members had joined");
        found.add(record, what);
    }
    let slowest = members.slowest(record.node, origin.group, *table, *slot);
    let Some((tick, rank)) = slowest else { return };
    if tick < needed || *oldest > tick {
        found.add(
            record,
            format!(
                "{table}, {slot}: {origin} was served at {at_tick} as of {oldest}, {rank} is \
                 counted there up to {tick}, needed is {needed}"
            ),
        );
    }
}

/// A wait for a member's tick is right only where that tick is missing and the bound needs it.
fn waits(found: &mut Found, members: &Members, record: &Record, bound: u64) {
    let Event::WaitBegan { origin, table, slot, at_tick, reason, .. } = &record.event else {
        return;
    };
    let needed = at_tick.back(bound.saturating_add(1));
    let slowest = members.slowest(record.node, origin.group, *table, *slot);
    let holds = slowest.is_none_or(|(tick, _)| tick >= needed);
    if reason.what == WaitFor::MemberTick && holds {
        let what = format!(
            "{table}, {slot}: {origin} waits at {at_tick} for {}, but {needed} is counted",
            reason.tick
        );
        found.add(record, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::WaitReason;
    use crate::id::{GroupId, Rank, RecordVersion, ServerId, Tick};
    use crate::key::KeyRange;
    use crate::placement::Epoch;
    use crate::spec::{GroupRecord, Member, MemberEnd};
    use crate::time::Instant;

    const TABLE: TableId = TableId(0);
    const SLOT: SlotIndex = SlotIndex(0);

    fn origin(rank: u32) -> Origin {
        Origin { rank: Rank(rank), ..Origin::default() }
    }

    /// Two members, of which rank 1 has counted `counted` ticks; rank 0 is far ahead.
    fn found(counted: u64, last: Event) -> usize {
        let member = |rank| {
            let (origin, start) = (origin(rank), Tick(1));
            Member { origin, start, end: MemberEnd::Active }
        };
        let members = vec![member(0), member(1)];
        let (group, version) = (GroupId(0), RecordVersion(1));
        let record = GroupRecord { group, version, size: 2, members };
        let (range, owner, epoch) = (KeyRange::ALL, ServerId(0), Epoch(0));
        let ticked = |rank, tick| {
            let origin = origin(rank);
            Event::TickCounted { origin, table: TABLE, range, tick: Tick(tick) }
        };
        let mut history = History::new();
        let events = [
            Event::Placed { table: TABLE, slot: SLOT, range, owner, epoch },
            Event::RecordHeld { record },
            ticked(0, 9),
            ticked(1, counted),
            last,
            served(1, 0),
        ];
        for event in events {
            history.push(Instant(0), 0, event);
        }
        check_ssp(&history).len()
    }

    fn served(at: u64, oldest: u64) -> Event {
        Event::Served {
            origin: origin(0),
            table: TABLE,
            slot: SLOT,
            at_tick: Tick(at),
            oldest: Tick(oldest),
            newest: Tick(9),
            policy: PolicyKind::Ssp(1),
            own: None,
        }
    }

    #[test]
    fn served_when_the_bound_holds_and_only_then() {
        let waits = |at| Event::WaitBegan {
            origin: origin(0),
            table: TABLE,
            slot: SLOT,
            sequence: Sequence(1),
            at_tick: Tick(at),
            reason: WaitReason {
                who: Some(Rank(1)),
                tick: Tick(at).back(1),
                since: Instant(0),
                what: WaitFor::MemberTick,
            },
        };
        assert_eq!(found(3, served(5, 3)), 0);
        assert_eq!(found(2, served(5, 2)), 1, "too stale");
        assert_eq!(found(3, served(5, 4)), 1, "reports more than it saw");
        assert_eq!(found(2, waits(5)), 0);
        assert_eq!(found(3, waits(5)), 1, "waits for nothing");
    }
}
