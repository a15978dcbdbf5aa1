//! What the command line may say of training.

use std::path::PathBuf;

use archipelago::limits;
use clap::{ArgGroup, Args, ValueEnum};

use crate::connect::{ConnectArguments, seconds};

/// Options of `demo`.
#[derive(Clone, Debug, Args)]
pub struct DemoArguments {
    /// Workers that train together, each a thread. The simulated data centres have 4 each.
    #[arg(long, default_value_t = 4, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// Train in this process alone, without servers.
    #[arg(long)]
    pub embedded: bool,
    /// Passes over the data; in the simulated data centres 5 at most.
    #[arg(long, default_value_t = 30, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: u32,
    /// Print one JSON object per run instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Options of `train`.
#[derive(Clone, Debug, Args)]
#[command(after_help = NOTES, override_usage = TRAIN_USAGE)]
#[command(group(ArgGroup::new("where").required(true)
    .args(["embedded", "servers", "describe_tables"])))]
pub struct TrainArguments {
    /// What to train.
    #[arg(long, value_enum, ignore_case = true)]
    pub model: ModelKind,
    /// Training rows: LIBSVM for sparse-lr; CSV or the images of an IDX pair for softmax and mlp;
    /// or `digits`, which are inside this program and bring their test rows.
    #[arg(long, value_name = "FILE")]
    pub train: PathBuf,
    /// Held-out rows to score the model on, in the format of the training rows. Needed unless
    /// `--train digits`, which brings its own.
    #[arg(long, value_name = "FILE")]
    pub test: Option<PathBuf>,
    /// Labels of the IDX training images. Default: the name of the images with `images-idx3`
    /// replaced by `labels-idx1`.
    #[arg(long, value_name = "FILE")]
    pub train_labels: Option<PathBuf>,
    /// Labels of the IDX test images. Default: as for the training images.
    #[arg(long, value_name = "FILE")]
    pub test_labels: Option<PathBuf>,
    /// Train in this process; else name the servers.
    #[arg(long)]
    pub embedded: bool,
    /// Train nothing: print the tables that this training needs, for the --tables of servers.
    #[arg(long)]
    pub describe_tables: bool,
    /// Where to train instead.
    #[command(flatten)]
    pub served: ServedArguments,
    /// The run's name, by which its tables and its group of workers are called. Processes that
    /// train against the same servers under one name train together. Servers keep what was trained
    /// until they stop: another run needs another name. A network's first values depend on it.
    /// Default: mlp, softmax, or weights for sparse-lr.
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,
    /// Consistency, a local policy: bsp, ssp:N (staleness N), eventual, or one of this program's
    /// own.
    #[arg(long, default_value = "bsp", value_name = "POLICY")]
    pub local: String,
    /// What crosses between data centres, a global policy: off, bsp, ssp:N, eventual; asp or
    /// asp:THRESHOLD (what is more than 1 %, or this share, of its value), asp:bf16=1 (half the
    /// bits of it). For any but off the servers need the tables from the start: see
    /// --describe-tables.
    #[arg(long, default_value = "off", value_name = "POLICY", conflicts_with = "embedded")]
    pub global: String,
    /// What the threshold of asp is compared with: relative, what a value has gained over the
    /// value; absolute, what it has gained; or a function of this program's own.
    #[arg(long, default_value = "relative", value_name = "FUNCTION", conflicts_with = "embedded")]
    pub significance: String,
    /// The update rule: sgd, momentum:0.9, adagrad, adam, .., or one of this program's own. Give
    /// --rate with it: each rule needs another. Default: adagrad.
    #[arg(long, value_name = "RULE")]
    pub rule: Option<String>,
    /// Workers of this process, each a thread.
    #[arg(long, default_value_t = 4, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=256))]
    pub workers: u32,
    /// Passes over the data. Default: 5 for sparse-lr (10 when all rows have length 1), 30 for
    /// softmax and mlp.
    #[arg(long, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub epochs: Option<u32>,
    /// Rows of one worker's minibatch. Default: 64 for sparse-lr, 16 for softmax and mlp.
    #[arg(long, allow_negative_numbers = true, value_name = "ROWS")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..))]
    pub batch: Option<u32>,
    /// The learning rate, constant. Default: 0.05 for sparse-lr (0.3 when all rows have length 1),
    /// 0.1 for softmax and mlp: they are for adagrad.
    #[arg(long, allow_negative_numbers = true, value_parser = rate)]
    pub rate: Option<f64>,
    /// Elements of a block, the unit in which dense tables travel and are spread over servers: a
    /// power of two from 64 to 65536. Take a small one to spread a small model.
    #[arg(long, default_value_t = limits::BLOCK_ELEMENTS_MAX, allow_negative_numbers = true)]
    #[arg(value_name = "ELEMENTS", value_parser = block_elements)]
    pub block_elements: u32,
    /// Shards per table in this process. The result does not depend on it under bsp.
    #[arg(long, default_value_t = 8, allow_negative_numbers = true, conflicts_with = "servers")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub shards: u32,
    /// Print one JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

/// Servers to train against.
#[derive(Clone, Debug, Default, PartialEq, Args)]
pub struct ServedArguments {
    /// Which servers, and as whom.
    #[command(flatten)]
    pub connect: ConnectArguments,
    /// Workers of all processes of the run together, in this data centre, the same number in each
    /// of them. None reads before all have joined. Default: those of this process.
    #[arg(long, value_name = "WORKERS", allow_negative_numbers = true)]
    #[arg(conflicts_with = "embedded", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub group_size: Option<u32>,
    /// How long anything is waited for, the slowest worker of all processes for one. A server
    /// that is away is given up after 30 seconds at most. Default: 300.
    #[arg(long, value_name = "SECONDS", requires = "servers", allow_negative_numbers = true)]
    #[arg(value_parser = seconds)]
    pub wait_max: Option<f64>,
}

const TRAIN_USAGE: &str =
    "ps-server train --embedded --model <MODEL> --train <FILE> --test <FILE> [OPTIONS]
       ps-server train --embedded --model <MODEL> --train digits [OPTIONS]
       ps-server train --servers <ADDR,..> --ca <FILE> --certificate <FILE> --key <FILE> ..";

/// What the files have to look like, and what becomes of the model.
const NOTES: &str = "\
Files, plain or gzip, told by their content and not by their name:
  LIBSVM  `label index:value index:value ..`: labels -1 or 0, and +1; indices from 1, ascending
  CSV     `class,value,value,..`: no header; classes 0, 1, 2, ..; finite numbers
  IDX     MNIST's format, images and labels in two files; pixels 0 to 255 become 0 to 1
Other values are used as they are: features of very different size should be scaled before.

The trained model is scored and then discarded: there is no way to save it yet. Saving is planned
together with durable tables (log and segments).

Under bsp the trained values depend on data, options and the number of workers alone. Their digest
is in the report: the same in this process and against servers, however many there are.

Example: ps-server train --model softmax --train digits --embedded";

fn block_elements(text: &str) -> Result<u32, String> {
    let (least, most) = (limits::BLOCK_ELEMENTS_MIN, limits::BLOCK_ELEMENTS_MAX);
    let fits = |count: &u32| count.is_power_of_two() && (least..=most).contains(count);
    let count = text.parse().ok().filter(fits);
    count.ok_or_else(|| format!("expected a power of two from {least} to {most}"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate > 0.0);
    rate.ok_or_else(|| "expected a finite number above 0".into())
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

#[cfg(test)]
mod tests {
    use archipelago_workloads::train::Pace;
    use archipelago_workloads::{mlp, softmax, sparse_lr};
    use clap::CommandFactory;

    use crate::Arguments;

    #[test]
    fn help_names_the_defaults_of_the_models() {
        let mut command = Arguments::command();
        let train = command.find_subcommand_mut("train").expect("a subcommand");
        let help = train.render_long_help().to_string();
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        let (sparse, unit) = (sparse_lr::Config::default(), sparse_lr::Config::unit_rows());
        let (softmax, mlp) = (softmax::Config::default(), mlp::Config::default());
        assert_eq!((&softmax.pace, softmax.rate), (&mlp.pace, mlp.rate));
        assert_eq!(sparse.pace.batch, unit.pace.batch);
        let rate = |rate| match rate {
            archipelago::Schedule::Constant(rate) => rate,
            other => panic!("{other:?} is not constant"),
        };
        let (Pace { epochs, batch, .. }, dense) = (sparse.pace, softmax.pace);
        for text in [
            format!(
                "Default: {epochs} for sparse-lr ({} when all rows have length 1), {} for softmax \
                 and mlp",
                unit.pace.epochs, dense.epochs
            ),
            format!("Default: {batch} for sparse-lr, {} for softmax and mlp", dense.batch),
            format!(
                "Default: {} for sparse-lr ({} when all rows have length 1), {} for softmax and \
                 mlp",
                rate(sparse.rate),
                rate(unit.rate),
                rate(softmax.rate)
            ),
        ] {
            assert!(help.contains(&text), "{text:?} is not in {help}");
        }
    }
}
