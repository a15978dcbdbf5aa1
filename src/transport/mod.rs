//! Driver 2: servers and workers in processes of their own, over QUIC with mutual TLS.
//!
//! A server is [`Server::start`], a worker [`connect`]: it creates tables and groups over its
//! session and joins one. A process of several workers is a [`WorkerProcess`]. All processes are
//! given the same list of servers. The machines are those of [`node`](crate::node), as in the
//! simulator: this room only moves their messages. It knows neither policies nor values.
//!
//! One connection per pair of processes carries a link for every pair of their nodes; every message
//! travels on a stream of its link and kind (control ahead of data). Each process has one thread
//! for its socket and its nodes.
//!
//! Invariants: I1 nothing is read from a peer before TLS has proved its certificate, and no
//! message is taken before its role, data centre and list of servers were checked; I2 a
//! connection that is gone is made again, and only then the node sends again what is unanswered;
//! I3 a peer takes at most its share of memory, however slowly it reads: nothing more is read from
//! a worker for whom too much waits; I4 a peer that breaks the protocol loses its connection, and
//! nothing else happens; I5 no kind of message, and no flood of calls, starves the others.

mod caller;
mod carrier;
mod dialer;
mod hello;
mod identity;
mod inbox;
mod link;
mod lives;
mod meet;
mod outbox;
mod pace;
mod pump;
mod refusals;
mod server;
mod settings;
mod share;
mod status;
mod stream;
mod system;
mod tally;
mod tls;
mod worker;

pub use hello::{HELLO_BYTES, Hello};
pub use identity::{Identity, Role};
pub use server::{Server, ServerConfig, ServerHandle};
pub use status::{
    CopyStatus, DataCentreStatus, Handshakes, KindTraffic, LinkStatus, MirrorStatus, ServerStatus,
    TableStatus, Traffic, WayStatus,
};
pub use system::System;
pub use tls::Credentials;
pub use worker::{WorkerConfig, WorkerProcess, connect};

use crate::error::{Error, Result, TransportError};

/// A runtime for one thread: with several, quinn sends more and smaller batches.
fn runtime() -> Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| start_failed(&error))
}

fn start_failed(problem: &impl ToString) -> Error {
    let (what, problem) = ("thread of the process", problem.to_string());
    TransportError::Credentials { what, problem }.into()
}
