//! Cells run in the simulator, on real models and data.
//!
//! Under Bsp what is learned does not depend on links: LAN-BSP is trained once for each number of
//! sites, workload and seed, and the baseline has its curve, with the time and traffic of its own
//! ticks. Everything else is trained over its own links.

mod layout;
mod moving;
mod timing;
mod training;
mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context;
use archipelago_workloads::task::Kind;

use super::cell::{Cell, Policy};
use super::result::Measured;
use super::runner::{Progress, Runs};
use timing::Calibrated;
use workload::Workload;

/// Runs cells in the simulator.
#[derive(Debug)]
pub struct Simulated {
    /// Where the data files are.
    data: PathBuf,
    /// The workload at hand.
    workload: Option<(Kind, u32, u64, Workload)>,
    /// By profile, workload and seed.
    calibrated: BTreeMap<String, Calibrated>,
    /// LAN-BSP, by sites, workload and seed.
    lan: BTreeMap<(usize, &'static str, u64), (Calibrated, Measured)>,
}

impl Simulated {
    /// Runs on the data files of a folder.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        let (calibrated, lan) = (BTreeMap::new(), BTreeMap::new());
        Self { data: data.into(), workload: None, calibrated, lan }
    }

    fn workload(&mut self, cell: &Cell<'_>) -> anyhow::Result<Workload> {
        let workers = layout::workers(cell.profile);
        match &self.workload {
            Some((kind, held, seed, workload))
                if (*kind, *held, *seed) == (cell.workload, workers, cell.seed) =>
            {
                Ok(workload.clone())
            },
            _ => {
                let opened = Workload::open(cell.workload, &self.data, workers, cell.seed);
                let workload = opened.context("the data (--data names its folder)")?;
                let place = (cell.workload, workers, cell.seed, workload.clone());
                self.workload = Some(place);
                Ok(workload)
            },
        }
    }

    /// The time to compute at which the baseline is as slow as the paper's.
    fn calibrated(&mut self, cell: &Cell<'_>, work: &Workload) -> anyhow::Result<Calibrated> {
        let name = format!("{} {} {}", cell.profile.name, cell.workload.name(), cell.seed);
        if let Some(held) = self.calibrated.get(&name) {
            return Ok(*held);
        }
        let found = timing::calibrate(cell, work)?;
        self.calibrated.insert(name, found);
        Ok(found)
    }
}

impl Runs for Simulated {
    fn run(&mut self, cell: &Cell<'_>, progress: &dyn Fn(Progress)) -> anyhow::Result<Measured> {
        let workload = self.workload(cell)?;
        let calibrated = self.calibrated(cell, &workload)?;
        let workload = workload.computing(calibrated.flop_nanoseconds);
        let sites = cell.profile.sites.len();
        let key = (sites, cell.workload.name(), cell.seed);
        match (cell.policy, self.lan.get(&key)) {
            (Policy::Lan, Some((held, lan))) => Ok(timing::computing(lan, held, &calibrated)),
            (Policy::Baseline, Some((held, lan))) => {
                let lan = timing::computing(lan, held, &calibrated);
                Ok(timing::stretched(&lan, &calibrated, sites))
            },
            (Policy::Lan, None) => {
                let measured = training::train(cell, &workload, &calibrated, progress)?;
                self.lan.insert(key, (calibrated, measured.clone()));
                Ok(measured)
            },
            (Policy::Baseline, None) => training::train(cell, &workload, &calibrated, progress),
            (Policy::Centralised, _) => {
                let trained = training::train(cell, &workload, &calibrated, progress)?;
                moving::moved(cell, &self.data, trained)
            },
            _ => training::train(cell, &workload.longer(), &calibrated, progress),
        }
    }
}
