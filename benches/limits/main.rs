//! `cargo bench --bench limits -- [--json] [--smoke] [FILTER]`: how close the embedded store comes
//! to what the machine can do.
//!
//! Every row races the store against its limit in the same run, one round of each in turn, so
//! that a noisy machine slows both. Nothing here decides whether a figure is good: the aim is
//! printed beside it. Rows, machine and results: `benches/README.md`.
#![expect(clippy::print_stdout, reason = "rows are what this program is for")]
#![expect(clippy::print_stderr, reason = "progress goes beside the rows")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod dense;
mod gathered;
mod options;
mod race;
mod report;
mod resident;
mod simulated;
mod sparse;

use options::Options;
use race::Outcome;
use report::Report;

fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    if let Some((name, smoke)) = resident::child(&mut words) {
        return resident::measure(&name, smoke);
    }
    let options = Options::parse(std::env::args().skip(1));
    let mut report = Report::new(&options);
    dense::rows(&mut report, options.smoke)?;
    gathered::rows(&mut report, options.smoke)?;
    sparse::rows(&mut report, options.smoke)?;
    resident::rows(&mut report, options.smoke)?;
    simulated::rows(&mut report, options.smoke)?;
    report.finish();
    Ok(())
}
