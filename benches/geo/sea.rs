//! Data centres of one server and one worker each, whose nodes hand each other encoded messages
//! without a network; one server is timed.

use std::cell::Cell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Instant as Clock;

use archipelago::id::{GroupId, ServerId, TableId};
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::worker::{Notify, Session, WorkerNode, WorkerOptions};
use archipelago::node::{Input, Output, Peer, Plan};
use archipelago::sync::{Arc, Mutex};
use archipelago::time::{Duration, Instant};
use archipelago::wire;
use archipelago::{Table, Worker};
use bytes::Bytes;

use crate::race::Outcome;

/// How long a message travels: it arrives in the round after.
const ROUND: Duration = Duration::from_millis(1);

/// What a worker pushes at odd and at even ticks.
pub(crate) type Pushed = Rc<[Vec<f32>; 2]>;

/// Data centre `i` has server `i` and the worker of token `i`.
pub(crate) struct Sea {
    servers: Vec<ServerNode>,
    workers: Vec<Member>,
    now: Instant,
    /// Half ticks that workers may begin: to push, and to tick.
    halves: Rc<Cell<u64>>,
    /// Which server is timed, by its place.
    timed: usize,
    /// What it has spent since the last look.
    spent: Spent,
}

/// What a server has spent on other data centres, times in seconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    /// Of the pass and of telling: all steps from the worker's tick on.
    pub(crate) tell: f64,
    /// Of hearing: what comes is taken.
    pub(crate) hear: f64,
    /// Of encoding what leaves and decoding what comes.
    pub(crate) codec: f64,
    /// Bytes that it has sent abroad.
    pub(crate) bytes: usize,
    /// Messages that it has sent abroad.
    pub(crate) messages: u64,
}

struct Member {
    node: Arc<Mutex<WorkerNode>>,
    task: Pin<Box<dyn Future<Output = archipelago::Result<()>>>>,
}

#[derive(Debug)]
struct Nobody;

impl Notify for Nobody {
    fn outputs_wait(&self) {}
}

impl Sea {
    /// One data centre for each plan, connected, whose worker pushes this to the first table; the
    /// server at place `timed` is timed.
    pub(crate) fn new(plans: Vec<(Plan, Pushed)>, timed: usize) -> Outcome<Self> {
        let (now, halves) = (Instant::EPOCH, Rc::new(Cell::new(0)));
        let (mut servers, mut workers) = (Vec::new(), Vec::new());
        for (here, (plan, pushed)) in (0..).zip(plans) {
            servers.push(ServerNode::new(
                plan.clone(),
                ServerId(here),
                now,
                ServerOptions::default(),
            )?);
            let table = plan.table(TableId(0)).ok_or("a plan without a table")?.table.clone();
            let node = WorkerNode::new(plan, here.into(), now, WorkerOptions::default());
            let node = Arc::new(Mutex::new(node));
            let session = Session::new(Arc::clone(&node), Arc::new(Nobody));
            let task = Box::pin(train(session, table, pushed, Rc::clone(&halves)));
            workers.push(Member { node, task });
        }
        let mut sea = Self { servers, workers, now, halves, timed, spent: Spent::default() };
        sea.connect();
        sea.drain()?;
        Ok(sea)
    }

    /// Everybody pushes and ticks once; what the server has spent since its worker's tick.
    pub(crate) fn tick(&mut self) -> Outcome<Spent> {
        self.half()?;
        self.spent = Spent::default();
        self.half()?;
        Ok(self.spent)
    }

    fn half(&mut self) -> Outcome {
        self.halves.set(self.halves.get() + 1);
        self.drain()
    }

    fn connect(&mut self) {
        for here in 0..self.servers.len() {
            let up = |peer| Input::PeerUp(Peer::Server(ServerId(peer as u32)));
            self.workers[here].node.lock().handle(self.now, up(here));
            for there in (0..self.servers.len()).filter(|there| *there != here) {
                self.servers[here].handle(self.now, up(there));
            }
        }
    }

    /// Round by round until nobody has anything more to say.
    fn drain(&mut self) -> Outcome {
        loop {
            self.now = self.now.after(ROUND);
            for member in &mut self.workers {
                let polled = member.task.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if let Poll::Ready(ended) = polled {
                    return Err(format!("a worker has ended: {ended:?}").into());
                }
            }
            let mut letters = Vec::new();
            for here in 0..self.servers.len() {
                self.write_worker(here as u64, &mut letters)?;
                self.write_server(here, &mut letters)?;
            }
            if letters.is_empty() {
                return Ok(());
            }
            for (from, to, frame) in letters {
                self.deliver(from, to, &frame)?;
            }
        }
    }

    fn write_worker(&self, token: u64, letters: &mut Vec<(Peer, Peer, Bytes)>) -> Outcome {
        let mut node = self.workers[token as usize].node.lock();
        loop {
            match node.poll() {
                Output::Idle => return Ok(()),
                Output::Send { to, message, .. } => {
                    let frame = joined(&wire::encode_shared(&message)?);
                    letters.push((Peer::Worker(token), to, frame));
                },
                _ => {},
            }
        }
    }

    fn write_server(&mut self, here: usize, letters: &mut Vec<(Peer, Peer, Bytes)>) -> Outcome {
        let from = Peer::Server(ServerId(here as u32));
        loop {
            let begun = Clock::now();
            let output = self.servers[here].poll();
            self.spend(here, |spent| spent.tell += begun.elapsed().as_secs_f64());
            match output {
                Output::Idle => return Ok(()),
                Output::Send { to, message, .. } => {
                    let begun = Clock::now();
                    let parts = wire::encode_shared(&message)?;
                    let abroad = matches!(to, Peer::Server(_));
                    self.spend(here, |spent| {
                        spent.codec += begun.elapsed().as_secs_f64();
                        spent.bytes += if abroad { parts.iter().map(Bytes::len).sum() } else { 0 };
                        spent.messages += u64::from(abroad);
                    });
                    letters.push((from, to, joined(&parts)));
                },
                _ => {},
            }
        }
    }

    fn deliver(&mut self, from: Peer, to: Peer, frame: &Bytes) -> Outcome {
        match to {
            Peer::Worker(token) => {
                let message = wire::decode_shared(frame)?;
                let member = &self.workers[token as usize];
                member.node.lock().handle(self.now, Input::Message { from, message });
            },
            Peer::Server(ServerId(server)) => {
                let (here, begun) = (server as usize, Clock::now());
                let message = wire::decode_shared(frame)?;
                let decoded = begun.elapsed().as_secs_f64();
                self.servers[here].handle(self.now, Input::Message { from, message });
                let lasted = begun.elapsed().as_secs_f64();
                self.spend(here, |spent| {
                    spent.codec += decoded;
                    spent.hear += lasted - decoded;
                });
            },
        }
        Ok(())
    }

    fn spend(&mut self, here: usize, note: impl FnOnce(&mut Spent)) {
        if here == self.timed {
            note(&mut self.spent);
        }
    }
}

/// Pushes the whole table in one half of each tick, and ticks in the other; never ends.
async fn train(
    session: Session,
    table: Table,
    pushed: Pushed,
    halves: Rc<Cell<u64>>,
) -> archipelago::Result<()> {
    let begun = |half| {
        let halves = &halves;
        poll_fn(move |_| if halves.get() >= half { Poll::Ready(()) } else { Poll::Pending })
    };
    let me = session.join(GroupId(0)).await?;
    for tick in 0.. {
        begun(2 * tick + 1).await;
        me.push(&table, .., &pushed[tick as usize % 2]).await?;
        begun(2 * tick + 2).await;
        me.tick().await?;
    }
    Ok(())
}

/// The frame as one who receives it has it, values aligned.
fn joined([head, values]: &[Bytes; 2]) -> Bytes {
    const ALIGNMENT: usize = 16;
    let pad = head.len().wrapping_neg() % ALIGNMENT;
    let mut room = vec![0; pad];
    room.extend_from_slice(head);
    room.extend_from_slice(values);
    Bytes::from(room).slice(pad..)
}
