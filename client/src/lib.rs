//! Workers of a remote cluster: what a training program links.
//!
//! A training function is written once, over [`Worker`]. In one process it runs over
//! `archipelago::Store`; here the same function runs against servers, over QUIC with mutual TLS.
//! A [`Client`] connects, finds or creates tables and groups, and joins. No async runtime is
//! needed: the connections live on threads of their own, and every call exists for plain threads
//! and for async programs, whatever their executor.
//!
//! ```no_run
//! use archipelago_client::{
//!     Bsp, Client, ClientConfig, Hyper, Init, Pem, Result, Schedule, TablePolicy, TableSpec,
//!     TensorMap, TensorSpec, Worker, prefetch, rules::Sgd,
//! };
//!
//! async fn train<W: Worker>(me: &W, model: &TensorMap) -> Result<()> {
//!     let (mut weight, mut bias) = (vec![0.0_f32; 640], vec![0.0_f32; 10]);
//!     for _ in 0..100 {
//!         let values = [("fc.weight", &mut weight[..]), ("fc.bias", &mut bias[..])];
//!         let read = prefetch(me, model.pull(me, values));
//!         // The next batch is loaded here, while the values travel.
//!         read.await?;
//!         let (slopes, of_bias) = (weight.clone(), bias.clone()); // the gradients
//!         model.push(me, [("fc.bias", &of_bias[..]), ("fc.weight", &slopes[..])]).await?;
//!         me.tick().await?;
//!     }
//!     me.finish().await
//! }
//!
//! # fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let servers = "ps0.example:7100,ps1.example:7100".parse()?;
//! let credentials = Pem::files("ca.pem", "worker.pem", "worker.key");
//! let client = Client::connect_blocking(ClientConfig::new(servers, credentials))?;
//! let noise = Init::Uniform { seed: 1, low: -0.1, high: 0.1 };
//! let tensors =
//!     [TensorSpec::new("fc.weight", [10, 64]).init(noise), TensorSpec::new("fc.bias", [10])];
//! let model = client.ensure_table_blocking(
//!     TableSpec::tensors("model", tensors).rule(Sgd),
//!     TablePolicy::local(Bsp),
//!     Hyper::rate(Schedule::Constant(0.1)),
//! )?;
//! let group = client.ensure_group_blocking("train", 1)?;
//! let me = client.join_blocking(group)?;
//! me.run(async |me| train(me, &TensorMap::of(&model)?).await)?;
//! # Ok(())
//! # }
//! ```
//!
//! # Tensors by name
//!
//! [`TableSpec::tensors`] describes a model: tensors with names, shapes and inits, in one dense
//! table. The description is kept by the servers. So every worker means the same rows by a name,
//! in whatever order its program names them, and a program with another model is refused with the
//! first tensor that differs. A process that knows none of it finds the table by
//! [`Client::tables`]. Models of several element types, or with several update rules, take a table
//! of each. Pulls and pushes check names, shapes and lengths before anything is sent: see
//! [`TensorMap`].
//!
//! # What travels while a worker computes
//!
//! * A *push* returns once its chunks are in the send window, and travels then: push each layer as
//!   soon as its gradient is there, and it travels while the next one is computed. At most
//!   [`INFLIGHT_BYTES_MAX`](archipelago::limits::INFLIGHT_BYTES_MAX) are under way at once; beyond
//!   it a push waits for room.
//! * A *pull* starts when it is first awaited; within [`prefetch`] it starts at once. It belongs to
//!   the tick at which it starts: start it after `tick`, await it before the next.
//!
//! Neither changes what is read: under `Bsp` the bits are the same.
//!
//! # Deadlines
//!
//! Every wait ends after [`ClientConfig::wait_deadline`]. A handle of
//! [`RemoteWorker::with_deadline`] has a tighter one, for single calls. Both end with an error that
//! says who had to act, at which tick and for what; the worker goes on, and the call may be
//! repeated.
//!
//! # Connections
//!
//! One [`Client`] is one thread, one socket and one connection to each server, for all workers that
//! it joins and all that it asks; from 64 of them on there is another connection for every 64. What
//! one worker leaves unread slows the others of its client down: a process that wants them apart
//! makes several clients.

mod client;
mod config;
mod pem;
mod servers;

pub use archipelago::embed::ThreadPark;
pub use archipelago::error::{self, Error, Result};
pub use archipelago::id::GroupId;
pub use archipelago::node::Registry;
pub use archipelago::node::worker::{
    Blocking, Named, Park, Prefetch, RemoteWorker, TensorMap, prefetch,
};
pub use archipelago::spec::{Shape, TensorSpec};
pub use archipelago::{
    AckLevel, Bsp, Combine, Eventual, Extension, Hyper, Init, KeyList, PushOptions, Schedule, Seen,
    Ssp, Stamp, Table, TablePolicy, TableSpec, Tick, Worker, rules,
};
pub use client::Client;
pub use config::ClientConfig;
pub use pem::Pem;
pub use servers::{ServerEntry, Servers, ServersError};
