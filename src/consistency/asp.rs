//! Approximate Synchronous Parallel: copies are not exact, but nothing that matters is missing.
//!
//! Source: Gaia (NSDI'17) section 3. Each data centre works on a copy of its own. After each tick
//! what its updates have added up to is looked through: the significant part leaves for the
//! others, the rest stays and adds up further (significance filter). What cannot leave as fast as
//! it arises is announced, and readers elsewhere wait for just those keys (selective barrier).
//! And no data centre runs further ahead of the slowest than a bound (mirror clock).

use super::global::{seconds, silence_max, within};
use super::threshold::{falls, share};
use super::{
    Decay, Exchange, GlobalPolicy, LinkView, MirrorAdmit, MirrorRead, PassView, Precision,
    Threshold,
};
use crate::extension::{Extension, WHOLE_MAX};
use crate::schedule::Schedule;
use crate::time::Duration;

/// Approximate Synchronous Parallel.
///
/// ```
/// use archipelago::consistency::{Asp, Decay, Threshold};
/// use archipelago::{Ssp, TablePolicy};
/// let asp = Asp { hard: Threshold::new(0.02).decay(Decay::InverseSqrt), ..Asp::default() };
/// let policy = TablePolicy::local(Ssp { staleness: 0 }).global(asp);
/// assert_eq!(policy.global.name(), "asp/1");
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asp {
    /// The hard threshold: what scores more is told, however busy the links are.
    pub hard: Threshold,
    /// By what the hard threshold of floats is multiplied at most where what is told comes several
    /// ticks late, half the longest round trip: it is by as many, and spare bandwidth buys nothing
    /// then. 1, or less: by nothing, and it does.
    pub late_ticks_max: f64,
    /// The soft threshold, as a share of the hard one: the lowest that spare bandwidth may buy;
    /// 1 buys nothing.
    pub soft_share: f64,
    /// How exactly what is significant is told: in full, or cut to the bits of bf16.
    pub precision: Precision,
    /// DS: by how many ticks a data centre may be ahead of the slowest, less one. With 0 and a
    /// gathering local policy the copies go in step.
    pub staleness: u64,
    /// The ticks' worth of updates that may wait for a link before readers elsewhere are barred;
    /// infinite for no barriers.
    pub barrier_ticks: f64,
    /// How long a barrier lasts at most.
    pub barrier_max: Duration,
    /// How long a data centre may be silent before the others go on without it; at least
    /// [`DATA_CENTRE_SILENCE_MIN`](crate::limits::DATA_CENTRE_SILENCE_MIN).
    pub silence_max: Duration,
}

/// What [`Asp::auto`] tunes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The fastest convergence: spare bandwidth is used where what is told comes within a tick.
    Speed,
    /// Few bytes: at first a value leaves only when its gain is more than itself, gain included, as
    /// where it changes its sign or falls below a half; after 400 ticks when it is 5 % of it.
    Cost,
}

impl Default for Asp {
    /// A hard threshold of 1 %, constant, and no soft one: those of the paper's evaluation; deltas
    /// in full. DS 64: a last resort, which ticks of some milliseconds should not meet within a
    /// round trip.
    fn default() -> Self {
        Self {
            hard: Threshold::new(0.01),
            late_ticks_max: 1.0,
            soft_share: 1.0,
            precision: Precision::Full,
            staleness: 64,
            barrier_ticks: 2.0,
            barrier_max: crate::limits::BARRIER_MAX,
            silence_max: crate::limits::DATA_CENTRE_SILENCE_MAX,
        }
    }
}

impl Asp {
    /// A hard threshold, the defaults elsewhere.
    pub fn new(threshold: f64) -> Self {
        Self { hard: Threshold::new(threshold), ..Self::default() }
    }

    /// What needs no threshold from the user.
    pub fn auto(goal: Goal) -> Self {
        let hard = |first, decay| Threshold::new(first).decay(decay);
        match goal {
            Goal::Speed => {
                let hard = hard(0.01, Decay::WithRate);
                Self { hard, late_ticks_max: 5.0, soft_share: 0.0, ..Self::default() }
            },
            Goal::Cost => Self { hard: hard(1.0, Decay::InverseSqrt), ..Self::new(1.0) },
        }
    }

    /// What the name and its parameters describe.
    ///
    /// # Errors
    /// What was expected of the first parameter out of range.
    pub fn from_extension(named: &Extension) -> Result<Self, String> {
        named.only(&PARAMETERS)?;
        let default = Self::default();
        let hard = Threshold::from_extension(named, default.hard.initial)?;
        let soft_share = share(named, "soft_share", default.soft_share)?;
        if soft_share > 1.0 {
            return Err("soft_share: at most 1, the hard threshold".into());
        }
        Ok(Self {
            hard,
            late_ticks_max: share(named, "late_ticks_max", default.late_ticks_max)?,
            soft_share,
            precision: if named.flag("bf16")? { Precision::Bf16 } else { Precision::Full },
            staleness: named.whole("staleness", default.staleness)?,
            barrier_ticks: match named.parameter("barrier_ticks") {
                Some(f64::INFINITY) => f64::INFINITY,
                _ => share(named, "barrier_ticks", default.barrier_ticks)?,
            },
            barrier_max: seconds(named, "barrier_seconds", default.barrier_max)?,
            silence_max: silence_max(named, default.silence_max)?,
        })
    }
}

impl GlobalPolicy for Asp {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn exchange(&self) -> Exchange {
        Exchange::Deltas
    }

    /// The hard threshold, and less as far as the slowest link is idle: with nothing queued the
    /// soft one, with a tick's worth or more the hard one. Where what is told comes late by ticks
    /// it is the hard one times as many: copies that tell each other every little step so late
    /// answer what has long changed, until at high rates they swing. What is kept for a while adds
    /// up, or cancels out. Counts are not steps of any rate, do not swing, and are told as soon as
    /// they are significant.
    fn threshold(&self, pass: &PassView) -> f64 {
        let hard = self.hard.at(pass.tick, pass.rate_share);
        if pass.in_step {
            return hard;
        }
        let waits = !pass.counts && self.late_ticks_max > 1.0;
        let late = if waits { pass.round_trip_ticks / 2.0 } else { 0.0 };
        let busy = pass.slowest_link.queued_ticks().max(late).min(1.0);
        let hard = hard * late.min(self.late_ticks_max).max(1.0);
        hard * (self.soft_share + (1.0 - self.soft_share) * busy)
    }

    fn precision(&self) -> Precision {
        self.precision
    }

    fn bars(&self, link: &LinkView) -> bool {
        link.queued_ticks() > self.barrier_ticks
    }

    fn admit(&self, read: &MirrorRead) -> MirrorAdmit {
        within(self.staleness, read)
    }

    fn in_step(&self) -> bool {
        self.staleness == 0
    }

    fn silence_max(&self) -> Duration {
        self.silence_max
    }

    /// Those of the paper's theorem (section 3.4), by which the regret of convex problems is
    /// O(sqrt T).
    fn conditions_broken(&self, rate: &Schedule) -> Vec<&'static str> {
        let conditions = [
            (falls(rate), "the learning rate decays as 1 / sqrt(tick)"),
            (self.hard.vanishes(rate), "the threshold decays as 1 / sqrt(tick)"),
            (self.staleness < WHOLE_MAX, "mirror clocks differ by a bounded number of ticks"),
        ];
        conditions.into_iter().filter(|(holds, _)| !holds).map(|(_, name)| name).collect()
    }

    fn barrier_max(&self) -> Duration {
        self.barrier_max
    }
}

/// The parameters of its description.
const PARAMETERS: [&str; 21] = [
    "barrier_seconds",
    "barrier_ticks",
    "bf16",
    "flush_every",
    "from_1",
    "from_2",
    "from_3",
    "from_4",
    "inverse_sqrt",
    "late_ticks_max",
    "linear_ticks",
    "linear_to",
    "silence_seconds",
    "soft_share",
    "staleness",
    "threshold",
    "to_1",
    "to_2",
    "to_3",
    "to_4",
    "with_rate",
];

impl From<Asp> for Extension {
    fn from(asp: Asp) -> Self {
        let named = asp.hard.describe(Self::new("asp/1"));
        let named = named.with("late_ticks_max", asp.late_ticks_max);
        let named = named.with("soft_share", asp.soft_share);
        let named = named.with("bf16", if asp.precision == Precision::Bf16 { 1.0 } else { 0.0 });
        let named = named.with("staleness", asp.staleness.min(WHOLE_MAX) as f64);
        let named = named.with("barrier_ticks", asp.barrier_ticks);
        let named = named.with("barrier_seconds", asp.barrier_max.as_secs_f64());
        named.with("silence_seconds", asp.silence_max.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{DataCentre, Tick};
    use crate::time::Instant;

    fn pass(queued_bytes: u64) -> PassView {
        let slowest_link = LinkView {
            queued_bytes,
            bytes_per_second: Some(1000.0),
            round_trip: None,
            tick_lasts: Some(Duration::from_secs(1)),
        };
        PassView {
            tick: Tick(1),
            rate_share: 1.0,
            slowest_link,
            round_trip_ticks: 0.0,
            counts: false,
            in_step: false,
            now: Instant::EPOCH,
        }
    }

    #[test]
    fn what_comes_late_is_told_less_often() {
        let late = |round_trip_ticks| PassView { round_trip_ticks, ..pass(0) };
        let thresholds = |asp: Asp| [0.0, 0.5, 3.0, 99.0].map(|ticks| asp.threshold(&late(ticks)));
        let speed = Asp::auto(Goal::Speed);
        assert_eq!(thresholds(Asp { soft_share: 1.0, ..speed }), [0.01, 0.01, 0.015, 0.05]);
        assert_eq!(thresholds(speed), [0.0, 0.0025, 0.015, 0.05]);
        assert_eq!(thresholds(Asp::default()), [0.01; 4]);
        let half = Asp { soft_share: 0.5, ..Asp::new(0.01) };
        assert_eq!(thresholds(half), [0.005; 4]);
        let in_step = PassView { in_step: true, ..late(3.0) };
        assert_eq!(speed.threshold(&in_step), 0.01);
        let slow = PassView { rate_share: 0.5, ..late(3.0) };
        assert_eq!(speed.threshold(&slow), 0.0075);
        let counts = PassView { counts: true, ..late(3.0) };
        let constant = Asp { soft_share: 1.0, ..speed };
        assert_eq!(constant.threshold(&counts), 0.01);
    }

    #[test]
    fn spare_bandwidth_lowers_the_threshold_to_the_soft_one() {
        let asp = Asp { soft_share: 0.5, ..Asp::new(0.01) };
        let thresholds = [0, 500, 1000, 9000].map(|queued| asp.threshold(&pass(queued)));
        assert_eq!(thresholds, [0.005, 0.0075, 0.01, 0.01]);
        assert_eq!(Asp::auto(Goal::Speed).threshold(&pass(0)), 0.0);
    }

    #[test]
    fn what_outruns_the_link_is_barred_and_who_runs_ahead_waits() {
        let asp = Asp::default();
        assert!(!asp.bars(&pass(2000).slowest_link) && asp.bars(&pass(2001).slowest_link));
        assert!(!asp.bars(&LinkView { queued_bytes: u64::MAX, ..LinkView::default() }));
        let read = |tick, slowest| {
            let slowest = Some((Tick(slowest), DataCentre(2)));
            asp.admit(&MirrorRead { tick: Tick(tick), slowest, now: Instant::EPOCH })
        };
        assert_eq!(read(66, 1), MirrorAdmit::Serve);
        let wait = MirrorAdmit::Wait { who: DataCentre(2), tick: Tick(2) };
        assert_eq!(read(67, 1), wait);
    }

    #[test]
    fn a_description_is_read_back_and_what_is_out_of_range_refused() {
        let free = Asp { barrier_ticks: f64::INFINITY, staleness: 3, ..Asp::auto(Goal::Speed) };
        let brief = Asp { precision: Precision::Bf16, ..free };
        for asp in [Asp::default(), free, brief] {
            assert_eq!(Asp::from_extension(&asp.into()), Ok(asp));
        }
        for (name, value) in [
            ("threshold", -1.0),
            ("soft_share", 1.5),
            ("bf16", 0.5),
            ("late_ticks_max", -1.0),
            ("staleness", 0.5),
            ("barrier_seconds", 0.0),
            ("silence_seconds", f64::NAN),
            ("silence_seconds", 1e-9),
            ("silence_seconds", 0.099),
            ("no parameter \"treshold\"", 0.1),
            ("barrier_ticks", -1.0),
        ] {
            let parameter = if name.contains(' ') { "treshold" } else { name };
            let error = Asp::from_extension(&Extension::new("asp/1").with(parameter, value));
            assert!(error.as_ref().is_err_and(|error| error.starts_with(name)), "{error:?}");
        }
    }

    #[test]
    fn the_conditions_of_the_theorem_are_named() {
        let (good, other) = (Schedule::inverse_sqrt(0.1), Schedule::Constant(0.1));
        assert_eq!(Asp::auto(Goal::Speed).conditions_broken(&good), Vec::<&str>::new());
        let coupled = Asp { hard: Threshold::new(0.1).decay(Decay::WithRate), ..Asp::default() };
        assert_eq!(coupled.conditions_broken(&good), Vec::<&str>::new());
        assert_eq!(coupled.conditions_broken(&other).len(), 2);
        let free = Asp { staleness: WHOLE_MAX, ..Asp::new(0.1) };
        assert_eq!(free.conditions_broken(&other).len(), 3);
    }
}
