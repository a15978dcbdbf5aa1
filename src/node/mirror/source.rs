//! What one shard has heard of one other data centre, or of a group of them through a hub: updates
//! in order, marks, clocks, barriers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Owners;
use super::barriers::Barriers;
use crate::history::BarrierEnd;
use crate::id::{Mark, Sequence, ServerId, SlotIndex, Tick};
use crate::key::KeyRange;
use crate::limits;
use crate::time::{Duration, Instant};

/// Another data centre, as a shard hears of it.
#[derive(Debug)]
pub(in crate::node) struct Source {
    standing: Standing,
    /// While it speaks and nobody waits for it: how far it was behind when that was looked at.
    lag: Option<Lag>,
    /// Of its servers, those of whom something made no sense, until they say anew that their terms
    /// are the same.
    refused: BTreeSet<ServerId>,
    speakers: BTreeMap<ServerId, Speaker>,
    slots: BTreeMap<SlotIndex, Incoming>,
    /// For how many slots each clock is the one that counts.
    counted: BTreeMap<Tick, usize>,
    barriers: Barriers,
    /// What has happened; `None` where no history is recorded.
    news: Option<Vec<News>>,
}

/// How far a data centre is behind.
#[derive(Clone, Copy, Debug)]
struct Lag {
    at: Instant,
    here: Tick,
    counted: Tick,
    ticks: u64,
    /// The clock that all of its servers had told by then; `None` when it had only begun to speak.
    told: Option<Tick>,
}

/// One of its servers.
#[derive(Clone, Copy, Debug, Default)]
struct Speaker {
    clock: Tick,
    /// The last clock that has come and was told before, on a connection that broke: the one after
    /// it on this one follows it.
    again: Tick,
    /// When anything was heard of it last; at first, when somebody looked first.
    heard: Option<Instant>,
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
    /// It speaks again, but its clock is behind theirs: they do not, until it has caught up, or
    /// does not come nearer any more.
    Behind,
    /// What it has told made no sense, or was too much: they do not, on this connection.
    Refused,
}

/// How far the copy is that a source is seen from.
#[derive(Clone, Copy, Debug)]
pub(in crate::node) struct Seen {
    /// The last tick that has ended here.
    pub(in crate::node) here: Tick,
    /// Whether waiting for the source would hold up nobody who reads next.
    pub(in crate::node) near: bool,
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

/// What to do with an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Taken {
    /// It is the next one.
    Next,
    /// It came before; the last one taken.
    Before(Sequence),
    /// One before it is missing, and will come again; the last one taken.
    Early(Sequence),
    /// The sender does not own the slot.
    Stranger,
}

impl Source {
    /// A data centre of which nothing was heard yet.
    pub(in crate::node) fn new(owners: &Owners, records: bool) -> Self {
        let incoming = |from: &ServerId| Incoming {
            from: *from,
            taken: Sequence::default(),
            marked: Mark::default(),
            counted: Tick(0),
            due: VecDeque::new(),
        };
        let slots = owners.len();
        let counted = if slots > 0 { BTreeMap::from([(Tick(0), slots)]) } else { BTreeMap::new() };
        Self {
            standing: Standing::Counts,
            lag: None,
            refused: BTreeSet::new(),
            speakers: owners.values().map(|it| (*it, Speaker::default())).collect(),
            slots: owners.iter().map(|(slot, from)| (*slot, incoming(from))).collect(),
            counted,
            barriers: Barriers::default(),
            news: records.then(Vec::new),
        }
    }

    /// Anything was heard of one of its servers.
    pub(in crate::node) fn heard(&mut self, from: ServerId, now: Instant) {
        if let Some(speaker) = self.speakers.get_mut(&from) {
            speaker.heard = speaker.heard.max(Some(now));
        }
    }

    /// Whether a server speaks for it.
    pub(in crate::node) fn speaks(&self, server: ServerId) -> bool {
        self.speakers.contains_key(&server)
    }

    /// The last clock that one of its servers has told, ahead of the data that it covers.
    pub(in crate::node) fn told(&self, from: ServerId) -> Tick {
        self.speakers.get(&from).map_or(Tick(0), |speaker| speaker.clock)
    }

    /// The server that tells of a slot.
    pub(in crate::node) fn speaker(&self, slot: SlotIndex) -> Option<ServerId> {
        self.slots.get(&slot).map(|incoming| incoming.from)
    }

    /// Its servers, or the hub's.
    pub(in crate::node) fn speakers(&self) -> impl Iterator<Item = ServerId> {
        self.speakers.keys().copied()
    }

    /// Whether nothing of one of its servers counts yet: another in its place can begin anew.
    pub(in crate::node) fn is_new(&self, from: ServerId) -> bool {
        let silent = self.speakers.get(&from).is_none_or(|speaker| speaker.clock == Tick(0));
        let mut of_server = self.slots.values().filter(|it| it.from == from);
        silent && of_server.all(|it| it.taken == Sequence::default())
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
            Some(incoming) if sequence.0 > incoming.taken.0 + 1 => Taken::Early(incoming.taken),
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
        let (from, marked) = (incoming.from, incoming.marked);
        let clock = self.speakers.get(&from).map_or(Tick(0), |speaker| speaker.clock);
        let counts = incoming.countable(clock);
        let news = &mut self.news;
        let ended = self.barriers.come(slot, marked, |mark| {
            tell(news, || News::Ended(slot, mark, BarrierEnd::Came));
        });
        self.count(slot, counts) || ended
    }

    /// A clock has come; false when one before it is missing, which will come again.
    pub(in crate::node) fn clock(
        &mut self,
        from: ServerId,
        previous: Option<Tick>,
        tick: Tick,
        marks: &[(SlotIndex, Mark)],
    ) -> bool {
        let missing = self.missing(from, previous, tick).is_some();
        let Some(Speaker { clock, again, .. }) = self.speakers.get_mut(&from) else {
            return false;
        };
        if tick < *clock {
            *again = tick;
        }
        if tick < *clock || missing {
            return false;
        }
        *clock = tick;
        for (slot, mark) in marks {
            if let Some(incoming) = self.slots.get_mut(slot).filter(|it| it.from == from) {
                incoming.due(*mark, tick);
            }
        }
        let mut counts = Vec::new();
        for (slot, incoming) in self.slots.iter_mut().filter(|(_, it)| it.from == from) {
            // Without a new mark nothing of the slot is newer than what the clock before named.
            if let Some((_, due)) = incoming.due.back_mut() {
                *due = tick;
            }
            counts.push((*slot, incoming.countable(tick)));
        }
        for (slot, tick) in counts {
            self.count(slot, tick);
        }
        true
    }

    /// Where a clock does not follow the last one that has come: that one.
    pub(in crate::node) fn missing(
        &self,
        from: ServerId,
        previous: Option<Tick>,
        tick: Tick,
    ) -> Option<Tick> {
        let Speaker { clock, again, .. } = *self.speakers.get(&from)?;
        let follows = |previous: &Tick| *previous == clock || *previous == again;
        previous.filter(|previous| !follows(previous) && tick > clock).map(|_| clock)
    }

    /// Sabotage of law 8: the clock counts for every slot at once.
    pub(in crate::node) fn overtake(&mut self, from: ServerId, tick: Tick) {
        let of_server = self.slots.iter().filter(|(_, it)| it.from == from);
        for slot in of_server.map(|(slot, _)| *slot).collect::<Vec<_>>() {
            self.count(slot, tick);
        }
    }

    /// A clock counts for a slot; whether it did not before.
    fn count(&mut self, slot: SlotIndex, tick: Tick) -> bool {
        let Some(incoming) = self.slots.get_mut(&slot).filter(|it| it.counted < tick) else {
            return false;
        };
        let before = std::mem::replace(&mut incoming.counted, tick);
        let from = incoming.from;
        *self.counted.entry(tick).or_default() += 1;
        if let Some(slots) = self.counted.get_mut(&before) {
            *slots -= 1;
            if *slots == 0 {
                self.counted.remove(&before);
            }
        }
        tell(&mut self.news, || News::Counted(from, slot, tick));
        true
    }

    /// What has happened since this was asked last, for a history.
    pub(in crate::node) fn take_news(&mut self) -> Vec<News> {
        self.news.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Readers of these keys, ascending and apart, have to wait for a mark; false when it has come.
    pub(in crate::node) fn bar(
        &mut self,
        from: ServerId,
        (slot, mark): (SlotIndex, Mark),
        ranges: Vec<KeyRange>,
        until: Instant,
    ) -> bool {
        let fits = |incoming: &Incoming| incoming.from == from && incoming.marked < mark;
        let lasts = self.barriers.lasts(slot, mark, until);
        let Some(until) = lasts.filter(|_| self.slots.get(&slot).is_some_and(fits)) else {
            return false;
        };
        let ranges = self.barriers.fitting(ranges);
        tell(&mut self.news, || News::Set(slot, mark, ranges.clone(), until));
        self.barriers.set(slot, mark, ranges, until);
        true
    }

    /// Whether a barrier covers what `covers` asks of the ranges of one, ascending and apart.
    pub(in crate::node) fn bars(
        &self,
        slot: SlotIndex,
        covers: impl Fn(&[KeyRange]) -> bool,
    ) -> bool {
        self.counts() && self.barriers.cover(slot, covers)
    }

    /// The clock that counts for a slot.
    pub(in crate::node) fn counted(&self, slot: SlotIndex) -> Tick {
        self.slots.get(&slot).map_or(Tick(u64::MAX), |incoming| incoming.counted)
    }

    /// The clock that counts for every slot.
    pub(in crate::node) fn counted_everywhere(&self) -> Tick {
        self.counted.first_key_value().map_or(Tick(u64::MAX), |(tick, _)| *tick)
    }

    /// Whether others wait for it.
    pub(in crate::node) fn counts(&self) -> bool {
        self.standing == Standing::Counts && self.refused.is_empty()
    }

    /// How long the one of its servers that was not heard for longest has been silent: without it
    /// the clock does not count for its slots.
    pub(in crate::node) fn silent(&self, now: Instant) -> Duration {
        let heard = self.speakers.values().filter_map(|speaker| speaker.heard);
        heard.min().map_or(Duration::ZERO, |heard| now.since(heard))
    }

    /// Looks whether one of its servers has been silent for too long, or it is near again, and
    /// ends barriers whose time is over. Whether anything has changed.
    pub(in crate::node) fn on_time(
        &mut self,
        now: Instant,
        silence_max: Duration,
        seen: Seen,
    ) -> bool {
        for speaker in self.speakers.values_mut() {
            speaker.heard.get_or_insert(now);
        }
        let news = &mut self.news;
        let ended = self.barriers.time(now, |slot, mark| {
            tell(news, || News::Ended(slot, mark, BarrierEnd::Time));
        });
        let silent = self.silent(now) >= silence_max;
        let standing = match self.standing {
            _ if silent => Standing::Lost,
            Standing::Counts => Standing::Counts,
            Standing::Lost | Standing::Behind | Standing::Refused => {
                let counts = seen.near || self.is_slower(now, silence_max, seen.here);
                if counts { Standing::Counts } else { Standing::Behind }
            },
        };
        if standing != Standing::Behind {
            self.lag = None;
        }
        let before = self.counts();
        self.standing = standing;
        before != self.counts() || ended
    }

    /// Whether it has come no nearer since this was looked at last, although what it had told by
    /// then is here: then it does not catch up, and has to be waited for as before it was lost.
    /// While few ticks end here nothing is said by that: also who is faster would seem slower. Nor
    /// is anybody waited for so far behind that all others would stand still for long.
    fn is_slower(&mut self, now: Instant, silence_max: Duration, here: Tick) -> bool {
        let counted = self.counted_everywhere();
        let told = self.speakers.values().map(|speaker| speaker.clock).min();
        let ticks = here.0.saturating_sub(counted.0);
        let Some(before) = self.lag else {
            self.lag = Some(Lag { at: now, here, counted, ticks, told: None });
            return false;
        };
        let (lasted, ended) = (now.since(before.at), here.0.saturating_sub(before.here.0));
        if lasted < silence_max / 2 || ended < limits::MIRROR_SLOWER_TICKS_MIN {
            return false;
        }
        self.lag = Some(Lag { at: now, here, counted, ticks, told });
        let made = u128::from(counted.0.saturating_sub(before.counted.0));
        let most = silence_max.as_nanos() * u128::from(limits::MIRROR_CATCH_UP_SILENCES_MAX);
        // Ticks that it is behind take it `lasted` for each `made`.
        let soon = u128::from(ticks) * lasted.as_nanos() <= made.saturating_mul(most);
        soon && before.told.is_some_and(|told| counted >= told) && ticks >= before.ticks
    }

    /// When to look again.
    pub(in crate::node) fn deadline(&self, silence_max: Duration) -> Option<Instant> {
        let speaks = self.standing != Standing::Lost;
        let heard = self.speakers.values().filter_map(|speaker| speaker.heard).min();
        let silence = heard.filter(|_| speaks).map(|heard| heard.after(silence_max));
        silence.into_iter().chain(self.barriers.until()).min()
    }

    /// Something that a server of it has told makes no sense, or may make sense again.
    pub(in crate::node) fn refuse(&mut self, server: ServerId, refused: bool) {
        match refused {
            true => self.refused.insert(server),
            false => self.refused.remove(&server),
        };
    }

    /// Its standing.
    pub(in crate::node) fn standing(&self) -> Standing {
        if self.refused.is_empty() { self.standing } else { Standing::Refused }
    }
}

impl Incoming {
    /// A clock waits for a mark.
    fn due(&mut self, mark: Mark, tick: Tick) {
        let full = self.due.len() >= limits::MIRROR_CLOCKS_MAX;
        match self.due.back_mut() {
            Some((last, due)) if *last >= mark => *due = tick,
            _ if self.marked >= mark => {},
            Some(last) if full => *last = (mark, tick),
            _ => self.due.push_back((mark, tick)),
        }
    }

    /// The clock that counts when those whose marks have come do; all, when none waits.
    fn countable(&mut self, clock: Tick) -> Tick {
        let mut counts = self.counted;
        while let Some((_, tick)) = self.due.pop_front_if(|(mark, _)| *mark <= self.marked) {
            counts = counts.max(tick);
        }
        if self.due.is_empty() { counts.max(clock) } else { counts }
    }
}

fn tell(news: &mut Option<Vec<News>>, what: impl FnOnce() -> News) {
    if let Some(news) = news {
        news.push(what());
    }
}
