//! The server's state machine.

mod changing;
mod creating;
mod held;
mod keeping;
mod looking;
mod mirroring;
mod retrying;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use held::{Held, placed};
use mirroring::warn_of_conditions;

use super::catalog::Catalog;
use super::groups::{KeptGroup, Letters};
use super::links::Link;
use super::roll::Roll;
use super::standing::Waits;
use super::typed::{Pulled, pull, push};
use super::waiting::{WaitingPush, WaitingRead};
use super::withheld::Withheld;
use crate::error::WaitReason;
use crate::history::{Event, WaitOutcome};
use crate::id::{GroupId, Origin, Sequence, ServerId, SlotIndex, TableId, Tick};
use crate::limits;
use crate::node::plan::Plan;
use crate::node::sabotage::Switch;
use crate::node::shard::{PushOutcome, PushRequest, ShardStats, Work};
use crate::node::{DATA_STREAMS, Input, Output, Peer, Stream};
use crate::time::Instant;
use crate::vector::DType;
use crate::wire::{
    Answer, CatalogRefusal, Message, Payload, Pool, PullResult, Refusal, RowsNamed, TickTable,
};

/// How a server node is built.
#[derive(Clone, Copy, Debug, Default)]
pub struct ServerOptions {
    /// Whether events are put out for a history.
    pub record_history: bool,
    /// Which law is broken on purpose, if any.
    pub switch: Switch,
}

/// One server of a cluster.
#[derive(Debug)]
pub struct ServerNode {
    plan: Plan,
    server: ServerId,
    options: ServerOptions,
    tables: BTreeMap<TableId, Held>,
    /// The groups kept here; empty elsewhere.
    groups: BTreeMap<GroupId, KeptGroup>,
    /// What the keeper knows of the catalog at the others; `None` elsewhere.
    catalog: Option<Catalog>,
    /// Answers of the keeper that wait until a change is known everywhere.
    withheld: Withheld,
    /// Why the last entry of the catalog could not be held here.
    unheld: Option<CatalogRefusal>,
    rolls: BTreeMap<GroupId, Roll>,
    workers: BTreeMap<u64, Origin>,
    /// Peers that take no answers with values for the time being.
    full: BTreeSet<Peer>,
    /// Whether a read that has waited was looked at before a close step, the last time.
    reads_first: bool,
    outputs: VecDeque<Output>,
    /// What the last step is answered with behind its events.
    owed: Option<Output>,
    now: Instant,
    wake_at: Option<Instant>,
    /// Requests that may wait at one table.
    waiting_max: usize,
    /// Memory for the values of answers.
    pool: Pool,
    /// Waits that have ended.
    waits: Waits,
    /// The ways to servers of other data centres.
    links: BTreeMap<ServerId, Link>,
    /// Whether a shard may have something for another data centre: looking for it costs more than
    /// most inputs do.
    abroad_due: bool,
    /// When to look next at waits for other data centres.
    mirrors_looked_at: Option<Instant>,
}

impl ServerNode {
    /// The server of that number in the plan, its rows at their init.
    ///
    /// # Errors
    /// A table's rule wants too many state lanes.
    pub fn new(
        plan: Plan,
        server: ServerId,
        now: Instant,
        options: ServerOptions,
    ) -> crate::error::Result<Self> {
        let (mut tables, mut outputs) = (BTreeMap::new(), VecDeque::new());
        for planned in plan.tables() {
            if options.record_history {
                outputs.extend(placed(planned, server, options.switch).map(Output::Event));
            }
            let held = Held::new(&plan, planned, server, options)?;
            tables.insert(planned.table.id(), held);
        }
        let keeps = plan.keeper() == server;
        let kept = plan.groups().filter(|_| keeps);
        let groups = kept
            .map(|(group, spec)| (group, KeptGroup::new(group, spec.size, plan.servers())))
            .collect();
        let others = plan.servers().iter().copied().filter(|other| *other != server);
        let catalog = keeps.then(|| Catalog::new(others, plan.version()));
        if keeps && plan.abroad().is_some() {
            plan.tables().for_each(warn_of_conditions);
        }
        let (workers, waiting_max) = (BTreeMap::new(), waiting_max(&plan));
        Ok(Self {
            server,
            options,
            tables,
            groups,
            catalog,
            withheld: Withheld::default(),
            unheld: None,
            rolls: BTreeMap::new(),
            workers,
            full: BTreeSet::new(),
            reads_first: false,
            outputs,
            owed: None,
            now,
            wake_at: None,
            plan,
            waiting_max,
            pool: Pool::default(),
            waits: Waits::default(),
            links: BTreeMap::new(),
            abroad_due: false,
            mirrors_looked_at: None,
        })
    }

    /// Takes one input. Time never runs backwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        self.owed = None;
        match input {
            Input::Message { from, message } => self.on_message(from, message),
            Input::PeerUp(Peer::Server(server)) if self.is_abroad(server) => {
                self.on_link_up(server);
            },
            Input::PeerUp(Peer::Server(server)) => {
                let letters = self.groups.values().flat_map(|group| group.remind(server)).collect();
                self.post(letters);
                self.remind_of_entries(server);
            },
            Input::PeerUp(peer @ Peer::Worker(_)) | Input::PeerRoom(peer) => self.on_room(peer),
            Input::PeerFull(peer) => {
                self.full.insert(peer);
            },
            Input::Timer => {},
            Input::PeerDown(peer) => self.on_peer_down(peer),
        }
        self.on_time();
        self.retry_changed();
    }

    /// The next thing to do; serves at most one read that has waited, or does one close step.
    pub fn poll(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front().or_else(|| self.owed.take()) {
            return output;
        }
        // In turn: reads of what is closed go out while the rest closes, and a close of many steps
        // does not look at all that wait after each.
        self.reads_first = !self.reads_first;
        let worked = match self.reads_first {
            true => self.retry_read() || self.close_step(),
            false => self.close_step() || self.retry_read(),
        };
        self.retry_changed();
        let working = worked || self.tables.values().any(|held| held.waiting.has_marked());
        if !working {
            self.give_room();
        }
        self.abroad_due |= worked && !self.links.is_empty();
        // What a history records of the step is no message: nothing may depend on whether one is.
        let silent = self.outputs.iter().all(|output| matches!(output, Output::Event(_)));
        if silent && self.abroad_due {
            self.abroad_due = self.send_abroad();
        }
        let done = if working { Output::Working } else { Output::Idle };
        let Some(output) = self.outputs.pop_front() else { return done };
        self.owed = (silent && !self.abroad_due).then_some(done);
        output
    }

    fn close_step(&mut self) -> bool {
        self.tables.values_mut().any(|held| held.shard.poll() == Work::Working)
    }

    /// Whether it is the keeper.
    pub fn keeps(&self) -> bool {
        self.catalog.is_some()
    }

    /// The plan that the server works by: it grows with what is created.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A digest per slot owned of a table.
    pub fn digests(&mut self, table: TableId) -> Vec<(SlotIndex, u128)> {
        self.tables.get_mut(&table).map(|held| held.shard.digests()).unwrap_or_default()
    }

    /// A digest of the values alone per slot owned of a table.
    pub fn value_digests(&mut self, table: TableId) -> Vec<(SlotIndex, u128)> {
        self.tables.get_mut(&table).map(|held| held.shard.value_digests()).unwrap_or_default()
    }

    /// Counters of a table's shard.
    pub fn stats(&self, table: TableId) -> Option<ShardStats> {
        Some(self.tables.get(&table)?.shard.stats())
    }

    /// Requests that wait here, for every table.
    pub fn waiting(&self) -> usize {
        self.tables.values().map(|held| held.waiting.len()).sum()
    }

    fn on_message(&mut self, from: Peer, message: Message) {
        if !self.may_say(from, &message) {
            return tracing::debug!(%from, "a server ignores what is not the sender's to say");
        }
        match message {
            Message::Join { group, token } => self.on_join(group, token),
            Message::Attach { origin, table, spec_hash } => {
                self.on_attach(from, origin, table, spec_hash);
            },
            Message::Push { table, header, slot, previous, rows, values } => {
                self.heard(header.origin);
                let request = PushRequest { header, slot, previous };
                self.on_push(from, table, &request, &rows, &values);
            },
            Message::Pull { table, header, slot, own, rows } => {
                self.heard(header.origin);
                let rows = Some(rows);
                self.on_read(table, WaitingRead { from, header, slot, own, rows, told: None });
            },
            Message::Await { table, header, slot } => {
                let (own, rows) = (None, None);
                self.on_read(table, WaitingRead { from, header, slot, own, rows, told: None });
            },
            Message::Ticked { origin, tick, tables, settled_below } => {
                self.settle(origin, settled_below);
                self.on_ticked(from, origin, tick, &tables);
            },
            Message::Leave { origin, last } => self.on_leave(from, origin, last),
            Message::Heartbeat { origin } => self.heard(origin),
            Message::EnsureTable { request, described } => {
                self.on_ensure_table(from, request, *described);
            },
            Message::EnsureGroup { request, spec } => self.on_ensure_group(from, request, spec),
            Message::ListTables { request, from: first } => {
                self.on_list_tables(from, request, first);
            },
            Message::ChangeTable { request, name, change } => {
                self.on_change_table(from, request, &name, &change);
            },
            Message::DropTable { request, name } => self.on_drop_table(from, request, &name),
            Message::CatalogEntry { version, entry } => {
                self.on_catalog_entry(from, version, &entry);
            },
            Message::CatalogHeld { version, server, result } => {
                self.on_catalog_held(server, version, result);
            },
            Message::Record(record) => self.on_record(from, &record),
            Message::RecordHeld { group, version, server, closed } => {
                self.on_record_held(group, version, server, closed);
            },
            Message::Fence { origin } => self.on_fence(from, origin),
            Message::Fenced { origin, server, last } => self.on_fenced(origin, server, &last),
            Message::Mirror { table, of, message } => self.on_mirror(from, (table, of), message),
            // Answers are for workers; a server that gets one was confused with another process.
            Message::Joined { .. }
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
            | Message::Tables { .. } => tracing::debug!(%from, "a server ignores an answer"),
        }
    }

    fn on_push(
        &mut self,
        from: Peer,
        table: TableId,
        request: &PushRequest,
        rows: &RowsNamed,
        values: &Payload,
    ) {
        let header = request.header;
        let sequence = header.sequence;
        let Some(held) = self.tables.get_mut(&table) else {
            let answer = Answer::Refused(self.missing(table));
            return self.answer_push(from, table, request, answer);
        };
        let outcome = match values.dtype {
            DType::F32 => push::<f32>(&mut *held.shard, self.now, request, rows, values),
            DType::F64 => push::<f64>(&mut *held.shard, self.now, request, rows, values),
            DType::I64 => push::<i64>(&mut *held.shard, self.now, request, rows, values),
        };
        match outcome {
            PushOutcome::Answered(answer) => {
                let waited = held.waiting.answered(&header, request.slot);
                let resumed = held.after_push(request);
                if let Some(push) = waited {
                    let place = (header.origin, table, sequence);
                    self.ended_push(WaitOutcome::Served, place, &push);
                }
                self.answer_push(from, table, request, answer);
                self.resume(table, resumed);
            },
            PushOutcome::Wait(_) if !held.waiting.has_room(self.waiting_max) => {
                self.answer_push(from, table, request, Answer::Refused(Refusal::Limit));
            },
            PushOutcome::Wait(reason) => {
                let keys = if let RowsNamed::Keys(keys) = rows { size_of_val(&**keys) } else { 0 };
                let (tick, bytes) = (header.tick, keys + values.bytes.len());
                let push = WaitingPush { from, tick, bytes, reason };
                held.waiting.hold_push(&header, request.slot, push);
                self.began(&header, table, request.slot, reason);
                self.send(from, Message::Deferred { table, sequence, reason });
            },
        }
    }

    fn answer_push(&mut self, to: Peer, table: TableId, request: &PushRequest, answer: Answer) {
        let sequence = request.header.sequence;
        if self.options.record_history && matches!(answer, Answer::Refused(_)) {
            let origin = request.header.origin;
            self.outputs.push_back(Output::Event(Event::Refused { origin, table, sequence }));
        }
        let stream = stream_of(request.slot);
        let message = Message::PushAnswer { table, sequence, answer };
        self.outputs.push_back(Output::Send { to, stream, message });
    }

    /// Serves a read, refuses it, or keeps it and tells the worker what it waits for.
    fn on_read(&mut self, table: TableId, mut read: WaitingRead) {
        let sequence = read.header.sequence;
        let Some(planned) = self.plan.table(table) else {
            let refusal = self.missing(table);
            return self.answer_read(table, &read, Err(refusal));
        };
        let Some(held) = self.tables.get_mut(&table) else {
            return;
        };
        let width = planned.table.spec().width as usize;
        let outcome = match planned.table.spec().dtype {
            DType::F32 => pull::<f32>(&mut *held.shard, self.now, &read, width, &self.pool),
            DType::F64 => pull::<f64>(&mut *held.shard, self.now, &read, width, &self.pool),
            DType::I64 => pull::<i64>(&mut *held.shard, self.now, &read, width, &self.pool),
        };
        match outcome {
            Pulled::Served(result) => {
                self.ended(&read, table, WaitOutcome::Served);
                self.answer_read(table, &read, Ok(result));
            },
            Pulled::Refused(refusal) => {
                self.ended(&read, table, WaitOutcome::Refused);
                self.answer_read(table, &read, Err(refusal));
            },
            Pulled::Settled => self.ended(&read, table, WaitOutcome::Refused),
            Pulled::Wait(_) if !held.waiting.has_room(self.waiting_max) => {
                self.ended(&read, table, WaitOutcome::Refused);
                self.answer_read(table, &read, Err(Refusal::Limit));
            },
            Pulled::Wait(reason) => {
                let reason =
                    WaitReason { since: read.told.map_or(self.now, |t| t.since), ..reason };
                if read.told.is_none() {
                    self.began(&read.header, table, read.slot, reason);
                }
                // Who is slowest may change with every tick; what is waited for seldom does.
                // Telling only the latter keeps messages flat in the number of workers.
                let tell = read.told.is_none_or(|told| told.what != reason.what);
                read.told = Some(reason);
                if tell {
                    self.send(read.from, Message::Deferred { table, sequence, reason });
                }
                if let Some(held) = self.tables.get_mut(&table) {
                    held.waiting.hold_read(read);
                }
            },
        }
    }

    fn answer_read(
        &mut self,
        table: TableId,
        read: &WaitingRead,
        result: Result<PullResult, Refusal>,
    ) {
        let sequence = read.header.sequence;
        let message = Message::PullAnswer { table, sequence, result };
        let stream = stream_of(read.slot);
        self.outputs.push_back(Output::Send { to: read.from, stream, message });
    }

    fn settle(&mut self, origin: Origin, settled_below: Sequence) {
        for held in self.tables.values_mut() {
            held.shard.settle(origin, settled_below);
        }
    }

    fn on_ticked(&mut self, from: Peer, origin: Origin, tick: Tick, tables: &[TickTable]) {
        let result = self.ticked(origin, tick, tables);
        self.post(vec![(from, Message::TickAnswer { tick, result })]);
    }

    fn ticked(&mut self, origin: Origin, tick: Tick, tables: &[TickTable]) -> Result<(), Refusal> {
        self.heard(origin);
        // Without any table there is no shard that could tell.
        let roll = self.rolls.get(&origin.group);
        let unbelieved =
            self.tables.is_empty() && !roll.is_some_and(|it| it.believes(origin, tick));
        let mut answer = if unbelieved { Err(Refusal::UnknownWorker) } else { Ok(()) };
        for (id, held) in &mut self.tables {
            let named = tables.iter().find(|table| table.table == *id);
            let weight = named.and_then(|table| table.weight);
            let touched = named.map_or(&[][..], |table| &table.touched);
            let owned = |(slot, _): &&(SlotIndex, Sequence)| held.slots.binary_search(slot).is_ok();
            let touched: Vec<_> = touched.iter().filter(owned).copied().collect();
            // Every table hears of the tick, also when one refuses it.
            answer = answer.and(held.shard.ticked(self.now, origin, tick, weight, &touched));
        }
        // Joiners and new shards start behind this tick, so it has to be one that shards believe.
        if answer.is_ok() {
            if let Some(kept) = self.groups.get_mut(&origin.group) {
                kept.keeper.ticked(self.now, origin, tick);
            }
            if let Some(roll) = self.rolls.get_mut(&origin.group) {
                roll.ticked(origin, tick);
            }
        }
        answer
    }

    fn post(&mut self, letters: Letters) {
        for (to, message) in letters {
            if self.is_early(to, &message) {
                self.withhold(to, message);
                continue;
            }
            if let (Peer::Worker(token), Message::Joined { result: Ok(grant), .. }) = (to, &message)
            {
                self.seat(token, grant.origin);
            }
            if to == Peer::Server(self.server) {
                self.on_message(to, message);
            } else {
                self.send(to, message);
            }
        }
    }

    fn send(&mut self, to: Peer, message: Message) {
        if to == Peer::Server(self.server) {
            return self.on_message(to, message);
        }
        self.outputs.push_back(Output::Send { to, stream: Stream::Control, message });
    }
}

/// What the members of all groups may have unanswered at one table.
fn waiting_max(plan: &Plan) -> usize {
    let members: usize = plan.groups().map(|(_, group)| group.size as usize).sum();
    members * limits::INFLIGHT_MAX
}

fn stream_of(slot: SlotIndex) -> Stream {
    Stream::Data(slot.0 % DATA_STREAMS)
}
