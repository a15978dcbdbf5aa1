//! The protocol: sans-IO state machines. Input by method call, output polled; time and randomness
//! are arguments.

pub mod keeper;
pub mod registry;
pub mod sabotage;
pub mod shard;
pub mod worker;

pub use registry::Registry;
