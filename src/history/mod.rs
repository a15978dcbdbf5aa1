//! Recorded events of a run.
