//! One connection between two processes: order, delay, and what a break takes with it.
//!
//! Invariants: I1 without trouble, messages of one stream arrive in the order of their sending; I2
//! a break loses a suffix of what is in flight on each stream, and nothing that was sent before a
//! break arrives after the connection is back.

use std::collections::BTreeMap;

use super::horizon::{Horizon, busy};
use super::pipes::Passage;
use super::profile::LinkProfile;
use crate::node::Stream;
use crate::rng::Rng;
use crate::time::{Duration, Instant};

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) up: bool,
    /// Which life of the connection this is.
    pub(super) epoch: u64,
    /// Until when a partition keeps it down.
    pub(super) cut_until: Instant,
    /// One end has ended for ever.
    pub(super) dead: bool,
    /// From the lower end to the higher, and back.
    pub(super) ways: [Way; 2],
    rng: Rng,
}

/// One direction of a connection.
#[derive(Debug)]
pub(super) struct Way {
    pub(super) profile: LinkProfile,
    /// Whether the profile was given to this link alone: then its delay and bandwidth count beside
    /// what is shared.
    pub(super) own: bool,
    horizon: Horizon,
    floors: BTreeMap<Stream, Instant>,
    in_flight: BTreeMap<u64, InFlight>,
    sent: u64,
}

/// A message under way.
#[derive(Clone, Debug)]
pub(super) struct InFlight {
    pub(super) stream: Stream,
    pub(super) step: &'static str,
    pub(super) frame: Vec<u8>,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It arrives.
    Arrives,
    /// It is lost.
    Dropped,
    /// It arrives twice.
    Duplicated,
    /// It arrives late.
    Late,
    /// It is sent, and the connection breaks.
    Breaks,
}

impl Connection {
    pub(super) fn new(seed: u64, name: &str, profile: LinkProfile) -> Self {
        Self {
            up: false,
            epoch: 0,
            cut_until: Instant::EPOCH,
            dead: false,
            ways: [Way::new(profile), Way::new(profile)],
            rng: Rng::named(seed, name),
        }
    }

    /// Sends a message, which passes what is `shared` if anything is: its fate, its number, and
    /// when it arrives, each time it does.
    pub(super) fn send(
        &mut self,
        now: Instant,
        way: usize,
        shared: Option<Passage>,
        message: InFlight,
    ) -> (Fate, u64, Vec<Instant>) {
        let (way, rng) = (&mut self.ways[way], &mut self.rng);
        let fate = way.fate(rng, message.stream);
        let passage = way.pass(now, shared, message.stream, message.frame.len());
        let Passage { left, latency, jitter_max } = passage;
        let arrival = left.after(latency).after(below(rng, jitter_max));
        let late = arrival.after(latency).after(below(rng, jitter_max));
        let arrivals = match fate {
            Fate::Dropped => Vec::new(),
            Fate::Late => vec![late],
            Fate::Arrives | Fate::Breaks => vec![way.in_order(message.stream, arrival)],
            Fate::Duplicated => vec![way.in_order(message.stream, arrival), late],
        };
        let number = way.sent;
        way.sent += 1;
        if !arrivals.is_empty() {
            way.in_flight.insert(number, message);
        }
        (fate, number, arrivals)
    }

    /// When the connection breaks after trouble.
    pub(super) fn breaks_at(&mut self, now: Instant, way: usize) -> Instant {
        now.after(below(&mut self.rng, self.ways[way].profile.trouble.breaks_within))
    }

    /// Takes a message out of the air; `None` when it was lost.
    pub(super) fn arrive(&mut self, way: usize, number: u64, last: bool) -> Option<InFlight> {
        let in_flight = &mut self.ways[way].in_flight;
        if last { in_flight.remove(&number) } else { in_flight.get(&number).cloned() }
    }

    /// Breaks the connection: of each stream, a suffix of what is in flight is lost. Returns the
    /// steps lost.
    pub(super) fn break_up(&mut self) -> Vec<&'static str> {
        self.up = false;
        let mut lost = Vec::new();
        for way in &mut self.ways {
            let mut streams: BTreeMap<Stream, Vec<u64>> = BTreeMap::new();
            for (number, message) in &way.in_flight {
                streams.entry(message.stream).or_default().push(*number);
            }
            for numbers in streams.into_values() {
                let kept = self.rng.below(numbers.len() as u64 + 1) as usize;
                let suffix = numbers.into_iter().skip(kept);
                lost.extend(suffix.filter_map(|n| Some(way.in_flight.remove(&n)?.step)));
            }
        }
        lost
    }

    /// When a broken connection is back.
    pub(super) fn back_at(&mut self, now: Instant) -> Instant {
        let after = self.ways[0].profile.reconnect_after;
        now.max(self.cut_until).after(after).after(below(&mut self.rng, after))
    }

    /// The connection is up; whatever was still in flight is gone. Returns the steps lost.
    pub(super) fn come_up(&mut self, now: Instant) -> Vec<&'static str> {
        self.up = true;
        self.epoch += 1;
        let mut lost = Vec::new();
        for way in &mut self.ways {
            let gone = std::mem::take(&mut way.in_flight);
            lost.extend(gone.into_values().map(|message| message.step));
            way.floors.clear();
            way.horizon = Horizon::free_at(now);
        }
        lost
    }
}

impl Way {
    fn new(profile: LinkProfile) -> Self {
        Self {
            profile,
            own: false,
            horizon: Horizon::default(),
            floors: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            sent: 0,
        }
    }

    fn fate(&self, rng: &mut Rng, stream: Stream) -> Fate {
        let trouble = self.profile.trouble;
        let times = if stream == Stream::Control { trouble.control_times } else { 1.0 };
        let kinds = [
            (trouble.breaks, Fate::Breaks),
            (trouble.drops, Fate::Dropped),
            (trouble.duplicates, Fate::Duplicated),
            (trouble.reorders, Fate::Late),
        ];
        let mut chance = rng.unit();
        for (probability, fate) in kinds {
            let probability = probability * times;
            if chance < probability {
                return fate;
            }
            chance -= probability;
        }
        Fate::Arrives
    }

    /// Passes what is shared, or this link alone, or both when it was described by itself.
    fn pass(
        &mut self,
        now: Instant,
        shared: Option<Passage>,
        stream: Stream,
        bytes: usize,
    ) -> Passage {
        if let Some(shared) = shared.filter(|_| !self.own) {
            return shared;
        }
        let LinkProfile { latency, jitter_max, bytes_per_second, .. } = self.profile;
        let left = self.horizon.serialise(now, stream, busy(bytes, bytes_per_second));
        let left = shared.map_or(left, |shared| left.max(shared.left));
        Passage { left, latency, jitter_max }
    }

    fn in_order(&mut self, stream: Stream, arrival: Instant) -> Instant {
        let floor = self.floors.entry(stream).or_default();
        *floor = arrival.max(*floor);
        *floor
    }
}

fn below(rng: &mut Rng, bound: Duration) -> Duration {
    let bound = u64::try_from(bound.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(rng.below(bound))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Trouble;

    fn connection(seed: u64, profile: LinkProfile) -> Connection {
        let mut connection = Connection::new(seed, "link", profile);
        connection.come_up(Instant(0));
        connection
    }

    fn send(connection: &mut Connection, at: u64, stream: Stream, bytes: usize) -> (u64, Instant) {
        let message = InFlight { stream, step: "push", frame: vec![0; bytes] };
        let (_, number, arrivals) = connection.send(Instant(at), 0, None, message);
        (number, arrivals[0])
    }

    #[test]
    fn streams_keep_their_order_and_overtake_each_other() {
        let mut overtaken = 0;
        for seed in 0..20 {
            let mut link = connection(seed, LinkProfile::normal());
            let (mut last, mut first) = (Instant(0), Instant(u64::MAX));
            for at in 0..50 {
                let (_, data) = send(&mut link, at, Stream::Data(1), 1000);
                assert!(data >= last, "seed {seed}");
                (last, first) = (data, first.min(data));
            }
            // Control goes ahead of the data that has not left yet.
            overtaken += u32::from(send(&mut link, 50, Stream::Control, 10).1 < last);
        }
        assert!(overtaken > 10, "control waits behind data");
    }

    #[test]
    fn bandwidth_spaces_frames() {
        let profile = LinkProfile::normal().jitter_max(Duration::ZERO).bytes_per_second(1_000_000);
        let mut link = connection(1, profile);
        let (_, a) = send(&mut link, 0, Stream::Data(1), 1000);
        let (_, b) = send(&mut link, 0, Stream::Data(2), 1000);
        assert_eq!(a, Instant::EPOCH.after(profile.latency).after(Duration::from_millis(1)));
        assert_eq!(b.since(a), Duration::from_millis(1));
    }

    #[test]
    fn a_break_loses_a_suffix_of_each_stream_and_a_return_the_rest() {
        let mut kinds = [0; 2];
        for seed in 0..40 {
            let mut link = connection(seed, LinkProfile::normal());
            let numbers: Vec<_> =
                (0..9).map(|i| send(&mut link, 0, Stream::Data(i % 2), 10).0).collect();
            let lost = link.break_up().len();
            for stream in 0..2 {
                let of_stream = numbers.iter().filter(|number| **number % 2 == stream);
                let kept: Vec<_> =
                    of_stream.map(|n| link.ways[0].in_flight.contains_key(n)).collect();
                assert!(kept.is_sorted_by(|a, b| a >= b), "seed {seed}: {kept:?}");
            }
            kinds[usize::from(lost == 0)] += 1;
            link.arrive(0, numbers[0], true);
            link.come_up(Instant(1));
            assert!(numbers.iter().all(|number| link.arrive(0, *number, true).is_none()));
        }
        assert!(kinds[0] > 20);
    }

    #[test]
    fn trouble_strikes_as_often_as_told() {
        let trouble = Trouble { drops: 0.1, control_times: 3.0, ..Trouble::default() };
        let way = Way::new(LinkProfile::normal().trouble(trouble));
        let mut rng = Rng::new(1);
        let mut share = |stream| {
            let fates = (0..10_000).filter(|_| way.fate(&mut rng, stream) == Fate::Dropped);
            fates.count() / 100
        };
        assert!((9..=11).contains(&share(Stream::Data(0))));
        assert!((29..=31).contains(&share(Stream::Control)));
    }
}
