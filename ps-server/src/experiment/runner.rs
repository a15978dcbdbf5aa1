//! Who runs the cells of a plan, several at a time, and tells what came out in the plan's order.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::mpsc;

use anyhow::Context;
use archipelago::os::Clock;
use archipelago::time::Instant;

use super::bar::Bar;
use super::cell::{Cell, Policy};
use super::measured::{Measured, ResultError};
use super::plan::Plan;
use super::result::{Reference, RunResult};

/// Who runs cells: a simulator, or made-up results in tests.
///
/// The same cell has the same result, to the bit, whatever else is run before or at the same time.
/// What is found on the way (calibration, data that was read) may be kept for other cells.
pub trait Runs: Sync {
    /// Checks that there is what the cells of a plan need, before any of them is run.
    ///
    /// # Errors
    /// What is missing.
    fn check(&self, _plan: &Plan) -> anyhow::Result<()> {
        Ok(())
    }

    /// Runs a cell to its end. `progress` may be told any number of times how far it is.
    ///
    /// # Errors
    /// What keeps the run from its end: the experiment ends then.
    fn run(&self, cell: &Cell<'_>, progress: &dyn Fn(Progress)) -> anyhow::Result<Measured>;
}

/// How far a run is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// Of the whole run, 0 to 1.
    pub share: f64,
    /// The objective last seen.
    pub objective: Option<f64>,
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

/// How a plan is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Manner {
    /// Runs at the same time, 1 or more.
    pub jobs: usize,
    /// Draws no bar.
    pub quiet: bool,
    /// Writes a line on the error stream when a run has ended: where no bar is seen.
    pub lines: bool,
}

/// Runs all cells of a plan, unless `stop` says so before one of them, with an exit code. Each
/// result is told as soon as all before it have been, in the order of the plan; LAN-BSP's when the
/// baseline, which its speed-up needs, is there too.
///
/// # Errors
/// Those of `runs` and of `tell`; [`ResultError`].
pub fn execute(
    plan: &Plan,
    runs: &dyn Runs,
    stop: &dyn Fn() -> Option<u8>,
    manner: Manner,
    tell: &mut dyn FnMut(&RunResult) -> anyhow::Result<()>,
) -> anyhow::Result<Finished> {
    let cells = Queue::new(plan);
    let bar = Bar::new(cells.all.len(), manner);
    let mut told = Told::default();
    let exit_code =
        run_all(&cells, runs, stop, (manner.jobs.max(1), &bar), &mut |place, found| {
            told.add(&cells, place, found, tell)
        })?;
    let (finished, planned) = (told.finished, cells.all.len());
    told.rest(&cells, tell)?;
    let interrupted = exit_code.map(|exit_code| Interrupted { exit_code, finished, planned });
    Ok(Finished { results: told.results, interrupted })
}

/// All cells, each with the number of its comparison.
struct Queue<'a> {
    all: Vec<(usize, Cell<'a>)>,
}

impl<'a> Queue<'a> {
    fn new(plan: &'a Plan) -> Self {
        let groups = plan.cells().into_iter().enumerate();
        let all =
            groups.flat_map(|(group, cells)| cells.into_iter().map(move |cell| (group, cell)));
        Self { all: all.collect() }
    }

    /// The next cell to be begun. A baseline follows from its LAN-BSP, and would only wait for it.
    fn next(&self, begun: &[bool], done: &[bool]) -> Option<usize> {
        let waits = |place: usize| {
            let (group, cell) = &self.all[place];
            let lan =
                self.all.iter().position(|(of, other)| of == group && other.policy == Policy::Lan);
            cell.policy == Policy::Baseline && lan.is_some_and(|lan| !done[lan])
        };
        let mut open = (0..self.all.len()).filter(|place| !begun[*place]);
        let first = open.clone().next();
        open.find(|place| !waits(*place)).or(first)
    }
}

/// Begins cells while there are any and nobody says stop, so many at a time; the exit code if
/// somebody did. `found` is called as they end.
fn run_all(
    cells: &Queue<'_>,
    runs: &dyn Runs,
    stop: &dyn Fn() -> Option<u8>,
    (jobs, bar): (usize, &Bar),
    found: &mut dyn FnMut(usize, anyhow::Result<Measured>) -> anyhow::Result<()>,
) -> anyhow::Result<Option<u8>> {
    let (mut begun, mut done) = (vec![false; cells.all.len()], vec![false; cells.all.len()]);
    let (mut running, mut exit_code, mut failing, mut failed) = (0, None, false, None);
    std::thread::scope(|scope| {
        let (end, ended) = mpsc::channel();
        loop {
            while running < jobs && exit_code.is_none() && !failing && failed.is_none() {
                let Some(place) = cells.next(&begun, &done) else { break };
                exit_code = stop();
                if exit_code.is_none() {
                    (begun[place], running) = (true, running + 1);
                    let (end, cell) = (end.clone(), &cells.all[place].1);
                    scope.spawn(move || {
                        let run = || one(place, cell, runs, bar);
                        // The receiver is there for as long as runs are.
                        drop(end.send((place, catch_unwind(AssertUnwindSafe(run)))));
                    });
                }
            }
            let Some((place, result)) = (running > 0).then(|| ended.recv().ok()).flatten() else {
                break;
            };
            (done[place], running) = (true, running - 1);
            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
            failing |= result.is_err();
            if failed.is_none() {
                failed = found(place, result).err();
            }
        }
    });
    failed.map_or(Ok(exit_code), Err)
}

fn one(place: usize, cell: &Cell<'_>, runs: &dyn Runs, bar: &Bar) -> anyhow::Result<Measured> {
    bar.start(place, cell);
    let clock = Clock::start();
    let measured = runs.run(cell, &|progress| bar.step(place, progress));
    if measured.is_ok() {
        bar.end(place, cell, clock.now().since(Instant::EPOCH));
    }
    measured.with_context(|| format!("{cell}, seed {}", cell.seed))
}

/// Results in the order of the plan.
#[derive(Default)]
struct Told<'a> {
    /// By place; what those before have not been told yet.
    waiting: BTreeMap<usize, anyhow::Result<Measured>>,
    next: usize,
    finished: usize,
    comparison: Compared<'a>,
    results: Vec<RunResult>,
}

impl<'a> Told<'a> {
    fn add(
        &mut self,
        cells: &Queue<'a>,
        place: usize,
        found: anyhow::Result<Measured>,
        tell: &mut dyn FnMut(&RunResult) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.finished += usize::from(found.is_ok());
        self.waiting.insert(place, found);
        while let Some(found) = self.waiting.remove(&self.next) {
            self.next += 1;
            self.tell_one(cells, self.next - 1, found?, tell)?;
        }
        Ok(())
    }

    /// Tells what has ended though something before it was not begun any more.
    fn rest(
        &mut self,
        cells: &Queue<'a>,
        tell: &mut dyn FnMut(&RunResult) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        for (place, found) in std::mem::take(&mut self.waiting) {
            self.tell_one(cells, place, found?, tell)?;
        }
        self.comparison.end(&mut self.results, tell)
    }

    fn tell_one(
        &mut self,
        cells: &Queue<'a>,
        place: usize,
        measured: Measured,
        tell: &mut dyn FnMut(&RunResult) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let (group, cell) = cells.all[place];
        if self.comparison.group != group {
            self.comparison.end(&mut self.results, tell)?;
            self.comparison = Compared { group, ..Compared::default() };
        }
        self.comparison.add(cell, measured)?;
        if cell.policy != Policy::Lan {
            self.comparison.end(&mut self.results, tell)?;
        }
        Ok(())
    }
}

/// Runs that are measured by the same run of LAN-BSP.
#[derive(Default)]
struct Compared<'a> {
    group: usize,
    reference: Option<Reference>,
    /// Not told yet.
    held: Vec<(Cell<'a>, Measured)>,
}

impl<'a> Compared<'a> {
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
