//! Driver 1: the store in this process. One lock per shard, no server, no async runtime.
//!
//! A table's slots are cut into as many shards as the store was told to use; each is the same
//! engine that a server runs, behind a mutex. Values and state do not depend on that number
//! (law 4). Workers wait by parking a waker at the shard; deadlines need one thread per store,
//! started by the first wait.

mod changing;
mod group;
mod held;
mod park;
mod parked;
mod recorder;
mod stats;
mod store;
mod timer;
mod worker;

pub use group::Group;
pub use park::ThreadPark;
pub use stats::{StoreStats, TableStats, WaitStats};
pub use store::{Config, Store};
pub use worker::EmbedWorker;
