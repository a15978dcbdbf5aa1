//! What is wrong with bytes.

use crate::id::SlotIndex;

/// Bytes from a peer or a disk do not decode. Blame: the peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The bytes end too early.
    #[error("truncated: expected {expected} more bytes, found {found}")]
    Truncated {
        /// Bytes needed.
        expected: usize,
        /// Bytes left.
        found: usize,
    },
    /// The checksum does not match.
    #[error("checksum: expected {expected:#010x}, found {found:#010x}")]
    Checksum {
        /// The checksum in the frame.
        expected: u32,
        /// The checksum of the bytes.
        found: u32,
    },
    /// A field is above its limit.
    #[error("{field}: {found} is above the limit {limit}")]
    TooLarge {
        /// The field.
        field: &'static str,
        /// Its limit.
        limit: usize,
        /// What the bytes say.
        found: usize,
    },
    /// A field has no meaning.
    #[error("{field}: {found} has no meaning")]
    Malformed {
        /// The field.
        field: &'static str,
        /// What the bytes say.
        found: u64,
    },
    /// A request names a slot that this server does not own.
    #[error("{slot} is not owned here")]
    NotOwned {
        /// The slot.
        slot: SlotIndex,
    },
}
