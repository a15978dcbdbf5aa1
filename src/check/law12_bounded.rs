//! Law 12: what a limit bounds stays within it.

use super::violation::{Found, Violation};
use crate::history::{Event, History};

/// Where something held exceeds its limit (SPEC law 12). The worker next in fold order is always
/// admitted, so a stash may exceed its bound by what that one worker holds: `stash_bytes_beyond`.
pub fn check_bounded(history: &History, stash_bytes_beyond: u64) -> Vec<Violation> {
    let mut found = Found::new(12);
    for record in history.records() {
        let Event::Held { what, count, limit } = &record.event else {
            continue;
        };
        let beyond = if *what == "stash_bytes" { stash_bytes_beyond } else { 0 };
        if *count > limit.saturating_add(beyond) {
            let node = record.node;
            found.add(record, format!("node {node} holds {count} {what}, the limit is {limit}"));
        }
    }
    found.done()
}
