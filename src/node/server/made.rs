//! Which entry of the catalog answers which request: asked again after a cut, it means no other.
//!
//! A cut connection is no farewell, and a worker that has finished says none, so nothing tells when
//! a peer asks no more. Invariant: of at most `PEERS_MAX` peers, those that have asked last, the
//! last `ASKS_MAX` requests are known (law 12).

use std::collections::BTreeMap;

use crate::id::CatalogVersion;
use crate::limits;
use crate::node::Peer;

/// Requests that were answered with an entry.
#[derive(Debug, Default)]
pub(super) struct Made {
    peers: BTreeMap<Peer, OfPeer>,
    /// Requests noted so far.
    count: u64,
}

#[derive(Debug, Default)]
struct OfPeer {
    /// By the number of the request.
    entries: BTreeMap<u64, CatalogVersion>,
    /// How many were noted when the last one of this peer was.
    last: u64,
}

impl Made {
    /// Notes which entry answers a request, whether it made the entry or found it.
    pub(super) fn note(&mut self, (peer, request): (Peer, u64), version: CatalogVersion) {
        self.count += 1;
        let of_peer = self.peers.entry(peer).or_default();
        of_peer.last = self.count;
        of_peer.entries.insert(request, version);
        if of_peer.entries.len() > limits::ASKS_MAX {
            of_peer.entries.pop_first();
        }
        if self.peers.len() > limits::PEERS_MAX {
            let first = self.peers.iter().min_by_key(|(_, held)| held.last);
            let first = first.map(|(peer, _)| *peer);
            first.and_then(|first| self.peers.remove(&first));
        }
    }

    /// The entry that answers a request that was made before.
    pub(super) fn find(&self, (peer, request): (Peer, u64)) -> Option<CatalogVersion> {
        self.peers.get(&peer)?.entries.get(&request).copied()
    }

    /// The peer is gone.
    pub(super) fn forget(&mut self, peer: Peer) {
        self.peers.remove(&peer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_peer_the_last_requests_are_known_again() {
        let mut made = Made::default();
        let (one, other) = (Peer::Worker(1), Peer::Worker(2));
        let most = limits::ASKS_MAX as u64;
        made.note((other, 0), CatalogVersion(7));
        for request in 0..most + 2 {
            made.note((one, request), CatalogVersion(request));
        }
        assert_eq!(made.find((other, 0)), Some(CatalogVersion(7)), "another peer's");
        let forgotten: Vec<_> =
            (0..most + 2).filter(|request| made.find((one, *request)).is_none()).collect();
        assert_eq!(forgotten, [0, 1]);
        made.forget(one);
        assert_eq!(made.find((one, most)), None);
    }

    #[test]
    fn of_peers_that_say_no_farewell_the_last_ones_are_known_again() {
        let mut made = Made::default();
        let most = limits::PEERS_MAX as u64;
        let known = |made: &Made, token| made.find((Peer::Worker(token), 0)).is_some();
        for token in 0..most {
            made.note((Peer::Worker(token), 0), CatalogVersion(1));
        }
        made.note((Peer::Worker(0), 1), CatalogVersion(2));
        made.note((Peer::Worker(most), 0), CatalogVersion(3));
        assert!(known(&made, 0), "it has asked again since");
        assert!(!known(&made, 1) && known(&made, 2) && known(&made, most));
    }
}
