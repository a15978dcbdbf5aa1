//! What a run has measured, and what follows from it.

use serde::Serialize;

use super::cell::{Cell, Policy};
use super::prices;

/// The part of LAN-BSP's improvement at which runs are compared: [`RunResult::seconds`] is the
/// time to there.
pub const GOAL: f64 = 0.99;

/// What division may add to a ratio that is an aim's equal.
const ROUNDING: f64 = 1e-9;

/// What one run has measured, in virtual time: what [`Runs`](super::Runs) gives back.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What the model is judged by.
    pub objective: Objective,
    /// From the start, at 0 seconds, to the end; times never go back. At least one.
    pub samples: Vec<Sample>,
    /// What each site has sent over the WAN in the whole run, in the order of the profile's sites;
    /// nothing under [`Policy::Lan`].
    pub traffic: Vec<Traffic>,
    /// Share of all updates that was kept from being sent, 0 to 1; `None` without a filter.
    pub suppressed_share: Option<f64>,
    /// Ticks that each worker has made.
    pub ticks: u64,
    /// Virtual time that a worker computes for in one tick, as calibrated.
    pub compute_seconds: f64,
    /// All values of the model.
    pub model_bytes: u64,
}

/// What a model is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objective {
    /// What it is.
    pub name: String,
    /// Whether more is better.
    pub rising: bool,
}

/// How a run stands at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Virtual seconds since the start.
    pub seconds: f64,
    /// The objective; not finite when training has diverged.
    pub objective: f64,
    /// Bytes sent over the WAN so far, by all sites: never less than before, nor more than the
    /// whole run's traffic.
    pub wan_bytes: u64,
    /// The largest distance of a site's copy from the mean of all copies, over the length of the
    /// mean; `None` where there is one copy.
    pub divergence: Option<f64>,
    /// Ticks of the furthest site that the site furthest behind has not seen yet; `None` where
    /// there is one copy.
    pub staleness: Option<f64>,
}

/// Bytes that a site has sent over the WAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Clocks, barriers, requests, acknowledgements.
    pub control_bytes: u64,
    /// Values.
    pub data_bytes: u64,
}

impl From<archipelago::sim::Traffic> for Traffic {
    fn from(sent: archipelago::sim::Traffic) -> Self {
        Self { control_bytes: sent.control_bytes, data_bytes: sent.data_bytes }
    }
}

impl Traffic {
    /// Both.
    pub fn bytes(self) -> u64 {
        self.control_bytes + self.data_bytes
    }

    fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, one| Self {
            control_bytes: sum.control_bytes + one.control_bytes,
            data_bytes: sum.data_bytes + one.data_bytes,
        })
    }
}

/// The measurements of a run cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// Nothing was measured.
    #[error("{cell}: no sample was taken: a run has at least one, at its start")]
    Empty {
        /// Which run.
        cell: String,
    },
    /// Time went back, or is no time.
    #[error("{cell}: sample {sample} is at {seconds} s: times are finite and never go back")]
    Time {
        /// Which run.
        cell: String,
        /// Which sample, from 0.
        sample: usize,
        /// Its time.
        seconds: f64,
    },
    /// Traffic of other sites.
    #[error("{cell}: traffic of {found} sites: expected that of {expected}")]
    Sites {
        /// Which run.
        cell: String,
        /// Sites of the profile.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// Bytes that were unsent, or that no site has sent.
    #[error(
        "{cell}: sample {sample} has {found} bytes over the WAN: expected {least} to {most}, what \
         was sent before and what all sites have sent in the whole run"
    )]
    Bytes {
        /// Which run.
        cell: String,
        /// Which sample, from 0.
        sample: usize,
        /// Its bytes.
        found: u64,
        /// Those of the sample before it.
        least: u64,
        /// Those of all sites.
        most: u64,
    },
    /// A share that is none.
    #[error("{cell}: {found} of all updates were not sent: expected a share from 0 to 1")]
    Share {
        /// Which run.
        cell: String,
        /// What was found.
        found: f64,
    },
    /// The measure of all others has learned nothing.
    #[error(
        "{cell}: the objective went from {start} to {end}, which is no improvement: there is \
         nothing to compare others with"
    )]
    NoImprovement {
        /// Which run.
        cell: String,
        /// At the start.
        start: f64,
        /// At the end.
        end: f64,
    },
    /// There is nothing to compare with.
    #[error("{cell}: LAN-BSP of the same workload and seed has to be run before")]
    NoReference {
        /// Which run.
        cell: String,
    },
}

impl Measured {
    /// Whether the measurements are those of that cell, in good order.
    ///
    /// # Errors
    /// `Empty`, `Time`, `Sites`, `Bytes`, `Share`.
    pub fn check(&self, cell: &Cell<'_>) -> Result<(), ResultError> {
        let cell_name = || cell.to_string();
        if self.samples.is_empty() {
            return Err(ResultError::Empty { cell: cell_name() });
        }
        let mut before = 0.0;
        for (sample, Sample { seconds, .. }) in self.samples.iter().enumerate() {
            if !seconds.is_finite() || *seconds < before {
                return Err(ResultError::Time { cell: cell_name(), sample, seconds: *seconds });
            }
            before = *seconds;
        }
        let (expected, found) = (cell.profile.sites.len(), self.traffic.len());
        if expected != found {
            return Err(ResultError::Sites { cell: cell_name(), expected, found });
        }
        let (mut least, most) = (0, Traffic::sum(&self.traffic).bytes());
        for (sample, Sample { wan_bytes: found, .. }) in self.samples.iter().enumerate() {
            if !(least..=most).contains(found) {
                let (cell, found) = (cell_name(), *found);
                return Err(ResultError::Bytes { cell, sample, found, least, most });
            }
            least = *found;
        }
        match self.suppressed_share {
            Some(found) if !(0.0..=1.0).contains(&found) => {
                Err(ResultError::Share { cell: cell_name(), found })
            },
            _ => Ok(()),
        }
    }

    /// When the objective first is as good as `goal`, between two samples in proportion, and the
    /// bytes sent by then; `None` when it never is.
    pub fn reaches(&self, goal: f64) -> Option<(f64, f64)> {
        let good = |sample: &Sample| match self.objective.rising {
            true => sample.objective >= goal,
            false => sample.objective <= goal,
        };
        let at = self.samples.iter().position(good)?;
        let after = self.samples[at];
        let Some(before) = at.checked_sub(1).map(|before| self.samples[before]) else {
            return Some((after.seconds, after.wan_bytes as f64));
        };
        let way = (goal - before.objective) / (after.objective - before.objective);
        // A sample before that is not finite says nothing of the way.
        let way = if way.is_finite() { way.clamp(0.0, 1.0) } else { 1.0 };
        let between = |from: f64, to: f64| from + way * (to - from);
        Some((
            between(before.seconds, after.seconds),
            between(before.wan_bytes as f64, after.wan_bytes as f64),
        ))
    }
}

/// What runs of one profile, workload and seed are measured by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reference {
    /// The objective of LAN-BSP at the start and at the end.
    ends: (f64, f64),
    lan_seconds: f64,
    baseline_seconds: Option<f64>,
}

impl Reference {
    /// The measure that a run of LAN-BSP gives.
    ///
    /// # Errors
    /// Those of [`Measured::check`]; `NoImprovement`.
    pub fn new(cell: &Cell<'_>, lan: &Measured) -> Result<Self, ResultError> {
        lan.check(cell)?;
        let objective = |sample: Option<&Sample>| sample.map_or(f64::NAN, |held| held.objective);
        let (start, end) = (objective(lan.samples.first()), objective(lan.samples.last()));
        let better = if lan.objective.rising { end - start } else { start - end };
        let mut reference = Self { ends: (start, end), lan_seconds: 0.0, baseline_seconds: None };
        match lan.reaches(reference.goal(GOAL)) {
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
        let baseline_seconds = baseline.reaches(self.goal(GOAL)).map(|(seconds, _)| seconds);
        Self { baseline_seconds, ..self }
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
    /// At the end.
    pub objective: f64,
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
        let time_to = |part| measured.reaches(reference.goal(part)).map(|(seconds, _)| seconds);
        let last = measured.samples.last().copied();
        let (end_seconds, objective) = last.map_or((0.0, f64::NAN), |s| (s.seconds, s.objective));
        let traffic = Traffic::sum(&measured.traffic);
        let reached = measured.reaches(reference.goal(GOAL));
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
            policy: cell.policy,
            seconds,
            ratio_to_lan,
            speedup: reference.baseline_seconds.zip(seconds).map(|(base, own)| base / own),
            wan_bytes: bytes.round() as u64,
            suppressed_share: measured.suppressed_share,
            objective,
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
