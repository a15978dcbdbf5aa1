//! What the command line may say of experiments.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use archipelago_workloads::task::Kind;
use clap::{Args, Subcommand, ValueEnum};

use super::cell::Policy;
use super::data::DataFolder;

/// Options of `experiment`.
#[derive(Clone, Debug, Args)]
pub struct ExperimentArguments {
    /// Which one.
    #[command(subcommand)]
    pub command: ExperimentCommand,
}

impl ExperimentArguments {
    /// Where the data files are: as asked for, else as the environment says.
    pub fn data_folder(&self) -> DataFolder {
        let ExperimentCommand::Gaia(gaia) = &self.command;
        let environment = std::env::var_os("ARCHIPELAGO_DATA_FOLDER").map(Into::into);
        DataFolder::found(gaia.data.as_deref(), environment)
    }
}

/// The experiments.
#[derive(Clone, Debug, Subcommand)]
pub enum ExperimentCommand {
    /// Train over simulated WAN links under ASP, LAN-BSP and others, and compare with the paper.
    Gaia(GaiaArguments),
}

/// Options of `experiment gaia`. Their long help has the format of profile files.
#[derive(Clone, Debug, PartialEq, Eq, Args)]
#[command(after_long_help = PROFILES)]
pub struct GaiaArguments {
    /// The links: ec2-11 (11 regions of EC2), vc (Virginia with California), ss (Singapore with
    /// Sao Paulo), these with the round-trip times of a local network (ec2-11-no-delay,
    /// vc-no-delay, ss-no-delay), lan (1000 Mb/s everywhere), aws-2022 (the same 11 regions in
    /// 2022), a profile file, or all for the three of the paper: ec2-11, vc, ss.
    #[arg(long, default_value = "all", value_name = "PROFILE")]
    pub profile: String,
    /// What is trained: matrix factorization, topics of documents, images.
    #[arg(long, value_enum, ignore_case = true, default_value = "all")]
    pub workload: WorkloadWord,
    /// What names a run. Same seed, same output.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seed: u64,
    /// More policies than lan, baseline and asp, by the names that reports have: asp-hubs (where
    /// the links have groups), ssp, eventual, centralised, isolated, asp-auto-speed, and others.
    #[arg(long = "policy", value_name = "NAME,..", value_delimiter = ',', value_parser = policy,
        conflicts_with = "full")]
    pub policies: Vec<Policy>,
    /// Five seeds from --seed on. With the first of them also all other policies, other thresholds
    /// and variants: more or less time to compute, other learning rates, unequal sites, rows by
    /// site; and the same sites over links without delay and of 2022. Of 11 sites most of that for
    /// matrix factorization alone. About an hour on two cores.
    #[arg(long)]
    pub full: bool,
    /// Runs at the same time; the output is the same. Default: as many as there are cores.
    #[arg(long, value_name = "N", value_parser = jobs)]
    pub jobs: Option<NonZeroUsize>,
    /// The folder with the data files. Default: that of ARCHIPELAGO_DATA_FOLDER in the
    /// environment, else ../shared/data.
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
    /// Print one JSON object per run instead of the tables.
    #[arg(long)]
    pub json: bool,
    /// Write a report with plots into this file, HTML that needs no other file.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,
}

fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    text.parse().map_err(|_error| "expected a whole number, 1 or more".into())
}

fn policy(name: &str) -> Result<Policy, String> {
    Policy::all().find(|policy| policy.name() == name).ok_or_else(|| {
        let known: Vec<_> = Policy::OTHERS.iter().map(|policy| policy.name()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

/// The workloads that a command line may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum WorkloadWord {
    /// Matrix factorization.
    Mf,
    /// Topic models.
    Lda,
    /// A small convolutional network.
    Image,
    /// All three.
    All,
}

impl WorkloadWord {
    /// What they are.
    pub fn kinds(self) -> Vec<Kind> {
        match self {
            Self::Mf => vec![Kind::Mf],
            Self::Lda => vec![Kind::Lda],
            Self::Image => vec![Kind::Image],
            Self::All => Kind::ALL.to_vec(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Mf => Kind::Mf.name(),
            Self::Lda => Kind::Lda.name(),
            Self::Image => Kind::Image.name(),
            Self::All => "all",
        }
    }
}

impl GaiaArguments {
    /// Runs at the same time.
    pub fn jobs(&self) -> usize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.jobs.unwrap_or_else(cores).get()
    }

    /// The command line that has the same results, without where they go to.
    pub fn command_line(&self) -> String {
        let (profile, workload, seed) = (&self.profile, self.workload.name(), self.seed);
        let plain = profile.chars().all(|c| c.is_ascii_alphanumeric() || "-_./".contains(c));
        let profile = match plain && !profile.is_empty() {
            true => profile.clone(),
            false => format!("'{}'", profile.replace('\'', r"'\''")),
        };
        let full = if self.full { " --full" } else { "" };
        let names: Vec<_> = self.policies.iter().map(|policy| policy.name()).collect();
        let policies =
            if names.is_empty() { String::new() } else { format!(" --policy {}", names.join(",")) };
        format!(
            "ps-server experiment gaia --profile {profile} --workload {workload} --seed {seed}\
             {policies}{full}"
        )
    }
}

/// The format of a profile file.
pub(super) const PROFILES: &str = r#"A profile file is TOML:

  name = "two offices"
  machines_per_site = 2                    # default 2
  source = "measured in May"               # what the links are based on, for the report

  [[sites]]
  name = "Paris"
  region = "eu-west-3"                     # prices go by it
  wan_dollars_per_gigabyte = 0.02          # default: list price of the 11 regions of ec2-11
  machine_dollars_per_hour = 0.80          # default 0.80

  [[sites]]
  name = "Tokyo"
  region = "ap-northeast-1"

  [[links]]                                # one for each two sites, or one for each direction
  from = "Paris"
  to = "Tokyo"
  megabits_per_second = 100
  round_trip_milliseconds = 220.5

Optional: [local] with megabits_per_second (1000) and round_trip_milliseconds (0.2) inside a site;
prices_source, what prices are based on; and an overlay. Where there are groups, each site is in
one:

  hub_pairs = [["Paris", "Tokyo"]]         # who speaks for two groups, if not their hubs

  [[groups]]
  hub = "Paris"
  members = ["Paris"]

  [[groups]]
  hub = "Tokyo"
  members = ["Tokyo"]"#;
