//! What a script can do to a cluster.

use super::LinkProfile;
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
    /// Both directions of a link change.
    Link {
        /// One end.
        a: Peer,
        /// The other end.
        b: Peer,
        /// What it is like from then on.
        profile: LinkProfile,
    },
    /// Nothing goes wrong on any link from then on.
    Calm,
}
