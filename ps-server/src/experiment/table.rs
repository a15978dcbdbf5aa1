//! Results for people at a terminal.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::result::{RunResult, Verdict};
use super::summary::{self, Summary};
use super::tuning::Tuning;
use super::variant::Variant;
use crate::units;

/// Writes what links can carry, then all runs, then what they came to beside the paper.
pub(super) fn write(out: &mut dyn Write, results: &[RunResult]) -> anyhow::Result<()> {
    let summaries = Summary::all(results);
    writeln!(out, "{}", budgets(&summaries))?;
    writeln!(out, "{BUDGET_LEGEND}\n")?;
    writeln!(out, "{}", runs(results))?;
    writeln!(out, "{LEGEND}\n")?;
    writeln!(out, "{}", beside_the_paper(&summaries))?;
    writeln!(out, "{SUMMARY_LEGEND}")?;
    let tunings = Tuning::all(results);
    if !tunings.is_empty() {
        writeln!(out, "\n{}", thresholds(&tunings))?;
        writeln!(out, "{TUNING_LEGEND}")?;
    }
    Ok(())
}

/// How long a tick computes over the links of a profile that nothing was calibrated by, of each
/// workload.
pub(super) fn computing(profile: &str, results: &[RunResult]) -> Option<String> {
    let mut workloads: Vec<(&str, String)> = Vec::new();
    let own = results.iter().filter(|run| run.profile == profile && run.is_uncalibrated());
    for run in own.filter(|run| run.variant == Variant::Usual) {
        if workloads.iter().all(|(name, _)| *name != run.workload) {
            workloads.push((run.workload, units::seconds(run.compute_seconds)));
        }
    }
    let each: Vec<_> = workloads.iter().map(|(name, time)| format!("{name} {time}")).collect();
    (!each.is_empty()).then(|| format!("computing: {} a tick, {UNCALIBRATED}", each.join(", ")))
}

/// What a time to compute is that follows from no figure of the paper.
pub(super) const UNCALIBRATED: &str = "one core at 1 ns an operation: not calibrated";

fn budgets(summaries: &[Summary]) -> Table {
    let header =
        ["profile", "workload", "variant", "model", "slowest link", "carries per tick", "models"];
    let mut table = table(header.to_vec(), 3);
    for summary in summaries {
        let Some(budget) = summary.budget else { continue };
        table.add_row([
            summary.profile.clone(),
            summary.workload.into(),
            summary.variant.to_string(),
            units::bytes(budget.model_bytes),
            format!("{} Mb/s", budget.slowest_megabits_per_second),
            units::bytes(budget.bytes_per_tick as u64),
            ratio(budget.models_per_tick),
        ]);
    }
    table
}

fn runs(results: &[RunResult]) -> Table {
    let seeds = results.iter().any(|result| results.first().map(|r| r.seed) != Some(result.seed));
    let mut header = vec!["profile", "workload", "variant", "policy"];
    header.extend(seeds.then_some("seed"));
    let texts = header.len();
    header.extend(["time", "/ LAN", "speed-up", "WAN", "kept back", "objective"]);
    header.extend(["worse by", "cost"]);
    let mut table = table(header, texts);
    for result in results {
        let mut row = vec![
            result.profile.clone(),
            result.workload.into(),
            result.variant.to_string(),
            result.policy.to_string(),
        ];
        row.extend(seeds.then(|| result.seed.to_string()));
        row.extend([
            result.seconds.map_or("never".into(), units::seconds),
            result.ratio_to_lan.map_or("-".into(), ratio),
            result.speedup.map_or("-".into(), |speedup| format!("{}x", ratio(speedup))),
            units::bytes(result.wan_bytes),
            result.suppressed_share.map_or("-".into(), percent),
            format!("{:.4}", result.objective),
            percent(result.final_objective.worse_by),
            dollars(result.dollars),
        ]);
        table.add_row(row);
    }
    table
}

fn beside_the_paper(summaries: &[Summary]) -> Table {
    let header = ["profile", "workload", "variant", "ASP / LAN", "paper", "aim", "", "baseline"];
    let ends = ["paper", "LAN ends at", "ASP", "worse by", "<= 1 %"];
    let mut table = table([&header[..], &ends[..]].concat(), 3);
    for summary in summaries {
        let paper = |figure: fn(&super::Figures) -> f64| {
            summary.paper.as_ref().map_or("-".into(), |figures| ratio(figure(figures)))
        };
        let verdict = |verdict: Option<Verdict>| verdict.map_or("", Verdict::name).to_owned();
        table.add_row([
            summary.profile.clone(),
            summary.workload.into(),
            summary.variant.to_string(),
            summary::shown(summary.asp.as_ref(), exact_ratio),
            paper(|figures| figures.asp_ratio_to_lan),
            paper(|figures| figures.aim),
            verdict(summary.verdict()),
            summary::shown(summary.baseline.as_ref(), ratio),
            paper(|figures| figures.baseline_slowdown),
            summary.lan_objective.map_or("-".into(), |spread| spread.middle(objective)),
            summary.asp_objective.map_or("-".into(), |spread| spread.middle(objective)),
            summary::shown(summary.worse_by.as_ref(), percent),
            summary.end_verdict().map_or("-", summary::yes_or_no).into(),
        ]);
    }
    table
}

fn thresholds(tunings: &[Tuning<'_>]) -> Table {
    let header = ["profile", "workload", "fastest", "in", "auto-speed", "", "auto-cost"];
    let bytes = ["least sent", "WAN", "auto-speed", "auto-cost"];
    let mut table = table([&header[..], &bytes[..]].concat(), 2);
    for tuning in tunings {
        table.add_row(tuning.row());
    }
    table
}

/// A table whose columns behind the first `texts` are numbers.
fn table(header: Vec<&str>, texts: usize) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// A ratio of times.
pub(super) fn ratio(ratio: f64) -> String {
    if ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.1}") }
}

/// A ratio that is compared with an aim.
pub(super) fn exact_ratio(ratio: f64) -> String {
    format!("{ratio:.3}")
}

/// A value of an objective.
pub(super) fn objective(value: f64) -> String {
    format!("{value:.4}")
}

/// A share.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Money.
pub(super) fn dollars(dollars: f64) -> String {
    if dollars < 1.0 { format!("${dollars:.4}") } else { format!("${dollars:.2}") }
}

/// What the columns of the budget mean.
const BUDGET_LEGEND: &str = "\
What the slowest link of the WAN carries while a worker computes for one tick, in bytes and in whole
models: below 1, the model cannot be sent in every tick.";

/// What the columns mean.
const LEGEND: &str = "\
time: virtual, to 99 % of the improvement that LAN-BSP makes; under every policy a sample counts as
the mean of those within 15 % of its time. / LAN: that over LAN-BSP's. speed-up: the baseline's time
over it. WAN, cost: up to then, or to the end where it is never reached. kept back: share of updates
that were not sent. objective: at the end. worse by: than LAN-BSP's, as a share of it; below 0 it is
better. All but LAN-BSP and the baseline train a quarter longer.";

/// What the columns of the summary mean.
const SUMMARY_LEGEND: &str = "\
Times over those of LAN-BSP. The baseline, a flat server over the WAN, has the paper's ratio where
the time to compute could be calibrated to it. Objectives at the end: ASP is to be worse by at most
1 %. Of several seeds the median, least and most.";

/// What the columns of the thresholds mean.
const TUNING_LEGEND: &str = "\
fastest: of constant thresholds, 0.001 to 0.2, the one that is there first; auto-speed, auto-cost:
time of ASP that finds its threshold itself over that; at most 1.1 for auto-speed is met. least
sent: the one that has sent least over the WAN by then; beside it the others' bytes over its.";
