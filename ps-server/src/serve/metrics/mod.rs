//! A server's counters as Prometheus reads them.
//!
//! Labels are bounded: reasons, kinds and classes are few; servers, and names of tables and groups,
//! are as many as there are; a group shows its first `RANKS_MAX` workers, by rank, and its largest
//! lag whatever its size.

mod abroad;
mod health;
mod links;
mod page;

use archipelago::node::server::{GroupStanding, WaitStanding};
use archipelago::node::shard::ShardStats;
use archipelago::transport::{ServerStatus, TableStatus, Traffic};

use self::abroad::abroad;
pub(crate) use self::abroad::{CopyHealth, DataCentreHealth, MirrorHealth};
pub(crate) use self::health::Health;
use self::links::links;
use self::page::Page;

/// Workers of one group with a series of their own.
const RANKS_MAX: u32 = 256;

/// What is behind one metric of a table, of a kind of wait, of a group and of a kind of peer.
type TableField = fn(&ShardStats) -> u64;
type WaitField = fn(&WaitStanding) -> f64;
type GroupField = fn(&GroupStanding) -> u64;
type TrafficField = fn(&Traffic) -> u64;

/// Metrics per table: name, type, help, value.
const TABLE: [(&str, &str, &str, TableField); 13] = [
    ("pushes_total", "counter", "Chunks pushed and executed.", |s| s.pushes),
    ("pulls_total", "counter", "Chunks pulled and served.", |s| s.pulls),
    ("rounds_total", "counter", "Rounds closed.", |s| s.rounds),
    ("waits_total", "counter", "Requests that had to wait.", |s| s.waits),
    ("repeats_total", "counter", "Requests sent again, answered from the window.", |s| s.repeats),
    ("refusals_total", "counter", "Chunks refused.", |s| s.refusals),
    ("open_rounds", "gauge", "Rounds with contributions that have not closed.", |s| s.open_rounds),
    ("stash_bytes", "gauge", "Contributions held for open rounds.", |s| s.stash_bytes),
    ("stash_peak_bytes", "gauge", "The most ever held.", |s| s.stash_bytes_peak),
    ("memory_bytes", "gauge", "Rows, state and index.", |s| s.memory_bytes),
    ("clock_ranges", "gauge", "Ranges of the writing group's clock.", |s| s.clock_ranges),
    ("window_outcomes", "gauge", "Outcomes in the fullest window.", |s| s.window_outcomes),
    ("window_entries", "gauge", "Outcomes in all request windows.", |s| s.window_entries),
];

/// Metrics per reason to wait.
const WAIT: [(&str, &str, &str, WaitField); 4] = [
    ("requests_waiting_by_reason", "gauge", "Requests that wait now.", |w| w.now as f64),
    ("longest_wait_seconds", "gauge", "How long the first of those has waited.", |w| {
        w.longest.as_secs_f64()
    }),
    ("waits_ended_total", "counter", "Waits that have ended with an answer.", |w| w.ended as f64),
    ("waited_seconds_total", "counter", "How long ended waits lasted together.", |w| {
        w.waited.as_secs_f64()
    }),
];

/// Metrics per group of workers.
const GROUP: [(&str, &str, GroupField); 4] = [
    ("size", "Workers that the group is declared to have.", |g| u64::from(g.size)),
    ("members", "Workers that are there.", |g| g.members.len() as u64),
    ("tick", "Tick of the worker furthest ahead, as heard here.", |g| g.fastest().0),
    ("lag_ticks", "Ticks that the slowest worker is behind the one furthest ahead.", |g| {
        g.slowest().map_or(0, |(_, tick)| g.lag(tick))
    }),
];

/// Bytes per kind of peer.
const TRAFFIC: [(&str, &str, TrafficField); 2] = [
    ("udp_sent_bytes_total", "Bytes to peers, as counted at the UDP socket.", |t| t.sent_bytes),
    ("udp_received_bytes_total", "Bytes from peers, as counted at the UDP socket.", |t| {
        t.received_bytes
    }),
];

/// The page of a server.
pub(super) fn page(status: &ServerStatus) -> String {
    let mut page = Page::default();
    page.one("uptime_seconds", "gauge", "Since the start.", status.uptime.as_secs_f64());
    page.one("requests_waiting", "gauge", "Requests that wait here.", status.waiting as f64);
    let waits = by_reason(&status.standing.waits);
    for (name, kind, help, value) in WAIT {
        page.family(name, kind, help);
        for wait in &waits {
            page.sample(name, &[("reason", wait.reason())], value(wait));
        }
    }
    groups(&mut page, &status.standing.groups);
    links(&mut page, status);
    calls(&mut page, status);
    traffic(&mut page, status);
    tables(&mut page, &status.tables);
    abroad(&mut page, status);
    page.finish()
}

/// Waits for several data centres have one reason.
fn by_reason(waits: &[WaitStanding]) -> Vec<WaitStanding> {
    let mut merged: Vec<WaitStanding> = Vec::new();
    for wait in waits {
        match merged.iter_mut().find(|held| held.reason() == wait.reason()) {
            None => merged.push(*wait),
            Some(held) => {
                held.now += wait.now;
                held.longest = held.longest.max(wait.longest);
                held.ended += wait.ended;
                held.waited += wait.waited;
            },
        }
    }
    merged
}

fn groups(page: &mut Page, groups: &[GroupStanding]) {
    for (name, help, value) in GROUP {
        let name = format!("group_{name}");
        page.family(&name, "gauge", help);
        for group in groups {
            page.sample(&name, &[("group", &group.name)], value(group) as f64);
        }
    }
    let name = "worker_lag_ticks";
    page.family(name, "gauge", "Ticks that a worker is behind the one furthest ahead.");
    for group in groups {
        for (rank, tick) in group.members.iter().filter(|(rank, _)| rank.0 < RANKS_MAX) {
            let labels = [("group", &*group.name), ("rank", &rank.0.to_string())];
            page.sample(name, &labels, group.lag(*tick) as f64);
        }
    }
}

fn calls(page: &mut Page, status: &ServerStatus) {
    page.family("handshakes_total", "counter", "Calls by what became of them.");
    let calls = status.handshakes;
    for (outcome, count) in
        [("accepted", calls.accepted), ("refused", calls.refused), ("ignored", calls.ignored)]
    {
        page.sample("handshakes_total", &[("outcome", outcome)], count as f64);
    }
}

/// Links that have ended are included.
fn traffic(page: &mut Page, status: &ServerStatus) {
    let kinds = [("server", status.traffic.servers), ("worker", status.traffic.workers)];
    for (name, help, value) in TRAFFIC {
        page.family(name, "counter", help);
        for (kind, traffic) in &kinds {
            page.sample(name, &[("kind", kind)], value(traffic) as f64);
        }
    }
    let name = "frames_queued_bytes_total";
    page.family(name, "counter", "Bytes of frames given to streams of this class, to be sent.");
    for (kind, traffic) in &kinds {
        for (class, bytes) in [("control", traffic.control_bytes), ("data", traffic.data_bytes)] {
            page.sample(name, &[("kind", kind), ("class", class)], bytes as f64);
        }
    }
}

fn tables(page: &mut Page, tables: &[TableStatus]) {
    for (name, kind, help, value) in TABLE {
        let name = format!("table_{name}");
        page.family(&name, kind, help);
        for table in tables {
            page.sample(&name, &[("table", &table.name)], value(&table.shard) as f64);
        }
    }
    let name = "table_stash_limit_bytes";
    page.family(name, "gauge", "The most that may be held for workers whose turn has not come.");
    for table in tables {
        page.sample(name, &[("table", &table.name)], table.stash_bytes_max as f64);
    }
    let help = "Time of a round with contributions, from the first of them or the close before.";
    page.family("table_round_seconds", "histogram", help);
    for table in tables {
        page.histogram("table_round_seconds", &[("table", &table.name)], &table.rounds);
    }
}
