//! `fit`: a line through noisy points, by workers that are threads of this process.

use std::io::Write;
use std::thread;

use anyhow::anyhow;
use archipelago::embed::ThreadPark;
use archipelago::node::worker::{Park, WorkerOptions};
use archipelago::rng::Rng;
use archipelago::transport::WorkerProcess;
use archipelago::{Combine, Hyper, Result, Schedule, Table, TablePolicy, TableSpec, Worker};
use clap::Args;
use ps_server::{App, ConnectArguments};

use crate::nesterov::Nesterov;
use crate::warm_up::WarmUp;

const TICKS: u64 = 100;
/// Points of one worker, all of them in every step.
const POINTS: usize = 64;
/// What the points lie around: `SLOPE * x + OFFSET`.
const SLOPE: f32 = 2.0;
const OFFSET: f32 = -1.0;

/// Options of `fit`.
#[derive(Clone, Debug, Args)]
pub(crate) struct FitArguments {
    /// Workers of this process, which train together.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=16))]
    workers: u32,
    /// The servers.
    #[command(flatten)]
    connect: ConnectArguments,
}

/// Trains, and says what the line is.
pub(crate) fn run(arguments: &FitArguments, app: &App, out: &mut dyn Write) -> anyhow::Result<()> {
    let config = arguments.connect.config(app.registry().clone(), WorkerOptions::default())?;
    let process = WorkerProcess::start(config)?;
    let lines = thread::scope(|threads| {
        let (process, of) = (&process, arguments.workers);
        let workers: Vec<_> =
            (0..of).map(|number| threads.spawn(move || work(process, number, of))).collect();
        let ends = workers
            .into_iter()
            .map(|worker| worker.join().map_err(|_panic| anyhow!("a worker has panicked"))?);
        ends.collect::<anyhow::Result<Vec<_>>>()
    })?;
    for (number, [slope, offset]) in lines.iter().enumerate() {
        writeln!(out, "worker {number} ends with y = {slope:.2} x + {offset:.2}")?;
    }
    // The servers hear that its workers are gone before this process is.
    ThreadPark.block_on(process.ended());
    Ok(())
}

/// One worker of so many, from its session to its last tick.
fn work(process: &WorkerProcess, number: u32, of: u32) -> anyhow::Result<[f32; 2]> {
    let points = points(number);
    Ok(ThreadPark.block_on(async {
        let session = process.session().await?;
        let combine = Combine::WeightedMean { round_weight: f64::from(of) };
        let line = session
            .ensure_table(
                TableSpec::dense("line", 2).rule(Nesterov { beta: 0.5 }).combine(combine),
                TablePolicy::local(WarmUp { ticks: 10, staleness: 2 }),
                Hyper::rate(Schedule::Constant(0.2)),
            )
            .await?;
        let group = session.ensure_group("fit", of).await?;
        let me = session.join(group).await?;
        train(&me, &line, &points).await
    })?)
}

/// Gradient descent on the mean square error.
async fn train<W: Worker>(me: &W, line: &Table, points: &[[f32; 2]]) -> Result<[f32; 2]> {
    let mut w = [0.0_f32; 2];
    for _ in 0..TICKS {
        me.pull(line, .., &mut w).await?;
        let mut gradient = [0.0_f32; 2];
        for [x, y] in points {
            let error = w[0] * x + w[1] - y;
            gradient[0] += error * x / points.len() as f32;
            gradient[1] += error / points.len() as f32;
        }
        me.push(line, .., &gradient).await?;
        me.tick().await?;
    }
    me.pull(line, .., &mut w).await?;
    me.finish().await?;
    Ok(w)
}

/// A worker's own points, the same in every run.
fn points(number: u32) -> Vec<[f32; 2]> {
    let mut rng = Rng::named(u64::from(number), "points");
    let mut unit = || rng.below(2001) as f32 / 1000.0 - 1.0;
    let point = |_| {
        let (x, noise) = (unit(), unit() / 10.0);
        [x, SLOPE * x + OFFSET + noise]
    };
    (0..POINTS).map(point).collect()
}
