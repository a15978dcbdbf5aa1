//! `status`: asks servers how they stand, over the HTTP address of their metrics.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};

use anyhow::{Context, anyhow, bail, ensure};
use archipelago::time::Duration;
use clap::Args;
use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};

use crate::serve::{CopyHealth, DataCentreHealth, Health, MirrorHealth};
use crate::units::{bytes, seconds};

/// How long a server may take to answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);
/// An answer with every table that a server can have.
const ANSWER_BYTES_MAX: u64 = 16 << 20;

/// Options of `status`.
#[derive(Clone, Debug, Args)]
#[command(after_help = NOTES)]
pub struct StatusArguments {
    /// Addresses that servers were given with --metrics.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    #[arg(default_value = "127.0.0.1:7180")]
    pub metrics: Vec<String>,
    /// Print one JSON object per server instead of tables.
    #[arg(long)]
    pub json: bool,
}

const NOTES: &str = "\
Example, of two servers:
  ps-server status --metrics 127.0.0.1:7180,127.0.0.1:7181";

/// Asks all, shows what they say, and fails when one does not answer.
pub(crate) fn run(arguments: &StatusArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    let ask = |address: &String| (address.clone(), ask(address));
    let answers: Vec<_> = arguments.metrics.iter().map(ask).collect();
    if arguments.json {
        for (address, answer) in &answers {
            json(out, address, answer)?;
        }
    } else {
        tables(out, &answers)?;
    }
    let silent: Vec<_> = answers.iter().filter_map(|(_, answer)| answer.as_ref().err()).collect();
    let problems: Vec<_> = silent.iter().map(|error| format!("{error:#}")).collect();
    ensure!(problems.is_empty(), "{}", problems.join("; "));
    Ok(())
}

type Answer = (String, anyhow::Result<Health>);

fn json(out: &mut dyn Write, address: &str, answer: &anyhow::Result<Health>) -> anyhow::Result<()> {
    let mut object = match answer {
        Ok(health) => serde_json::to_value(health)?,
        Err(error) => serde_json::json!({ "problem": format!("{error:#}") }),
    };
    object["metrics"] = address.into();
    object["healthy"] = answer.is_ok().into();
    writeln!(out, "{object}")?;
    Ok(())
}

fn tables(out: &mut dyn Write, answers: &[Answer]) -> anyhow::Result<()> {
    let mut servers =
        table(["server", "address", "up", "other servers", "workers", "sent", "received"]);
    let mut shards =
        table(["table", "server", "pushes", "pulls", "rounds", "round", "waits", "memory"]);
    let mut groups = table(["group", "server", "workers", "tick", "slowest"]);
    let mut waits = table(["waits for", "server", "now", "longest", "ended", "waited"]);
    let mut ways =
        table(["data centre", "server", "servers", "round trip", "rate", "to be confirmed"]);
    let mut copies = table([
        "copy of",
        "server",
        "in",
        "standing",
        "tick",
        "tick here",
        "told",
        "taken",
        "equal",
    ]);
    for (address, answer) in answers {
        let Ok(health) = answer else {
            servers.add_row(["?", address, "no answer"]);
            continue;
        };
        servers.add_row([
            health.server.to_string(),
            health.address.clone(),
            format!("{:.0} s", health.uptime_seconds),
            format!("{} of {}", health.links_to_servers, health.servers_expected),
            health.links_to_workers.to_string(),
            bytes(health.sent_bytes),
            bytes(health.received_bytes),
        ]);
        for part in &health.tables {
            shards.add_row([
                part.table.clone(),
                health.server.to_string(),
                part.pushes.to_string(),
                part.pulls.to_string(),
                part.rounds.to_string(),
                part.round_seconds.map_or(String::new(), seconds),
                part.waits.to_string(),
                bytes(part.memory_bytes),
            ]);
        }
        add_groups(&mut groups, health);
        add_waits(&mut waits, health);
        for of in &health.data_centres {
            add_way(&mut ways, health, of);
            of.copies.iter().for_each(|copy| add_copy(&mut copies, health, &of.data_centre, copy));
        }
    }
    for table in [&servers, &shards, &groups, &waits, &ways, &copies] {
        if table.row_count() > 0 {
            writeln!(out, "{table}")?;
        }
    }
    Ok(())
}

/// Who is slow.
fn add_groups(groups: &mut Table, health: &Health) {
    for group in &health.groups {
        let slowest = match group.lag_ticks {
            0 => "nobody is behind".into(),
            lag => format!("worker {}, {lag} behind", group.slowest_rank),
        };
        groups.add_row([
            group.group.clone(),
            health.server.to_string(),
            format!("{} of {}", group.members, group.size),
            group.tick.to_string(),
            slowest,
        ]);
    }
}

/// What everybody waits for.
fn add_waits(waits: &mut Table, health: &Health) {
    for wait in &health.waits {
        let mut what = wait.reason.replace('_', " ");
        if let Some(first) = health.awaited.first().filter(|_| wait.reason == "member_tick") {
            what = format!("tick {} of worker {} of {}", first.tick, first.rank, first.group);
        }
        if let Some(data_centre) = &wait.data_centre {
            what = format!("{what} of {data_centre}");
        }
        waits.add_row([
            what,
            health.server.to_string(),
            wait.now.to_string(),
            seconds(wait.longest_seconds),
            wait.ended.to_string(),
            seconds(wait.waited_seconds),
        ]);
    }
}

/// How another data centre is reached.
fn add_way(ways: &mut Table, health: &Health, of: &DataCentreHealth) {
    let connected = of.servers.iter().filter(|way| way.connected).count();
    let slowest = of.servers.iter().filter_map(|way| way.round_trip_seconds).fold(None, f64_max);
    let rates = of.servers.iter().filter_map(|way| way.bytes_per_second);
    let rate = rates.fold(None, |sum: Option<f64>, rate| Some(sum.unwrap_or_default() + rate));
    ways.add_row([
        of.data_centre.clone(),
        health.server.to_string(),
        format!("{connected} of {}", of.servers.len()),
        slowest.map_or(String::new(), seconds),
        rate.map_or(String::new(), |rate| format!("{}/s", bytes(rate as u64))),
        bytes(of.servers.iter().map(|way| way.queued_bytes).sum()),
    ]);
}

fn f64_max(most: Option<f64>, value: f64) -> Option<f64> {
    Some(most.map_or(value, |most| most.max(value)))
}

/// How far a copy elsewhere is.
fn add_copy(copies: &mut Table, health: &Health, data_centre: &str, copy: &CopyHealth) {
    let here = health.tables.iter().find(|table| table.table == copy.table);
    let Some(mirror) = here.and_then(|table| table.mirror.as_ref()) else { return };
    copies.add_row([
        copy.table.clone(),
        health.server.to_string(),
        data_centre.to_owned(),
        copy.standing.clone(),
        copy.tick.map_or("ended".into(), |tick| tick.to_string()),
        mirror.tick.to_string(),
        mirror.updates_told.to_string(),
        mirror.updates_taken.to_string(),
        equal(mirror, &copy.standing).into(),
    ]);
}

/// Copies that count are compared; what another one holds nobody knows.
fn equal(mirror: &MirrorHealth, standing: &str) -> &'static str {
    match (mirror.equal, standing) {
        (true, "counts") => "yes",
        (true, _) => "unknown",
        (false, _) if mirror.too_large_slots > 0 => "too large",
        (false, _) => "not yet",
    }
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    table.set_header(header);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// One server's answer.
fn ask(address: &str) -> anyhow::Result<Health> {
    let body = get(address, "/healthz").with_context(|| format!("no answer from {address}"))?;
    serde_json::from_str(&body).with_context(|| format!("{address} is no server of this version"))
}

/// The body of a page.
fn get(address: &str, path: &str) -> anyhow::Result<String> {
    let place = "it has to be the address that a running server was given with --metrics";
    let resolved = address.to_socket_addrs().context(place)?.next();
    let resolved = resolved.ok_or_else(|| anyhow!("no such host")).context(place)?;
    let mut stream = TcpStream::connect_timeout(&resolved, ANSWER_MAX).context(place)?;
    stream.set_read_timeout(Some(ANSWER_MAX))?;
    stream.set_write_timeout(Some(ANSWER_MAX))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer).map_err(unread)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("not HTTP")?;
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        bail!("{status}: {}", body.trim());
    }
    Ok(body.to_owned())
}

/// A read that met its deadline is no more than a strange error of the system's.
fn unread(error: io::Error) -> anyhow::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => anyhow!(
            "it listens, and has said nothing for {ANSWER_MAX:?}: it is stopped or overloaded, or \
             no server"
        ),
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_called_equal_only_where_they_were_compared() {
        let mirror = |equal, too_large_slots| MirrorHealth {
            tick: 1,
            updates_told: 0,
            updates_taken: 0,
            barriers: 0,
            queued_bytes: 0,
            too_large_slots,
            equal,
        };
        let said = |standing| [true, false].map(|it| equal(&mirror(it, 0), standing));
        assert_eq!(said("counts"), ["yes", "not yet"]);
        assert_eq!(said("lost"), ["unknown", "not yet"]);
        assert_eq!(said("behind"), ["unknown", "not yet"]);
        assert_eq!(equal(&mirror(false, 1), "counts"), "too large");
    }

    #[test]
    fn who_says_nothing_is_told_from_who_is_not_there() {
        let silent = unread(io::Error::from(ErrorKind::WouldBlock)).to_string();
        assert!(silent.contains("has said nothing for 5s"), "{silent}");
        let absent = format!("{:#}", ask("127.0.0.1:1").unwrap_err());
        assert!(absent.starts_with("no answer from 127.0.0.1:1: it has to be the"), "{absent}");
    }
}
