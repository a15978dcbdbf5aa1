//! What goes wrong with the description of sites, machines and the pipes between them.

/// A topology of the simulator was described wrongly. Blame: the caller.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopologyError {
    /// A site is named that there is not.
    #[error("unknown site {site:?}; expected one of: {known}")]
    UnknownSite {
        /// The name that was asked for.
        site: String,
        /// The sites that there are.
        known: String,
    },
    /// A site needs a name.
    #[error("site number {index}, from 0, has an empty name: give it one")]
    UnnamedSite {
        /// Which site, in the order of their description.
        index: usize,
    },
    /// Two sites have one name.
    #[error("two sites are named {site:?}: names of sites are unique")]
    RepeatedSite {
        /// The name.
        site: String,
    },
    /// No pipe leads from one site to another.
    #[error("no pipe leads from {from:?} to {to:?}: every ordered pair of sites needs one")]
    MissingWan {
        /// Where the pipe begins.
        from: String,
        /// Where it ends.
        to: String,
    },
    /// A pipe or partition was described between a site and itself.
    #[error("{site:?} was named at both ends: pipes and partitions lie between different sites")]
    OneSite {
        /// The site.
        site: String,
    },
    /// Nothing could ever pass.
    #[error("{what} carries 0 bytes per second: expected at least 1")]
    ZeroRate {
        /// The pipe or card, in words.
        what: String,
    },
    /// A process was placed twice.
    #[error("{peer} was placed at {first:?} and again at {second:?}: place it once")]
    PlacedTwice {
        /// The process.
        peer: String,
        /// The site of its first place.
        first: String,
        /// The site of its second place, possibly the same.
        second: String,
    },
    /// A process of the cluster has no place.
    #[error("{peer} has no place: expected every server and worker on a machine of some site")]
    NotPlaced {
        /// The process.
        peer: String,
    },
    /// A fault names sites, and the cluster has none.
    #[error("a fault names site {site:?}, and the cluster has no topology: give it one")]
    NoTopology {
        /// The site named.
        site: String,
    },
}
