//! A server's counters as Prometheus reads them, and as `ps-server status` does.

use std::fmt::Write;

use archipelago::node::Peer;
use archipelago::node::shard::ShardStats;
use archipelago::transport::ServerStatus;
use serde::{Deserialize, Serialize};

use super::config::Config;

/// What is behind one metric of a table.
type Field = fn(&ShardStats) -> u64;

/// Metrics per table: name, type, help, value.
const TABLE: [(&str, &str, &str, Field); 11] = [
    ("pushes_total", "counter", "Chunks pushed and executed.", |s| s.pushes),
    ("pulls_total", "counter", "Chunks pulled and served.", |s| s.pulls),
    ("rounds_total", "counter", "Rounds closed.", |s| s.rounds),
    ("waits_total", "counter", "Answers that a request has to wait.", |s| s.waits),
    ("repeats_total", "counter", "Requests sent again, answered from the window.", |s| s.repeats),
    ("refusals_total", "counter", "Chunks refused.", |s| s.refusals),
    ("stash_bytes", "gauge", "Contributions held for an open round.", |s| s.stash_bytes),
    ("stash_peak_bytes", "gauge", "The most ever held.", |s| s.stash_bytes_peak),
    ("memory_bytes", "gauge", "Rows, state and index.", |s| s.memory_bytes),
    ("clock_ranges", "gauge", "Ranges of the writing group's clock.", |s| s.clock_ranges),
    ("window_outcomes", "gauge", "Outcomes in the fullest window.", |s| s.window_outcomes),
];

/// The page of a server.
pub(super) fn page(status: &ServerStatus) -> String {
    let mut page = Page::default();
    page.one("uptime_seconds", "gauge", "Since the start.", status.uptime.as_secs_f64());
    page.one("requests_waiting", "gauge", "Requests that wait here.", status.waiting as f64);
    links(&mut page, status);
    for (name, kind, help, value) in TABLE {
        let name = format!("table_{name}");
        page.family(&name, kind, help);
        for table in &status.tables {
            page.sample(&name, &[("table", &table.name)], value(&table.shard) as f64);
        }
    }
    page.0
}

fn links(page: &mut Page, status: &ServerStatus) {
    page.family("links", "gauge", "Connections to peers of this kind.");
    let (servers, workers) = kinds(status);
    page.sample("links", &[("kind", "server")], servers as f64);
    page.sample("links", &[("kind", "worker")], workers as f64);
    page.family("handshakes_total", "counter", "Calls by what became of them.");
    let calls = status.handshakes;
    for (outcome, count) in
        [("accepted", calls.accepted), ("refused", calls.refused), ("ignored", calls.ignored)]
    {
        page.sample("handshakes_total", &[("outcome", outcome)], count as f64);
    }
    let (traffic, udp) =
        (status.traffic, "as counted at the UDP socket, links that ended included");
    let sent = format!("Bytes to peers, {udp}.");
    page.one("udp_sent_bytes_total", "counter", &sent, traffic.sent_bytes as f64);
    let received = format!("Bytes from peers, {udp}.");
    page.one("udp_received_bytes_total", "counter", &received, traffic.received_bytes as f64);
    let peers: Vec<_> = status.links.iter().map(|link| link.peer.to_string()).collect();
    let mut each = |name: &str, kind: &str, help: &str, values: &mut dyn Iterator<Item = f64>| {
        page.family(name, kind, help);
        for (peer, value) in peers.iter().zip(values) {
            page.sample(name, &[("peer", peer)], value);
        }
    };
    let links = || status.links.iter();
    let help = "Bytes that wait to be sent to the peer.";
    each("link_queued_bytes", "gauge", help, &mut links().map(|link| link.queued_bytes as f64));
    let help = "Estimated time to the peer and back.";
    let round_trips = &mut links().map(|link| link.round_trip.as_secs_f64());
    each("link_round_trip_seconds", "gauge", help, round_trips);
    let help = "Packets lost on the way to the peer.";
    let lost = &mut links().map(|link| link.packets_lost as f64);
    each("link_packets_lost_total", "counter", help, lost);
}

/// Links to servers and to workers.
fn kinds(status: &ServerStatus) -> (usize, usize) {
    let servers = status.links.iter().filter(|link| matches!(link.peer, Peer::Server(_))).count();
    (servers, status.links.len() - servers)
}

/// A server in a few figures: what `/healthz` says and `ps-server status` shows.
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
    pub(crate) requests_waiting: usize,
    pub(crate) tables: Vec<TableHealth>,
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
}

impl Health {
    /// Of a server with that configuration.
    pub(super) fn new(config: &Config, status: &ServerStatus) -> Self {
        let (links_to_servers, links_to_workers) = kinds(status);
        let tables = status.tables.iter().map(|table| TableHealth {
            table: table.name.clone(),
            pushes: table.shard.pushes,
            pulls: table.shard.pulls,
            rounds: table.shard.rounds,
            waits: table.shard.waits,
            refusals: table.shard.refusals,
            stash_bytes: table.shard.stash_bytes,
            memory_bytes: table.shard.memory_bytes,
        });
        Self {
            server: config.server.0,
            address: config.advertise.clone(),
            uptime_seconds: status.uptime.as_secs_f64(),
            links_to_servers,
            servers_expected: config.servers.numbers().len() - 1,
            links_to_workers,
            sent_bytes: status.traffic.sent_bytes,
            received_bytes: status.traffic.received_bytes,
            queued_bytes: status.links.iter().map(|link| link.queued_bytes).sum(),
            requests_waiting: status.waiting,
            tables: tables.collect(),
        }
    }
}

/// Text in Prometheus' exposition format.
#[derive(Debug, Default)]
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP archipelago_{name} {help}"));
        self.line(format_args!("# TYPE archipelago_{name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let pair = |(label, value): &(&str, &str)| format!("{label}=\"{}\"", escaped(value));
        let labels: Vec<_> = labels.iter().map(pair).collect();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.line(format_args!("archipelago_{name}{labels} {value}"));
    }

    /// A family with one sample and no labels.
    fn one(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // A string takes everything.
        let _ = writeln!(self.0, "{line}");
    }
}

/// A label's value: names of tables are the user's.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_in_the_format_whatever_the_names() {
        let mut page = Page::default();
        page.one("a_bytes", "gauge", "Help.", 16777217.0);
        page.sample("b_seconds", &[("table", "a \"b\"\\\n")], 0.25);
        let expected = "# HELP archipelago_a_bytes Help.\n# TYPE archipelago_a_bytes gauge\n\
            archipelago_a_bytes 16777217\n\
            archipelago_b_seconds{table=\"a \\\"b\\\"\\\\\\n\"} 0.25\n";
        assert_eq!(page.0, expected);
    }
}
