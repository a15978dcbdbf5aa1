//! How far ASP that finds its threshold itself is from the best that was tried by hand.

use archipelago::consistency::Goal;

use super::cell::Policy;
use super::result::{RunResult, Verdict};
use super::table::ratio;
use super::variant::Variant;
use crate::units;

/// The largest ratio to the best time by hand that we are content with.
pub(super) const AIM: f64 = 1.1;

/// What the thresholds of one profile, workload and seed came to.
#[derive(Clone, Debug)]
pub(super) struct Tuning<'a> {
    profile: &'a str,
    workload: &'static str,
    /// Of those by hand the one that is fastest.
    fastest: &'a RunResult,
    /// Of those by hand the one that sends least up to there.
    thriftiest: &'a RunResult,
    /// The ones without a threshold of the user's: for speed, then for cost.
    auto: [&'a RunResult; 2],
}

impl<'a> Tuning<'a> {
    /// Of all cells where thresholds were tried.
    pub(super) fn all(results: &'a [RunResult]) -> Vec<Self> {
        let speed = results.iter().filter(|result| result.policy == Policy::Auto(Goal::Speed));
        speed.filter_map(|speed| Self::of(speed, results)).collect()
    }

    fn of(speed: &'a RunResult, results: &'a [RunResult]) -> Option<Self> {
        let cell = |run: &RunResult| (run.profile.clone(), run.workload, run.variant, run.seed);
        let own = |run: &&RunResult| cell(run) == cell(speed);
        let cost = results.iter().filter(own).find(|run| run.policy == Policy::Auto(Goal::Cost))?;
        let by_hand = |run: &&RunResult| {
            matches!(run.policy, Policy::Asp | Policy::HandTuned(_)) && run.seconds.is_some()
        };
        let tried = || results.iter().filter(own).filter(by_hand);
        let several = tried().any(|run| run.policy != Policy::Asp);
        let seconds = |run: &RunResult| run.seconds.unwrap_or(f64::INFINITY);
        let fastest = tried().min_by(|a, b| seconds(a).total_cmp(&seconds(b)))?;
        let thriftiest = tried().min_by_key(|run| run.wan_bytes)?;
        let usual = speed.variant == Variant::Usual;
        (several && usual).then_some(Self {
            profile: &speed.profile,
            workload: speed.workload,
            fastest,
            thriftiest,
            auto: [speed, cost],
        })
    }

    /// Time of an automatic one over the best by hand; `None` when it never gets there.
    fn time_ratio(&self, auto: &RunResult) -> Option<f64> {
        Some(auto.seconds? / self.fastest.seconds?)
    }

    /// Bytes of an automatic one over the fewest by hand.
    fn byte_ratio(&self, auto: &RunResult) -> f64 {
        auto.wan_bytes as f64 / self.thriftiest.wan_bytes.max(1) as f64
    }

    /// What tables and report show of it: where, the fastest by hand and its time, times of the
    /// automatic ones over it with the verdict between them, then the same of bytes.
    pub(super) fn row(&self) -> [String; 11] {
        let [speed, cost] = self.auto;
        let time = |auto| self.time_ratio(auto).map_or("never".into(), ratio);
        [
            self.profile.to_owned(),
            self.workload.into(),
            threshold(self.fastest.policy),
            self.fastest.seconds.map_or("never".into(), units::seconds),
            time(speed),
            self.verdict().name().into(),
            time(cost),
            threshold(self.thriftiest.policy),
            units::bytes(self.thriftiest.wan_bytes),
            ratio(self.byte_ratio(speed)),
            ratio(self.byte_ratio(cost)),
        ]
    }

    /// Whether the one for speed is as fast as we aim at.
    fn verdict(&self) -> Verdict {
        Verdict::of(self.time_ratio(self.auto[0]), AIM)
    }
}

/// The threshold of a policy by hand, as text.
fn threshold(policy: Policy) -> String {
    match policy {
        Policy::HandTuned(tuned) => tuned.threshold().to_string(),
        _ => "0.01".into(),
    }
}
