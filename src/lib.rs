//! Archipelago is a parameter store: models live in tables of (key, value-vector) rows; workers
//! pull and push ranges; consistency is a policy with an exact meaning.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod check;
pub mod clock;
pub mod codec;
pub mod consistency;
pub mod embed;
pub mod error;
mod extension;
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
pub mod vector;
pub mod wire;

pub use consistency::{Bsp, Eventual, Ssp};
pub use embed::Store;
pub use error::{Error, Result};
pub use extension::Extension;
pub use id::Tick;
pub use key::{KeyList, Selection};
pub use node::worker::{Blocking, PushOptions, Rows, Seen, Stamp, Worker};
pub use schedule::Schedule;
pub use spec::{AckLevel, Combine, FoldOrder, Hyper, Init, Layout, Table, TablePolicy, TableSpec};
pub use vector::rules;
