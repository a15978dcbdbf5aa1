//! What a worker node does with answers, and with a connection that is up again.

use super::{State, Told, WorkerNode};
use crate::history::Event;
use crate::id::{Origin, Sequence, ServerId, TableId, Tick};
use crate::node::worker::Line;
use crate::node::{Output, Stream};
use crate::wire::{Answer, JoinGrant, Message, PullResult, Refusal};

impl WorkerNode {
    pub(super) fn on_message(&mut self, from: ServerId, message: Message) {
        match message {
            Message::Joined { token, result } if token == self.token => self.on_joined(result),
            Message::Attached { table, result } => {
                self.attached.insert(table, Some(result));
            },
            Message::PushAnswer { table, sequence, answer } => {
                self.on_push_answer(table, sequence, answer);
            },
            Message::PullAnswer { sequence, result, .. } => self.on_pull_answer(sequence, result),
            Message::Deferred { sequence, reason, .. } => {
                if let Some(request) = self.requests.get_mut(&sequence)
                    && matches!(request.state, State::UnderWay | State::Deferred(_))
                {
                    request.state = State::Deferred(reason);
                    if !std::mem::replace(&mut request.waited, true) {
                        self.waits.began(self.now);
                    }
                }
            },
            Message::Resume { sequence, .. } => self.on_resume(sequence),
            Message::Withheld { server } if from == self.plan.keeper() => self.withheld = server,
            Message::TickAnswer { tick, result } => self.on_tick_answer(from, tick, result),
            Message::LeaveAnswer { result } => {
                if let Some((_, answer)) = &mut self.leave {
                    *answer = Some(result);
                }
            },
            Message::TableEnsured { request, result } => self.tell(request, Told::Table(result)),
            Message::GroupEnsured { request, result } => self.tell(request, Told::Group(result)),
            Message::Tables { request, tables, next } => {
                self.tell(request, Told::Tables(tables, next));
            },
            Message::TableChanged { request, result } => {
                self.tell(request, Told::Changed(result));
            },
            Message::TableDropped { request, result } => {
                self.tell(request, Told::Dropped(result));
            },
            Message::Joined { .. }
            | Message::Withheld { .. }
            | Message::EnsureTable { .. }
            | Message::EnsureGroup { .. }
            | Message::ListTables { .. }
            | Message::ChangeTable { .. }
            | Message::DropTable { .. }
            | Message::CatalogEntry { .. }
            | Message::CatalogHeld { .. }
            | Message::Mirror { .. }
            | Message::Join { .. }
            | Message::Attach { .. }
            | Message::Push { .. }
            | Message::Pull { .. }
            | Message::Await { .. }
            | Message::Ticked { .. }
            | Message::Leave { .. }
            | Message::Heartbeat { .. }
            | Message::Record(_)
            | Message::RecordHeld { .. }
            | Message::Fence { .. }
            | Message::Fenced { .. } => {
                tracing::debug!(%from, "a worker ignores what is not for it");
            },
        }
        self.wake_all();
    }

    fn on_joined(&mut self, result: Result<JoinGrant, Refusal>) {
        let Some(group) = self.group.filter(|_| self.joined.is_none()) else {
            return;
        };
        if let Ok(grant) = &result {
            self.line = Line::new(grant.origin, grant.start);
            if self.options.record_history {
                let (origin, start) = (grant.origin, grant.start);
                self.outputs.push_back(Output::Event(Event::Joined { origin, start }));
            }
        }
        let origin = Origin { group, ..Origin::default() };
        self.joined = Some(result.map_err(|refusal| refusal.into_error("", origin, Tick(0))));
    }

    fn on_push_answer(&mut self, table: TableId, sequence: Sequence, answer: Answer) {
        let Some(request) = self.requests.get(&sequence) else {
            return;
        };
        let Message::Push { header, .. } = &request.message else {
            return;
        };
        let tick = header.tick;
        self.end_request(sequence);
        self.line.answered(sequence);
        match answer {
            Answer::Refused(refusal) => {
                let error = refusal.into_error(&self.table_name(table), self.line.origin(), tick);
                self.line.fail(error);
            },
            Answer::Admitted => {
                let last = self.admitted.entry(table).or_default();
                *last = sequence.max(*last);
            },
            Answer::Applied | Answer::Settled => {},
        }
    }

    fn on_pull_answer(&mut self, sequence: Sequence, result: Result<PullResult, Refusal>) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        match request.state {
            State::Answered(_) => return,
            State::Abandoned => drop(self.end_request(sequence)),
            State::UnderWay | State::Deferred(_) => request.state = State::Answered(result),
        }
        self.line.answered(sequence);
    }

    fn on_resume(&mut self, sequence: Sequence) {
        let Some(request) = self.requests.get_mut(&sequence) else {
            return;
        };
        if matches!(request.message, Message::Push { .. }) {
            request.state = State::UnderWay;
            let (to, stream, message) = (request.to, request.stream, request.message.clone());
            self.send(to, stream, message);
        }
    }

    fn on_tick_answer(&mut self, from: ServerId, tick: Tick, result: Result<(), Refusal>) {
        let Some(unanswered) = self.ticks.get_mut(&tick) else {
            return;
        };
        unanswered.remove(&from);
        if unanswered.is_empty() {
            self.ticks.remove(&tick);
        }
        if let Err(refusal) = result {
            self.line.fail(refusal.into_error("", self.line.origin(), tick));
        }
    }

    /// Sends again whatever the server has not answered, in the order of its first sending.
    pub(super) fn on_peer_up(&mut self, server: ServerId) {
        self.up.insert(server);
        self.down.remove(&server);
        if server == self.plan.keeper() {
            // It tells again what still waits when it is asked again.
            self.withheld = None;
            let open = self.asks.values().filter(|ask| ask.told.is_none());
            let again: Vec<_> = open.map(|ask| ask.message.clone()).collect();
            for message in again {
                self.send_control(server, message);
            }
            if let Some(group) = self.group.filter(|_| self.joined.is_none()) {
                self.send_control(server, Message::Join { group, token: self.token });
            }
            if let Some((last, None)) = self.leave {
                let origin = self.line.origin();
                self.send_control(server, Message::Leave { origin, last });
            }
        }
        let asked = self.attached.iter().filter(|(_, answer)| answer.is_none());
        let attaches: Vec<_> = asked.filter_map(|(table, _)| self.attach_message(*table)).collect();
        for (to, message) in attaches.into_iter().filter(|(to, _)| *to == server) {
            self.send_control(to, message);
        }
        let mut again = Vec::new();
        for request in self.requests.values_mut().filter(|request| request.to == server) {
            if !matches!(request.state, State::Answered(_)) {
                if matches!(request.state, State::Deferred(_)) {
                    request.state = State::UnderWay;
                }
                again.push((request.stream, request.message.clone()));
            }
        }
        let ticks = self.ticks.values().filter_map(|unanswered| unanswered.get(&server));
        again.extend(ticks.map(|message| (Stream::Control, message.clone())));
        for (stream, message) in again {
            self.send(server, stream, message);
        }
        self.wake_all();
    }
}
