//! The worker's state machine: requests under way, ticks under way, what is sent again.
//!
//! Sans-IO: see the loop in [`node`](crate::node). [`Session`](super::Session) and
//! [`RemoteWorker`](super::RemoteWorker) are its faces; their futures wait here by waker.
//!
//! Invariants: I1 everything unanswered is kept and sent again when a connection comes back, in
//! order; nothing is sent again while it is up; I2 at most `inflight_max` sequences are between
//! the lowest unanswered one and the next; I3 a tick is sent only when all pulls before it are
//! answered, and names the last push to every slot touched (laws 2 and 9).

mod answers;
mod asking;
mod waits;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::task::Waker;

use super::{Line, Stamp};
use crate::error::{Error, FrameError, GroupError, WaitReason};
use crate::history::Event;
use crate::id::{GroupId, Origin, Sequence, ServerId, SlotIndex, TableId, Tick};
use crate::limits;
use crate::node::plan::Plan;
use crate::node::{DATA_STREAMS, Input, Output, Peer, Stream};
use crate::spec::Table;
use crate::time::{Duration, Instant};
use crate::wire::{
    Header, JoinGrant, Message, Payload, Pool, PullResult, PullRows, Refusal, RowsNamed, TickTable,
};
use asking::Ask;
pub(super) use asking::Told;
pub use waits::Waited;
use waits::Waits;

/// How a worker node is built.
#[derive(Clone, Copy, Debug)]
pub struct WorkerOptions {
    /// Whether events are put out for a history.
    pub record_history: bool,
    /// How long a wait lasts at most.
    pub wait_max: Duration,
    /// Whether it may join a group. Default: yes.
    pub joins: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { record_history: false, wait_max: limits::WAIT_MAX, joins: true }
    }
}

/// One worker process of a cluster.
#[derive(Debug)]
pub struct WorkerNode {
    plan: Plan,
    /// The group that a place was asked of.
    group: Option<GroupId>,
    token: u64,
    options: WorkerOptions,
    now: Instant,
    /// What was asked of the catalog, by number.
    asks: BTreeMap<u64, Ask>,
    next_request: u64,
    joined: Option<Result<JoinGrant, Error>>,
    line: Line,
    requests: BTreeMap<Sequence, Request>,
    /// Bytes of values of all requests.
    inflight_bytes: usize,
    ticks: BTreeMap<Tick, BTreeMap<ServerId, Message>>,
    attached: BTreeMap<TableId, Option<Result<(), Refusal>>>,
    /// The last push to each table that was admitted, and not applied at once.
    admitted: BTreeMap<TableId, Sequence>,
    /// The server that has to confirm a change before the keeper answers.
    withheld: Option<ServerId>,
    leave: Option<(Tick, Option<Result<(), Refusal>>)>,
    closed: bool,
    /// Why nothing of this worker can go on.
    failure: Option<Error>,
    up: BTreeSet<ServerId>,
    /// Servers whose connection is gone, and since when.
    down: BTreeMap<ServerId, Instant>,
    waits: Waits,
    outputs: VecDeque<Output>,
    wakers: Vec<Waker>,
    /// Wakers of futures that may go on, for the driver to call.
    woken: Vec<Waker>,
    /// The sequence after the last of each tick that a server may not have counted.
    tick_ends: VecDeque<Sequence>,
    /// The earliest deadline of a wait; when it comes, everybody looks and asks anew.
    timer: Option<Instant>,
    wake_at: Option<Instant>,
    keeper_heard: Instant,
    pool: Pool,
}

#[derive(Debug)]
struct Request {
    to: ServerId,
    stream: Stream,
    message: Message,
    /// Of the values that it carries or asks for.
    bytes: usize,
    state: State,
    /// Whether its server has said that it has to wait.
    waited: bool,
}

#[derive(Debug)]
enum State {
    /// Sent, or waiting for the connection.
    UnderWay,
    /// The server told what it waits for.
    Deferred(WaitReason),
    /// A pull's answer that its future has not taken yet.
    Answered(Result<PullResult, Refusal>),
    /// A pull whose future is gone.
    Abandoned,
}

impl WorkerNode {
    /// A process that belongs to no group yet. Its plan may hold the servers alone. `token` names
    /// the process to all servers.
    pub fn new(plan: Plan, token: u64, now: Instant, options: WorkerOptions) -> Self {
        Self {
            plan,
            group: None,
            token,
            options,
            now,
            asks: BTreeMap::new(),
            next_request: 0,
            joined: None,
            line: Line::new(Origin::default(), Tick::FIRST),
            requests: BTreeMap::new(),
            inflight_bytes: 0,
            pool: Pool::default(),
            ticks: BTreeMap::new(),
            attached: BTreeMap::new(),
            admitted: BTreeMap::new(),
            withheld: None,
            leave: None,
            closed: false,
            failure: None,
            up: BTreeSet::new(),
            down: BTreeMap::new(),
            waits: Waits::default(),
            outputs: VecDeque::new(),
            wakers: Vec::new(),
            woken: Vec::new(),
            tick_ends: VecDeque::new(),
            timer: None,
            wake_at: None,
            keeper_heard: now,
        }
    }

    /// Takes one input. Time never runs backwards.
    pub fn handle(&mut self, now: Instant, input: Input) {
        self.now = self.now.max(now);
        match input {
            Input::Message { from: Peer::Server(from), message } => self.on_message(from, message),
            Input::PeerUp(Peer::Server(server)) => self.on_peer_up(server),
            Input::PeerDown(Peer::Server(server)) => {
                self.up.remove(&server);
                self.down.entry(server).or_insert(self.now);
                // Waits for it end earlier than others.
                self.wake_all();
            },
            // Workers have no business with each other, and their requests are bounded by bytes.
            Input::Message { .. }
            | Input::PeerUp(_)
            | Input::PeerDown(_)
            | Input::PeerFull(_)
            | Input::PeerRoom(_)
            | Input::Timer => {},
        }
        self.on_time();
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Output {
        self.ask_to_wake();
        self.outputs.pop_front().unwrap_or(Output::Idle)
    }

    /// The wakers to call after an input, or after a future has left room to others, without a
    /// lock on the node: a waker may poll at once.
    #[must_use]
    pub fn take_woken(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.woken)
    }

    /// Whether the worker has finished or was dropped: its connections may be closed.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether the worker has left its group in good order, or never asked for a place.
    pub fn has_left(&self) -> bool {
        self.group.is_none() || matches!(self.leave, Some((_, Some(Ok(())))))
    }

    /// Requests and ticks without an answer, for a driver's report.
    pub fn unanswered(&self) -> usize {
        self.requests.len() + self.ticks.len()
    }

    /// Ends all that this worker waits for, now and later, with this error.
    pub fn fail(&mut self, error: Error) {
        self.failure.get_or_insert(error);
        self.wake_all();
    }

    /// Whether it has handles of tables.
    pub fn holds_tables(&self) -> bool {
        self.plan.tables().next().is_some()
    }

    /// Ends the worker's life, as if it had been dropped.
    pub fn close(&mut self) {
        self.closed = true;
    }

    pub(super) fn now(&self) -> Instant {
        self.now
    }

    /// Notes the time between two inputs, if it is known, so that waits begin when they begin.
    pub(super) fn see(&mut self, now: Option<Instant>) {
        self.now = now.map_or(self.now, |now| self.now.max(now));
    }

    pub(super) fn wait_max(&self) -> Duration {
        self.options.wait_max
    }

    pub(super) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(super) fn line(&mut self) -> &mut Line {
        &mut self.line
    }

    /// Asks for a place, once; the answer, once it is there.
    pub(super) fn join(&mut self, group: GroupId) -> Option<Result<JoinGrant, Error>> {
        if !self.options.joins {
            return Some(Err(GroupError::NotWorker.into()));
        }
        if self.group.is_none() {
            self.group = Some(group);
            let message = Message::Join { group, token: self.token };
            self.send_control(self.plan.keeper(), message);
        }
        self.joined.clone()
    }

    /// Whether the table may be pushed to; asks the keeper when it was never asked.
    pub(super) fn attach(&mut self, table: TableId) -> Option<Result<(), Refusal>> {
        if let Some(answer) = self.attached.get(&table) {
            return *answer;
        }
        self.attached.insert(table, None);
        if let Some((to, message)) = self.attach_message(table) {
            self.send_control(to, message);
        }
        None
    }

    /// Whether another request for so many bytes of values may begin.
    pub(super) fn has_room(&self, bytes: usize) -> bool {
        let fits = self.inflight_bytes + bytes <= limits::INFLIGHT_BYTES_MAX;
        let few = self.requests.len() < limits::INFLIGHT_MAX && self.line.has_room();
        few && (fits || self.requests.is_empty())
    }

    /// Memory for values.
    pub(super) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Begins a push of one chunk.
    pub(super) fn begin_push(
        &mut self,
        table: &Table,
        slot: SlotIndex,
        weight: f64,
        rows: RowsNamed,
        values: Payload,
    ) -> Result<Header, Error> {
        let to = self.plan.owner(table.id(), slot).ok_or(FrameError::NotOwned { slot })?;
        let (header, previous) = self.line.begin_push(table, slot, weight)?;
        let table = table.id();
        if self.options.record_history {
            let (origin, tick, sequence) = (header.origin, header.tick, header.sequence);
            let event = Event::Pushed { origin, table, slot, sequence, previous, tick };
            self.outputs.push_back(Output::Event(event));
        }
        let bytes = values.bytes.len();
        let message = Message::Push { table, header, slot, previous, rows, values };
        self.begin(to, slot, header.sequence, message, bytes);
        Ok(header)
    }

    /// Begins a pull of one chunk, of so many bytes of values, or a wait at a slot.
    pub(super) fn begin_pull(
        &mut self,
        table: TableId,
        slot: SlotIndex,
        rows: Option<(PullRows, usize)>,
    ) -> Option<Sequence> {
        let to = self.plan.owner(table, slot)?;
        let (header, own) = self.line.begin_pull(table, slot);
        let (message, bytes) = match rows {
            Some((rows, bytes)) => (Message::Pull { table, header, slot, own, rows }, bytes),
            None => (Message::Await { table, header, slot }, 0),
        };
        self.begin(to, slot, header.sequence, message, bytes);
        Some(header.sequence)
    }

    /// Takes a pull's answer, if it is there.
    pub(super) fn take_answer(
        &mut self,
        sequence: Sequence,
    ) -> Option<Result<PullResult, Refusal>> {
        if !matches!(self.requests.get(&sequence)?.state, State::Answered(_)) {
            return None;
        }
        match self.leave_room(sequence)?.state {
            State::Answered(answer) => Some(answer),
            State::UnderWay | State::Deferred(_) | State::Abandoned => None,
        }
    }

    /// The future that began a pull is gone.
    pub(super) fn abandon(&mut self, sequence: Sequence) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        if matches!(request.state, State::Answered(_)) {
            self.leave_room(sequence);
        } else {
            request.state = State::Abandoned;
        }
    }

    /// Whether all pushes with sequences up to `last` are answered.
    pub(super) fn pushed_through(&self, last: Sequence) -> bool {
        let mut earlier = self.requests.range(..=last);
        !earlier.any(|(_, request)| matches!(request.message, Message::Push { .. }))
    }

    /// Whether the round of a push that is answered has to close before it is applied.
    pub(super) fn is_gathered(&self, stamp: &Stamp) -> bool {
        self.admitted.get(&stamp.table).is_some_and(|last| *last >= stamp.first)
    }

    /// Whether a tick may be sent: no pull is unanswered, and not too many ticks are uncounted. A
    /// tick counts when its data has arrived, so it is under way until its pushes are answered.
    pub(super) fn may_tick(&mut self) -> bool {
        let settled_below = self.line.settled_below();
        while self.tick_ends.front().is_some_and(|end| *end <= settled_below) {
            self.tick_ends.pop_front();
        }
        let most = limits::TICKS_PENDING_MAX;
        let room = self.ticks.len() < most && self.tick_ends.len() < most;
        room && !self.requests.values().any(is_open_pull)
    }

    /// Ends the tick: one message per server.
    pub(super) fn tick(&mut self) -> Tick {
        let (ended, tables) = self.line.end_tick();
        let (origin, settled_below) = (self.line.origin(), self.line.settled_below());
        if self.options.record_history {
            let of_table = |table: &TickTable| {
                let id = table.table;
                table.touched.clone().into_iter().map(move |(slot, last)| (id, slot, last))
            };
            let touched = tables.iter().flat_map(of_table).collect();
            let event = Event::TickSent { origin, tick: ended, touched };
            self.outputs.push_back(Output::Event(event));
        }
        let mut unanswered = BTreeMap::new();
        for server in self.plan.servers().to_vec() {
            let tables = self.tables_at(server, &tables);
            let message = Message::Ticked { origin, tick: ended, settled_below, tables };
            self.send_control(server, message.clone());
            unanswered.insert(server, message);
        }
        self.ticks.insert(ended, unanswered);
        self.tick_ends.push_back(self.line.next_sequence());
        ended.next()
    }

    /// Whether nothing is under way.
    pub(super) fn is_settled(&self) -> bool {
        self.requests.is_empty() && self.ticks.is_empty()
    }

    /// Leaves the group; the answer, once it is there.
    pub(super) fn leave(&mut self) -> Option<Result<(), Refusal>> {
        if let Some((_, answer)) = &self.leave {
            return *answer;
        }
        let last = self.line.tick().back(1);
        self.leave = Some((last, None));
        let origin = self.line.origin();
        self.send_control(self.plan.keeper(), Message::Leave { origin, last });
        None
    }

    fn begin(
        &mut self,
        to: ServerId,
        slot: SlotIndex,
        sequence: Sequence,
        message: Message,
        bytes: usize,
    ) {
        let (stream, state) = (Stream::Data(slot.0 % DATA_STREAMS), State::UnderWay);
        let waited = false;
        let request = Request { to, stream, message: message.clone(), bytes, state, waited };
        self.inflight_bytes += bytes;
        self.requests.insert(sequence, request);
        self.send(to, stream, message);
    }

    fn end_request(&mut self, sequence: Sequence) -> Option<Request> {
        let ended = self.requests.remove(&sequence)?;
        self.inflight_bytes -= ended.bytes;
        if ended.waited {
            self.waits.ended(self.now);
        }
        Some(ended)
    }

    /// Ends a request without an input: who waits for room has to hear of it too.
    fn leave_room(&mut self, sequence: Sequence) -> Option<Request> {
        let was_full = !self.has_room(limits::FRAME_BYTES_MAX);
        let ended = self.end_request(sequence);
        if was_full {
            self.wake_all();
        }
        ended
    }

    fn send_control(&mut self, to: ServerId, message: Message) {
        self.send(to, Stream::Control, message);
    }

    /// Sends when the connection is up; otherwise `on_peer_up` will.
    fn send(&mut self, to: ServerId, stream: Stream, message: Message) {
        if !self.up.contains(&to) {
            return;
        }
        if to == self.plan.keeper() {
            self.keeper_heard = self.now;
        }
        self.outputs.push_back(Output::Send { to: Peer::Server(to), stream, message });
    }

    fn attach_message(&self, table: TableId) -> Option<(ServerId, Message)> {
        let planned = self.plan.table(table)?;
        let (origin, spec_hash) = (self.line.origin(), planned.table.spec().hash());
        Some((self.plan.keeper(), Message::Attach { origin, table, spec_hash }))
    }

    /// The part of a tick that a server has to know.
    fn tables_at(&self, server: ServerId, tables: &[TickTable]) -> Vec<TickTable> {
        let here = |table: &TickTable| {
            let owned = |(slot, _): &&(SlotIndex, Sequence)| {
                self.plan.owner(table.table, *slot) == Some(server)
            };
            let touched = table.touched.iter().filter(owned).copied().collect();
            TickTable { touched, ..table.clone() }
        };
        tables.iter().map(here).collect()
    }

    fn table_name(&self, table: TableId) -> String {
        let planned = self.plan.table(table);
        planned.map_or_else(|| table.to_string(), |planned| planned.table.name().into())
    }

    fn wake_all(&mut self) {
        self.woken.append(&mut self.wakers);
    }
}

fn is_open_pull(request: &Request) -> bool {
    !matches!(request.message, Message::Push { .. }) && !matches!(request.state, State::Answered(_))
}

/// The error of using a worker that has finished.
pub(super) fn finished(worker: Origin) -> Error {
    GroupError::Finished { worker }.into()
}
