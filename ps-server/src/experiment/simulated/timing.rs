//! How long ticks last, and how long workers have to compute for that to be as in the paper.

use super::super::cell::{Cell, Policy};
use super::super::result::{Measured, Sample, Traffic};
use super::layout::Layout;
use super::training::run;
use super::workload::Workload;

/// The ticks of a cell's LAN-BSP and baseline, and the time to compute.
#[derive(Clone, Copy, Debug)]
pub(super) struct Calibrated {
    pub(super) flop_nanoseconds: f64,
    /// What a worker computes for in a tick.
    pub(super) compute_seconds: f64,
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

/// Ticks that are timed, behind as many that are not: connections and groups have to form.
const TIMED: u64 = 8;

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
pub(super) fn calibrate(cell: &Cell<'_>, work: &Workload) -> anyhow::Result<Calibrated> {
    let timed = |nanoseconds: f64| -> anyhow::Result<Calibrated> {
        let work = work.computing(nanoseconds);
        let of = |policy| tick(&Cell { policy, ..*cell }, &work);
        let (lan, baseline) = (of(Policy::Lan)?, of(Policy::Baseline)?);
        Ok(Calibrated { flop_nanoseconds: nanoseconds, compute_seconds: 0.0, lan, baseline })
    };
    let (free, slow) = (timed(0.0)?, timed(SLOW_NANOSECONDS)?);
    let per_nanosecond = (slow.lan.seconds - free.lan.seconds) / SLOW_NANOSECONDS;
    let Some(figures) = cell.figures() else {
        return Ok(Calibrated { compute_seconds: per_nanosecond, ..timed(1.0)? });
    };
    // (baseline + more) = slowdown (lan + more), once more where the first step has led.
    let (mut found, mut nanoseconds) = (free, 0.0_f64);
    for _ in 0..2 {
        let slowdown = figures.baseline_slowdown;
        let more = (found.baseline.seconds - slowdown * found.lan.seconds) / (slowdown - 1.0);
        nanoseconds = (nanoseconds + more / per_nanosecond).max(0.0);
        found = timed(nanoseconds)?;
    }
    Ok(Calibrated { compute_seconds: nanoseconds * per_nanosecond, ..found })
}

/// The mean tick of a short run.
fn tick(cell: &Cell<'_>, work: &Workload) -> anyhow::Result<Tick> {
    let layout = Layout::of(cell);
    let ended = |ticks: u64| -> anyhow::Result<(f64, Traffic)> {
        let outcome = run(cell, &layout, &work.iterations(ticks), None)?;
        Ok((outcome.ended.0 as f64 / 1e9, outcome.sent_abroad(None).into()))
    };
    let ((early, before), (late, after)) = (ended(TIMED)?, ended(2 * TIMED)?);
    let mean = |early: u64, late: u64| (late as f64 - early as f64) / TIMED as f64;
    Ok(Tick {
        seconds: (late - early) / TIMED as f64,
        control_bytes: mean(before.control_bytes, after.control_bytes),
        data_bytes: mean(before.data_bytes, after.data_bytes),
    })
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
    let (samples, compute_seconds) = (samples.collect(), calibrated.compute_seconds);
    Measured { samples, compute_seconds, ..lan.clone() }
}
