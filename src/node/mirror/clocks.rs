//! What a lane tells of its clock, and of which rounds it tells anything.
//!
//! A clock makes those before it needless, but for the weights that they carry: one with a weight
//! is kept until it is known to have come. To one that is in step no more than two of them are
//! under way, and the end: no round closes here before the other side's clock of the last one has
//! come, which it has told after ours of the one before. But nobody waits for one that has ended,
//! or does not push, and rounds without end may be under way to it. So what shows that a clock has
//! come is that an update of its tick, or of a later one, is confirmed: the other side does that
//! once it has the clock, and takes clocks in order. Those that are kept are no more than updates
//! that are not confirmed; and of rounds without an update on this lane `MIRROR_IDLE_CLOCKS_MAX`
//! at most.

use std::collections::{BTreeMap, VecDeque};

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
    /// Marks that the last clock covers, and none of those that are kept.
    recent: BTreeMap<SlotIndex, Mark>,
    /// Clocks before the last one, in order, whose weights the other side may not have heard.
    kept: VecDeque<Kept>,
    /// How many of the last of them are to be told, each before the last clock.
    untold: usize,
    /// Whether the last clock is.
    due: bool,
    /// The tick of the last clock that is known to have come.
    heard: Tick,
    /// The clock last told on this connection, and when.
    told: Option<(Tick, Instant)>,
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

/// A clock with a weight.
#[derive(Debug)]
struct Kept {
    clock: Clock,
    /// The marks that it covers, and none before it that is or was kept.
    marks: BTreeMap<SlotIndex, Mark>,
}

impl Clocks {
    /// A connection is up, for the first time or again.
    pub(super) fn connected(&mut self) {
        self.told = None;
        self.untold = self.kept.len();
        self.due = true;
        self.unnamed.clone_from(&self.covered);
    }

    /// Nothing is due, until the next clock or heartbeat.
    pub(super) fn hush(&mut self) {
        self.untold = 0;
        self.due = false;
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
        let before = std::mem::replace(&mut self.last, clock);
        if before.weight.is_some() {
            let marks = std::mem::take(&mut self.recent);
            if before.tick > self.heard {
                self.kept.push_back(Kept { clock: before, marks });
                self.untold += usize::from(self.due);
                self.forget_idle();
            }
        }
        let changed = std::mem::take(&mut self.changed);
        self.covered.extend(&changed);
        self.unnamed.extend(&changed);
        self.recent.extend(changed);
        self.due = true;
    }

    /// Keeps no more than so many clocks whose rounds had no update here.
    fn forget_idle(&mut self) {
        let is_idle = |kept: &Kept| kept.marks.is_empty();
        let most = limits::MIRROR_IDLE_CLOCKS_MAX;
        if self.kept.len() <= most || self.kept.iter().filter(|it| is_idle(it)).count() <= most {
            return;
        }
        if let Some(at) = self.kept.iter().position(is_idle) {
            let told = self.kept.len() - self.untold;
            self.kept.remove(at);
            self.untold -= usize::from(at >= told);
        }
    }

    /// The other side has confirmed an update of this tick, and so has heard of its clock.
    pub(super) fn heard(&mut self, tick: Tick) {
        self.heard = self.heard.max(tick);
        while self.kept.pop_front_if(|kept| kept.clock.tick <= tick).is_some() {}
        self.untold = self.untold.min(self.kept.len());
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
        !self.due
    }

    /// Makes the last clock due when nothing was said for long, or not yet on this connection; when
    /// to ask again. Often enough for who waits for `silence_max` at most.
    pub(super) fn heartbeat(&mut self, now: Instant, silence_max: Duration) -> Instant {
        let every = limits::MIRROR_HEARTBEAT_INTERVAL.min(silence_max / 4);
        if let Some(due) = self.told.map(|(_, at)| at.after(every)).filter(|due| *due > now) {
            return due;
        }
        self.due = true;
        now.after(every)
    }

    /// The next one to tell, if any is due.
    pub(super) fn next(&mut self, now: Instant) -> Option<MirrorMessage> {
        if !self.due {
            return None;
        }
        let kept = self.kept.len().checked_sub(self.untold).and_then(|at| self.kept.get(at));
        let (Clock { tick, weight, ended }, marks) = match kept {
            Some(Kept { clock, marks }) => {
                self.untold -= 1;
                (*clock, marks.clone())
            },
            None => {
                self.due = false;
                (self.last, std::mem::take(&mut self.unnamed))
            },
        };
        let previous = self.told.map(|(tick, _)| tick);
        self.told = Some((tick, now));
        let marks = marks.into_iter().collect();
        Some(MirrorMessage::Clock { previous, tick, weight, ended, marks })
    }
}
