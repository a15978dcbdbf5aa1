//! The end of `demo`: the same classifier in three data centres of the simulator.

use std::io::Write;

use anyhow::ensure;
use archipelago::id::{DataCentre, GroupId, Rank, ServerId};
use archipelago::node::Peer;
use archipelago::rules::Sgd;
use archipelago::sim::{Cluster, Outcome, Site, Topology, Wan};
use archipelago::time::Duration;
use archipelago::{Asp, Bsp, Extension, Schedule, TablePolicy};
use archipelago_workloads::data::{Cut, digits_split};
use archipelago_workloads::mlp;
use archipelago_workloads::task::{Task, TaskError};
use archipelago_workloads::train::TrainReport;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use crate::units::{bytes, counted, seconds};

/// Virginia, Frankfurt, Tokyo: Mb/s as the Gaia paper has them, and milliseconds there and back.
const SITES: [&str; 3] = ["Virginia", "Frankfurt", "Tokyo"];
const LINKS: [(usize, usize, u64, u64); 3] = [(0, 1, 75, 90), (0, 2, 65, 150), (1, 2, 40, 230)];
const SERVERS: u32 = 2;
const WORKERS: u32 = 4;
/// Passes at most: the simulator takes longer for one than servers do.
const EPOCHS_MAX: u32 = 5;
/// Modelled nanoseconds of an operation: a batch takes some milliseconds, as on a larger model.
const FLOP_NANOSECONDS: f64 = 3.0;

/// One run.
struct Run {
    policy: &'static str,
    seconds: f64,
    wan_bytes: u64,
    accuracy: f64,
    equal: bool,
}

/// Trains in three data centres under global Bsp and under Asp, in virtual time, and compares. The
/// other part of the demo makes `asked` passes over the data; this one may make fewer.
pub(super) fn show(asked: u32, json: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    let epochs = asked.min(EPOCHS_MAX);
    let task = task(epochs)?;
    let runs = [("bsp", Bsp.into()), ("asp", Asp::default().into())];
    let runs = runs.map(|(policy, global)| run(&task, policy, &global));
    if json {
        for run in runs {
            let Run { policy, seconds, wan_bytes, accuracy, equal } = run?;
            let line = serde_json::json!({
                "data_centres": SITES.len(), "policy": policy, "epochs": epochs,
                "virtual_seconds": seconds, "wan_bytes": wan_bytes, "accuracy": accuracy,
                "copies_equal": equal,
            });
            writeln!(out, "{line}")?;
        }
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(["between data centres", "virtual time", "WAN", "accuracy"]);
    for run in runs {
        let run = run?;
        ensure!(run.equal, "{}: copies differ in the end: please report this", run.policy);
        let accuracy = format!("{:.4}", run.accuracy);
        let (time, sent) = (seconds(run.seconds), bytes(run.wan_bytes));
        table.add_row([run.policy.into(), time, sent, accuracy]);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(
        out,
        "\nThe same network in three data centres of the simulator ({}), {WORKERS} workers and a \
         copy of the model in each, {}: exact (bsp) and approximately synchronous (asp).",
        SITES.join(", "),
        passes(epochs, asked)
    )?;
    writeln!(out, "{table}")?;
    Ok(())
}

fn passes(epochs: u32, asked: u32) -> String {
    let fewer = match epochs < asked {
        true => format!(" instead of {asked}, hence the lower accuracy"),
        false => String::new(),
    };
    format!("{} over the data{fewer}", counted(epochs, ["pass", "passes"]))
}

fn task(epochs: u32) -> anyhow::Result<Task> {
    let (train, test) = digits_split()?;
    let mut config = mlp::Config { block_elements: 256, ..mlp::Config::default() };
    (config.rule, config.rate) = (Sgd.into(), Schedule::Constant(0.2));
    config.pace.epochs = epochs;
    config.pace.flop_nanoseconds = FLOP_NANOSECONDS;
    config.pace.final_model = Some(Rank(0));
    Ok(Task::Mlp { config, train, test })
}

fn run(task: &Task, policy: &'static str, global: &Extension) -> anyhow::Result<Run> {
    let workers = SITES.len() as u32 * WORKERS;
    let terms = TablePolicy::local(Bsp).global(global.clone());
    let mut builder = Cluster::builder(1).record_history(false).topology(topology()?);
    for site in SITES {
        builder = builder.data_centre(site, SERVERS);
    }
    for (spec, hyper) in task.tables(workers)? {
        builder = builder.table(spec, terms.clone(), hyper);
    }
    let mut cluster = builder.group(WORKERS).build()?;
    let tables = [cluster.table(0)?, cluster.table(1)?];
    for worker in 0..workers {
        let (tables, site) = (tables.clone(), DataCentre(worker / WORKERS));
        let train = async move |me| {
            let place = (worker, workers);
            task.train_as(&me, &tables, &Cut::Even, place, &|_| {})
                .await
                .map_err(TaskError::into_store_error)
        };
        cluster.spawn_in(site, GroupId(0), Duration::ZERO, train);
    }
    let outcome = cluster.run()?;
    ensure!(outcome.is_good(), "{}", outcome.report());
    Ok(Run {
        policy,
        seconds: outcome.ended.0 as f64 / 1e9,
        wan_bytes: outcome.sent_abroad(None).bytes(),
        accuracy: accuracy(task, &outcome)?,
        equal: copies_equal(&outcome),
    })
}

/// Of the model that the first worker has read at the end.
fn accuracy(task: &Task, outcome: &Outcome<TrainReport>) -> anyhow::Result<f64> {
    let first = outcome.results.first().and_then(Option::as_ref);
    let model = first.and_then(|it| it.as_ref().ok()).and_then(|it| it.model.as_ref());
    let model = model.ok_or_else(|| anyhow::anyhow!("the first worker has read no model"))?;
    Ok(task.judge(model)?.score.value)
}

fn copies_equal(outcome: &Outcome<TrainReport>) -> bool {
    let tables = &outcome.tables;
    let of_name = |name: &str| tables.iter().find(|table| table.name == name).map(|it| it.values);
    tables.iter().all(|table| of_name(&table.name) == Some(table.values))
}

fn topology() -> anyhow::Result<Topology> {
    let mut topology = Topology::builder();
    for site in SITES {
        topology = topology.site(Site::new(site));
    }
    for (a, b, megabits, milliseconds) in LINKS {
        let wan = Wan::new(megabits * 125_000, Duration::from_micros(milliseconds * 500));
        topology = topology.wans(SITES[a], SITES[b], wan);
    }
    for (site, name) in (0..).zip(SITES) {
        for server in 0..SERVERS {
            topology = topology.place(Peer::Server(ServerId(site * SERVERS + server)), name);
        }
        for worker in 0..WORKERS {
            topology = topology.place(Peer::Worker(u64::from(site * WORKERS + worker)), name);
        }
    }
    Ok(topology.build()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_passes_than_were_asked_for_are_said() {
        assert_eq!(passes(1, 1), "1 pass over the data");
        let fewer = "5 passes over the data instead of 30, hence the lower accuracy";
        assert_eq!(passes(5, 30), fewer);
    }
}
