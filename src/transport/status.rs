//! What a running server counts.

use crate::id::{ServerId, SlotIndex, TableId, Tick};
use crate::node::mirror;
use crate::node::server::Standing;
use crate::node::shard::{MirrorStats, RoundTimes, ShardStats};
use crate::node::{Peer, Stream};
use crate::sync::{AtomicU64, Ordering};
use crate::time::Duration;

/// A server as it stood at one moment.
#[derive(Clone, Debug)]
pub struct ServerStatus {
    /// Since it was started.
    pub uptime: Duration,
    /// Its part of every table.
    pub tables: Vec<TableStatus>,
    /// The other data centres; none where there is only one.
    pub data_centres: Vec<DataCentreStatus>,
    /// Requests that wait here, for every table.
    pub waiting: usize,
    /// What they wait for, and how far workers have come.
    pub standing: Standing,
    /// Connections whose peer has said who it is.
    pub links: Vec<LinkStatus>,
    /// What all links have carried so far, those that have ended included.
    pub traffic: KindTraffic,
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
    /// Bytes that the shard may stash for workers that are not next in fold order.
    pub stash_bytes_max: u64,
    /// How long its rounds took.
    pub rounds: RoundTimes,
    /// What it exchanges with its copies in other data centres; `None` where that is nothing.
    pub mirror: Option<MirrorStatus>,
}

/// What a server's part of a table exchanges with its copies in other data centres.
#[derive(Clone, Debug)]
pub struct MirrorStatus {
    /// The last tick that has ended here and was told.
    pub passed: Tick,
    /// Counters.
    pub stats: MirrorStats,
    /// Servers elsewhere whose table of that number is another one, or whose updates are not taken.
    pub differ: Vec<ServerId>,
    /// Slots that stay unequal at the end: their values are more than there is room for.
    pub too_large: Vec<SlotIndex>,
    /// Training has ended, and everything was told, heard and confirmed.
    pub equal: bool,
}

/// Another data centre, as one server knows it.
#[derive(Clone, Debug)]
pub struct DataCentreStatus {
    /// Its name.
    pub name: String,
    /// Its servers.
    pub servers: Vec<WayStatus>,
    /// Its copies of the tables that are mirrored.
    pub copies: Vec<CopyStatus>,
}

/// The way to a server of another data centre.
#[derive(Clone, Copy, Debug)]
pub struct WayStatus {
    /// Which.
    pub server: ServerId,
    /// Whether there is a connection.
    pub connected: bool,
    /// The rate at which updates were confirmed; `None` before that was measured.
    pub bytes_per_second: Option<f64>,
    /// The shortest time from sending an update to its confirmation; `None` before the first.
    pub round_trip: Option<Duration>,
    /// Bytes of updates that wait to leave, or have left and are not confirmed.
    pub queued_bytes: u64,
}

/// Another data centre's copy of a table.
#[derive(Clone, Debug)]
pub struct CopyStatus {
    /// The table's name.
    pub table: String,
    /// Whether it is waited for.
    pub standing: mirror::Standing,
    /// The clock that counts for all of this server's slots: everything up to that tick has come.
    /// `u64::MAX` once its training has ended.
    pub clock: Tick,
}

/// A link with one peer, and the connection that carries it. Workers of one process have one
/// connection between them: what was counted at the socket, and the way to the peer, is theirs
/// together.
#[derive(Clone, Copy, Debug)]
pub struct LinkStatus {
    /// Who.
    pub peer: Peer,
    /// Links of the same number share a connection.
    pub connection: usize,
    /// What it has carried so far: frames of the link, datagrams of its connection.
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

/// Bytes that links have carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Inside UDP datagrams to peers, as counted at the socket.
    pub sent_bytes: u64,
    /// Inside UDP datagrams from peers, as counted at the socket.
    pub received_bytes: u64,
    /// Frames queued to control streams.
    pub control_bytes: u64,
    /// Frames queued to data streams.
    pub data_bytes: u64,
}

impl Traffic {
    fn add(&mut self, other: Self) {
        self.sent_bytes += other.sent_bytes;
        self.received_bytes += other.received_bytes;
        self.control_bytes += other.control_bytes;
        self.data_bytes += other.data_bytes;
    }
}

/// Bytes by the kind of peer; operators count as workers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindTraffic {
    /// To and from servers.
    pub servers: Traffic,
    /// To and from workers.
    pub workers: Traffic,
}

impl KindTraffic {
    /// Both together.
    pub fn total(&self) -> Traffic {
        let mut total = self.servers;
        total.add(self.workers);
        total
    }

    pub(super) fn add(&mut self, peer: Peer, traffic: Traffic) {
        match peer {
            Peer::Server(_) => self.servers.add(traffic),
            Peer::Worker(_) => self.workers.add(traffic),
        }
    }
}

/// Bytes of frames that one link, or all of a connection, have been given.
#[derive(Debug, Default)]
pub(super) struct FrameCounts {
    control: AtomicU64,
    data: AtomicU64,
}

impl FrameCounts {
    pub(super) fn add(&self, stream: Stream, bytes: usize) {
        let counter = match stream {
            Stream::Control => &self.control,
            Stream::Data(_) => &self.data,
        };
        counter.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Beside what the socket has counted.
    pub(super) fn traffic(&self, sent_bytes: u64, received_bytes: u64) -> Traffic {
        let [control_bytes, data_bytes] =
            [&self.control, &self.data].map(|counter| counter.load(Ordering::Relaxed));
        Traffic { sent_bytes, received_bytes, control_bytes, data_bytes }
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
