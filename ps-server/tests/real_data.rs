//! The real data sets, trained as a user would: scores against the references of their folder; and
//! measured links against the file that they were taken from.
//!
//! Ignored unless asked for, because the data is not part of the repository. `.ci/run` asks, and
//! names the folder in `ARCHIPELAGO_DATA_FOLDER`.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use ps_server::experiment::Profile;

fn data(file: &str) -> PathBuf {
    let folder = std::env::var_os("ARCHIPELAGO_DATA_FOLDER")
        .expect("ARCHIPELAGO_DATA_FOLDER names the folder with a9a.gz and its companions");
    PathBuf::from(folder).join(file)
}

/// Trains with `ps-server train` and answers (accuracy, AUC).
fn scores(model: &str, train: &str, test: &str, local: &str) -> (f64, Option<f64>) {
    let output = Command::new(env!("CARGO_BIN_EXE_ps-server"))
        .args(["train", "--model", model, "--embedded", "--json", "--local", local])
        .arg("--train")
        .arg(data(train))
        .arg("--test")
        .arg(data(test))
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON line");
    let accuracy = line["accuracy"].as_f64().expect("an accuracy");
    (accuracy, line["auc"].as_f64())
}

/// References are of a solver run to convergence; an online learner has to come within 0.003.
fn reaches(train: &str, test: &str, accuracy: f64, auc: f64) {
    for local in ["bsp", "ssp:2", "eventual"] {
        let found = scores("sparse-lr", train, test, local);
        let good = found.0 >= accuracy - 0.003 && found.1.is_some_and(|found| found >= auc - 0.003);
        assert!(good, "{train}, {local}: expected {accuracy} and {auc}, found {found:?}");
    }
}

#[test]
#[ignore = "needs the data folder"]
fn a9a_reaches_its_reference() {
    reaches("a9a.gz", "a9a.t.gz", 0.8499, 0.902);
}

#[test]
#[ignore = "needs the data folder"]
fn newsgroups_reach_their_reference() {
    reaches("20news.binary.train.svm.gz", "20news.binary.test.svm.gz", 0.9392, 0.9834);
}

#[test]
#[ignore = "needs the data folder"]
fn flights_reach_their_reference() {
    reaches("flights.train.svm.gz", "flights.test.svm.gz", 0.7471, 0.6715);
}

#[test]
#[ignore = "needs the data folder"]
fn softmax_learns_mnist() {
    let (train, test) = ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz");
    let (accuracy, _) = scores("softmax", train, test, "bsp");
    assert!(accuracy > 0.915, "a linear model reaches about 0.92, found {accuracy}");
}

/// Every ordered pair of the 11 regions: round-trip times, rates of 2022, rates of the paper.
#[test]
#[ignore = "needs the data folder"]
fn links_of_ready_profiles_are_those_of_the_file() {
    let ready = |name| Profile::ready(name).expect("ready");
    let (paper, measured) = (ready("ec2-11"), ready("aws-2022"));
    let number = |region: &str| paper.sites.iter().position(|site| site.region == region);
    let text = std::fs::read_to_string(data("wan_aws11.csv")).expect("the file");
    let mut pairs = 0;
    for line in text.lines().skip(1) {
        let fields: Vec<_> = line.split(',').collect();
        let [from, to] = [0, 1].map(|field| number(fields[field]).expect("one of the 11"));
        let [round_trip, rate_2022, rate_paper] =
            [4, 7, 9].map(|field: usize| fields[field].parse::<f64>().expect("a number"));
        let (old, new) = (paper.links.get(from, to), measured.links.get(from, to));
        assert_eq!(old.megabits_per_second, rate_paper, "{line}");
        assert!((new.megabits_per_second - rate_2022).abs() < 0.51, "{line}");
        for link in [old, new] {
            assert!((link.round_trip_milliseconds - round_trip).abs() < 0.051, "{line}");
        }
        pairs += 1;
    }
    assert_eq!(pairs, 110);
}

/// The matrix factorization of Virginia with California, over simulated links, so many runs at the
/// same time.
fn experiment(jobs: &str) -> Vec<u8> {
    let output = Command::new(env!("CARGO_BIN_EXE_ps-server"))
        .args(["experiment", "gaia", "--profile", "vc", "--workload", "mf", "--seed", "3"])
        .args(["--json", "--jobs", jobs])
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

#[test]
#[ignore = "needs the data folder"]
fn asp_is_as_fast_as_a_local_network_and_a_run_can_be_repeated_to_the_byte() {
    let found = experiment("1");
    assert_eq!(found, experiment("3"));
    let text = String::from_utf8(found).expect("text");
    let lines = text.lines().map(|line| serde_json::from_str(line).expect("JSON"));
    let lines: Vec<serde_json::Value> = lines.collect();
    let ratio = |policy: &str| {
        let line = lines.iter().find(|line| line["policy"] == policy).expect("a run");
        line["ratio_to_lan"].as_f64().expect("a ratio")
    };
    // The baseline is calibrated to the paper's; ASP's own aim is in the report.
    assert!((ratio("baseline") - 3.5).abs() < 0.1, "{}", ratio("baseline"));
    assert!(ratio("asp") < 1.25, "{}", ratio("asp"));
    let objective = |policy: &str| {
        let line = lines.iter().find(|line| line["policy"] == policy).expect("a run");
        line["objective"].as_f64().expect("an objective")
    };
    let (lan, asp) = (objective("lan"), objective("asp"));
    assert!((asp / lan - 1.0).abs() < 0.01, "{lan} and {asp}");
}

/// A run of 11 sites takes minutes.
#[cfg(unix)]
#[test]
#[ignore = "needs the data folder"]
fn who_stops_an_experiment_is_told_at_once_that_a_second_signal_ends_it() {
    let words = ["experiment", "gaia", "--profile", "ec2-11", "--workload", "image", "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ps-server"));
    let piped = (Stdio::null(), Stdio::null(), Stdio::piped());
    command.args(words).args(["--jobs", "1"]).stdin(piped.0).stdout(piped.1).stderr(piped.2);
    let mut experiment = command.spawn().expect("it starts");
    let id = experiment.id().to_string();
    let signal = || {
        assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    };
    // Signals are obeyed before anything is read, and nothing has ended by then.
    std::thread::park_timeout(Duration::from_secs(2));
    signal();
    let mut said = BufReader::new(experiment.stderr.take().expect("piped")).lines();
    let line = said.next().expect("a line").expect("text");
    assert!(line.contains("stops when the runs that have begun have ended"), "{line}");
    signal();
    assert_eq!(experiment.wait().expect("it ends").code(), Some(130));
}
