//! Law 9: every wait ends.

use std::collections::BTreeMap;

use super::violation::{Found, Violation};
use crate::error::WaitReason;
use crate::history::{Event, History};
use crate::id::{Origin, Sequence, TableId};
use crate::spec::MemberEnd;
use crate::time::Instant;

/// Waits that no event has ended when the history ends (SPEC law 9.1 and 9.6). A wait also ends
/// when the worker that waits is lost, when its server stops, and when its server learns that it
/// has left.
pub fn check_waits(history: &History) -> Vec<Violation> {
    let mut found = Found::new(9);
    let mut open: BTreeMap<(Origin, TableId, Sequence, u32), (Instant, WaitReason)> =
        BTreeMap::new();
    for record in history.records() {
        match &record.event {
            Event::WaitBegan { origin, table, sequence, reason, .. } => {
                // Sent again after a break: the same wait goes on.
                let wait = (*origin, *table, *sequence, record.node);
                open.entry(wait).or_insert((record.at, *reason));
            },
            Event::WaitEnded { origin, table, sequence, .. } => {
                open.remove(&(*origin, *table, *sequence, record.node));
            },
            Event::ServerStopped { .. } => open.retain(|wait, _| wait.3 != record.node),
            Event::WorkerLost { origin, .. } => open.retain(|wait, _| wait.0 != *origin),
            Event::RecordHeld { record: held } => {
                let gone = held.members.iter().filter(|m| m.end != MemberEnd::Active);
                for member in gone {
                    open.retain(|wait, _| wait.0 != member.origin);
                }
            },
            _ => {},
        }
    }
    for ((origin, table, sequence, node), (at, reason)) in open {
        let what = format!("{table}: {sequence} of {origin} {reason}; node {node} never ended it");
        found.add_at(at, what);
    }
    found.done()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Loss, WaitFor};
    use crate::history::WaitOutcome;
    use crate::id::{SlotIndex, Tick};

    #[test]
    fn a_wait_ends_or_is_found() {
        let (origin, table, sequence) = (Origin::default(), TableId(0), Sequence(1));
        let (what, tick) = (WaitFor::MemberTick, Tick(1));
        let reason = WaitReason { who: None, tick, since: Instant(3), what };
        let (slot, at_tick) = (SlotIndex(0), Tick(2));
        let began = Event::WaitBegan { origin, table, slot, sequence, at_tick, reason };
        let ended = Event::WaitEnded { origin, table, sequence, outcome: WaitOutcome::Served };
        let lost = Event::WorkerLost { origin, why: Loss::Silent };
        let check = |events: &[&Event]| {
            let mut history = History::new();
            events.iter().for_each(|event| history.push(Instant(3), 0, (*event).clone()));
            check_waits(&history).len()
        };
        assert_eq!(check(&[&began, &began, &ended]), 0);
        assert_eq!(check(&[&began, &lost]), 0);
        assert_eq!(check(&[&began, &ended, &began]), 1);
    }
}
