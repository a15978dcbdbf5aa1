//! Clusters of `ps-server serve` processes, and `ps-server train` processes that train there.

use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};

use serde_json::Value;

use super::{Served, authority, command, issue, said, signal, whole};

/// Any free port.
pub(crate) const ANY: &str = "127.0.0.1:0";

/// An authority and certificates for clusters of one test.
pub(crate) struct Papers {
    pub(crate) root: String,
    server: [String; 2],
    worker: [String; 2],
}

impl Papers {
    /// In a folder of the test's own.
    pub(crate) fn new(folder: &Path) -> Self {
        let ca = authority(folder);
        let [server, worker] = ["server", "worker"].map(|role| issue(&ca, role, role, folder));
        Self { root: format!("{ca}/ca.pem"), server, worker }
    }

    fn options([certificate, key]: &[String; 2], root: &str) -> Vec<String> {
        ["--ca", root, "--certificate", certificate, "--key", key].map(str::to_owned).to_vec()
    }

    /// What a server shows and believes.
    pub(crate) fn of_server(&self) -> Vec<String> {
        Self::options(&self.server, &self.root)
    }

    /// What a worker shows and believes.
    pub(crate) fn of_worker(&self) -> Vec<String> {
        Self::options(&self.worker, &self.root)
    }
}

/// Running servers, each with an address for its metrics.
pub(crate) struct Cluster {
    pub(crate) servers: Vec<Served>,
    pub(crate) metrics: Vec<String>,
    /// Where others find each of them.
    pub(crate) found_at: Vec<SocketAddr>,
    worker: Vec<String>,
}

impl Cluster {
    /// Starts the servers one after the other on free ports. A server calls those before it
    /// alone, so that it need not know where the later ones are. `found_at` may put something in
    /// front of a server.
    pub(crate) fn start(
        papers: &Papers,
        count: usize,
        mut found_at: impl FnMut(SocketAddr) -> SocketAddr,
    ) -> Self {
        let worker = papers.of_worker();
        let mut this = Self { servers: vec![], metrics: vec![], found_at: vec![], worker };
        for number in 0..count {
            let mut server = start(papers, number, &list(&this.found_at, number, count));
            this.metrics.push(server.metrics());
            this.found_at.push(found_at(server.address));
            this.servers.push(server);
        }
        this
    }

    /// The options by which a worker finds and joins the cluster.
    pub(crate) fn options(&self) -> Vec<String> {
        let addresses: Vec<_> = self.found_at.iter().map(ToString::to_string).collect();
        [&["--servers".into(), addresses.join(",")][..], &self.worker].concat()
    }

    /// How every server stands.
    pub(crate) fn status(&self) -> Vec<Value> {
        let text = said(&["status", "--json", "--metrics", &self.metrics.join(",")]);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Rounds closed by one server, of the table that is furthest.
    pub(crate) fn rounds(&self, server: usize) -> u64 {
        rounds(&self.status()[server])
    }
}

/// Starts one server of a list on a free port.
pub(crate) fn start(papers: &Papers, number: usize, list: &str) -> Served {
    start_at(papers, number, list, ANY.parse().unwrap())
}

/// Starts one server of a list.
pub(crate) fn start_at(papers: &Papers, number: usize, list: &str, at: SocketAddr) -> Served {
    let (number, at) = (number.to_string(), at.to_string());
    let places = ["--server", &number, "--servers", list, "--bind", &at, "--metrics", ANY];
    let shown = papers.of_server();
    let shown: Vec<_> = shown.iter().map(String::as_str).collect();
    Served::start(&[&places[..], &shown].concat())
}

/// The list of servers as one of them is told it: those that listen already, itself, the others.
pub(crate) fn list(known: &[SocketAddr], own: usize, count: usize) -> String {
    let entry = |number: usize| match known.get(number) {
        Some(address) if number != own => format!("{number}={address}"),
        _ if number == own => format!("{number}={ANY}"),
        // Never called.
        _ => format!("{number}=127.0.0.1:{}", 1 + number),
    };
    (0..count).map(entry).collect::<Vec<_>>().join(",")
}

/// Rounds in an answer of `status`, of the table that is furthest.
pub(crate) fn rounds(status: &Value) -> u64 {
    let tables = status["tables"].as_array().unwrap();
    tables.iter().filter_map(|table| table["rounds"].as_u64()).max().unwrap_or_default()
}

/// A running `ps-server train`; killed when dropped.
pub(crate) struct Trainer {
    child: Child,
    said: PathBuf,
    log: File,
    _folder: tempfile::TempDir,
}

impl Trainer {
    /// Starts it with these options.
    pub(crate) fn start(options: &[&[String]]) -> Self {
        let options = options.concat();
        let options: Vec<_> = options.iter().map(String::as_str).collect();
        let folder = tempfile::tempdir().unwrap();
        let (said, log) = (folder.path().join("said"), tempfile::tempfile().unwrap());
        let mut command = command(&[&["train"][..], &options].concat());
        command.stdout(File::create(&said).unwrap()).stderr(log.try_clone().unwrap());
        Self { child: command.spawn().unwrap(), said, log, _folder: folder }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.id(), name);
    }

    /// Waits for its end; the status, what it has said, and what it has complained of.
    pub(crate) fn ended(mut self) -> (ExitStatus, String, String) {
        let status = self.child.wait().unwrap();
        let mut said = String::new();
        File::open(&self.said).unwrap().read_to_string(&mut said).unwrap();
        (status, said, whole(self.log.try_clone().unwrap()))
    }

    /// The report of one that succeeds.
    pub(crate) fn report(self) -> Value {
        let (status, said, log) = self.ended();
        assert!(status.success(), "{status}: {log}");
        serde_json::from_str(&said).unwrap()
    }

    /// What one complains of that fails.
    pub(crate) fn complaint(self) -> String {
        let (status, _, log) = self.ended();
        assert!(!status.success(), "should fail: {log}");
        log
    }
}

impl Drop for Trainer {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Options as a process takes them.
pub(crate) fn options(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}
