//! Law 12: what a limit bounds stays within it.

use super::violation::{Found, Violation};
use crate::history::{Event, History};

/// Where something held exceeds its limit (SPEC law 12). Of a stash only what its bound speaks of
/// is recorded: the worker next in fold order is always admitted.
pub fn check_bounded(history: &History) -> Vec<Violation> {
    let mut found = Found::new(12);
    for record in history.records() {
        let Event::Held { what, count, limit } = &record.event else {
            continue;
        };
        if count > limit {
            let node = record.node;
            found.add(record, format!("node {node} holds {count} {what}, the limit is {limit}"));
        }
    }
    found.done()
}
