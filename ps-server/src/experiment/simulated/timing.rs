//! How long ticks last, and how long workers have to compute for that to be as in the paper.

use super::super::cell::{Cell, Policy};
use super::super::measured::{Measured, Sample, Traffic};
use super::layout::Layout;
use super::training::run;
use super::workload::Workload;

/// The time to compute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Computing {
    pub(super) flop_nanoseconds: f64,
    /// What a worker computes for in a tick.
    pub(super) seconds: f64,
}

impl Computing {
    /// So many times as long.
    pub(super) fn scaled(self, factor: f64) -> Self {
        let (flop_nanoseconds, seconds) = (self.flop_nanoseconds * factor, self.seconds * factor);
        Self { flop_nanoseconds, seconds }
    }
}

/// The ticks of a cell's LAN-BSP and baseline, and the time to compute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calibrated {
    pub(super) computing: Computing,
    pub(super) lan: Tick,
    pub(super) baseline: Tick,
}

/// One tick, on average.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tick {
    pub(super) seconds: f64,
    pub(super) control_bytes: f64,
    pub(super) data_bytes: f64,
}

/// Nanoseconds of an operation by which ticks take much longer than messages, whose jitter then
/// is nothing.
const SLOW_NANOSECONDS: f64 = 1e6;

/// Ticks before those that are timed: connections and groups have to form.
const BEFORE: u64 = 8;
/// Ticks that are timed to calibrate.
const FEW: u64 = 8;
/// Ticks that are timed for results: batches differ.
const MANY: u64 = 40;

impl Calibrated {
    /// About how long a tick will last.
    pub(super) fn expected_tick(&self, policy: Policy) -> f64 {
        match policy {
            Policy::Baseline | Policy::Ssp | Policy::Eventual => self.baseline.seconds,
            _ => self.lan.seconds,
        }
    }
}

/// Finds the time to compute at which the baseline is slower than LAN-BSP by the paper's factor;
/// without such a factor the machine's own.
pub(super) fn calibrate(cell: &Cell<'_>, work: &Workload) -> anyhow::Result<Computing> {
    let ticks = |nanoseconds: f64| -> anyhow::Result<[f64; 2]> {
        let [lan, baseline] = both(cell, work, nanoseconds, FEW)?;
        Ok([lan.seconds, baseline.seconds])
    };
    let (free, slow) = (ticks(0.0)?, ticks(SLOW_NANOSECONDS)?);
    let per_nanosecond = (slow[0] - free[0]) / SLOW_NANOSECONDS;
    let mut nanoseconds = 0.0_f64;
    let Some(figures) = cell.figures() else {
        return Ok(Computing { flop_nanoseconds: 1.0, seconds: per_nanosecond });
    };
    // (baseline + more) = slowdown (lan + more), once more where the first step has led.
    let mut found = free;
    for step in 0..2 {
        if step > 0 {
            found = ticks(nanoseconds)?;
        }
        let slowdown = figures.baseline_slowdown;
        let more = (found[1] - slowdown * found[0]) / (slowdown - 1.0);
        nanoseconds = (nanoseconds + more / per_nanosecond).max(0.0);
    }
    Ok(Computing { flop_nanoseconds: nanoseconds, seconds: nanoseconds * per_nanosecond })
}

/// Times the ticks of a cell.
pub(super) fn timed(
    cell: &Cell<'_>,
    work: &Workload,
    computing: Computing,
) -> anyhow::Result<Calibrated> {
    let [lan, baseline] = both(cell, work, computing.flop_nanoseconds, MANY)?;
    Ok(Calibrated { computing, lan, baseline })
}

/// The mean ticks of short runs of LAN-BSP and of the baseline.
fn both(
    cell: &Cell<'_>,
    work: &Workload,
    flop_nanoseconds: f64,
    timed: u64,
) -> anyhow::Result<[Tick; 2]> {
    let short = work.paced(flop_nanoseconds, BEFORE);
    let long = work.paced(flop_nanoseconds, BEFORE + timed);
    let of = |policy| -> anyhow::Result<Tick> {
        let (early, before) = ended(&Cell { policy, ..*cell }, &short)?;
        let (late, after) = ended(&Cell { policy, ..*cell }, &long)?;
        let mean = |early: u64, late: u64| (late as f64 - early as f64) / timed as f64;
        Ok(Tick {
            seconds: (late - early) / timed as f64,
            control_bytes: mean(before.control_bytes, after.control_bytes),
            data_bytes: mean(before.data_bytes, after.data_bytes),
        })
    };
    Ok([of(Policy::Lan)?, of(Policy::Baseline)?])
}

/// When a run has ended, and what it has sent by then.
fn ended(cell: &Cell<'_>, work: &Workload) -> anyhow::Result<(f64, Traffic)> {
    let outcome = run(cell, &Layout::of(cell), work, None)?;
    Ok((outcome.ended.0 as f64 / 1e9, outcome.sent_abroad(None).into()))
}

/// A run of LAN-BSP with ticks of the baseline: the same ticks of both were timed.
pub(super) fn stretched(lan: &Measured, calibrated: &Calibrated, sites: usize) -> Measured {
    let tick = calibrated.baseline;
    let ratio = tick.seconds / calibrated.lan.seconds;
    let end = lan.samples.last().map_or(0.0, |sample| sample.seconds * ratio);
    let ticks = |seconds: f64| if end > 0.0 { seconds / end * lan.ticks as f64 } else { 0.0 };
    // All sites send alike: each has as many servers and workers.
    let of_site = |per_tick: f64| (per_tick * lan.ticks as f64 / sites as f64) as u64;
    let traffic = Traffic {
        control_bytes: of_site(tick.control_bytes),
        data_bytes: of_site(tick.data_bytes),
    };
    let all = traffic.bytes() * sites as u64;
    let samples = lan.samples.iter().map(|sample| {
        let seconds = sample.seconds * ratio;
        let sent = ticks(seconds) * (tick.control_bytes + tick.data_bytes);
        Sample { seconds, wan_bytes: (sent as u64).min(all), ..*sample }
    });
    let mut samples: Vec<_> = samples.collect();
    if let Some(last) = samples.last_mut() {
        last.wan_bytes = all;
    }
    Measured { samples, traffic: vec![traffic; sites], ..lan.clone() }
}

/// A run of LAN-BSP with another time to compute: the links of another profile.
pub(super) fn computing(lan: &Measured, held: &Calibrated, calibrated: &Calibrated) -> Measured {
    let ratio = calibrated.lan.seconds / held.lan.seconds;
    let samples = lan.samples.iter();
    let samples = samples.map(|sample| Sample { seconds: sample.seconds * ratio, ..*sample });
    let (samples, compute_seconds) = (samples.collect(), calibrated.computing.seconds);
    Measured { samples, compute_seconds, ..lan.clone() }
}
