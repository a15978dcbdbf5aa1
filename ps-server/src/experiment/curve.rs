//! The curve that a run is judged by.
//!
//! One rule for every policy, LAN-BSP included: a sample counts as the mean of all samples within
//! [`WINDOW`] of its time, those behind the end left out; between two samples the curve is a
//! straight line. The window is a share of the time passed, because what is compared are ratios
//! of times: so it means the same early and late, in slow runs and in fast ones, and hides nothing
//! of a steep start.

use super::measured::{Measured, Sample};

/// How far around a sample others count, as a share of its time.
pub const WINDOW: f64 = 0.15;

/// What divisions may add to a time.
const ROUNDING: f64 = 1e-9;

/// The smoothed objective over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    rising: bool,
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    seconds: f64,
    objective: f64,
    wan_bytes: f64,
}

impl Curve {
    /// Of what was measured. Samples that are not finite stay so, and count for no other.
    pub fn of(measured: &Measured) -> Self {
        let samples = &measured.samples;
        let point = |sample: &Sample| Point {
            seconds: sample.seconds,
            objective: if sample.objective.is_finite() {
                around(samples, sample.seconds)
            } else {
                f64::NAN
            },
            wan_bytes: sample.wan_bytes as f64,
        };
        Self { rising: measured.objective.rising, points: samples.iter().map(point).collect() }
    }

    /// At the start; NaN without samples.
    pub fn start(&self) -> f64 {
        self.points.first().map_or(f64::NAN, |point| point.objective)
    }

    /// At the end; NaN without samples.
    pub fn end(&self) -> f64 {
        self.points.last().map_or(f64::NAN, |point| point.objective)
    }

    /// At a time: the start before all samples, the end behind them; NaN without samples.
    pub fn at(&self, seconds: f64) -> f64 {
        let after = self.points.partition_point(|point| point.seconds < seconds);
        match (after.checked_sub(1).map(|before| self.points[before]), self.points.get(after)) {
            (Some(before), Some(after)) => {
                let way = (seconds - before.seconds) / (after.seconds - before.seconds);
                before.objective + way * (after.objective - before.objective)
            },
            (Some(_), None) => self.end(),
            (None, _) => self.start(),
        }
    }

    /// When the objective first is as good as `goal`, and the bytes sent by then; `None` when it
    /// never is.
    pub fn reaches(&self, goal: f64) -> Option<(f64, f64)> {
        let good = |point: &Point| match self.rising {
            true => point.objective >= goal,
            false => point.objective <= goal,
        };
        let at = self.points.iter().position(good)?;
        let after = self.points[at];
        let Some(before) = at.checked_sub(1).map(|before| self.points[before]) else {
            return Some((after.seconds, after.wan_bytes));
        };
        let way = (goal - before.objective) / (after.objective - before.objective);
        // A sample before that is not finite says nothing of the way.
        let way = if way.is_finite() { way.clamp(0.0, 1.0) } else { 1.0 };
        let between = |from: f64, to: f64| from + way * (to - from);
        Some((between(before.seconds, after.seconds), between(before.wan_bytes, after.wan_bytes)))
    }
}

/// The mean of the finite samples around a time.
fn around(samples: &[Sample], seconds: f64) -> f64 {
    let near = seconds * (1.0 - WINDOW) - ROUNDING..=seconds * (1.0 + WINDOW) + ROUNDING;
    let first = samples.partition_point(|sample| sample.seconds < *near.start());
    let within = samples[first..].iter().take_while(|sample| near.contains(&sample.seconds));
    let finite = within.map(|sample| sample.objective).filter(|value| value.is_finite());
    let (sum, count) = finite.fold((0.0, 0.0), |(sum, count), value| (sum + value, count + 1.0));
    sum / count
}
