//! All data sent to one site first.

use std::path::Path;

use anyhow::Context;

use super::super::cell::Cell;
use super::super::measured::{Measured, Sample, Traffic};
use super::super::profile::Link;

/// A run that trains in one site, behind the time that every other site's share of the files, as
/// they are, needs to get there: all at once, each over its own link. The site is the one where
/// that takes least.
pub(super) fn moved(cell: &Cell<'_>, folder: &Path, trained: Measured) -> anyhow::Result<Measured> {
    let mut bytes = 0;
    for name in cell.workload.train_files() {
        let path = folder.join(name);
        let found = std::fs::metadata(&path).with_context(|| path.display().to_string())?;
        bytes += found.len();
    }
    let sites = cell.profile.sites.len();
    let share = bytes / sites as u64;
    let takes = |link: Link| {
        link.round_trip_milliseconds / 1e3 + share as f64 * 8.0 / (link.megabits_per_second * 1e6)
    };
    let last = |to: usize| {
        let from = (0..sites).filter(|from| *from != to);
        from.map(|from| takes(cell.profile.links.get(from, to))).fold(0.0, f64::max)
    };
    let place = (0..sites).min_by(|a, b| last(*a).total_cmp(&last(*b))).unwrap_or(0);
    let sent =
        |site| Traffic { data_bytes: if site == place { 0 } else { share }, ..Traffic::default() };
    let (wait, traffic): (f64, Vec<_>) = (last(place), (0..sites).map(sent).collect());
    let wan_bytes = traffic.iter().map(|site| site.bytes()).sum();
    let start = trained.samples.first().copied();
    let begins = start.map(|first| Sample { seconds: 0.0, wan_bytes: 0, ..first });
    let later = trained.samples.iter();
    let later = later.map(|it| Sample { seconds: it.seconds + wait, wan_bytes, ..*it });
    let samples = begins.into_iter().chain(later).collect();
    Ok(Measured { samples, traffic, ..trained })
}
