//! What one shard has heard of one other data centre: updates in order, marks, clocks, barriers.

use std::collections::{BTreeMap, VecDeque};

use super::MirrorPlace;
use crate::history::BarrierEnd;
use crate::id::{Mark, Sequence, ServerId, SlotIndex, Tick};
use crate::key::KeyRange;
use crate::limits;
use crate::time::{Duration, Instant};

/// Another data centre, as a shard hears of it.
#[derive(Debug)]
pub(in crate::node) struct Source {
    heard: Instant,
    standing: Standing,
    /// What it says makes no sense, until it says again that its terms are the same.
    refused: bool,
    clocks: BTreeMap<ServerId, Tick>,
    slots: BTreeMap<SlotIndex, Incoming>,
    barriers: Vec<Barrier>,
    news: Vec<News>,
}

/// Something that a history tells of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::node) enum News {
    /// A clock counts for a slot.
    Counted(ServerId, SlotIndex, Tick),
    /// A barrier was set.
    Set(SlotIndex, Mark, Vec<KeyRange>, Instant),
    /// A barrier has ended.
    Ended(SlotIndex, Mark, BarrierEnd),
}

/// Whether others wait for a data centre.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// They do.
    Counts,
    /// It has been silent for too long: they do not.
    Lost,
    /// It speaks again, but its clock is behind theirs: they do not, until it has caught up.
    Behind,
}

#[derive(Debug)]
struct Incoming {
    from: ServerId,
    /// The last update taken.
    taken: Sequence,
    /// Everything up to here has come.
    marked: Mark,
    /// The clock that counts here.
    counted: Tick,
    /// Clocks that wait for a mark, one for each mark.
    due: VecDeque<(Mark, Tick)>,
}

#[derive(Debug)]
struct Barrier {
    slot: SlotIndex,
    mark: Mark,
    ranges: Vec<KeyRange>,
    until: Instant,
}

/// What to do with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Taken {
    /// It is the next one.
    Next,
    /// It came before; the last one taken.
    Before(Sequence),
    /// One before it is missing, and will come again.
    Early,
    /// The sender does not own the slot.
    Stranger,
}

impl Source {
    pub(in crate::node) fn new(now: Instant, place: &MirrorPlace) -> Self {
        let incoming = |from: &ServerId| Incoming {
            from: *from,
            taken: Sequence::default(),
            marked: Mark::default(),
            counted: Tick(0),
            due: VecDeque::new(),
        };
        Self {
            heard: now,
            standing: Standing::Counts,
            refused: false,
            clocks: place.owners.values().map(|server| (*server, Tick(0))).collect(),
            slots: place.owners.iter().map(|(slot, from)| (*slot, incoming(from))).collect(),
            barriers: Vec::new(),
            news: Vec::new(),
        }
    }

    /// Anything was heard of it.
    pub(in crate::node) fn heard(&mut self, now: Instant) {
        self.heard = self.heard.max(now);
    }

    /// Whether an update is the next one of its slot.
    pub(in crate::node) fn place(
        &self,
        from: ServerId,
        slot: SlotIndex,
        sequence: Sequence,
    ) -> Taken {
        match self.slots.get(&slot) {
            Some(incoming) if incoming.from != from => Taken::Stranger,
            None => Taken::Stranger,
            Some(incoming) if sequence <= incoming.taken => Taken::Before(incoming.taken),
            Some(incoming) if sequence.0 > incoming.taken.0 + 1 => Taken::Early,
            Some(_) => Taken::Next,
        }
    }

    /// The next update of a slot is taken; whether a clock counts for that, or a barrier ends.
    pub(in crate::node) fn take(&mut self, slot: SlotIndex, mark: Option<Mark>) -> bool {
        let Some(incoming) = self.slots.get_mut(&slot) else {
            return false;
        };
        incoming.taken.0 += 1;
        let Some(mark) = mark else { return false };
        incoming.marked = incoming.marked.max(mark);
        let (before, barriers) = (incoming.counted, self.barriers.len());
        let clock = self.clocks.get(&incoming.from).copied().unwrap_or_default();
        incoming.count(clock);
        let counted = incoming.counted;
        let marked = incoming.marked;
        if counted != before {
            self.news.push(News::Counted(incoming.from, slot, counted));
        }
        let came = |barrier: &Barrier| barrier.slot == slot && barrier.mark <= marked;
        self.end_barriers(BarrierEnd::Came, came);
        counted != before || self.barriers.len() != barriers
    }

    /// A clock has come; false when one before it is missing, which will come again.
    pub(in crate::node) fn clock(
        &mut self,
        from: ServerId,
        previous: Option<Tick>,
        tick: Tick,
        marks: &[(SlotIndex, Mark)],
    ) -> bool {
        let Some(held) = self.clocks.get_mut(&from) else {
            return false;
        };
        if tick < *held || previous.is_some_and(|previous| previous != *held && tick != *held) {
            return false;
        }
        *held = tick;
        for (slot, mark) in marks {
            if let Some(incoming) = self.slots.get_mut(slot).filter(|it| it.from == from) {
                incoming.due(*mark, tick);
            }
        }
        for (slot, incoming) in self.slots.iter_mut().filter(|(_, it)| it.from == from) {
            // Without a new mark nothing of the slot is newer than what the clock before named.
            if let Some((_, due)) = incoming.due.back_mut() {
                *due = tick;
            }
            let before = incoming.counted;
            incoming.count(tick);
            if incoming.counted != before {
                self.news.push(News::Counted(from, *slot, incoming.counted));
            }
        }
        true
    }

    /// Sabotage of law 8: the clock counts for every slot at once.
    pub(in crate::node) fn overtake(&mut self, from: ServerId, tick: Tick) {
        for (slot, incoming) in self.slots.iter_mut().filter(|(_, it)| it.from == from) {
            if incoming.counted < tick {
                incoming.counted = tick;
                self.news.push(News::Counted(from, *slot, tick));
            }
        }
    }

    /// What has happened since this was asked last, for a history.
    pub(in crate::node) fn take_news(&mut self) -> Vec<News> {
        std::mem::take(&mut self.news)
    }

    /// Readers of these keys have to wait for a mark; false when it has come already.
    pub(in crate::node) fn bar(
        &mut self,
        from: ServerId,
        (slot, mark): (SlotIndex, Mark),
        ranges: Vec<KeyRange>,
        until: Instant,
    ) -> bool {
        let fits = |incoming: &&Incoming| incoming.from == from && incoming.marked < mark;
        let known = self.slots.get(&slot).filter(fits).is_some();
        let fresh = known && self.barriers.len() < limits::BARRIERS_MAX;
        if fresh {
            self.barriers.retain(|held| (held.slot, held.mark) != (slot, mark));
            self.news.push(News::Set(slot, mark, ranges.clone(), until));
            self.barriers.push(Barrier { slot, mark, ranges, until });
        }
        fresh
    }

    /// Whether a barrier covers any of these keys.
    pub(in crate::node) fn bars(
        &self,
        slot: SlotIndex,
        covers: impl Fn(&KeyRange) -> bool,
    ) -> bool {
        let mut of_slot = self.barriers.iter().filter(|barrier| barrier.slot == slot);
        self.counts() && of_slot.any(|held| held.ranges.iter().any(&covers))
    }

    /// The clock that counts for a slot.
    pub(in crate::node) fn counted(&self, slot: SlotIndex) -> Tick {
        self.slots.get(&slot).map_or(Tick(u64::MAX), |incoming| incoming.counted)
    }

    /// The clock that counts for every slot.
    pub(in crate::node) fn counted_everywhere(&self) -> Tick {
        let counted = self.slots.values().map(|incoming| incoming.counted);
        counted.min().unwrap_or(Tick(u64::MAX))
    }

    /// Whether others wait for it.
    pub(in crate::node) fn counts(&self) -> bool {
        self.standing == Standing::Counts && !self.refused
    }

    /// How long it has been silent.
    pub(in crate::node) fn silent(&self, now: Instant) -> Duration {
        now.since(self.heard)
    }

    /// Looks whether it has been silent for too long, or has caught up with `tick` again, and ends
    /// barriers whose time is over. Whether anything has changed.
    pub(in crate::node) fn on_time(
        &mut self,
        now: Instant,
        silence_max: Duration,
        tick: Tick,
    ) -> bool {
        let barriers = self.barriers.len();
        self.end_barriers(BarrierEnd::Time, |barrier| barrier.until <= now);
        let silent = self.silent(now) >= silence_max;
        let standing = match self.standing {
            _ if silent => Standing::Lost,
            Standing::Counts => Standing::Counts,
            Standing::Lost | Standing::Behind if self.counted_everywhere() >= tick => {
                Standing::Counts
            },
            Standing::Lost | Standing::Behind => Standing::Behind,
        };
        let before = self.counts();
        self.standing = standing;
        before != self.counts() || self.barriers.len() != barriers
    }

    fn end_barriers(&mut self, why: BarrierEnd, ends: impl Fn(&Barrier) -> bool) {
        let news = &mut self.news;
        self.barriers.retain(|barrier| {
            let over = ends(barrier);
            if over {
                news.push(News::Ended(barrier.slot, barrier.mark, why));
            }
            !over
        });
    }

    /// When to look again.
    pub(in crate::node) fn deadline(&self, silence_max: Duration) -> Option<Instant> {
        let heard = self.standing != Standing::Lost;
        let silence = heard.then(|| self.heard.after(silence_max));
        silence.into_iter().chain(self.barriers.iter().map(|barrier| barrier.until)).min()
    }

    /// Begins or ends to take nothing of it.
    pub(in crate::node) fn refuse(&mut self, refused: bool) {
        self.refused = refused;
    }

    /// Its standing.
    pub(in crate::node) fn standing(&self) -> Standing {
        self.standing
    }
}

impl Incoming {
    /// A clock waits for a mark.
    fn due(&mut self, mark: Mark, tick: Tick) {
        match self.due.back_mut() {
            Some((last, due)) if *last >= mark => *due = tick,
            _ if self.marked >= mark => {},
            _ => self.due.push_back((mark, tick)),
        }
    }

    /// Counts the clocks whose marks have come; all, when none waits.
    fn count(&mut self, clock: Tick) {
        while let Some((mark, tick)) = self.due.front().copied()
            && mark <= self.marked
        {
            self.counted = self.counted.max(tick);
            self.due.pop_front();
        }
        if self.due.is_empty() {
            self.counted = self.counted.max(clock);
        }
    }
}
