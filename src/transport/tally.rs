//! What all connections of a process have carried, those that have ended included.

use std::collections::BTreeMap;

use quinn::Connection;

use super::status::{FrameCounts, KindTraffic, Traffic};
use crate::node::Peer;
use crate::sync::{Arc, Mutex};

/// The connections of a process, and what those carried that are gone.
#[derive(Debug, Default)]
pub(super) struct Tally(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    live: BTreeMap<usize, Entry>,
    ended: KindTraffic,
}

#[derive(Debug)]
struct Entry {
    /// Kept, so that its id is nobody else's.
    connection: Connection,
    frames: Arc<FrameCounts>,
    peer: Peer,
}

impl Tally {
    /// Counts a connection from its first link on; `peer` says of which kind it is.
    pub(super) fn open(&self, connection: &Connection, frames: &Arc<FrameCounts>, peer: Peer) {
        let entry = || Entry { connection: connection.clone(), frames: Arc::clone(frames), peer };
        self.0.lock().live.entry(connection.stable_id()).or_insert_with(entry);
    }

    /// A connection has ended.
    pub(super) fn close(&self, connection: &Connection) {
        let mut books = self.0.lock();
        if let Some(entry) = books.live.remove(&connection.stable_id()) {
            books.ended.add(entry.peer, entry.traffic());
        }
    }

    /// Everything so far.
    pub(super) fn traffic(&self) -> KindTraffic {
        let books = self.0.lock();
        let mut traffic = books.ended;
        books.live.values().for_each(|entry| traffic.add(entry.peer, entry.traffic()));
        traffic
    }
}

impl Entry {
    fn traffic(&self) -> Traffic {
        let stats = self.connection.stats();
        self.frames.traffic(stats.udp_tx.bytes, stats.udp_rx.bytes)
    }
}
