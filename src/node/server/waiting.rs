//! Requests that a server could not answer yet.
//!
//! A push that is asked for again travels again, data and all. So each is asked for only when what
//! it was told to wait for may have come: the push before it, room in the stash, its turn in fold
//! order, or a record that speaks of its worker. The tries of a push do not depend on how many
//! others wait.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::error::{WaitFor, WaitReason};
use crate::id::{GroupId, Origin, Sequence, SlotIndex, Tick};
use crate::node::Peer;
use crate::spec::{GroupRecord, MemberEnd};
use crate::wire::{Header, PullRows};

/// Who waits at one table's shard. Bounded by what all workers of the plan may have unanswered;
/// the node refuses requests beyond [`has_room`](Self::has_room) (SPEC law 12).
#[derive(Debug, Default)]
pub(super) struct Waiting {
    reads: BTreeMap<(Origin, Sequence), WaitingRead>,
    /// The read that was last looked at. The next ones in order, and then those from the start,
    /// come before it does again, so that changes in between leave nobody out.
    looked_at: Option<(Origin, Sequence)>,
    /// Reads that are still to be looked at.
    marked: usize,
    /// Pushes by the chain that they are links of; no chain is empty.
    chains: BTreeMap<(Origin, SlotIndex), Chain>,
    pushes: usize,
    /// Those among them that wait for a change of policy.
    barred: usize,
}

/// Deferred pushes of one origin to one slot.
type Chain = BTreeMap<Sequence, WaitingPush>;

/// A push that waits, without its data.
#[derive(Clone, Copy, Debug)]
pub(super) struct WaitingPush {
    pub(super) from: Peer,
    pub(super) tick: Tick,
    /// Bytes that it will stash.
    pub(super) bytes: usize,
    pub(super) reason: WaitReason,
}

/// A push to be asked for again.
pub(super) type Resumed = (Origin, Sequence, WaitingPush);

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
        let place = (read.header.origin, read.header.sequence);
        let new = self.reads.insert(place, read).is_none() && self.looked_at != Some(place);
        // One that comes while others are looked at takes nobody's turn.
        self.marked += usize::from(new && self.marked > 0);
    }

    /// Marks all reads to be tried again.
    pub(super) fn mark_reads(&mut self) {
        self.marked = self.reads.len();
    }

    /// Whether a read is marked.
    pub(super) fn has_marked(&self) -> bool {
        self.marked > 0
    }

    /// The next marked read, except those of peers that are `full`; one that still has to wait is
    /// held again.
    pub(super) fn take_marked(&mut self, full: &BTreeSet<Peer>) -> Option<WaitingRead> {
        while self.marked > 0 {
            self.marked -= 1;
            let after = self.looked_at.map_or(Bound::Unbounded, Bound::Excluded);
            let later = self.reads.range((after, Bound::Unbounded)).next();
            let (place, read) = later.or_else(|| self.reads.first_key_value())?;
            let (place, open) = (*place, !full.contains(&read.from));
            self.looked_at = Some(place);
            if open {
                return self.reads.remove(&place);
            }
        }
        None
    }

    pub(super) fn hold_push(&mut self, header: &Header, slot: SlotIndex, push: WaitingPush) {
        let chain = self.chains.entry((header.origin, slot)).or_default();
        self.barred += usize::from(push.reason.what == WaitFor::PolicyChange);
        match chain.insert(header.sequence, push) {
            None => self.pushes += 1,
            Some(before) => self.barred -= usize::from(before.reason.what == WaitFor::PolicyChange),
        }
    }

    /// Whether any push waits.
    pub(super) fn has_pushes(&self) -> bool {
        self.pushes > 0
    }

    /// Whether pushes of one origin to one slot wait.
    pub(super) fn has_chain(&self, origin: Origin, slot: SlotIndex) -> bool {
        self.chains.contains_key(&(origin, slot))
    }

    /// Forgets a push that was answered; `None` when it did not wait.
    pub(super) fn answered(&mut self, header: &Header, slot: SlotIndex) -> Option<WaitingPush> {
        self.take(header.origin, slot, header.sequence)
    }

    /// A push to this slot was executed: the next ones of its chain, in order, as far as `bytes`
    /// go, and at least one.
    pub(super) fn take_followers(
        &mut self,
        origin: Origin,
        slot: SlotIndex,
        bytes: usize,
    ) -> Vec<Resumed> {
        let mut left = Some(bytes);
        let chain = self.chains.get(&(origin, slot)).into_iter().flatten();
        let fits = chain.take_while(|(_, push)| {
            left.take().is_some_and(|before| {
                left = before.checked_sub(push.bytes);
                true
            })
        });
        let found: Vec<_> = fits.map(|(sequence, _)| (origin, slot, *sequence)).collect();
        self.take_all(found)
    }

    /// A worker is next in fold order: what it pushes to the open round is admitted.
    pub(super) fn take_next(&mut self, origin: Origin, open: Tick) -> Vec<Resumed> {
        let chains = self.chains.range((origin, SlotIndex(0))..=(origin, SlotIndex(u32::MAX)));
        let of_chain = |((_, slot), chain): (&(Origin, SlotIndex), &Chain)| {
            let fits =
                |push: &WaitingPush| push.reason.what == WaitFor::StashFull && push.tick == open;
            let (sequence, _) = chain.first_key_value().filter(|(_, push)| fits(push))?;
            Some((origin, *slot, *sequence))
        };
        let found: Vec<_> = chains.filter_map(of_chain).collect();
        self.take_all(found)
    }

    /// The stash has room for `bytes`: those that it will fold first.
    pub(super) fn take_fitting(&mut self, bytes: usize) -> Vec<Resumed> {
        let mut found = self.find(|_, push| push.reason.what == WaitFor::StashFull);
        found.sort_unstable_by_key(|(push, (origin, _, sequence))| {
            (push.tick, origin.rank, *sequence)
        });
        let mut left = Some(bytes);
        let fits = found.into_iter().map_while(|(push, place)| {
            left = left?.checked_sub(push.bytes);
            left.map(|_| place)
        });
        let fits: Vec<_> = fits.collect();
        self.take_all(fits)
    }

    /// Pushes that wait for a change of policy, as far as it has come.
    pub(super) fn take_begun(&mut self, held_back: impl Fn(Origin, Tick) -> bool) -> Vec<Resumed> {
        if self.barred == 0 {
            return Vec::new();
        }
        let begun = |origin, push: &WaitingPush| {
            push.reason.what == WaitFor::PolicyChange && !held_back(origin, push.tick)
        };
        let found = self.find(begun);
        self.take_all(found.into_iter().map(|(_, place)| place))
    }

    /// All reads.
    pub(super) fn take_reads(&mut self) -> impl Iterator<Item = WaitingRead> + use<> {
        self.marked = 0;
        std::mem::take(&mut self.reads).into_values()
    }

    /// All pushes.
    pub(super) fn take_pushes(&mut self) -> Vec<Resumed> {
        let found = self.find(|_, _| true);
        self.take_all(found.into_iter().map(|(_, place)| place))
    }

    /// A group has a new record: those that it lets in, and those that it refuses for good.
    pub(super) fn take_settled(&mut self, record: &GroupRecord) -> Vec<Resumed> {
        let formed = record.members.len() == record.size as usize;
        let settled = |origin: Origin, push: &WaitingPush| {
            let mut members = record.members.iter();
            match members.find(|member| member.origin.rank == origin.rank) {
                None => formed,
                Some(member) if member.origin == origin && member.end == MemberEnd::Active => {
                    push.reason.what == WaitFor::GroupForming
                },
                Some(member) => member.origin.incarnation >= origin.incarnation,
            }
        };
        let found = self.find(|origin, push| origin.group == record.group && settled(origin, push));
        self.take_all(found.into_iter().map(|(_, place)| place))
    }

    /// Forgets everything that a process waits for.
    pub(super) fn forget(&mut self, peer: Peer) {
        self.reads.retain(|_, read| read.from != peer);
        let gone = self.find(|_, push| push.from == peer);
        let _gone = self.take_all(gone.into_iter().map(|(_, place)| place));
    }

    /// Requests held.
    pub(super) fn len(&self) -> usize {
        self.reads.len() + self.pushes
    }

    /// Why each of them waits, and of which group it is.
    pub(super) fn reasons(&self) -> impl Iterator<Item = (GroupId, WaitReason)> {
        let pushes = self.chains.iter().flat_map(|((origin, _), chain)| {
            chain.values().map(|push| (origin.group, push.reason))
        });
        let reads = self.reads.iter();
        let told = reads.filter_map(|((origin, _), read)| Some((origin.group, read.told?)));
        told.chain(pushes)
    }

    /// By origin, slot and sequence.
    fn find(&self, test: impl Fn(Origin, &WaitingPush) -> bool) -> Vec<(WaitingPush, Place)> {
        let mut found = Vec::new();
        for ((origin, slot), chain) in &self.chains {
            let here = chain.iter().filter(|(_, push)| test(*origin, push));
            found.extend(here.map(|(sequence, push)| (*push, (*origin, *slot, *sequence))));
        }
        found
    }

    fn take_all(&mut self, places: impl IntoIterator<Item = Place>) -> Vec<Resumed> {
        let taken = places.into_iter().filter_map(|(origin, slot, sequence)| {
            let push = self.take(origin, slot, sequence)?;
            Some((origin, sequence, push))
        });
        taken.collect()
    }

    fn take(&mut self, origin: Origin, slot: SlotIndex, sequence: Sequence) -> Option<WaitingPush> {
        let chain = self.chains.get_mut(&(origin, slot))?;
        let push = chain.remove(&sequence)?;
        if chain.is_empty() {
            self.chains.remove(&(origin, slot));
        }
        self.pushes -= 1;
        self.barred -= usize::from(push.reason.what == WaitFor::PolicyChange);
        Some(push)
    }
}

/// Where a push is held.
type Place = (Origin, SlotIndex, Sequence);

#[cfg(test)]
mod tests {
    use super::*;

    fn read(sequence: u64) -> WaitingRead {
        let (origin, sequence) = (Origin::default(), Sequence(sequence));
        let header = Header { origin, sequence, settled_below: Sequence(1), tick: Tick(1) };
        let (from, slot) = (Peer::Worker(1), SlotIndex(0));
        WaitingRead { from, header, slot, own: None, rows: None, told: None }
    }

    #[test]
    fn a_read_that_comes_while_others_are_looked_at_takes_nobodys_turn() {
        let mut waiting = Waiting::default();
        [10, 20, 30].into_iter().for_each(|sequence| waiting.hold_read(read(sequence)));
        assert!(!waiting.has_marked());
        waiting.mark_reads();
        let mut looked_at = Vec::new();
        while let Some(still) = waiting.take_marked(&BTreeSet::new()) {
            looked_at.push(still.header.sequence.0);
            // It has to wait on, and another one comes that is next in order.
            waiting.hold_read(still);
            if looked_at.len() == 1 {
                waiting.hold_read(read(15));
            }
            assert!(looked_at.len() < 9, "each is looked at once: {looked_at:?}");
        }
        assert_eq!(looked_at, [10, 15, 20, 30]);
        assert_eq!(waiting.len(), 4);
    }
}
