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
    let (free, one) = (timed(0.0)?, timed(1.0)?);
    let per_nanosecond = one.lan.seconds - free.lan.seconds;
    let nanoseconds = match cell.figures() {
        None => 1.0,
        Some(figures) => {
            let slowdown = figures.baseline_slowdown;
            // (baseline + c) = slowdown (lan + c), where c is the time to compute.
            let compute = (free.baseline.seconds - slowdown * free.lan.seconds) / (slowdown - 1.0);
            (compute / per_nanosecond).max(0.0)
        },
    };
    let found = timed(nanoseconds)?;
    Ok(Calibrated { compute_seconds: nanoseconds * per_nanosecond, ..found })
}

/// The mean tick of a short run.
fn tick(cell: &Cell<'_>, work: &Workload) -> anyhow::Result<Tick> {
    let layout = Layout::of(cell);
    let ended = |ticks: u64| -> anyhow::Result<(f64, Traffic)> {
        let outcome = run(cell, &layout, &work.short(ticks), None)?;
        let abroad = outcome.site_traffic.iter().filter(|((from, to), _)| from != to);
        let sent = abroad.fold(Traffic::default(), |sum, (_, more)| Traffic {
            control_bytes: sum.control_bytes + more.control_bytes,
            data_bytes: sum.data_bytes + more.data_bytes,
        });
        Ok((outcome.ended.0 as f64 / 1e9, sent))
    };
    let ((early, before), (late, after)) = (ended(TIMED)?, ended(2 * TIMED)?);
    let mean = |early: u64, late: u64| (late as f64 - early as f64) / TIMED as f64;
    Ok(Tick {
        seconds: (late - early) / TIMED as f64,
        control_bytes: mean(before.control_bytes, after.control_bytes),
        data_bytes: mean(before.data_bytes, after.data_bytes),
    })
}

/// A run of LAN-BSP whose ticks lasted `held` seconds, with ticks like these instead.
pub(super) fn stretched(
    lan: &Measured,
    tick: Tick,
    held: f64,
    calibrated: &Calibrated,
    sites: usize,
) -> Measured {
    let ratio = tick.seconds / held;
    let bytes = |seconds: f64, per_tick: f64| (seconds / tick.seconds * per_tick) as u64;
    let samples = lan.samples.iter().map(|sample| {
        let seconds = sample.seconds * ratio;
        let wan_bytes = bytes(seconds, tick.control_bytes + tick.data_bytes);
        Sample { seconds, wan_bytes, ..*sample }
    });
    let samples: Vec<_> = samples.collect();
    let end = samples.last().map_or(0.0, |sample| sample.seconds);
    // All sites send alike: each has as many servers and workers.
    let of_site = Traffic {
        control_bytes: bytes(end, tick.control_bytes) / sites as u64,
        data_bytes: bytes(end, tick.data_bytes) / sites as u64,
    };
    Measured {
        samples,
        traffic: vec![of_site; sites],
        compute_seconds: calibrated.compute_seconds,
        ..lan.clone()
    }
}
