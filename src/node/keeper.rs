//! The keeper of one group: incarnations, members, removal of a dead worker.
//!
//! Decides once what every shard obeys: the group's record. In a cluster it lives at the server
//! that [`Plan::keeper`](super::Plan::keeper) names. Closes by deadline, quorum or sample count
//! are planned.
//!
//! Removal takes two steps, so that all shards agree (law 4): the worker is *fenced* everywhere,
//! each shard answers the last tick it counted, and the record that removes the worker names those
//! ticks per shard.
//!
//! Invariants: I1 a rank's incarnations only grow; I2 at most one life of a rank is active; I3 a
//! record's version grows by one with every change.

use std::collections::BTreeMap;

use crate::error::Loss;
use crate::id::{GroupId, Incarnation, Origin, Rank, RecordVersion, ServerId, TableId, Tick};
use crate::limits;
use crate::spec::{GroupRecord, Member, MemberEnd};
use crate::time::Instant;
use crate::wire::{JoinGrant, Refusal};

/// The keeper of one group.
#[derive(Debug)]
pub struct Keeper {
    record: GroupRecord,
    seats: BTreeMap<Rank, Seat>,
    tokens: BTreeMap<u64, Rank>,
    removals: BTreeMap<Rank, Removal>,
    /// A server counts as one shard of each table; how many have to answer a fence.
    servers: usize,
}

#[derive(Debug)]
struct Seat {
    heard: Instant,
    ticked: Tick,
}

#[derive(Debug)]
struct Removal {
    why: Loss,
    answers: BTreeMap<ServerId, Vec<(TableId, Tick)>>,
}

impl Keeper {
    /// The keeper of a group of `size` workers whose tables are spread over `servers` servers.
    pub fn new(group: GroupId, size: u32, servers: usize) -> Self {
        Self {
            record: GroupRecord { group, version: RecordVersion(0), size, members: Vec::new() },
            seats: BTreeMap::new(),
            tokens: BTreeMap::new(),
            removals: BTreeMap::new(),
            servers,
        }
    }

    /// Changes how many servers have to answer a fence: `embed` creates shards with each table.
    pub fn expect_servers(&mut self, servers: usize) {
        self.servers = servers;
    }

    /// The record in force.
    pub fn record(&self) -> &GroupRecord {
        &self.record
    }

    /// The record as a shard has to see it that is created only now: members start behind the
    /// ticks that they have ended already.
    pub fn record_from_now(&self) -> GroupRecord {
        let mut record = self.record.clone();
        for member in &mut record.members {
            if let Some(seat) = self.seats.get(&member.origin.rank) {
                member.start = member.start.max(seat.ticked.next());
            }
        }
        record
    }

    /// The last tick heard of any member, living or not.
    pub fn reached(&self) -> Tick {
        self.seats.values().map(|seat| seat.ticked).max().unwrap_or_default()
    }

    /// Gives a place to a worker. A repeated token gets the same place. `closed` is the last round
    /// closed at any shard: a later joiner starts behind it, at the slowest member's tick.
    ///
    /// # Errors
    /// `GroupFull` when every rank has a living member.
    pub fn join(&mut self, now: Instant, token: u64, closed: Tick) -> Result<JoinGrant, Refusal> {
        if let Some(member) = self.tokens.get(&token).and_then(|rank| self.active(*rank)) {
            let (origin, start) = (member.origin, member.start);
            return Ok(JoinGrant { origin, size: self.record.size, start });
        }
        let size = self.record.size;
        // A rank that never lived comes first, or the group would never be complete.
        let lived = |rank: &Rank| self.record.members.iter().any(|m| m.origin.rank == *rank);
        let fresh = (0..size).map(Rank).find(|rank| !lived(rank));
        let free = || (0..size).map(Rank).find(|rank| self.active(*rank).is_none());
        let Some(rank) = fresh.or_else(free) else {
            return Err(Refusal::GroupFull { size });
        };
        let lives = self.record.members.iter().filter(|member| member.origin.rank == rank);
        let last = lives.map(|member| member.origin.incarnation).max().unwrap_or_default();
        let origin =
            Origin { group: self.record.group, rank, incarnation: Incarnation(last.0 + 1) };
        // Nothing is read or closed before every rank has lived once, so that a founder's first
        // tick does not depend on how far others have run ahead.
        let founds = last == Incarnation::default();
        // Behind its own former life too: one life of a rank contributes to a round.
        let before = self.seats.get(&rank).map_or(Tick(0), |seat| seat.ticked);
        let behind = self.slowest_tick().max(closed).max(before).next();
        let start = if founds { Tick::FIRST } else { behind };
        self.record.members.retain(|member| member.origin.rank != rank);
        self.record.members.push(Member { origin, start, end: MemberEnd::Active });
        self.record.members.sort_by_key(|member| member.origin);
        self.seats.insert(rank, Seat { heard: now, ticked: start.back(1) });
        self.tokens.retain(|_, held| *held != rank);
        self.tokens.insert(token, rank);
        self.bump();
        Ok(JoinGrant { origin, size, start })
    }

    /// Lets members that have not ticked yet start behind a round that some shard has closed
    /// already. True when the record has changed.
    pub fn raise_starts(&mut self, closed: Tick) -> bool {
        let seats = &mut self.seats;
        let ticked = seats.values().map(|seat| seat.ticked.0).max().unwrap_or_default();
        // A shard is no further ahead of the keeper than a worker's ticks may be (law 14).
        if closed.0 > ticked.saturating_add(limits::TICKS_PENDING_MAX as u64) {
            return false;
        }
        let mut raised = false;
        for member in &mut self.record.members {
            let Some(seat) = seats.get_mut(&member.origin.rank) else {
                continue;
            };
            let fresh = member.end == MemberEnd::Active && seat.ticked < member.start;
            if fresh && member.start <= closed {
                member.start = closed.next();
                seat.ticked = closed;
                raised = true;
            }
        }
        if raised {
            self.bump();
        }
        raised
    }

    /// Notes a sign of life.
    pub fn heard(&mut self, now: Instant, origin: Origin) {
        if self.is_active(origin)
            && let Some(seat) = self.seats.get_mut(&origin.rank)
        {
            seat.heard = now;
        }
    }

    /// Notes a tick.
    pub fn ticked(&mut self, now: Instant, origin: Origin, tick: Tick) {
        self.heard(now, origin);
        if self.is_active(origin)
            && let Some(seat) = self.seats.get_mut(&origin.rank)
        {
            seat.ticked = seat.ticked.max(tick);
        }
    }

    /// A worker has finished. Idempotent.
    ///
    /// # Errors
    /// `UnknownWorker` or `StaleWorker` when it is not a member; `Removed` when it was declared
    /// dead before; `TickBackwards` when it names a tick that it has not ended: nobody would end
    /// it, and the others would wait for it for ever (law 9).
    pub fn leave(&mut self, origin: Origin, last: Tick) -> Result<(), Refusal> {
        let found = self.record.members.iter_mut().find(|m| m.origin.rank == origin.rank);
        let Some(member) = found else {
            return Err(Refusal::UnknownWorker);
        };
        if member.origin.incarnation != origin.incarnation {
            return Err(Refusal::StaleWorker { current: member.origin.incarnation });
        }
        match &member.end {
            MemberEnd::Left { .. } => Ok(()),
            MemberEnd::Removed { why, .. } => Err(Refusal::Removed { why: *why }),
            MemberEnd::Active => {
                let ticked = self.seats.get(&origin.rank).map_or(Tick(0), |seat| seat.ticked);
                if last > ticked {
                    let (expected, found) = (ticked.next(), last);
                    return Err(Refusal::TickBackwards { expected, found });
                }
                member.end = MemberEnd::Left { last };
                self.removals.remove(&origin.rank);
                self.bump();
                Ok(())
            },
        }
    }

    /// Begins the removal of a worker. True when every server has to be told to fence it.
    pub fn lost(&mut self, origin: Origin, why: Loss) -> bool {
        if !self.is_active(origin) || self.removals.contains_key(&origin.rank) {
            return false;
        }
        self.removals.insert(origin.rank, Removal { why, answers: BTreeMap::new() });
        true
    }

    /// Takes a server's answer to a fence. True when the record has changed: the worker is out.
    pub fn fenced(&mut self, origin: Origin, server: ServerId, last: &[(TableId, Tick)]) -> bool {
        // A late answer may speak of an earlier life of the rank.
        if !self.is_active(origin) {
            return false;
        }
        let Some(removal) = self.removals.get_mut(&origin.rank) else {
            return false;
        };
        removal.answers.insert(server, last.to_vec());
        if removal.answers.len() < self.servers {
            return false;
        }
        let Some(removal) = self.removals.remove(&origin.rank) else {
            return false;
        };
        let found = self.record.members.iter_mut().find(|member| member.origin == origin);
        let Some(member) = found else { return false };
        let answers = removal.answers.into_iter();
        let last = answers
            .flat_map(|(server, ticks)| ticks.into_iter().map(move |(t, tick)| (server, t, tick)))
            .collect();
        member.end = MemberEnd::Removed { why: removal.why, last };
        self.bump();
        true
    }

    /// The members that are being removed: a server that comes up is told to fence them.
    pub fn fencing(&self) -> impl Iterator<Item = Origin> {
        let members = self.record.members.iter().map(|member| member.origin);
        members.filter(|origin| self.removals.contains_key(&origin.rank))
    }

    /// Living members of whom nothing was heard for `worker_silence_max`.
    pub fn silent(&self, now: Instant) -> Vec<Origin> {
        self.living()
            .filter(|(_, seat)| now.since(seat.heard) >= limits::WORKER_SILENCE_MAX)
            .map(|(member, _)| member.origin)
            .collect()
    }

    /// When to ask [`silent`](Self::silent) again, if nothing is heard until then.
    pub fn silence_deadline(&self) -> Option<Instant> {
        let heard = self.living().map(|(_, seat)| seat.heard).min()?;
        Some(heard.after(limits::WORKER_SILENCE_MAX))
    }

    /// The living member that holds a rank.
    pub fn active(&self, rank: Rank) -> Option<&Member> {
        let mut members = self.record.members.iter();
        members.find(|member| member.origin.rank == rank && member.end == MemberEnd::Active)
    }

    fn living(&self) -> impl Iterator<Item = (&Member, &Seat)> {
        let active = self.record.members.iter().filter(|member| member.end == MemberEnd::Active);
        active
            .filter(|member| !self.removals.contains_key(&member.origin.rank))
            .filter_map(|member| Some((member, self.seats.get(&member.origin.rank)?)))
    }

    fn is_active(&self, origin: Origin) -> bool {
        self.active(origin.rank).is_some_and(|member| member.origin == origin)
    }

    /// The last tick that every living member has ended.
    fn slowest_tick(&self) -> Tick {
        self.living().map(|(_, seat)| seat.ticked).min().unwrap_or_default()
    }

    fn bump(&mut self) {
        self.record.version.0 += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Instant = Instant(7);

    #[test]
    fn places_are_given_once_per_token_and_only_to_size() {
        let mut keeper = Keeper::new(GroupId(1), 2, 1);
        let a = keeper.join(NOW, 10, Tick(0)).unwrap();
        assert_eq!(keeper.join(NOW, 10, Tick(0)).unwrap(), a);
        let b = keeper.join(NOW, 11, Tick(0)).unwrap();
        assert_eq!((a.origin.rank, b.origin.rank), (Rank(0), Rank(1)));
        assert_eq!(keeper.join(NOW, 12, Tick(0)), Err(Refusal::GroupFull { size: 2 }));
        assert_eq!(keeper.record().version, RecordVersion(2));
    }

    #[test]
    fn a_removal_waits_for_every_server_and_frees_the_rank() {
        let mut keeper = Keeper::new(GroupId(1), 2, 2);
        let a = keeper.join(NOW, 10, Tick(0)).unwrap().origin;
        let b = keeper.join(NOW, 11, Tick(0)).unwrap().origin;
        keeper.ticked(NOW, b, Tick(5));
        assert!(keeper.lost(a, Loss::PeerDown) && !keeper.lost(a, Loss::Silent));
        assert!(keeper.join(NOW, 12, Tick(4)).is_err(), "the rank is not free before");
        assert!(!keeper.fenced(a, ServerId(0), &[(TableId(0), Tick(4))]));
        assert!(keeper.fenced(a, ServerId(1), &[(TableId(0), Tick(3))]));
        let MemberEnd::Removed { why, last } = &keeper.record().members[0].end else { panic!() };
        assert_eq!((why, last.len()), (&Loss::PeerDown, 2));
        assert_eq!(keeper.leave(a, Tick(4)), Err(Refusal::Removed { why: Loss::PeerDown }));
        let again = keeper.join(NOW, 12, Tick(4)).unwrap();
        assert_eq!((again.origin.incarnation, again.start), (Incarnation(2), Tick(6)));
    }

    #[test]
    fn nobody_leaves_behind_a_tick_that_it_has_not_ended() {
        let mut keeper = Keeper::new(GroupId(1), 1, 1);
        let a = keeper.join(NOW, 10, Tick(0)).unwrap().origin;
        keeper.ticked(NOW, a, Tick(3));
        let (expected, found) = (Tick(4), Tick(u64::MAX));
        let refused = Err(Refusal::TickBackwards { expected, found });
        assert_eq!(keeper.leave(a, found), refused);
        assert_eq!((keeper.leave(a, Tick(3)), keeper.leave(a, Tick(3))), (Ok(()), Ok(())));
    }

    #[test]
    fn silence_is_measured_from_the_last_sign_of_life() {
        let mut keeper = Keeper::new(GroupId(1), 1, 1);
        let a = keeper.join(NOW, 1, Tick(0)).unwrap().origin;
        let late = NOW.after(limits::WORKER_SILENCE_MAX);
        assert_eq!(keeper.silence_deadline(), Some(late));
        keeper.heard(Instant(8), a);
        assert!(keeper.silent(late).is_empty());
        assert_eq!(keeper.silent(late.after(limits::WORKER_SILENCE_MAX)), vec![a]);
    }
}
