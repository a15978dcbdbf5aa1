//! How far an experiment is, drawn while it lasts.

use std::fmt;
use std::io::Write;

use archipelago::sync::Mutex;
use archipelago::time::Duration;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::cell::Cell;
use super::runner::{Manner, Progress};
use crate::units;

/// Steps of the bar for one run.
const RUN_STEPS: u64 = 1000;

/// A bar over all runs, of which several may be under way.
pub(super) struct Bar {
    drawn: ProgressBar,
    /// Steps of each run.
    steps: Mutex<Vec<u64>>,
    lines: bool,
}

impl Bar {
    /// A bar of so many runs.
    pub(super) fn new(runs: usize, manner: Manner) -> Self {
        let drawn = if manner.quiet { ProgressBar::hidden() } else { drawn(runs) };
        Self { drawn, steps: Mutex::new(vec![0; runs]), lines: manner.lines }
    }

    /// A run begins.
    pub(super) fn start(&self, run: usize, cell: &Cell<'_>) {
        let runs = self.steps.lock().len();
        self.drawn.set_prefix(format!("{}/{runs} {cell}", run + 1));
        self.step(run, Progress { share: 0.0, objective: None });
    }

    /// It is that far.
    pub(super) fn step(&self, run: usize, progress: Progress) {
        let share = (progress.share.clamp(0.0, 1.0) * RUN_STEPS as f64) as u64;
        let mut steps = self.steps.lock();
        steps[run] = share;
        self.drawn.set_position(steps.iter().sum());
        drop(steps);
        if let Some(objective) = progress.objective {
            self.drawn.set_message(format!("objective {objective:.4}"));
        } else if share == 0 {
            self.drawn.set_message("starting");
        }
    }

    /// A run has ended.
    pub(super) fn end(&self, run: usize, cell: &Cell<'_>, took: Duration) {
        self.step(run, Progress { share: 1.0, objective: None });
        if self.lines {
            let steps = self.steps.lock();
            let ended = steps.iter().filter(|steps| **steps == RUN_STEPS).count();
            let line = line((ended, steps.len()), cell, took);
            // Nobody is there to be told of a closed error stream.
            drop(writeln!(std::io::stderr(), "{line}"));
        }
    }
}

fn line((ended, runs): (usize, usize), cell: &Cell<'_>, took: Duration) -> String {
    let took = units::seconds(took.as_secs_f64());
    format!("{ended} of {runs} runs: {cell}, seed {}, took {took}", cell.seed)
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

fn drawn(runs: usize) -> ProgressBar {
    // Everything is set before the first line is drawn.
    let bar = ProgressBar::new(runs as u64 * RUN_STEPS).with_message("starting");
    if let Ok(style) = ProgressStyle::with_template("{prefix} [{wide_bar}] {msg}{left}") {
        bar.set_style(style.with_key("left", write_left).progress_chars("=> "));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

/// The time left, once there is something to tell it from.
fn write_left(state: &ProgressState, out: &mut dyn fmt::Write) {
    if state.pos() > 0 {
        // A bar has nobody to tell of an error.
        let _ = write!(out, ", {:#} left", HumanDuration(state.eta()));
    }
}

#[cfg(test)]
mod tests {
    use archipelago_workloads::task::Kind;

    use super::super::{Policy, Profile, Variant};
    use super::*;

    #[test]
    fn a_line_says_which_run_has_ended_and_how_many_there_are() {
        let profile = Profile::ready("vc").expect("ready");
        let (workload, variant, policy) = (Kind::Mf, Variant::Usual, Policy::Asp);
        let cell = Cell { profile: &profile, workload, variant, policy, seed: 7 };
        let line = line((3, 9), &cell, Duration::from_millis(12_340));
        assert_eq!(line, "3 of 9 runs: vc mf asp, seed 7, took 12.3 s");
    }
}
