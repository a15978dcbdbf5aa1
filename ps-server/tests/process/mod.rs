//! Real processes for tests: commands, servers that end with their test, workers that join them.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

pub(crate) mod cluster;
pub(crate) mod system;

use std::fs::File;
use std::io::{BufRead, BufReader, Lines, Read, Seek};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

use archipelago::embed::ThreadPark;
use archipelago::error::Result;
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::worker::{Park, RemoteWorker, WorkerOptions};
use archipelago::os::Clock;
use archipelago::rules::Add;
use archipelago::transport::{self, Credentials, WorkerConfig};
use archipelago::{Eventual, Hyper, Table, TablePolicy, TableSpec, Worker};

/// Longer than anything here takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ps-server"));
    command.args(arguments).stdin(Stdio::null());
    command
}

/// What a command says that has to succeed.
pub(crate) fn said(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What a command complains of that has to fail.
pub(crate) fn complaint(arguments: &[&str]) -> String {
    let output = run(arguments);
    assert!(!output.status.success(), "{arguments:?} should fail");
    String::from_utf8(output.stderr).unwrap()
}

pub(crate) fn run(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

/// An authority in `folder/ca`.
pub(crate) fn authority(folder: &Path) -> String {
    let ca = text(folder.join("ca"));
    said(&["cert", "ca", "--out", &ca]);
    ca
}

/// A certificate NAME.pem of the data centre `test` in `folder/out`, and its key.
pub(crate) fn issue(ca: &str, role: &str, name: &str, folder: &Path) -> [String; 2] {
    let out = text(folder.join("out"));
    let names = ["--role", role, "--dc", "test", "--name", name, "--force"];
    said(&[&["cert", "issue", "--ca", ca, "--out", &out][..], &names].concat());
    ["pem", "key"].map(|kind| format!("{out}/{name}.{kind}"))
}

pub(crate) fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_str().unwrap().to_owned()
}

/// A running `ps-server serve` on ports of its own; killed when dropped.
pub(crate) struct Served {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// A file: a pipe that nobody reads would stop the server once it is full.
    log: File,
    pub(crate) address: SocketAddr,
}

impl Served {
    /// Starts it and waits until it listens.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let arguments = [&["serve"][..], arguments].concat();
        let mut command = command(&arguments);
        let log = tempfile::tempfile().unwrap();
        command.stdout(Stdio::piped()).stderr(log.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let Some(Ok(first)) = lines.next() else {
            let status = child.wait().unwrap();
            assert!(status.success(), "{arguments:?} did not start: {}", whole(log));
            unreachable!("{arguments:?} serves until it is stopped");
        };
        let address = first.rsplit(' ').next().unwrap().parse();
        Self { child, lines, log, address: address.expect("an address") }
    }

    /// The next line that it says.
    pub(crate) fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// The address of its metrics, from the line that names it.
    pub(crate) fn metrics(&mut self) -> String {
        let line = self.line();
        line.split('/').nth(2).expect("an address").to_owned()
    }

    /// The most bytes of memory that it has held so far.
    #[cfg(target_os = "linux")]
    pub(crate) fn memory_peak(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        peak.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// What it has logged so far. Reads beside the place at which it goes on to write.
    #[cfg(unix)]
    pub(crate) fn logged(&self) -> String {
        use std::os::unix::fs::FileExt;
        let mut bytes = vec![0; self.log.metadata().unwrap().len() as usize];
        self.log.read_exact_at(&mut bytes, 0).unwrap();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits for its end; the status, and what it has logged.
    pub(crate) fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        (status, whole(self.log.try_clone().unwrap()))
    }
}

/// Sends a signal to a process of the test's own.
pub(crate) fn signal(id: u32, name: &str) {
    let sent = Command::new("kill").args([name, &id.to_string()]).status();
    assert!(sent.unwrap().success(), "{name} to {id}");
}

fn whole(mut file: File) -> String {
    let mut text = String::new();
    file.rewind().unwrap();
    file.read_to_string(&mut text).unwrap();
    text
}

impl Drop for Served {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A worker in this process.
pub(crate) struct Joined {
    me: RemoteWorker,
    table: Table,
    /// One group writes a table, the others read it.
    writes: bool,
}

/// Joins a group of one worker with the certificate and key in these files.
pub(crate) fn join(server: SocketAddr, group: u32, ca: &str, pair: &[String; 2]) -> Result<Joined> {
    let [ca, certificate, key] = [ca, &pair[0], &pair[1]].map(|path| std::fs::read(path).unwrap());
    let config = WorkerConfig {
        servers: vec![(ServerId(0), server)],
        registry: Registry::built_in(),
        credentials: Credentials::from_pem(&ca, &certificate, &key)?,
        options: WorkerOptions { wait_max: Duration::from_secs(1), ..WorkerOptions::default() },
        connect_max: Duration::from_secs(10),
    };
    ThreadPark.block_on(async {
        let session = transport::connect(config).await?;
        let spec = TableSpec::dense("w", 1024).rule(Add);
        let policy = TablePolicy::local(Eventual);
        let table = session.ensure_table(spec, policy, Hyper::default()).await?;
        let group_id = session.ensure_group(&format!("group {group}"), 1).await?;
        let me = session.join(group_id).await?;
        Ok(Joined { me, table, writes: group == 0 })
    })
}

impl Joined {
    /// Adds one to all values, if it is of group 0, and reads them.
    pub(crate) fn step(&self) -> Result<()> {
        let values = vec![1.0_f32; self.table.spec().domain.count() as usize];
        let mut found = vec![0.0_f32; values.len()];
        ThreadPark.block_on(async {
            if self.writes {
                self.me.push(&self.table, .., &values).await?;
            }
            self.me.pull(&self.table, .., &mut found).await?;
            Ok(())
        })
    }
}

/// A page over HTTP, headers and all.
pub(crate) fn page(address: &str, path: &str) -> String {
    use std::io::Write;
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// Tries until it succeeds.
pub(crate) fn until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::start();
    let began = clock.now();
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(clock.now().since(began) < PATIENCE, "{what}: not within {PATIENCE:?}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}
