//! `cargo bench --bench remote -- [--json] [--smoke] [FILTER]`: how close a store in another
//! process comes to a bare QUIC connection.
//!
//! Servers are processes of their own: this program, started again. Each row races the store
//! against the same bytes over quinn alone, with the same settings, in the same run. Rows, machine
//! and results: `benches/README.md`.
#![expect(clippy::print_stdout, reason = "rows are what this program is for")]
#![expect(clippy::print_stderr, reason = "progress goes beside the rows")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
#![expect(clippy::unwrap_used, reason = "the test authority's; a benchmark may panic")]

#[path = "../../tests/authority/mod.rs"]
mod authority;
mod bare;
mod child;
mod crowd;
mod dense;
mod latency;
#[path = "../limits/options.rs"]
mod options;
#[path = "../limits/race.rs"]
mod race;
#[path = "../limits/report.rs"]
mod report;
mod sparse;
mod store;

use options::Options;
use race::Outcome;
use report::Report;

fn main() -> Outcome {
    let mut words = std::env::args().skip(1);
    if let Some(role) = child::role(&mut words) {
        return role.play();
    }
    let options = Options::parse(std::env::args().skip(1));
    let mut report = Report::new(&options);
    dense::rows(&mut report, options.smoke)?;
    sparse::rows(&mut report, options.smoke)?;
    latency::rows(&mut report, options.smoke)?;
    crowd::rows(&mut report, options.smoke)?;
    report.finish();
    Ok(())
}
