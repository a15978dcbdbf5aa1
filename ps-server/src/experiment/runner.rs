//! Which cells are run, in which order, and by whom.

use super::arguments::GaiaArguments;
use super::bar::Bar;
use super::cell::{Cell, Policy};
use super::profile::Profile;
use super::profile_error::ProfileError;
use super::result::{Measured, Reference, ResultError, RunResult};
use anyhow::Context;
use archipelago_workloads::task::Kind;

/// Seeds of `--full`.
const FULL_SEEDS: u64 = 5;

/// Who runs cells: a simulator, or made-up results in tests.
///
/// The same cell has the same result, to the bit, whatever was run before. Cells of one profile,
/// workload and seed come one after the other, [`Policy::Lan`] first, then [`Policy::Baseline`]:
/// what is found there (calibration, data that was read) may be kept for those that follow.
pub trait Runs {
    /// Runs a cell to its end. `progress` may be told any number of times how far it is.
    ///
    /// # Errors
    /// What keeps the run from its end: the experiment ends then.
    fn run(&mut self, cell: &Cell<'_>, progress: &dyn Fn(Progress)) -> anyhow::Result<Measured>;
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Of the whole run, 0 to 1.
    pub share: f64,
    /// The objective last seen.
    pub objective: Option<f64>,
}

/// All cells of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// Over which links.
    pub profiles: Vec<Profile>,
    /// What is trained.
    pub workloads: Vec<Kind>,
    /// How; LAN-BSP first, then the baseline, if there.
    pub policies: Vec<Policy>,
    /// Each of them once more.
    pub seeds: Vec<u64>,
}

impl Plan {
    /// What a command line asks for.
    ///
    /// # Errors
    /// A profile that there is not, or that is wrong.
    pub fn new(arguments: &GaiaArguments) -> Result<Self, ProfileError> {
        let profiles = match arguments.profile.as_str() {
            "all" => Profile::PAPER.iter().map(|name| Profile::named(name)).collect(),
            name => Profile::named(name).map(|profile| vec![profile]),
        };
        let policies: &[Policy] = if arguments.full { &Policy::ALL } else { &Policy::USUAL };
        let seeds = if arguments.full { FULL_SEEDS } else { 1 };
        Ok(Self {
            profiles: profiles?,
            workloads: arguments.workload.kinds(),
            policies: policies.to_vec(),
            seeds: (0..seeds).map(|seed| arguments.seed.wrapping_add(seed)).collect(),
        })
    }

    /// The cells in the order in which they are run, those that are compared together.
    pub fn cells(&self) -> Vec<Vec<Cell<'_>>> {
        let mut cells = Vec::new();
        for profile in &self.profiles {
            for &workload in &self.workloads {
                for &seed in &self.seeds {
                    let cell = |&policy: &Policy| Cell { profile, workload, policy, seed };
                    cells.push(self.policies.iter().map(cell).collect());
                }
            }
        }
        cells
    }
}

/// What runs of a plan that were finished came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Finished {
    /// In the order of the plan.
    pub results: Vec<RunResult>,
    /// That it was stopped before its end.
    pub interrupted: Option<Interrupted>,
}

/// An experiment was told to stop, and has reported what it had.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stopped after {finished} of {planned} runs: those are reported")]
pub struct Interrupted {
    /// What the process ends with.
    pub exit_code: u8,
    /// Runs that have come to their end.
    pub finished: usize,
    /// All runs of the plan.
    pub planned: usize,
}

/// Runs all cells of a plan, unless `stop` says so before one of them, with an exit code. Each
/// result is told at once; LAN-BSP's when the baseline, which its speed-up needs, is there too.
///
/// # Errors
/// Those of `runs` and of `tell`; [`ResultError`].
pub fn execute(
    plan: &Plan,
    runs: &mut dyn Runs,
    stop: &dyn Fn() -> Option<u8>,
    quiet: bool,
    tell: &mut dyn FnMut(&RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<Finished> {
    let compared = plan.cells();
    let planned = compared.iter().map(Vec::len).sum();
    let bar = Bar::new(planned, quiet);
    let (mut finished, mut results) = (0, Vec::new());
    for cells in compared {
        let mut comparison = Comparison::default();
        for cell in &cells {
            if let Some(exit_code) = stop() {
                comparison.end(&mut results, tell)?;
                let interrupted = Some(Interrupted { exit_code, finished, planned });
                return Ok(Finished { results, interrupted });
            }
            bar.start(finished, cell);
            let measured = runs.run(cell, &|progress| bar.step(finished, progress));
            let measured = measured.with_context(|| format!("{cell}, seed {}", cell.seed))?;
            comparison.add(*cell, measured)?;
            if cell.policy != Policy::Lan {
                comparison.end(&mut results, tell)?;
            }
            finished += 1;
        }
        comparison.end(&mut results, tell)?;
    }
    Ok(Finished { results, interrupted: None })
}

/// Runs that are measured by the same run of LAN-BSP.
#[derive(Default)]
struct Comparison<'a> {
    reference: Option<Reference>,
    /// Not told yet.
    held: Vec<(Cell<'a>, Measured)>,
}

impl<'a> Comparison<'a> {
    fn add(&mut self, cell: Cell<'a>, measured: Measured) -> Result<(), ResultError> {
        match cell.policy {
            Policy::Lan => self.reference = Some(Reference::new(&cell, &measured)?),
            Policy::Baseline => {
                let reference = self.reference.take();
                self.reference = reference.map(|held| held.with_baseline(&measured));
            },
            _ => {},
        }
        self.held.push((cell, measured));
        Ok(())
    }

    fn end(
        &mut self,
        results: &mut Vec<RunResult>,
        tell: &mut dyn FnMut(&RunResult) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (cell, measured) in self.held.drain(..) {
            let missing = || ResultError::NoReference { cell: cell.to_string() };
            let reference = self.reference.as_ref().ok_or_else(missing)?;
            let result = RunResult::new(&cell, measured, reference)?;
            tell(&result)?;
            results.push(result);
        }
        Ok(())
    }
}
