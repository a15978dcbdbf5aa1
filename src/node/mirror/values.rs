//! The end of training: what one server elsewhere is told that its values have to be, and those
//! that it asks for.
//!
//! Values leave as updates do: while there is room, and what has left counts as under way until the
//! other side says that it has come, taken or not. A unit is told piece by piece, each made when it
//! may leave, and then its digest, which is answered. When the unit changes before that has left,
//! the rest is not told: the digest that it has by then is told instead, and answered too. So no
//! unit is told for ever of what it was, and what is asked for has one answer under way.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::Told;
use crate::id::SlotIndex;
use crate::key::Key;
use crate::limits;
use crate::time::Instant;
use crate::wire::{Delta, MirrorMessage};

/// A block or sparse slot: its slot, and its first key.
type Unit = (SlotIndex, Key);

/// The values that one server elsewhere is told of, and their digests.
#[derive(Debug, Default)]
pub(in crate::node) struct Values {
    /// Units whose digest the other side has not confirmed.
    digests: BTreeMap<Unit, u128>,
    /// Units whose values the other side has asked for.
    asked: BTreeSet<Unit>,
    /// The one of them that is told now, until its digest has left.
    telling: Option<Telling>,
    /// By slot: pieces of one slot come in order.
    sent: BTreeMap<SlotIndex, SentPieces>,
    sent_bytes: usize,
}

/// A unit whose values are told.
#[derive(Debug)]
struct Telling {
    unit: Unit,
    piece: u32,
    next: Next,
}

#[derive(Debug)]
enum Next {
    /// Rows from this key on are to be made into a piece.
    Make(Key),
    /// This one leaves, and then what is behind it.
    Leave(Delta, Behind),
    Digest(u128),
}

/// What is told behind a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) enum Behind {
    /// Another one, from this key on.
    Piece(Key),
    /// Nothing more but what the unit's values are now.
    Digest(u128),
}

/// A piece to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::node) struct Part {
    pub(in crate::node) slot: SlotIndex,
    pub(in crate::node) unit: Key,
    /// The first key that was not told.
    pub(in crate::node) from: Key,
}

/// Pieces sent on this connection.
#[derive(Debug, Default)]
struct SentPieces {
    /// How many of them have come.
    arrived: u64,
    /// Of the others, their bytes and when they were sent.
    under_way: VecDeque<(usize, Instant)>,
}

impl Values {
    /// A connection is up: nothing was asked for on it, and nothing is under way.
    pub(super) fn connected(&mut self) {
        *self = Self { digests: std::mem::take(&mut self.digests), ..Self::default() };
    }

    /// The other side asks for a unit's values. When they are being told it will answer the digest
    /// behind them, too.
    pub(in crate::node) fn ask(&mut self, slot: SlotIndex, unit: Key) {
        if !self.tells((slot, unit)) {
            self.asked.insert((slot, unit));
        }
    }

    /// What a unit's values have to be now. What was told of them before is answered anew.
    pub(super) fn finish(&mut self, unit: Unit, digest: u128) -> MirrorMessage {
        if self.tells(unit) {
            self.telling = None;
        }
        self.asked.remove(&unit);
        self.digests.insert(unit, digest);
        digest_of(unit, digest)
    }

    /// The values of another copy count: nobody is told those of this one any more.
    pub(in crate::node) fn forget(&mut self) {
        self.digests.clear();
        self.asked.clear();
        self.telling = None;
    }

    /// The other side's values are these now.
    pub(in crate::node) fn finished(&mut self, slot: SlotIndex, unit: Key, digest: u128) {
        if self.digests.get(&(slot, unit)) == Some(&digest) {
            self.digests.remove(&(slot, unit));
        }
    }

    /// The digests that the other side has not confirmed, to be told again.
    pub(super) fn digests(&self) -> impl Iterator<Item = MirrorMessage> {
        self.digests.iter().map(|(unit, digest)| digest_of(*unit, *digest))
    }

    /// Whether the other side has confirmed all digests.
    pub(super) fn are_confirmed(&self) -> bool {
        self.digests.is_empty()
    }

    /// The piece to be made next, of the unit that is told or the next one asked for, once what was
    /// made before has left.
    pub(super) fn next_part(&mut self) -> Option<Part> {
        if self.telling.is_none() {
            let unit = self.asked.pop_first()?;
            self.telling = Some(Telling { unit, piece: 0, next: Next::Make(unit.1) });
        }
        match self.telling {
            Some(Telling { unit: (slot, unit), next: Next::Make(from), .. }) => {
                Some(Part { slot, unit, from })
            },
            _ => None,
        }
    }

    /// The piece that was to be made, and what is told behind it.
    pub(in crate::node) fn tell(&mut self, delta: Delta, behind: Behind) {
        if let Some(telling) = &mut self.telling {
            telling.next = Next::Leave(delta, behind);
        }
    }

    /// The next thing to send, and the slot whose stream it takes.
    pub(super) fn next(&mut self, now: Instant) -> Option<(MirrorMessage, SlotIndex)> {
        let Telling { unit, piece, next } = self.telling.take()?;
        let slot = unit.0;
        let (delta, behind) = match next {
            Next::Leave(delta, behind) => (delta, behind),
            Next::Digest(digest) => {
                self.digests.insert(unit, digest);
                return Some((digest_of(unit, digest), slot));
            },
            Next::Make(_) => {
                self.telling = Some(Telling { unit, piece, next });
                return None;
            },
        };
        let next = match behind {
            Behind::Piece(from) => Next::Make(from),
            Behind::Digest(digest) => Next::Digest(digest),
        };
        self.telling = Some(Telling { unit, piece: piece + 1, next });
        let bytes = delta.bytes() + limits::MIRROR_DELTA_BYTES;
        self.sent_bytes += bytes;
        self.sent.entry(slot).or_default().under_way.push_back((bytes, now));
        let last = matches!(behind, Behind::Digest(_));
        Some((MirrorMessage::Assign { slot, piece, last, delta }, slot))
    }

    /// So many pieces of a slot have come on this connection.
    pub(in crate::node) fn arrived(&mut self, slot: SlotIndex, pieces: u64) -> Told {
        let mut told = Told::default();
        let Some(sent) = self.sent.get_mut(&slot) else { return told };
        while sent.arrived < pieces
            && let Some((bytes, at)) = sent.under_way.pop_front()
        {
            sent.arrived += 1;
            told.bytes += bytes;
            told.sent_at = told.sent_at.max(Some(at));
        }
        self.sent_bytes -= told.bytes;
        told
    }

    /// Bytes of values sent on this connection that have not come.
    pub(super) fn sent_bytes(&self) -> usize {
        self.sent_bytes
    }

    fn tells(&self, unit: Unit) -> bool {
        self.telling.as_ref().is_some_and(|telling| telling.unit == unit)
    }
}

fn digest_of((slot, unit): Unit, digest: u128) -> MirrorMessage {
    MirrorMessage::Digest { slot, unit, digest }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::KeyRange;
    use crate::wire::{RowsNamed, Trimmed};

    const SLOT: SlotIndex = SlotIndex(0);
    const PIECE: usize = 16 + 4 + limits::MIRROR_DELTA_BYTES;

    fn piece() -> Delta {
        let rows = RowsNamed::Block(KeyRange::single(Key(0)));
        Delta { rows, positions: None, values: Trimmed::from_slice(&[1.1_f32]) }
    }

    /// What leaves while there is room, units being of two pieces.
    fn said(values: &mut Values) -> Vec<MirrorMessage> {
        let next = || {
            if let Some(Part { unit, from, .. }) = values.next_part() {
                let more = from == unit;
                let behind = if more { Behind::Piece(Key(from.0 + 1)) } else { Behind::Digest(5) };
                values.tell(piece(), behind);
            }
            values.next(Instant(7)).map(|(message, _)| message)
        };
        std::iter::from_fn(next).take(1000).collect()
    }

    fn assign(piece_number: u32) -> MirrorMessage {
        let last = piece_number == 1;
        MirrorMessage::Assign { slot: SLOT, piece: piece_number, last, delta: piece() }
    }

    #[test]
    fn values_leave_piece_by_piece_and_are_told_once_however_often_they_are_asked_for() {
        let mut values = Values::default();
        (0..1000).for_each(|_| values.ask(SLOT, Key(8)));
        (0..1000).for_each(|_| values.ask(SLOT, Key(0)));
        assert_eq!(values.next_part(), Some(Part { slot: SLOT, unit: Key(0), from: Key(0) }));
        values.tell(piece(), Behind::Piece(Key(3)));
        assert_eq!(values.next_part(), None, "the one before has to leave first");
        values.ask(SLOT, Key(0));
        assert_eq!(values.next(Instant(7)), Some((assign(0), SLOT)));
        assert_eq!(values.next_part(), Some(Part { slot: SLOT, unit: Key(0), from: Key(3) }));
        values.tell(piece(), Behind::Digest(5));
        values.ask(SLOT, Key(0));
        let digest = |unit| digest_of((SLOT, Key(unit)), 5);
        let expected = [assign(1), digest(0), assign(0), assign(1), digest(8)];
        assert_eq!(said(&mut values), expected);
        values.finished(SLOT, Key(0), 4);
        values.finished(SLOT, Key(8), 5);
        assert!(!values.are_confirmed());
        values.finished(SLOT, Key(0), 5);
        assert!(values.are_confirmed());
    }

    #[test]
    fn pieces_are_under_way_until_the_other_side_has_them_or_the_connection_breaks() {
        let mut values = Values::default();
        [0, 8].into_iter().for_each(|unit| values.ask(SLOT, Key(unit)));
        assert_eq!(said(&mut values).len(), 6);
        assert_eq!(values.sent_bytes(), 4 * PIECE);
        assert_eq!(values.arrived(SlotIndex(1), 3), Told::default());
        let told = Told { bytes: 3 * PIECE, sent_at: Some(Instant(7)) };
        assert_eq!((values.arrived(SLOT, 3), values.sent_bytes()), (told, PIECE));
        assert_eq!(values.arrived(SLOT, 3), Told::default(), "said again");
        assert_eq!(values.arrived(SLOT, u64::MAX).bytes, PIECE);
        values.ask(SLOT, Key(0));
        said(&mut values);
        assert_eq!((values.arrived(SLOT, 5).bytes, values.sent_bytes()), (PIECE, PIECE));
        values.ask(SLOT, Key(8));
        values.connected();
        assert_eq!((values.sent_bytes(), said(&mut values)), (0, Vec::new()));
        assert_eq!(values.digests().count(), 2, "they are told again");
        values.ask(SLOT, Key(0));
        said(&mut values);
        assert_eq!(values.arrived(SLOT, 1).bytes, PIECE, "counted anew");
    }

    /// The rest of what it was is not told: its new digest is answered, and nothing else.
    #[test]
    fn a_unit_that_changes_meanwhile_is_told_anew_when_it_is_asked_for_again() {
        for leave in 0..=2 {
            let mut values = Values::default();
            values.ask(SLOT, Key(0));
            for at in 0..leave {
                values.next_part();
                let behind = if at == 0 { Behind::Piece(Key(3)) } else { Behind::Digest(4) };
                values.tell(piece(), behind);
                values.next(Instant(7));
            }
            let now = digest_of((SLOT, Key(0)), 5);
            assert_eq!(values.finish((SLOT, Key(0)), 5), now);
            assert_eq!(said(&mut values), [], "{leave} pieces have left");
            assert_eq!(values.sent_bytes(), leave * PIECE, "they are under way all the same");
            values.ask(SLOT, Key(0));
            assert_eq!(said(&mut values), [assign(0), assign(1), now]);
        }
    }
}
