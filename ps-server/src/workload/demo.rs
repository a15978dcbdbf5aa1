//! `demo`: one classifier, three consistency policies, one table.

use std::io::Write;

use archipelago_workloads::data::digits_split;
use archipelago_workloads::mlp;

use super::arguments::DemoArguments;
use super::job::{Job, Outcome};
use super::model::Model;
use super::{Local, report};

/// Trains the digits classifier under each policy.
pub(crate) fn run(arguments: &DemoArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    let (train, test) = digits_split()?;
    let mut config = mlp::Config { name: "digits".into(), ..mlp::Config::default() };
    config.pace.epochs = arguments.epochs;
    if !arguments.json {
        writeln!(
            out,
            "Handwritten digits, {} images to train on, {} to test; a network with {} hidden \
             units; {} workers in this process.",
            train.rows(),
            test.rows(),
            config.hidden,
            arguments.workers,
        )?;
        out.flush()?;
    }
    let model = Model::Mlp { config, train, test };
    let mut outcomes = Vec::new();
    for local in [Local::Bsp, Local::Ssp(2), Local::Eventual] {
        let workers = arguments.workers;
        let job = Job { model: &model, local, workers, shards: 8, quiet: arguments.json };
        let outcome = job.run()?;
        if arguments.json {
            report::json(out, &outcome)?;
        } else {
            // The table comes last; whoever stops the demo before has these lines.
            let Outcome { seconds, scores, .. } = &outcome;
            let accuracy = scores.accuracy;
            writeln!(out, "{local} finished: {seconds:.2} s, accuracy {accuracy:.4}")?;
        }
        out.flush()?;
        outcomes.push(outcome);
    }
    if !arguments.json {
        report::table(out, &outcomes)?;
    }
    Ok(())
}
