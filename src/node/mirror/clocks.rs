//! What a lane tells of its clock, and of which rounds it tells anything.

use std::collections::BTreeMap;

use crate::id::{Mark, SlotIndex, Tick};
use crate::limits;
use crate::time::{Duration, Instant};
use crate::wire::MirrorMessage;

/// The clocks of one lane.
#[derive(Debug, Default)]
pub(super) struct Clocks {
    /// The marks that the last clock covers, and those of them that no clock of this connection has
    /// named. A clock names no others: when one is lost, the next one is not taken for complete.
    covered: BTreeMap<SlotIndex, Mark>,
    unnamed: BTreeMap<SlotIndex, Mark>,
    /// Marks behind the last clock.
    changed: BTreeMap<SlotIndex, Mark>,
    last: Clock,
    /// The clock before: the other side may not have heard of its weight.
    before: Option<Clock>,
    /// The clock last told on this connection, and when.
    told: Option<(Tick, Instant)>,
    due: Due,
    /// The last round that this lane had to decide about, and whether it is told of it.
    round: Option<(Tick, bool)>,
}

/// A clock, as the last pass has left it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(in crate::node) struct Clock {
    pub(in crate::node) tick: Tick,
    pub(in crate::node) weight: Option<f64>,
    pub(in crate::node) ended: bool,
}

/// Which clocks have to be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    #[default]
    Nothing,
    Last,
    /// The one before it, and then the last one.
    Both,
}

impl Clocks {
    /// A connection is up, for the first time or again.
    pub(super) fn connected(&mut self) {
        self.told = None;
        self.due = self.due_after(Due::Both);
        self.unnamed.clone_from(&self.covered);
    }

    /// Nothing is due, until the next clock or heartbeat.
    pub(super) fn hush(&mut self) {
        self.due = Due::Nothing;
    }

    /// Something waits for the other side with this mark, which the next clock covers.
    pub(super) fn changed(&mut self, slot: SlotIndex, mark: Mark) {
        self.changed.insert(slot, mark);
    }

    /// The last one.
    pub(super) fn last(&self) -> Clock {
        self.last
    }

    /// A tick has ended and everything of it is queued.
    pub(super) fn push(&mut self, clock: Clock) {
        let changed = std::mem::take(&mut self.changed);
        self.covered.extend(&changed);
        self.unnamed.extend(changed);
        let told = self.due == Due::Nothing;
        self.before = Some(std::mem::replace(&mut self.last, clock));
        self.due = self.due_after(if told { Due::Last } else { Due::Both });
    }

    /// Whether the aggregates of a round, and its weight, are told here: all of them or nothing,
    /// by whether the other side counts when that is asked first.
    pub(super) fn tells_round(&mut self, round: Tick, counts: bool) -> bool {
        match self.round {
            Some((decided, tells)) if decided == round => tells,
            _ => {
                self.round = Some((round, counts));
                counts
            },
        }
    }

    /// Whether everything that is due was told.
    pub(super) fn is_idle(&self) -> bool {
        self.due == Due::Nothing
    }

    /// What is due, the clock before only for the weight that no other names. Copies in step are
    /// never two clocks apart, so that one before is enough.
    fn due_after(&self, due: Due) -> Due {
        let weighs = self.before.is_some_and(|clock| clock.weight.is_some());
        if weighs { due } else { due.min(Due::Last) }
    }

    /// Makes the last clock due when nothing was said for long, or not yet on this connection; when
    /// to ask again. Often enough for who waits for `silence_max` at most.
    pub(super) fn heartbeat(&mut self, now: Instant, silence_max: Duration) -> Instant {
        let every = limits::MIRROR_HEARTBEAT_INTERVAL.min(silence_max / 4);
        if let Some(due) = self.told.map(|(_, at)| at.after(every)).filter(|due| *due > now) {
            return due;
        }
        self.due = self.due.max(Due::Last);
        now.after(every)
    }

    /// The next one to tell, if any is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<MirrorMessage> {
        let (Clock { tick, weight, ended }, marks) = match (self.due, self.before) {
            (Due::Nothing, _) => return None,
            (Due::Both, Some(before)) => {
                // It names what the last one covers, too: so it counts later, and never early.
                self.due = Due::Last;
                (before, self.unnamed.clone())
            },
            _ => {
                self.due = Due::Nothing;
                (self.last, std::mem::take(&mut self.unnamed))
            },
        };
        let previous = self.told.map(|(tick, _)| tick);
        self.told = Some((tick, now));
        let marks = marks.into_iter().collect();
        Some(MirrorMessage::Clock { previous, tick, weight, ended, marks })
    }
}
