//! Who waits: tried or asked for again when what it waits for may have come, and told to histories.

use super::super::standing::lasted;
use super::super::waiting::{Resumed, WaitingPush, WaitingRead};
use super::{Held, ServerNode};
use crate::error::WaitReason;
use crate::history::{Event, WaitOutcome};
use crate::id::{Origin, Sequence, SlotIndex, TableId};
use crate::node::shard::{PushRequest, Room};
use crate::node::{Output, Peer};
use crate::wire::{Header, Message};

impl ServerNode {
    /// Looks again at what waits at shards that have changed, and collects their events. Reads are
    /// only marked: each costs a copy of its rows, so that it is a step of its own.
    pub(super) fn retry_changed(&mut self) {
        let ids: Vec<_> = self.tables.keys().copied().collect();
        for table in ids {
            let Some(held) = self.tables.get_mut(&table) else {
                continue;
            };
            self.outputs.extend(held.shard.take_events().into_iter().map(Output::Event));
            let changes = held.shard.take_changes();
            held.shrunk |= changes.shrunk;
            if !changes.any {
                continue;
            }
            let mut resumed = held.next_in_order();
            resumed.extend(held.begun());
            held.waiting.mark_reads();
            self.resume(table, resumed);
        }
    }

    /// Tries one marked read again; whether there was one.
    pub(super) fn retry_read(&mut self) -> bool {
        let full = &self.full;
        let mut marked = self.tables.iter_mut();
        let found = marked.find_map(|(id, held)| Some((*id, held.waiting.take_marked(full)?)));
        let Some((table, read)) = found else {
            return false;
        };
        self.on_read(table, read);
        true
    }

    /// A peer takes answers with values again.
    pub(super) fn on_room(&mut self, peer: Peer) {
        if self.full.remove(&peer) {
            self.tables.values_mut().for_each(|held| held.waiting.mark_reads());
        }
    }

    /// Gives away the room that close steps have left, once all are done: room is given once.
    pub(super) fn give_room(&mut self) {
        let ids: Vec<_> = self.tables.keys().copied().collect();
        for table in ids {
            let Some(held) = self.tables.get_mut(&table) else {
                continue;
            };
            if std::mem::take(&mut held.shrunk) && held.waiting.has_pushes() {
                let resumed = held.waiting.take_fitting(held.shard.room().bytes);
                self.resume(table, resumed);
            }
        }
    }

    /// Asks for deferred pushes again.
    pub(super) fn resume(&mut self, table: TableId, pushes: Vec<Resumed>) {
        for (origin, sequence, push) in pushes {
            self.ended_push(WaitOutcome::Served, (origin, table, sequence), &push);
            self.send(push.from, Message::Resume { table, sequence });
        }
    }

    pub(super) fn began(
        &mut self,
        header: &Header,
        table: TableId,
        slot: SlotIndex,
        reason: WaitReason,
    ) {
        if self.options.record_history {
            let event = Event::WaitBegan {
                origin: header.origin,
                table,
                slot,
                sequence: header.sequence,
                at_tick: header.tick,
                reason,
            };
            self.outputs.push_back(Output::Event(event));
        }
    }

    pub(super) fn ended(&mut self, read: &WaitingRead, table: TableId, outcome: WaitOutcome) {
        if let Some(told) = &read.told {
            self.waits.ended(told.what, lasted(self.now, told));
        }
        if self.options.record_history && read.told.is_some() {
            let Header { origin, sequence, .. } = read.header;
            let event = Event::WaitEnded { origin, table, sequence, outcome };
            self.outputs.push_back(Output::Event(event));
        }
    }

    pub(super) fn ended_push(
        &mut self,
        outcome: WaitOutcome,
        (origin, table, sequence): (Origin, TableId, Sequence),
        push: &WaitingPush,
    ) {
        self.waits.ended(push.reason.what, lasted(self.now, &push.reason));
        if self.options.record_history {
            let event = Event::WaitEnded { origin, table, sequence, outcome };
            self.outputs.push_back(Output::Event(event));
        }
    }
}

impl Held {
    /// The deferred pushes that may follow one that was executed.
    pub(super) fn after_push(&mut self, request: &PushRequest) -> Vec<Resumed> {
        let Header { origin, tick, .. } = request.header;
        if !self.waiting.has_chain(origin, request.slot) {
            return Vec::new();
        }
        let Room { bytes, next } = self.shard.room();
        let bytes = if next == Some((origin, tick)) { usize::MAX } else { bytes };
        self.waiting.take_followers(origin, request.slot, bytes)
    }

    /// The deferred pushes whose policy has begun.
    fn begun(&mut self) -> Vec<Resumed> {
        let shard = &self.shard;
        self.waiting.take_begun(|origin, tick| shard.held_back(origin.group, tick))
    }

    /// The deferred pushes of the worker that is next in fold order.
    fn next_in_order(&mut self) -> Vec<Resumed> {
        let next = self.waiting.has_pushes().then(|| self.shard.room().next);
        let next = next.flatten().map(|(origin, open)| self.waiting.take_next(origin, open));
        next.unwrap_or_default()
    }
}
