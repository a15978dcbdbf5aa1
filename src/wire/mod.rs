//! One message enum and its frames: everything that workers and servers say to each other.
//!
//! A frame is a header of 12 bytes and a payload, all little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 2 | magic `0xA2C1` |
//! | 1 | version of the format |
//! | 1 | kind: which [`Message`] |
//! | 4 | bytes of the payload |
//! | 4 | CRC-32 (IEEE) of kind, length and payload |
//!
//! This room neither sends nor receives bytes, and does not judge what a message means: it checks
//! shapes, the node checks origins, slots, ticks and finiteness.
//!
//! Invariants: I1 [`encode`] and [`decode`] are inverse, and every message has one encoding; I2
//! nothing in a frame can panic, loop, or allocate more than a small multiple of the frame's own
//! bytes (SPEC law 14); I3 no frame is longer than `frame_bytes_max`; I4 keys and ranges of
//! a list are strictly ascending; I5 the sizes of [`push_bytes`] and its sisters equal those of the
//! frames.

#[cfg(test)]
mod arbitrary;
mod catalog;
mod field;
mod frame;
mod keys;
mod layout;
mod message;
mod mirror;
mod payload;
mod pool;
mod positions;
mod ranges;
mod refusal;
#[cfg(test)]
mod tests;
mod trimmed;

pub use catalog::{CatalogRefusal, table_entry_bytes, terms_bytes};
pub use frame::{
    HEADER_BYTES, RowsSize, decode, decode_shared, encode, encode_shared, encoded_len,
    payload_bytes, pull_answer_bytes, pull_bytes, push_bytes, record_bytes_max, split, tick_bytes,
    tick_bytes_max,
};
pub use message::{Header, JoinGrant, Message, PullResult, PullRows, RowsNamed, TickTable};
pub use mirror::{Delta, MirrorMessage};
pub use payload::Payload;
pub use pool::{Pool, ROOM_ALIGNMENT, Room};
pub use positions::Positions;
pub use refusal::{Answer, Refusal};
pub use trimmed::Trimmed;
