//! The command line as a user meets it.

use std::io::Write;
use std::process::{Command, Output, Stdio};

fn ps_server(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ps-server"));
    command.args(arguments).output().expect("the command runs")
}

fn complaint(arguments: &[&str]) -> String {
    let output = ps_server(arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_demo_prints_a_json_line_per_policy() {
    let output = ps_server(&["demo", "--json", "--epochs", "3"]);
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let policies: Vec<_> = lines.iter().map(|line| line["policy"].clone()).collect();
    assert_eq!(policies, ["bsp", "ssp:2", "eventual", "bsp", "bsp", "asp"]);
    let (lines, islands) = lines.split_at(4);
    let sent = |line: &serde_json::Value| line["wan_bytes"].as_u64().expect("bytes");
    assert!(sent(&islands[1]) < sent(&islands[0]), "{islands:?}");
    assert!(islands.iter().all(|line| line["copies_equal"] == true), "{islands:?}");
    let servers: Vec<_> = lines.iter().map(|line| line["servers"].as_u64()).collect();
    assert_eq!(servers, [Some(2), Some(2), Some(2), Some(0)]);
    assert_eq!(lines[0]["digest"], lines[3]["digest"]);
    for line in lines {
        for field in ["seconds", "bytes_up", "bytes_down", "accuracy"] {
            assert!(line[field].as_f64().expect(field) > 0.0, "{field} of {line}");
        }
    }
}

#[test]
fn the_demo_prints_a_table() {
    let output = ps_server(&["demo", "--epochs", "1", "--workers", "2"]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(text.contains("log-loss") && text.contains("time: training alone"), "{text}");
    assert!(text.contains("copy of the model in each, 1 pass over the data: exact"), "{text}");
    let finished = text.lines().filter(|line| line.contains(" finished: ")).count();
    assert_eq!(finished, 3, "whoever stops the demo has what is finished: {text}");
    assert!(text.contains("once more in one process: the same bits (digest "), "{text}");
    let alone = ps_server(&["demo", "--embedded", "--epochs", "1", "--workers", "2"]);
    let text = String::from_utf8(alone.stdout).expect("UTF-8");
    assert!(text.contains("no server") && text.contains("as encoded"), "{text}");
}

/// Trains on files of these contents; both may be the same.
fn train(model: &str, train: &[u8], test: &[u8], options: &[&str]) -> Output {
    let folder = tempfile::tempdir().expect("a folder");
    let [rows, held_out] = ["rows", "held-out"].map(|name| folder.path().join(name));
    std::fs::write(&rows, train).expect("written");
    std::fs::write(&held_out, test).expect("written");
    let files = ["--train", rows.to_str().expect("UTF-8"), "--test"];
    let files = [&files[..], &[held_out.to_str().expect("UTF-8")]].concat();
    ps_server(&[&["train", "--embedded", "--model", model][..], &files, options].concat())
}

fn training_complaint(model: &str, rows: &[u8]) -> String {
    let output = train(model, rows, rows, &[]);
    assert!(!output.status.success(), "{model} should refuse {}", rows.escape_ascii());
    String::from_utf8(output.stderr).expect("UTF-8")
}

fn json(output: &Output) -> serde_json::Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[test]
fn training_reads_csv_says_what_it_reads_and_reports() {
    let rows: String =
        (0..64).map(|i| format!("{},{},{}\n", (i ^ (i >> 1)) & 1, i & 1, (i >> 1) & 1)).collect();
    let local = ["--local", "SSP:1", "--rule", "Adagrad"];
    let options = [&["--json", "--epochs", "100", "--workers", "2"][..], &local].concat();
    let output = train("MLP", rows.as_bytes(), rows.as_bytes(), &options);
    let line = json(&output);
    assert_eq!((line["accuracy"].as_f64(), line["policy"].as_str()), (Some(1.0), Some("ssp:1")));
    assert_eq!((line["model"].as_str(), line["rows"].as_u64()), (Some("mlp"), Some(64)));
    assert_eq!((line["rate"].as_f64(), line["rule"].as_str()), (Some(0.1), Some("adagrad")));
    let said = String::from_utf8_lossy(&output.stderr);
    for part in ["64 rows, 2 features, 2 classes (0: 50.0 %, 1: 50.0 %)", "values from 0 to 1"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn classes_that_were_never_seen_are_a_warning() {
    let rows = "0,1\n1,2\n".repeat(20);
    let output = train("softmax", rows.as_bytes(), b"2,1\n0,1\n", &["--json", "--epochs", "1"]);
    json(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("held-out: 1 row is of 1 class without a row in"), "{said}");
}

#[test]
fn training_that_diverges_is_told_to_lower_the_rate() {
    // One row in four contradicts the others, so that no model is sure of everything.
    let rows = "+1 1:1\n-1 2:1\n+1 1:1\n-1 1:1\n".repeat(20);
    let options = ["--epochs", "2", "--rate", "1e30"];
    let output = train("sparse-lr", rows.as_bytes(), rows.as_bytes(), &options);
    assert!(output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("training has diverged: lower --rate"), "{said}");
    let table = String::from_utf8_lossy(&output.stdout);
    assert!(table.contains("e29 ") || table.contains("e30 "), "{table}");
    assert!(table.lines().all(|line| line.chars().count() < 200), "{table}");
    let digits = ["train", "--embedded", "--model", "softmax", "--train", "digits"];
    let refused = complaint(&[&digits[..], &["--rate", "1e38"]].concat());
    for part in ["training has diverged: lower --rate", "NaN pushed"] {
        assert!(refused.contains(part), "{refused}");
    }
    let calm = train("sparse-lr", rows.as_bytes(), rows.as_bytes(), &options[..2]);
    assert!(!String::from_utf8_lossy(&calm.stderr).contains("diverged"));
}

#[test]
fn the_digits_need_no_file() {
    let digits = ["train", "--embedded", "--json", "--model", "softmax", "--train", "digits"];
    let line = json(&ps_server(&[&digits[..], &["--epochs", "5"]].concat()));
    assert!(line["accuracy"].as_f64() > Some(0.8), "{line}");
    let text = complaint(&[&digits[..], &["--test", "rows.csv"]].concat());
    assert!(text.contains("leave --test out"), "{text}");
    for option in ["--train-labels", "--test-labels"] {
        let text = complaint(&[&digits[..], &[option, "labels"]].concat());
        assert!(text.contains(&format!("leave {option} out")), "{text}");
    }
    let sparse = ["train", "--embedded", "--model", "sparse-lr", "--train", "digits"];
    assert!(complaint(&sparse).contains("--model softmax or mlp"));
    let digit = ["train", "--embedded", "--model", "softmax", "--train", "digit", "--test", "x"];
    assert!(complaint(&digit).contains("there is no file digit: did you mean `digits`"));
}

#[test]
fn idx_is_known_by_its_content() {
    let folder = tempfile::tempdir().expect("a folder");
    let [images, labels] = ["images", "labels"].map(|name| folder.path().join(name));
    std::fs::write(&images, b"\0\0\x08\x02\0\0\0\x02\0\0\0\x01\0\xff").expect("written");
    std::fs::write(&labels, b"\0\0\x08\x01\0\0\0\x02\0\x01").expect("written");
    let [images, labels] = [&images, &labels].map(|path| path.to_str().expect("UTF-8"));
    let train = ["train", "--embedded", "--model", "softmax", "--json", "--epochs", "1"];
    let files = ["--train", images, "--test", images];
    let named = ["--train-labels", labels, "--test-labels", labels];
    json(&ps_server(&[&train[..], &files, &named].concat()));
    let unnamed = complaint(&[&train[..], &files].concat());
    assert!(unnamed.contains("name the file of their labels by --train-labels"), "{unnamed}");
    let swapped = complaint(&[&train[..], &["--train", labels, "--test", images]].concat());
    assert!(swapped.contains("name the images here"), "{swapped}");
}

#[test]
#[cfg(unix)]
fn rows_may_come_through_a_pipe() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("held-out");
    let rows = "0,1\n1,2\n".repeat(50);
    std::fs::write(&file, &rows).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_ps-server"))
        .args(["train", "--embedded", "--model", "softmax", "--json", "--epochs", "1"])
        .args(["--train", "/dev/stdin", "--test", file.to_str().expect("UTF-8")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the command starts");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(rows.as_bytes()).expect("read to the end");
    drop(pipe);
    let output = child.wait_with_output().expect("the command runs");
    json(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("/dev/stdin: 100 rows"), "{said}");
}

#[test]
fn a_file_of_another_format_is_told_with_what_to_pass() {
    for (model, rows, parts) in [
        ("softmax", &b"+1 3:1\n"[..], ["looks like LIBSVM", "--model sparse-lr"]),
        ("sparse-lr", b"1,0.5\n", ["looks like CSV", "--model softmax or mlp"]),
        ("sparse-lr", b"\0\0\x08\x03\0", ["looks like IDX", "--model softmax or mlp"]),
        ("mlp", b"class,height\n0,1\n", ["found \"class\"", "tail -n +2"]),
        ("mlp", b"0;1\n", ["found \"0;1\"", "separated by ';'"]),
        ("mlp", b"0,1\n0.5,1\n", ["rows:2:1: ", "the class as 0, 1, 2, .."]),
        ("sparse-lr", b"+2 1:1\n", ["found \"+2\"", "label one class +1 and all others -1"]),
        ("mlp", b"\x89PNG\r\n\x1a\n\0", [r#"found "\x89PNG""#, "neither text, gzip nor IDX"]),
    ] {
        let text = training_complaint(model, rows);
        assert!(parts.iter().all(|part| text.contains(part)), "{parts:?} are not in {text}");
        assert_eq!(text.matches("rows:").count(), 1, "said once: {text}");
    }
    let labels: String = (0..2000).map(|row| format!("{row},1\n")).collect();
    let text = training_complaint("softmax", labels.as_bytes());
    assert!(text.contains("2000 classes in 2000 rows"), "{text}");
}

#[test]
fn servers_that_do_not_answer_are_waited_for_aloud() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = |name: &str| folder.path().join(name).to_str().expect("UTF-8").to_owned();
    let (ca, certs) = (place("ca"), place("certs"));
    assert!(ps_server(&["cert", "ca", "--out", &ca]).status.success());
    let issue = ["cert", "issue", "--ca", &ca, "--role", "worker", "--dc", "x", "--out", &certs];
    assert!(ps_server(&issue).status.success());
    // Somebody has the port and says nothing.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port");
    let at = silent.local_addr().expect("bound").to_string();
    let [root, certificate, key] =
        ["ca/ca.pem", "certs/worker.pem", "certs/worker.key"].map(&place);
    let connect = ["--servers", &at, "--ca", &root, "--certificate", &certificate, "--key", &key];
    let connect = [&connect[..], &["--connect-max", "2.5"]].concat();
    let train = ["train", "--model", "softmax", "--train", "digits"];
    for words in [&train[..], &["table", "list"]] {
        let said = complaint(&[words, &connect].concat());
        let waiting =
            format!("waiting for server 0 at {at}: no answer yet after 2 s (up to 2.5 s)");
        for part in [&waiting, "within 2.5 s (--connect-max)", "does UDP get through?"] {
            assert!(said.contains(part), "{part:?} in {said}");
        }
    }
}

#[test]
fn complaints_say_what_to_do() {
    let files = ["train", "--model", "sparse-lr", "--train", "/nowhere", "--test", "/nowhere"];
    let options = [&files[..], &["--embedded"]].concat();
    let missing = complaint(&["train"]);
    for option in ["--embedded|--servers", "  --model <MODEL>\n", "  --train <FILE>\n"] {
        assert!(missing.contains(option), "{missing}");
    }
    let missing = complaint(&options);
    assert!(missing.contains("/nowhere"), "{missing}");
    let size = training_complaint("sparse-lr", b"1 4000000000:1\n-1 1:1\n");
    assert!(size.contains("4000000001 values"), "{size}");
    let policy = complaint(&[&options[..], &["--local", "ssp"]].concat());
    assert!(policy.contains("`ssp` needs its staleness: write ssp:NUMBER"), "{policy}");
    for (option, value, words) in [
        ("--local", "bps", "unknown local policy `bps`: did you mean `bsp`?"),
        ("--local", "ssp:0.5", "staleness: expected a whole number"),
        ("--rule", "adma", "unknown update rule `adma`: did you mean `adam`?"),
        ("--rule", "momentum:2", "beta"),
    ] {
        let text = complaint(&[&options[..], &[option, value]].concat());
        assert!(text.contains(words) && !text.contains("nowhere"), "{words:?} in {text}");
    }
    for (option, range) in [
        ("--rate", "expected a finite number above 0"),
        ("--batch", "-1 is not in 1.."),
        ("--epochs", "-1 is not in 1..="),
        ("--workers", "-1 is not in 1..="),
        ("--shards", "-1 is not in 1..="),
        ("--block-elements", "expected a power of two from 64 to 65536"),
    ] {
        let text = complaint(&[&options[..], &[option, "-1"]].concat());
        let whole = format!("invalid value '-1' for '{option}");
        assert!(text.contains(&whole) && text.contains(range), "{text}");
    }
}
