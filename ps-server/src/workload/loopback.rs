//! Servers for a demo: child processes on loopback with throw-away certificates.
//!
//! I1: they do not outlive this process. Each reads its standard input, a pipe from here, and
//! stops when that ends, however this process ended.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, bail};
use archipelago::os::Clock;
use archipelago::time::{Duration, Instant};
use archipelago::transport::Role;
use archipelago_client::ServerEntry;

use super::arguments::ServedArguments;
use crate::connect::ConnectArguments;
use crate::serve::{CredentialFiles, Throwaway};

/// How long a server may take to stop in good order.
const STOP_MAX: Duration = Duration::from_secs(5);

/// Running servers; dropped, they stop.
pub(crate) struct Loopback {
    throwaway: Throwaway,
    servers: Vec<Child>,
    addresses: Vec<SocketAddr>,
}

impl Loopback {
    /// Starts so many servers, each on a free port.
    pub(crate) fn start(count: u32) -> anyhow::Result<Self> {
        let throwaway = Throwaway::new()?;
        let files = throwaway.issue(Role::Server)?;
        let mut this = Self { throwaway, servers: Vec::new(), addresses: Vec::new() };
        for number in 0..count {
            this.start_one(number, count, &files).context("starting a server for the demo")?;
        }
        Ok(this)
    }

    /// A server calls those before it alone: it need not know where the later ones will be.
    fn start_one(
        &mut self,
        number: u32,
        count: u32,
        files: &CredentialFiles,
    ) -> anyhow::Result<()> {
        let known = self.addresses.iter().map(SocketAddr::port);
        let later = number + 1..count;
        let ports: Vec<_> = known.chain([0]).chain(later.map(|later| later as u16)).collect();
        let list = ports.iter().zip(0..).map(|(port, number)| format!("{number}=127.0.0.1:{port}"));
        let list = list.collect::<Vec<_>>().join(",");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["serve", "--while-input", "--log", "error", "--bind", "127.0.0.1:0"]);
        command.args(["--server", &number.to_string(), "--servers", &list]);
        command.arg("--ca").arg(&files.ca).arg("--certificate").arg(&files.certificate);
        command.arg("--key").arg(&files.key);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let said = child.stdout.take();
        self.servers.push(child);
        let mut said = BufReader::new(said.context("its output is a pipe")?);
        let mut line = String::new();
        said.read_line(&mut line)?;
        let Some(address) = line.trim().rsplit(' ').next().and_then(|word| word.parse().ok())
        else {
            bail!("it has not said where it listens, but {line:?}");
        };
        self.addresses.push(address);
        // What else it says is of no interest, and must not fill the pipe.
        thread::Builder::new().name("server output".into()).spawn(move || {
            drop(said.read_to_end(&mut Vec::new()));
        })?;
        Ok(())
    }

    /// What a worker is told of them.
    pub(crate) fn arguments(&self) -> ServedArguments {
        let entry = |(number, address): (u32, &SocketAddr)| ServerEntry {
            number: Some(number),
            address: address.to_string(),
        };
        let CredentialFiles { ca, certificate, key, .. } = self.throwaway.files(Role::Worker);
        let connect = ConnectArguments {
            servers: (0..).zip(&self.addresses).map(entry).collect(),
            ca: Some(ca),
            certificate: Some(certificate),
            key: Some(key),
            ..ConnectArguments::default()
        };
        ServedArguments { connect, ..ServedArguments::default() }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        for server in &mut self.servers {
            // The order to stop.
            drop(server.stdin.take());
        }
        let clock = Clock::start();
        for server in &mut self.servers {
            while clock.now().since(Instant::EPOCH) < STOP_MAX
                && matches!(server.try_wait(), Ok(None))
            {
                thread::park_timeout(Duration::from_millis(5));
            }
            // One that has ended is not hit: its number is not given away before it is waited for.
            drop(server.kill());
            drop(server.wait());
        }
    }
}
