//! What a server measures of the ways to servers of other data centres, and how much it lets be
//! under way on each.

use crate::consistency::LinkView;
use crate::id::TableId;
use crate::limits;
use crate::node::mirror::Told;
use crate::time::{Duration, Instant};

/// The way to one server elsewhere.
#[derive(Debug, Default)]
pub(super) struct Link {
    pub(super) up: bool,
    bytes_per_second: Option<f64>,
    round_trip: Option<Duration>,
    /// Since when confirmations have been counted without a pause, and their bytes.
    busy: Option<(Instant, u64)>,
    /// How much of what was said on this connection was not taken.
    refusals: u32,
    /// The table of which something was told last.
    pub(super) last_table: TableId,
}

/// What is logged of a connection on which nonsense is said without end.
const REFUSALS_LOGGED_MAX: u32 = 16;

/// The least time over which a rate is measured.
const SAMPLE_MIN: Duration = Duration::from_millis(5);
/// What is left of a rate when the next measurement is lower: jitter is no change.
const RATE_KEPT: f64 = 0.9;

impl Link {
    /// A connection is up: what was counted of the one before says nothing any more.
    pub(super) fn connected(&mut self) {
        self.up = true;
        self.round_trip = None;
        self.busy = None;
        self.refusals = 0;
    }

    /// Something that was said is not taken: whether to log it, so that nobody can fill a disk.
    pub(super) fn refuses(&mut self) -> bool {
        self.refusals = self.refusals.saturating_add(1);
        if self.refusals == REFUSALS_LOGGED_MAX {
            tracing::warn!("a mirror says much that is not taken: the rest is not logged");
        }
        self.refusals <= REFUSALS_LOGGED_MAX
    }

    /// Something was confirmed, and `left` bytes are still under way.
    pub(super) fn confirmed(&mut self, now: Instant, told: Told, left: usize) {
        if let Some(sent_at) = told.sent_at {
            let took = now.since(sent_at);
            self.round_trip = Some(self.round_trip.map_or(took, |least| least.min(took)));
        }
        // What comes first has left before anything was measured: it only begins the time.
        let (since, bytes) = match self.busy {
            Some((since, bytes)) => (since, bytes + told.bytes as u64),
            None => (now, 0),
        };
        let lasted = now.since(since);
        self.busy = Some((since, bytes));
        if lasted >= SAMPLE_MIN.max(self.round_trip.unwrap_or_default()) {
            self.measured(bytes as f64 / lasted.as_secs_f64(), left > 0);
            self.busy = Some((now, 0));
        }
        if left == 0 {
            self.busy = None;
        }
    }

    /// Who had nothing more to send has measured what it had to send, which is less than the rate.
    fn measured(&mut self, rate: f64, busy: bool) {
        let held = self.bytes_per_second.unwrap_or(rate);
        let kept = if busy { held * RATE_KEPT } else { held };
        self.bytes_per_second = Some(rate.max(kept));
    }

    /// How many bytes may be under way: twice what the way holds.
    pub(super) fn window_bytes(&self) -> usize {
        let least = limits::MIRROR_INFLIGHT_BYTES_MIN;
        match (self.bytes_per_second, self.round_trip) {
            (Some(rate), Some(round_trip)) => {
                let twice = 2.0 * rate * round_trip.as_secs_f64();
                (twice as usize).clamp(least, limits::MIRROR_INFLIGHT_BYTES_MAX)
            },
            _ => least,
        }
    }

    /// What was measured.
    pub(super) fn view(&self) -> LinkView {
        LinkView {
            bytes_per_second: self.bytes_per_second,
            round_trip: self.round_trip,
            ..LinkView::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_refusals_of_a_connection_are_logged() {
        let mut link = Link::default();
        for _ in 0..2 {
            link.connected();
            let logged = (0..100).filter(|_| link.refuses()).count();
            assert_eq!(logged, REFUSALS_LOGGED_MAX as usize);
        }
    }

    #[test]
    fn the_window_grows_to_twice_what_a_busy_way_holds_and_keeps_its_rate_when_idle() {
        let mut link = Link::default();
        assert_eq!(link.window_bytes(), limits::MIRROR_INFLIGHT_BYTES_MIN);
        let mut confirm = |at: u64, bytes, left| {
            let now = Instant(at * 1_000_000);
            let sent_at = Some(Instant((at - 100) * 1_000_000));
            link.confirmed(now, Told { bytes, sent_at }, left);
            (link.bytes_per_second.unwrap_or_default(), link.window_bytes())
        };
        confirm(1000, 100_000, 1);
        assert_eq!(confirm(1100, 100_000, 1), (1_000_000.0, 200_000));
        assert_eq!(confirm(1200, 100_000, 0).0, 1_000_000.0, "nothing more to send");
        confirm(1300, 1000, 1);
        assert_eq!(confirm(1400, 1000, 1).0, 900_000.0, "slower, bit by bit");
    }
}
