//! The program as its user meets it: its servers train with its code, stock ones say what they
//! lack.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::server::ServerOptions;
use archipelago::transport::{Credentials, Server, ServerConfig};

fn run(words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_own-code"));
    command.args(words).stdin(Stdio::null()).output().unwrap()
}

fn said(words: &[&str]) -> String {
    let output = run(words);
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A server of the program; killed when dropped.
struct Served {
    child: Child,
    address: String,
}

impl Served {
    fn start(options: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_own-code"));
        command.arg("serve").args(options).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().unwrap().unwrap();
        Self { child, address: first.rsplit(' ').next().unwrap().to_owned() }
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Certificates of an authority of its own, by role.
struct Certificates(tempfile::TempDir);

impl Certificates {
    fn new() -> Self {
        let this = Self(tempfile::tempdir().unwrap());
        said(&["cert", "ca", "--out", &this.path("ca")]);
        for role in ["server", "worker", "operator"] {
            let (ca, out) = (this.path("ca"), this.path("out"));
            said(&["cert", "issue", "--role", role, "--dc", "test", "--ca", &ca, "--out", &out]);
        }
        this
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// The options that show the certificate of a role.
    fn shown(&self, role: &str) -> Vec<String> {
        let [ca, certificate, key] = self.files(role);
        ["--ca", &ca, "--certificate", &certificate, "--key", &key].map(str::to_owned).to_vec()
    }

    fn files(&self, role: &str) -> [String; 3] {
        ["ca/ca.pem".into(), format!("out/{role}.pem"), format!("out/{role}.key")]
            .map(|name| self.path(&name))
    }

    /// A command with the certificate of a role, at a server.
    fn at<'a>(words: &[&'a str], server: &'a str, shown: &'a [String]) -> Vec<&'a str> {
        let shown = shown.iter().map(String::as_str);
        words.iter().copied().chain(["--servers", server]).chain(shown).collect()
    }
}

#[test]
fn servers_of_the_program_train_with_its_rule_and_policy() {
    let certificates = Certificates::new();
    let [server, worker, operator] =
        ["server", "worker", "operator"].map(|role| certificates.shown(role));
    let server: Vec<_> = server.iter().map(String::as_str).collect();
    let served = Served::start(&[&["--bind", "127.0.0.1:0"], &server[..]].concat());
    let fit = said(&Certificates::at(&["fit", "--workers", "2"], &served.address, &worker));
    assert_eq!(fit.lines().count(), 2, "{fit}");
    for line in fit.lines() {
        let words: Vec<_> = line.split_whitespace().collect();
        let number = |at: usize| words[at].parse::<f32>().unwrap();
        // `worker N ends with y = SLOPE x + OFFSET`
        assert!((number(6) - 2.0).abs() < 0.1 && (number(9) + 1.0).abs() < 0.1, "{line}");
    }
    let describe = ["table", "describe", "line", "--json"];
    let described = said(&Certificates::at(&describe, &served.address, &operator));
    let described: serde_json::Value = serde_json::from_str(&described).unwrap();
    assert_eq!(described["rule"], "nesterov/1(beta=0.5)");
    assert_eq!(described["local"], "warm-up/1(staleness=2, ticks=10)");
}

#[test]
fn stock_training_takes_the_rule_and_the_policy_by_name_here_and_on_servers() {
    let certificates = Certificates::new();
    let [server, worker, operator] =
        ["server", "worker", "operator"].map(|role| certificates.shown(role));
    let server: Vec<_> = server.iter().map(String::as_str).collect();
    let served = Served::start(&[&["--bind", "127.0.0.1:0"], &server[..]].concat());
    let job = "train --model softmax --train digits --epochs 3 --workers 2 --json \
               --rule nesterov:beta=0.5 --rate 0.05 --local";
    let job: Vec<_> = job.split_whitespace().collect();
    let parsed = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    let here = |local: &str| parsed(&said(&[&job[..], &[local, "--embedded"]].concat()));
    let there = |local: &str| {
        let words = [&job[..], &[local, "--run", local]].concat();
        parsed(&said(&Certificates::at(&words, &served.address, &worker)))
    };
    let warm_up = "warm-up:staleness=1,ticks=9";
    for report in [here(warm_up), there(warm_up), here("bsp")] {
        assert_eq!(report["rule"], "nesterov:beta=0.5");
        assert!(report["accuracy"].as_f64() > Some(0.8), "{report}");
    }
    assert_eq!(here(warm_up)["policy"], warm_up);
    // One's own rule is held to the same bits as those that are built in.
    assert_eq!(here("bsp")["digest"], there("bsp")["digest"]);
    let described = said(&Certificates::at(
        &["table", "describe", warm_up, "--json"],
        &served.address,
        &operator,
    ));
    let described = parsed(&described);
    assert_eq!(described["rule"], "nesterov/1(beta=0.5)");
    assert_eq!(described["local"], "warm-up/1(staleness=1, ticks=9)");
    let typo = run(&[&job[..], &["warmup", "--embedded"]].concat());
    let complaint = String::from_utf8(typo.stderr).unwrap();
    assert!(complaint.contains("own-code: unknown local policy `warmup`: did you mean `warm-up`?"));
}

#[test]
fn a_stock_server_says_what_it_lacks_and_what_it_has() {
    let certificates = Certificates::new();
    let files = certificates.files("server").map(|path| std::fs::read(Path::new(&path)).unwrap());
    let server = Server::start(ServerConfig {
        server: ServerId(0),
        bind: SocketAddr::from(([127, 0, 0, 1], 0)),
        peers: Vec::new(),
        servers: vec![ServerId(0)],
        registry: Registry::built_in(),
        credentials: Credentials::from_pem(&files[0], &files[1], &files[2]).unwrap(),
        options: ServerOptions::default(),
    });
    let server = server.unwrap();
    let (address, worker) = (server.address().to_string(), certificates.shown("worker"));
    let output = run(&Certificates::at(&["fit"], &address, &worker));
    assert!(!output.status.success());
    let complaint = String::from_utf8(output.stderr).unwrap();
    let words = "own-code: \"line\" needs the update rule \"nesterov/1\", which is not registered; \
                 registered: adagrad/1, adam/1, add/1, assign/1, momentum/1, sgd/1";
    assert!(complaint.contains(words), "{complaint}");
}
