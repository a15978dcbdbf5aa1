//! What goes into a node and what comes out.
//!
//! The loop of a node's driver: `handle(now, input)`, then `poll()` until it answers `Idle`.
//! `Working` means that a step was done and more wait: deliver what has arrived in between, so
//! that control never waits behind bulk. Time never runs backwards; a node never reads a clock.

use std::fmt;

use crate::history::Event;
use crate::id::ServerId;
use crate::time::Instant;
use crate::wire::Message;

/// A process as its peers name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Peer {
    /// A server.
    Server(ServerId),
    /// A worker, by the token that its driver chose for it.
    Worker(u64),
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(server) => write!(f, "{server}"),
            Self::Worker(token) => write!(f, "worker process {token}"),
        }
    }
}

/// What a driver tells a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A message has arrived.
    Message {
        /// From whom.
        from: Peer,
        /// What it says.
        message: Message,
    },
    /// A connection is up, for the first time or again: everything unanswered is sent again.
    PeerUp(Peer),
    /// The driver has given the peer up: its process is gone, not just a connection.
    PeerDown(Peer),
    /// So much waits to be sent to the peer that no answer with values should be put out for it
    /// which has waited here already.
    PeerFull(Peer),
    /// There is room again. A peer whose connection is new has room.
    PeerRoom(Peer),
    /// Time has passed; a wake-at may be due.
    Timer,
}

/// Messages of one stream arrive in order; streams overtake each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    /// Joins, ticks, records, heartbeats: ahead of all data.
    Control,
    /// Pushes and pulls; all chunks of a slot share a stream.
    Data(u32),
}

/// What a node wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Send a message.
    Send {
        /// To whom.
        to: Peer,
        /// On which stream.
        stream: Stream,
        /// What.
        message: Message,
    },
    /// Something happened that a history records.
    Event(Event),
    /// Call `handle(now, Timer)` at this time, or earlier. Replaces the wish before.
    WakeAt(Instant),
    /// A step was done and more wait.
    Working,
    /// Nothing is left to do until the next input.
    Idle,
}

/// Data streams of a connection.
pub const DATA_STREAMS: u32 = 8;
