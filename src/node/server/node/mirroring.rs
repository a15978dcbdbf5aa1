//! A server's part in mirroring: what it sends to servers of other data centres, and what it hears.

use std::ops::Bound;

use super::held::Held;
use super::{ServerNode, stream_of};
use crate::consistency::LinkView;
use crate::id::{DataCentre, ServerId, TableId};
use crate::limits;
use crate::node::plan::Planned;
use crate::node::shard::{MirrorStanding, MirrorStats};
use crate::node::{Output, Peer, Stream};
use crate::time::Instant;
use crate::wire::{Message, MirrorMessage};

/// Says which conditions of a theorem a table's terms do not keep.
pub(super) fn warn_of_conditions(planned: &Planned) {
    let (table, terms) = (planned.table.name(), planned.table.last_terms());
    for condition in planned.code.global.conditions_broken(&terms.hyper.rate) {
        tracing::warn!(table, condition, "convergence is not proved: a condition does not hold");
    }
}

impl ServerNode {
    /// What has crossed to and from other data centres, of a table that is mirrored.
    pub fn mirror_stats(&self, table: TableId) -> Option<MirrorStats> {
        self.tables.get(&table)?.shard.mirror_stats()
    }

    /// How a table's shard stands to other data centres, when it is mirrored.
    pub fn mirror_standing(&self, table: TableId) -> Option<MirrorStanding> {
        self.tables.get(&table)?.shard.mirror_standing()
    }

    /// The way to a server of another data centre, as far as a mirrored table has measured it, and
    /// how much of that table waits for it.
    pub fn mirror_view(&self, table: TableId, to: ServerId) -> Option<LinkView> {
        self.tables.get(&table)?.shard.mirror_view(to)
    }

    /// Whether a server of another data centre may be another process than before: neither has told
    /// the other anything yet.
    pub fn mirror_is_new(&self, server: ServerId) -> bool {
        self.tables.values().all(|held| held.shard.mirror_is_new(server))
    }

    /// Whether all mirrored tables have been told, heard and confirmed to the end.
    pub fn is_equal(&self) -> bool {
        let mut standings = self.tables.values().filter_map(|it| it.shard.mirror_standing());
        standings.all(|standing| standing.equal)
    }

    /// The servers of other data centres that this one speaks to.
    pub(super) fn is_abroad(&self, server: ServerId) -> bool {
        let abroad = self.plan.abroad();
        abroad.is_some_and(|it| it.data_centres.of(server).is_some_and(|of| of != it.here))
    }

    pub(super) fn on_link_up(&mut self, server: ServerId) {
        self.abroad_due = true;
        self.links.entry(server).or_default().connected();
        for held in self.tables.values_mut() {
            held.shard.mirror_connect(self.now, server);
        }
    }

    pub(super) fn on_mirror(
        &mut self,
        from: Peer,
        (table, of): (TableId, DataCentre),
        message: MirrorMessage,
    ) {
        let Peer::Server(server) = from else { return };
        self.abroad_due = true;
        let link = self.links.entry(server).or_default();
        let Some(held) = self.tables.get_mut(&table) else {
            if link.refuses() {
                tracing::warn!(%server, %table, "a mirror speaks of a table that is not here");
            }
            return;
        };
        match held.shard.mirror_heard(self.now, (server, of), message) {
            Err(refusal) if link.refuses() => {
                tracing::error!(%from, %table, ?refusal, "what a mirror says is not taken");
            },
            Err(_) => {},
            Ok(told) if told.bytes > 0 => {
                let left = self.tables.values().map(|held| held.shard.mirror_sent(server)).sum();
                link.confirmed(self.now, told, left);
                self.tell_measured(server);
            },
            Ok(_) => {},
        }
    }

    /// Tells every shard what was measured of the way to a server, and what others have queued.
    fn tell_measured(&mut self, server: ServerId) {
        let Some(link) = self.links.get(&server) else { return };
        let queued = |held: &Held| held.shard.mirror_view(server).map_or(0, |it| it.queued_bytes);
        let all: u64 = self.tables.values().map(queued).sum();
        for held in self.tables.values_mut() {
            let queued_bytes = all - queued(held);
            held.shard.mirror_link(server, LinkView { queued_bytes, ..link.view() });
        }
    }

    /// Sends the next thing that some shard has for another data centre; whether there was one.
    /// Tables take turns: one whose updates never end leaves room for those of others.
    pub(super) fn send_abroad(&mut self) -> bool {
        for (server, link) in self.links.iter_mut().filter(|(_, link)| link.up) {
            let sent: usize = self.tables.values().map(|it| it.shard.mirror_sent(*server)).sum();
            let room = sent < link.window_bytes();
            let next = |(table, held): (&TableId, &mut Held)| {
                Some((*table, held.shard.mirror_next(self.now, *server, room)?))
            };
            let after = (Bound::Excluded(link.last_table), Bound::Unbounded);
            let found = self.tables.range_mut(after).find_map(next);
            let found = found.or_else(|| self.tables.range_mut(..=link.last_table).find_map(next));
            let Some((table, letter)) = found else { continue };
            link.last_table = table;
            let stream = letter.data.map_or(Stream::Control, stream_of);
            let message = Message::Mirror { table, of: letter.of, message: letter.message };
            let to = Peer::Server(*server);
            self.outputs.push_back(Output::Send { to, stream, message });
            return true;
        }
        false
    }

    /// Ends waits for other data centres that have lasted too long; when to look again.
    pub(super) fn mirror_time(&mut self) -> Option<Instant> {
        // Also when none of them was ever reached.
        self.plan.abroad()?;
        if self.mirrors_looked_at.is_some_and(|at| self.now < at) {
            return self.mirrors_looked_at;
        }
        self.abroad_due = true;
        let shards = self.tables.values_mut();
        let next = shards.filter_map(|held| held.shard.mirror_time(self.now)).min();
        // Barriers that come in between may end earlier.
        let latest = self.now.after(limits::MIRROR_LOOK_INTERVAL);
        self.mirrors_looked_at = next.map(|at| at.max(self.now).min(latest));
        self.mirrors_looked_at
    }
}
