//! What a run has measured, and what follows from it.

use archipelago_workloads::task::Kind;
use serde::Serialize;

use super::cell::{Cell, Policy};
use super::curve::Curve;
use super::measured::{Measured, Objective, ResultError, Sample, Traffic};
use super::paper::Figures;
use super::prices;
use super::variant::Variant;

/// The part of LAN-BSP's improvement at which runs are compared: [`RunResult::seconds`] is the
/// time to there.
pub const GOAL: f64 = 0.99;

/// What division may add to a ratio that is an aim's equal.
const ROUNDING: f64 = 1e-9;

/// What runs of one profile, workload, variant and seed are measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// The objective of LAN-BSP at the start and at the end.
    ends: (f64, f64),
    lan_seconds: f64,
    lan_ticks: u64,
    baseline_seconds: Option<f64>,
}

impl Reference {
    /// The measure that a run of LAN-BSP gives.
    ///
    /// # Errors
    /// Those of [`Measured::check`]; `NoImprovement`.
    pub fn new(cell: &Cell<'_>, lan: &Measured) -> Result<Self, ResultError> {
        lan.check(cell)?;
        let curve = Curve::of(lan);
        let (start, end) = (curve.start(), curve.end());
        let better = if lan.objective.rising { end - start } else { start - end };
        let mut reference = Self {
            ends: (start, end),
            lan_seconds: 0.0,
            lan_ticks: lan.ticks,
            baseline_seconds: None,
        };
        match curve.reaches(reference.goal(GOAL)) {
            Some((seconds, _)) if better > 0.0 && better.is_finite() => {
                reference.lan_seconds = seconds;
                Ok(reference)
            },
            _ => Err(ResultError::NoImprovement { cell: cell.to_string(), start, end }),
        }
    }

    /// Also the measure that a run of the baseline gives.
    #[must_use]
    pub fn with_baseline(self, baseline: &Measured) -> Self {
        let reached = Curve::of(baseline).reaches(self.goal(GOAL));
        Self { baseline_seconds: reached.map(|(seconds, _)| seconds), ..self }
    }

    /// The objective that is that part of the way from LAN-BSP's start to its end.
    pub fn goal(&self, part: f64) -> f64 {
        let (start, end) = self.ends;
        start + part * (end - start)
    }
}

/// One run as reported; its JSON form is relied upon by others. Floats that are not finite are
/// `null` there.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// The profile's name.
    pub profile: String,
    /// `mf`, `lda` or `image`.
    pub workload: &'static str,
    /// What is changed about the cell; `usual` when nothing is.
    pub variant: Variant,
    /// How the copies are kept together.
    pub policy: Policy,
    /// Virtual time to [`GOAL`] of LAN-BSP's improvement; `None` when that is never reached.
    pub seconds: Option<f64>,
    /// That over LAN-BSP's.
    pub ratio_to_lan: Option<f64>,
    /// The baseline's over that.
    pub speedup: Option<f64>,
    /// Bytes sent over the WAN by then; by the end when it is never reached.
    pub wan_bytes: u64,
    /// Share of all updates that was kept from being sent, 0 to 1.
    pub suppressed_share: Option<f64>,
    /// At the end of the run.
    pub objective: f64,
    /// How that stands to LAN-BSP's.
    pub final_objective: FinalObjective,
    /// What it costs up to that time; up to the end when it is never reached. Each site's share of
    /// the bytes is that of the whole run.
    pub dollars: f64,
    /// What names the run among others of its kind.
    pub seed: u64,
    /// What the model is judged by.
    pub judged_by: Objective,
    /// Times to three parts of LAN-BSP's improvement.
    pub seconds_to: SecondsTo,
    /// Up to its end.
    pub whole_run: WholeRun,
    /// Virtual time that a worker computes for in one tick, as calibrated.
    pub compute_seconds: f64,
    /// What a link can carry, beside what there is to carry.
    pub byte_budget: ByteBudget,
    /// What the paper has for this cell.
    pub paper: Option<Paper>,
    /// From the start to the end.
    pub samples: Vec<Sample>,
}

impl RunResult {
    /// Whether the time to compute follows from no figure of the paper.
    pub(super) fn is_uncalibrated(&self) -> bool {
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == self.workload);
        let figures = kind.and_then(|kind| Figures::of(&self.profile, kind));
        self.variant != Variant::HeldCompute && figures.is_none()
    }
}

/// How the objective at the end stands to that of LAN-BSP.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FinalObjective {
    /// LAN-BSP's at its end.
    pub lan: f64,
    /// By how much the run's own at its end is worse, as a share of the size of LAN-BSP's; below 0
    /// when it is better.
    pub worse_by: f64,
    /// The same of the run's own after as many ticks as LAN-BSP has made in all: all others but
    /// the baseline train a quarter longer.
    pub worse_by_at_same_ticks: f64,
}

impl FinalObjective {
    /// Largest share by which ASP may be worse.
    pub const WORSE_MAX: f64 = 0.01;

    fn new(measured: &Measured, curve: &Curve, reference: &Reference) -> Self {
        let lan = reference.goal(1.0);
        let sign = if measured.objective.rising { -1.0 } else { 1.0 };
        // Adding 0 makes a 0 of -0.
        let worse_by = |own: f64| sign * (own - lan) / lan.abs().max(f64::MIN_POSITIVE) + 0.0;
        let end = measured.samples.last().map_or(0.0, |sample| sample.seconds);
        let part = reference.lan_ticks as f64 / measured.ticks.max(1) as f64;
        Self {
            lan,
            worse_by: worse_by(curve.end()),
            worse_by_at_same_ticks: worse_by(curve.at(end * part)),
        }
    }
}

/// Virtual times to parts of LAN-BSP's improvement; `None` when they are never reached.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct SecondsTo {
    /// To 90 %.
    pub percent_90: Option<f64>,
    /// To 99 %.
    pub percent_99: Option<f64>,
    /// To 99.9 %.
    #[serde(rename = "percent_99.9")]
    pub percent_99_9: Option<f64>,
}

/// A run up to its end, whenever it got where.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct WholeRun {
    /// Virtual time.
    pub seconds: f64,
    /// Ticks that each worker has made.
    pub ticks: u64,
    /// Bytes over the WAN by class, of all sites.
    #[serde(flatten)]
    pub traffic: Traffic,
    /// What it costs.
    pub dollars: f64,
}

/// Whether the slowest link could carry the whole model in every tick.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ByteBudget {
    /// All values of the model.
    pub model_bytes: u64,
    /// The rate of the slowest link.
    pub slowest_megabits_per_second: f64,
    /// What it carries while a worker computes for one tick.
    pub bytes_per_tick: f64,
    /// That over the model's bytes: below 1, the model cannot be sent in every tick.
    pub models_per_tick: f64,
}

/// What the paper has for a cell, and what we aim at.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Paper {
    /// Of this policy.
    pub ratio_to_lan: f64,
    /// The largest ratio that we are content with; `None` for the baseline, by whose ratio the
    /// time to compute is calibrated.
    pub aim: Option<f64>,
    /// Whether the ratio is within the aim.
    pub verdict: Option<Verdict>,
    /// Share of updates kept from being sent; of ASP alone.
    pub suppressed_share: Option<f64>,
}

/// How a figure stands to an aim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Not above it.
    Met,
    /// Above it, or never reached.
    Missed,
}

impl Verdict {
    /// Of a ratio, `None` when it was never reached.
    pub fn of(ratio: Option<f64>, aim: f64) -> Self {
        let met = ratio.is_some_and(|ratio| ratio <= aim + ROUNDING);
        if met { Self::Met } else { Self::Missed }
    }

    /// As reports write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
        }
    }
}

impl RunResult {
    /// What follows from measurements, beside those of LAN-BSP and the baseline.
    ///
    /// # Errors
    /// Those of [`Measured::check`].
    pub fn new(
        cell: &Cell<'_>,
        measured: Measured,
        reference: &Reference,
    ) -> Result<Self, ResultError> {
        measured.check(cell)?;
        let curve = Curve::of(&measured);
        let time_to = |part| curve.reaches(reference.goal(part)).map(|(seconds, _)| seconds);
        let end_seconds = measured.samples.last().map_or(0.0, |sample| sample.seconds);
        let traffic = Traffic::sum(&measured.traffic);
        let reached = curve.reaches(reference.goal(GOAL));
        let (until, bytes) = reached.unwrap_or((end_seconds, traffic.bytes() as f64));
        let cost = |seconds: f64, bytes: f64| {
            let part = bytes / (traffic.bytes().max(1) as f64);
            let sent = measured.traffic.iter().map(|site| site.bytes() as f64 * part);
            prices::dollars(cell.profile, seconds, &sent.collect::<Vec<_>>())
        };
        let seconds = reached.map(|(seconds, _)| seconds);
        let ratio_to_lan = seconds.map(|seconds| seconds / reference.lan_seconds);
        Ok(Self {
            profile: cell.profile.name.clone(),
            workload: cell.workload.name(),
            variant: cell.variant,
            policy: cell.policy,
            seconds,
            ratio_to_lan,
            speedup: reference.baseline_seconds.zip(seconds).map(|(base, own)| base / own),
            wan_bytes: bytes.round() as u64,
            suppressed_share: measured.suppressed_share,
            objective: curve.end(),
            final_objective: FinalObjective::new(&measured, &curve, reference),
            dollars: cost(until, bytes),
            seed: cell.seed,
            seconds_to: SecondsTo {
                percent_90: time_to(0.9),
                percent_99: time_to(0.99),
                percent_99_9: time_to(0.999),
            },
            whole_run: WholeRun {
                seconds: end_seconds,
                ticks: measured.ticks,
                traffic,
                dollars: cost(end_seconds, traffic.bytes() as f64),
            },
            compute_seconds: measured.compute_seconds,
            byte_budget: ByteBudget::new(cell, &measured),
            paper: Paper::of(cell, ratio_to_lan),
            judged_by: measured.objective,
            samples: measured.samples,
        })
    }
}

impl ByteBudget {
    fn new(cell: &Cell<'_>, measured: &Measured) -> Self {
        let slowest = match cell.policy {
            Policy::Lan => cell.profile.local,
            _ => cell.profile.slowest(),
        };
        let bytes_per_tick = slowest.megabits_per_second * 1e6 / 8.0 * measured.compute_seconds;
        Self {
            model_bytes: measured.model_bytes,
            slowest_megabits_per_second: slowest.megabits_per_second,
            bytes_per_tick,
            models_per_tick: bytes_per_tick / measured.model_bytes as f64,
        }
    }
}

impl Paper {
    fn of(cell: &Cell<'_>, ratio_to_lan: Option<f64>) -> Option<Self> {
        let figures = cell.figures()?;
        match cell.policy {
            Policy::Asp => Some(Self {
                ratio_to_lan: figures.asp_ratio_to_lan,
                aim: Some(figures.aim),
                verdict: Some(Verdict::of(ratio_to_lan, figures.aim)),
                suppressed_share: Some(figures.suppressed_share),
            }),
            Policy::Baseline => Some(Self {
                ratio_to_lan: figures.baseline_slowdown,
                aim: None,
                verdict: None,
                suppressed_share: None,
            }),
            _ => None,
        }
    }
}
