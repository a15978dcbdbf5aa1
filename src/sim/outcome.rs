//! What is known after a run.

use std::collections::BTreeMap;

use super::net::Traffic;
use crate::error::{Error, Result};
use crate::history::History;
use crate::id::{DataCentre, ServerId};
use crate::node::Peer;
use crate::node::shard::{MirrorStats, ShardStats};
use crate::time::Instant;

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Every worker has returned or crashed.
    Done,
    /// The virtual deadline came first.
    Deadline,
    /// The limit of events came first.
    EventLimit,
    /// Nothing was left to happen, and somebody still waited.
    Stuck,
}

/// Everything that a run has left.
#[derive(Debug)]
pub struct Outcome<R> {
    /// How it ended.
    pub end: End,
    /// The result of every worker by token; `None` when it crashed or had not returned.
    pub results: Vec<Option<Result<R>>>,
    /// Who had not ended, and what it waited for, in words.
    pub waiting: Vec<String>,
    /// What happened, when it was recorded. Servers are the nodes 0 .. n of it, workers follow.
    pub history: History,
    /// The data centre of each of those nodes, by number.
    pub data_centres: Vec<DataCentre>,
    /// When the last worker had returned or crashed.
    pub ended: Instant,
    /// The virtual time at the end, when also what was under way then has come.
    pub time: Instant,
    /// Events that the run took.
    pub events: u64,
    /// Traffic by (from, to).
    pub traffic: BTreeMap<(Peer, Peer), Traffic>,
    /// Traffic by the names of sites, (from, to), that of a site within itself included; empty
    /// without a topology. The sum is that of `traffic`.
    pub site_traffic: BTreeMap<(String, String), Traffic>,
    /// How often a fault has hit a step of the protocol, by (fault, step).
    pub cells: BTreeMap<(&'static str, &'static str), u64>,
    /// The tables at the end.
    pub tables: Vec<TableOutcome>,
    /// What went wrong inside the simulator or the nodes: always a defect.
    pub defects: Vec<String>,
}

/// One table at the end.
#[derive(Clone, Debug, PartialEq)]
pub struct TableOutcome {
    /// The data centre that holds this copy.
    pub data_centre: DataCentre,
    /// Its name.
    pub name: String,
    /// The digest of all values and state, as [`Store::digest`](crate::Store) computes it.
    pub digest: u128,
    /// The digest of all values alone: equal where copies are.
    pub values: u128,
    /// Its shards.
    pub servers: Vec<TableAtServer>,
}

/// One shard at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableAtServer {
    /// Whose.
    pub server: ServerId,
    /// How many slots it owns.
    pub slots: usize,
    /// Its counters.
    pub stats: ShardStats,
    /// What has crossed to and from other data centres; `None` where nothing does.
    pub mirror: Option<MirrorStats>,
}

impl<R> Outcome<R> {
    /// The bytes of all messages.
    pub fn bytes(&self) -> u64 {
        self.traffic.values().map(Traffic::bytes).sum()
    }

    /// What a site has sent to others, or all sites where none is named.
    pub fn sent_abroad(&self, site: Option<&str>) -> Traffic {
        let counted = |from: &str, to: &str| from != to && site.is_none_or(|site| site == from);
        let ways = self.site_traffic.iter();
        ways.filter(|((from, to), _)| counted(from, to)).map(|(_, traffic)| traffic).sum()
    }

    /// The errors of the workers that returned one, by token.
    pub fn errors(&self) -> impl Iterator<Item = (usize, &Error)> {
        let all = self.results.iter().enumerate();
        all.filter_map(|(token, result)| Some((token, result.as_ref()?.as_ref().err()?)))
    }

    /// Whether all ended, nobody with an error, and without a defect.
    pub fn is_good(&self) -> bool {
        self.end == End::Done && self.defects.is_empty() && self.errors().next().is_none()
    }

    /// Who waits or failed, for the message of a test.
    pub fn report(&self) -> String {
        let failed = self.errors().map(|(token, error)| format!("worker {token}: {error}"));
        let lines: Vec<_> = failed
            .chain(self.waiting.iter().cloned())
            .chain(self.defects.iter().cloned())
            .collect();
        format!(
            "{:?} at {} ns after {} events\n{}",
            self.end,
            self.time.0,
            self.events,
            lines.join("\n")
        )
    }
}
