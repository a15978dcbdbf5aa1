//! What is due to one server elsewhere, whatever is told to it or heard of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::id::{DataCentre, Sequence, SlotIndex};
use crate::key::Key;
use crate::wire::{MirrorMessage, Refusal};

/// A server that is told or heard: the terms on both sides, and answers to it. Answers coalesce, so
/// that nobody can make them many; a new connection forgets them.
#[derive(Debug, Default)]
pub(in crate::node) struct Neighbour {
    /// Our terms, to be said.
    terms: Option<u128>,
    /// It has said that it has the same ones.
    open: bool,
    refused: Option<(DataCentre, SlotIndex, Sequence, Refusal)>,
    confirms: BTreeMap<(DataCentre, SlotIndex), Sequence>,
    /// How many pieces of values have come, and where it has not been told so.
    pieces: BTreeMap<(DataCentre, SlotIndex), u64>,
    arrived: BTreeSet<(DataCentre, SlotIndex)>,
    answers: BTreeMap<(DataCentre, SlotIndex, Key), Option<u128>>,
    /// What was logged of a line on this connection.
    noted: BTreeSet<(DataCentre, &'static str)>,
    /// The line that was told of last: lines take turns.
    pub(in crate::node) last: Option<DataCentre>,
}

impl Neighbour {
    /// A connection is up, for the first time or again.
    pub(in crate::node) fn connected(&mut self, terms_hash: u128) {
        *self = Self { terms: Some(terms_hash), ..Self::default() };
    }

    /// It has the same terms; whether that is new on this connection.
    pub(in crate::node) fn opened(&mut self) -> bool {
        !std::mem::replace(&mut self.open, true)
    }

    /// Whether something is to be logged of a line: once a connection, so that nobody fills a disk.
    pub(in crate::node) fn notes(&mut self, of: DataCentre, what: &'static str) -> bool {
        self.noted.insert((of, what))
    }

    /// Confirms a slot's updates of a line up to this one.
    pub(in crate::node) fn confirm(&mut self, of: DataCentre, slot: SlotIndex, upto: Sequence) {
        self.confirms.insert((of, slot), upto);
    }

    /// A piece of values of a line has come, taken or not: the other side then sends more.
    pub(in crate::node) fn arrived(&mut self, of: DataCentre, slot: SlotIndex) {
        *self.pieces.entry((of, slot)).or_default() += 1;
        self.arrived.insert((of, slot));
    }

    /// Says why an update is not taken: the other side then sends nothing more.
    pub(in crate::node) fn refuse(
        &mut self,
        of: DataCentre,
        (slot, sequence): (SlotIndex, Sequence),
        why: Refusal,
    ) {
        self.refused = Some((of, slot, sequence, why));
    }

    /// Answers a digest: the values here have it, or differ.
    pub(in crate::node) fn answer(
        &mut self,
        of: DataCentre,
        (slot, unit): (SlotIndex, Key),
        digest: Option<u128>,
    ) {
        self.answers.insert((of, slot, unit), digest);
    }

    /// The next thing to say, and of whose line.
    pub(in crate::node) fn next(
        &mut self,
        here: DataCentre,
    ) -> Option<(DataCentre, MirrorMessage)> {
        if let Some(terms_hash) = self.terms.take() {
            return Some((here, MirrorMessage::Open { terms_hash }));
        }
        if let Some((of, slot, sequence, why)) = self.refused.take() {
            return Some((of, MirrorMessage::Confirm { slot, sequence, result: Err(why) }));
        }
        if let Some(((of, slot), sequence)) = self.confirms.pop_first() {
            return Some((of, MirrorMessage::Confirm { slot, sequence, result: Ok(()) }));
        }
        if let Some((of, slot)) = self.arrived.pop_first() {
            let pieces = self.pieces.get(&(of, slot)).copied().unwrap_or_default();
            return Some((of, MirrorMessage::Arrived { slot, pieces }));
        }
        let ((of, slot, unit), digest) = self.answers.pop_first()?;
        Some(match digest {
            Some(digest) => (of, MirrorMessage::Same { slot, unit, digest }),
            None => (of, MirrorMessage::Differs { slot, unit }),
        })
    }
}
