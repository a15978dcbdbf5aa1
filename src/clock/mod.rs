//! Clocks over ranges of keys (law 1), and the window of requests (law 2). Knows neither values
//! nor wall time.

mod range_clock;
mod window;
mod worker_ticks;

pub use range_clock::{ClockError, RangeClock};
pub use window::{Window, WindowCheck, WindowError};
