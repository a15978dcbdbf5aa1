//! `sim_events`: events per second of the simulator, three servers and four workers under Bsp.

use std::time::Instant;

use archipelago::id::GroupId;
use archipelago::rules::Momentum;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::time::Duration;
use archipelago::{Bsp, Hyper, TablePolicy, TableSpec, Worker};

use crate::race::Outcome;
use crate::report::{Aim, Report, Row};

const WORKERS: u32 = 4;
const ROWS: u64 = 64 * 1024;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    if !report.wants("sim_events") {
        return Ok(());
    }
    let mut rates = Vec::new();
    for seed in 0..if smoke { 1 } else { 5 } {
        let started = Instant::now();
        let events = run(seed, if smoke { 2 } else { 50 })?;
        rates.push(events as f64 / started.elapsed().as_secs_f64());
    }
    rates.sort_by(f64::total_cmp);
    report.row(&Row {
        name: "sim_events".into(),
        value: rates[rates.len() / 2] / 1e3,
        limit: f64::NAN,
        unit: "k/s",
        aim: Aim::None,
        note: "each message encoded and decoded; blocks of 4096 elements".into(),
    });
    Ok(())
}

/// Events of one run of `ticks` ticks.
fn run(seed: u64, ticks: u64) -> Result<u64, Box<dyn std::error::Error + Send + Sync>> {
    let spec = TableSpec::dense("w", ROWS).block_elements(4096).rule(Momentum { beta: 0.9 });
    let cluster = Cluster::builder(seed).servers(3).links(LinkProfile::normal());
    let cluster = cluster.table(spec, TablePolicy::local(Bsp), Hyper::default());
    let mut cluster = cluster.group(WORKERS).record_history(false).build()?;
    for _ in 0..WORKERS {
        let w = cluster.table(0)?;
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            let mut x = vec![0.0_f32; ROWS as usize];
            for _ in 0..ticks {
                me.pull(&w, .., &mut x).await?;
                me.compute(Duration::from_millis(1)).await;
                me.push(&w, .., &x).await?;
                me.tick().await?;
            }
            me.finish().await
        });
    }
    let outcome = cluster.run()?;
    if outcome.is_good() { Ok(outcome.events) } else { Err(outcome.report().into()) }
}
