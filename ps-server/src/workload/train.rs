//! `train`: a model from files.

use std::io::Write;

use anyhow::ensure;
use archipelago::error::AccessError;
use archipelago::{Error, Schedule};

use super::arguments::TrainArguments;
use super::job::{Job, nats};
use super::{data, report, summary};

/// What to do when steps were too large.
const ADVICE: &str = "lower --rate, or scale features of very different size";

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
    let outcome = job.run().map_err(advised)?;
    if let Some(loss) = outcome.diverged {
        writeln!(
            std::io::stderr(),
            "warning: a log-loss of {}, where guessing has {}: training has diverged: {ADVICE}",
            nats(loss),
            nats(model.guessing())
        )?;
    }
    if arguments.json { report::json(out, &outcome) } else { report::table(out, &[outcome]) }
}

/// Adds what to do to the error of steps so large that no number holds what follows.
fn advised(error: anyhow::Error) -> anyhow::Error {
    match error.downcast_ref() {
        Some(Error::Access(AccessError::NonFinite { .. })) => {
            error.context(format!("training has diverged: {ADVICE}"))
        },
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Arguments, Command};
    use clap::Parser;

    #[test]
    fn a_program_has_to_say_embedded_too() {
        let line = ["ps-server", "train", "--embedded", "--model", "mlp", "--train", "digits"];
        let Command::Train(mut arguments) = Arguments::parse_from(line).command else {
            panic!("another command");
        };
        arguments.embedded = false;
        let error = run(&arguments, &mut std::io::sink()).expect_err("not embedded").to_string();
        assert!(error.contains("train needs --embedded, which trains in this process"), "{error}");
    }
}
