//! The server node: routes messages to the engines of its shards, and keeps groups.
//!
//! Sans-IO: see the loop in [`node`](crate::node). It owns no policy and no meaning: what is
//! admitted, gathered or refused is the engine's answer; what a group's record says is the
//! keeper's. Its own work is to remember who waits, and to try again when a shard has changed.
//!
//! What is created while the cluster runs is in the module `catalog`.
//!
//! Invariants: I1 a request that waits is held at most once per (origin, sequence); I2 of a
//! deferred push only its name is held, the data stays at the worker; I3 no step touches more
//! than one block (laws 9 and 12).

mod catalog;
mod groups;
mod links;
mod made;
mod node;
mod roll;
mod standing;
mod typed;
mod waiting;
mod withheld;

pub use node::{ServerNode, ServerOptions};
pub use standing::{Awaited, GroupStanding, Standing, WaitStanding};
