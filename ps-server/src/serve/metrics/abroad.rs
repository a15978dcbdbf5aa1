//! Other data centres as `/healthz` and Prometheus show them.
//!
//! I1: labels name data centres, servers and tables, which are as many as there are.

use archipelago::Tick;
use archipelago::node::mirror::Standing;
use archipelago::transport::{
    CopyStatus, DataCentreStatus, MirrorStatus, ServerStatus, TableStatus, WayStatus,
};
use serde::{Deserialize, Serialize};

use super::page::Page;

/// Another data centre, as one server knows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct DataCentreHealth {
    pub(crate) data_centre: String,
    pub(crate) servers: Vec<WayHealth>,
    pub(crate) copies: Vec<CopyHealth>,
}

/// The way to a server of another data centre.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WayHealth {
    pub(crate) server: u32,
    pub(crate) connected: bool,
    /// `None` until updates have been confirmed.
    pub(crate) bytes_per_second: Option<f64>,
    pub(crate) round_trip_seconds: Option<f64>,
    pub(crate) queued_bytes: u64,
}

/// Another data centre's copy of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CopyHealth {
    pub(crate) table: String,
    /// `counts`, `lost` or `behind`; `differs` where it is not the same table.
    pub(crate) standing: String,
    /// The clock that counts here; `None` when training has ended there.
    pub(crate) tick: Option<u64>,
}

/// What a server's part of a table exchanges with other data centres.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct MirrorHealth {
    /// The last tick that has ended here and was told.
    pub(crate) tick: u64,
    pub(crate) updates_told: u64,
    pub(crate) updates_taken: u64,
    pub(crate) barriers: u64,
    pub(crate) queued_bytes: u64,
    /// Slots that stay unequal: their values are more than there is room for.
    pub(crate) too_large_slots: usize,
    /// Training has ended and all copies that count are the same.
    pub(crate) equal: bool,
}

impl DataCentreHealth {
    pub(super) fn new(of: &DataCentreStatus, tables: &[TableStatus]) -> Self {
        let copy = |copy: &CopyStatus| CopyHealth {
            table: copy.table.clone(),
            standing: standing(of, copy, tables).into(),
            tick: Some(copy.clock.0).filter(|tick| *tick != u64::MAX),
        };
        Self {
            data_centre: of.name.clone(),
            servers: of.servers.iter().map(WayHealth::new).collect(),
            copies: of.copies.iter().map(copy).collect(),
        }
    }
}

impl WayHealth {
    fn new(way: &WayStatus) -> Self {
        Self {
            server: way.server.0,
            connected: way.connected,
            bytes_per_second: way.bytes_per_second,
            round_trip_seconds: way.round_trip.map(|time| time.as_secs_f64()),
            queued_bytes: way.queued_bytes,
        }
    }
}

impl MirrorHealth {
    pub(super) fn new(mirror: &MirrorStatus) -> Self {
        let MirrorStatus { passed: Tick(tick), stats, too_large, equal, .. } = mirror;
        Self {
            tick: *tick,
            updates_told: stats.updates_told,
            updates_taken: stats.updates_taken,
            barriers: stats.barriers,
            queued_bytes: stats.queued_bytes,
            too_large_slots: too_large.len(),
            equal: *equal,
        }
    }
}

fn standing(of: &DataCentreStatus, copy: &CopyStatus, tables: &[TableStatus]) -> &'static str {
    let here = tables.iter().find(|table| table.name == copy.table);
    let differ = here.and_then(|table| table.mirror.as_ref()).map(|mirror| &*mirror.differ);
    let differs = |way: &WayStatus| differ.unwrap_or_default().contains(&way.server);
    match copy.standing {
        _ if of.servers.iter().any(differs) => "differs",
        Standing::Refused => "differs",
        Standing::Counts => "counts",
        Standing::Lost => "lost",
        Standing::Behind => "behind",
    }
}

/// What is behind one metric of a way, of a copy and of a table.
type WayField = fn(&WayStatus) -> Option<f64>;
type CopyField = fn(&CopyStatus) -> Option<f64>;
type MirrorField = fn(&MirrorStatus) -> u64;

/// Metrics per server elsewhere.
const WAY: [(&str, &str, WayField); 4] = [
    ("abroad_connected", "1 while the server elsewhere is connected.", |way| {
        Some(f64::from(u8::from(way.connected)))
    }),
    ("abroad_queued_bytes", "Bytes of updates for it that have not been confirmed.", |way| {
        Some(way.queued_bytes as f64)
    }),
    ("abroad_bytes_per_second", "The rate at which it has confirmed updates.", |way| {
        way.bytes_per_second
    }),
    ("abroad_round_trip_seconds", "The shortest time from an update to its confirmation.", |way| {
        way.round_trip.map(|time| time.as_secs_f64())
    }),
];

/// Metrics per copy elsewhere.
const COPY: [(&str, &str, CopyField); 3] = [
    (
        "copy_counts",
        "1 while the copy elsewhere is waited for: not lost, behind or refused.",
        |copy| Some(f64::from(u8::from(copy.standing == Standing::Counts))),
    ),
    ("copy_tick", "The tick up to which everything has come from there, until its end.", |copy| {
        Some(copy.clock.0 as f64).filter(|_| !ended(copy))
    }),
    ("copy_ended", "1 when training has ended there and everything has come.", |copy| {
        Some(f64::from(u8::from(ended(copy))))
    }),
];

fn ended(copy: &CopyStatus) -> bool {
    copy.clock.0 == u64::MAX
}

/// Metrics per table that is mirrored.
const MIRROR: [(&str, &str, &str, MirrorField); 5] = [
    ("mirror_tick", "gauge", "The last tick that has ended and was told.", |it| it.passed.0),
    ("mirror_updates_told_total", "counter", "Updates sent, repeated ones included.", |it| {
        it.stats.updates_told
    }),
    ("mirror_updates_taken_total", "counter", "Updates taken.", |it| it.stats.updates_taken),
    ("mirror_barriers_total", "counter", "Barriers announced.", |it| it.stats.barriers),
    ("mirror_differing_servers", "gauge", "Servers elsewhere with another table.", |it| {
        it.differ.len() as u64
    }),
];

/// All families of other data centres.
pub(super) fn abroad(page: &mut Page, status: &ServerStatus) {
    for (name, help, value) in WAY {
        page.family(name, "gauge", help);
        for of in &status.data_centres {
            for way in &of.servers {
                let labels = [("data_centre", &*of.name), ("peer", &way.server.to_string())];
                value(way).into_iter().for_each(|value| page.sample(name, &labels, value));
            }
        }
    }
    for (name, help, value) in COPY {
        page.family(name, "gauge", help);
        for of in &status.data_centres {
            for copy in &of.copies {
                let labels = [("data_centre", &*of.name), ("table", &copy.table)];
                value(copy).into_iter().for_each(|value| page.sample(name, &labels, value));
            }
        }
    }
    for (name, kind, help, value) in MIRROR {
        page.family(name, kind, help);
        for table in &status.tables {
            let value = table.mirror.as_ref().map(value);
            value
                .into_iter()
                .for_each(|it| page.sample(name, &[("table", &table.name)], it as f64));
        }
    }
}
