//! How far a run is, drawn while it lasts.

use std::fmt;

use archipelago::id::Rank;
use archipelago::sync::{AtomicU64, Ordering};
use archipelago::time::Duration;
use archipelago_workloads::train::Progress;
use indicatif::{HumanDuration, ProgressBar, ProgressState, ProgressStyle};

use super::job::nats;

/// A progress bar that the workers of this process move.
pub(crate) struct Bar {
    drawn: ProgressBar,
    done: AtomicU64,
    workers: u64,
    /// Who draws.
    first: Rank,
}

impl Bar {
    /// A bar of so many ticks for `workers` workers; `quiet`, it draws nothing.
    pub(crate) fn new(local: &str, ticks: u64, workers: usize, first: Rank, quiet: bool) -> Self {
        let drawn = if quiet { ProgressBar::hidden() } else { drawn(local, ticks) };
        Self { drawn, done: AtomicU64::new(0), workers: workers.max(1) as u64, first }
    }

    /// One of the workers has made a step.
    pub(crate) fn step(&self, step: Progress<'_>) {
        let done = 1 + self.done.fetch_add(1, Ordering::Relaxed);
        if step.rank == self.first {
            self.drawn.set_position(done / self.workers);
            self.drawn.set_message(format!("loss {}", nats(step.loss)));
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

fn drawn(local: &str, ticks: u64) -> ProgressBar {
    // Everything is set before the first line is drawn.
    let bar = ProgressBar::new(ticks).with_message("starting");
    let bar = bar.with_prefix(local.to_owned());
    let template = "{prefix:>9} [{wide_bar}] {pos}/{len} ticks, {msg}{left}";
    if let Ok(style) = ProgressStyle::with_template(template) {
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
