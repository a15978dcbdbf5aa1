//! What passes one frame after the other: since when it is busy, and until when.

use crate::node::Stream;
use crate::time::{Duration, Instant};

/// Until when one direction of a link, card or pipe is busy.
///
/// I1. Control delays data, and data never control.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Horizon {
    control_free: Instant,
    data_free: Instant,
}

impl Horizon {
    /// Nothing is under way.
    pub(super) fn free_at(now: Instant) -> Self {
        Self { control_free: now, data_free: now }
    }

    /// When the last byte has left. Control goes ahead of all data that has not left yet.
    pub(super) fn serialise(&mut self, now: Instant, stream: Stream, busy: Duration) -> Instant {
        match stream {
            Stream::Control => {
                self.control_free = self.control_free.max(now).after(busy);
                self.data_free = self.data_free.max(now).after(busy);
                self.control_free
            },
            Stream::Data(_) => {
                self.data_free = self.data_free.max(now).after(busy);
                self.data_free
            },
        }
    }
}

/// How long a frame keeps busy what carries `bytes_per_second`, at least 1.
pub(super) fn busy(bytes: usize, bytes_per_second: u64) -> Duration {
    let nanoseconds = bytes as u128 * 1_000_000_000 / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX))
}
