//! Recorded events of a run, for checkers of the laws; every driver can record one.
//!
//! A history says what happened, in the order in which its recorder saw it. It judges nothing:
//! `check` holds the predicates. It carries no values.
//!
//! Invariants: I1 at most `history_events_max` events are kept, the first ones; what did not fit is
//! flagged, never dropped silently (SPEC law 12); I2 equal histories have equal text and digest, on
//! every machine.

mod event;
mod record;
mod token;

pub use event::{BarrierEnd, Event, PolicyKind, WaitOutcome};
pub use record::{History, Record};
