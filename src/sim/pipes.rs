//! What connections share under a topology: network cards and WAN pipes.
//!
//! A message passes the sender's card, the pipe between the sites if they differ, and the
//! receiver's card, all at once (cut-through): each is busy with it from when it is free of what
//! came before, and the message has left when the last one is done. A connection that breaks does
//! not give back the time that its lost messages took.

use std::collections::BTreeMap;

use super::horizon::{Horizon, busy};
use super::net::{Pair, Traffic};
use super::topology::{MACHINE_LATENCY, Machine, Topology, Wan};
use crate::error::TopologyError;
use crate::node::{Peer, Stream};
use crate::time::{Duration, Instant};

/// The shared resources of a cluster.
#[derive(Debug)]
pub(super) struct Pipes {
    topology: Topology,
    /// Both directions of each machine's card.
    out_of: BTreeMap<Machine, Horizon>,
    into: BTreeMap<Machine, Horizon>,
    wans: BTreeMap<(usize, usize), Horizon>,
    /// Until when two sites are kept apart, the lower index first.
    apart_until: BTreeMap<(usize, usize), Instant>,
    traffic: BTreeMap<(usize, usize), Traffic>,
}

/// How a message gets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Passage {
    /// When its last byte has left.
    pub(super) left: Instant,
    pub(super) latency: Duration,
    pub(super) jitter_max: Duration,
}

impl Pipes {
    pub(super) fn new(topology: Topology) -> Self {
        Self {
            topology,
            out_of: BTreeMap::new(),
            into: BTreeMap::new(),
            wans: BTreeMap::new(),
            apart_until: BTreeMap::new(),
            traffic: BTreeMap::new(),
        }
    }

    /// Sends a message of so many bytes; `None` when an end has no place, which a run excludes.
    pub(super) fn pass(
        &mut self,
        now: Instant,
        (from, to): (Peer, Peer),
        stream: Stream,
        bytes: usize,
    ) -> Option<Passage> {
        let (from, to) = (self.topology.machine(from)?, self.topology.machine(to)?);
        let sites = (from.site, to.site);
        self.traffic.entry(sites).or_default().count(stream, bytes as u64);
        if from == to {
            let (latency, jitter_max) = (MACHINE_LATENCY, Duration::ZERO);
            return Some(Passage { left: now, latency, jitter_max });
        }
        let card = |machine: Machine| {
            let site = self.topology.sites().get(machine.site)?;
            Some(busy(bytes, site.card_bytes_per_second))
        };
        let (sending, receiving) = (card(from)?, card(to)?);
        let out = self.out_of.entry(from).or_default().serialise(now, stream, sending);
        let into = self.into.entry(to).or_default().serialise(now, stream, receiving);
        let left = out.max(into);
        if let Some(wan) = self.topology.wan(from.site, to.site) {
            let busy = busy(bytes, wan.bytes_per_second);
            let through = self.wans.entry(sites).or_default().serialise(now, stream, busy);
            let Wan { latency, jitter_max, .. } = wan;
            return Some(Passage { left: left.max(through), latency, jitter_max });
        }
        let site = self.topology.sites().get(from.site)?;
        Some(Passage { left, latency: site.latency, jitter_max: site.jitter_max })
    }

    /// Changes a pipe. What has been sent before keeps its time.
    ///
    /// # Errors
    /// Unknown sites, or one and the same.
    pub(super) fn reshape(&mut self, from: &str, to: &str, wan: Wan) -> Result<(), TopologyError> {
        let (from, to) = self.topology.between(from, to)?;
        self.topology.set_wan(from, to, wan);
        Ok(())
    }

    /// Keeps two sites apart until a time. Returns the pairs of processes that are cut off.
    ///
    /// # Errors
    /// Unknown sites, or one and the same.
    pub(super) fn part(
        &mut self,
        a: &str,
        b: &str,
        until: Instant,
    ) -> Result<Vec<Pair>, TopologyError> {
        let (a, b) = self.topology.between(a, b)?;
        let apart = self.apart_until.entry((a.min(b), a.max(b))).or_default();
        *apart = until.max(*apart);
        let pairs = self.topology.peers(a).flat_map(|a| {
            let others = self.topology.peers(b);
            others.map(move |b| super::net::pair(a, b))
        });
        Ok(pairs.collect())
    }

    /// Until when a new connection is kept from coming up.
    pub(super) fn apart_until(&self, a: Peer, b: Peer) -> Instant {
        let site = |peer| self.topology.machine(peer).map(|machine| machine.site);
        let (Some(a), Some(b)) = (site(a), site(b)) else {
            return Instant::EPOCH;
        };
        self.apart_until.get(&(a.min(b), a.max(b))).copied().unwrap_or_default()
    }

    /// Traffic by the names of the sites, (from, to).
    pub(super) fn site_traffic(&self) -> BTreeMap<(String, String), Traffic> {
        let sites = self.topology.sites();
        let named = |((from, to), traffic): (&(usize, usize), &Traffic)| {
            let (from, to) = (sites.get(*from)?.name.clone(), sites.get(*to)?.name.clone());
            Some(((from, to), *traffic))
        };
        self.traffic.iter().filter_map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::topology::Site;
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const DATA: Stream = Stream::Data(0);

    /// Cards of 1,000 B/s; a pipe of 100 B/s from a to b, and of 10,000 B/s back. Workers 0 and 1
    /// share a machine at a, 2 has one there, 3 and 4 have one each at b.
    fn pipes() -> Pipes {
        let site = |name| Site::new(name).card_bytes_per_second(1_000);
        let topology = Topology::builder()
            .site(site("a").latency(Duration::from_millis(3)).jitter_max(Duration::ZERO))
            .site(site("b"))
            .wan("a", "b", Wan::new(100, Duration::from_millis(70)))
            .wan("b", "a", Wan::new(10_000, Duration::from_millis(80)))
            .colocate([Peer::Worker(0), Peer::Worker(1)], "a")
            .place(Peer::Worker(2), "a")
            .place(Peer::Worker(3), "b")
            .place(Peer::Worker(4), "b");
        Pipes::new(topology.build().unwrap())
    }

    /// When a message has left, in milliseconds.
    fn left(pipes: &mut Pipes, from: u64, to: u64, stream: Stream, bytes: usize) -> u64 {
        let ends = (Peer::Worker(from), Peer::Worker(to));
        pipes.pass(Instant(SECOND), ends, stream, bytes).unwrap().left.0 / 1_000_000 - 1_000
    }

    #[test]
    fn connections_share_the_pipe_between_their_sites() {
        let mut pipes = pipes();
        let times = [(0, 3), (2, 4), (1, 4), (2, 3)]
            .map(|(from, to)| left(&mut pipes, from, to, DATA, 100));
        assert_eq!(times, [1_000, 2_000, 3_000, 4_000], "one after the other");
        assert_eq!(left(&mut pipes, 3, 0, DATA, 100), 100, "the way back is free, but for cards");
    }

    #[test]
    fn processes_of_one_machine_share_its_card_and_need_none_among_themselves() {
        let mut pipes = pipes();
        assert_eq!(left(&mut pipes, 0, 2, DATA, 500), 500);
        assert_eq!(left(&mut pipes, 1, 2, DATA, 500), 1_000, "the card of 0 and 1");
        assert_eq!(left(&mut pipes, 2, 1, DATA, 500), 500, "both directions at once");
        assert_eq!(left(&mut pipes, 3, 1, DATA, 500), 1_000, "what comes in shares it too");
        assert_eq!(left(&mut pipes, 0, 1, DATA, 1_000_000), 0);
        let ends = (Peer::Worker(0), Peer::Worker(1));
        let passage = pipes.pass(Instant(0), ends, DATA, 1).unwrap();
        assert_eq!((passage.latency, passage.jitter_max), (MACHINE_LATENCY, Duration::ZERO));
    }

    #[test]
    fn a_slow_pipe_keeps_no_card_busy() {
        let mut pipes = pipes();
        assert_eq!(left(&mut pipes, 2, 3, DATA, 500), 5_000);
        assert_eq!(left(&mut pipes, 2, 0, DATA, 500), 1_000, "behind 500 bytes of the card");
        assert_eq!(left(&mut pipes, 4, 3, DATA, 500), 1_000);
    }

    #[test]
    fn control_overtakes_data_on_every_resource() {
        let mut pipes = pipes();
        assert_eq!(left(&mut pipes, 2, 3, DATA, 500), 5_000);
        assert_eq!(left(&mut pipes, 2, 3, Stream::Control, 10), 100);
        assert_eq!(left(&mut pipes, 0, 4, Stream::Control, 10), 200, "behind other control");
        assert_eq!(left(&mut pipes, 0, 4, DATA, 100), 6_200, "data waits for all of it");
    }

    #[test]
    fn latency_is_that_of_the_pipe_or_of_the_local_network() {
        let mut pipes = pipes();
        let mut latency = |from, to| {
            let ends = (Peer::Worker(from), Peer::Worker(to));
            pipes.pass(Instant(0), ends, DATA, 1).unwrap().latency.as_millis()
        };
        assert_eq!([latency(0, 2), latency(0, 3), latency(3, 0)], [3, 70, 80]);
    }

    #[test]
    fn a_pipe_changes_from_then_on() {
        let mut pipes = pipes();
        assert_eq!(left(&mut pipes, 2, 3, DATA, 100), 1_000);
        pipes.reshape("a", "b", Wan::new(200, Duration::from_millis(5))).unwrap();
        assert_eq!(left(&mut pipes, 0, 4, DATA, 100), 1_500, "behind what was sent at 100 B/s");
        let ends = (Peer::Worker(2), Peer::Worker(4));
        let passage = pipes.pass(Instant(SECOND), ends, DATA, 1).unwrap();
        assert_eq!(passage.latency, Duration::from_millis(5));
    }

    #[test]
    fn sites_are_kept_apart_with_all_that_they_hold() {
        let mut pipes = pipes();
        let pairs = pipes.part("b", "a", Instant(9)).unwrap();
        assert_eq!(pairs.len(), 6);
        assert_eq!(pipes.part("a", "b", Instant(5)).unwrap().len(), 6);
        let until = |a, b| pipes.apart_until(Peer::Worker(a), Peer::Worker(b));
        assert_eq!([until(4, 0), until(0, 2), until(3, 4)], [Instant(9), Instant(0), Instant(0)]);
    }

    #[test]
    fn traffic_is_counted_by_sites_and_class() {
        let mut pipes = pipes();
        for (from, to, stream) in [(0, 3, DATA), (2, 4, Stream::Control), (0, 1, DATA)] {
            left(&mut pipes, from, to, stream, 7);
        }
        let traffic = pipes.site_traffic();
        let of = |from: &str, to: &str| {
            let traffic = traffic.get(&(from.into(), to.into()))?;
            Some((traffic.control_bytes, traffic.data_bytes, traffic.data_messages))
        };
        assert_eq!(of("a", "b"), Some((7, 7, 1)));
        assert_eq!((of("a", "a"), of("b", "a")), (Some((0, 7, 1)), None));
    }
}
