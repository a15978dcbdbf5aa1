//! Where servers and workers are.

use archipelago::consistency::{Asp, Off, Precision};
use archipelago::id::{DataCentre, ServerId};
use archipelago::node::Peer;
use archipelago::placement::{HubGroup, Overlay};
use archipelago::sim::{Builder, Cluster, Site, Topology, Wan};
use archipelago::time::Duration;
use archipelago::{Bsp, Eventual, Extension, Ssp, TablePolicy};

use super::super::cell::{Ablation, Cell, Policy};
use super::super::profile::{Group, Link, Profile};
use super::workload::Workload;

/// Workers of each site.
pub(super) const WORKERS_PER_SITE: u32 = 4;

/// Workers of all sites.
pub(super) fn workers(profile: &Profile) -> u32 {
    profile.sites.len() as u32 * WORKERS_PER_SITE
}

/// How the processes of a cell are put together.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    /// Sites that hold a copy of their own; one copy over all of them when not.
    pub(super) copies: bool,
    pub(super) local: Extension,
    pub(super) global: Extension,
    /// Copies tell each other through the profile's hubs.
    pub(super) hubs: bool,
    /// All sites are one local network.
    pub(super) one_site: bool,
    /// Whether updates are filtered.
    pub(super) filters: bool,
    /// The site whose servers' copy is judged: the last one, which in the paper's order is the one
    /// that is hardest to reach.
    pub(super) judged: DataCentre,
}

impl Layout {
    pub(super) fn of(cell: &Cell<'_>) -> Self {
        let flat = |local: Extension| Self {
            copies: false,
            local,
            global: Off.into(),
            hubs: false,
            one_site: false,
            filters: false,
            judged: DataCentre(0),
        };
        let last = DataCentre(cell.profile.sites.len() as u32 - 1);
        let copies =
            |global: Extension| Self { copies: true, global, judged: last, ..flat(Bsp.into()) };
        let filtered = |asp: Asp| Self { filters: true, ..copies(asp.into()) };
        let asp = Asp::default();
        match cell.policy {
            Policy::Lan | Policy::Centralised => Self { one_site: true, ..flat(Bsp.into()) },
            Policy::Baseline => flat(Bsp.into()),
            Policy::Ssp => flat(Ssp { staleness: 3 }.into()),
            Policy::Eventual => flat(Eventual.into()),
            Policy::Asp => filtered(asp),
            Policy::Hubs => Self { hubs: true, ..filtered(asp) },
            Policy::Bf16 => filtered(Asp { precision: Precision::Bf16, ..asp }),
            Policy::Isolated => copies(Off.into()),
            Policy::Ablation(ablation) => filtered(ablated(asp, ablation)),
            Policy::HandTuned(tuned) => filtered(Asp::new(tuned.threshold())),
            Policy::Auto(goal) => filtered(Asp::auto(goal)),
        }
    }
}

fn ablated(asp: Asp, ablation: Ablation) -> Asp {
    let free = Asp { barrier_ticks: f64::INFINITY, ..asp };
    match ablation {
        Ablation::Async => Asp { staleness: u64::MAX, ..free },
        Ablation::Barrier => free,
        Ablation::MirrorClock => Asp { staleness: u64::MAX, ..asp },
    }
}

/// A cluster of the cell's sites.
pub(super) fn builder(
    cell: &Cell<'_>,
    layout: &Layout,
    work: &Workload,
) -> anyhow::Result<Builder> {
    let profile = cell.profile;
    let mut builder = Cluster::builder(cell.seed)
        .record_history(false)
        .deadline(Duration::from_secs(30 * 86_400))
        .wait_max(Duration::from_secs(86_400))
        .events_max(u64::MAX)
        .topology(topology(profile, layout.one_site)?);
    let per_site = profile.machines_per_site;
    if layout.copies {
        for site in &profile.sites {
            builder = builder.data_centre(&site.name, per_site);
        }
        if layout.hubs {
            builder = builder.overlay(overlay(profile)?);
        }
        builder = builder.group(WORKERS_PER_SITE);
    } else {
        builder = builder.servers(per_site * profile.sites.len() as u32).group(work.workers);
    }
    let policy = TablePolicy::local(layout.local.clone()).global(layout.global.clone());
    for (spec, hyper) in work.tables()? {
        builder = builder.table(spec, policy.clone(), hyper);
    }
    Ok(builder)
}

fn overlay(profile: &Profile) -> anyhow::Result<Overlay> {
    let data_centre = |site: &usize| DataCentre(*site as u32);
    let group = |group: &Group| HubGroup {
        members: group.members.iter().map(data_centre).collect(),
        hub: data_centre(&group.hub),
    };
    let pairs: Vec<_> =
        profile.hub_pairs.iter().map(|pair| pair.each_ref().map(data_centre)).collect();
    Ok(Overlay::new(profile.groups.iter().map(group).collect(), &pairs)?)
}

fn topology(profile: &Profile, one_site: bool) -> anyhow::Result<Topology> {
    let rate = |link: Link| (link.megabits_per_second * 1e6 / 8.0) as u64;
    let delay = |link: Link| Duration::from_secs_f64(link.round_trip_milliseconds / 2e3);
    let local = |name: &str| {
        Site::new(name)
            .latency(delay(profile.local))
            .jitter_max(delay(profile.local))
            .card_bytes_per_second(rate(profile.local))
    };
    let name = |site: usize| if one_site { "LAN" } else { &*profile.sites[site].name };
    let mut topology = Topology::builder();
    let sites = profile.sites.len();
    for site in 0..if one_site { 1 } else { sites } {
        topology = topology.site(local(name(site)));
    }
    if !one_site {
        for (from, to, link) in profile.links.between() {
            topology = topology.wan(name(from), name(to), Wan::new(rate(link), delay(link)));
        }
    }
    for site in 0..sites {
        for server in 0..profile.machines_per_site {
            let server = ServerId(site as u32 * profile.machines_per_site + server);
            topology = topology.place(Peer::Server(server), name(site));
        }
        for worker in 0..WORKERS_PER_SITE {
            let token = u64::from(site as u32 * WORKERS_PER_SITE + worker);
            topology = topology.place(Peer::Worker(token), name(site));
        }
    }
    Ok(topology.build()?)
}
