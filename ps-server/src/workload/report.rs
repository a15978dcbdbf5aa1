//! Reports: a table for people, one JSON object per run for programs.

use std::io::Write;

use comfy_table::{CellAlignment, Table, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

use super::job::{Outcome, nats};
use crate::units::bytes;

/// One run as JSON. Names and forms are relied upon by others.
#[derive(Clone, Debug, Serialize)]
struct Line {
    model: &'static str,
    run: String,
    /// Rows trained on.
    rows: usize,
    rate: f64,
    policy: String,
    rule: String,
    workers: u32,
    /// 0: trained in this process.
    servers: usize,
    seconds: f64,
    ticks: u64,
    bytes_up: u64,
    bytes_down: u64,
    waits: u64,
    wait_seconds: f64,
    accuracy: f64,
    /// `null` when it is not finite.
    log_loss: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    auc: Option<f64>,
    /// Of the trained values: 32 hexadecimal digits.
    digest: String,
}

impl From<&Outcome> for Line {
    fn from(outcome: &Outcome) -> Self {
        Self {
            model: outcome.model,
            run: outcome.run.clone(),
            rows: outcome.rows,
            rate: outcome.rate,
            policy: outcome.local.clone(),
            rule: outcome.rule.clone(),
            workers: outcome.workers,
            servers: outcome.servers,
            seconds: outcome.seconds,
            ticks: outcome.ticks,
            bytes_up: outcome.counted.bytes_up,
            bytes_down: outcome.counted.bytes_down,
            waits: outcome.counted.waits,
            wait_seconds: outcome.counted.waited.as_secs_f64(),
            accuracy: outcome.scores.accuracy,
            log_loss: outcome.scores.log_loss,
            auc: outcome.scores.auc,
            digest: format!("{:032x}", outcome.digest),
        }
    }
}

/// Writes one JSON object on a line of its own.
pub(crate) fn json(out: &mut dyn Write, outcome: &Outcome) -> anyhow::Result<()> {
    serde_json::to_writer(&mut *out, &Line::from(outcome))?;
    writeln!(out)?;
    Ok(())
}

/// Writes a table of runs.
pub(crate) fn table(out: &mut dyn Write, outcomes: &[Outcome]) -> anyhow::Result<()> {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY);
    let with_auc = outcomes.iter().any(|outcome| outcome.scores.auc.is_some());
    let mut header = vec!["policy", "time", "up", "down", "waits", "waited", "accuracy"];
    header.extend(["log-loss"].into_iter().chain(with_auc.then_some("AUC")));
    table.set_header(header);
    for outcome in outcomes {
        let line = Line::from(outcome);
        let mut row = vec![
            line.policy,
            format!("{:.2} s", line.seconds),
            bytes(line.bytes_up),
            bytes(line.bytes_down),
            line.waits.to_string(),
            format!("{:.2} s", line.wait_seconds),
            format!("{:.4}", line.accuracy),
            nats(line.log_loss),
        ];
        row.extend(with_auc.then(|| line.auc.map_or("-".into(), |auc| format!("{auc:.4}"))));
        table.add_row(row);
    }
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    let served = outcomes.iter().any(|outcome| outcome.servers > 0);
    writeln!(out, "{}", if served { SERVED_LEGEND } else { LEGEND })?;
    Ok(())
}

/// What the columns mean.
const LEGEND: &str = "\
time: training alone, without loading and scoring. waited: summed over workers.
up, down: what all requests and answers would take on the wire, as encoded.";

/// What they mean against servers.
const SERVED_LEGEND: &str = "\
time: training alone, without loading and scoring, from when the workers of this process have
joined. waits, waited: when servers let a worker wait, summed over the workers of this process.
up, down: bytes of UDP payload of this process, as counted at the socket.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absurd_losses_are_short() {
        let losses = [0.25, 9999.0, 1e4, 3e38, f64::INFINITY, f64::NAN].map(nats);
        assert_eq!(losses, ["0.2500", "9999.0000", "1.0e4", "3.0e38", "inf", "NaN"]);
    }
}
