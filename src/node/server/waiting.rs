//! Requests that a server could not answer yet.

use std::collections::BTreeMap;

use crate::error::WaitReason;
use crate::id::{Origin, Sequence, SlotIndex};
use crate::node::Peer;
use crate::wire::{Header, PullRows};

/// Who waits at one table's shard. Bounded by what all workers of the plan may have unanswered;
/// the node refuses requests beyond [`has_room`](Self::has_room) (SPEC law 12).
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reads: BTreeMap<(Origin, Sequence), WaitingRead>,
    pushes: BTreeMap<(Origin, Sequence), Peer>,
}

/// A read that waits, whole: it carries no data.
#[derive(Clone, Debug)]
pub(super) struct WaitingRead {
    pub(super) from: Peer,
    pub(super) header: Header,
    pub(super) slot: SlotIndex,
    pub(super) own: Option<Sequence>,
    /// `None` for a wait without rows.
    pub(super) rows: Option<PullRows>,
    /// The reason last told to the worker.
    pub(super) told: Option<WaitReason>,
}

impl Waiting {
    /// Whether another request may wait, when honest workers have at most `limit` unanswered.
    pub(super) fn has_room(&self, limit: usize) -> bool {
        self.len() < limit
    }

    pub(super) fn hold_read(&mut self, read: WaitingRead) {
        self.reads.insert((read.header.origin, read.header.sequence), read);
    }

    pub(super) fn hold_push(&mut self, from: Peer, header: &Header) {
        self.pushes.insert((header.origin, header.sequence), from);
    }

    /// All reads, to be tried again; those that still wait are held again.
    pub(super) fn take_reads(&mut self) -> impl Iterator<Item = WaitingRead> + use<> {
        std::mem::take(&mut self.reads).into_values()
    }

    /// All pushes, to be asked for again.
    pub(super) fn take_pushes(
        &mut self,
    ) -> impl Iterator<Item = ((Origin, Sequence), Peer)> + use<> {
        std::mem::take(&mut self.pushes).into_iter()
    }

    /// Forgets everything that a process waits for.
    pub(super) fn forget(&mut self, peer: Peer) {
        self.reads.retain(|_, read| read.from != peer);
        self.pushes.retain(|_, from| *from != peer);
    }

    /// Requests held.
    pub(super) fn len(&self) -> usize {
        self.reads.len() + self.pushes.len()
    }
}
