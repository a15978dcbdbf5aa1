//! `sim_speed`: simulated seconds in a second, of three data centres of four machines each that
//! train a model.

use std::time::Instant as Clock;

use archipelago::id::{DataCentre, GroupId, ServerId};
use archipelago::node::Peer;
use archipelago::sim::{Cluster, Site, Topology, Wan};
use archipelago::time::{Duration, Instant};
use archipelago::{Asp, Bsp, Extension, Store, TablePolicy};
use archipelago_workloads::data::{Cut, digits_split};
use archipelago_workloads::mlp;
use archipelago_workloads::task::{Task, TaskError};

use crate::race::{Outcome, median};
use crate::report::{Aim, Report, Row};

const SITES: [&str; 3] = ["Virginia", "Frankfurt", "Tokyo"];
/// Machines of a site, each with a server and a worker.
const MACHINES: u32 = 4;
const WORKERS: u32 = MACHINES * SITES.len() as u32;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    row(report, smoke, "asp", Asp::default().into())?;
    row(report, smoke, "bsp", Bsp.into())
}

fn row(report: &mut Report, smoke: bool, name: &str, global: Extension) -> Outcome {
    let name = format!("sim_speed/{name}");
    if !report.wants(&name) {
        return Ok(());
    }
    let (ticks, rounds) = if smoke { (2, 1) } else { (100, 5) };
    let task = task(ticks)?;
    let (mut runs, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        runs.push(simulated(&task, &global)?);
        alone.push(models_alone(&task)?);
    }
    let seconds = median(runs.iter().map(|run| run.wall).collect());
    // The seed is one, so that all runs are.
    let Run { simulated, events, .. } = runs[0];
    let (tick, rate) = (simulated / ticks as f64 * 1e3, events as f64 / seconds / 1e3);
    report.row(&Row {
        name,
        value: simulated / seconds,
        limit: simulated / median(alone),
        unit: "s/s",
        aim: Aim::None,
        note: format!(
            "a tick: {tick:.1} ms simulated, {} events; {rate:.0} k events/s",
            events / ticks
        ),
    });
    Ok(())
}

/// The digits, by a network with one hidden layer.
fn task(ticks: u64) -> Outcome<Task> {
    let (train, test) = digits_split()?;
    // Small blocks, so that each server of a site has some.
    let mut config = mlp::Config { block_elements: 256, ..mlp::Config::default() };
    config.pace.iterations = Some(ticks);
    Ok(Task::Mlp { config, train, test })
}

#[derive(Clone, Copy, Debug)]
struct Run {
    /// Until the last worker had ended, in seconds of virtual time.
    simulated: f64,
    /// Seconds that the run took, and its end.
    wall: f64,
    events: u64,
}

fn simulated(task: &Task, global: &Extension) -> Outcome<Run> {
    let mut builder = Cluster::builder(1).record_history(false).topology(topology()?);
    for site in SITES {
        builder = builder.data_centre(site, MACHINES);
    }
    let policy = TablePolicy::local(Bsp).global(global.clone());
    let tables = task.tables(WORKERS)?;
    for (spec, hyper) in &tables {
        builder = builder.table(spec.clone(), policy.clone(), *hyper);
    }
    let mut cluster = builder.group(MACHINES).build()?;
    let handles = (0..tables.len() as u32).map(|table| cluster.table(table));
    let handles = handles.collect::<archipelago::Result<Vec<_>>>()?;
    for who in 0..WORKERS {
        let (site, handles) = (DataCentre(who / MACHINES), handles.clone());
        cluster.spawn_in(site, GroupId(0), Duration::ZERO, async move |me| {
            let trained = task.train_as(&me, &handles, &Cut::Even, (who, WORKERS), &|_| {}).await;
            trained.map(drop).map_err(TaskError::into_store_error)
        });
    }
    let begun = Clock::now();
    let outcome = cluster.run()?;
    let wall = begun.elapsed().as_secs_f64();
    if !outcome.is_good() {
        return Err(outcome.report().into());
    }
    let simulated = outcome.ended.since(Instant::EPOCH).as_secs_f64();
    Ok(Run { simulated, wall, events: outcome.events })
}

/// Three sites, 40 to 110 ms and 25 MB/s apart.
fn topology() -> Outcome<Topology> {
    let wan = |latency| Wan::new(25_000_000, Duration::from_millis(latency));
    let mut topology = SITES.iter().fold(Topology::builder(), |it, site| it.site(Site::new(*site)));
    for (a, b, latency) in [(0, 1, 40), (0, 2, 80), (1, 2, 110)] {
        topology = topology.wans(SITES[a], SITES[b], wan(latency));
    }
    for machine in 0..WORKERS {
        let peers = [Peer::Server(ServerId(machine)), Peer::Worker(machine.into())];
        topology = topology.colocate(peers, SITES[(machine / MACHINES) as usize]);
    }
    Ok(topology.build()?)
}

/// Seconds of the same steps of all workers, one worker after the other, each with a store of its
/// own in memory.
fn models_alone(task: &Task) -> Outcome<f64> {
    let mut seconds = 0.0;
    for who in 0..WORKERS {
        let store = Store::in_memory();
        let tables = task
            .tables(WORKERS)?
            .into_iter()
            .map(|(spec, hyper)| store.ensure_table(spec, TablePolicy::local(Bsp), hyper));
        let tables = tables.collect::<archipelago::Result<Vec<_>>>()?;
        let me = store.group("alone", 1)?.join_blocking()?;
        let begun = Clock::now();
        me.run(async |me| task.train_as(me, &tables, &Cut::Even, (who, WORKERS), &|_| {}).await)?;
        seconds += begun.elapsed().as_secs_f64();
    }
    Ok(seconds)
}
