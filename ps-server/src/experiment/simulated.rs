//! Cells run in the simulator, on real models and data.
//!
//! Under Bsp what is learned does not depend on links or on the time to compute: LAN-BSP is
//! trained once for each number of sites, cut of the rows, workload and seed. Other cells of it,
//! and the baseline, have its curve, with the time and traffic of their own ticks. Everything else
//! is trained over its own links. What is trained once is always trained in the same cell, so that
//! results do not depend on what was run before.

mod layout;
mod moving;
mod once;
mod rows;
mod timing;
mod training;
mod workload;

use std::sync::Arc;

use anyhow::Context;
use archipelago_workloads::task::{Kind, Task};

use super::cell::{Cell, Policy};
use super::data::DataFolder;
use super::measured::Measured;
use super::plan::Plan;
use super::profile::Profile;
use super::runner::{Progress, Runs};
use super::variant::Variant;
use once::Once;
use timing::{Calibrated, Computing};
use workload::Workload;

/// Runs cells in the simulator.
#[derive(Debug)]
pub struct Simulated {
    /// Where the data files are.
    data: DataFolder,
    /// By kind.
    tasks: Once<&'static str, Arc<Task>>,
    /// By the cell over whose links it was calibrated.
    computing: Once<String, Computing>,
    /// By cell, whatever its policy.
    timed: Once<String, Calibrated>,
    /// By the cell that it was trained in.
    lan: Once<String, (Calibrated, Measured)>,
}

impl Simulated {
    /// Runs on the data files of a folder.
    pub fn new(data: impl Into<DataFolder>) -> Self {
        let (tasks, computing) = (Once::default(), Once::default());
        Self { data: data.into(), tasks, computing, timed: Once::default(), lan: Once::default() }
    }

    fn workload(&self, cell: &Cell<'_>) -> anyhow::Result<Workload> {
        let kind = cell.workload;
        let task = self.tasks.get(kind.name(), || {
            let opened = Task::open(kind, self.data.path());
            Ok(Arc::new(opened.context("the data (--data names its folder)")?))
        })?;
        Workload::new(&task, cell)
    }

    /// The time to compute at which the baseline is as slow as the paper's.
    fn computing(&self, cell: &Cell<'_>) -> anyhow::Result<Computing> {
        let held = cell.profile.calibrated_over();
        let profile = match (cell.variant, &held) {
            (Variant::HeldCompute, Some(profile)) => profile,
            _ => cell.profile,
        };
        let usual = Cell { profile, variant: Variant::Usual, ..*cell };
        let calibrate = || timing::calibrate(&usual, &self.workload(&usual)?);
        let found = self.computing.get(name(&usual), calibrate)?;
        Ok(found.scaled(cell.variant.compute_factor()))
    }

    fn timed(&self, cell: &Cell<'_>, work: &Workload) -> anyhow::Result<Calibrated> {
        self.timed.get(name(cell), || timing::timed(cell, work, self.computing(cell)?))
    }

    /// LAN-BSP with the ticks of a cell.
    fn lan(
        &self,
        cell: &Cell<'_>,
        timed: &Calibrated,
        progress: &dyn Fn(Progress),
    ) -> anyhow::Result<Measured> {
        let profile = trained_over(cell.profile);
        let changed = cell.variant.trains_otherwise();
        let variant = if changed { cell.variant } else { Variant::Usual };
        let trained = Cell { profile: &profile, variant, policy: Policy::Lan, ..*cell };
        let (held, lan) = self.lan.get(name(&trained), || {
            let work = self.workload(&trained)?;
            let timed = self.timed(&trained, &work)?;
            let work = work.paced(timed.computing.flop_nanoseconds, work.lan_ticks);
            Ok((timed, training::train(&trained, &work, &timed, progress)?))
        })?;
        Ok(timing::computing(&lan, &held, timed))
    }
}

/// What names a cell, whatever its policy.
fn name(cell: &Cell<'_>) -> String {
    let (profile, workload) = (&cell.profile.name, cell.workload.name());
    format!("{profile} {workload} {} {}", cell.variant, cell.seed)
}

/// The profile over whose sites LAN-BSP is trained: of ready ones that have as many sites the
/// paper's first.
fn trained_over(profile: &Profile) -> Profile {
    let is_ready = Profile::ready(&profile.name).is_some_and(|ready| ready == *profile);
    let mut paper = Profile::PAPER.into_iter().filter_map(Profile::ready);
    let first = paper.find(|ready| is_ready && ready.sites.len() == profile.sites.len());
    first.unwrap_or_else(|| profile.clone())
}

impl Runs for Simulated {
    fn check(&self, plan: &Plan) -> anyhow::Result<()> {
        let planned = |kind: &Kind| plan.comparisons.iter().any(|it| it.workload == *kind);
        let kinds: Vec<_> = Kind::ALL.into_iter().filter(planned).collect();
        Ok(self.data.check(&kinds)?)
    }

    fn run(&self, cell: &Cell<'_>, progress: &dyn Fn(Progress)) -> anyhow::Result<Measured> {
        let work = self.workload(cell)?;
        let timed = self.timed(cell, &work)?;
        let paced = |ticks| work.paced(timed.computing.flop_nanoseconds, ticks);
        match cell.policy {
            Policy::Lan => self.lan(cell, &timed, progress),
            Policy::Baseline => {
                let lan = self.lan(cell, &timed, progress)?;
                Ok(timing::stretched(&lan, &timed, cell.profile.sites.len()))
            },
            Policy::Centralised => {
                let trained = training::train(cell, &paced(work.lan_ticks), &timed, progress)?;
                moving::moved(cell, self.data.path(), trained)
            },
            _ => training::train(cell, &paced(work.more_ticks()), &timed, progress),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lan_is_trained_over_the_same_sites_whatever_is_run() {
        let over = |name| trained_over(&Profile::ready(name).expect("ready")).name;
        assert_eq!(["vc", "ss", "ss-no-delay"].map(over), ["vc"; 3]);
        assert_eq!(["ec2-11", "aws-2022"].map(over), ["ec2-11"; 2]);
        let mut own = Profile::ready("vc").expect("ready");
        own.local.megabits_per_second = 10.0;
        assert_eq!(trained_over(&own), own, "a file may call itself vc");
    }
}
