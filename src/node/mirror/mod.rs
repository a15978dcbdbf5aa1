//! Mirrors: how the copies of one table's shard in several data centres keep each other up to date
//! (Gaia, NSDI'17, section 4; the laws are SPEC 4, 6, 7, 8 and 9).
//!
//! What a pass over the residuals, or the close of a round, has for others goes into a lane for
//! each server elsewhere that owns the same slot. Deltas are additive: what waits for a busy or
//! broken link adds up in its lane, so that a backlog takes at most one table's size, and a data
//! centre that comes back catches up from there. Everything that waits has a mark; the mirror
//! clock names the last mark of each slot, and so may travel ahead of the data that it covers. So
//! may a barrier.
//!
//! In groups of data centres (`placement::Overlay`) a server tells the members of its own group for
//! itself; a hub also tells another group's hub for its whole group, and its members for that
//! group. What it relays passes no filter again, goes into lanes as what it gains itself does, and
//! ahead of the clock: that of a group is the least of its members', and is told once it advances
//! (law 8). Of those that do not count with it a hub says nothing, so that others lose them too.
//!
//! Where copies go in step, what others tell of a tick is stashed until all have told of it, and
//! then taken in order of the data centres: values do not depend on the links at all.
//!
//! Invariants: I1 updates of a slot from one sender are numbered without gaps, confirmed, repeated
//! after a break, and taken once, in order (law 7); I2 marks of a slot are told in order, and with
//! the last update of a mark everything up to it has been told (law 8); I3 a lane holds at most one
//! entry for each block or sparse slot and, in step with somebody who is waited for, for two ticks
//! of each, and a stash holds of one sender's next two ticks what an honest one has to tell of a
//! dense shard (law 12); I4 a clock names the marks that it covers and no others, so that one that
//! was lost is noticed by the next (law 8); I5 what is told of a tick that is being settled, or
//! was, is late: it is not held (law 7); I6 values at the end leave as updates do, each piece
//! copied when there is room for it, and under way until it has come (law 12); I7 of a round a
//! lane tells all aggregates and their weight, or neither, and the weight on each connection until
//! it is known to have come (law 4).

mod barriers;
mod clocks;
mod delta;
mod lane;
mod neighbour;
mod pieces;
mod place;
mod source;
mod stash;
#[cfg(test)]
mod tests;
mod values;

pub(in crate::node) use clocks::Clock;
pub(in crate::node) use delta::{check, compact, expanded};
pub(in crate::node) use lane::{Lane, Place};
pub use lane::{Letter, Told};
pub(in crate::node) use neighbour::Neighbour;
pub(in crate::node) use pieces::Pieces;
pub(in crate::node) use place::LineId;
pub use place::{Owners, Ways};
pub use source::Standing;
pub(in crate::node) use source::{News, Seen, Source, Taken};
pub(in crate::node) use stash::{Room, Stash};
pub(in crate::node) use values::Behind;
