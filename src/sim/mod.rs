//! Driver 3: the shipping state machines in virtual time, over modelled links, with faults.
//!
//! One seed names one run: time, links, faults and the order in which tasks are polled are
//! functions of it, so that a run can be repeated event by event. Every message passes encode,
//! bytes and decode. It models processes and connections, not packets; disks are planned. Each
//! connection has a bandwidth of its own or, under a [`Topology`], its share of network cards and
//! of the pipes between sites.
//!
//! Invariants: I1 virtual time never runs backwards, and events of one time happen in the order of
//! their scheduling; I2 a stream of an unbroken connection keeps its order; I3 whatever a
//! connection loses, it breaks within a bounded time after, and both ends are told when it is back;
//! I4 each source of chance has a stream of its own under the seed.

mod cluster;
mod connection;
mod ending;
mod executor;
mod fault;
mod horizon;
mod net;
mod outcome;
mod pipes;
mod plans;
mod process;
mod profile;
mod queue;
mod run;
mod sample;
mod step;
mod topology;

pub use cluster::{Builder, Cluster};
pub use fault::Fault;
pub use net::Traffic;
pub use outcome::{End, Outcome, TableAtServer, TableOutcome};
pub use profile::{LinkProfile, Trouble};
pub use sample::Sample;
pub use topology::{MACHINE_LATENCY, Machine, Site, Topology, TopologyBuilder, Wan};
