//! What one server has to tell one server of another data centre about a table, for itself or for
//! others.

use std::collections::{BTreeMap, VecDeque};

use super::clocks::{Clock, Clocks};
use super::delta::{merged, ranges, split};
use super::values::{Part, Values};
use crate::id::{DataCentre, Mark, Sequence, SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::placement::{Feed, Telling};
use crate::time::{Duration, Instant};
use crate::vector::Element;
use crate::wire::{Delta, MirrorMessage};

/// The way to one server elsewhere. See the room for its invariants.
#[derive(Debug)]
pub(in crate::node) struct Lane {
    /// Whom the other side stands for: its data centre, or its group by the first one.
    pub(in crate::node) data_centre: DataCentre,
    /// What is told.
    pub(in crate::node) feed: Feed,
    /// The connection is up, and the other side's terms are ours.
    open: bool,
    queue: VecDeque<Place>,
    /// How many of the queue's first may leave. Of a group nothing leaves until its clock advances,
    /// so that what its members tell of a tick leaves once.
    released: usize,
    /// Since when something that may not leave was seen to wait.
    held_since: Option<Instant>,
    waiting: BTreeMap<Place, Waiting>,
    waiting_bytes: usize,
    /// To be sent, made or sent on a connection that broke: by slot, in order.
    again: BTreeMap<SlotIndex, VecDeque<Sent>>,
    again_bytes: usize,
    /// Sent on this connection, not confirmed: by slot, in order.
    sent: BTreeMap<SlotIndex, VecDeque<Sent>>,
    sent_bytes: usize,
    sequences: BTreeMap<SlotIndex, Sequence>,
    marks: BTreeMap<SlotIndex, Mark>,
    clocks: Clocks,
    /// What goes ahead of everything else, in order: barriers, digests.
    control: VecDeque<MirrorMessage>,
    /// What is told at the end.
    pub(in crate::node) values: Values,
}

/// Where something waits: coalesced by unit, or in step also by tick and piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::node) struct Place {
    pub(in crate::node) tick: Tick,
    pub(in crate::node) unit: Key,
    pub(in crate::node) piece: u32,
}

#[derive(Debug)]
struct Waiting {
    slot: SlotIndex,
    tick: Tick,
    mark: Mark,
    delta: Delta,
    barred: bool,
}

#[derive(Debug)]
struct Sent {
    sequence: Sequence,
    /// What has been announced by a barrier, with the last update of its mark.
    barred: Vec<KeyRange>,
    message: MirrorMessage,
    bytes: usize,
    at: Instant,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// Whose line it is of: for whom it speaks, or what is answered did.
    pub of: DataCentre,
    /// What.
    pub message: MirrorMessage,
    /// The slot whose stream it takes; `None` for control.
    pub data: Option<SlotIndex>,
}

/// What a confirmation has freed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Bytes of updates.
    pub bytes: usize,
    /// When the last of it was sent.
    pub sent_at: Option<Instant>,
}

impl Lane {
    pub(in crate::node) fn new(telling: Telling) -> Self {
        Self {
            data_centre: telling.stands_for,
            feed: telling.feed,
            open: false,
            queue: VecDeque::new(),
            released: 0,
            held_since: None,
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            again: BTreeMap::new(),
            again_bytes: 0,
            sent: BTreeMap::new(),
            sent_bytes: 0,
            sequences: BTreeMap::new(),
            marks: BTreeMap::new(),
            clocks: Clocks::default(),
            control: VecDeque::new(),
            values: Values::default(),
        }
    }

    /// A connection is up, for the first time or again: nothing is known of what was under way.
    pub(in crate::node) fn connected(&mut self) {
        self.close();
        self.control.clear();
        self.values.connected();
        self.clocks.connected();
    }

    /// Its group is lost: a clock that is due is told when the group counts again.
    pub(in crate::node) fn hush(&mut self) {
        self.clocks.hush();
    }

    /// The other side has said that it has the same terms. It hears again of what is barred: the
    /// announcement may have been lost, and goes ahead of the clock that covers it.
    pub(in crate::node) fn opened(&mut self, width: usize) {
        self.open = true;
        for (slot, again) in &self.again {
            let barred = again.iter().filter(|sent| !sent.barred.is_empty());
            self.control.extend(barred.filter_map(|sent| sent.barrier(*slot)));
        }
        for waiting in self.waiting.values().filter(|waiting| waiting.barred) {
            let ranges = ranges(&waiting.delta, width);
            let (slot, mark) = (waiting.slot, waiting.mark);
            if !ranges.is_empty() {
                self.control.push_back(MirrorMessage::Barrier { slot, mark, ranges });
            }
        }
        self.control.extend(self.values.digests());
    }

    /// Adds to what waits at a place. Deltas of one place add up.
    pub(in crate::node) fn queue<T: Element>(
        &mut self,
        (slot, place): (SlotIndex, Place),
        tick: Tick,
        delta: Delta,
        width: usize,
    ) {
        if let Some(held) = self.waiting.get_mut(&place) {
            self.waiting_bytes -= held.delta.bytes();
            let sum = merged::<T>(&held.delta, &delta, width);
            // Rows that were not announced have to be.
            held.barred = held.barred && ranges(&sum, width) == ranges(&held.delta, width);
            held.delta = sum;
            self.waiting_bytes += held.delta.bytes();
            return;
        }
        let mark = self.marks.entry(slot).or_default();
        mark.0 += 1;
        let mark = *mark;
        self.clocks.changed(slot, mark);
        self.waiting_bytes += delta.bytes();
        self.waiting.insert(place, Waiting { slot, tick, mark, delta, barred: false });
        self.queue.push_back(place);
    }

    /// The tick that what is relayed now is told of: no clock that was told covers it.
    pub(in crate::node) fn next_tick(&self) -> Tick {
        self.clocks.last().tick.next()
    }

    /// Whether a clock is further than the last.
    pub(in crate::node) fn advances(&self, clock: Clock) -> bool {
        let last = self.clocks.last();
        !last.ended && (clock.ended || clock.tick > last.tick)
    }

    /// A tick has ended and everything of it is queued.
    pub(in crate::node) fn clock(&mut self, clock: Clock) {
        self.release();
        self.clocks.push(clock);
    }

    /// Whether it is told of a round, by whether the other side counts when that is asked first.
    pub(in crate::node) fn tells_round(&mut self, round: Tick, counts: bool) -> bool {
        self.clocks.tells_round(round, counts)
    }

    /// What waits may leave.
    pub(in crate::node) fn release(&mut self) {
        self.released = self.queue.len();
        self.held_since = None;
    }

    /// So may what has waited for long, also when no clock advances: its group has nobody who
    /// trains, or only late ones.
    pub(in crate::node) fn release_late(&mut self, now: Instant) {
        if self.released < self.queue.len() {
            let since = *self.held_since.get_or_insert(now);
            if now.since(since) >= limits::MIRROR_HEARTBEAT_INTERVAL {
                self.release();
            }
        }
    }

    /// Announces what waits. In order of marks, so that each barrier names the last one needed.
    pub(in crate::node) fn bar(&mut self, width: usize) -> usize {
        let mut barriers = 0;
        for place in &self.queue {
            let Some(waiting) = self.waiting.get_mut(place).filter(|waiting| !waiting.barred)
            else {
                continue;
            };
            waiting.barred = true;
            let (slot, mark) = (waiting.slot, waiting.mark);
            let ranges = ranges(&waiting.delta, width);
            if self.open && !ranges.is_empty() {
                self.control.push_back(MirrorMessage::Barrier { slot, mark, ranges });
                barriers += 1;
            }
        }
        barriers
    }

    /// The piece of values that may leave now, if there is one and `room`: to be made.
    pub(in crate::node) fn next_part(&mut self, room: bool) -> Option<Part> {
        let free = self.control.is_empty() && self.clocks.is_idle();
        if room && free && self.open { self.values.next_part() } else { None }
    }

    /// At the end: what the other side's values have to be.
    pub(in crate::node) fn finish(&mut self, slot: SlotIndex, unit: Key, digest: u128) {
        let message = self.values.finish((slot, unit), digest);
        if self.open {
            self.control.push_back(message);
        }
    }

    /// Whether the other side has been told everything, and has confirmed it.
    pub(in crate::node) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.again.is_empty()
            && self.sent.is_empty()
            && self.values.are_confirmed()
            && self.clocks.is_idle()
    }

    /// Whether no update was ever made for the other side: a server in its place can begin anew.
    pub(in crate::node) fn is_new(&self) -> bool {
        self.sequences.is_empty()
    }

    /// Bytes that wait, or have left and are not confirmed.
    pub(in crate::node) fn queued_bytes(&self) -> usize {
        self.waiting_bytes + self.sent_bytes() + self.again_bytes
    }

    /// Bytes sent on this connection and not confirmed.
    pub(in crate::node) fn sent_bytes(&self) -> usize {
        self.sent_bytes + self.values.sent_bytes()
    }

    /// The next thing to send, and the slot whose stream it takes: control, barriers before the
    /// clock; data only while there is `room`.
    pub(in crate::node) fn next<T: Element>(
        &mut self,
        now: Instant,
        room: bool,
        width: usize,
    ) -> Option<(MirrorMessage, Option<SlotIndex>)> {
        if let Some(message) = self.control.pop_front() {
            return Some((message, None));
        }
        if !self.open {
            return None;
        }
        if let Some(message) = self.clocks.next(now) {
            return Some((message, None));
        }
        if !room {
            return None;
        }
        if let Some((message, slot)) = self.values.next(now) {
            return Some((message, Some(slot)));
        }
        if self.again.is_empty() {
            self.emit::<T>(width);
        }
        let mut first = self.again.first_entry()?;
        let slot = *first.key();
        let sent = first.get_mut().pop_front();
        if first.get().is_empty() {
            first.remove();
        }
        let sent = Sent { at: now, ..sent? };
        let (bytes, message) = (sent.bytes, sent.message.clone());
        self.again_bytes -= bytes;
        self.sent_bytes += bytes;
        self.sent.entry(slot).or_default().push_back(sent);
        Some((message, Some(slot)))
    }

    /// Says again how far the clock is, when nothing was said for long, or not yet on this
    /// connection; when to ask again. Often enough for who waits for `silence_max` at most.
    pub(in crate::node) fn heartbeat(
        &mut self,
        now: Instant,
        silence_max: Duration,
    ) -> Option<Instant> {
        self.open.then(|| self.clocks.heartbeat(now, silence_max))
    }

    /// Nothing more goes there until the other side says that its terms are the same; what was
    /// under way then goes again.
    pub(in crate::node) fn close(&mut self) {
        self.open = false;
        for (slot, mut sent) in std::mem::take(&mut self.sent) {
            let again = self.again.entry(slot).or_default();
            sent.append(again);
            *again = sent;
        }
        self.again_bytes += std::mem::take(&mut self.sent_bytes);
    }

    /// The other side has taken a slot's updates up to this one.
    pub(in crate::node) fn confirmed(&mut self, slot: SlotIndex, sequence: Sequence) -> Told {
        let (told, heard) = confirm(&mut self.sent, slot, sequence);
        self.sent_bytes -= told.bytes;
        let (again, heard_before) = confirm(&mut self.again, slot, sequence);
        self.again_bytes -= again.bytes;
        self.clocks.heard(heard.max(heard_before));
        told
    }

    /// Makes the updates of what has waited longest.
    fn emit<T: Element>(&mut self, width: usize) {
        if self.feed == Feed::Group && self.released == 0 && !self.clocks.last().ended {
            return;
        }
        self.released = self.released.saturating_sub(1);
        let Some(waiting) = self.queue.pop_front().and_then(|place| self.waiting.remove(&place))
        else {
            return;
        };
        let Waiting { slot, tick, mark, delta, barred } = waiting;
        self.waiting_bytes -= delta.bytes();
        let mut barred = if barred { ranges(&delta, width) } else { Vec::new() };
        let pieces = split::<T>(delta, width);
        let last = pieces.len() - 1;
        let again = self.again.entry(slot).or_default();
        for (at, delta) in pieces.into_iter().enumerate() {
            let sequence = self.sequences.entry(slot).or_default();
            sequence.0 += 1;
            let (sequence, bytes) = (*sequence, delta.bytes() + limits::MIRROR_DELTA_BYTES);
            let mark = (at == last).then_some(mark);
            let barred = if at == last { std::mem::take(&mut barred) } else { Vec::new() };
            let message = MirrorMessage::Update { slot, sequence, tick, mark, delta };
            self.again_bytes += bytes;
            again.push_back(Sent { sequence, barred, message, bytes, at: Instant::EPOCH });
        }
    }
}

impl Sent {
    fn tick(&self) -> Tick {
        match self.message {
            MirrorMessage::Update { tick, .. } => tick,
            _ => Tick(0),
        }
    }

    /// Its barrier, to be announced again.
    fn barrier(&self, slot: SlotIndex) -> Option<MirrorMessage> {
        let MirrorMessage::Update { mark: Some(mark), .. } = self.message else { return None };
        Some(MirrorMessage::Barrier { slot, mark, ranges: self.barred.clone() })
    }
}

/// Forgets what a slot's line has confirmed; and its last tick. Cost: what is confirmed.
fn confirm(
    lines: &mut BTreeMap<SlotIndex, VecDeque<Sent>>,
    slot: SlotIndex,
    sequence: Sequence,
) -> (Told, Tick) {
    let (mut told, mut tick) = (Told::default(), Tick(0));
    let Some(line) = lines.get_mut(&slot) else { return (told, tick) };
    while let Some(sent) = line.pop_front_if(|sent| sent.sequence <= sequence) {
        told.bytes += sent.bytes;
        told.sent_at = told.sent_at.max(Some(sent.at));
        tick = tick.max(sent.tick());
    }
    if line.is_empty() {
        lines.remove(&slot);
    }
    (told, tick)
}
