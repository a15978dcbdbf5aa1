//! What is trained, with its settings for an experiment.

use archipelago::rules::Sgd;
use archipelago::vector::DType;
use archipelago::{Hyper, Layout, Schedule, TableSpec};
use archipelago_workloads::data::Cut;
use archipelago_workloads::task::{Kind, Task};
use archipelago_workloads::train::Values;

use super::super::cell::Cell;
use super::super::variant::Variant;
use super::{layout, rows};

/// A task with its settings, chosen once by hand and then the same for all policies and links.
#[derive(Clone, Debug)]
pub(super) struct Workload {
    pub(super) task: std::sync::Arc<Task>,
    /// What judges a copy: the same task with fewer held-out rows where it would take long.
    judge: std::sync::Arc<Task>,
    pub(super) workers: u32,
    pub(super) cut: Cut,
    /// By what the time to compute is multiplied outside the first site.
    slower: f64,
    /// Iterations of each worker under LAN-BSP.
    pub(super) lan_ticks: u64,
    /// Iterations of each worker.
    pub(super) ticks: u64,
}

/// Rows of all workers' batches together, and passes over the data. Small batches make many ticks:
/// in the paper's trainings, too, a message takes a small part of the time to converge.
fn pace(kind: Kind) -> (usize, u32) {
    match kind {
        Kind::Mf => (88, 6),
        Kind::Lda => (352, 24),
        Kind::Image => (176, 3),
    }
}

/// Slots of a sparse table, so that its chunks are worth a message.
const SPARSE_SLOTS: u32 = 64;
/// Elements of a dense table's block, so that all servers have some.
const BLOCK_ELEMENTS: u32 = 256;

/// How much longer workers outside the first site compute, where sites are not alike.
const SLOWER: f64 = 3.0;

impl Workload {
    /// What a cell trains, with its settings.
    pub(super) fn new(opened: &Task, cell: &Cell<'_>) -> anyhow::Result<Self> {
        let workers = layout::workers(cell.profile);
        let sorted = cell.variant == Variant::RowsBySite;
        let task = if sorted { rows::sorted(opened)? } else { opened.clone() };
        let mut task = with_settings(task, cell, workers);
        let judge = with_settings(rows::judged(opened)?, cell, workers).into();
        // However rows are cut, there are as many ticks.
        let ticks = task.iterations(workers, &Cut::Even)?;
        task.pace_mut().iterations = Some(ticks);
        let cut = rows::cut(cell.variant, workers);
        let slower = if cell.variant == Variant::UnequalCompute { SLOWER } else { 1.0 };
        let task = task.into();
        Ok(Self { task, judge, workers, cut, slower, lan_ticks: ticks, ticks })
    }

    /// The same with another time to compute and so many iterations. Cost: a copy of the data.
    pub(super) fn paced(&self, flop_nanoseconds: f64, ticks: u64) -> Self {
        let mut task = (*self.task).clone();
        let pace = task.pace_mut();
        (pace.flop_nanoseconds, pace.iterations) = (flop_nanoseconds, Some(ticks));
        Self { task: task.into(), ticks, ..self.clone() }
    }

    /// Iterations for policies that may need a quarter more than Bsp to learn as much.
    pub(super) fn more_ticks(&self) -> u64 {
        self.lan_ticks + self.lan_ticks / 4
    }

    /// The same as workers outside the first site have it.
    pub(super) fn elsewhere(&self) -> Self {
        if self.slower == 1.0 {
            return self.clone();
        }
        self.paced(self.task.pace().flop_nanoseconds * self.slower, self.ticks)
    }

    /// The tables to create.
    pub(super) fn tables(&self) -> anyhow::Result<Vec<(TableSpec, Hyper)>> {
        let tables = self.task.tables(self.workers)?.into_iter();
        let cut = |(spec, hyper): (TableSpec, Hyper)| match spec.layout {
            Layout::Sparse => (spec.slots(SPARSE_SLOTS), hyper),
            Layout::Dense => (spec.block_elements(BLOCK_ELEMENTS), hyper),
        };
        Ok(tables.map(cut).collect())
    }

    /// Bytes of all values.
    pub(super) fn model_bytes(&self) -> anyhow::Result<u64> {
        let tables = self.tables()?;
        let bytes =
            |spec: &TableSpec| spec.rows() * u64::from(spec.width) * spec.dtype.bytes() as u64;
        Ok(tables.iter().map(|(spec, _)| bytes(spec)).sum())
    }

    /// Whether the model's elements are counts.
    pub(super) fn counts(&self) -> anyhow::Result<bool> {
        Ok(self.tables()?.iter().any(|(spec, _)| spec.dtype == DType::I64))
    }

    /// The objective of a copy; NaN when it is none any more.
    pub(super) fn judge(&self, values: &Values) -> f64 {
        self.judge.judge(values).map_or(f64::NAN, |found| found.objective.value)
    }

    /// What the objective is called, and whether more is better.
    pub(super) fn objective(&self, values: &Values) -> anyhow::Result<super::super::Objective> {
        let found = self.judge.judge(values)?.objective;
        Ok(super::super::Objective { name: found.name.into(), rising: found.rising })
    }
}

fn with_settings(mut task: Task, cell: &Cell<'_>, workers: u32) -> Task {
    let (batch, epochs) = pace(cell.workload);
    let pace = task.pace_mut();
    pace.batch = (batch / workers as usize).max(1);
    (pace.epochs, pace.seed, pace.final_model) = (epochs, cell.seed, None);
    // Of rates in steps of 2 those with which LAN-BSP has learned most in the end, alone; variants
    // show the others.
    let factor = cell.variant.rate_factor();
    match &mut task {
        Task::Mf { config, .. } => config.rate = Schedule::inverse_sqrt(0.3 * factor),
        Task::Cnn { config, .. } => {
            // Momentum, the default, amplifies what comes late: over Virginia with California it
            // never came to 99 % of what LAN-BSP learns.
            (config.rule, config.rate) = (Sgd.into(), Schedule::Constant(0.2 * factor));
        },
        _ => {},
    }
    task
}
