//! The bounded list of events.

use std::fmt::{self, Write};
use std::hash::Hasher;

use siphasher::sip::SipHasher24;

use super::Event;
use crate::limits;
use crate::time::Instant;

/// One event, when and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, on the recorder's clock.
    pub at: Instant,
    /// Which node of the run, as its driver numbers them.
    pub node: u32,
    /// What.
    pub event: Event,
}

/// The events of one run, in the order recorded.
///
/// ```
/// use archipelago::history::{Event, History};
/// use archipelago::time::Instant;
/// let mut history = History::new();
/// let event = Event::Held { what: "stash_bytes", count: 7, limit: 9 };
/// history.push(Instant(5), 1, event);
/// assert_eq!(history.to_string(), "5 1 held what=stash_bytes count=7 limit=9\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct History {
    records: Vec<Record>,
    events_max: usize,
    truncated: bool,
}

impl History {
    /// An empty history of at most `history_events_max` events.
    pub fn new() -> Self {
        Self::with_limit(limits::HISTORY_EVENTS_MAX)
    }

    /// An empty history of at most `events_max` events, and never more than
    /// `history_events_max`.
    pub fn with_limit(events_max: usize) -> Self {
        Self {
            records: Vec::new(),
            events_max: events_max.min(limits::HISTORY_EVENTS_MAX),
            truncated: false,
        }
    }

    /// Appends an event; when the history is full it is flagged as truncated instead.
    pub fn push(&mut self, at: Instant, node: u32, event: Event) {
        if self.records.len() >= self.events_max {
            self.truncated = true;
            return;
        }
        self.records.push(Record { at, node, event });
    }

    /// The events, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The events of some nodes alone, in order.
    pub fn of_nodes(&self, is_one: impl Fn(u32) -> bool) -> Self {
        let records = self.records.iter().filter(|record| is_one(record.node)).cloned();
        Self { records: records.collect(), ..*self }
    }

    /// Whether events are missing at the end. A checker must not call such a history good.
    pub fn truncated(&self) -> bool {
        self.truncated
    }

    /// A 64-bit digest of the text, the same on every machine. Cost: formats every event.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest(SipHasher24::new());
        // A hasher takes everything, so formatting into it cannot fail.
        let _infallible = write!(digest, "{self}");
        digest.0.finish()
    }
}

impl Default for History {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.at.0, self.node, self.event)
    }
}

/// One line per event: nanoseconds, node, event; a last line when events are missing.
impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for record in &self.records {
            writeln!(f, "{record}")?;
        }
        f.write_str(if self.truncated { "truncated\n" } else { "" })
    }
}

struct Digest(SipHasher24);

impl Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Loss, WaitFor, WaitReason};
    use crate::history::{BarrierEnd, PolicyKind, WaitOutcome};
    use crate::id::{
        DataCentre, GroupId, Incarnation, Mark, Origin, Rank, RecordVersion, Sequence, ServerId,
        SlotIndex, TableId, Tick,
    };
    use crate::key::KeyRange;
    use crate::placement::Epoch;
    use crate::spec::{GroupRecord, Member, MemberEnd};

    const ORIGIN: Origin = Origin { group: GroupId(1), rank: Rank(2), incarnation: Incarnation(3) };
    const TABLE: TableId = TableId(7);
    const SLOT: SlotIndex = SlotIndex(6);
    const SEQUENCE: Sequence = Sequence(9);
    const TICK: Tick = Tick(4);

    fn one_of_each() -> History {
        let mut history = History::with_limit(32);
        let events = membership().into_iter().chain(pushes()).chain(reads_and_waits());
        for event in events.chain(sizes_and_places()).chain(mirrors()).chain(mirror_waits()) {
            history.push(Instant(10), 1, event);
        }
        history
    }

    fn membership() -> [Event; 2] {
        let last = vec![(ServerId(5), TABLE, TICK)];
        let removed = MemberEnd::Removed { why: Loss::Silent, last };
        let ends = [MemberEnd::Active, MemberEnd::Left { last: TICK }, removed];
        let (origin, start) = (ORIGIN, Tick(1));
        let record = GroupRecord {
            group: GroupId(1),
            version: RecordVersion(2),
            size: 4,
            members: ends.map(|end| Member { origin, start, end }).to_vec(),
        };
        let joined = Event::Joined { origin, start: TICK };
        [joined, Event::RecordHeld { record }]
    }

    fn pushes() -> [Event; 7] {
        let (origin, table, slot, sequence, tick) = (ORIGIN, TABLE, SLOT, SEQUENCE, TICK);
        let (previous, round, range) = (None, Some(TICK), KeyRange::ALL);
        let touched = vec![(table, slot, sequence)];
        let contributors = vec![Rank(2), Rank(3)];
        let server = ServerId(5);
        [
            Event::Pushed { origin, table, slot, sequence, previous, tick },
            Event::Executed { origin, table, slot, sequence, tick, round },
            Event::Refused { origin, table, sequence },
            Event::TickSent { origin, tick, touched },
            Event::TickCounted { origin, table, range, tick },
            Event::BeginsBehind { origin, table, tick },
            Event::RoundClosed { table, server, round: tick, contributors },
        ]
    }

    fn reads_and_waits() -> [Event; 4] {
        let (origin, table, slot, sequence, tick) = (ORIGIN, TABLE, SLOT, SEQUENCE, TICK);
        let (at_tick, oldest, newest) = (tick, Tick(1), tick);
        let (policy, own) = (PolicyKind::Ssp(2), Some(sequence));
        let (who, since, what) = (Some(Rank(2)), Instant(8), WaitFor::MemberTick);
        let reason = WaitReason { who, tick, since, what };
        let (outcome, why) = (WaitOutcome::OwnerLost, Loss::Dropped);
        [
            Event::Served { origin, table, slot, at_tick, oldest, newest, policy, own },
            Event::WaitBegan { origin, table, slot, sequence, at_tick, reason },
            Event::WaitEnded { origin, table, sequence, outcome },
            Event::WorkerLost { origin, why },
        ]
    }

    fn sizes_and_places() -> [Event; 2] {
        let (table, slot, range) = (TABLE, SLOT, KeyRange::ALL);
        let (owner, epoch) = (ServerId(5), Epoch(1));
        let held = Event::Held { what: "window", count: 1, limit: 2 };
        [held, Event::Placed { table, slot, range, owner, epoch }]
    }

    fn mirrors() -> [Event; 9] {
        let (table, slot, sequence, tick) = (TABLE, SLOT, SEQUENCE, TICK);
        let (to, from, data_centre, sum) = (ServerId(8), ServerId(5), DataCentre(1), 77);
        let (mark, marks) = (Some(Mark(3)), vec![(slot, Mark(3))]);
        let (threshold, of) = (0.5_f64.to_bits(), DataCentre(2));
        [
            Event::PassEnded { table, tick, threshold, told: 5, kept: 6, over: 0 },
            Event::TrainingEnded { table },
            Event::Balance { table, tick, values: 1, residuals: 2, stashed: 3 },
            Event::UpdateQueued { table, slot, sum },
            Event::UpdateTold { table, to, of, slot, sequence, tick, mark, sum },
            Event::UpdateTaken { table, from, of, slot, sequence, mark: None, sum },
            Event::MirrorClockTold { table, to, of, tick, marks },
            Event::MirrorClockCounted { table, from, data_centre, slot, tick },
            Event::Settled { table, slot, tick, digest: 255 },
        ]
    }

    fn mirror_waits() -> [Event; 7] {
        let (origin, table, slot, at_tick, mark) = (ORIGIN, TABLE, SLOT, TICK, Mark(3));
        let (data_centre, until) = (DataCentre(1), Instant(99));
        let (ranges, rows, why) = (vec![KeyRange::ALL], vec![KeyRange::ALL], BarrierEnd::Time);
        [
            Event::BarrierSet { table, data_centre, slot, mark, ranges, until },
            Event::BarrierEnded { table, data_centre, slot, mark, why },
            Event::DataCentreLost { table, data_centre },
            Event::DataCentreBack { table, data_centre },
            Event::MirrorServed { origin, table, slot, at_tick, rows },
            Event::Assigned { table, slot },
            Event::ServerStopped { server: ServerId(5) },
        ]
    }

    #[test]
    fn golden_text_of_every_event() {
        let expected = include_str!("golden.txt");
        assert_eq!(one_of_each().to_string(), expected);
    }

    #[test]
    fn what_does_not_fit_is_flagged() {
        let mut history = one_of_each();
        let held = Event::Held { what: "window", count: 1, limit: 2 };
        history.push(Instant(11), 1, held.clone());
        let (digest, full) = (history.digest(), history.records().len());
        assert!(!history.truncated());
        history.push(Instant(12), 1, held);
        assert!(history.truncated());
        assert_eq!(history.records().len(), full);
        assert_ne!(history.digest(), digest);
    }
}
