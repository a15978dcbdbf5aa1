//! `sim_events`: events per second of the simulator. Measured when the feature `sim` is on.

use crate::race::Outcome;
use crate::report::Report;

pub(crate) fn rows(report: &mut Report) -> Outcome {
    if cfg!(not(feature = "sim")) && report.wants("sim_events") {
        eprintln!("   sim_events needs --features sim");
    }
    Ok(())
}
