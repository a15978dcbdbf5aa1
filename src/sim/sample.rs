//! Looks at a run while it goes on, which it does not notice.

use std::collections::BTreeMap;
use std::fmt;

use super::net::Net;
use super::pipes::Pipes;
use super::process::ServerProcess;
use crate::id::{ServerId, TableId};
use crate::node::shard::MirrorStanding;
use crate::time::{Duration, Instant};
use crate::vector::Element;

/// What is called with each sample.
type Look<'a> = Box<dyn FnMut(Sample<'_>) + 'a>;

/// A moment of a run, to be looked at by [`Cluster::sample`](super::Cluster::sample).
#[derive(Debug)]
pub struct Sample<'a> {
    /// The virtual time.
    pub time: Instant,
    servers: &'a mut [ServerProcess],
    net: &'a Net,
    defects: &'a mut Vec<String>,
}

impl Sample<'_> {
    /// Bytes of all messages sent so far from one site to another.
    pub fn wan_bytes(&self) -> u64 {
        let pipes = self.net.pipes.iter().flat_map(Pipes::site_traffic);
        let abroad = pipes.filter(|((from, to), _)| from != to);
        abroad.map(|(_, traffic)| traffic.bytes()).sum()
    }

    /// How a table's shard at a server stands to other data centres; `None` where the table is not
    /// mirrored.
    pub fn mirror_standing(&self, server: ServerId, table: TableId) -> Option<MirrorStanding> {
        self.servers.get(server.0 as usize)?.node.mirror_standing(table)
    }

    /// Bytes that wait at any server to leave for another data centre, or are not confirmed.
    pub fn mirror_queued_bytes(&self) -> u64 {
        let tables = |process: &ServerProcess| {
            let tables = process.node.plan().tables().map(|planned| planned.table.id());
            let stats = tables.filter_map(|table| process.node.mirror_stats(table));
            stats.map(|stats| stats.queued_bytes).sum::<u64>()
        };
        self.servers.iter().map(tables).sum()
    }

    /// The values of a table at these servers, in key order, `width` elements a row, with all
    /// rounds applied that have closed there. Of a dense table all rows that these servers hold;
    /// of a sparse one all keys of its domain that belong to them, at the init where no row
    /// exists. So the servers of a data centre together give the whole table. What two of them
    /// hold is taken from the one named first. Cost: all rows; nothing in virtual time.
    ///
    /// Empty when one of the servers does not know the table yet or any more, when its elements
    /// are not of type `T`, or when a domain is too large to be looked at
    /// ([`LOOK_ELEMENTS_MAX`](crate::limits::LOOK_ELEMENTS_MAX)); the last two are told in
    /// [`Outcome::defects`](super::Outcome::defects), as is a server that there is not.
    pub fn values<T: Element>(&mut self, servers: &[ServerId], table: TableId) -> Vec<T> {
        let mut slots = BTreeMap::new();
        for server in servers {
            let Some(process) = self.servers.get_mut(server.0 as usize) else {
                self.defects.push(format!("a sample named {server}, which is not in the plan"));
                return Vec::new();
            };
            if process.node.plan().table(table).is_none() {
                return Vec::new();
            }
            match process.node.values::<T>(table) {
                Ok(held) => {
                    for (range, values) in held {
                        slots.entry(range.first()).or_insert(values);
                    }
                },
                Err(error) => {
                    self.defects.push(format!("a sample at {server}: {error}"));
                    return Vec::new();
                },
            }
        }
        slots.into_values().flatten().collect()
    }
}

/// Calls somebody at fixed intervals.
pub(super) struct Sampler<'a> {
    every: Duration,
    /// `None` once time has come to its end.
    next: Option<Instant>,
    look: Look<'a>,
}

impl<'a> Sampler<'a> {
    pub(super) fn new(every: Duration, look: Look<'a>) -> Self {
        let every = every.max(Duration::from_nanos(1));
        Self { every, next: Some(Instant::EPOCH), look }
    }

    /// Takes the samples that are due at `last` or before.
    pub(super) fn run_until(
        &mut self,
        last: Instant,
        servers: &mut [ServerProcess],
        net: &Net,
        defects: &mut Vec<String>,
    ) {
        while let Some(time) = self.next.filter(|next| *next <= last) {
            (self.look)(Sample { time, servers, net, defects });
            let next = time.after(self.every);
            self.next = (next > time).then_some(next);
        }
    }
}

impl fmt::Debug for Sampler<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (every, next) = (&self.every, &self.next);
        f.debug_struct("Sampler").field("every", every).field("next", next).finish_non_exhaustive()
    }
}
