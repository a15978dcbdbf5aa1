//! Several data centres in the simulator: scenarios that read like stage directions, and the laws
//! that hold between copies (SPEC laws 4, 6, 7, 8 and 9).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "geo_scenarios/convex.rs"]
mod convex;
#[path = "geo_scenarios/ends.rs"]
mod ends;
#[path = "geo_scenarios/equal.rs"]
mod equal;
#[path = "geo_scenarios/faults.rs"]
mod faults;
#[path = "geo_scenarios/hubs.rs"]
mod hubs;
#[path = "geo_scenarios/late.rs"]
mod late;
#[path = "geo_scenarios/means.rs"]
mod means;
#[path = "geo_scenarios/play.rs"]
mod play;
#[path = "geo_scenarios/rules.rs"]
mod rules;
#[path = "geo_scenarios/shapes.rs"]
mod shapes;
#[path = "geo_scenarios/strangers.rs"]
mod strangers;
#[path = "geo_scenarios/turns.rs"]
mod turns;
#[path = "geo_scenarios/values.rs"]
mod values;
#[path = "geo_scenarios/warnings.rs"]
mod warnings;
