//! `remote_p50`: one row of 16 f32, asked for and answered, one request at a time; client and
//! server on one core, so that waking a halted core is not measured.

use std::process::Stdio;
use std::time::Instant;

use archipelago::TableSpec;

use crate::bare;
use crate::child::Role;
use crate::race::Outcome;
use crate::report::{Aim, Report, Row};
use crate::store::Cluster;

const NAMES: [&str; 2] = ["remote_p50", "remote_p99"];
const WIDTH: usize = 16;
/// Asked in turn, so many at a time.
const TURN: usize = 500;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    if NAMES.iter().filter(|name| report.wants(name)).count() == 0 {
        return Ok(());
    }
    let mut command = std::process::Command::new("taskset");
    let child = Role::Latency { smoke }.command()?;
    command.args(["--cpu-list", "0"]).arg(child.get_program()).args(child.get_args());
    let output = command.stderr(Stdio::inherit()).output();
    let output = output.map_err(|error| format!("taskset, of util-linux, is needed: {error}"))?;
    let text = String::from_utf8(output.stdout)?;
    let found = text.split_whitespace().map(str::parse).collect::<Result<Vec<f64>, _>>()?;
    for (name, times) in NAMES.iter().zip(found.chunks(2)) {
        let [value, limit] = times else { return Err("two times were expected".into()) };
        let aim = if *name == NAMES[0] { Aim::AtMost(1.30) } else { Aim::None };
        let (value, limit, note) = (*value, *limit, String::new());
        report.row(&Row { name: (*name).into(), value, limit, unit: "us", aim, note });
    }
    Ok(())
}

/// In the process tied to a core: prints microseconds of store and limit, median and 99th.
pub(crate) fn measure(smoke: bool) -> Outcome {
    let cluster = Cluster::start()?;
    let (member, table) = cluster.member(TableSpec::dense("w", 1024).width(WIDTH as u32))?;
    let mut bare = bare::Client::start(1)?;
    let mut row = [0.0_f32; WIDTH];
    let mut times = [Vec::new(), Vec::new()];
    for turn in 0..if smoke { 2 } else { 40 } {
        for request in 0..TURN {
            let start = Instant::now();
            let key = (request % 1024) as u64;
            member.pull(&table, key..=key, &mut row)?;
            times[0].push(start.elapsed().as_secs_f64() * 1e6);
        }
        for _ in 0..TURN {
            let start = Instant::now();
            bare.pull(size_of_val(&row))?;
            times[1].push(start.elapsed().as_secs_f64() * 1e6);
        }
        if turn == 0 {
            // Both were warming up.
            times.iter_mut().for_each(Vec::clear);
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    for share in [0.50, 0.99] {
        for times in &times {
            println!("{}", times[(times.len() as f64 * share) as usize]);
        }
    }
    Ok(())
}
