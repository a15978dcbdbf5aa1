//! The run loop: takes the next event, hands it to a node, carries out what the node wants.

use std::task::Waker;

use super::cluster::Settings;
use super::fault::Fault;
use super::net::{Net, Pair, Ticket, pair};
use super::outcome::{End, Outcome};
use super::pipes::Pipes;
use super::plans::Plans;
use super::process::{Ended, Life, NodeClock, ServerProcess, WorkerProcess};
use super::queue::Queue;
use super::sample::Sampler;
use crate::error::Result;
use crate::history::{Event as Happened, History};
use crate::id::ServerId;
use crate::limits;
use crate::node::server::{ServerNode, ServerOptions};
use crate::node::worker::{WorkerNode, WorkerOptions};
use crate::node::{Input, Output, Peer, Plan};
use crate::time::Instant;

/// What can happen next.
#[derive(Clone, Debug)]
pub(super) enum Event {
    /// A message arrives.
    Arrive(Ticket),
    /// A connection comes up.
    Connect { pair: Pair, epoch: u64 },
    /// A connection breaks, if it is still in this life.
    Break { pair: Pair, epoch: u64 },
    /// A node learns that a connection is up.
    Up { at: Peer, other: Peer },
    /// A node wanted to be called.
    Wake { peer: Peer, at: Instant },
    /// A server goes on with its steps.
    Work(ServerId),
    /// A worker's process starts.
    Start(u64),
    /// A worker's process goes on after a pause.
    GoOn(u64),
    /// A server learns that a worker's process is gone.
    Down { server: ServerId, worker: u64 },
    /// A scripted fault.
    Fault(Fault),
}

/// Events between two looks whether data centres are equal: a look costs more than an event.
const STEPS_AT_ONCE: usize = 100;

/// A run under way.
pub(super) struct Run<'a, R> {
    pub(super) plans: Plans,
    settings: Settings,
    pub(super) servers: Vec<ServerProcess>,
    pub(super) workers: Vec<WorkerProcess<'a, R>>,
    pub(super) net: Net,
    queue: Queue<Event>,
    pub(super) history: History,
    pub(super) now: Instant,
    /// When the last worker had ended.
    pub(super) ended: Instant,
    pub(super) events: u64,
    pub(super) defects: Vec<String>,
    sampler: Option<Sampler<'a>>,
}

impl<'a, R: 'a> Run<'a, R> {
    pub(super) fn new(
        plans: Plans,
        settings: Settings,
        workers: Vec<WorkerProcess<'a, R>>,
        sampler: Option<Sampler<'a>>,
    ) -> Result<Self> {
        let (now, switch) = (Instant::EPOCH, settings.switch);
        let options = ServerOptions { record_history: settings.record_history, switch };
        let mut servers = Vec::new();
        for (_, plan) in plans.iter() {
            for server in plan.servers() {
                servers.push(ServerProcess {
                    node: ServerNode::new(plan.clone(), *server, now, options)?,
                    clock: NodeClock::default(),
                    waiting_peak: 0,
                    stopped: false,
                });
            }
        }
        let profiles = settings.profiles.clone();
        let pipes = settings.topology.clone().map(Pipes::new);
        let mut run = Self {
            net: Net::new(settings.seed, settings.profile, profiles, pipes),
            plans,
            settings,
            servers,
            workers,
            queue: Queue::new(),
            history: History::new(),
            now,
            ended: now,
            events: 0,
            defects: Vec::new(),
            sampler,
        };
        run.begin();
        Ok(run)
    }

    fn begin(&mut self) {
        let servers = self.plans.servers();
        for (index, a) in servers.iter().enumerate() {
            for b in servers.iter().skip(index + 1) {
                let (a, b) = (Peer::Server(*a), Peer::Server(*b));
                self.net.connect(self.now, a, b, &mut self.queue);
            }
            self.drain_server(*a);
        }
        for (token, worker) in self.workers.iter().enumerate() {
            self.queue.push(worker.starts_at, Event::Start(token as u64));
        }
        for (at, fault) in std::mem::take(&mut self.settings.faults) {
            self.queue.push(at, Event::Fault(fault));
        }
    }

    pub(super) fn run(mut self) -> Outcome<R> {
        let end = self.go();
        self.ended = self.now;
        // Records and rounds of the last ticks are still under way.
        let settled = self.now.after(self.settings.settle);
        while end == End::Done && self.queue.next_at().is_some_and(|at| at <= settled) {
            self.step();
        }
        let equal = self.make_equal(end);
        self.sample_until(self.now);
        let mut outcome = self.outcome(end);
        if !equal {
            outcome.defects.push("data centres have not told each other everything".into());
        }
        outcome
    }

    /// Goes on until data centres that exchange anything have told and heard everything; false when
    /// the deadline or the limit of events is first.
    fn make_equal(&mut self, end: End) -> bool {
        let differs = |process: &ServerProcess| !process.stopped && !process.node.is_equal();
        // Where nobody trains nothing ends.
        let trained = !self.workers.is_empty() && end == End::Done;
        while trained && self.servers.iter().any(differs) {
            for _ in 0..STEPS_AT_ONCE {
                let next = self.queue.next_at().filter(|at| *at <= self.settings.deadline);
                if next.is_none() || self.events >= self.settings.events_max {
                    return false;
                }
                self.step();
            }
        }
        true
    }

    fn go(&mut self) -> End {
        while self.workers.iter().any(WorkerProcess::is_open) {
            match self.queue.next_at() {
                None => return End::Stuck,
                Some(at) if at > self.settings.deadline => return End::Deadline,
                Some(_) if self.events >= self.settings.events_max => return End::EventLimit,
                Some(_) => self.step(),
            }
        }
        End::Done
    }

    fn step(&mut self) {
        let Some((at, event)) = self.queue.pop() else {
            return;
        };
        if let Some(before) = at.0.checked_sub(1) {
            self.sample_until(Instant(before));
        }
        self.now = self.now.max(at);
        self.events += 1;
        self.happen(event);
        self.run_tasks();
    }

    /// Takes the samples that are due at a time or before.
    fn sample_until(&mut self, last: Instant) {
        if let Some(sampler) = &mut self.sampler {
            sampler.run_until(last, &mut self.servers, &self.net, &mut self.defects);
        }
    }

    fn happen(&mut self, event: Event) {
        if let Some(worker) = self.paused(&event) {
            let until = self.workers[worker as usize].paused_until;
            return self.queue.push(until, event);
        }
        match event {
            Event::Arrive(ticket) => self.arrive(ticket),
            Event::Connect { pair, epoch } => {
                if self.net.come_up(self.now, pair, epoch, &mut self.queue) {
                    self.queue.push(self.now, Event::Up { at: pair.0, other: pair.1 });
                    self.queue.push(self.now, Event::Up { at: pair.1, other: pair.0 });
                }
            },
            Event::Break { pair, epoch } => {
                self.net.break_up(self.now, pair, Some(epoch), "break", &mut self.queue);
            },
            Event::Up { at, other } => self.handle(at, Input::PeerUp(other)),
            Event::Wake { peer, at } => self.wake(peer, at),
            Event::Work(server) => {
                if let Some(process) = self.servers.get_mut(server.0 as usize) {
                    process.clock.working = false;
                }
                self.drain_server(server);
            },
            Event::Start(token) => self.start(token),
            Event::GoOn(token) => self.handle(Peer::Worker(token), Input::Timer),
            Event::Down { server, worker } => {
                self.handle(Peer::Server(server), Input::PeerDown(Peer::Worker(worker)));
            },
            Event::Fault(fault) => self.strike(fault),
        }
    }

    /// The paused worker that an event has to wait for.
    fn paused(&self, event: &Event) -> Option<u64> {
        let at = match event {
            Event::Arrive(ticket) => ticket.to,
            Event::Up { at, .. } => *at,
            Event::Wake { peer, .. } => *peer,
            _ => return None,
        };
        let Peer::Worker(token) = at else { return None };
        let process = self.workers.get(token as usize)?;
        (process.paused_until > self.now).then_some(token)
    }

    fn arrive(&mut self, ticket: Ticket) {
        match self.net.arrive(ticket) {
            Ok(None) => {},
            Ok(Some(message)) => {
                self.handle(ticket.to, Input::Message { from: ticket.from, message });
            },
            Err(error) => self.defects.push(format!("{} to {}: {error}", ticket.from, ticket.to)),
        }
    }

    fn wake(&mut self, peer: Peer, at: Instant) {
        let clock = match peer {
            Peer::Server(server) => self.servers.get_mut(server.0 as usize).map(|p| &mut p.clock),
            Peer::Worker(token) => self.workers.get_mut(token as usize).map(|p| &mut p.clock),
        };
        // A later wish has replaced this one otherwise.
        if let Some(clock) = clock.filter(|clock| clock.wake_at == Some(at)) {
            clock.wake_at = None;
            self.handle(peer, Input::Timer);
        }
    }

    fn handle(&mut self, peer: Peer, input: Input) {
        match peer {
            Peer::Server(server) => {
                let process = self.servers.get_mut(server.0 as usize);
                if let Some(process) = process.filter(|process| !process.stopped) {
                    process.node.handle(self.now, input);
                }
                self.drain_server(server);
            },
            Peer::Worker(token) => {
                let process = self.workers.get(token as usize).filter(|p| p.is_open());
                if let Some(life) = process.and_then(|process| process.life.as_ref()) {
                    let mut node = life.node.lock();
                    node.handle(self.now, input);
                    let woken = node.take_woken();
                    drop(node);
                    woken.into_iter().for_each(Waker::wake);
                }
                self.drain_worker(token);
            },
        }
    }

    fn start(&mut self, token: u64) {
        let Some(process) = self.workers.get_mut(token as usize) else {
            return;
        };
        if !process.is_open() {
            return;
        }
        let options = WorkerOptions {
            record_history: self.settings.record_history,
            wait_max: self.settings.wait_max,
            joins: true,
        };
        let Some(plan) = self.plans.of(process.data_centre).cloned() else {
            return;
        };
        let servers = plan.servers().to_vec();
        let node = WorkerNode::new(plan, token, self.now, options);
        process.start(node);
        for server in &servers {
            let (a, b) = (Peer::Server(*server), Peer::Worker(token));
            self.net.connect(self.now, a, b, &mut self.queue);
        }
    }

    /// Polls tasks that were woken, in the order of their tokens, until none is.
    fn run_tasks(&mut self) {
        let mut again = true;
        while std::mem::take(&mut again) {
            for token in 0..self.workers.len() {
                let process = &mut self.workers[token];
                if process.paused_until > self.now || !process.is_open() {
                    continue;
                }
                let Some(Life { task, outputs, .. }) = &mut process.life else {
                    continue;
                };
                let result = task.poll();
                if outputs.take() || result.is_some() {
                    again = true;
                    self.drain_worker(token as u64);
                }
                if let Some(result) = result {
                    self.workers[token].ended = Ended::Returned(result);
                    self.end_process(token as u64, true);
                }
            }
        }
    }

    /// A worker's process is gone; the servers are told unless it vanished silently.
    fn end_process(&mut self, token: u64, told: bool) {
        self.net.kill(self.now, Peer::Worker(token), &mut self.queue);
        let at = self.now.after(self.settings.detection_delay);
        let data_centre = self.workers.get(token as usize).map(|worker| worker.data_centre);
        let plan = data_centre.and_then(|data_centre| self.plans.of(data_centre));
        for server in plan.into_iter().flat_map(Plan::servers).filter(|_| told) {
            self.queue.push(at, Event::Down { server: *server, worker: token });
        }
    }

    fn strike(&mut self, fault: Fault) {
        let (now, queue) = (self.now, &mut self.queue);
        match fault {
            Fault::Break { a, b } => {
                self.net.break_up(now, pair(a, b), None, "scripted break", queue);
            },
            Fault::Partition { a, b, lasts } => {
                for (a, b) in a.iter().flat_map(|a| b.iter().map(move |b| (*a, *b))) {
                    self.net.cut(now, pair(a, b), now.after(lasts), queue);
                }
            },
            Fault::Crash { worker, silent } => {
                let Some(process) = self.workers.get_mut(worker as usize) else {
                    return;
                };
                if process.is_open() {
                    process.ended = Ended::Crashed;
                    if let Some(life) = &mut process.life {
                        life.task.drop_now();
                    }
                    self.end_process(worker, !silent);
                }
            },
            Fault::Pause { worker, lasts } => {
                let Some(process) = self.workers.get_mut(worker as usize) else {
                    return;
                };
                process.paused_until = now.after(lasts);
                queue.push(process.paused_until, Event::GoOn(worker));
            },
            Fault::Stop { server } => {
                if let Some(process) = self.servers.get_mut(server.0 as usize) {
                    process.stopped = true;
                    self.history.push(now, server.0, Happened::ServerStopped { server });
                    self.net.kill(now, Peer::Server(server), queue);
                }
            },
            Fault::Link { a, b, profile } => self.net.reshape(pair(a, b), profile),
            Fault::Wan { from, to, wan } => {
                let changed = self.net.reshape_wan(&from, &to, wan);
                self.defects.extend(changed.err().map(|error| error.to_string()));
            },
            Fault::Apart { a, b, lasts } => {
                let parted = self.net.part(now, (&a, &b), now.after(lasts), queue);
                self.defects.extend(parted.err().map(|error| error.to_string()));
            },
            Fault::Calm => self.net.calm(),
        }
    }

    fn drain_server(&mut self, server: ServerId) {
        let from = Peer::Server(server);
        let open = |process: &&mut ServerProcess| !process.stopped;
        while let Some(process) = self.servers.get_mut(server.0 as usize).filter(open) {
            match process.node.poll() {
                Output::Idle => break,
                Output::Working => {
                    if !std::mem::replace(&mut process.clock.working, true) {
                        let at = self.now.after(self.settings.step_cost);
                        self.queue.push(at, Event::Work(server));
                    }
                    break;
                },
                Output::WakeAt(at) => {
                    process.clock.wake_at = Some(at);
                    self.queue.push(at.max(self.now), Event::Wake { peer: from, at });
                },
                output => self.carry_out(from, server.0, output),
            }
        }
        self.note_server(server);
    }

    fn drain_worker(&mut self, token: u64) {
        let (from, node) = (Peer::Worker(token), self.servers.len() as u64 + token);
        loop {
            let Some(process) = self.workers.get_mut(token as usize) else {
                return;
            };
            let Some(life) = process.life.as_ref().filter(|_| process.is_open()) else {
                return;
            };
            let output = life.node.lock().poll();
            match output {
                Output::Idle | Output::Working => break,
                Output::WakeAt(at) => {
                    process.clock.wake_at = Some(at);
                    self.queue.push(at.max(self.now), Event::Wake { peer: from, at });
                },
                output => self.carry_out(from, u32::try_from(node).unwrap_or(u32::MAX), output),
            }
        }
        self.note_worker(token);
    }

    fn carry_out(&mut self, from: Peer, node: u32, output: Output) {
        match output {
            Output::Send { to, stream, message } => {
                let ends = (from, to);
                let sent = self.net.send(self.now, ends, stream, &message, &mut self.queue);
                if let Err(error) = sent {
                    self.defects.push(format!("{from} to {to}: {error}"));
                }
            },
            Output::Event(event) => self.history.push(self.now, node, event),
            Output::WakeAt(_) | Output::Working | Output::Idle => {},
        }
    }

    /// Records how many requests wait at a server, when it has grown (law 12). What its shards
    /// hold they record themselves.
    fn note_server(&mut self, server: ServerId) {
        let Some(process) = self.servers.get_mut(server.0 as usize) else {
            return;
        };
        if !self.settings.record_history {
            return;
        }
        let waiting = process.node.waiting() as u64;
        if waiting > process.waiting_peak {
            process.waiting_peak = waiting;
            let limit = (limits::INFLIGHT_MAX * self.workers.len()) as u64;
            let event = Happened::Held { what: "waiting", count: waiting, limit };
            self.history.push(self.now, server.0, event);
        }
    }

    fn note_worker(&mut self, token: u64) {
        let node = self.servers.len() as u64 + token;
        let Some(process) = self.workers.get_mut(token as usize) else {
            return;
        };
        let Some(life) = process.life.as_ref().filter(|_| self.settings.record_history) else {
            return;
        };
        let count = life.node.lock().unanswered() as u64;
        if count > process.inflight_peak {
            process.inflight_peak = count;
            let limit = (limits::INFLIGHT_MAX + limits::TICKS_PENDING_MAX) as u64;
            let event = Happened::Held { what: "inflight", count, limit };
            self.history.push(self.now, u32::try_from(node).unwrap_or(u32::MAX), event);
        }
    }
}
