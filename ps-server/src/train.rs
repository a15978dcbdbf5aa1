//! `train`: a model from files.

use std::io::Write;

use anyhow::ensure;
use archipelago::Schedule;

use crate::arguments::TrainArguments;
use crate::job::Job;
use crate::{data, report, summary};

/// Loads, says what was loaded, trains, scores, reports.
pub(crate) fn run(arguments: &TrainArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    ensure!(
        arguments.embedded,
        "train needs --embedded, which trains in this process: training against servers is planned"
    );
    let mut model = data::load(arguments)?;
    let (train, test) = model.summaries();
    let name = arguments.train.display().to_string();
    let test_name = arguments.test.as_ref().map(|test| test.display().to_string());
    let test_name = test_name.unwrap_or_else(|| format!("{name}, test part"));
    for note in summary::notes((&name, &train), (&test_name, &test))? {
        writeln!(std::io::stderr(), "{note}")?;
    }
    if let Some(epochs) = arguments.epochs {
        model.pace_mut().epochs = epochs;
    }
    if let Some(batch) = arguments.batch {
        model.pace_mut().batch = batch as usize;
    }
    if let Some(rate) = arguments.rate {
        *model.rate_mut() = Schedule::Constant(rate);
    }
    let job = Job {
        model: &model,
        local: arguments.local,
        workers: arguments.workers,
        shards: arguments.shards,
        quiet: arguments.json,
    };
    let outcome = job.run()?;
    if arguments.json { report::json(out, &outcome) } else { report::table(out, &[outcome]) }
}
