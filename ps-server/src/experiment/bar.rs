//! How far an experiment is, drawn while it lasts.

use std::fmt;

use archipelago::time::Duration;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::cell::Cell;
use super::runner::Progress;

/// Steps of the bar for one run.
const RUN_STEPS: u64 = 1000;

/// A bar over all runs.
pub(super) struct Bar {
    drawn: ProgressBar,
    runs: usize,
}

impl Bar {
    /// A bar of so many runs; `quiet`, it draws nothing.
    pub(super) fn new(runs: usize, quiet: bool) -> Self {
        let drawn = if quiet { ProgressBar::hidden() } else { drawn(runs) };
        Self { drawn, runs }
    }

    /// A run begins, after so many others.
    pub(super) fn start(&self, finished: usize, cell: &Cell<'_>) {
        self.drawn.set_prefix(format!("{}/{} {cell}", finished + 1, self.runs));
        self.step(finished, Progress { share: 0.0, objective: None });
    }

    /// It is that far.
    pub(super) fn step(&self, finished: usize, progress: Progress) {
        let share = (progress.share.clamp(0.0, 1.0) * RUN_STEPS as f64) as u64;
        self.drawn.set_position(finished as u64 * RUN_STEPS + share);
        if let Some(objective) = progress.objective {
            self.drawn.set_message(format!("objective {objective:.4}"));
        } else if share == 0 {
            self.drawn.set_message("starting");
        }
    }
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
