//! `experiment gaia` from its command line to its reports.

use std::io::{IsTerminal, Write};
use std::path::Path;

use anyhow::ensure;

use super::arguments::{ExperimentArguments, ExperimentCommand, GaiaArguments};
use super::plan::Plan;
use super::runner::{Finished, Manner, Runs, execute};
use super::{json, report, table};
use crate::files::{self, Readers};
use crate::workload::Stop;

const STOPPING: &str = "ps-server: stops when the runs that have begun have ended, which may take \
    minutes, and reports what there is: Ctrl-C again ends at once, without";

/// Does what the command line says; Ctrl-C and SIGTERM end it after the runs that are under way.
///
/// # Errors
/// Profiles that are wrong, runs that fail, reports that cannot be written;
/// [`Interrupted`](super::Interrupted).
pub fn run(
    arguments: &ExperimentArguments,
    runs: &dyn Runs,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let stop = Stop::by_signals(Some(STOPPING))?;
    let lines = !std::io::stderr().is_terminal();
    told(arguments, runs, &|| stop.said().map(|stopped| stopped.exit_code), lines, out)
}

/// As [`run`], until `stop` gives an exit code: asked before every run.
///
/// # Errors
/// As [`run`].
pub fn run_until(
    arguments: &ExperimentArguments,
    runs: &dyn Runs,
    stop: &dyn Fn() -> Option<u8>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    told(arguments, runs, stop, false, out)
}

fn told(
    arguments: &ExperimentArguments,
    runs: &dyn Runs,
    stop: &dyn Fn() -> Option<u8>,
    lines: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let ExperimentCommand::Gaia(gaia) = &arguments.command;
    let plan = Plan::new(gaia)?;
    if let Some(path) = &gaia.report {
        check_place(path)?;
    }
    runs.check(&plan)?;
    for left_out in &plan.left_out {
        writeln!(std::io::stderr(), "note: left out: {left_out}")?;
    }
    let manner = Manner { jobs: gaia.jobs(), quiet: gaia.json, lines: lines && !gaia.json };
    let finished = execute(&plan, runs, stop, manner, &mut |result| {
        if gaia.json {
            json::write(out, result)?;
            out.flush()?;
        }
        Ok(())
    })?;
    tell(gaia, &plan, &finished, out)?;
    finished.interrupted.map_or(Ok(()), |interrupted| Err(interrupted.into()))
}

/// A mistake in the name of a report is told before the runs, not after them.
fn check_place(path: &Path) -> anyhow::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    ensure!(
        folder.is_dir() && !path.is_dir() && path.file_name().is_some(),
        "--report {}: expected the name of a file in a folder that there is",
        path.display()
    );
    Ok(())
}

fn tell(
    gaia: &GaiaArguments,
    plan: &Plan,
    finished: &Finished,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    if !gaia.json && !finished.results.is_empty() {
        table::write(out, &finished.results)?;
        for profile in &plan.profiles {
            writeln!(out, "\nLinks of {}:\n{}", profile.name, profile.source)?;
            if let Some(computing) = table::computing(&profile.name, &finished.results) {
                writeln!(out, "{computing}")?;
            }
        }
        let mut told: Vec<&str> = Vec::new();
        for prices in plan.profiles.iter().map(|profile| profile.prices.source.as_str()) {
            if !told.contains(&prices) {
                writeln!(out, "\nPrices:\n{prices}")?;
                told.push(prices);
            }
        }
    }
    if let Some(path) = &gaia.report {
        files::write(path, &report::html(&gaia.command_line(), plan, finished), Readers::All)?;
        if !gaia.json {
            writeln!(out, "\nReport: {}", path.display())?;
        }
    }
    Ok(())
}
