//! The operating system: the real clock and entropy. Knows neither nodes nor policies. Files and
//! maps arrive with the log and segments.

mod clock;

pub use clock::Clock;
