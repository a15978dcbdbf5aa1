//! `train`: a model from files.

use std::io::Write;

use anyhow::ensure;
use archipelago::error::AccessError;
use archipelago::node::Registry;
use archipelago::{Error, Extension, Schedule, TablePolicy, TableSpec};

use super::arguments::TrainArguments;
use super::embedded::Embedded;
use super::job::{Job, nats};
use super::model::Model;
use super::served::Served;
use super::stop::Stop;
use super::{data, report, summary};
use crate::code::{Kind, doubt, named, named_policy};
use crate::table::file_entry;

/// What to do when steps were too large.
const ADVICE: &str = "lower --rate, or scale features of very different size";

/// Loads, says what was loaded, trains, scores, reports.
pub(crate) fn run(
    arguments: &TrainArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let served = &arguments.served;
    ensure!(
        arguments.describe_tables || arguments.embedded == served.connect.servers.is_empty(),
        "train needs either --embedded, to train in this process, or --servers ADDR,.."
    );
    let (rule, policy) = code(arguments, registry)?;
    if let Some(doubt) = doubt(&policy) {
        writeln!(std::io::stderr(), "warning: {doubt}")?;
    }
    let mut model = data::load(arguments)?;
    let (train, test) = model.summaries();
    let name = arguments.train.display().to_string();
    let test_name = arguments.test.as_ref().map(|test| test.display().to_string());
    let test_name = test_name.unwrap_or_else(|| format!("{name}, test part"));
    for note in summary::notes((&name, &train), (&test_name, &test))? {
        writeln!(std::io::stderr(), "{note}")?;
    }
    adjust(&mut model, rule, arguments);
    let (workers, quiet) = (arguments.workers, arguments.json);
    let group_size = served.group_size.unwrap_or(workers);
    ensure!(
        workers <= group_size,
        "--group-size {group_size} counts the workers of all processes, and this one has \
         --workers {workers}: give a larger --group-size, or fewer workers"
    );
    let job = Job { model: &model, policy: &policy, workers, group_size, quiet };
    if arguments.describe_tables {
        return describe(&job, out);
    }
    let registry = registry.clone();
    let outcome = if arguments.embedded {
        job.run(Embedded::new(arguments.shards, registry, Stop::never()))
    } else {
        job.run(Served::of(served, registry, Stop::by_signals(None)?)?)
    };
    let outcome = outcome.map_err(advised)?;
    if let Some(loss) = outcome.diverged {
        writeln!(
            std::io::stderr(),
            "warning: a log-loss of {}, where guessing has {}: training has diverged: {ADVICE}",
            nats(loss),
            nats(model.guessing())
        )?;
    }
    if arguments.json {
        return report::json(out, &outcome);
    }
    let digest = outcome.digest;
    report::table(out, &[outcome])?;
    writeln!(out, "digest of the trained values: {digest:032x}")?;
    Ok(())
}

/// Prints the tables that the training needs.
fn describe(job: &Job<'_>, out: &mut dyn Write) -> anyhow::Result<()> {
    for (spec, policy, hyper) in job.tables() {
        writeln!(out, "{}", file_entry(&spec, &policy, &hyper)?)?;
    }
    Ok(())
}

/// The update rule, unless it is the model's own, and the policies. Mistakes in them are told
/// before any file is read.
fn code(
    arguments: &TrainArguments,
    registry: &Registry,
) -> anyhow::Result<(Option<Extension>, TablePolicy)> {
    let rule = arguments.rule.as_deref().map(|rule| named(Kind::Rule, rule, registry));
    let rule = rule.transpose()?;
    let TrainArguments { local, global, significance, .. } = arguments;
    let policy = named_policy([local, global, significance], registry)?;
    let mut spec = TableSpec::dense(arguments.run.as_deref().unwrap_or("train"), 1);
    spec.rule = rule.clone().unwrap_or(spec.rule);
    registry.resolve(&spec, &policy)?;
    Ok((rule, policy))
}

/// Gives the model what the command line says of it.
fn adjust(model: &mut Model, rule: Option<Extension>, arguments: &TrainArguments) {
    if let Some(epochs) = arguments.epochs {
        model.pace_mut().epochs = epochs;
    }
    if let Some(batch) = arguments.batch {
        model.pace_mut().batch = batch as usize;
    }
    if let Some(rule) = rule {
        *model.rule_mut() = rule;
    }
    if let Some(rate) = arguments.rate {
        *model.rate_mut() = Schedule::Constant(rate);
    }
    if let Some(run) = &arguments.run {
        model.run_mut().clone_from(run);
    }
    *model.block_elements_mut() = arguments.block_elements;
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
    fn a_program_has_to_say_where_too() {
        let line = ["ps-server", "train", "--embedded", "--model", "mlp", "--train", "digits"];
        let Command::Train(mut arguments) = Arguments::parse_from(line).command else {
            panic!("another command");
        };
        arguments.embedded = false;
        let error = run(&arguments, &Registry::built_in(), &mut std::io::sink())
            .expect_err("not embedded")
            .to_string();
        assert!(error.contains("train needs either --embedded, to train in this"), "{error}");
    }
}
