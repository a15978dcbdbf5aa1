//! The operating system: real clock and entropy. Knows neither nodes nor policies.
