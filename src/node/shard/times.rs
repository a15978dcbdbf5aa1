//! How long the rounds of a shard take, for those who operate it. Counts, and decides nothing.

use std::collections::BTreeMap;

use crate::id::Tick;
use crate::time::{Duration, Instant};

/// How long rounds took that closed with contributions: a histogram with fixed buckets.
///
/// ```
/// use std::time::Duration;
///
/// use archipelago::node::shard::RoundTimes;
///
/// let mut times = RoundTimes::default();
/// times.note(Duration::from_millis(3));
/// let within: Vec<_> = times.buckets().filter(|(_, count)| *count == 1).collect();
/// assert_eq!(within[0].0, Duration::from_millis(5));
/// assert_eq!((times.count(), times.total()), (1, Duration::from_millis(3)));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RoundTimes {
    /// Rounds per bound, none of which is counted twice; the last one is for longer ones.
    counts: [u64; BOUNDS_MILLIS.len() + 1],
    total: Duration,
}

impl RoundTimes {
    /// Counts a round.
    pub fn note(&mut self, took: Duration) {
        let fits = |bound: &u64| took <= Duration::from_millis(*bound);
        let at = BOUNDS_MILLIS.iter().position(fits).unwrap_or(BOUNDS_MILLIS.len());
        self.counts[at] += 1;
        self.total += took;
    }

    /// Bounds, ascending, and how many rounds took no longer.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        let mut sum = 0;
        BOUNDS_MILLIS.iter().zip(self.counts).map(move |(bound, count)| {
            sum += count;
            (Duration::from_millis(*bound), sum)
        })
    }

    /// All rounds.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How long they took together.
    pub fn total(&self) -> Duration {
        self.total
    }
}

/// From a step on one machine to a round over continents with a lost worker in it.
const BOUNDS_MILLIS: [u64; 14] =
    [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000, 10_000, 30_000, 60_000];

/// When the open rounds of one shard began. Bounded as the stash is: a round is kept once
/// somebody has contributed to it, until it closes.
#[derive(Debug, Default)]
pub(super) struct RoundWatch {
    begun: BTreeMap<Tick, Instant>,
    last_close: Instant,
    times: RoundTimes,
}

impl RoundWatch {
    /// Somebody has contributed to a round.
    pub(super) fn contributed(&mut self, now: Instant, round: Tick) {
        self.begun.entry(round).or_insert(now);
    }

    /// A round has closed. It took from its first contribution, or from the close before where
    /// that came later.
    pub(super) fn closed(&mut self, now: Instant, round: Tick) {
        if let Some(begun) = self.begun.remove(&round) {
            self.times.note(now.since(begun.max(self.last_close)));
        }
        self.last_close = now;
    }

    /// Rounds with contributions that have not closed.
    pub(super) fn open(&self) -> usize {
        self.begun.len()
    }

    pub(super) fn times(&self) -> RoundTimes {
        self.times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_begins_with_its_first_contribution_or_with_the_close_before() {
        let at = |millis| Instant::EPOCH.after(Duration::from_millis(millis));
        let mut watch = RoundWatch::default();
        watch.contributed(at(100), Tick(1));
        watch.contributed(at(104), Tick(1));
        watch.contributed(at(105), Tick(2));
        assert_eq!(watch.open(), 2);
        watch.closed(at(110), Tick(1));
        watch.closed(at(140), Tick(2));
        watch.closed(at(900), Tick(3));
        assert_eq!((watch.open(), watch.times().count()), (0, 2), "nobody contributed to the last");
        assert_eq!(watch.times().total(), Duration::from_millis(10 + 30));
        let counts: Vec<_> = watch.times().buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2]);
        let mut long = RoundTimes::default();
        long.note(Duration::from_secs(61));
        assert_eq!((long.count(), long.buckets().last().unwrap().1), (1, 0));
    }
}
