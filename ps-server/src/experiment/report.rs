//! The report: one HTML file that needs no other, without scripts.

use super::cell::Policy;
use super::html::{element, escape, table};
use super::measured::Sample;
use super::overview::overview;
use super::plan::Plan;
use super::plot::{self, Axes, Bar, Line};
use super::profile::Profile;
use super::result::{GOAL, RunResult};
use super::runner::Finished;
use super::table::{UNCALIBRATED, dollars, percent, ratio};
use super::variant::Variant;
use crate::units;

/// The page of a plan and what came of it.
pub(super) fn html(command_line: &str, plan: &Plan, finished: &Finished) -> String {
    let results = &finished.results;
    let interrupted = finished.interrupted.map(|held| element("p", &format!("{held}.")));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta \
         name=\"viewport\" content=\"width=device-width\">\n<title>Gaia over simulated \
         links</title>\n<style>\n{}</style>\n</head>\n<body>\n<h1>Gaia over simulated \
         links</h1>\n<p class=\"note\"><code>{}</code><br>ps-server {}</p>\n{}\n",
        include_str!("report.css"),
        escape(command_line),
        escape(env!("CARGO_PKG_VERSION")),
        interrupted.unwrap_or_default(),
    );
    page += &overview(results);
    for profile in &plan.profiles {
        let mut cells: Vec<(&str, Variant)> = Vec::new();
        for result in results.iter().filter(|result| result.profile == profile.name) {
            let cell = (result.workload, result.variant);
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        for cell in cells {
            page += &comparison(profile, cell, results);
        }
        page += &links(profile);
    }
    page + "</body>\n</html>\n"
}

/// One profile, workload and variant: the runs, and plots of those of the first seed.
fn comparison(
    profile: &Profile,
    (workload, variant): (&str, Variant),
    results: &[RunResult],
) -> String {
    let all: Vec<_> = results
        .iter()
        .filter(|result| {
            let cell = (result.profile.as_str(), result.workload, result.variant);
            cell == (profile.name.as_str(), workload, variant)
        })
        .collect();
    let Some(first) = all.first() else {
        return String::new();
    };
    let plotted: Vec<_> = all.iter().copied().filter(|result| result.seed == first.seed).collect();
    let seeds = all.iter().any(|result| result.seed != first.seed);
    let seed = if seeds { format!(" Plots are of seed {}.", first.seed) } else { String::new() };
    let runs = match seeds {
        true => format!("<details><summary>All runs</summary>\n{}</details>\n", runs(&all)),
        false => runs(&all),
    };
    let budget = &first.byte_budget;
    let slowest = profile.slowest().megabits_per_second;
    let calibrated = match first.is_uncalibrated() {
        true => format!(" ({UNCALIBRATED})"),
        false => String::new(),
    };
    let text = format!(
        "The model has {}. A worker computes for {} in a tick{calibrated}; the slowest link, \
         {slowest} Mb/s, carries {} in that time.{seed}",
        units::bytes(budget.model_bytes),
        units::seconds(first.compute_seconds),
        units::bytes((slowest * 1e6 / 8.0 * first.compute_seconds) as u64),
    );
    let name = match variant {
        Variant::Usual => String::new(),
        changed => format!(", {changed}"),
    };
    format!(
        "<h2>{}, {}{name}</h2>\n{}\n<div class=\"plots\">\n{}</div>\n{runs}",
        escape(&profile.name),
        escape(workload),
        element("p", &text),
        plots(variant, &plotted),
    )
}

/// Of variants the objective alone.
fn plots(variant: Variant, results: &[&RunResult]) -> String {
    let lines = results.iter().copied().filter(|result| !result.policy.is_threshold());
    let lines: Vec<_> = lines.collect();
    if variant != Variant::Usual {
        return objective(&lines);
    }
    [
        objective(&lines),
        traffic(results),
        kept_back(results),
        over_time("How far the copies are apart", "distance", &lines, |s| s.divergence),
        over_time("How far copies are behind", "ticks", &lines, |s| s.staleness),
    ]
    .concat()
}

fn runs(results: &[&RunResult]) -> String {
    let header = [
        "policy",
        "seed",
        "time to 90 %",
        "99 %",
        "99.9 %",
        "/ LAN",
        "speed-up",
        "WAN",
        "kept back",
        "objective",
        "worse by",
        "at the same ticks",
        "cost",
        "whole run",
        "WAN",
        "cost",
    ];
    let time = |time: Option<f64>| time.map_or("never".into(), units::seconds);
    let row = |result: &RunResult| {
        let (to, whole) = (&result.seconds_to, &result.whole_run);
        vec![
            result.policy.to_string(),
            result.seed.to_string(),
            time(to.percent_90),
            time(to.percent_99),
            time(to.percent_99_9),
            result.ratio_to_lan.map_or("-".into(), ratio),
            result.speedup.map_or("-".into(), ratio),
            units::bytes(result.wan_bytes),
            result.suppressed_share.map_or("-".into(), percent),
            format!("{:.4}", result.objective),
            percent(result.final_objective.worse_by),
            percent(result.final_objective.worse_by_at_same_ticks),
            dollars(result.dollars),
            units::seconds(whole.seconds),
            units::bytes(whole.traffic.bytes()),
            dollars(whole.dollars),
        ]
    };
    // The seeds of a policy stand together.
    let of = |policy: Policy| results.iter().copied().filter(move |result| result.policy == policy);
    let rows: Vec<_> = Policy::all().flat_map(of).map(row).collect();
    table(&header, 1, &rows)
}

fn objective(results: &[&RunResult]) -> String {
    let lan = results.iter().find(|result| result.policy == Policy::Lan);
    let level = lan.and_then(|lan| Some((lan.samples.first()?.objective, lan.objective)));
    let level =
        level.map(|(start, end)| (start + GOAL * (end - start), "99 % of LAN-BSP's improvement"));
    let line = |result: &&RunResult| Line {
        name: result.policy.name(),
        points: result.samples.iter().map(|sample| (sample.seconds, sample.objective)).collect(),
    };
    let name = results.first().map_or("", |result| result.judged_by.name.as_str());
    let axes = Axes {
        title: "Objective over time",
        across: "virtual seconds",
        up: name,
        range: usual_range(results),
        level,
    };
    plot::lines(&axes, &results.iter().map(line).collect::<Vec<_>>())
}

/// The objectives of the policies that every run has: others may diverge, and are cut off.
fn usual_range(results: &[&RunResult]) -> Option<(f64, f64)> {
    let usual = results.iter().filter(|result| Policy::USUAL.contains(&result.policy));
    let samples = usual.flat_map(|result| &result.samples).map(|sample| sample.objective);
    let widen = |held: Option<(f64, f64)>, value: f64| {
        Some(held.map_or((value, value), |(least, most)| (least.min(value), most.max(value))))
    };
    let (least, most) = samples.filter(|value| value.is_finite()).fold(None, widen)?;
    let room = (most - least) * 0.04;
    Some((least - room, most + room))
}

fn traffic(results: &[&RunResult]) -> String {
    let bytes = |result: &RunResult| result.whole_run.traffic.bytes();
    let most = results.iter().map(|result| bytes(result)).max().unwrap_or_default();
    let bar = |result: &&RunResult| Bar {
        name: result.policy.to_string(),
        parts: vec![
            ("data", result.whole_run.traffic.data_bytes as f64),
            ("control", result.whole_run.traffic.control_bytes as f64),
        ],
        figure: units::bytes(bytes(result)),
    };
    let parts = [("data", "values"), ("control", "control")];
    let bars: Vec<_> = results.iter().map(bar).collect();
    plot::bars("Bytes sent over the WAN, whole run", most as f64, &parts, &bars)
}

fn kept_back(results: &[&RunResult]) -> String {
    let bar = |result: &&RunResult| {
        let share = result.suppressed_share?;
        let name = result.policy.to_string();
        Some(Bar { name, parts: vec![("kept", share)], figure: percent(share) })
    };
    let bars: Vec<_> = results.iter().filter_map(bar).collect();
    if bars.is_empty() {
        return String::new();
    }
    plot::bars("Updates kept from being sent", 1.0, &[("kept", "kept back")], &bars)
}

fn over_time(
    title: &str,
    up: &str,
    results: &[&RunResult],
    value: impl Fn(&Sample) -> Option<f64>,
) -> String {
    let line = |result: &&RunResult| Line {
        name: result.policy.name(),
        points: result
            .samples
            .iter()
            .filter_map(|sample| Some((sample.seconds, value(sample)?)))
            .collect(),
    };
    let axes = Axes { title, across: "virtual seconds", up, range: None, level: None };
    plot::lines(&axes, &results.iter().map(line).collect::<Vec<_>>())
}

/// The links of a profile, its overlay and its prices.
fn links(profile: &Profile) -> String {
    let mut header = vec!["Mb/s, ms there and back"];
    header.extend(profile.sites.iter().map(|site| site.name.as_str()));
    let row = |(from, site): (usize, &super::Site)| {
        let cell = |to| {
            let link = profile.links.get(from, to);
            format!("{}, {}", link.megabits_per_second, link.round_trip_milliseconds)
        };
        [vec![site.name.clone()], (0..profile.sites.len()).map(cell).collect()].concat()
    };
    let rows: Vec<_> = profile.sites.iter().enumerate().map(row).collect();
    format!(
        "<h2>{}: links and prices</h2>\n{}\n{}{}\n<h3>Prices</h3>\n{}\n{}",
        escape(&profile.name),
        element("p", &format!("From row to column. {}", profile.source)),
        table(&header, 1, &rows),
        overlay(profile),
        element("p", &profile.prices.source),
        prices(profile),
    )
}

fn overlay(profile: &Profile) -> String {
    let name = |site: &usize| profile.sites[*site].name.as_str();
    if profile.groups.is_empty() {
        return element("p", "No groups: every site sends to every other one.");
    }
    let group = |group: &super::Group| {
        let members: Vec<_> = group.members.iter().map(name).collect();
        format!("{} (hub {})", members.join(", "), name(&group.hub))
    };
    let groups: Vec<_> = profile.groups.iter().map(group).collect();
    let pair = |[one, other]: &[usize; 2]| format!("{} with {}", name(one), name(other));
    let pairs: Vec<_> = profile.hub_pairs.iter().map(pair).collect();
    let pairs = match pairs.is_empty() {
        true => "Between groups their hubs speak.".into(),
        false => format!("Between groups speak {}.", pairs.join("; ")),
    };
    let used = "Runs of asp-hubs use them; in all others every site sends to every other one.";
    element("p", &format!("Groups: {}. {pairs} {used}", groups.join("; ")))
}

fn prices(profile: &Profile) -> String {
    let machines = profile.machines_per_site;
    let row = |(site, price): (&super::Site, &super::Price)| {
        vec![
            site.name.clone(),
            site.region.clone(),
            machines.to_string(),
            price.machine_dollars_per_hour.to_string(),
            price.wan_dollars_per_gigabyte.to_string(),
        ]
    };
    let rows = profile.sites.iter().zip(&profile.prices.sites).map(row);
    let header = ["site", "region", "machines", "$ per machine and hour", "$ per GB sent"];
    table(&header, 2, &rows.collect::<Vec<_>>())
}
