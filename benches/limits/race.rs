//! Two or more ways to do the same thing, timed in turn on any number of threads.

#![allow(dead_code, reason = "shared by two programs, each of which uses one of the races")]

use std::time::{Duration, Instant};

use archipelago::sync::{AtomicBool, AtomicUsize, Mutex, Ordering};

/// What may go wrong is told to whoever started the program.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// One way to do it: one call.
pub(crate) type Contestant<'a> = Box<dyn FnMut() -> Outcome + 'a>;

/// How long and how often.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// A round has as many calls as fit into this, at least one.
    pub(crate) round: Duration,
    /// Rounds per contestant; the median counts.
    pub(crate) rounds: usize,
}

impl Plan {
    pub(crate) fn new(smoke: bool) -> Self {
        let milliseconds = if smoke { 1 } else { 12 };
        Self { round: Duration::from_millis(milliseconds), rounds: if smoke { 3 } else { 21 } }
    }
}

/// Races `contestants` as made by `prepare` on each thread (so that each touches its own memory
/// first). The median seconds of one call on all threads at the same time, per contestant.
pub(crate) fn race<'a>(
    threads: usize,
    plan: Plan,
    prepare: &(dyn Fn(usize) -> Vec<Contestant<'a>> + Sync),
) -> Outcome<Vec<f64>> {
    let track = Track::new(threads, plan);
    let outcomes = std::thread::scope(|scope| {
        let runners: Vec<_> = (0..threads)
            .map(|thread| {
                let track = &track;
                scope.spawn(move || track.run(thread, prepare(thread)))
            })
            .collect();
        let ends = runners.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|_| Err("a thread of the race panicked".into())))
            .collect::<Outcome<Vec<_>>>()
    });
    outcomes?;
    Ok(track.medians())
}

/// Races contestants on the calling thread.
pub(crate) fn race_here(plan: Plan, contestants: Vec<Contestant<'_>>) -> Outcome<Vec<f64>> {
    let track = Track::new(1, plan);
    track.run(0, contestants)?;
    Ok(track.medians())
}

/// Start and end of each thread in one round.
type Lap = Vec<(Instant, Instant)>;

/// Where the threads of a race meet.
struct Track {
    threads: usize,
    plan: Plan,
    arrived: AtomicUsize,
    failed: AtomicBool,
    /// Calls of one round, per contestant; set by thread 0.
    calls: Mutex<Vec<u32>>,
    /// Per contestant and round.
    laps: Mutex<Vec<Vec<Lap>>>,
}

impl Track {
    fn new(threads: usize, plan: Plan) -> Self {
        Self {
            threads,
            plan,
            arrived: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            calls: Mutex::default(),
            laps: Mutex::default(),
        }
    }

    fn run(&self, thread: usize, mut contestants: Vec<Contestant<'_>>) -> Outcome {
        let warm = self.warm_up(thread, &mut contestants);
        self.note(&warm);
        self.meet();
        for round in 0..self.plan.rounds {
            for (index, call) in contestants.iter_mut().enumerate() {
                self.meet();
                // Everybody sees a failure here, because it was noted before the meeting.
                if self.failed.load(Ordering::Acquire) {
                    return warm;
                }
                let calls = self.calls.lock()[index];
                let start = Instant::now();
                let lap = (0..calls).try_for_each(|_| call());
                let end = Instant::now();
                self.note(&lap);
                self.keep(round, index, (start, end));
                self.meet();
                lap?;
            }
        }
        Ok(())
    }

    /// Touches everything twice and lets thread 0 choose the calls of a round.
    fn warm_up(&self, thread: usize, contestants: &mut [Contestant<'_>]) -> Outcome {
        let mut calls = Vec::new();
        for call in contestants {
            call()?;
            let start = Instant::now();
            call()?;
            let one = start.elapsed().max(Duration::from_nanos(50));
            calls.push((self.plan.round.as_nanos() / one.as_nanos()).max(1) as u32);
        }
        if thread == 0 {
            *self.calls.lock() = calls;
        }
        Ok(())
    }

    fn note(&self, outcome: &Outcome) {
        if outcome.is_err() {
            self.failed.store(true, Ordering::Release);
        }
    }

    /// Waits for all threads without sleeping, so that they start together.
    fn meet(&self) {
        let ticket = self.arrived.fetch_add(1, Ordering::AcqRel);
        let complete = (ticket / self.threads + 1) * self.threads;
        let mut turns = 0_u32;
        while self.arrived.load(Ordering::Acquire) < complete {
            turns += 1;
            if turns < 10_000 {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
    }

    fn keep(&self, round: usize, contestant: usize, lap: (Instant, Instant)) {
        let mut laps = self.laps.lock();
        let contestants = laps.len().max(contestant + 1);
        laps.resize_with(contestants, Vec::new);
        let rounds = &mut laps[contestant];
        if rounds.len() <= round {
            rounds.push(Vec::new());
        }
        rounds[round].push(lap);
    }

    fn medians(&self) -> Vec<f64> {
        let (laps, calls) = (self.laps.lock(), self.calls.lock());
        let of = |(rounds, calls): (&Vec<Lap>, &u32)| {
            let seconds = rounds.iter().map(|laps| span(laps) / f64::from(*calls));
            median(seconds.collect())
        };
        laps.iter().zip(calls.iter()).map(of).collect()
    }
}

/// From the first start to the last end.
fn span(laps: &[(Instant, Instant)]) -> f64 {
    let start = laps.iter().map(|lap| lap.0).min();
    let end = laps.iter().map(|lap| lap.1).max();
    let span = start.zip(end).map(|(start, end)| end - start);
    span.unwrap_or_default().as_secs_f64()
}

/// The middle one.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
