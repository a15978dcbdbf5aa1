//! What all runs came to, at the head of the report.

use super::html::{element, table};
use super::result::RunResult;
use super::summary::{self, Summary};
use super::table::{exact_ratio, objective, percent, ratio};
use super::tuning::{AIM, Tuning};

/// All cells beside the paper, then what thresholds came to.
pub(super) fn overview(results: &[RunResult]) -> String {
    let rows: String = Summary::all(results).iter().map(overview_row).collect();
    let header = [
        "profile",
        "workload",
        "variant",
        "ASP / LAN",
        "paper",
        "aim",
        "",
        "baseline / LAN",
        "paper",
        "speed-up over baseline",
        "kept back",
        "paper",
        "LAN ends at",
        "ASP",
        "worse by",
        "<= 1 %",
    ];
    let header: String = header.into_iter().map(|name| element("th", name)).collect();
    let reading = element("p", READING);
    let thresholds = thresholds(&Tuning::all(results));
    format!(
        "<h2>Beside the paper</h2>\n{reading}\n<div class=\"wide\"><table>\n<thead><tr>{header}\
         </tr></thead>\n<tbody>\n{rows}</tbody>\n</table></div>\n{thresholds}",
    )
}

/// What the figures mean.
const READING: &str = "\
Times are virtual, to 99 % of the improvement that LAN-BSP makes: training by the same workers \
with the links of one data centre. Under every policy a sample counts as the mean of all samples \
within 15 % of its time; between two of them time goes in proportion. The baseline is a flat \
server over the WAN under Bsp; the time to compute is calibrated so that its slowdown is the \
paper's, where it can be. Kept back is the share of updates that ASP did not send. What the \
objective ends at is to be worse than LAN-BSP's by at most 1 %, below 0 it is better; ASP trains \
a quarter longer. Of several seeds the median stands first, then least and most.";

fn overview_row(summary: &Summary) -> String {
    let paper = |figure: &dyn Fn(&super::Figures) -> String| {
        summary.paper.as_ref().map_or("-".into(), figure)
    };
    let verdict = summary.verdict().map_or("", |verdict| verdict.name());
    let end = summary.end_verdict();
    let (class, end) = end.map_or(("", "-"), |end| (end.name(), summary::yes_or_no(end)));
    let cell = |text: String| element("td", &text);
    [
        cell(summary.profile.clone()),
        cell(summary.workload.into()),
        cell(summary.variant.to_string()),
        cell(summary::shown(summary.asp.as_ref(), exact_ratio)),
        cell(paper(&|figures| ratio(figures.asp_ratio_to_lan))),
        cell(paper(&|figures| format!("<= {}", ratio(figures.aim)))),
        format!("<td class=\"{verdict}\">{verdict}</td>"),
        cell(summary::shown(summary.baseline.as_ref(), ratio)),
        cell(paper(&|figures| ratio(figures.baseline_slowdown))),
        cell(summary::shown(summary.speedup.as_ref(), ratio)),
        cell(summary::shown(summary.suppressed.as_ref(), percent)),
        cell(paper(&|figures| percent(figures.suppressed_share))),
        cell(summary.lan_objective.map_or("-".into(), |spread| spread.middle(objective))),
        cell(summary.asp_objective.map_or("-".into(), |spread| spread.middle(objective))),
        cell(summary::shown(summary.worse_by.as_ref(), percent)),
        format!("<td class=\"{class}\">{end}</td>"),
    ]
    .concat()
    .replacen("<td>", "<tr><td>", 1)
        + "</tr>\n"
}

/// ASP that finds its threshold itself beside the best by hand; nothing where none were tried.
fn thresholds(tunings: &[Tuning<'_>]) -> String {
    if tunings.is_empty() {
        return String::new();
    }
    let header = [
        "profile",
        "workload",
        "fastest threshold",
        "time",
        "auto-speed, time",
        "",
        "auto-cost, time",
        "threshold that sends least",
        "WAN",
        "auto-speed, WAN",
        "auto-cost, WAN",
    ];
    let reading = format!(
        "Up to 99 % of LAN-BSP's improvement, of one seed. auto-speed and auto-cost find their \
         threshold themselves: their times are over that of the fastest constant threshold, met \
         is at most {AIM}; their bytes over those of the one that sends least."
    );
    format!(
        "<h2>Thresholds by hand and automatic ones</h2>\n{}\n{}",
        element("p", &reading),
        table(&header, 2, &tunings.iter().map(|it| it.row().to_vec()).collect::<Vec<_>>())
    )
}
