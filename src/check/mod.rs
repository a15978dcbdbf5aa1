//! Checkers over histories, one law a file: each says where a recorded run breaks the law.
//!
//! A checker trusts nothing but the events. It judges what the history holds and knows no driver;
//! a truncated history is a violation of its own, since what is missing cannot be called good.

mod clocks;
mod courses;
mod law11_tiling;
mod law12_bounded;
mod law1_clock;
mod law2_once;
mod law4_bsp;
mod law4_global;
mod law5_changes;
mod law5_ssp;
mod law5_ticks;
mod law6_bound;
mod law7_conserved;
mod law8_hubs;
mod law8_mirrors;
mod law9_barriers;
mod law9_waits;
mod members;
mod violation;

pub use law1_clock::check_clock;
pub use law2_once::check_once;
pub use law4_bsp::check_bsp;
pub use law4_global::check_global;
pub use law5_changes::check_changes;
pub use law5_ssp::check_ssp;
pub use law5_ticks::check_ticks;
pub use law6_bound::check_bound;
pub use law7_conserved::check_conserved;
pub use law8_hubs::check_hub_clocks;
pub use law8_mirrors::check_mirror_clocks;
pub use law9_barriers::check_barriers;
pub use law9_waits::check_waits;
pub use law11_tiling::check_tiling;
pub use law12_bounded::check_bounded;
pub use violation::{Law, Violation};

use std::collections::BTreeSet;

use crate::history::History;
use crate::id::DataCentre;
use crate::key::KeyRange;
use crate::placement::Overlay;

/// What a checker has to be told, since no event says it.
#[derive(Clone, Debug, Default)]
pub struct Expected {
    /// The domains of the tables, by number. None: placement is not checked.
    pub domains: Vec<KeyRange>,
    /// The data centre of each node, by number. None: all nodes are of one.
    pub data_centres: Vec<DataCentre>,
    /// The groups of data centres, where there are some.
    pub overlay: Option<Overlay>,
    /// By how many ticks the global policy of each table, by number, lets a data centre be ahead
    /// of the slowest, less one; `None` where it does not say.
    pub staleness: Vec<Option<u64>>,
}

/// Every law that a history can show broken. Cost: a few passes over the events.
///
/// ```
/// use archipelago::check::{self, Expected};
/// use archipelago::history::{Event, History};
/// use archipelago::time::Instant;
/// let mut history = History::new();
/// history.push(Instant(5), 0, Event::Held { what: "waiting", count: 9, limit: 7 });
/// let found = check::check_all(&history, &Expected::default());
/// assert_eq!(found.len(), 1);
/// assert_eq!(found[0].to_string(), "law 12 at 5 ns: node 0 holds 9 waiting, the limit is 7");
/// ```
pub fn check_all(history: &History, expected: &Expected) -> Vec<Violation> {
    let mut found = violation::truncated(history);
    let data_centres: BTreeSet<_> = expected.data_centres.iter().copied().collect();
    if data_centres.len() < 2 {
        found.extend(check_one(history, expected));
        return found;
    }
    // Each has groups of its own, with the same numbers.
    for here in data_centres {
        let of_node = |node: u32| expected.data_centres.get(node as usize) == Some(&here);
        found.extend(check_one(&history.of_nodes(of_node), expected));
    }
    found.extend(check_global(history));
    found.extend(check_bound(
        history,
        &expected.data_centres,
        expected.overlay.as_ref(),
        &expected.staleness,
    ));
    let overlay = expected.overlay.as_ref();
    found.extend(check_conserved(history, &expected.data_centres, overlay));
    found.extend(check_mirror_clocks(history));
    if let Some(overlay) = &expected.overlay {
        found.extend(check_hub_clocks(history, &expected.data_centres, overlay));
    }
    found.extend(check_barriers(history));
    found
}

/// The laws of one data centre.
fn check_one(history: &History, expected: &Expected) -> Vec<Violation> {
    let mut found = check_clock(history);
    found.extend(check_once(history));
    found.extend(check_bsp(history));
    found.extend(check_ssp(history));
    found.extend(check_changes(history));
    found.extend(check_ticks(history));
    found.extend(check_waits(history));
    found.extend(check_tiling(history, &expected.domains));
    found.extend(check_bounded(history));
    found
}
