//! The engine of one shard: admit, window, fold, close, apply, clock. Synchronous, and the only
//! one: `embed` calls it under the shard's lock, `node::server` routes messages to it.
//!
//! The loop of its user: call a method; then [`poll`](Shard::poll) until it answers `Idle`, in as
//! small helpings as wanted, since a read forces the step of its own block; when
//! [`take_changed`](Shard::take_changed) answers true, try again what was told to wait.
//!
//! Laws 1, 2, 4, 5, 9 and 12 are kept here; it never sees a clock, a thread or an address.

mod course;
mod engine;
mod face;
mod gather;
mod mirroring;
mod part;
mod progress;
mod request;
mod rows;
mod times;
mod waited;

pub use engine::ShardEngine;
pub use face::{Changes, Place, Room, Shard, ShardStats, Work, digest_of, new_shard};
pub(in crate::node) use mirroring::goes_in_step;
pub use mirroring::{MirrorStanding, MirrorStats};
pub use request::{Chunk, PullOutcome, PullRequest, PushOutcome, PushRequest, ReadRows, RowsAsked};
pub use times::RoundTimes;
