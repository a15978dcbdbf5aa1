//! The trait of local policies: which reads are served when, and when a round closes.

use std::fmt::Debug;

use crate::extension::Extension;
use crate::id::{Rank, Tick};
use crate::time::Instant;

/// What a policy may know about a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadView {
    /// The tick that the reader reads at.
    pub tick: Tick,
    /// The member furthest behind in the keys read, and its last tick counted there; `None` when
    /// the group has no members left.
    pub slowest: Option<(Tick, Rank)>,
    /// The last round closed at the shard; stays 0 unless the policy gathers.
    pub closed: Tick,
    /// The driver's time.
    pub now: Instant,
}

/// What a policy may know about an open round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoundView {
    /// The round, named by the tick of the pushes in it.
    pub round: Tick,
    /// The member furthest behind in the whole shard, and its last tick counted there.
    pub slowest: Option<(Tick, Rank)>,
    /// The driver's time.
    pub now: Instant,
}

/// Whether a read is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admit {
    /// Now.
    Serve,
    /// Once `who` has ticked `tick`.
    Wait {
        /// The member furthest behind.
        who: Option<Rank>,
        /// The tick it has to reach.
        tick: Tick,
    },
    /// Never: what it asked for has been overwritten.
    Refuse {
        /// The earliest tick that can still be read at.
        earliest: Tick,
    },
}

/// One consistency model. Stateless code; one file per model. A suite that outside policies can run
/// is planned; until then read the laws of SPEC section 4 that name a policy, and test against them
/// in the simulator.
///
/// The mechanism itself guarantees, under every policy: exactly once (law 2), order within a slot
/// for one origin, and that a reader sees its own earlier pushes.
///
/// ```
/// use archipelago::consistency::{Admit, LocalPolicy, ReadView};
/// use archipelago::{Extension, Tick};
///
/// /// Every tenth tick everybody waits for everybody; in between nobody does.
/// #[derive(Debug)]
/// struct EveryTenth;
///
/// impl LocalPolicy for EveryTenth {
///     fn extension(&self) -> Extension {
///         Extension::new("every-tenth/1")
///     }
///     fn admit(&self, read: &ReadView) -> Admit {
///         let needed = Tick(read.tick.back(1).0 / 10 * 10);
///         match read.slowest {
///             Some((tick, rank)) if tick < needed => {
///                 Admit::Wait { who: Some(rank), tick: needed }
///             },
///             _ => Admit::Serve,
///         }
///     }
/// }
/// ```
pub trait LocalPolicy: Debug + Send + Sync {
    /// The name and parameters under which a table policy names this one.
    fn extension(&self) -> Extension;

    /// Is this read served now?
    fn admit(&self, read: &ReadView) -> Admit;

    /// Whether pushes are gathered until their round closes. Otherwise each push is a round.
    fn gathers(&self) -> bool {
        false
    }

    /// Is the round complete? Asked only when the policy gathers, and never for a round that a
    /// member may still push to.
    fn close(&self, round: &RoundView) -> bool {
        round.slowest.is_some_and(|(tick, _)| tick >= round.round)
    }
}
