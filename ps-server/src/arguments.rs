//! What the command line may say.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::Local;

/// Archipelago: a parameter store with exact consistency policies.
#[derive(Clone, Debug, Parser)]
#[command(name = "ps-server", version, about, max_term_width = 100)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Train a digits classifier in this process under Bsp, Ssp and Eventual, and compare.
    Demo(DemoArguments),
    /// Train a model on files and score it on held-out rows.
    Train(TrainArguments),
}

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArguments {
    /// Workers that train together, each a thread.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// Passes over the data.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: u32,
    /// Print one JSON object per run instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `train`.
#[derive(Clone, Debug, Args)]
pub struct TrainArguments {
    /// What to train.
    #[arg(long, value_enum)]
    pub model: ModelKind,
    /// Training rows: LIBSVM text for sparse-lr; CSV (label in the first column) or IDX images for
    /// softmax and mlp. Plain or gzip.
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Held-out rows in the same format.
    #[arg(long, value_name = "FILE")]
    pub test: PathBuf,
    /// Labels of the IDX training images. Default: the images' name with `images-idx3` replaced
    /// by `labels-idx1`.
    #[arg(long, value_name = "FILE")]
    pub train_labels: Option<PathBuf>,
    /// Labels of the IDX test images.
    #[arg(long, value_name = "FILE")]
    pub test_labels: Option<PathBuf>,
    /// Train in this process. The only way until servers arrive, so it has to be said.
    #[arg(long, required = true)]
    pub embedded: bool,
    /// Consistency: bsp, ssp:N (staleness N) or eventual.
    #[arg(long, default_value = "bsp", value_name = "POLICY")]
    pub local: Local,
    /// Workers that train together, each a thread.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// Passes over the data. Default: the model's.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: Option<u32>,
    /// Rows of one worker's minibatch. Default: the model's.
    #[arg(long)]
    pub batch: Option<usize>,
    /// The learning rate, constant. Default: the model's.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Shards per table. The result does not depend on it under bsp.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub shards: u32,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// The models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ModelKind {
    /// Logistic regression on sparse rows.
    SparseLr,
    /// Multinomial logistic regression.
    Softmax,
    /// A network with one hidden layer.
    Mlp,
}
