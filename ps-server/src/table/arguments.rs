//! What the command line may say of tables.

use archipelago::node::Registry;
use archipelago::vector::DType;
use archipelago::{
    Combine, Hyper, Init, Schedule, TableChange, TablePolicy, TableSpec, Tick, limits,
};
use clap::{ArgGroup, Args, Subcommand, ValueEnum};

use super::TableError;
use super::numbers::{CombineWord, dtype, init, schedule};
use crate::code::{Kind, named, named_policy};
use crate::connect::ConnectArguments;

/// Options of `table`.
#[derive(Clone, Debug, Args)]
#[command(after_help = TABLE_NOTES)]
pub struct TableArguments {
    /// What to do.
    #[command(subcommand)]
    pub command: TableCommand,
}

/// What `table` can do.
#[derive(Clone, Debug, Subcommand)]
pub enum TableCommand {
    /// Create a table, or find that it is there and the same.
    Create(CreateArguments),
    /// List all tables.
    List(ClusterArguments),
    /// Say what a table is, how it behaves and which servers hold it.
    Describe(NamedArguments),
    /// Change how a table behaves, and its learning rate, from a tick on.
    Set(SetArguments),
    /// Drop a table, whoever uses it: its values are gone. One with a global policy is refused
    /// while there are several data centres: stop all of them, start them with other `tables`.
    Drop(NamedArguments),
}

/// Options of `table create`.
#[derive(Clone, Debug, Args)]
#[command(after_help = CREATE_NOTES)]
pub struct CreateArguments {
    /// The table.
    #[command(flatten)]
    pub table: TableOptions,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// What a table is and how it behaves.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("layout").required(true).args(["dense", "sparse"])))]
pub struct TableOptions {
    /// The table's name.
    pub name: String,
    /// A dense table of so many rows, keys from 0: all of them exist from the start.
    #[arg(long, value_name = "ROWS", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub dense: Option<u64>,
    /// A sparse table over all 64-bit keys: rows appear when they are pushed to.
    #[arg(long)]
    pub sparse: bool,
    /// Elements of a row.
    #[arg(long, default_value_t = 1, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::WIDTH_MAX)))]
    pub width: u32,
    /// The type of the elements: f32, f64 or i64.
    #[arg(long, default_value = "f32", value_name = "TYPE", value_parser = dtype)]
    pub dtype: DType,
    /// The update rule: add, assign, sgd, momentum:0.9, adagrad, adam, ..
    #[arg(long, default_value = "add", value_name = "RULE")]
    pub rule: String,
    /// The local policy: bsp, ssp:N (staleness N), eventual, ..
    #[arg(long, default_value = "bsp", value_name = "POLICY")]
    pub local: String,
    /// The global policy, between data centres: off, bsp, ssp:N, eventual, ..; asp or asp:THRESHOLD
    /// (what is more than 1 %, or this share, of its value), asp:bf16=1 (half the bits of it). Any
    /// but off has to be in the servers' --tables: it cannot be created while they run.
    #[arg(long, default_value = "off", value_name = "POLICY")]
    pub global: String,
    /// What the global policy's threshold is compared with: relative, what a value has gained over
    /// the value; absolute, what it has gained; or a function of one's own.
    #[arg(long, default_value = "relative", value_name = "FUNCTION")]
    pub significance: String,
    /// The learning rate: R, inverse-sqrt:R (R / sqrt(tick)) or linear:FROM:TO:TICKS.
    #[arg(long, default_value = "1", value_name = "RATE", value_parser = schedule)]
    #[arg(allow_negative_numbers = true)]
    pub rate: Schedule,
    /// How the pushes of a round are merged: sum, mean (bsp) or mean:WEIGHT, the weight that all
    /// workers together push per tick.
    #[arg(long, default_value = "sum", value_name = "HOW")]
    pub combine: CombineWord,
    /// The values of rows that nobody has pushed to: zero, constant:X or uniform:SEED:LOW:HIGH.
    #[arg(long, default_value = "zero", value_name = "VALUES", value_parser = init)]
    pub init: Init,
    /// Slots, the unit in which the table is spread over servers; fewer when it has fewer blocks.
    #[arg(long, default_value_t = limits::SLOTS_DEFAULT, allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::SLOTS_MAX)))]
    pub slots: u32,
    /// Elements of a block of a dense table: a power of two from 64 to 65536.
    #[arg(long, default_value_t = limits::BLOCK_ELEMENTS_MAX, allow_negative_numbers = true)]
    #[arg(value_name = "ELEMENTS")]
    pub block_elements: u32,
    /// Bytes that one server holds of pushes under bsp whose turn has not come.
    #[arg(long, default_value_t = limits::BSP_STASH_BYTES_MAX, allow_negative_numbers = true)]
    #[arg(value_name = "BYTES")]
    pub stash_bytes: usize,
    /// Accept NaN and infinity in pushes.
    #[arg(long)]
    pub allow_non_finite: bool,
}

/// Options of all that `table` can do.
#[derive(Clone, Debug, Args)]
#[command(group(ArgGroup::new("cluster").required(true).args(["servers"])))]
pub struct ClusterArguments {
    /// Print JSON, one object per table, instead of text.
    #[arg(long)]
    pub json: bool,
    /// The cluster.
    #[command(flatten)]
    pub connect: ConnectArguments,
}

/// Options of `table describe` and `table drop`.
#[derive(Clone, Debug, Args)]
pub struct NamedArguments {
    /// The table's name.
    pub name: String,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// Options of `table set`.
#[derive(Clone, Debug, Args)]
#[command(after_help = SET_NOTES)]
#[command(group(ArgGroup::new("change").required(true).multiple(true)
    .args(["local", "rate", "stash_bytes", "non_finite"])))]
pub struct SetArguments {
    /// The table's name.
    pub name: String,
    /// The local policy: bsp, ssp:N (staleness N), eventual, ..
    #[arg(long, value_name = "POLICY")]
    pub local: Option<String>,
    /// The learning rate: R, inverse-sqrt:R (R / sqrt(tick)) or linear:FROM:TO:TICKS.
    #[arg(long, value_name = "RATE", value_parser = schedule, allow_negative_numbers = true)]
    pub rate: Option<Schedule>,
    /// Bytes that one server holds of pushes under bsp whose turn has not come.
    #[arg(long, value_name = "BYTES", allow_negative_numbers = true)]
    pub stash_bytes: Option<usize>,
    /// What to do with NaN and infinity in pushes: allow or refuse.
    #[arg(long, value_enum, value_name = "RULE")]
    pub non_finite: Option<NonFinite>,
    /// The first tick that the change holds for. Default: the earliest that no worker can have
    /// come to. At most 65,536 ticks ahead.
    #[arg(long, value_name = "TICK", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub from: Option<u64>,
    /// The cluster.
    #[command(flatten)]
    pub cluster: ClusterArguments,
}

/// What becomes of NaN and infinity in pushes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum NonFinite {
    /// They are applied.
    Allow,
    /// The push is refused.
    Refuse,
}

impl SetArguments {
    /// The change that the options describe, of a table that has this policy now.
    pub(super) fn change(
        &self,
        policy: &TablePolicy,
        registry: &Registry,
    ) -> anyhow::Result<TableChange> {
        let mut change = TableChange { from: self.from.map(Tick), ..TableChange::default() };
        let mut policy = policy.clone();
        if let Some(local) = &self.local {
            policy.local = named(Kind::Policy, local, registry)?;
        }
        if let Some(bytes) = self.stash_bytes {
            policy.bsp_stash_bytes_max = bytes;
        }
        if let Some(rule) = self.non_finite {
            policy.non_finite = rule == NonFinite::Allow;
        }
        if self.local.is_some() || self.stash_bytes.is_some() || self.non_finite.is_some() {
            change = change.policy(policy);
        }
        Ok(match self.rate {
            Some(rate) => change.hyper(Hyper::rate(rate)),
            None => change,
        })
    }
}

impl TableOptions {
    /// The table that the options describe, as far as can be told without a server.
    pub(super) fn described(
        &self,
        registry: &Registry,
    ) -> anyhow::Result<(TableSpec, TablePolicy, Hyper)> {
        let rule = named(Kind::Rule, &self.rule, registry)?;
        let policy = named_policy([&self.local, &self.global, &self.significance], registry)?;
        let mut spec = match self.dense {
            Some(rows) => TableSpec::dense(&self.name, rows).width(self.width),
            None => TableSpec::sparse(&self.name, self.width),
        };
        spec.dtype = self.dtype;
        spec = spec.rule(rule).slots(self.slots).init(self.init);
        spec = spec.block_elements(self.block_elements);
        let mut policy = policy.bsp_stash_bytes_max(self.stash_bytes);
        policy.non_finite = self.allow_non_finite;
        let code = registry.resolve(&spec, &policy)?;
        let combine = match self.combine {
            CombineWord::Sum => Combine::Sum,
            CombineWord::Mean(Some(round_weight)) => Combine::WeightedMean { round_weight },
            // Rounds of several pushes divide by what was pushed.
            CombineWord::Mean(None) if code.policy.gathers() => {
                Combine::WeightedMean { round_weight: 1.0 }
            },
            CombineWord::Mean(None) => {
                return Err(TableError::Weight { local: self.local.clone() }.into());
            },
        };
        let (spec, hyper) = (spec.combine(combine), Hyper::rate(self.rate));
        spec.check()?;
        hyper.check(&spec)?;
        Ok((spec, policy, hyper))
    }
}

const TABLE_NOTES: &str = "\
Example:
  ps-server table list --servers 127.0.0.1:7100 --ca ca/ca.pem \\
      --certificate certs/operator.pem --key certs/operator.key

A certificate for it: ps-server cert issue --role operator --dc NAME --ca ca --out certs";

const SET_NOTES: &str = "\
A change holds from one tick on, the same on all servers of a data centre, and no worker has to be
stopped; of a table with a global policy other data centres keep theirs, and under global bsp the
rate cannot change. A change of policy is a barrier: nobody goes past its first tick before all have
ended the tick before. A program that is started again with the table's first policy and rate finds
the table as it is.

Example:
  ps-server table set w --local ssp:2 --rate 0.01 \\
      --servers 127.0.0.1:7100 --ca ca.pem --certificate operator.pem --key operator.key";

const CREATE_NOTES: &str = "\
Rules and policies are written NAME, NAME/VERSION or NAME:PARAMETER=VALUE,..; the parameter that
matters most may be given alone: momentum:0.9 is momentum:beta=0.9. Code of one's own needs a
program of one's own (ps_server::App), for this command and for every server.

Example:
  ps-server table create w --dense 1000000 --rule momentum:0.9 --rate 0.05 --combine mean \\
      --servers 127.0.0.1:7100 --ca ca.pem --certificate operator.pem --key operator.key";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        create: CreateArguments,
    }

    fn described(options: &str) -> Result<(TableSpec, TablePolicy, Hyper), String> {
        let cluster = "--servers x:1 --ca a --certificate b --key c";
        let line = format!("create w {options} {cluster}");
        let parsed = Command::try_parse_from(line.split_whitespace());
        let create = parsed.map_err(|error| error.to_string())?.create;
        create.table.described(&Registry::built_in()).map_err(|error| error.to_string())
    }

    #[test]
    fn options_describe_a_table() {
        let (spec, policy, hyper) = described(
            "--dense 640 --width 10 --dtype f64 --rule momentum:0.5 --local ssp:3 --slots 7 \
             --rate inverse-sqrt:0.1 --combine mean:64 --init uniform:9:-1:1 --block-elements 64",
        )
        .unwrap();
        let momentum = archipelago::rules::Momentum { beta: 0.5 };
        let init = Init::Uniform { seed: 9, low: -1.0, high: 1.0 };
        let expected = TableSpec::dense("w", 640).width(10).dtype::<f64>().rule(momentum).slots(7);
        let expected = expected.init(init).block_elements(64);
        assert_eq!(spec, expected.combine(Combine::WeightedMean { round_weight: 64.0 }));
        assert_eq!(policy, TablePolicy::local(archipelago::Ssp { staleness: 3 }));
        assert_eq!(hyper, Hyper::rate(Schedule::inverse_sqrt(0.1)));
        let (plain, ..) = described("--sparse").unwrap();
        assert_eq!(plain, TableSpec::sparse("w", 1));
        assert!(described("--dense 9 --combine mean").is_ok());
    }

    #[test]
    fn what_does_not_fit_together_is_told_before_anybody_is_called() {
        for (options, words) in [
            ("", "--dense <ROWS>|--sparse"),
            ("--dense 9 --sparse", "cannot be used with"),
            ("--dense 0", "0 is not in 1.."),
            ("--dense 9 --rule adma", "unknown update rule `adma`: did you mean `adam`?"),
            ("--dense 9 --rule xyzzy", "known are adagrad, adam, add, assign, momentum, sgd"),
            ("--dense 9 --rule sgd/2", "known are sgd/1"),
            ("--dense 9 --rule ftrl", "ftrl"),
            ("--dense 9 --rule adam:beta=1", "beta"),
            ("--dense 9 --local spp:2", "did you mean `ssp`?"),
            ("--dense 9 --local ssp:-1", "staleness: expected a whole number"),
            ("--dense 9 --local ssp:x", "a number for `staleness`"),
            ("--dense 9 --local bsp:1", "`bsp` has no parameter"),
            ("--dense 9 --local ssp:2 --combine mean", "--combine mean:WEIGHT is needed"),
            ("--dense 9 --combine medium", "sum, mean or mean:WEIGHT"),
            ("--dense 9 --rate fast", "inverse-sqrt:R"),
            ("--dense 9 --rate linear:1:0", "linear:FROM:TO:TICKS"),
            ("--dense 9 --init one", "constant:X"),
            ("--dense 9 --dtype f16", "f32, f64 or i64"),
            ("--dense 9 --block-elements 65", "a power of two"),
            ("--dense 9 --dtype i64 --rule adam", "one that supports i64"),
        ] {
            let error = described(options).unwrap_err();
            assert!(error.contains(words), "{options}: {words:?} in {error:?}");
        }
    }
}
