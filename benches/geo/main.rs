//! `cargo bench --bench geo -- [--json] [--smoke] [FILTER]`: what a data centre pays per block for
//! the others: finding what is significant, adding what they send.
//!
//! Every row races the library against its limit in the same run, one round of each in turn, so
//! that a noisy machine slows both. Nothing here decides whether a figure is good: the aim is
//! printed beside it. Rows, machine and results: `benches/README.md`.
#![expect(clippy::print_stdout, reason = "rows are what this program is for")]
#![expect(clippy::print_stderr, reason = "progress goes beside the rows")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod apply;
#[path = "../limits/options.rs"]
mod options;
mod pass;
#[path = "../limits/race.rs"]
mod race;
#[expect(dead_code, reason = "shared with programs whose rows have other aims")]
#[path = "../limits/report.rs"]
mod report;
mod sea;
mod speed;
mod tick;

use archipelago::rng::Rng;
use archipelago::vector::Element;
use options::Options;
use race::Outcome;
use report::Report;

/// Elements of a block of the store.
const BLOCK: usize = 65_536;
/// Elements that are worth sending, of a hundred: Gaia reports 3 to 5 at a threshold of 0.01.
const SIGNIFICANT_PERCENT: u64 = 5;

fn main() -> Outcome {
    let options = Options::parse(std::env::args().skip(1));
    let mut report = Report::new(&options);
    pass::rows(&mut report, options.smoke)?;
    apply::rows(&mut report, options.smoke)?;
    tick::rows(&mut report, options.smoke)?;
    speed::rows(&mut report, options.smoke)?;
    report.finish();
    Ok(())
}

/// Bytes of a table: larger than the last cache level.
fn table_bytes(smoke: bool) -> usize {
    if smoke { 1 << 20 } else { 64 << 20 }
}

/// `chosen` at random places, [`SIGNIFICANT_PERCENT`] of all, `other` elsewhere. Places depend on
/// the seed alone.
fn scattered<T: Element>(seed: u64, elements: usize, chosen: f64, other: f64) -> Vec<T> {
    let mut random = Rng::named(seed, "significant");
    let mut one = || if random.below(100) < SIGNIFICANT_PERCENT { chosen } else { other };
    (0..elements).map(|_| T::from_f64(one())).collect()
}
