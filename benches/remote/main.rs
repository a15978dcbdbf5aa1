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
#[path = "../limits/race.rs"]
mod race;
#[path = "../limits/report.rs"]
mod report;
mod sparse;
mod store;

use race::Outcome;
use report::Report;

/// What was asked for on the command line.
#[derive(Debug)]
struct Options {
    json: bool,
    /// Tiny sizes: shows that everything runs, not how fast.
    smoke: bool,
    filter: Option<String>,
}

impl Options {
    fn parse(words: impl Iterator<Item = String>) -> Self {
        let mut options = Self { json: false, smoke: false, filter: None };
        for word in words {
            match word.as_str() {
                "--json" => options.json = true,
                "--smoke" => options.smoke = true,
                // Cargo's own.
                "--bench" => {},
                _ => options.filter = Some(word),
            }
        }
        options
    }
}

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
