//! The groups that a server keeps, and the joins that wait until every server knows of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Loss;
use crate::id::{GroupId, Origin, RecordVersion, ServerId, TableId, Tick};
use crate::node::Peer;
use crate::node::keeper::Keeper;
use crate::time::Instant;
use crate::wire::{JoinGrant, Message, Refusal};

/// One group at its keeper.
#[derive(Debug)]
pub(super) struct KeptGroup {
    pub(super) keeper: Keeper,
    /// Joins answered once every server holds the record that names them, by token.
    joins: BTreeMap<u64, JoinGrant>,
    held_by: BTreeSet<ServerId>,
    servers: Vec<ServerId>,
}

/// What a keeper wants sent.
pub(super) type Letters = Vec<(Peer, Message)>;

impl KeptGroup {
    pub(super) fn new(group: GroupId, size: u32, servers: &[ServerId]) -> Self {
        Self {
            keeper: Keeper::new(group, size, servers.len()),
            joins: BTreeMap::new(),
            held_by: BTreeSet::new(),
            servers: servers.to_vec(),
        }
    }

    /// A worker asks for a place. The answer waits until all servers hold the record: a later
    /// request of the worker finds itself known everywhere.
    pub(super) fn join(&mut self, now: Instant, token: u64, closed: Tick) -> Letters {
        match self.keeper.join(now, token, closed) {
            Err(refusal) => {
                let result = Err(refusal);
                vec![(Peer::Worker(token), Message::Joined { token, result })]
            },
            Ok(grant) => {
                self.joins.insert(token, grant);
                self.broadcast()
            },
        }
    }

    /// A server holds a record, and has closed rounds up to `closed`.
    pub(super) fn record_held(
        &mut self,
        server: ServerId,
        version: RecordVersion,
        closed: Tick,
    ) -> Letters {
        if version != self.keeper.record().version {
            return Vec::new();
        }
        if self.keeper.raise_starts(closed) {
            return self.broadcast();
        }
        self.held_by.insert(server);
        if self.held_by.len() < self.servers.len() {
            return Vec::new();
        }
        let keeper = &self.keeper;
        let joined = std::mem::take(&mut self.joins).into_iter().map(|(token, grant)| {
            // The start may have been raised since.
            let member = keeper.active(grant.origin.rank).filter(|m| m.origin == grant.origin);
            let result = match member {
                Some(member) => Ok(JoinGrant { start: member.start, ..grant }),
                None => Err(Refusal::Removed { why: Loss::PeerDown }),
            };
            (Peer::Worker(token), Message::Joined { token, result })
        });
        joined.collect()
    }

    pub(super) fn leave(&mut self, token: Peer, origin: Origin, last: Tick) -> Letters {
        let before = self.keeper.record().version;
        let result = self.keeper.leave(origin, last);
        let mut letters = vec![(token, Message::LeaveAnswer { result })];
        if self.keeper.record().version != before {
            letters.extend(self.broadcast());
        }
        letters
    }

    pub(super) fn lost(&mut self, origin: Origin, why: Loss) -> Letters {
        if !self.keeper.lost(origin, why) {
            return Vec::new();
        }
        self.servers.iter().map(|to| (Peer::Server(*to), Message::Fence { origin })).collect()
    }

    pub(super) fn fenced(
        &mut self,
        origin: Origin,
        server: ServerId,
        last: &[(TableId, Tick)],
    ) -> Letters {
        if self.keeper.fenced(origin, server, last) { self.broadcast() } else { Vec::new() }
    }

    /// What a server has to hear when its connection is up again.
    pub(super) fn remind(&self, server: ServerId) -> Letters {
        let to = Peer::Server(server);
        let mut letters: Letters =
            self.keeper.fencing().map(|origin| (to, Message::Fence { origin })).collect();
        if !self.held_by.contains(&server) && self.keeper.record().version > RecordVersion(0) {
            letters.push((to, Message::Record(self.keeper.record().clone())));
        }
        letters
    }

    fn broadcast(&mut self) -> Letters {
        self.held_by.clear();
        let record = self.keeper.record();
        let to_each = |to: &ServerId| (Peer::Server(*to), Message::Record(record.clone()));
        self.servers.iter().map(to_each).collect()
    }
}
