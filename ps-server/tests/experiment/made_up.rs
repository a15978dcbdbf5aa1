//! Runs whose results are made up: each policy takes its time, known beforehand.

use archipelago::consistency::Goal;
use archipelago::sync::Mutex;
use archipelago_workloads::task::Kind;
use ps_server::experiment::{
    Ablation, Cell, Measured, Objective, Policy, Progress, Runs, Sample, Traffic,
};

/// Samples of a run.
const STEPS: u32 = 20;
/// Virtual seconds of LAN-BSP.
const LAN_SECONDS: f64 = 64.0;

/// What was run, in order, and how.
#[derive(Default)]
pub(crate) struct MadeUp {
    pub(crate) cells: Mutex<Vec<String>>,
    /// ASP needs that much more than the paper says.
    pub(crate) slower: f64,
    /// The cell that fails.
    pub(crate) fails: Option<&'static str>,
}

impl Runs for MadeUp {
    fn run(&self, cell: &Cell<'_>, progress: &dyn Fn(Progress)) -> anyhow::Result<Measured> {
        let name = format!("{cell} {}", cell.seed);
        anyhow::ensure!(self.fails != Some(name.as_str()), "the disk is full");
        self.cells.lock().push(name);
        let measured = measured(cell, self.slower);
        progress(Progress { share: 1.0, objective: measured.samples.last().map(|s| s.objective) });
        Ok(measured)
    }
}

/// Of LAN-BSP's improvement and time: how much of the one, after how much of the other.
fn course(cell: &Cell<'_>, slower: f64) -> (f64, f64) {
    let figures = cell.figures();
    let figure = |figure: fn(&ps_server::experiment::Figures) -> f64, other| {
        figures.as_ref().map_or(other, figure)
    };
    match cell.policy {
        Policy::Lan => (1.0, 1.0),
        Policy::Baseline => (1.0, figure(|paper| paper.baseline_slowdown, 4.0)),
        Policy::Asp => (1.0, slower + figure(|paper| paper.asp_ratio_to_lan, 1.0)),
        Policy::Isolated => (0.75, 0.5),
        Policy::Ablation(Ablation::Async) => (-2.0, 1.0),
        Policy::HandTuned(tuned) if tuned.threshold() == 0.02 => (1.0, 0.4),
        Policy::Auto(Goal::Speed) => (1.0, 0.4 * 1.05),
        Policy::Auto(Goal::Cost) => (1.0, 0.4 * 1.5),
        _ => (1.0, 2.0),
    }
}

pub(crate) fn measured(cell: &Cell<'_>, slower: f64) -> Measured {
    let (improvement, ratio) = course(cell, slower);
    let rising = cell.workload == Kind::Lda;
    let (start, end) = if rising { (-8.0, -7.0) } else { (2.0, 1.0) };
    let wan = cell.policy != Policy::Lan;
    let several = wan && cell.policy != Policy::Centralised;
    let sites = cell.profile.sites.len() as u64;
    let thrifty = matches!(cell.policy, Policy::HandTuned(tuned) if tuned.threshold() == 0.2);
    let data_bytes = if thrifty { 4_000_000 } else { 49_000_000 };
    let site = Traffic { control_bytes: 1_000_000, data_bytes };
    let sample = |step: u32| {
        let time = f64::from(step) / f64::from(STEPS);
        let left = 1.0 - time;
        Sample {
            seconds: time * LAN_SECONDS * ratio,
            objective: start + improvement * (end - start) * (1.0 - left * left * left),
            wan_bytes: if wan {
                sites * site.bytes() * u64::from(step) / u64::from(STEPS)
            } else {
                0
            },
            divergence: several.then_some(0.125 * left),
            staleness: several.then_some(f64::from(step % 3)),
        }
    };
    let filtered = matches!(
        cell.policy,
        Policy::Asp | Policy::Hubs | Policy::Ablation(_) | Policy::HandTuned(_) | Policy::Auto(_)
    );
    Measured {
        objective: Objective { name: "made-up loss".into(), rising },
        samples: (0..=STEPS).map(sample).collect(),
        traffic: vec![if wan { site } else { Traffic::default() }; sites as usize],
        suppressed_share: filtered.then_some(0.96),
        ticks: 500,
        compute_seconds: 0.125,
        model_bytes: 4_000_000,
    }
}
