//! What a script can do to a cluster.

use super::LinkProfile;
use super::topology::{Topology, Wan, check_wan};
use crate::error::TopologyError;
use crate::id::ServerId;
use crate::node::Peer;
use crate::time::Duration;

/// One scripted fault.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// The connection between two processes breaks; it comes back as its profile says.
    Break {
        /// One end.
        a: Peer,
        /// The other end.
        b: Peer,
    },
    /// Nothing passes between two sets of processes for a while.
    Partition {
        /// One side.
        a: Vec<Peer>,
        /// The other side.
        b: Vec<Peer>,
        /// How long.
        lasts: Duration,
    },
    /// A worker's process ends in the middle of what it does. When it is not silent, every server
    /// is told after the detection delay; else its silence alone tells.
    Crash {
        /// Its token.
        worker: u64,
        /// Whether nobody is told.
        silent: bool,
    },
    /// A worker's process stands still for a while, and then goes on.
    Pause {
        /// Its token.
        worker: u64,
        /// How long.
        lasts: Duration,
    },
    /// A server's process stops for good, silently: nothing reaches it any more, and it says
    /// nothing.
    Stop {
        /// Its number.
        server: ServerId,
    },
    /// Both directions of a link change. Under a topology the link gets this delay instead of the
    /// topology's, and this bandwidth beside what it shares.
    Link {
        /// One end.
        a: Peer,
        /// The other end.
        b: Peer,
        /// What it is like from then on.
        profile: LinkProfile,
    },
    /// The pipe from one site to another changes; what is under way keeps its time.
    Wan {
        /// The name of the site where it begins.
        from: String,
        /// The name of the site where it ends.
        to: String,
        /// What it is like from then on.
        wan: Wan,
    },
    /// Nothing passes between two sites for a while, whatever starts there meanwhile.
    Apart {
        /// The name of one site.
        a: String,
        /// The name of the other.
        b: String,
        /// How long.
        lasts: Duration,
    },
    /// Nothing goes wrong on any link from then on.
    Calm,
}

impl Fault {
    /// Checks the sites that it names.
    ///
    /// # Errors
    /// There is no topology, or no such sites, or both are one; or the pipe would carry nothing.
    pub(super) fn check(&self, topology: Option<&Topology>) -> Result<(), TopologyError> {
        let (a, b) = match self {
            Self::Wan { from, to, wan } => {
                check_wan(from, to, wan)?;
                (from, to)
            },
            Self::Apart { a, b, .. } => (a, b),
            Self::Break { .. }
            | Self::Partition { .. }
            | Self::Crash { .. }
            | Self::Pause { .. }
            | Self::Stop { .. }
            | Self::Link { .. }
            | Self::Calm => return Ok(()),
        };
        let missing = || TopologyError::NoTopology { site: a.clone() };
        topology.ok_or_else(missing)?.between(a, b).map(drop)
    }
}
