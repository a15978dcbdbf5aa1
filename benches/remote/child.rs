//! Processes of their own: this program started again, in another role.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use archipelago::transport::Role as Certified;

use crate::authority::{Authority, Request};
use crate::race::Outcome;
use crate::{bare, latency, store};

const FLAG: &str = "--remote-child";

/// What a child is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// A server of the store.
    Store,
    /// A server of bare streams.
    Bare,
    /// The rows of latency, in a process tied to one core.
    Latency { smoke: bool },
}

const ROLES: [(&str, Role); 4] = [
    ("store", Role::Store),
    ("bare", Role::Bare),
    ("latency", Role::Latency { smoke: false }),
    ("latency-smoke", Role::Latency { smoke: true }),
];

/// The role that this process was started in, if it was by [`Process::start`].
pub(crate) fn role(words: &mut impl Iterator<Item = String>) -> Option<Role> {
    (words.next()? == FLAG).then_some(())?;
    let name = words.next()?;
    ROLES.into_iter().find(|(known, _)| *known == name).map(|(_, role)| role)
}

impl Role {
    /// The child's life: a server tells its port, and ends when its standard input does.
    pub(crate) fn play(self) -> Outcome {
        if let Self::Latency { smoke } = self {
            return latency::measure(smoke);
        }
        let mut input = std::io::stdin().lock();
        let texts = [text(&mut input)?, text(&mut input)?, text(&mut input)?];
        let texts = texts.each_ref().map(String::as_str);
        match self {
            Self::Bare => bare::serve(texts, tell, input),
            _ => {
                let server = store::serve(texts)?;
                tell(server.address())?;
                wait_for_end(input)
            },
        }
    }

    /// The command that starts a process in this role.
    pub(crate) fn command(self) -> Outcome<Command> {
        let name = ROLES.into_iter().find(|(_, role)| *role == self).map(|(name, _)| name);
        let mut command = Command::new(std::env::current_exe()?);
        command.args([FLAG, name.unwrap_or_default()]);
        Ok(command)
    }
}

fn tell(address: SocketAddr) -> Outcome {
    println!("{address}");
    Ok(std::io::stdout().flush()?)
}

/// Until the parent is gone, or has enough.
pub(crate) fn wait_for_end(mut input: impl Read) -> Outcome {
    std::io::copy(&mut input, &mut std::io::sink())?;
    Ok(())
}

/// A server process. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Process {
    /// Starts one with a certificate of the authority.
    pub(crate) fn start(role: Role, authority: &Authority) -> Outcome<Self> {
        let mut child = role.command()?.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (certificate, key) = authority.issue(&Request::new(Certified::Server, "test"));
        let mut input = child.stdin.take().ok_or("a child without standard input")?;
        for text in [&authority.pem(), &certificate, &key] {
            writeln!(input, "{}", text.len())?;
            input.write_all(text.as_bytes())?;
        }
        input.flush()?;
        child.stdin = Some(input);
        let mut line = String::new();
        let output = child.stdout.take().ok_or("a child without standard output")?;
        BufReader::new(output).read_line(&mut line)?;
        Ok(Self { address: line.trim().parse()?, child })
    }

    /// Bytes of the process in memory: now, and at most so far.
    pub(crate) fn memory(&self) -> Outcome<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            Some(line.split_whitespace().next()?.parse::<u64>().ok()? << 10)
        };
        let found = field("VmRSS:").zip(field("VmHWM:"));
        found.ok_or_else(|| "the status of a process lacks its memory".into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Who has ended by itself cannot be told to.
        drop(self.child.wait());
    }
}

/// A text behind its length.
fn text(input: &mut impl BufRead) -> Outcome<String> {
    let mut line = String::new();
    input.read_line(&mut line)?;
    let mut bytes = vec![0; line.trim().parse()?];
    input.read_exact(&mut bytes)?;
    Ok(String::from_utf8(bytes)?)
}
