//! The loop that drives a node: inputs in, outputs out, the clock in between.

use std::collections::BTreeMap;

use quinn::ConnectionError;
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant as Deadline, sleep_until};

use super::inbox::{Event, Inbox};
use super::link::{Close, End, Link};
use super::lives::{Lives, Lost, Met};
use super::share::share_of;
use super::status::{DataCentreStatus, LinkStatus, TableStatus};
use super::tls::Judge;
use crate::error::TransportError;
use crate::id::ServerId;
use crate::limits::{INBOX_MESSAGES_MAX, PEERS_MAX};
use crate::node::server::Standing;
use crate::node::{Input, Output, Peer};
use crate::os::Clock;
use crate::sync::Arc;
use crate::time::{Duration, Instant};
use crate::wire::Pool;

/// Control goes ahead of data, but only so many events in a row: a flood of control from one peer
/// must not starve the data of others.
const CONTROL_IN_A_ROW_MAX: usize = 32;

/// What the loop drives.
pub(super) trait Node {
    /// Takes one input.
    fn handle(&mut self, now: Instant, input: Input);
    /// The next thing to do.
    fn poll(&mut self) -> Output;
    /// Whether the loop should end, and what peers are told then.
    fn end(&self) -> Option<Close>;
    /// Whether other nodes of this process use its connections: then it ends its own links only.
    fn shares(&self) -> bool {
        false
    }
    /// Whether it reckons with something that this server has lost if it was started again.
    fn holds(&self, server: ServerId) -> bool;
    /// Whether it cannot go on when that server has lost it.
    fn needs(&self, _server: ServerId) -> bool {
        true
    }
    /// A server was started again.
    fn lost(&mut self, _server: ServerId) {}
    /// Its tables, and how many requests wait there.
    fn tables(&self) -> (Vec<TableStatus>, usize) {
        (Vec::new(), 0)
    }
    /// The other data centres, with nothing said of links.
    fn data_centres(&self) -> Vec<DataCentreStatus> {
        Vec::new()
    }
    /// What requests wait for, and how far workers have come.
    fn standing(&self, _now: Instant) -> Standing {
        Standing::default()
    }
}

/// What a loop, its node and its links have counted so far.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) uptime: Duration,
    pub(super) tables: Vec<TableStatus>,
    pub(super) data_centres: Vec<DataCentreStatus>,
    pub(super) waiting: usize,
    pub(super) links: Vec<LinkStatus>,
    pub(super) standing: Standing,
}

/// A node, its peers, and what waits for it.
#[derive(Debug)]
pub(super) struct Pump<N> {
    node: N,
    clock: Clock,
    links: BTreeMap<Peer, Arc<Link>>,
    /// How many of them each connection carries.
    carriers: BTreeMap<usize, usize>,
    lives: Lives,
    /// What each of the links, and of the connections, may take of this process's memory.
    shares: [usize; 2],
    control: mpsc::Receiver<Event>,
    data: mpsc::Receiver<Event>,
    wake_at: Option<Instant>,
    /// Who is let in; `None` where nobody calls.
    judge: Option<Judge>,
    /// Told when somebody else has left outputs in the node, or when the loop should end.
    notify: Arc<Notify>,
}

impl<N: Node> Pump<N> {
    /// The loop of `node`, and the inbox that feeds it.
    pub(super) fn new(node: N, clock: Clock, notify: Arc<Notify>) -> (Self, Inbox) {
        let (to_control, control) = mpsc::channel(INBOX_MESSAGES_MAX);
        let (to_data, data) = mpsc::channel(INBOX_MESSAGES_MAX);
        let pump = Self {
            node,
            clock,
            links: BTreeMap::new(),
            carriers: BTreeMap::new(),
            lives: Lives::default(),
            shares: [share_of(0); 2],
            control,
            data,
            wake_at: None,
            judge: None,
            notify,
        };
        (pump, Inbox { control: to_control, data: to_data, pool: Pool::default() })
    }

    /// The same, with somebody who says who is let in, from the start.
    pub(super) fn judged(mut self, judge: Judge) -> Self {
        self.judge = Some(judge);
        self
    }

    /// Whose tables are lost, from now on.
    pub(super) fn lost(&self) -> Arc<Lost> {
        Arc::clone(self.lives.lost())
    }

    /// Runs until the node is closed or nobody feeds it any more; the node, and its links, which
    /// have been told.
    pub(super) async fn run(mut self) -> (N, Vec<Arc<Link>>) {
        self.run_on().await;
        (self.node, self.links.into_values().collect())
    }

    async fn run_on(&mut self) {
        let mut in_a_row = 0;
        loop {
            self.carry_out().await;
            if let Some(why) = self.node.end() {
                return self.links.values().for_each(|link| link.end(why));
            }
            if in_a_row == CONTROL_IN_A_ROW_MAX {
                in_a_row = 0;
                if let Ok(event) = self.data.try_recv() {
                    self.on_event(event);
                    continue;
                }
            }
            let wake = self.wake_at.map(|at| Deadline::now() + at.since(self.clock.now()));
            tokio::select! {
                biased;
                event = self.control.recv() => match event {
                    Some(event) => {
                        in_a_row += 1;
                        self.on_event(event);
                    },
                    None => return,
                },
                () = self.notify.notified() => {},
                () = sleep_until(wake.unwrap_or_else(Deadline::now)), if wake.is_some() => {
                    let now = self.clock.now();
                    // Woken early, the node would not say again when to wake it.
                    self.wake_at = self.wake_at.filter(|at| *at > now);
                    self.node.handle(now, Input::Timer);
                },
                event = self.data.recv() => match event {
                    Some(event) => {
                        in_a_row = 0;
                        self.on_event(event);
                    },
                    None => return,
                },
            }
        }
    }

    fn on_event(&mut self, event: Event) {
        let now = self.clock.now();
        match event {
            Event::Up(link) => self.on_up(now, link),
            Event::Down(link, why) => self.on_down(now, &link, &why),
            Event::Room(link) => {
                if self.is_current(&link) && !link.is_full() {
                    self.node.handle(now, Input::PeerRoom(link.peer()));
                }
            },
            Event::Message(link, message) => {
                // What an earlier connection brought late was sent again on the newer one.
                if self.is_current(&link) {
                    self.node.handle(now, Input::Message { from: link.peer(), message });
                }
            },
            // Who has asked may be gone.
            Event::Ask(asker) => drop(asker.send(self.counted(now))),
            Event::Judge(judge) => self.obey(now, judge),
        }
    }

    fn on_up(&mut self, now: Instant, link: Arc<Link>) {
        let peer = link.peer();
        link.known();
        // Its handshake may have begun before the last change.
        if let Some(Err(reason)) = self.judge.as_ref().map(|judge| judge.hear(&link)) {
            return self.refuse(&link, &reason);
        }
        if let Err(reason) = self.meet(&link) {
            tracing::warn!(%peer, %reason, "a connection ends");
            return self.refuse(&link, &reason);
        }
        if self.links.len() >= PEERS_MAX && !self.links.contains_key(&peer) {
            return link.end(Close::Busy);
        }
        tracing::info!(%peer, "connected");
        if self.judge.as_ref().is_some_and(|judge| judge.sees_expiry(&link)) {
            tracing::warn!(%peer, "its certificate expires within 7 days: give it a new one");
        }
        self.replace(&link);
        *self.carriers.entry(carrier_of(&link)).or_default() += 1;
        let [waiting_bytes, window_bytes] = self.shares;
        link.limit(waiting_bytes, window_bytes);
        self.links.insert(peer, link);
        self.share_out();
        self.node.handle(now, Input::PeerUp(peer));
    }

    /// Ends a link that has just begun, and its connection when nobody else uses that: then the
    /// peer hears the reason.
    fn refuse(&self, link: &Link, reason: &str) {
        if self.node.shares() || self.carriers.contains_key(&carrier_of(link)) {
            return link.end(Close::Refused);
        }
        link.carrier().close(Close::Refused, reason);
    }

    /// Takes out the link that a newer one of the same peer replaces. Its connection ends, too,
    /// when the newer one has another.
    fn replace(&mut self, newer: &Link) {
        let Some(older) = self.take(newer.peer()) else { return };
        if carrier_of(&older) == carrier_of(newer) {
            return older.end(Close::Replaced);
        }
        older.carrier().close(Close::Replaced, "a newer connection took its place");
    }

    fn take(&mut self, peer: Peer) -> Option<Arc<Link>> {
        let link = self.links.remove(&peer)?;
        let id = carrier_of(&link);
        let left = self.carriers.get(&id).map_or(0, |links| links - 1);
        match left {
            0 => self.carriers.remove(&id),
            left => self.carriers.insert(id, left),
        };
        Some(link)
    }

    /// Whether a peer is who it was; the reason why it cannot be let in.
    fn meet(&mut self, link: &Link) -> Result<(), String> {
        let Peer::Server(server) = link.peer() else {
            let lost = self.lives.lost().server();
            return lost.map_or(Ok(()), |server| Err(started_again(server)));
        };
        let (linked, holds) = (self.links.contains_key(&link.peer()), self.node.holds(server));
        match self.lives.meet(server, link.life(), linked, holds) {
            Met::Welcome => Ok(()),
            Met::Twice => Err(format!(
                "{server} is here already, and is another process: give every server a number of \
                 its own (one that was started again is let in once its former self has timed out)"
            )),
            Met::Anew if self.node.needs(server) => {
                self.lives.lose(server);
                self.node.lost(server);
                Err(started_again(server))
            },
            Met::Anew => Err(format!(
                "{server} was started again and has lost what its data centre and the others have \
                 told each other: the others go on without it, until the servers of all data \
                 centres are started again"
            )),
        }
    }

    fn on_down(&mut self, now: Instant, link: &Arc<Link>, why: &End) {
        let peer = link.peer();
        if !self.is_current(link) {
            return;
        }
        tracing::info!(%peer, %why, "disconnected");
        self.take(peer);
        self.share_out();
        // What waits for it costs nothing any more: it goes nowhere.
        self.node.handle(now, Input::PeerRoom(peer));
        // A cut connection is not a lost process: who is silent for too long is.
        if is_farewell(why) || matches!(peer, Peer::Server(_)) {
            self.node.handle(now, Input::PeerDown(peer));
        }
    }

    /// Gives every link and connection its share when their number has changed that.
    fn share_out(&mut self) {
        let shares = [self.links.len(), self.carriers.len()].map(share_of);
        if shares != self.shares {
            self.shares = shares;
            let [waiting_bytes, window_bytes] = shares;
            self.links.values().for_each(|link| link.limit(waiting_bytes, window_bytes));
        }
    }

    /// Ends the links of those who would not be let in any more. They cannot come back, so that
    /// nobody waits for them.
    fn obey(&mut self, now: Instant, judge: Judge) {
        let verdicts = self.links.values().map(|link| (Arc::clone(link), judge.hear(link)));
        let refused: Vec<_> =
            verdicts.filter_map(|(link, heard)| Some((link, heard.err()?))).collect();
        for (link, reason) in refused {
            let peer = link.peer();
            tracing::warn!(%peer, %reason, "a connection ends");
            link.carrier().close(Close::Refused, &reason);
            self.take(peer);
            self.node.handle(now, Input::PeerDown(peer));
        }
        self.judge = Some(judge);
    }

    fn counted(&self, now: Instant) -> Counted {
        let links: Vec<_> = self.links.values().map(|link| link.status()).collect();
        let (tables, waiting) = self.node.tables();
        let (uptime, standing) = (now.since(Instant::EPOCH), self.node.standing(now));
        let mut data_centres = self.node.data_centres();
        for way in data_centres.iter_mut().flat_map(|it| &mut it.servers) {
            way.connected = self.links.contains_key(&Peer::Server(way.server));
        }
        Counted { uptime, tables, data_centres, waiting, links, standing }
    }

    fn is_current(&self, link: &Arc<Link>) -> bool {
        self.links.get(&link.peer()).is_some_and(|current| Arc::ptr_eq(current, link))
    }

    /// Does what the node wants done. Between two steps of long work the tasks that read and write
    /// have their turn, and control comes in.
    async fn carry_out(&mut self) {
        loop {
            match self.node.poll() {
                Output::Send { to, stream, message } => {
                    // Without a link there is nothing to do: the node sends again when it is up.
                    let link = self.links.get(&to);
                    if link.is_some_and(|link| link.send(stream, &message)) {
                        self.node.handle(self.clock.now(), Input::PeerFull(to));
                    }
                },
                Output::WakeAt(at) => self.wake_at = Some(at),
                Output::Event(_) => {},
                Output::Working => {
                    tokio::task::yield_now().await;
                    while let Ok(event) = self.control.try_recv() {
                        self.on_event(event);
                    }
                },
                Output::Idle => return,
            }
        }
    }
}

/// What is said of a server that has lost its tables.
pub(super) fn started_again(server: ServerId) -> String {
    TransportError::Restarted { server }.to_string()
}

/// Whether the peer has said that it will not come back.
fn is_farewell(why: &End) -> bool {
    match why {
        End::Link(why) => *why == Close::Gone,
        End::Connection(ConnectionError::ApplicationClosed(close)) => {
            Close::of(close.error_code) == Some(Close::Gone)
        },
        End::Connection(_) => false,
    }
}

fn carrier_of(link: &Link) -> usize {
    link.carrier().connection().stable_id()
}
