//! What a running server counts.

use crate::id::TableId;
use crate::node::Peer;
use crate::node::shard::ShardStats;
use crate::time::Duration;

/// A server as it stood at one moment.
#[derive(Clone, Debug)]
pub struct ServerStatus {
    /// Since it was started.
    pub uptime: Duration,
    /// Its part of every table.
    pub tables: Vec<TableStatus>,
    /// Requests that wait here, for every table.
    pub waiting: usize,
    /// Connections whose peer has said who it is.
    pub links: Vec<LinkStatus>,
    /// UDP payload of all links so far, those that have ended included.
    pub traffic: Traffic,
    /// Calls that others have made.
    pub handshakes: Handshakes,
}

/// A server's part of one table.
#[derive(Clone, Debug)]
pub struct TableStatus {
    /// The table.
    pub table: TableId,
    /// Its name.
    pub name: String,
    /// Counters of the shard.
    pub shard: ShardStats,
}

/// A connection to one peer.
#[derive(Clone, Copy, Debug)]
pub struct LinkStatus {
    /// Who.
    pub peer: Peer,
    /// UDP payload so far.
    pub traffic: Traffic,
    /// Bytes of frames that wait to be sent.
    pub queued_bytes: usize,
    /// The estimated time to the peer and back.
    pub round_trip: Duration,
    /// Packets that were lost on the way to the peer.
    pub packets_lost: u64,
    /// Bytes of the largest datagram that is sent to the peer.
    pub datagram_bytes: u16,
}

/// Bytes inside UDP datagrams, as counted at the socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// To peers.
    pub sent_bytes: u64,
    /// From peers.
    pub received_bytes: u64,
}

impl Traffic {
    pub(super) fn add(&mut self, other: Self) {
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
    }
}

/// Calls by what became of them. Accepted ones may still be refused by certificate or hello.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handshakes {
    /// Begun.
    pub accepted: u64,
    /// Turned away before they began.
    pub refused: u64,
    /// Not answered.
    pub ignored: u64,
}
