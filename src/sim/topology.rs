//! Where processes are and what they share: machines with a network card, sites, WAN pipes.
//!
//! Plain data, checked when it is built. It says nothing of what goes wrong: breaks and other
//! trouble stay with the connections ([`LinkProfile`](super::LinkProfile)).

use std::collections::BTreeMap;

use crate::error::TopologyError;
use crate::node::Peer;
use crate::time::Duration;

/// How long a message between two processes of one machine travels. No card is busy with it.
pub const MACHINE_LATENCY: Duration = Duration::from_micros(20);

/// A data centre: a local network, and machines with one network card each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name, unique and not empty.
    pub name: String,
    /// How long the first byte travels between two of its machines.
    pub latency: Duration,
    /// The most that chance adds to it.
    pub jitter_max: Duration,
    /// What the card of each of its machines sends, and what it receives at the same time.
    pub card_bytes_per_second: u64,
}

impl Site {
    /// Machines with cards of 1 Gbit/s each way, half a millisecond apart, with up to 0.3 ms of
    /// jitter.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            latency: Duration::from_micros(500),
            jitter_max: Duration::from_micros(300),
            card_bytes_per_second: 125_000_000,
        }
    }

    /// Sets the latency of the local network.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets the largest jitter of the local network.
    #[must_use]
    pub fn jitter_max(mut self, jitter: Duration) -> Self {
        self.jitter_max = jitter;
        self
    }

    /// Sets what a machine's card carries, each way.
    #[must_use]
    pub fn card_bytes_per_second(mut self, rate: u64) -> Self {
        self.card_bytes_per_second = rate;
        self
    }
}

/// The pipe from one site to another, which all traffic in that direction shares: whole messages in
/// the order of their sending, control ahead of data. So connections that send all the time get
/// equal parts of it, and a large push that is sent at once delays what others send after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wan {
    /// What it carries.
    pub bytes_per_second: u64,
    /// How long the first byte travels.
    pub latency: Duration,
    /// The most that chance adds to it.
    pub jitter_max: Duration,
}

impl Wan {
    /// A pipe without jitter.
    pub fn new(bytes_per_second: u64, latency: Duration) -> Self {
        Self { bytes_per_second, latency, jitter_max: Duration::ZERO }
    }

    /// Sets the largest jitter.
    #[must_use]
    pub fn jitter_max(mut self, jitter: Duration) -> Self {
        self.jitter_max = jitter;
        self
    }
}

/// The machine that a process sits on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Machine {
    /// Its site: an index into [`Topology::sites`].
    pub site: usize,
    /// Its number within the site, from 0.
    pub number: u32,
}

/// Sites, the pipes between them, and which machine each process sits on.
///
/// ```
/// use archipelago::id::ServerId;
/// use archipelago::node::Peer;
/// use archipelago::sim::{Site, Topology, Wan};
/// use archipelago::time::Duration;
///
/// let topology = Topology::builder()
///     .site(Site::new("Virginia"))
///     .site(Site::new("California"))
///     .wans("Virginia", "California", Wan::new(15_000_000, Duration::from_millis(30)))
///     .place(Peer::Server(ServerId(0)), "Virginia")
///     .place(Peer::Worker(0), "Virginia")
///     .colocate([Peer::Server(ServerId(1)), Peer::Worker(1)], "California")
///     .build()?;
/// let machine = topology.machine(Peer::Worker(1)).expect("it was placed");
/// assert_eq!(topology.sites()[machine.site].name, "California");
/// # Ok::<(), archipelago::error::TopologyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    sites: Vec<Site>,
    /// I1. One for every ordered pair of different sites.
    wans: BTreeMap<(usize, usize), Wan>,
    machines: BTreeMap<Peer, Machine>,
}

impl Topology {
    /// Describes a topology.
    pub fn builder() -> TopologyBuilder {
        TopologyBuilder::default()
    }

    /// The sites, in the order of their description.
    pub fn sites(&self) -> &[Site] {
        &self.sites
    }

    /// The index of a site.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn site(&self, name: &str) -> Result<usize, TopologyError> {
        index_of(&self.sites, name)
    }

    /// The pipe between two sites, by their indices; `None` within a site, or without such sites.
    pub fn wan(&self, from: usize, to: usize) -> Option<Wan> {
        self.wans.get(&(from, to)).copied()
    }

    /// The machine that a process sits on; `None` when it was not placed.
    pub fn machine(&self, peer: Peer) -> Option<Machine> {
        self.machines.get(&peer).copied()
    }

    /// The processes placed at a site, by its index.
    pub fn peers(&self, site: usize) -> impl Iterator<Item = Peer> + '_ {
        self.machines.iter().filter(move |(_, at)| at.site == site).map(|(peer, _)| *peer)
    }

    /// Changes the pipe between two different sites.
    pub(super) fn set_wan(&mut self, from: usize, to: usize, wan: Wan) {
        self.wans.insert((from, to), wan);
    }

    /// Two different sites, by their names.
    ///
    /// # Errors
    /// One of them is unknown, or both are the same.
    pub(super) fn between(&self, a: &str, b: &str) -> Result<(usize, usize), TopologyError> {
        between(&self.sites, a, b)
    }

    /// Checks that a process has a place.
    ///
    /// # Errors
    /// It has none.
    pub(super) fn check_placed(&self, peer: Peer) -> Result<(), TopologyError> {
        let missing = || TopologyError::NotPlaced { peer: peer.to_string() };
        self.machine(peer).map(drop).ok_or_else(missing)
    }
}

/// Describes a topology; [`build`](Self::build) checks it.
#[derive(Clone, Debug, Default)]
pub struct TopologyBuilder {
    sites: Vec<Site>,
    wans: Vec<(String, String, Wan)>,
    places: Vec<(Vec<Peer>, String)>,
}

impl TopologyBuilder {
    /// Adds a site.
    #[must_use]
    pub fn site(mut self, site: Site) -> Self {
        self.sites.push(site);
        self
    }

    /// Sets the pipe from one site to another; the last one that is set counts.
    #[must_use]
    pub fn wan(mut self, from: impl Into<String>, to: impl Into<String>, wan: Wan) -> Self {
        self.wans.push((from.into(), to.into(), wan));
        self
    }

    /// Sets the pipes between two sites, one each way, to be alike.
    #[must_use]
    pub fn wans(self, a: impl Into<String>, b: impl Into<String>, wan: Wan) -> Self {
        let (a, b) = (a.into(), b.into());
        self.wan(a.clone(), b.clone(), wan).wan(b, a, wan)
    }

    /// Places a process on the next machine of a site, which it has for itself.
    #[must_use]
    pub fn place(self, peer: Peer, site: impl Into<String>) -> Self {
        self.colocate([peer], site)
    }

    /// Places processes together on the next machine of a site: they share its card, and do not
    /// need it among themselves.
    #[must_use]
    pub fn colocate(
        mut self,
        peers: impl IntoIterator<Item = Peer>,
        site: impl Into<String>,
    ) -> Self {
        self.places.push((peers.into_iter().collect(), site.into()));
        self
    }

    /// Checks the whole description.
    ///
    /// Whether every process of a cluster has a place is checked when the cluster is built
    /// (servers) and run (workers); places of processes that it does not have are left unused.
    ///
    /// # Errors
    /// A site without a name or with another's; a pipe or place at an unknown site, a pipe from a
    /// site to itself, one that is missing or carries nothing, a card that carries nothing; a
    /// process that is placed twice.
    pub fn build(self) -> Result<Topology, TopologyError> {
        check_sites(&self.sites)?;
        let mut wans = BTreeMap::new();
        for (from, to, wan) in &self.wans {
            check_wan(from, to, wan)?;
            wans.insert(between(&self.sites, from, to)?, *wan);
        }
        for (from, a) in self.sites.iter().enumerate() {
            for (to, b) in self.sites.iter().enumerate() {
                if from != to && !wans.contains_key(&(from, to)) {
                    let (from, to) = (a.name.clone(), b.name.clone());
                    return Err(TopologyError::MissingWan { from, to });
                }
            }
        }
        let machines = machines(&self.sites, self.places)?;
        Ok(Topology { sites: self.sites, wans, machines })
    }
}

/// Checks what a pipe carries.
///
/// # Errors
/// Nothing.
pub(super) fn check_wan(from: &str, to: &str, wan: &Wan) -> Result<(), TopologyError> {
    check_rate(wan.bytes_per_second, || format!("the pipe from {from:?} to {to:?}"))
}

fn check_sites(sites: &[Site]) -> Result<(), TopologyError> {
    for (index, site) in sites.iter().enumerate() {
        if site.name.is_empty() {
            return Err(TopologyError::UnnamedSite { index });
        }
        if sites[..index].iter().any(|before| before.name == site.name) {
            return Err(TopologyError::RepeatedSite { site: site.name.clone() });
        }
        check_rate(site.card_bytes_per_second, || format!("a card at {:?}", site.name))?;
    }
    Ok(())
}

fn check_rate(rate: u64, what: impl FnOnce() -> String) -> Result<(), TopologyError> {
    if rate == 0 { Err(TopologyError::ZeroRate { what: what() }) } else { Ok(()) }
}

fn machines(
    sites: &[Site],
    places: Vec<(Vec<Peer>, String)>,
) -> Result<BTreeMap<Peer, Machine>, TopologyError> {
    let mut machines: BTreeMap<Peer, Machine> = BTreeMap::new();
    let mut counts = vec![0; sites.len()];
    for (peers, name) in places {
        let site = index_of(sites, &name)?;
        let machine = Machine { site, number: counts[site] };
        counts[site] += 1;
        for peer in peers {
            if let Some(first) = machines.insert(peer, machine) {
                let (peer, first) = (peer.to_string(), sites[first.site].name.clone());
                return Err(TopologyError::PlacedTwice { peer, first, second: name });
            }
        }
    }
    Ok(machines)
}

fn between(sites: &[Site], a: &str, b: &str) -> Result<(usize, usize), TopologyError> {
    let ends = (index_of(sites, a)?, index_of(sites, b)?);
    if ends.0 == ends.1 {
        return Err(TopologyError::OneSite { site: a.into() });
    }
    Ok(ends)
}

fn index_of(sites: &[Site], name: &str) -> Result<usize, TopologyError> {
    let unknown = || {
        let known: Vec<_> = sites.iter().map(|site| site.name.as_str()).collect();
        TopologyError::UnknownSite { site: name.into(), known: known.join(", ") }
    };
    sites.iter().position(|site| site.name == name).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::ServerId;

    fn two_sites() -> TopologyBuilder {
        Topology::builder()
            .site(Site::new("a"))
            .site(Site::new("b"))
            .wan("a", "b", Wan::new(1_000, Duration::from_millis(10)))
            .wan("b", "a", Wan::new(2_000, Duration::from_millis(20)))
    }

    #[test]
    fn machines_are_numbered_within_their_site() {
        let server = Peer::Server(ServerId(0));
        let topology = two_sites()
            .place(Peer::Worker(0), "a")
            .place(Peer::Worker(1), "b")
            .colocate([server, Peer::Worker(2)], "b")
            .build()
            .unwrap();
        let at = |peer| topology.machine(peer).map(|machine| (machine.site, machine.number));
        assert_eq!(at(Peer::Worker(0)), Some((0, 0)));
        assert_eq!(at(Peer::Worker(1)), Some((1, 0)));
        assert_eq!((at(server), at(Peer::Worker(2))), (Some((1, 1)), Some((1, 1))));
        assert_eq!(at(Peer::Worker(3)), None);
        assert_eq!(
            topology.peers(1).collect::<Vec<_>>(),
            [server, Peer::Worker(1), Peer::Worker(2)]
        );
        assert_eq!(topology.wan(1, 0).map(|wan| wan.bytes_per_second), Some(2_000));
        assert_eq!((topology.wan(0, 0), topology.wan(0, 2)), (None, None));
    }

    #[test]
    fn a_wrong_description_is_refused_and_says_why() {
        let said = |builder: TopologyBuilder, expected: &str| {
            let error = builder.build().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let wan = Wan::new(1, Duration::ZERO);
        said(two_sites().site(Site::new("")), "site number 2, from 0, has an empty name");
        said(two_sites().site(Site::new("a")), "two sites are named \"a\"");
        said(two_sites().site(Site::new("c")), "no pipe leads from \"a\" to \"c\"");
        let one_way = two_sites().site(Site::new("c")).wan("a", "c", wan).wans("b", "c", wan);
        said(one_way, "no pipe leads from \"c\" to \"a\"");
        said(two_sites().wan("a", "x", wan), "unknown site \"x\"; expected one of: a, b");
        said(two_sites().wan("a", "a", wan), "\"a\" was named at both ends");
        let nothing = Wan::new(0, Duration::ZERO);
        said(two_sites().wan("b", "a", nothing), "the pipe from \"b\" to \"a\" carries 0 bytes");
        let slow = Site::new("c").card_bytes_per_second(0);
        said(two_sites().site(slow), "a card at \"c\" carries 0 bytes");
        said(two_sites().place(Peer::Worker(0), "x"), "unknown site \"x\"");
        let twice = two_sites().place(Peer::Worker(0), "a").place(Peer::Worker(0), "b");
        said(twice, "worker process 0 was placed at \"a\" and again at \"b\"");
        let together = two_sites().colocate([Peer::Worker(0), Peer::Worker(0)], "a");
        said(together, "again at \"a\"");
    }
}
