//! All connections of a cluster. Every message passes encode, bytes and decode here.

use std::collections::BTreeMap;
use std::iter::Sum;

use super::connection::{Connection, Fate, InFlight};
use super::pipes::Pipes;
use super::profile::{LinkProfile, Trouble};
use super::queue::Queue;
use super::run::Event;
use super::step::step_of;
use super::topology::Wan;
use crate::error::{FrameError, TopologyError};
use crate::node::{Peer, Stream};
use crate::time::Instant;
use crate::wire::{self, Message};

/// Two ends of a connection, the lower first.
pub(super) type Pair = (Peer, Peer);

/// Bytes and messages of one direction of a link, or from one site to another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages on the control stream.
    pub control_messages: u64,
    /// Their bytes.
    pub control_bytes: u64,
    /// Messages on data streams.
    pub data_messages: u64,
    /// Their bytes.
    pub data_bytes: u64,
}

impl Traffic {
    /// All bytes.
    pub fn bytes(&self) -> u64 {
        self.control_bytes + self.data_bytes
    }

    pub(super) fn count(&mut self, stream: Stream, bytes: u64) {
        match stream {
            Stream::Control => {
                self.control_messages += 1;
                self.control_bytes += bytes;
            },
            Stream::Data(_) => {
                self.data_messages += 1;
                self.data_bytes += bytes;
            },
        }
    }
}

impl<'a> Sum<&'a Self> for Traffic {
    fn sum<I: Iterator<Item = &'a Self>>(all: I) -> Self {
        all.fold(Self::default(), |sum, more| Self {
            control_messages: sum.control_messages + more.control_messages,
            control_bytes: sum.control_bytes + more.control_bytes,
            data_messages: sum.data_messages + more.data_messages,
            data_bytes: sum.data_bytes + more.data_bytes,
        })
    }
}

/// A message under way, as its arrival names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    pub(super) from: Peer,
    pub(super) to: Peer,
    epoch: u64,
    number: u64,
    last: bool,
}

/// The connections.
#[derive(Debug)]
pub(super) struct Net {
    seed: u64,
    profile: LinkProfile,
    profiles: BTreeMap<Pair, LinkProfile>,
    connections: BTreeMap<Pair, Connection>,
    calm: bool,
    /// What connections share, under a topology.
    pub(super) pipes: Option<Pipes>,
    pub(super) traffic: BTreeMap<(Peer, Peer), Traffic>,
    pub(super) cells: BTreeMap<(&'static str, &'static str), u64>,
}

impl Net {
    pub(super) fn new(
        seed: u64,
        profile: LinkProfile,
        profiles: BTreeMap<Pair, LinkProfile>,
        pipes: Option<Pipes>,
    ) -> Self {
        Self {
            seed,
            profile,
            profiles,
            connections: BTreeMap::new(),
            calm: false,
            pipes,
            traffic: BTreeMap::new(),
            cells: BTreeMap::new(),
        }
    }

    /// Begins to connect two processes.
    pub(super) fn connect(&mut self, now: Instant, a: Peer, b: Peer, queue: &mut Queue<Event>) {
        let pair = pair(a, b);
        let mut connection = Connection::new(self.seed, &format!("link {a} to {b}"), self.profile);
        for (way, ends) in [(pair.0, pair.1), (pair.1, pair.0)].into_iter().enumerate() {
            let own = self.profiles.get(&ends).copied();
            let mut profile = own.unwrap_or(self.profile);
            if self.calm {
                profile.trouble = Trouble::default();
            }
            connection.ways[way].profile = profile;
            connection.ways[way].own = own.is_some();
        }
        let apart = self.pipes.as_ref().map_or(now, |pipes| pipes.apart_until(a, b));
        connection.cut_until = connection.cut_until.max(now).max(apart);
        queue.push(connection.back_at(now), Event::Connect { pair, epoch: 0 });
        self.connections.insert(pair, connection);
    }

    /// Sends a message; into the void when the connection is down, as a sender that has not
    /// noticed yet does.
    ///
    /// # Errors
    /// The message does not encode: a defect of the sender.
    pub(super) fn send(
        &mut self,
        now: Instant,
        (from, to): (Peer, Peer),
        stream: Stream,
        message: &Message,
        queue: &mut Queue<Event>,
    ) -> Result<(), FrameError> {
        let mut frame = Vec::new();
        wire::encode(message, &mut frame)?;
        let step = step_of(message);
        let pair = pair(from, to);
        let Some(connection) = self.connections.get_mut(&pair) else {
            return Ok(());
        };
        if !connection.up {
            // Nothing of a connection that was never up has been sent.
            if connection.epoch > 0 {
                *self.cells.entry(("lost while down", step)).or_default() += 1;
            }
            return Ok(());
        }
        self.traffic.entry((from, to)).or_default().count(stream, frame.len() as u64);
        let pipes = self.pipes.as_mut();
        let shared = pipes.and_then(|pipes| pipes.pass(now, (from, to), stream, frame.len()));
        let (way, epoch) = (usize::from(from > to), connection.epoch);
        let message = InFlight { stream, step, frame };
        let (fate, number, arrivals) = connection.send(now, way, shared, message);
        let copies = arrivals.len();
        for (copy, at) in arrivals.into_iter().enumerate() {
            let last = copy + 1 == copies;
            queue.push(at, Event::Arrive(Ticket { from, to, epoch, number, last }));
        }
        let trouble = match fate {
            Fate::Arrives => return Ok(()),
            Fate::Dropped => "dropped",
            Fate::Duplicated => "duplicated",
            Fate::Late => "reordered",
            Fate::Breaks => "break",
        };
        *self.cells.entry((trouble, step)).or_default() += 1;
        queue.push(connection.breaks_at(now, way), Event::Break { pair, epoch });
        Ok(())
    }

    /// A message has arrived; `None` when it was lost on the way.
    ///
    /// # Errors
    /// Its bytes do not decode: a defect of the codec.
    pub(super) fn arrive(&mut self, ticket: Ticket) -> Result<Option<Message>, FrameError> {
        let Ticket { from, to, epoch, number, last } = ticket;
        let Some(connection) = self.connections.get_mut(&pair(from, to)) else {
            return Ok(None);
        };
        if connection.epoch != epoch {
            return Ok(None);
        }
        let arrived = connection.arrive(usize::from(from > to), number, last);
        arrived.map(|message| wire::decode(&message.frame)).transpose()
    }

    /// Breaks a connection if it is up, in its life `epoch` when one is named.
    pub(super) fn break_up(
        &mut self,
        now: Instant,
        pair: Pair,
        epoch: Option<u64>,
        fault: &'static str,
        queue: &mut Queue<Event>,
    ) {
        let Some(connection) = self.connections.get_mut(&pair) else {
            return;
        };
        if !connection.up || epoch.is_some_and(|epoch| epoch != connection.epoch) {
            return;
        }
        for step in connection.break_up() {
            *self.cells.entry((fault, step)).or_default() += 1;
        }
        if !connection.dead {
            let epoch = connection.epoch;
            queue.push(connection.back_at(now), Event::Connect { pair, epoch });
        }
    }

    /// Keeps two processes apart until a time.
    pub(super) fn cut(&mut self, now: Instant, pair: Pair, until: Instant, q: &mut Queue<Event>) {
        if let Some(connection) = self.connections.get_mut(&pair) {
            connection.cut_until = connection.cut_until.max(until);
            self.break_up(now, pair, None, "partition", q);
        }
    }

    /// A process has ended: what it sent may still arrive, nothing reaches it any more.
    pub(super) fn kill(&mut self, now: Instant, peer: Peer, queue: &mut Queue<Event>) {
        let pairs: Vec<_> = self.connections.keys().copied().collect();
        for pair in pairs.into_iter().filter(|(a, b)| *a == peer || *b == peer) {
            if let Some(connection) = self.connections.get_mut(&pair) {
                connection.dead = true;
            }
            self.break_up(now, pair, None, "crash", queue);
        }
    }

    /// The time of a connection's return has come. False when it stays down.
    pub(super) fn come_up(
        &mut self,
        now: Instant,
        pair: Pair,
        epoch: u64,
        queue: &mut Queue<Event>,
    ) -> bool {
        let Some(connection) = self.connections.get_mut(&pair) else {
            return false;
        };
        if connection.up || connection.dead || connection.epoch != epoch {
            return false;
        }
        if connection.cut_until > now {
            queue.push(connection.back_at(now), Event::Connect { pair, epoch });
            return false;
        }
        for step in connection.come_up(now) {
            *self.cells.entry(("late for reconnect", step)).or_default() += 1;
        }
        true
    }

    /// Changes both directions of a link.
    pub(super) fn reshape(&mut self, pair: Pair, profile: LinkProfile) {
        if let Some(connection) = self.connections.get_mut(&pair) {
            connection.ways.iter_mut().for_each(|way| (way.profile, way.own) = (profile, true));
        }
    }

    /// Changes the pipe from one site to another.
    ///
    /// # Errors
    /// There are no such sites: the script was checked, so a defect.
    pub(super) fn reshape_wan(
        &mut self,
        from: &str,
        to: &str,
        wan: Wan,
    ) -> Result<(), TopologyError> {
        let pipes = self.pipes.as_mut();
        pipes.map_or_else(|| no_topology(from), |pipes| pipes.reshape(from, to, wan))
    }

    /// Keeps two sites apart until a time, with what starts there before.
    ///
    /// # Errors
    /// There are no such sites: the script was checked, so a defect.
    pub(super) fn part(
        &mut self,
        now: Instant,
        (a, b): (&str, &str),
        until: Instant,
        queue: &mut Queue<Event>,
    ) -> Result<(), TopologyError> {
        let pipes = self.pipes.as_mut();
        let cut = pipes.map_or_else(|| no_topology(a), |pipes| pipes.part(a, b, until))?;
        for pair in cut {
            self.cut(now, pair, until, queue);
        }
        Ok(())
    }

    /// Ends all trouble.
    pub(super) fn calm(&mut self) {
        self.calm = true;
        for connection in self.connections.values_mut() {
            for way in &mut connection.ways {
                way.profile.trouble = Trouble::default();
            }
        }
    }

    /// Connections that are down although both ends live.
    pub(super) fn down(&self) -> impl Iterator<Item = Pair> {
        let all = self.connections.iter();
        all.filter(|(_, c)| !c.up && !c.dead).map(|(pair, _)| *pair)
    }
}

/// The name of the connection between two processes.
pub(super) fn pair(a: Peer, b: Peer) -> Pair {
    (a.min(b), a.max(b))
}

fn no_topology<T>(site: &str) -> Result<T, TopologyError> {
    Err(TopologyError::NoTopology { site: site.into() })
}
