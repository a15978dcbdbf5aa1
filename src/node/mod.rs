//! The protocol: sans-IO state machines. Input by method call, output polled; time and randomness
//! are arguments.

pub mod worker;
