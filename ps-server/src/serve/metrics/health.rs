//! A server in a few figures: what `/healthz` says and `ps-server status` shows.

use std::collections::BTreeSet;

use archipelago::error::WaitFor;
use archipelago::node::Peer;
use archipelago::node::server::{Awaited, GroupStanding, WaitStanding};
use archipelago::transport::{LinkStatus, ServerStatus, TableStatus};
use serde::{Deserialize, Serialize};

use super::abroad::{DataCentreHealth, MirrorHealth};
use super::links::by_kind;
use crate::serve::config::Config;

/// A server in a few figures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    pub(crate) server: u32,
    pub(crate) address: String,
    pub(crate) uptime_seconds: f64,
    pub(crate) links_to_servers: usize,
    pub(crate) servers_expected: usize,
    pub(crate) links_to_workers: usize,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) queued_bytes: usize,
    pub(crate) links: Vec<LinkHealth>,
    pub(crate) requests_waiting: usize,
    pub(crate) waits: Vec<WaitHealth>,
    pub(crate) awaited: Vec<AwaitedHealth>,
    pub(crate) groups: Vec<GroupHealth>,
    pub(crate) tables: Vec<TableHealth>,
    pub(crate) data_centres: Vec<DataCentreHealth>,
}

/// A link with a server or a worker. Bytes, round trip and losses are those of its connection,
/// which the workers of one process share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct LinkHealth {
    pub(crate) peer: String,
    /// Links of the same number share a connection; it has another one another time.
    pub(crate) connection: usize,
    pub(crate) sent_bytes: u64,
    pub(crate) received_bytes: u64,
    pub(crate) queued_bytes: usize,
    pub(crate) round_trip_seconds: f64,
    pub(crate) packets_lost: u64,
}

/// What requests wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WaitHealth {
    pub(crate) reason: String,
    /// Which data centre has to act, where it is one of the others.
    pub(crate) data_centre: Option<String>,
    pub(crate) now: u64,
    pub(crate) longest_seconds: f64,
    pub(crate) ended: u64,
    pub(crate) waited_seconds: f64,
}

/// A worker for whose tick reads wait.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct AwaitedHealth {
    pub(crate) group: String,
    pub(crate) rank: u32,
    pub(crate) tick: u64,
    pub(crate) reads: u64,
}

/// How far the members of a group have come.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct GroupHealth {
    pub(crate) group: String,
    pub(crate) size: u32,
    pub(crate) members: usize,
    pub(crate) tick: u64,
    pub(crate) slowest_rank: u32,
    pub(crate) lag_ticks: u64,
}

/// A server's part of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TableHealth {
    pub(crate) table: String,
    pub(crate) pushes: u64,
    pub(crate) pulls: u64,
    pub(crate) rounds: u64,
    pub(crate) waits: u64,
    pub(crate) refusals: u64,
    pub(crate) stash_bytes: u64,
    pub(crate) memory_bytes: u64,
    /// The mean; `None` before a round with contributions has closed.
    pub(crate) round_seconds: Option<f64>,
    /// `None` where nothing is exchanged with other data centres.
    pub(crate) mirror: Option<MirrorHealth>,
}

impl Health {
    /// Of a server with that configuration.
    pub(in crate::serve) fn new(config: &Config, status: &ServerStatus) -> Self {
        let (to_servers, to_workers) = by_kind(status);
        let (standing, traffic) = (&status.standing, status.traffic.total());
        let awaited = standing.awaited.iter().map(|awaited| {
            let held = standing.groups.iter().find(|group| group.group == awaited.group);
            AwaitedHealth::new(awaited, held)
        });
        let data_centres = status.data_centres.iter();
        let data_centres = data_centres.map(|it| DataCentreHealth::new(it, &status.tables));
        let servers = config.servers.numbers();
        let near = |peer| matches!(peer, Peer::Server(server) if servers.contains(&server));
        Self {
            server: config.server.0,
            address: config.advertise.clone(),
            uptime_seconds: status.uptime.as_secs_f64(),
            links_to_servers: to_servers.iter().filter(|link| near(link.peer)).count(),
            servers_expected: servers.len() - 1,
            links_to_workers: to_workers.len(),
            sent_bytes: traffic.sent_bytes,
            received_bytes: traffic.received_bytes,
            queued_bytes: status.links.iter().map(|link| link.queued_bytes).sum(),
            links: LinkHealth::all(&status.links),
            requests_waiting: status.waiting,
            waits: standing.waits.iter().map(|wait| WaitHealth::new(wait, config)).collect(),
            awaited: awaited.collect(),
            groups: standing.groups.iter().map(GroupHealth::new).collect(),
            tables: status.tables.iter().map(TableHealth::new).collect(),
            data_centres: data_centres.collect(),
        }
    }
}

impl LinkHealth {
    fn all(links: &[LinkStatus]) -> Vec<Self> {
        let connections: BTreeSet<_> = links.iter().map(|link| link.connection).collect();
        let number = |link: &LinkStatus| connections.range(..link.connection).count();
        links.iter().map(|link| Self::new(link, number(link))).collect()
    }

    fn new(link: &LinkStatus, connection: usize) -> Self {
        Self {
            peer: link.peer.to_string(),
            connection,
            sent_bytes: link.traffic.sent_bytes,
            received_bytes: link.traffic.received_bytes,
            queued_bytes: link.queued_bytes,
            round_trip_seconds: link.round_trip.as_secs_f64(),
            packets_lost: link.packets_lost,
        }
    }
}

impl WaitHealth {
    fn new(wait: &WaitStanding, config: &Config) -> Self {
        let awaited = match wait.what {
            WaitFor::MirrorClock { data_centre } | WaitFor::Barrier { data_centre } => {
                let listed = config.data_centres.as_ref();
                listed.and_then(|listed| listed.data_centres().get(data_centre))
            },
            _ => None,
        };
        Self {
            reason: wait.reason().into(),
            data_centre: awaited.map(|site| site.name.clone()),
            now: wait.now,
            longest_seconds: wait.longest.as_secs_f64(),
            ended: wait.ended,
            waited_seconds: wait.waited.as_secs_f64(),
        }
    }
}

impl AwaitedHealth {
    fn new(awaited: &Awaited, group: Option<&GroupStanding>) -> Self {
        let group = group.map_or_else(|| awaited.group.to_string(), |group| group.name.clone());
        Self { group, rank: awaited.rank.0, tick: awaited.tick.0, reads: awaited.reads }
    }
}

impl GroupHealth {
    fn new(group: &GroupStanding) -> Self {
        let (rank, tick) = group.slowest().unwrap_or_default();
        Self {
            group: group.name.clone(),
            size: group.size,
            members: group.members.len(),
            tick: group.fastest().0,
            slowest_rank: rank.0,
            lag_ticks: group.lag(tick),
        }
    }
}

impl TableHealth {
    fn new(table: &TableStatus) -> Self {
        let (shard, rounds) = (&table.shard, &table.rounds);
        let timed = rounds.count() > 0;
        Self {
            table: table.name.clone(),
            pushes: shard.pushes,
            pulls: shard.pulls,
            rounds: shard.rounds,
            waits: shard.waits,
            refusals: shard.refusals,
            stash_bytes: shard.stash_bytes,
            memory_bytes: shard.memory_bytes,
            mirror: table.mirror.as_ref().map(MirrorHealth::new),
            round_seconds: timed.then(|| rounds.total().as_secs_f64() / rounds.count() as f64),
        }
    }
}
