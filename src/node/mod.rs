//! The protocol: sans-IO state machines. Input by method call, output polled; time and randomness
//! are arguments.

mod io;
pub mod keeper;
pub mod mirror;
pub mod plan;
pub mod registry;
pub mod sabotage;
pub mod server;
pub mod shard;
pub mod worker;

pub use io::{DATA_STREAMS, Input, Output, Peer, Stream};
pub use plan::Plan;
pub use registry::Registry;
