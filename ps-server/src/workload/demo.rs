//! `demo`: one classifier, three consistency policies, servers in processes of their own; and once
//! more in data centres of the simulator.

use std::io::Write;

use anyhow::ensure;
use archipelago::node::Registry;
use archipelago::{Bsp, Eventual, Extension, Ssp, TablePolicy};
use archipelago_workloads::data::digits_split;
use archipelago_workloads::mlp;

use super::arguments::{DemoArguments, ServedArguments};
use super::embedded::Embedded;
use super::islands;
use super::job::{Job, Outcome};
use super::loopback::Loopback;
use super::model::Model;
use super::report;
use super::served::Served;
use super::stop::Stop;
use crate::code::written;

/// Servers of the demo.
const SERVERS: u32 = 2;
/// Small enough that both servers own a part of the small model.
const BLOCK_ELEMENTS: u32 = 256;
/// Shards of a table in this process.
const SHARDS: u32 = 8;

/// Trains the digits classifier under each policy.
pub(crate) fn run(
    arguments: &DemoArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut demo = Demo::new(arguments, registry, out)?;
    let cluster = if arguments.embedded { None } else { Some(Loopback::start(SERVERS)?) };
    let servers = cluster.as_ref().map(Loopback::arguments);
    for local in [Bsp.into(), Ssp { staleness: 2 }.into(), Eventual.into()] {
        let outcome = demo.train(&local, servers.as_ref())?;
        demo.tell(outcome)?;
    }
    drop(cluster);
    demo.end()?;
    islands::show(arguments.epochs, arguments.json, out)
}

struct Demo<'a> {
    arguments: &'a DemoArguments,
    registry: &'a Registry,
    out: &'a mut dyn Write,
    model: Model,
    stop: Stop,
    outcomes: Vec<Outcome>,
}

impl<'a> Demo<'a> {
    fn new(
        arguments: &'a DemoArguments,
        registry: &'a Registry,
        out: &'a mut dyn Write,
    ) -> anyhow::Result<Self> {
        let (train, test) = digits_split()?;
        let mut config = mlp::Config { block_elements: BLOCK_ELEMENTS, ..mlp::Config::default() };
        config.pace.epochs = arguments.epochs;
        if !arguments.json {
            let servers = match arguments.embedded {
                true => "no server".into(),
                false => format!("{SERVERS} servers in processes of their own, over QUIC"),
            };
            writeln!(
                out,
                "Handwritten digits, {} images to train on, {} to test; a network with {} hidden \
                 units; {} workers in this process, {servers}.",
                train.rows(),
                test.rows(),
                config.hidden,
                arguments.workers,
            )?;
            out.flush()?;
        }
        let model = Model::Mlp { config, train, test };
        let (stop, outcomes) = (Stop::by_signals(None)?, Vec::new());
        Ok(Self { arguments, registry, out, model, stop, outcomes })
    }

    /// Trains on servers, or in this process. Servers keep what they have: each policy trains
    /// under a name of its own, the same in both places.
    fn train(
        &mut self,
        local: &Extension,
        servers: Option<&ServedArguments>,
    ) -> anyhow::Result<Outcome> {
        *self.model.run_mut() = format!("digits {}", written(local));
        let (workers, quiet) = (self.arguments.workers, self.arguments.json);
        let policy = &TablePolicy::local(local.clone());
        let job = Job { model: &self.model, policy, workers, group_size: workers, quiet };
        let (registry, stop) = (self.registry.clone(), self.stop.clone());
        match servers {
            Some(servers) => job.run(Served::of(servers, registry, stop)?),
            None => job.run(Embedded::new(SHARDS, registry, stop)),
        }
    }

    fn tell(&mut self, outcome: Outcome) -> anyhow::Result<()> {
        if self.arguments.json {
            report::json(self.out, &outcome)?;
        } else {
            // The table comes last; whoever stops the demo before has these lines.
            let Outcome { local, seconds, scores, .. } = &outcome;
            let accuracy = scores.accuracy;
            writeln!(self.out, "{local} finished: {seconds:.2} s, accuracy {accuracy:.4}")?;
        }
        self.out.flush()?;
        self.outcomes.push(outcome);
        Ok(())
    }

    /// The table; and where servers have trained, that under Bsp it makes no difference.
    fn end(mut self) -> anyhow::Result<()> {
        if self.arguments.embedded {
            return self.table();
        }
        let here = self.train(&Bsp.into(), None)?;
        if self.arguments.json {
            report::json(self.out, &here)?;
        }
        self.table()?;
        let served = self.outcomes.first().map(|outcome| outcome.digest).unwrap_or_default();
        let here = here.digest;
        ensure!(
            served == here,
            "bsp has ended with other bits on servers ({served:032x}) than in this process \
             ({here:032x}): please report this"
        );
        if !self.arguments.json {
            let both = format!("bsp on {SERVERS} servers, and once more in one process");
            writeln!(self.out, "{both}: the same bits (digest {here:032x}).")?;
        }
        Ok(())
    }

    fn table(&mut self) -> anyhow::Result<()> {
        if self.arguments.json {
            return Ok(());
        }
        report::table(self.out, &self.outcomes)
    }
}
