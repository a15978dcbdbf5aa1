//! Archipelago is a parameter store: models live in tables of (key, value-vector) rows; workers
//! pull and push ranges; how far they may drift apart is a policy with an exact meaning.
//!
//! ```
//! use archipelago::{Bsp, Hyper, Result, Schedule, Store, Table, TablePolicy, TableSpec, Worker};
//! use archipelago::rules::Sgd;
//!
//! /// One worker's part, for every driver: threads here, servers, the simulator.
//! async fn train<W: Worker>(me: &W, w: &Table, target: f32) -> Result<()> {
//!     let mut x = [0.0_f32; 8];
//!     for _ in 0..50 {
//!         me.pull(w, .., &mut x).await?;
//!         let gradient = x.map(|x| x - target);
//!         me.push(w, .., &gradient).await?;
//!         me.tick().await?;
//!     }
//!     me.finish().await
//! }
//!
//! let store = Store::in_memory();
//! let spec = TableSpec::dense("w", 8).rule(Sgd);
//! let hyper = Hyper::rate(Schedule::Constant(0.2));
//! let w = store.ensure_table(spec, TablePolicy::local(Bsp), hyper)?;
//! let group = store.group("train", 2)?;
//! std::thread::scope(|scope| {
//!     for target in [1.0, 3.0] {
//!         let (me, w) = (group.join_blocking()?, &w);
//!         scope.spawn(move || me.run(async |me| train(me, w, target).await));
//!     }
//!     Ok::<(), archipelago::Error>(())
//! })?;
//! let mut x = [0.0_f32; 8];
//! store.read(&w, .., &mut x)?;
//! assert!((x[0] - 2.0).abs() < 1e-5, "between both targets");
//! # Ok::<(), archipelago::Error>(())
//! ```
//!
//! # What it is, and what it is not
//!
//! * [`Store`] is the store in this process: no server, no async runtime. The simulator (feature
//!   `sim`) runs the same engine behind servers in virtual time, `transport` (feature `quic`)
//!   over QUIC.
//! * [`Worker`] is what a training function sees. [`TableSpec`] says what a table is,
//!   [`TablePolicy`] how it behaves, [`Hyper`] the numbers that change while it is trained.
//! * A policy ([`Bsp`], [`Ssp`], [`Eventual`] or a user's own) decides; mechanism acts: see
//!   [`consistency`]. An update rule ([`rules`] or a user's own) turns an aggregate into values.
//! * It is not an array library and not a training framework: it takes plain slices.
//!
//! Every limit is in [`limits`]. What each operation promises, law by law, is in `SPEC.md`; how
//! the rooms of the house depend on each other is in `ARCHITECTURE.md`, and `tests/tidy.rs` keeps
//! it so.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod check;
pub mod clock;
pub mod codec;
pub mod consistency;
pub mod embed;
pub mod error;
mod extension;
pub mod filter;
pub mod history;
pub mod id;
pub mod key;
pub mod limits;
pub mod node;
pub mod os;
pub mod placement;
pub mod rng;
mod schedule;
#[cfg(feature = "sim")]
pub mod sim;
pub mod spec;
pub mod store;
pub mod sync;
pub mod time;
#[cfg(feature = "quic")]
pub mod transport;
pub mod vector;
pub mod wire;

pub use consistency::{Asp, Bsp, Eventual, Off, Ssp};
pub use embed::Store;
pub use error::{Error, Result};
pub use extension::Extension;
pub use id::Tick;
pub use key::{KeyList, Selection};
pub use node::worker::{Blocking, PushOptions, Rows, Seen, Stamp, Worker};
pub use schedule::Schedule;
pub use spec::{
    AckLevel, Combine, FoldOrder, Hyper, Init, Layout, Table, TableChange, TablePolicy, TableSpec,
};
pub use vector::rules;

/// The examples of the README, as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
