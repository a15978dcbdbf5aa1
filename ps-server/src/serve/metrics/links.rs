//! Connections as Prometheus reads them: servers one by one, workers all together.
//!
//! I1: no label names one worker's link. Workers come and go, each with a number of its own, so
//! that their series would pile up at whoever collects them; `/healthz` lists them.

use std::collections::BTreeSet;

use archipelago::node::Peer;
use archipelago::transport::{LinkStatus, ServerStatus};

use super::page::Page;

/// What is behind one metric of a link, and of all links to workers.
type LinkField = fn(&LinkStatus) -> f64;
type LinksField = fn(&[&LinkStatus]) -> f64;

/// Metrics per link to a server.
const LINK: [(&str, &str, &str, LinkField); 3] = [
    ("link_queued_bytes", "gauge", "Bytes that wait to be sent to the server.", queued),
    ("link_round_trip_seconds", "gauge", "Estimated time to the server and back.", round_trip),
    (
        "link_packets_lost_total",
        "counter",
        "Packets lost on the way to the server, on this connection.",
        |link| link.packets_lost as f64,
    ),
];

/// Metrics of all links to workers together.
const WORKERS: [(&str, &str, LinksField); 3] = [
    ("worker_links_queued_bytes", "Bytes that wait to be sent to all workers.", |links| {
        links.iter().copied().map(queued).sum()
    }),
    ("worker_links_queued_max_bytes", "The most that wait for one of them.", |links| {
        links.iter().copied().map(queued).fold(0.0, f64::max)
    }),
    ("worker_links_round_trip_max_seconds", "The longest estimated time to one and back.", |l| {
        l.iter().copied().map(round_trip).fold(0.0, f64::max)
    }),
];

fn queued(link: &LinkStatus) -> f64 {
    link.queued_bytes as f64
}

fn round_trip(link: &LinkStatus) -> f64 {
    link.round_trip.as_secs_f64()
}

/// All families of links.
pub(super) fn links(page: &mut Page, status: &ServerStatus) {
    let (servers, workers) = by_kind(status);
    let kinds = [("server", &servers), ("worker", &workers)];
    page.family("links", "gauge", "Servers, or workers, that are connected.");
    for (kind, links) in kinds {
        page.sample("links", &[("kind", kind)], links.len() as f64);
    }
    page.family("connections", "gauge", "Connections to them: one per process.");
    for (kind, links) in kinds {
        let connections: BTreeSet<_> = links.iter().map(|link| link.connection).collect();
        page.sample("connections", &[("kind", kind)], connections.len() as f64);
    }
    for (name, kind, help, value) in LINK {
        page.family(name, kind, help);
        for link in &servers {
            page.sample(name, &[("peer", &link.peer.to_string())], value(link));
        }
    }
    for (name, help, value) in WORKERS {
        page.one(name, "gauge", help, value(&workers));
    }
}

/// Links to servers and to workers.
pub(super) fn by_kind(status: &ServerStatus) -> (Vec<&LinkStatus>, Vec<&LinkStatus>) {
    status.links.iter().partition(|link| matches!(link.peer, Peer::Server(_)))
}
