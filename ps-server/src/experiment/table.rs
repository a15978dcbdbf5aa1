//! Results for people at a terminal.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use super::result::RunResult;
use super::summary::{self, Summary};
use crate::units;

/// Writes all runs, then what they came to beside the paper.
pub(super) fn write(out: &mut dyn Write, results: &[RunResult]) -> anyhow::Result<()> {
    writeln!(out, "{}", runs(results))?;
    writeln!(out, "{LEGEND}\n")?;
    writeln!(out, "{}", summaries(&Summary::all(results)))?;
    writeln!(out, "{SUMMARY_LEGEND}")?;
    Ok(())
}

fn runs(results: &[RunResult]) -> Table {
    let seeds = results.iter().any(|result| results.first().map(|r| r.seed) != Some(result.seed));
    let mut header = vec!["profile", "workload", "policy"];
    header.extend(seeds.then_some("seed"));
    let texts = header.len();
    header.extend(["time", "/ LAN", "speed-up", "WAN", "kept back", "objective", "cost"]);
    let mut table = table(header, texts);
    for result in results {
        let mut row =
            vec![result.profile.clone(), result.workload.into(), result.policy.to_string()];
        row.extend(seeds.then(|| result.seed.to_string()));
        row.extend([
            result.seconds.map_or("never".into(), units::seconds),
            result.ratio_to_lan.map_or("-".into(), ratio),
            result.speedup.map_or("-".into(), |speedup| format!("{}x", ratio(speedup))),
            units::bytes(result.wan_bytes),
            result.suppressed_share.map_or("-".into(), percent),
            format!("{:.4}", result.objective),
            dollars(result.dollars),
        ]);
        table.add_row(row);
    }
    table
}

fn summaries(summaries: &[Summary]) -> Table {
    let header = ["profile", "workload", "ASP / LAN", "paper", "aim", "", "baseline", "paper"];
    let mut table = table(header.to_vec(), 2);
    for summary in summaries {
        let paper = |figure: fn(&super::Figures) -> f64| {
            summary.paper.as_ref().map_or("-".into(), |figures| ratio(figure(figures)))
        };
        table.add_row([
            summary.profile.clone(),
            summary.workload.into(),
            summary::shown(summary.asp.as_ref(), exact_ratio),
            paper(|figures| figures.asp_ratio_to_lan),
            paper(|figures| figures.aim),
            summary.verdict().map_or(String::new(), |verdict| verdict.name().into()),
            summary::shown(summary.baseline.as_ref(), ratio),
            paper(|figures| figures.baseline_slowdown),
        ]);
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

/// A share.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

/// Money.
pub(super) fn dollars(dollars: f64) -> String {
    if dollars < 1.0 { format!("${dollars:.4}") } else { format!("${dollars:.2}") }
}

/// What the columns mean.
const LEGEND: &str = "\
time: virtual, to 99 % of the improvement that LAN-BSP makes. / LAN: that over LAN-BSP's.
speed-up: the baseline's time over it. WAN, cost: up to then, or to the end where it is never
reached. kept back: share of updates that were not sent. objective: at the end.";

/// What the columns of the summary mean.
const SUMMARY_LEGEND: &str = "\
Times over those of LAN-BSP. The baseline, a flat server over the WAN, has the paper's ratio where
the time to compute could be calibrated to it. Of several seeds the median, least and most.";
