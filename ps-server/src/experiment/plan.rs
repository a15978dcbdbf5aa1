//! What a command line asks to be run.

use archipelago::consistency::Goal;
use archipelago_workloads::task::Kind;

use super::arguments::GaiaArguments;
use super::cell::{Cell, Policy};
use super::profile::Profile;
use super::profile_error::{LeftOut, ProfileError};
use super::variant::Variant;

/// Seeds of `--full`.
const FULL_SEEDS: u64 = 5;

/// Sites of a profile from which on a run takes minutes: variants and automatic thresholds are then
/// tried with one workload alone, other policies not at all.
const WIDE_SITES: usize = 5;

/// The workload of those.
const WIDE_WORKLOAD: Kind = Kind::Mf;

/// What is tried there beside the usual policies.
const WIDE_OTHERS: [Policy; 4] =
    [Policy::Hubs, Policy::Bf16, Policy::Auto(Goal::Speed), Policy::Auto(Goal::Cost)];

/// All runs of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Over which links.
    pub profiles: Vec<Profile>,
    /// What is run over them, in order.
    pub comparisons: Vec<Comparison>,
    /// Policies that were asked for and that some of several profiles cannot have.
    pub left_out: Vec<LeftOut>,
}

/// Runs that are measured by the same run of LAN-BSP.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Over the links of which profile of the plan, from 0.
    pub profile: usize,
    /// What is trained.
    pub workload: Kind,
    /// What is changed about it.
    pub variant: Variant,
    /// How; LAN-BSP first, then the baseline.
    pub policies: Vec<Policy>,
    /// What names the runs.
    pub seed: u64,
}

impl Plan {
    /// What a command line asks for: of a profile and a workload the usual policies with one seed.
    /// A full one has five seeds, with the first of them also other thresholds, all variants and
    /// the profile's companions, and over the first profile of few sites all other policies.
    ///
    /// # Errors
    /// A profile that there is not, or that is wrong; a policy that was asked for and that no
    /// profile can have.
    pub fn new(arguments: &GaiaArguments) -> Result<Self, ProfileError> {
        let named: Result<Vec<_>, _> = match arguments.profile.as_str() {
            "all" => Profile::PAPER.iter().map(|name| Profile::named(name)).collect(),
            name => Profile::named(name).map(|profile| vec![profile]),
        };
        let named = named?;
        let left_out = left_out(&named, &arguments.policies)?;
        let mut plan = Self { profiles: Vec::new(), comparisons: Vec::new(), left_out };
        for profile in named {
            let companions = profile.companions();
            plan.add(profile, arguments);
            for name in companions.iter().filter(|_| arguments.full) {
                plan.add_companion(Profile::named(name)?, arguments);
            }
        }
        Ok(plan)
    }

    fn add(&mut self, profile: Profile, arguments: &GaiaArguments) {
        let wide = is_wide(&profile);
        let first = !wide && self.profiles.iter().all(is_wide);
        self.profiles.push(profile.clone());
        for workload in arguments.workload.kinds() {
            let usual = || Policy::USUAL.to_vec();
            let possible = |policy: &Policy| LeftOut::of(*policy, &profile).is_none();
            if !arguments.full {
                let asked = Policy::OTHERS.into_iter().filter(|it| arguments.policies.contains(it));
                let policies = usual().into_iter().chain(asked.filter(possible)).collect();
                self.compare(workload, Variant::Usual, policies, arguments.seed);
                continue;
            }
            let others = match (wide, workload) {
                (false, _) if first => Policy::OTHERS.to_vec(),
                (false, _) => Policy::OTHERS.into_iter().filter(|it| it.is_threshold()).collect(),
                (true, WIDE_WORKLOAD) => WIDE_OTHERS.to_vec(),
                (true, _) => vec![Policy::Hubs, Policy::Bf16],
            };
            let others: Vec<_> = others.into_iter().filter(possible).collect();
            for number in 0..FULL_SEEDS {
                let others: &[Policy] = if number == 0 { &others } else { &[] };
                let policies = [&Policy::USUAL[..], others].concat();
                self.compare(
                    workload,
                    Variant::Usual,
                    policies,
                    arguments.seed.wrapping_add(number),
                );
            }
            // Counts have no rate.
            let counts = workload == Kind::Lda;
            let rated = |variant: &Variant| !counts || variant.rate_factor() == 1.0;
            for variant in Variant::CHANGES.into_iter().filter(rated) {
                if !wide || workload == WIDE_WORKLOAD {
                    self.compare(workload, variant, usual(), arguments.seed);
                }
            }
        }
    }

    /// Companions have the usual policies, with one seed, and the time to compute of the profile
    /// whose they are. Of few sites also their own, where it follows from the paper's slowdown.
    fn add_companion(&mut self, profile: Profile, arguments: &GaiaArguments) {
        let calibrated = super::Figures::of(&profile.name, Kind::Mf).is_some();
        let variants: &[Variant] = match (calibrated, is_wide(&profile)) {
            (true, false) => &[Variant::Usual, Variant::HeldCompute],
            _ => &[Variant::HeldCompute],
        };
        self.profiles.push(profile);
        for workload in arguments.workload.kinds() {
            for &variant in variants {
                self.compare(workload, variant, Policy::USUAL.to_vec(), arguments.seed);
            }
        }
    }

    /// Adds a comparison over the links of the last profile.
    fn compare(&mut self, workload: Kind, variant: Variant, policies: Vec<Policy>, seed: u64) {
        let profile = self.profiles.len() - 1;
        self.comparisons.push(Comparison { profile, workload, variant, policies, seed });
    }

    /// The cells in the order in which they are told, those that are compared together.
    pub fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let cells = |comparison: &Comparison| {
            let Comparison { profile, workload, variant, seed, .. } = *comparison;
            let profile = &self.profiles[profile];
            let cell = |&policy: &Policy| Cell { profile, workload, variant, policy, seed };
            comparison.policies.iter().map(cell).collect()
        };
        self.comparisons.iter().map(cells).collect()
    }
}

/// Which of the policies that were asked for are left out over which of the profiles; an error
/// where one is left out over all of them.
fn left_out(profiles: &[Profile], asked: &[Policy]) -> Result<Vec<LeftOut>, LeftOut> {
    let mut all = Vec::new();
    for &policy in asked {
        let of = profiles.iter().filter_map(|profile| LeftOut::of(policy, profile));
        let of: Vec<_> = of.collect();
        match of.first() {
            Some(first) if of.len() == profiles.len() => return Err(first.clone()),
            _ => all.extend(of),
        }
    }
    Ok(all)
}

fn is_wide(profile: &Profile) -> bool {
    profile.sites.len() >= WIDE_SITES
}
