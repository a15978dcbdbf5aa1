//! What goes wrong between processes.

use super::Blame;
use crate::id::ServerId;

/// A peer cannot be reached, or is not who it should be.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    /// A certificate, key or revocation list is of no use.
    #[error("{what}: {problem}")]
    Credentials {
        /// Which text.
        what: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// A certificate or flag does not say who a process is.
    #[error("expected {expected}, found {found:?}")]
    Identity {
        /// What it should say.
        expected: &'static str,
        /// What it says.
        found: String,
    },
    /// The socket cannot be opened.
    #[error("cannot bind {address}: {problem}")]
    Bind {
        /// The address asked for.
        address: String,
        /// What the system said.
        problem: String,
    },
    /// No connection, or the one there was is gone. It is made again by itself.
    #[error("{peer} at {address}: {problem}")]
    Unreachable {
        /// Who.
        peer: String,
        /// Where.
        address: String,
        /// What happened.
        problem: String,
    },
    /// A server was started again while others reckoned with what it held.
    #[error(
        "{server} was started again and has lost its tables: start all servers again, then train \
         from the beginning"
    )]
    Restarted {
        /// The server.
        server: ServerId,
    },
    /// One side does not accept the other. Trying again does not help.
    #[error("{peer} refused: {reason}")]
    Refused {
        /// Who was refused, or who refused.
        peer: String,
        /// Why.
        reason: String,
    },
}

impl TransportError {
    pub(super) fn blame(&self) -> Blame {
        match self {
            Self::Credentials { .. } | Self::Identity { .. } | Self::Bind { .. } => Blame::Caller,
            Self::Unreachable { .. } => Blame::Circumstance,
            Self::Refused { .. } | Self::Restarted { .. } => Blame::Peer,
        }
    }
}
