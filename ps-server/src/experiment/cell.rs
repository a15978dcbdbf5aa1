//! One cell of the experiment: which links, which workload, which policy, which seed.

use std::fmt;

use archipelago::consistency::Goal;
use archipelago_workloads::task::Kind;
use serde::{Serialize, Serializer};

use super::hand_tuned::HandTuned;
use super::paper::Figures;
use super::profile::{Links, Profile};
use super::variant::Variant;

/// How the copies of a model at the sites are kept together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Bsp among all workers as if every site were in one data centre: the measure of all others.
    Lan,
    /// One flat parameter server spread over the sites, Bsp over the WAN: what Gaia speeds up.
    Baseline,
    /// Approximate Synchronous Parallel: what Gaia is.
    Asp,
    /// [`Asp`](Self::Asp) with the profile's groups and hubs.
    Hubs,
    /// [`Asp`](Self::Asp) with deltas that are cut to the bits of bf16.
    Bf16,
    /// As [`Baseline`](Self::Baseline), with bounded staleness.
    Ssp,
    /// As [`Baseline`](Self::Baseline), where nobody waits for anybody.
    Eventual,
    /// The data is sent to one site first and trained on there.
    Centralised,
    /// Each site trains on its own data and tells nobody.
    Isolated,
    /// [`Asp`](Self::Asp) without one of its parts.
    Ablation(Ablation),
    /// ASP under another constant threshold.
    HandTuned(HandTuned),
    /// ASP that finds its threshold itself.
    Auto(Goal),
}

/// The part that ASP has to do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ablation {
    /// Neither selective barrier nor mirror clock: the paper's Gaia_Async.
    Async,
    /// No selective barrier.
    Barrier,
    /// No mirror clock.
    MirrorClock,
}

impl Policy {
    /// What a run compares unless everything is asked for; those that others are measured by come
    /// first.
    pub const USUAL: [Self; 3] = [Self::Lan, Self::Baseline, Self::Asp];

    /// What else a full run has: other ways to keep copies together, and ASP under other
    /// thresholds.
    pub const OTHERS: [Self; 17] = [
        Self::Hubs,
        Self::Bf16,
        Self::Ssp,
        Self::Eventual,
        Self::Centralised,
        Self::Isolated,
        Self::Ablation(Ablation::Async),
        Self::Ablation(Ablation::Barrier),
        Self::Ablation(Ablation::MirrorClock),
        Self::HandTuned(HandTuned::ALL[0]),
        Self::HandTuned(HandTuned::ALL[1]),
        Self::HandTuned(HandTuned::ALL[2]),
        Self::HandTuned(HandTuned::ALL[3]),
        Self::HandTuned(HandTuned::ALL[4]),
        Self::HandTuned(HandTuned::ALL[5]),
        Self::Auto(Goal::Speed),
        Self::Auto(Goal::Cost),
    ];

    /// All of them, in the order of a run.
    pub fn all() -> impl Iterator<Item = Self> {
        Self::USUAL.into_iter().chain(Self::OTHERS)
    }

    /// Whether it is ASP under another threshold than the default.
    pub fn is_threshold(self) -> bool {
        matches!(self, Self::HandTuned(_) | Self::Auto(_))
    }

    /// The name that reports have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lan => "lan",
            Self::Baseline => "baseline",
            Self::Asp => "asp",
            Self::Hubs => "asp-hubs",
            Self::Bf16 => "asp-bf16",
            Self::Ssp => "ssp",
            Self::Eventual => "eventual",
            Self::Centralised => "centralised",
            Self::Isolated => "isolated",
            Self::Ablation(Ablation::Async) => "ablation-async",
            Self::Ablation(Ablation::Barrier) => "ablation-no-barrier",
            Self::Ablation(Ablation::MirrorClock) => "ablation-no-mirror-clock",
            Self::HandTuned(tuned) => tuned.name(),
            Self::Auto(Goal::Speed) => "asp-auto-speed",
            Self::Auto(Goal::Cost) => "asp-auto-cost",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Policy {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

/// What is run once. Same cell, same result, to the bit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell<'a> {
    /// The sites and their links.
    pub profile: &'a Profile,
    /// What is trained.
    pub workload: Kind,
    /// What is changed about it.
    pub variant: Variant,
    /// How.
    pub policy: Policy,
    /// What names the run among others of its kind.
    pub seed: u64,
}

impl Cell<'_> {
    /// The links that the cell is run over: under [`Policy::Lan`] all are like those inside a site.
    pub fn links(&self) -> Links {
        match self.policy {
            Policy::Lan => self.profile.lan(),
            _ => self.profile.links.clone(),
        }
    }

    /// What the paper says of these links and this workload, when nothing is changed about them.
    pub fn figures(&self) -> Option<Figures> {
        let usual = self.variant == Variant::Usual;
        Figures::of(&self.profile.name, self.workload).filter(|_| usual)
    }
}

impl fmt::Display for Cell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.profile.name, self.workload.name())?;
        if self.variant != Variant::Usual {
            write!(f, " {}", self.variant)?;
        }
        write!(f, " {}", self.policy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_those_of_ablations_say_so() {
        let mut names: Vec<_> = Policy::all().map(Policy::name).collect();
        assert_eq!(names[..3], ["lan", "baseline", "asp"]);
        for (policy, name) in Policy::all().zip(&names) {
            let ablation = matches!(policy, Policy::Ablation(_));
            assert_eq!(ablation, name.starts_with("ablation"), "{name}");
        }
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Policy::all().count());
    }

    #[test]
    fn the_lan_has_no_slow_links() {
        let profile = Profile::ready("ss").expect("ready");
        let (workload, variant) = (Kind::Mf, Variant::Usual);
        let mut cell = Cell { profile: &profile, workload, variant, policy: Policy::Asp, seed: 1 };
        assert_eq!(cell.links().get(0, 1).megabits_per_second, 17.0);
        cell.policy = Policy::Lan;
        assert_eq!(cell.links().get(0, 1), profile.local);
        assert_eq!(cell.figures().map(|figures| figures.baseline_slowdown), Some(24.0));
        cell.variant = Variant::UnequalData;
        assert_eq!((cell.figures(), cell.to_string()), (None, "ss mf data-10-to-1 lan".into()));
    }
}
