//! Thresholds of significance as functions of the tick.

use crate::extension::Extension;
use crate::id::Tick;
use crate::schedule::Schedule;

/// A threshold and how it changes while a table is trained.
///
/// ```
/// use archipelago::consistency::{Decay, Threshold};
/// let threshold = Threshold::new(0.01).decay(Decay::InverseSqrt);
/// assert_eq!(threshold.at(archipelago::Tick(4), 1.0), 0.005);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Its value at tick 1, at least 0: a share of the value where the significance function is
    /// `relative/1`.
    pub initial: f64,
    /// How it changes.
    pub decay: Decay,
    /// Every so many ticks it is 0; never when it is 0 itself.
    pub flush_every: u64,
}

/// How a threshold changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Decay {
    /// Not at all.
    Constant,
    /// As 1 / sqrt(tick): one of the conditions of Gaia's theorem.
    InverseSqrt,
    /// Straight to `to` within `ticks` ticks, and then no more.
    Linear {
        /// Where it ends.
        to: f64,
        /// When, at least 1.
        ticks: u64,
    },
    /// As the learning rate does (the authors' later code).
    WithRate,
    /// From a tick on another one, up to four times; ascending, the rest at `u64::MAX`.
    Steps([(u64, f64); 4]),
}

/// No further step.
const NO_STEP: (u64, f64) = (u64::MAX, 0.0);

impl Threshold {
    /// A constant one.
    pub fn new(initial: f64) -> Self {
        Self { initial, decay: Decay::Constant, flush_every: 0 }
    }

    /// Sets how it changes.
    #[must_use]
    pub fn decay(mut self, decay: Decay) -> Self {
        self.decay = decay;
        self
    }

    /// Tells everything every so many ticks.
    #[must_use]
    pub fn flush_every(mut self, ticks: u64) -> Self {
        self.flush_every = ticks;
        self
    }

    /// Its value at a tick whose learning rate is `rate_share` of the highest one.
    pub fn at(&self, tick: Tick, rate_share: f64) -> f64 {
        if self.flush_every > 0 && tick.0.is_multiple_of(self.flush_every) {
            return 0.0;
        }
        match self.decay {
            Decay::Constant => self.initial,
            Decay::InverseSqrt => self.initial / (tick.0.max(1) as f64).sqrt(),
            Decay::Linear { to, ticks } => {
                let share = (tick.0.saturating_sub(1) as f64 / ticks.max(1) as f64).min(1.0);
                self.initial + (to - self.initial) * share
            },
            Decay::WithRate => self.initial * rate_share,
            Decay::Steps(steps) => {
                let reached = steps.iter().rev().find(|(from, _)| *from <= tick.0);
                reached.map_or(self.initial, |(_, value)| *value)
            },
        }
    }

    /// Whether it goes towards 0 as the theorem of Gaia wants, at least as 1 / sqrt(tick), under a
    /// learning rate: from some tick on, whatever it was before.
    pub fn vanishes(&self, rate: &Schedule) -> bool {
        match self.decay {
            Decay::Constant => self.initial == 0.0,
            Decay::InverseSqrt => true,
            Decay::WithRate => self.initial == 0.0 || falls(rate),
            Decay::Linear { to, .. } => to == 0.0,
            Decay::Steps(steps) => {
                let last = steps.iter().rfind(|(from, _)| *from != u64::MAX);
                last.map_or(self.initial, |(_, value)| *value) == 0.0
            },
        }
    }

    /// Writes it as parameters of an extension.
    pub(super) fn describe(&self, mut named: Extension) -> Extension {
        named = named.with("threshold", self.initial);
        named = match self.decay {
            Decay::Constant => named,
            Decay::InverseSqrt => named.with("inverse_sqrt", 1.0),
            Decay::Linear { to, ticks } => {
                named.with("linear_to", to).with("linear_ticks", ticks as f64)
            },
            Decay::WithRate => named.with("with_rate", 1.0),
            Decay::Steps(steps) => {
                let steps = steps.iter().zip(STEPS).filter(|((from, _), _)| *from != u64::MAX);
                steps.fold(named, |named, ((from, value), (name_from, name_to))| {
                    named.with(name_from, *from as f64).with(name_to, *value)
                })
            },
        };
        match self.flush_every {
            0 => named,
            ticks => named.with("flush_every", ticks as f64),
        }
    }

    /// Reads it from parameters.
    ///
    /// # Errors
    /// What was expected of the first parameter that is out of range, or of those that exclude
    /// each other.
    pub(super) fn from_extension(named: &Extension, default: f64) -> Result<Self, String> {
        let initial = share(named, "threshold", default)?;
        let mut decays = Vec::new();
        if named.flag("inverse_sqrt")? {
            decays.push(Decay::InverseSqrt);
        }
        if named.flag("with_rate")? {
            decays.push(Decay::WithRate);
        }
        if named.parameter("linear_to").is_some() {
            let to = share(named, "linear_to", 0.0)?;
            decays.push(Decay::Linear { to, ticks: named.whole("linear_ticks", 1)?.max(1) });
        } else if named.parameter("linear_ticks").is_some() {
            return Err("linear_ticks: only with linear_to".into());
        }
        let steps = steps(named)?;
        if steps[0].0 != u64::MAX {
            decays.push(Decay::Steps(steps));
        }
        if decays.len() > 1 {
            return Err("one schedule: inverse_sqrt, with_rate, linear_to or from_1".into());
        }
        let decay = decays.pop().unwrap_or(Decay::Constant);
        Ok(Self { initial, decay, flush_every: named.whole("flush_every", 0)? })
    }
}

const STEPS: [(&str, &str); 4] =
    [("from_1", "to_1"), ("from_2", "to_2"), ("from_3", "to_3"), ("from_4", "to_4")];

fn steps(named: &Extension) -> Result<[(u64, f64); 4], String> {
    let mut steps = [NO_STEP; 4];
    let mut before = 0;
    let mut ends = None;
    for (step, (name_from, name_to)) in steps.iter_mut().zip(STEPS) {
        let given = [name_from, name_to].map(|name| named.parameter(name).is_some());
        match (given, ends) {
            ([false, false], _) => {
                ends.get_or_insert(name_from);
                continue;
            },
            ([true, true], None) => {},
            ([true, true], Some(missing)) => return Err(format!("{missing}: before {name_from}")),
            ([false, true], _) => return Err(format!("{name_from}: the tick of {name_to}")),
            ([true, false], _) => return Err(format!("{name_to}: the threshold of {name_from}")),
        }
        let from = named.whole(name_from, 0)?;
        if from <= before {
            return Err(format!("{name_from}: a tick behind the step before it"));
        }
        before = from;
        *step = (from, share(named, name_to, 0.0)?);
    }
    Ok(steps)
}

/// Whether a learning rate decays as the theorem of Gaia wants: as 1 / sqrt(tick).
pub(super) fn falls(rate: &Schedule) -> bool {
    matches!(rate, Schedule::InverseSqrt { .. })
}

/// A parameter that is finite and at least 0.
pub(super) fn share(named: &Extension, name: &str, default: f64) -> Result<f64, String> {
    let value = named.parameter(name).unwrap_or(default);
    if value >= 0.0 && value.is_finite() {
        return Ok(value);
    }
    Err(format!("{name}: a finite number, at least 0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(named: &Extension) -> Result<Threshold, String> {
        Threshold::from_extension(named, 0.01)
    }

    #[test]
    fn every_schedule_survives_its_description() {
        let steps = Decay::Steps([(5, 0.1), (9, 0.0), NO_STEP, NO_STEP]);
        for decay in [
            Decay::Constant,
            Decay::InverseSqrt,
            Decay::WithRate,
            Decay::Linear { to: 0.001, ticks: 10 },
            steps,
        ] {
            let threshold = Threshold::new(0.02).decay(decay).flush_every(7);
            assert_eq!(read(&threshold.describe(Extension::new("x/1"))), Ok(threshold));
        }
    }

    #[test]
    fn values_follow_the_schedule() {
        let at = |decay, tick| Threshold::new(1.0).decay(decay).at(Tick(tick), 0.25);
        assert_eq!([at(Decay::Constant, 9), at(Decay::InverseSqrt, 9)], [1.0, 1.0 / 3.0]);
        assert_eq!(at(Decay::WithRate, 2), 0.25);
        let line = Decay::Linear { to: 0.5, ticks: 4 };
        assert_eq!([at(line, 1), at(line, 3), at(line, 5), at(line, 99)], [1.0, 0.75, 0.5, 0.5]);
        let steps = Decay::Steps([(3, 0.5), (8, 0.1), NO_STEP, NO_STEP]);
        assert_eq!([at(steps, 2), at(steps, 3), at(steps, 9)], [1.0, 0.5, 0.1]);
        assert_eq!(Threshold::new(1.0).flush_every(3).at(Tick(6), 1.0), 0.0);
    }

    #[test]
    fn what_ends_at_0_vanishes() {
        let falls = Schedule::inverse_sqrt(0.1);
        let vanishes = |initial, decay| Threshold::new(initial).decay(decay).vanishes(&falls);
        let line = |to| Decay::Linear { to, ticks: 10 };
        let steps = |to| Decay::Steps([(5, 0.3), (100, to), NO_STEP, NO_STEP]);
        for decay in [Decay::InverseSqrt, Decay::WithRate, line(0.0), steps(0.0)] {
            assert!(vanishes(0.01, decay) && vanishes(0.0, decay), "{decay:?}");
        }
        for decay in [line(0.5), steps(0.5)] {
            assert!(!vanishes(0.01, decay) && !vanishes(0.0, decay), "{decay:?}");
        }
        assert!(vanishes(0.0, Decay::Constant) && !vanishes(0.01, Decay::Constant));
        let constant = Schedule::Constant(0.1);
        assert!(!Threshold::new(0.01).decay(Decay::WithRate).vanishes(&constant));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let x = || Extension::new("x/1");
        for (named, what) in [
            (x().with("threshold", -0.1), "threshold: a finite number, at least 0"),
            (x().with("threshold", f64::NAN), "threshold: a finite number, at least 0"),
            (x().with("flush_every", 0.5), "flush_every: a whole number from 0 to 2^53"),
            (
                x().with("from_1", 4.0).with("to_1", 1.0).with("from_2", 4.0).with("to_2", 0.5),
                "from_2: a tick behind the step before it",
            ),
            (x().with("from_1", 4.0), "to_1: the threshold of from_1"),
            (x().with("to_2", 0.1), "from_2: the tick of to_2"),
            (x().with("from_2", 4.0).with("to_2", 0.1), "from_1: before from_2"),
            (x().with("linear_ticks", 4.0), "linear_ticks: only with linear_to"),
            (x().with("inverse_sqrt", 5.0), "inverse_sqrt: 0 or 1"),
            (
                x().with("inverse_sqrt", 1.0).with("with_rate", 1.0),
                "one schedule: inverse_sqrt, with_rate, linear_to or from_1",
            ),
        ] {
            assert_eq!(read(&named), Err(what.into()));
        }
    }
}
