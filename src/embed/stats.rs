//! What a store counts.

use crate::error::WaitFor;
use crate::node::shard::ShardStats;
use crate::sync::{AtomicU64, Ordering};
use crate::time::Duration;

/// Counters of a store since it was made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StoreStats {
    /// Per table, in order of creation.
    pub tables: Vec<TableStats>,
    /// Time spent waiting, by reason.
    pub waits: Vec<WaitStats>,
}

/// Counters of one table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableStats {
    /// The table's name.
    pub name: String,
    /// Bytes that all requests would have on the wire, as encoded by `wire`.
    pub bytes_up: u64,
    /// Bytes that all answers would have on the wire.
    pub bytes_down: u64,
    /// The sums over its shards (rounds: of the shard that closed most).
    pub shards: ShardStats,
}

/// Waits of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStats {
    /// What was waited for.
    pub what: WaitFor,
    /// How many waits have ended.
    pub count: u64,
    /// How long they lasted together.
    pub total: Duration,
}

impl StoreStats {
    /// Bytes of all requests.
    pub fn bytes_up(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes_up).sum()
    }

    /// Bytes of all answers.
    pub fn bytes_down(&self) -> u64 {
        self.tables.iter().map(|table| table.bytes_down).sum()
    }

    /// Time that all workers together have waited.
    pub fn waited(&self) -> Duration {
        self.waits.iter().map(|wait| wait.total).sum()
    }
}

/// Durations of waits, by kind.
#[derive(Debug, Default)]
pub(super) struct WaitCounters {
    kinds: [(AtomicU64, AtomicU64); KINDS.len()],
}

impl WaitCounters {
    pub(super) fn ended(&self, what: WaitFor, lasted: Duration) {
        let nanoseconds = u64::try_from(lasted.as_nanos()).unwrap_or(u64::MAX);
        if let Some(at) = KINDS.iter().position(|kind| *kind == what) {
            self.kinds[at].0.fetch_add(1, Ordering::Relaxed);
            self.kinds[at].1.fetch_add(nanoseconds, Ordering::Relaxed);
        }
    }

    pub(super) fn all(&self) -> Vec<WaitStats> {
        let counted = KINDS.iter().zip(&self.kinds).map(|(what, (count, nanoseconds))| WaitStats {
            what: *what,
            count: count.load(Ordering::Relaxed),
            total: Duration::from_nanos(nanoseconds.load(Ordering::Relaxed)),
        });
        counted.filter(|wait| wait.count > 0).collect()
    }
}

/// The waits that can happen in one process.
const KINDS: [WaitFor; 5] = [
    WaitFor::GroupForming,
    WaitFor::MemberTick,
    WaitFor::OwnPush,
    WaitFor::EarlierPush,
    WaitFor::StashFull,
];
