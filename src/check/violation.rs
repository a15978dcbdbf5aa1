//! A broken law at one place of a history.

use std::fmt;

use crate::history::{History, Record};
use crate::time::Instant;

/// A law of SPEC section 4, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Law(pub u8);

/// Where a history breaks a law.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which law.
    pub law: Law,
    /// When.
    pub at: Instant,
    /// What was found, and what was expected.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "law {} at {} ns: {}", self.law.0, self.at.0, self.what)
    }
}

/// Violations found so far, of one law.
#[derive(Debug)]
pub(super) struct Found {
    law: Law,
    found: Vec<Violation>,
}

impl Found {
    pub(super) fn new(law: u8) -> Self {
        Self { law: Law(law), found: Vec::new() }
    }

    pub(super) fn add(&mut self, record: &Record, what: String) {
        self.add_at(record.at, what);
    }

    pub(super) fn add_at(&mut self, at: Instant, what: String) {
        self.found.push(Violation { law: self.law, at, what });
    }

    pub(super) fn done(self) -> Vec<Violation> {
        self.found
    }
}

/// What is missing cannot be judged.
pub(super) fn truncated(history: &History) -> Vec<Violation> {
    let mut found = Found::new(12);
    if history.truncated() {
        let at = history.records().last().map_or(Instant::EPOCH, |record| record.at);
        found.add_at(at, "the history is full, later events are missing".into());
    }
    found.done()
}
