//! `experiment gaia` over made-up runs: which are run, what is derived from them, JSON, tables and
//! the report.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "experiment/judging.rs"]
mod judging;
#[path = "experiment/made_up.rs"]
mod made_up;

use std::cell::Cell as Counter;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use archipelago_workloads::task::Kind;
use clap::Parser;
use made_up::{MadeUp, measured};
use ps_server::experiment::{
    Cell, Curve, ExperimentArguments, ExperimentCommand, GaiaArguments, Interrupted, Measured,
    Plan, Policy, Profile, Reference, ResultError, RunResult, Variant, Verdict, run_until,
};
use serde_json::Value;

/// What stands before each golden text.
const GOLDEN: &str = "tests/experiment";

#[derive(Parser)]
struct Words {
    #[command(flatten)]
    gaia: GaiaArguments,
}

fn arguments(words: &[&str]) -> ExperimentArguments {
    let words = ["gaia"].iter().chain(words);
    let mut gaia = Words::try_parse_from(words).unwrap().gaia;
    // One after the other, so that tests know the order, where they do not say how many.
    gaia.jobs = gaia.jobs.or(NonZeroUsize::new(1));
    ExperimentArguments { command: ExperimentCommand::Gaia(gaia) }
}

fn gaia(words: &[&str]) -> GaiaArguments {
    let ExperimentCommand::Gaia(gaia) = arguments(words).command;
    gaia
}

/// What the command prints, run to its end.
fn said(words: &[&str], runs: &MadeUp) -> String {
    let mut out = Vec::new();
    run_until(&arguments(words), runs, &|| None, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn lines(words: &[&str], runs: &MadeUp) -> Vec<Value> {
    let words = [words, &["--json"]].concat();
    said(&words, runs).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Compares with a file beside the tests, or writes it where `ARCHIPELAGO_WRITE_GOLDEN` is set.
fn is_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(GOLDEN).join(name);
    if std::env::var_os("ARCHIPELAGO_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differ = expected.lines().zip(found.lines()).position(|(one, other)| one != other);
    assert!(
        expected == found,
        "{name} differs from line {:?} on: look at what has changed, then set \
         ARCHIPELAGO_WRITE_GOLDEN",
        differ.map(|line| line + 1)
    );
}

#[test]
fn the_usual_policies_are_run_and_lan_comes_first() {
    let runs = MadeUp::default();
    let lines = lines(&["--profile", "vc"], &runs);
    let cells = runs.cells.into_inner();
    assert_eq!(cells[..4], ["vc mf lan 1", "vc mf baseline 1", "vc mf asp 1", "vc lda lan 1"]);
    assert_eq!((cells.len(), lines.len()), (9, 9));
    let policies: Vec<_> = lines.iter().map(|line| line["policy"].as_str().unwrap()).collect();
    assert_eq!(policies[..3], ["lan", "baseline", "asp"]);
}

#[test]
fn policies_are_asked_for_by_name_and_hubs_need_groups() {
    let policies = |profile: &str, asked: &str| {
        let arguments = gaia(&["--profile", profile, "--workload", "mf", "--policy", asked]);
        let plan = Plan::new(&arguments).unwrap();
        let [cells] = &plan.cells()[..] else { panic!("one comparison") };
        cells[3..].iter().map(|cell| cell.policy.name()).collect::<Vec<_>>()
    };
    assert_eq!(policies("ec2-11", "ssp,asp-hubs"), ["asp-hubs", "ssp"]);
    let asked = |profile| gaia(&["--profile", profile, "--policy", "isolated,asp-hubs,asp"]);
    let error = Plan::new(&asked("vc")).unwrap_err().to_string();
    assert_eq!(
        error,
        "asp-hubs needs groups, and vc has none: ec2-11, aws-2022, ec2-11-no-delay have them, or a \
         profile file by `[[groups]]`"
    );
    let all = Plan::new(&asked("all")).unwrap();
    let left_out: Vec<_> = all.left_out.iter().map(|it| it.profile.as_str()).collect();
    assert_eq!(left_out, ["vc", "ss"], "noted");
    let Err(error) = Words::try_parse_from(["gaia", "--policy", "hubs"]) else { panic!("no such") };
    assert!(error.to_string().contains("expected one of asp-hubs"), "{error}");
    let Err(error) = Words::try_parse_from(["gaia", "--jobs", "0"]) else { panic!("no jobs") };
    assert!(error.to_string().contains("expected a whole number, 1 or more"), "{error}");
}

#[test]
fn all_is_what_the_paper_has_and_full_is_everything() {
    let plan = Plan::new(&gaia(&["--seed", "7"])).unwrap();
    let names =
        |plan: &Plan| plan.profiles.iter().map(|profile| profile.name.clone()).collect::<Vec<_>>();
    assert_eq!(names(&plan), ["ec2-11", "vc", "ss"]);
    assert_eq!(plan.cells().iter().map(Vec::len).collect::<Vec<_>>(), [3; 9]);
    let full = Plan::new(&gaia(&["--full", "--workload", "IMAGE", "--seed", "7"])).unwrap();
    assert_eq!(
        names(&full),
        ["ec2-11", "ec2-11-no-delay", "aws-2022", "vc", "vc-no-delay", "ss", "ss-no-delay"]
    );
    let cells = full.cells().concat();
    assert!(cells.iter().all(|cell| cell.workload == Kind::Image));
    let of = |name: &str, variant: Variant, policy: Policy| {
        let own = cells.iter().filter(|cell| {
            (cell.profile.name.as_str(), cell.variant, cell.policy) == (name, variant, policy)
        });
        own.map(|cell| cell.seed).collect::<Vec<_>>()
    };
    for policy in Policy::all() {
        let seeds = match policy {
            Policy::Hubs => vec![],
            _ if Policy::USUAL.contains(&policy) => vec![7, 8, 9, 10, 11],
            _ => vec![7],
        };
        assert_eq!(of("vc", Variant::Usual, policy), seeds, "{policy}");
        let again = Policy::USUAL.contains(&policy) || policy.is_threshold();
        assert_eq!(!of("ss", Variant::Usual, policy).is_empty(), again, "{policy}");
    }
    for variant in Variant::CHANGES {
        assert_eq!(of("ss", variant, Policy::Asp), [7], "{variant}");
        assert!(of("ec2-11", variant, Policy::Asp).is_empty(), "{variant} takes too long");
    }
    assert_eq!(of("ec2-11", Variant::Usual, Policy::Hubs), [7], "where there are groups");
    assert_eq!(of("vc-no-delay", Variant::Usual, Policy::Asp), [7]);
    assert_eq!(of("vc-no-delay", Variant::HeldCompute, Policy::Lan), [7]);
    assert!(of("aws-2022", Variant::Usual, Policy::Asp).is_empty());
    assert_eq!(of("aws-2022", Variant::HeldCompute, Policy::Asp), [7]);
}

#[test]
fn every_line_has_the_promised_fields() {
    let promised = [
        "profile",
        "workload",
        "policy",
        "seconds",
        "ratio_to_lan",
        "speedup",
        "wan_bytes",
        "suppressed_share",
        "objective",
        "dollars",
    ];
    for line in lines(&["--profile", "ec2-11", "--full"], &MadeUp::default()) {
        for field in promised {
            assert!(line.get(field).is_some(), "{field} in {line}");
        }
    }
}

#[test]
fn figures_follow_from_what_was_measured() {
    let lines = lines(&["--profile", "vc", "--workload", "mf", "--full"], &MadeUp::default());
    let line = |policy: &str| lines.iter().find(|line| line["policy"] == policy).unwrap();
    let number = |policy: &str, field: &str| line(policy)[field].as_f64().unwrap();
    let close = |found: f64, expected: f64| assert!((found - expected).abs() < 1e-5, "{found}");
    // Made up as in the paper: the baseline takes 3.5 times as long as LAN-BSP, ASP 0.94 times.
    close(number("lan", "ratio_to_lan"), 1.0);
    close(number("lan", "speedup"), 3.5);
    close(number("baseline", "ratio_to_lan"), 3.5);
    close(number("baseline", "speedup"), 1.0);
    close(number("asp", "ratio_to_lan"), 0.94);
    close(number("asp", "speedup"), 3.5 / 0.94);
    // The time to 99 % of the improvement, both judged by the same curve.
    let profile = Profile::ready("vc").unwrap();
    let curve = Curve::of(&measured(&made(&profile, Policy::Lan), 0.0));
    let goal = curve.start() + 0.99 * (curve.end() - curve.start());
    close(number("lan", "seconds"), curve.reaches(goal).unwrap().0);
    close(number("lan", "objective"), curve.end());
    assert_eq!(line("asp")["paper"]["verdict"], "met");
    close(line("baseline")["paper"]["ratio_to_lan"].as_f64().unwrap(), 3.5);
    assert_eq!(line("lan")["paper"], Value::Null);
    assert_eq!(line("lan")["suppressed_share"], Value::Null);
    assert_eq!(line("lan")["wan_bytes"], 0);
}

#[test]
fn what_is_never_reached_costs_the_whole_run() {
    let lines = lines(&["--profile", "ss", "--workload", "lda", "--full"], &MadeUp::default());
    let isolated = lines.iter().find(|line| line["policy"] == "isolated").unwrap();
    for field in ["seconds", "ratio_to_lan", "speedup"] {
        assert_eq!(isolated[field], Value::Null, "{field}");
    }
    assert_eq!(isolated["wan_bytes"], 100_000_000);
    assert_eq!(isolated["dollars"], isolated["whole_run"]["dollars"]);
    // 4 machines for 32 s at 0.80 dollars an hour; 50 MB at 0.09 and at 0.138 dollars a GB.
    let dollars = 4.0 * 32.0 / 3600.0 * 0.80 + 0.05 * 0.228;
    let found = isolated["dollars"].as_f64().unwrap();
    assert!((found - dollars).abs() < 1e-6, "{found} is not {dollars}");
    // Isolated copies get three quarters of the way.
    assert_eq!(isolated["seconds_to"]["percent_90"], Value::Null);
    let asp = lines.iter().find(|line| line["policy"] == "asp").unwrap();
    assert!(asp["seconds_to"]["percent_99.9"].as_f64() > asp["seconds"].as_f64());
    assert!(asp["dollars"].as_f64() < asp["whole_run"]["dollars"].as_f64());
}

#[test]
fn a_missed_aim_is_called_so() {
    let runs = MadeUp { slower: 0.5, ..MadeUp::default() };
    let words = ["--profile", "vc", "--workload", "lda"];
    let lines = lines(&words, &runs);
    assert_eq!(lines[2]["paper"]["verdict"], "missed");
    let table = said(&words, &runs);
    assert!(table.contains("missed") && !table.contains(" met"), "{table}");
    assert!(said(&words, &MadeUp::default()).contains(" met"));
    assert_eq!(Verdict::of(None, 1.0), Verdict::Missed, "never reached");
    assert_eq!(Verdict::of(Some(1.001), 1.0), Verdict::Missed);
    assert_eq!(Verdict::of(Some(0.1 + 0.2), 0.3), Verdict::Met);
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let json = ["--profile", "ss", "--full", "--json"];
    assert_eq!(said(&json, &MadeUp::default()), said(&json, &MadeUp::default()));
    let words = ["--profile", "vc", "--workload", "mf", "--json"];
    is_golden("golden.json", &said(&words, &MadeUp::default()));
}

/// What is printed and the page for these words.
fn reported(words: &[&str]) -> (String, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    let words = [words, &["--report", path.to_str().unwrap()]].concat();
    let said = said(&words, &MadeUp::default());
    let told = format!("\nReport: {}\n", path.display());
    let (table, _) = said.split_once(&told).unwrap();
    (table.to_owned(), std::fs::read_to_string(&path).unwrap())
}

#[test]
fn tables_and_report_are_golden() {
    let (table, page) = reported(&["--profile", "vc", "--workload", "lda"]);
    is_golden("golden.txt", &table);
    is_golden("golden.html", &page);
}

#[test]
fn the_report_holds_everything_and_needs_nothing_else() {
    let (_, page) = reported(&["--full"]);
    for foreign in ["<script", "http:", "https:", "@import", "url(", "src=", "href="] {
        assert!(!page.contains(foreign), "{foreign}");
    }
    for policy in Policy::all() {
        let tuned = policy.is_threshold();
        assert_eq!(page.contains(&format!("<path class=\"{policy}\"")), !tuned, "{policy}");
        assert!(page.contains(&format!("<td>{policy}</td>")), "{policy}");
    }
    for text in [
        "ps-server experiment gaia --profile all --workload all --seed 1 --full",
        "ec2-11, image",
        "ss: links and prices",
        "The paper gives no latencies: round-trip times were measured",
        "17, 360.1",
        "Virginia with Frankfurt; Oregon with Seoul; Tokyo with Mumbai.",
        "prices of 2022 per gigabyte",
        "How far the copies are apart",
        "How far copies are behind",
        "Updates kept from being sent",
        "99 % of LAN-BSP&#39;s improvement",
        "Thresholds by hand and automatic ones",
        "<h2>vc, lda, compute-x0.1</h2>",
        "<h2>ss-no-delay, mf, compute-held</h2>",
        "Plots are of seed 1.",
    ] {
        assert!(page.contains(text), "{text}");
    }
    assert!(!page.contains("NaN") && !page.contains("inf\""), "numbers that are none");
    let open = |tag: &str| {
        page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count()
    };
    let closed = |tag: &str| page.matches(&format!("</{tag}>")).count();
    for tag in ["svg", "table", "figure", "tr", "td", "th", "text", "ul", "li", "div", "p"] {
        assert_eq!(open(tag), closed(tag), "{tag}");
    }
}

/// A profile file whose every text tries to be markup.
fn hostile(folder: &Path) -> PathBuf {
    let path = folder.join("hostile.toml");
    let text = include_str!("experiment/three_offices.toml")
        .replace("three offices", "<b>offices</b>")
        .replace("Paris", "<i>&Paris")
        .replace("measured by hand", "<script>alert(1)</script>")
        .replace("our provider's bill", "<img src=x>")
        .replace("on premises", "<u>");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn no_text_of_a_profile_is_markup() {
    let folder = tempfile::tempdir().unwrap();
    let path = hostile(folder.path());
    let (table, page) = reported(&["--profile", path.to_str().unwrap(), "--workload", "mf"]);
    for markup in ["<b>", "<i>", "<script", "<img", "<u>"] {
        assert!(!page.contains(markup), "{markup}");
    }
    for text in ["&lt;b&gt;offices", "&lt;i&gt;&amp;Paris", "&lt;script&gt;", "&lt;img src=x&gt;"] {
        assert!(page.contains(text), "{text}");
    }
    assert!(table.contains("<b>offices</b>"), "a terminal shows it as it is");
    // The paper knows nothing of these links.
    assert!(!table.contains(" met") && !table.contains("missed"), "{table}");
}

#[test]
fn what_nothing_was_calibrated_by_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("offices.toml");
    std::fs::write(&path, include_str!("experiment/three_offices.toml")).unwrap();
    let words = |profile: &'static str| ["--profile", profile, "--workload", "mf"];
    let own = ["--profile", path.to_str().unwrap(), "--workload", "mf"];
    let told = "125.0 ms a tick, one core at 1 ns an operation: not calibrated";
    let (table, page) = reported(&own);
    assert!(table.contains(&format!("computing: mf {told}")), "{table}");
    assert!(page.contains("125.0 ms in a tick (one core at 1 ns an operation: not calibrated)"));
    let (table, page) = reported(&words("vc"));
    assert!(!table.contains("not calibrated") && !page.contains("not calibrated"));
}

#[test]
fn a_stop_ends_between_runs_with_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("r.html");
    for (finished, told) in [(0, 0), (1, 1), (2, 2), (4, 4)] {
        let asked = Counter::new(0);
        let stop = || {
            asked.set(asked.get() + 1);
            (asked.get() > finished).then_some(130)
        };
        let words = ["--profile", "ss", "--json", "--report", report.to_str().unwrap()];
        let mut out = Vec::new();
        let error = run_until(&arguments(&words), &MadeUp::default(), &stop, &mut out);
        let error = error.unwrap_err();
        let interrupted = error.downcast_ref::<Interrupted>().unwrap();
        assert_eq!(*interrupted, Interrupted { exit_code: 130, finished, planned: 9 });
        assert_eq!(String::from_utf8(out).unwrap().lines().count(), told, "{finished}");
        let page = std::fs::read_to_string(&report).unwrap();
        assert!(page.contains(&format!("stopped after {finished} of 9 runs")), "{page}");
    }
}

#[test]
fn failures_name_their_cell() {
    let runs = MadeUp { fails: Some("vc mf asp 3"), ..MadeUp::default() };
    let words = arguments(&["--profile", "vc", "--seed", "3", "--json"]);
    let mut out = Vec::new();
    let error = run_until(&words, &runs, &|| None, &mut out).unwrap_err();
    assert_eq!(format!("{error:#}"), "vc mf asp, seed 3: the disk is full");
    assert_eq!(String::from_utf8(out).unwrap().lines().count(), 2, "what was finished is told");
}

#[test]
fn a_report_that_cannot_be_written_is_refused_before_any_run() {
    let runs = MadeUp::default();
    for path in ["/absent/folder/r.html", "/"] {
        let words = arguments(&["--profile", "vc", "--report", path]);
        let error = run_until(&words, &runs, &|| None, &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with(&format!("--report {path}: expected")), "{error}");
    }
    assert!(runs.cells.into_inner().is_empty());
}

#[test]
fn command_lines_can_be_pasted() {
    let line = |words: &[&str]| gaia(words).command_line();
    assert_eq!(
        line(&["--profile", "vc", "--json", "--report", "r.html", "--full"]),
        "ps-server experiment gaia --profile vc --workload all --seed 1 --full"
    );
    assert_eq!(
        line(&["--profile", "vc", "--workload", "mf", "--policy", "ssp,isolated"]),
        "ps-server experiment gaia --profile vc --workload mf --seed 1 --policy ssp,isolated"
    );
    assert!(line(&["--profile", "my file's.toml"]).contains(r"--profile 'my file'\''s.toml' "));
}

/// The first run of matrix factorization under a policy.
fn made(profile: &Profile, policy: Policy) -> Cell<'_> {
    Cell { profile, workload: Kind::Mf, variant: Variant::Usual, policy, seed: 1 }
}

/// A run of LAN-BSP on two sites with one thing changed, and its cell.
fn refused(change: impl Fn(&mut Measured)) -> ResultError {
    let profile = Profile::ready("vc").unwrap();
    let cell = made(&profile, Policy::Lan);
    let mut changed = measured(&cell, 0.0);
    let reference = Reference::new(&cell, &changed).unwrap();
    assert!(RunResult::new(&cell, changed.clone(), &reference).is_ok());
    change(&mut changed);
    let error = Reference::new(&cell, &changed).unwrap_err();
    let other = Cell { policy: Policy::Asp, ..cell };
    if !matches!(error, ResultError::NoImprovement { .. }) {
        assert!(RunResult::new(&other, changed, &reference).is_err());
    }
    error
}

#[test]
fn measurements_that_cannot_be_are_refused() {
    assert!(matches!(refused(|run| run.samples.clear()), ResultError::Empty { .. }));
    assert!(matches!(
        refused(|run| run.samples[3].seconds = 0.5),
        ResultError::Time { sample: 3, .. }
    ));
    let no_time = |run: &mut Measured| run.samples[20].seconds = f64::NAN;
    assert!(matches!(refused(no_time), ResultError::Time { sample: 20, .. }));
    let one = |run: &mut Measured| run.traffic.truncate(1);
    assert!(matches!(refused(one), ResultError::Sites { expected: 2, found: 1, .. }));
    // A run of LAN-BSP sends nothing over the WAN.
    let sent = |run: &mut Measured| run.samples[7].wan_bytes = 1;
    assert!(matches!(refused(sent), ResultError::Bytes { sample: 7, most: 0, .. }));
    let unsent = |run: &mut Measured| {
        run.traffic[0].data_bytes = 9;
        run.samples[7].wan_bytes = 1;
    };
    assert!(matches!(refused(unsent), ResultError::Bytes { sample: 8, least: 1, .. }));
    for share in [-0.1, 1.1, f64::NAN] {
        let share = |run: &mut Measured| run.suppressed_share = Some(share);
        assert!(matches!(refused(share), ResultError::Share { .. }));
    }
    for end in [2.5, 2.0, f64::NAN] {
        // From there on: one sample alone counts with those before it.
        let worse =
            |run: &mut Measured| run.samples[10..].iter_mut().for_each(|it| it.objective = end);
        let error = refused(worse);
        assert!(matches!(error, ResultError::NoImprovement { .. }), "{error}");
    }
}

#[test]
fn several_jobs_give_the_same_bytes_in_the_same_order() {
    let words = |jobs| ["--profile", "ss", "--full", "--json", "--jobs", jobs];
    let one = said(&words("1"), &MadeUp::default());
    assert!(one == said(&words("4"), &MadeUp::default()));
    let names = |jobs| {
        let runs = MadeUp::default();
        said(&words(jobs), &runs);
        runs.cells.into_inner()
    };
    let (mut one, mut four) = (names("1"), names("4"));
    one.sort_unstable();
    four.sort_unstable();
    assert_eq!(one, four);
}

#[test]
fn with_several_jobs_a_failure_is_told_behind_what_came_before() {
    let runs = MadeUp { fails: Some("vc lda asp 3"), ..MadeUp::default() };
    let words = ["--profile", "vc", "--seed", "3", "--json", "--jobs", "4"];
    let mut out = Vec::new();
    let error = run_until(&arguments(&words), &runs, &|| None, &mut out).unwrap_err();
    assert_eq!(format!("{error:#}"), "vc lda asp, seed 3: the disk is full");
    let told = String::from_utf8(out).unwrap().lines().count();
    // Two of matrix factorization are always begun before it.
    assert!((2..=8).contains(&told), "{told}");
}
