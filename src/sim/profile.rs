//! What a link is like: delay, bandwidth, and what goes wrong on it.

use crate::time::Duration;

/// One direction of a link.
///
/// Under a [`Topology`](super::Topology) the delay and bandwidth of most connections come from
/// there; those of a link that is described by itself (`Builder::link`, `Fault::Link`) from here.
///
/// ```
/// use archipelago::sim::LinkProfile;
/// use archipelago::time::Duration;
/// let wan = LinkProfile::normal().latency(Duration::from_millis(80)).bytes_per_second(2_000_000);
/// assert_eq!(wan.trouble, Default::default());
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LinkProfile {
    /// How long the first byte travels.
    pub latency: Duration,
    /// The most that chance adds to it: packet loss and queues show as delay. Streams have
    /// delays of their own, and so overtake each other.
    pub jitter_max: Duration,
    /// Frames follow each other at this rate; control frames go ahead of data.
    pub bytes_per_second: u64,
    /// How long after a break the connection is up again.
    pub reconnect_after: Duration,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// Probabilities per message of what a connection never does by itself. Each is followed by a
/// break of the connection within `breaks_within`, since nodes rely on connections.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trouble {
    /// The connection breaks.
    pub breaks: f64,
    /// The message is lost.
    pub drops: f64,
    /// The message arrives twice.
    pub duplicates: f64,
    /// The message arrives late, behind others of its stream.
    pub reorders: f64,
    /// How much more often all of this hits control messages, which are few.
    pub control_times: f64,
    /// By when the connection breaks after a message that was dropped, repeated or late.
    pub breaks_within: Duration,
}

impl Default for Trouble {
    /// None.
    fn default() -> Self {
        Self {
            breaks: 0.0,
            drops: 0.0,
            duplicates: 0.0,
            reorders: 0.0,
            control_times: 1.0,
            breaks_within: Duration::ZERO,
        }
    }
}

impl LinkProfile {
    /// A local network of 1 Gbit/s with half a millisecond of latency, where nothing goes wrong.
    pub fn normal() -> Self {
        Self {
            latency: Duration::from_micros(500),
            jitter_max: Duration::from_micros(300),
            bytes_per_second: 125_000_000,
            reconnect_after: Duration::from_millis(20),
            trouble: Trouble::default(),
        }
    }

    /// The same with large jitter, and everything going wrong that can.
    pub fn hostile() -> Self {
        let trouble = Trouble {
            breaks: 0.0005,
            drops: 0.001,
            duplicates: 0.001,
            reorders: 0.002,
            control_times: 10.0,
            breaks_within: Duration::from_millis(30),
        };
        Self { jitter_max: Duration::from_millis(5), trouble, ..Self::normal() }
    }

    /// Sets the latency.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// Sets the largest jitter.
    #[must_use]
    pub fn jitter_max(mut self, jitter: Duration) -> Self {
        self.jitter_max = jitter;
        self
    }

    /// Sets the bandwidth, at least 1.
    #[must_use]
    pub fn bytes_per_second(mut self, rate: u64) -> Self {
        self.bytes_per_second = rate.max(1);
        self
    }

    /// Sets what goes wrong.
    #[must_use]
    pub fn trouble(mut self, trouble: Trouble) -> Self {
        self.trouble = trouble;
        self
    }
}
