//! What the command line may say.

use clap::{Parser, Subcommand};

use crate::cert::CertArguments;
use crate::serve::{ConfigArguments, ServeArguments};
use crate::status::StatusArguments;
use crate::table::TableArguments;
#[cfg(feature = "workloads")]
use crate::workload::{DemoArguments, TrainArguments};

/// Archipelago: a parameter store with exact consistency policies.
#[derive(Clone, Debug, Parser)]
#[command(name = "ps-server", version, about, max_term_width = 100)]
#[command(after_help = FIRST_STEPS)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

#[cfg(feature = "workloads")]
const FIRST_STEPS: &str = "\
First steps:
  ps-server demo                                               servers, workers, three policies
  ps-server train --embedded --model softmax --train digits    training in this process
  ps-server serve --dev                                        a server, and how to train there";

#[cfg(not(feature = "workloads"))]
const FIRST_STEPS: &str = "\
First step:
  ps-server serve --dev      a server, and how to connect to it";

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Run a server of a cluster until Ctrl-C.
    Serve(ServeArguments),
    /// Check a server's configuration.
    Config(ConfigArguments),
    /// Show how running servers stand.
    Status(StatusArguments),
    /// Create, list, describe, change and drop tables of a running cluster.
    Table(TableArguments),
    /// Make, issue, revoke and show certificates.
    Cert(CertArguments),
    /// Start servers on loopback, train a digits classifier under Bsp, Ssp and Eventual, compare.
    #[cfg(feature = "workloads")]
    Demo(DemoArguments),
    /// Reproduce experiments of papers in the simulator, on real models and data.
    #[cfg(feature = "workloads")]
    Experiment(crate::experiment::ExperimentArguments),
    /// Train a model on files and score it on held-out rows.
    #[cfg(feature = "workloads")]
    Train(TrainArguments),
}
