//! A server's part in groups: as keeper, and as a holder of shards that obey it.

use super::super::roll::Roll;
use super::{Held, ServerNode};
use crate::error::Loss;
use crate::history::Event;
use crate::id::{GroupId, Origin, RecordVersion, ServerId, TableId, Tick};
use crate::limits;
use crate::node::sabotage::Sabotage;
use crate::node::{Output, Peer};
use crate::spec::GroupRecord;
use crate::wire::{Message, Refusal};

impl ServerNode {
    /// Whether a message of servers comes from the one that it speaks for (law 14).
    pub(super) fn may_say(&self, from: Peer, message: &Message) -> bool {
        let abroad = matches!(from, Peer::Server(server) if self.is_abroad(server));
        if abroad != matches!(message, Message::Mirror { .. }) {
            return false;
        }
        match message {
            Message::Record(_) | Message::Fence { .. } | Message::CatalogEntry { .. } => {
                from == Peer::Server(self.plan.keeper())
            },
            Message::RecordHeld { server, .. }
            | Message::Fenced { server, .. }
            | Message::CatalogHeld { server, .. } => from == Peer::Server(*server),
            Message::EnsureTable { .. }
            | Message::EnsureGroup { .. }
            | Message::ListTables { .. }
            | Message::ChangeTable { .. }
            | Message::DropTable { .. } => matches!(from, Peer::Worker(_)),
            Message::Mirror { .. }
            | Message::Join { .. }
            | Message::Attach { .. }
            | Message::Push { .. }
            | Message::Pull { .. }
            | Message::Await { .. }
            | Message::Ticked { .. }
            | Message::Leave { .. }
            | Message::Heartbeat { .. }
            | Message::Joined { .. }
            | Message::Attached { .. }
            | Message::PushAnswer { .. }
            | Message::PullAnswer { .. }
            | Message::Deferred { .. }
            | Message::Resume { .. }
            | Message::TickAnswer { .. }
            | Message::Withheld { .. }
            | Message::LeaveAnswer { .. }
            | Message::TableEnsured { .. }
            | Message::GroupEnsured { .. }
            | Message::TableChanged { .. }
            | Message::TableDropped { .. }
            | Message::Tables { .. } => true,
        }
    }

    /// Whether a record can be the keeper's: of a group of the plan, with places for its members,
    /// of whom none starts further ahead than ticks can run ahead of a server (law 12).
    fn believes(&self, record: &GroupRecord) -> bool {
        let size = self.plan.group(record.group).map(|group| group.size);
        let counted = self.tables.values().map(|held| held.shard.last_tick(record.group));
        let heard = self.rolls.get(&record.group).map(Roll::reached);
        let reached = counted.chain(heard).max();
        let ahead = reached.unwrap_or_default().0 + limits::TICKS_PENDING_MAX as u64 + 1;
        let ranks = record.members.iter().map(|member| member.origin.rank.0);
        size == Some(record.size)
            && ranks.is_sorted_by(|a, b| a < b)
            && record.members.iter().all(|member| {
                let Origin { group, rank, .. } = member.origin;
                group == record.group && rank.0 < record.size && member.start.0 <= ahead
            })
    }

    pub(super) fn on_record_held(
        &mut self,
        group: GroupId,
        version: RecordVersion,
        server: ServerId,
        closed: Tick,
    ) {
        let kept = self.groups.get_mut(&group);
        let letters = kept.map(|kept| kept.record_held(server, version, closed));
        self.post(letters.unwrap_or_default());
    }

    pub(super) fn on_fence(&mut self, from: Peer, origin: Origin) {
        let fence =
            |(table, held): (&TableId, &mut Held)| Some((*table, held.shard.fence(origin)?));
        let last = self.tables.iter_mut().filter_map(fence).collect();
        if let Some(roll) = self.rolls.get_mut(&origin.group) {
            roll.fence(origin);
        }
        let server = self.server;
        self.send(from, Message::Fenced { origin, server, last });
    }

    pub(super) fn on_fenced(&mut self, origin: Origin, server: ServerId, last: &[(TableId, Tick)]) {
        let kept = self.groups.get_mut(&origin.group);
        let letters = kept.map(|kept| kept.fenced(origin, server, last));
        self.post(letters.unwrap_or_default());
    }

    pub(super) fn on_join(&mut self, group: GroupId, token: u64) {
        let closed = self.tables.values().map(|held| held.shard.folded(group)).max();
        let letters = match self.groups.get_mut(&group) {
            Some(kept) => kept.join(self.now, token, closed.unwrap_or_default()),
            None => {
                let result = Err(Refusal::UnknownGroup { group });
                vec![(Peer::Worker(token), Message::Joined { token, result })]
            },
        };
        self.post(letters);
    }

    /// Notes which process has a place. The one before it may have said no farewell.
    pub(super) fn seat(&mut self, token: u64, origin: Origin) {
        let place = |origin: &Origin| (origin.group, origin.rank);
        self.workers.retain(|_, held| place(held) != place(&origin));
        self.workers.insert(token, origin);
    }

    pub(super) fn on_leave(&mut self, from: Peer, origin: Origin, last: Tick) {
        let group = self.groups.get_mut(&origin.group);
        let letters = group.map(|kept| kept.leave(from, origin, last)).unwrap_or_default();
        self.post(letters);
    }

    pub(super) fn on_record(&mut self, from: Peer, record: &GroupRecord) {
        if !self.believes(record) {
            return tracing::debug!(%from, "a server ignores a record that makes no sense");
        }
        self.rolls.entry(record.group).or_default().hold(record);
        let tables: Vec<_> = self.tables.keys().copied().collect();
        for table in tables {
            let Some(held) = self.tables.get_mut(&table) else { continue };
            held.shard.hold_record(self.now, record);
            let resumed = held.waiting.take_settled(record);
            self.resume(table, resumed);
        }
        if self.options.record_history {
            let record = record.clone();
            self.outputs.push_back(Output::Event(Event::RecordHeld { record }));
        }
        let closed = self.tables.values().map(|held| held.shard.folded(record.group));
        let closed = closed.max().unwrap_or_default();
        let (group, version, server) = (record.group, record.version, self.server);
        self.send(from, Message::RecordHeld { group, version, server, closed });
    }

    pub(super) fn on_peer_down(&mut self, peer: Peer) {
        self.full.remove(&peer);
        if let Peer::Server(server) = peer
            && let Some(link) = self.links.get_mut(&server)
        {
            link.up = false;
        }
        for held in self.tables.values_mut() {
            held.waiting.forget(peer);
        }
        if let Some(catalog) = &mut self.catalog {
            catalog.forget(peer);
        }
        self.withheld.forget(peer);
        let Peer::Worker(token) = peer else { return };
        if let Some(origin) = self.workers.remove(&token) {
            self.lose(origin, Loss::PeerDown);
        }
    }

    /// Looks for members that have been silent for too long, and says when to look again.
    pub(super) fn on_time(&mut self) {
        let silent: Vec<_> =
            self.groups.values().flat_map(|kept| kept.keeper.silent(self.now)).collect();
        for origin in silent {
            self.lose(origin, Loss::Silent);
        }
        let mirrors = self.mirror_time();
        let deadlines = self.groups.values().filter_map(|kept| kept.keeper.silence_deadline());
        let next = deadlines.chain(mirrors).min();
        if next != self.wake_at {
            self.wake_at = next;
            self.outputs.extend(next.map(Output::WakeAt));
        }
    }

    pub(super) fn lose(&mut self, origin: Origin, why: Loss) {
        if self.options.switch.breaks(Sabotage::KeepTheDead) {
            return;
        }
        let kept = self.groups.get_mut(&origin.group);
        let letters = kept.map(|kept| kept.lost(origin, why)).unwrap_or_default();
        if !letters.is_empty() {
            let group = self.plan.group(origin.group).map_or("", |group| &*group.name);
            let rank = origin.rank.0;
            tracing::warn!(group, rank, %why, "a worker is lost: the others go on without it");
        }
        if self.options.record_history && !letters.is_empty() {
            self.outputs.push_back(Output::Event(Event::WorkerLost { origin, why }));
        }
        self.post(letters);
    }

    pub(super) fn heard(&mut self, origin: Origin) {
        if let Some(kept) = self.groups.get_mut(&origin.group) {
            kept.keeper.heard(self.now, origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Bsp;
    use crate::node::server::ServerOptions;
    use crate::node::{Input, Registry};
    use crate::spec::{Hyper, TablePolicy, TableSpec};
    use crate::time::Instant;

    /// Workers that come one after the other, and of whom no farewell is heard.
    #[test]
    fn of_each_place_the_last_process_is_known() {
        let policy = TablePolicy::local(Bsp);
        let tables = vec![(TableSpec::dense("w", 9), policy, Hyper::default())];
        let (server, now) = (ServerId(0), Instant::EPOCH);
        let plan = crate::node::Plan::new(&[server], tables, &[2], &Registry::built_in()).unwrap();
        let mut node = ServerNode::new(plan, server, now, ServerOptions::default()).unwrap();
        let group = GroupId(0);
        for token in 0..10 {
            let from = Peer::Worker(token);
            let say = |message| Input::Message { from, message };
            node.handle(now, say(Message::Join { group, token }));
            let origin = node.workers.get(&token).copied().unwrap();
            if token > 0 {
                node.handle(now, say(Message::Leave { origin, last: Tick(0) }));
            }
        }
        assert_eq!(node.workers.len(), 2, "{:?}", node.workers);
    }
}
