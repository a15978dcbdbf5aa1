//! Law 5: a change of policy takes effect at its tick, everywhere, and is a barrier.

use super::courses::Courses;
use super::members::Members;
use super::violation::{Found, Violation};
use crate::history::{Event, History, PolicyKind, Record};
use crate::id::{Origin, SlotIndex, TableId, Tick};

/// Where a push or read was treated by another policy than that of its tick, or before all members
/// had ended the last tick of the policy before (SPEC law 5.10).
pub fn check_changes(history: &History) -> Vec<Violation> {
    let mut found = Found::new(5);
    let courses = Courses::of(history);
    let mut members = Members::default();
    for record in history.records() {
        members.note(record.node, &record.event);
        match &record.event {
            Event::Served { origin, table, slot, at_tick, policy, .. } => {
                let by = (*policy != PolicyKind::Other).then_some(*policy);
                judge(
                    &mut found,
                    &courses,
                    &members,
                    record,
                    (*origin, *table, *slot, *at_tick),
                    by,
                );
            },
            Event::Executed { origin, table, slot, tick, round, .. } => {
                let by = round.map(|_| PolicyKind::Bsp);
                judge(&mut found, &courses, &members, record, (*origin, *table, *slot, *tick), by);
                let promised = courses.at(*table, *tick).map(|(_, kind)| kind);
                let at_once = matches!(promised, Some(PolicyKind::Ssp(_) | PolicyKind::Eventual));
                if at_once == round.is_some() && promised.is_some() {
                    found.add(record, format!("{table}: a push of {tick} has the wrong policy"));
                }
            },
            _ => {},
        }
    }
    found.done()
}

fn judge(
    found: &mut Found,
    courses: &Courses,
    members: &Members,
    record: &Record,
    (origin, table, slot, tick): (Origin, TableId, SlotIndex, Tick),
    by: Option<PolicyKind>,
) {
    let Some((since, kind)) = courses.at(table, tick) else { return };
    if by.is_some_and(|by| by != kind) {
        let what =
            format!("{table}, {slot}: {origin} at {tick} was treated by {by:?}, not {kind:?}");
        found.add(record, what);
    }
    let slowest = members.slowest(record.node, origin.group, table, slot);
    if let Some((ended, rank)) = slowest.filter(|(ended, _)| *ended < since.back(1)) {
        let what = format!(
            "{table}, {slot}: {origin} went on at {tick}, where {kind:?} holds since {since}, but \
             {rank} is counted up to {ended}"
        );
        found.add(record, what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupId, Rank, RecordVersion, Sequence, ServerId};
    use crate::key::KeyRange;
    use crate::placement::Epoch;
    use crate::spec::{GroupRecord, Member, MemberEnd};
    use crate::time::Instant;

    const TABLE: TableId = TableId(0);
    const SLOT: SlotIndex = SlotIndex(0);

    /// Bsp until tick 4, Eventual from then on; rank 1 has ended `ended`, rank 0 goes on at `tick`.
    fn found(ended: u64, tick: u64, policy: PolicyKind) -> usize {
        let origin = |rank| Origin { rank: Rank(rank), ..Origin::default() };
        let member = |rank| {
            let (origin, start) = (origin(rank), Tick(1));
            Member { origin, start, end: MemberEnd::Active }
        };
        let (group, version) = (GroupId(0), RecordVersion(1));
        let record = GroupRecord { group, version, size: 2, members: vec![member(0), member(1)] };
        let (range, owner, epoch) = (KeyRange::ALL, ServerId(0), Epoch(0));
        let counted = |rank, tick| {
            let origin = origin(rank);
            Event::TickCounted { origin, table: TABLE, range, tick: Tick(tick) }
        };
        let served = |at: u64, policy| Event::Served {
            origin: origin(0),
            table: TABLE,
            slot: SLOT,
            at_tick: Tick(at),
            oldest: Tick(at - 1),
            newest: Tick(at - 1),
            policy,
            own: None,
        };
        let round = (policy == PolicyKind::Bsp).then_some(Tick(tick));
        let (sequence, tick_of) = (Sequence(1), Tick(tick));
        let executed = Event::Executed {
            origin: origin(0),
            table: TABLE,
            slot: SLOT,
            sequence,
            tick: tick_of,
            round,
        };
        let (from, changed) = (Tick(5), PolicyKind::Eventual);
        let events = [
            Event::Placed { table: TABLE, slot: SLOT, range, owner, epoch },
            Event::RecordHeld { record },
            served(1, PolicyKind::Bsp),
            Event::Changed { table: TABLE, from, policy: changed },
            counted(0, 9),
            counted(1, ended),
            served(tick, policy),
            executed,
        ];
        let mut history = History::new();
        events.into_iter().for_each(|event| history.push(Instant(0), 0, event));
        check_changes(&history).len()
    }

    #[test]
    fn a_policy_holds_from_its_tick_on_and_not_before_all_are_there() {
        assert_eq!(found(3, 4, PolicyKind::Bsp), 0);
        assert_eq!(found(4, 5, PolicyKind::Eventual), 0);
        assert_eq!(found(4, 4, PolicyKind::Eventual), 2, "a tick early");
        assert_eq!(found(4, 5, PolicyKind::Bsp), 3, "a tick late");
        assert_eq!(found(3, 5, PolicyKind::Eventual), 2, "tick 4 is not ended");
    }
}
