//! Driver 3: virtual time, links, faults, its own single-threaded executor.
