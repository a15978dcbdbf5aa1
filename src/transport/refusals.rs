//! Log lines about calls that came to nothing: a few a second, then how many there were beside. A
//! flood of strangers must not fill a disk.

use tokio::time::{Duration, Instant, sleep_until};

use crate::error::TransportError;
use crate::sync::{Arc, Mutex};

/// Lines in one second.
const LINES_MAX: u32 = 8;
const SECOND: Duration = Duration::from_secs(1);

/// What was told in this second.
#[derive(Debug, Default)]
pub(super) struct Refusals(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    since: Option<Instant>,
    told: u32,
    untold: u64,
}

/// What becomes of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Line {
    Told,
    /// The first that is only counted: the count is told at that time.
    Counted(Instant),
    CountedToo,
}

impl Refusals {
    /// Logs why a call came to nothing, or counts it.
    pub(super) fn tell(self: &Arc<Self>, error: &TransportError) {
        let line = self.0.lock().next(Instant::now());
        match line {
            Line::Told => tracing::warn!(%error, "a connection was not accepted"),
            Line::Counted(until) => {
                let this = Arc::clone(self);
                tokio::spawn(async move {
                    sleep_until(until).await;
                    let count = std::mem::take(&mut this.0.lock().untold);
                    tracing::warn!(count, "more connections were not accepted");
                });
            },
            Line::CountedToo => {},
        }
    }
}

impl Lines {
    fn next(&mut self, now: Instant) -> Line {
        let since = *self.since.get_or_insert(now);
        if now >= since + SECOND {
            (self.since, self.told) = (Some(now), 0);
        }
        if self.told < LINES_MAX {
            self.told += 1;
            return Line::Told;
        }
        self.untold += 1;
        match self.untold {
            1 => Line::Counted(self.since.unwrap_or(now) + SECOND),
            _ => Line::CountedToo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_costs_a_few_lines_a_second_and_one_that_counts_the_rest() {
        let (mut lines, start) = (Lines::default(), Instant::now());
        let mut next = |millis| lines.next(start + Duration::from_millis(millis));
        for _ in 0..LINES_MAX {
            assert_eq!(next(0), Line::Told);
        }
        assert_eq!(next(10), Line::Counted(start + SECOND));
        assert_eq!((next(20), next(999)), (Line::CountedToo, Line::CountedToo));
        assert_eq!(next(1000), Line::Told);
        assert_eq!(lines.untold, 3);
    }
}
