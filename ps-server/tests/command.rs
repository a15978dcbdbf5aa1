//! The command line as a user meets it.

use std::process::{Command, Output};

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
    assert_eq!(policies, ["bsp", "ssp:2", "eventual"]);
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
    assert!(text.contains("accuracy") && text.contains("eventual"), "{text}");
}

#[test]
fn training_reads_csv_and_reports() {
    let folder = std::env::temp_dir().join(format!("archipelago-csv-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("xor.csv");
    let rows: String =
        (0..64).map(|i| format!("{},{},{}\n", (i ^ (i >> 1)) & 1, i & 1, (i >> 1) & 1)).collect();
    std::fs::write(&file, rows).expect("written");
    let file = file.to_str().expect("UTF-8");
    let files = ["--train", file, "--test", file];
    let options = ["--embedded", "--json", "--epochs", "100", "--local", "ssp:1", "--workers", "2"];
    let output = ps_server(&[&["train", "--model", "mlp"][..], &files, &options].concat());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let line: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((line["accuracy"].as_f64(), line["policy"].as_str()), (Some(1.0), Some("ssp:1")));
    std::fs::remove_dir_all(folder).expect("removed");
}

#[test]
fn complaints_say_what_to_do() {
    let options = ["train", "--model", "sparse-lr", "--train", "/nowhere", "--test", "/nowhere"];
    assert!(complaint(&options).contains("--embedded"));
    let missing = complaint(&[&options[..], &["--embedded"]].concat());
    assert!(missing.contains("/nowhere"), "{missing}");
    let huge = std::env::temp_dir().join(format!("archipelago-huge-{}", std::process::id()));
    std::fs::write(&huge, "1 4000000000:1\n-1 1:1\n").expect("written");
    let file = huge.to_str().expect("UTF-8");
    let files = ["train", "--model", "sparse-lr", "--train", file, "--test", file, "--embedded"];
    let size = complaint(&files);
    assert!(size.contains("4000000001 values"), "{size}");
    std::fs::remove_file(huge).expect("removed");
    let policy = complaint(&[&options[..], &["--embedded", "--local", "ssp"]].concat());
    assert!(policy.contains("expected bsp, ssp:N or eventual, found \"ssp\""), "{policy}");
}
