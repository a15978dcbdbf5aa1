//! What one server has to tell one server of another data centre about a table.

use std::collections::{BTreeMap, VecDeque};

use super::delta::{merged, ranges, split};
use crate::id::{DataCentre, Mark, Sequence, SlotIndex, Tick};
use crate::key::Key;
use crate::limits;
use crate::time::Instant;
use crate::vector::Element;
use crate::wire::{Delta, MirrorMessage};

/// The way to one server elsewhere. See the room for its invariants.
#[derive(Debug)]
pub(in crate::node) struct Lane {
    pub(in crate::node) data_centre: DataCentre,
    /// The connection is up, and the other side's terms are ours.
    open: bool,
    queue: VecDeque<Place>,
    waiting: BTreeMap<Place, Waiting>,
    waiting_bytes: usize,
    /// Sent on a connection that broke.
    again: VecDeque<Sent>,
    /// Sent on this connection, not confirmed.
    sent: VecDeque<Sent>,
    sent_bytes: usize,
    sequences: BTreeMap<SlotIndex, Sequence>,
    marks: BTreeMap<SlotIndex, Mark>,
    /// Marks that no clock of this connection has named.
    changed: BTreeMap<SlotIndex, Mark>,
    clock: Option<Clock>,
    /// The clock last told on this connection, and when.
    told: Option<(Tick, Instant)>,
    clock_due: bool,
    /// What goes ahead of everything else, in order.
    control: VecDeque<MirrorMessage>,
    /// Units whose digest the other side has not confirmed, at the end.
    digests: BTreeMap<(SlotIndex, Key), u128>,
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
    slot: SlotIndex,
    sequence: Sequence,
    message: MirrorMessage,
    bytes: usize,
    at: Instant,
}

/// A clock, as the last pass has left it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::node) struct Clock {
    pub(in crate::node) tick: Tick,
    pub(in crate::node) weight: Option<f64>,
    pub(in crate::node) ended: bool,
}

/// Something to send.
#[derive(Clone, Debug, PartialEq)]
pub struct Letter {
    /// What.
    pub message: MirrorMessage,
    /// The slot whose stream it takes, and about how many bytes it has; `None` for control.
    pub data: Option<(SlotIndex, usize)>,
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
    pub(in crate::node) fn new(data_centre: DataCentre) -> Self {
        Self {
            data_centre,
            open: false,
            queue: VecDeque::new(),
            waiting: BTreeMap::new(),
            waiting_bytes: 0,
            again: VecDeque::new(),
            sent: VecDeque::new(),
            sent_bytes: 0,
            sequences: BTreeMap::new(),
            marks: BTreeMap::new(),
            changed: BTreeMap::new(),
            clock: None,
            told: None,
            clock_due: false,
            control: VecDeque::new(),
            digests: BTreeMap::new(),
        }
    }

    /// A connection is up, for the first time or again: nothing is known of what was under way.
    pub(in crate::node) fn connected(&mut self, terms_hash: u128) {
        self.open = false;
        self.control.clear();
        self.control.push_back(MirrorMessage::Open { terms_hash });
        while let Some(sent) = self.sent.pop_back() {
            self.again.push_front(sent);
        }
        self.sent_bytes = 0;
        self.told = None;
        self.clock_due = self.clock.is_some();
        self.changed.clone_from(&self.marks);
    }

    /// The other side has said that it has the same terms.
    pub(in crate::node) fn opened(&mut self) {
        self.open = true;
        let digests = self.digests.iter().map(|((slot, unit), digest)| MirrorMessage::Digest {
            slot: *slot,
            unit: *unit,
            digest: *digest,
        });
        self.control.extend(digests);
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
            held.delta = merged::<T>(&held.delta, &delta, width);
            self.waiting_bytes += held.delta.bytes();
            return;
        }
        let mark = self.marks.entry(slot).or_default();
        mark.0 += 1;
        let mark = *mark;
        self.changed.insert(slot, mark);
        self.waiting_bytes += delta.bytes();
        self.waiting.insert(place, Waiting { slot, tick, mark, delta, barred: false });
        self.queue.push_back(place);
    }

    /// A tick has ended and everything of it is queued.
    pub(in crate::node) fn clock(&mut self, clock: Clock) {
        self.clock = Some(clock);
        self.clock_due = true;
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

    /// Says something at once; nothing while the connection is down.
    pub(in crate::node) fn reply(&mut self, message: MirrorMessage) {
        self.control.push_back(message);
    }

    /// At the end: what the other side's values have to be.
    pub(in crate::node) fn finish(&mut self, slot: SlotIndex, unit: Key, digest: u128) {
        self.digests.insert((slot, unit), digest);
        if self.open {
            self.control.push_back(MirrorMessage::Digest { slot, unit, digest });
        }
    }

    /// The other side's values are these now.
    pub(in crate::node) fn finished(&mut self, slot: SlotIndex, unit: Key, digest: u128) {
        if self.digests.get(&(slot, unit)) == Some(&digest) {
            self.digests.remove(&(slot, unit));
        }
    }

    /// Whether the other side has been told everything, and has confirmed it.
    pub(in crate::node) fn is_idle(&self) -> bool {
        self.queue.is_empty()
            && self.again.is_empty()
            && self.sent.is_empty()
            && self.digests.is_empty()
            && !self.clock_due
    }

    /// Bytes that wait, or have left and are not confirmed.
    pub(in crate::node) fn queued_bytes(&self) -> usize {
        let again: usize = self.again.iter().map(|sent| sent.bytes).sum();
        self.waiting_bytes + self.sent_bytes + again
    }

    /// Bytes sent on this connection and not confirmed.
    pub(in crate::node) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    /// The next thing to send: control, barriers before the clock; data only while there is `room`.
    pub(in crate::node) fn next<T: Element>(
        &mut self,
        now: Instant,
        room: bool,
        width: usize,
    ) -> Option<Letter> {
        if let Some(message) = self.control.pop_front() {
            return Some(Letter { message, data: None });
        }
        if !self.open {
            return None;
        }
        if std::mem::take(&mut self.clock_due) {
            let message = self.clock_message(now)?;
            return Some(Letter { message, data: None });
        }
        if !room {
            return None;
        }
        if self.again.is_empty() {
            self.emit::<T>(now, width);
        }
        let mut sent = self.again.pop_front()?;
        sent.at = now;
        let (slot, bytes, message) = (sent.slot, sent.bytes, sent.message.clone());
        self.sent_bytes += bytes;
        self.sent.push_back(sent);
        Some(Letter { message, data: Some((slot, bytes)) })
    }

    /// Says again how far the clock is, when nothing was said for long; when to ask again.
    pub(in crate::node) fn heartbeat(&mut self, now: Instant) -> Option<Instant> {
        let (_, at) = self.told.filter(|_| self.open)?;
        let due = at.after(limits::MIRROR_HEARTBEAT_INTERVAL);
        if due > now {
            return Some(due);
        }
        self.clock_due = true;
        Some(now.after(limits::MIRROR_HEARTBEAT_INTERVAL))
    }

    /// The other side has taken a slot's updates up to this one.
    pub(in crate::node) fn confirmed(&mut self, slot: SlotIndex, sequence: Sequence) -> Told {
        let mut told = Told::default();
        self.sent.retain(|sent| {
            let done = sent.slot == slot && sent.sequence <= sequence;
            if done {
                told.bytes += sent.bytes;
                told.sent_at = told.sent_at.max(Some(sent.at));
            }
            !done
        });
        self.sent_bytes -= told.bytes;
        self.again.retain(|sent| sent.slot != slot || sent.sequence > sequence);
        told
    }

    fn clock_message(&mut self, now: Instant) -> Option<MirrorMessage> {
        let Clock { tick, weight, ended } = self.clock?;
        let previous = self.told.map(|(tick, _)| tick);
        self.told = Some((tick, now));
        let marks = std::mem::take(&mut self.changed).into_iter().collect();
        Some(MirrorMessage::Clock { previous, tick, weight, ended, marks })
    }

    /// Makes the updates of what has waited longest.
    fn emit<T: Element>(&mut self, now: Instant, width: usize) {
        let Some(waiting) = self.queue.pop_front().and_then(|place| self.waiting.remove(&place))
        else {
            return;
        };
        let Waiting { slot, tick, mark, delta, .. } = waiting;
        self.waiting_bytes -= delta.bytes();
        let pieces = split::<T>(delta, width);
        let last = pieces.len() - 1;
        for (at, delta) in pieces.into_iter().enumerate() {
            let sequence = self.sequences.entry(slot).or_default();
            sequence.0 += 1;
            let (sequence, bytes) = (*sequence, delta.bytes() + 64);
            let mark = (at == last).then_some(mark);
            let message = MirrorMessage::Update { slot, sequence, tick, mark, delta };
            self.again.push_back(Sent { slot, sequence, message, bytes, at: now });
        }
    }
}
