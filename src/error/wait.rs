//! What a request waits for, and why a wait ended.

use std::fmt;
use std::time::Duration;

use crate::id::{DataCentre, Rank, ServerId, Tick};
use crate::time::Instant;

/// A wait ended without its state being reached. Blame: circumstance; a retry is safe (law 2).
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum WaitError {
    /// The caller's deadline came first.
    #[error("deadline after {}: {reason}; a retry is safe", Seconds(*waited))]
    Deadline {
        /// What the wait was for.
        reason: WaitReason,
        /// How long it lasted.
        waited: Duration,
    },
    /// A push reached its deadline between two chunks.
    #[error(
        "push interrupted after {}: {reason}; rows before key {first} are applied, push the \
         others again", Seconds(*waited)
    )]
    Interrupted {
        /// What the wait was for.
        reason: WaitReason,
        /// How long it lasted.
        waited: Duration,
        /// The first key that was not pushed.
        first: u64,
    },
    /// Whatever was waited for can no longer happen.
    #[error("the wait's owner is lost: {reason}; a retry is safe")]
    OwnerLost {
        /// What the wait was for.
        reason: WaitReason,
    },
    /// The server that has to answer cannot be reached.
    #[error(
        "{server} has been away for {}: look whether it runs and can be reached; a retry is safe",
        Seconds(*away)
    )]
    ServerDown {
        /// The server.
        server: ServerId,
        /// For how long.
        away: Duration,
    },
}

/// What a request waits for: who has to do what, and since when it waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitReason {
    /// Who has to act, as far as one worker can be named.
    pub who: Option<Rank>,
    /// The tick that has to be reached.
    pub tick: Tick,
    /// When the wait began.
    pub since: Instant,
    /// What has to happen.
    pub what: WaitFor,
}

/// The kinds of waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum WaitFor {
    /// The group still lacks members: nobody reads before all have joined.
    GroupForming,
    /// A member's tick has to be counted (Bsp: the round has to close).
    MemberTick,
    /// The reader's own earlier push has to arrive.
    OwnPush,
    /// An earlier push of the same origin to the same slot has to arrive.
    EarlierPush,
    /// The stash is full and other workers come first in fold order.
    StashFull,
    /// A policy begins with the tick of the request: the last tick before it has to be counted.
    PolicyChange,
    /// The send window is full.
    SendWindow,
    /// Rounds that have closed have to be applied to all rows of the shard.
    CloseSteps,
    /// An answer is under way.
    Answer,
    /// A server has to confirm what was created or changed, before anybody is told of a table or
    /// group, or may come to a table's change.
    Confirmation {
        /// The server.
        server: ServerId,
    },
    /// The mirror clock of another data centre has to show the tick.
    MirrorClock {
        /// The data centre furthest behind.
        data_centre: DataCentre,
    },
    /// Another data centre has announced significant updates of the keys, which have to arrive.
    Barrier {
        /// The data centre.
        data_centre: DataCentre,
    },
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.who {
            Some(rank) if self.what == WaitFor::GroupForming => {
                let all = "members join in order, and all of them before anyone reads";
                write!(f, "waits for {rank} to join the group ({all})")?;
            },
            Some(rank) => write!(f, "waits for {} of {rank}", self.what)?,
            None => write!(f, "waits for {}", self.what)?,
        }
        write!(f, " at {}", self.tick)
    }
}

impl fmt::Display for WaitFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MirrorClock { data_centre } => {
                return write!(f, "the mirror clock of {data_centre}");
            },
            Self::Barrier { data_centre } => {
                return write!(f, "significant updates that {data_centre} has announced");
            },
            Self::Confirmation { server } => {
                return write!(f, "{server} to confirm what was created or changed");
            },
            Self::GroupForming => "the group's members to join",
            Self::MemberTick => "the tick",
            Self::OwnPush => "an own push",
            Self::EarlierPush => "an earlier push to the same slot",
            Self::StashFull => "room in the stash",
            Self::PolicyChange => "the last tick before a change of policy",
            Self::SendWindow => "room in the send window",
            Self::CloseSteps => "closed rounds to be applied",
            Self::Answer => "an answer",
        })
    }
}

struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3} s", self.0.as_secs_f64())
    }
}
