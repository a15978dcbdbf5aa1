//! Clocks over ranges of keys, and the window of requests. Knows neither values nor wall time.
