//! `dense_push_bsp`: four threads contribute to one range in reverse order of rank, then tick, the
//! lowest rank last; its tick closes the round. One thread works at a time, so that the sum of
//! the calls' times is what the round costs; waking the next thread is not part of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use archipelago::sync::{AtomicU64, Condvar, Mutex, Ordering};
use archipelago::vector::kernels;
use archipelago::{Bsp, Hyper, Store, TablePolicy, TableSpec};

use crate::dense::{aim_from, size_name, sizes};
use crate::race::{Outcome, Plan, median};
use crate::report::{Report, Row};

const THREADS: usize = 4;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    for bytes in sizes(smoke) {
        let name = format!("dense_push_bsp/{}", size_name(bytes));
        if !report.wants(&name) {
            continue;
        }
        let (limit, value, stash) = measure(bytes, Plan::new(smoke))?;
        let rate = |seconds: f64| (bytes * THREADS) as f64 / seconds / 1e9;
        report.row(&Row {
            name,
            value: rate(value),
            limit: rate(limit),
            unit: "GB/s",
            aim: aim_from(bytes, 0.50),
            note: format!("peak stash {:.2} MiB", stash as f64 / f64::from(1 << 20)),
        });
    }
    Ok(())
}

/// Seconds per round of four axpys and of the store; the most bytes ever stashed.
fn measure(bytes: usize, plan: Plan) -> Outcome<(f64, f64, u64)> {
    let elements = bytes / size_of::<f32>();
    let store = Store::in_memory();
    // Everybody but the lowest rank arrives early: the stash has to hold all of it.
    let policy = TablePolicy::local(Bsp).bsp_stash_bytes_max((THREADS * bytes).max(1 << 20));
    let spec = TableSpec::dense("w", elements as u64);
    let table = store.ensure_table(spec, policy, Hyper::default())?;
    let group = store.group("g", u32::try_from(THREADS)?)?;
    let members: Vec<_> = (0..THREADS)
        .map(|_| group.join_blocking())
        .collect::<Result<_, _>>()?;
    let y = Mutex::new(vec![1.0_f32; elements]);
    // 1 GiB is pushed from one place: four would not fit a machine of 16 GiB.
    let shared = Arc::new(vec![1e-6_f32; elements]);
    let values: Vec<Arc<Vec<f32>>> = (0..THREADS)
        .map(|_| match bytes {
            0..0x4000_0000 => Arc::new(shared.to_vec()),
            _ => Arc::clone(&shared),
        })
        .collect();
    let limit = |rank: usize| {
        kernels::add_assign(&mut y.lock()[..], &values[rank][..]);
        Ok(())
    };
    let push = |rank: usize| {
        Ok(members[rank]
            .push(&table, .., &values[rank][..])
            .map(drop)?)
    };
    let tick = |rank: usize| Ok(members[rank].tick().map(drop)?);
    let calls = (plan.rounds / 2) as u64 * plan.round.as_nanos() as u64;
    let rounds = (calls / (bytes as u64 / 4)).clamp(5, 101) as usize;
    let (mut limits, mut own) = (Vec::new(), Vec::new());
    let phases: [Phase<'_>; 3] = [&limit, &push, &tick];
    let turns = Turns::new(&phases);
    turns.run(rounds + 2, |seconds| {
        limits.push(seconds[0]);
        own.push(seconds[1] + seconds[2]);
    })?;
    let stash = store.stats().tables[0].shards.stash_bytes_peak;
    Ok((median(limits.split_off(2)), median(own.split_off(2)), stash))
}

/// What one rank does in one phase of a round.
type Phase<'a> = &'a (dyn Fn(usize) -> Outcome + Sync);

/// Threads that work one after the other, highest rank first.
struct Turns<'a> {
    phases: &'a [Phase<'a>],
    turn: Mutex<usize>,
    moved: Condvar,
    nanoseconds: AtomicU64,
}

impl<'a> Turns<'a> {
    fn new(phases: &'a [Phase<'a>]) -> Self {
        Self {
            phases,
            turn: Mutex::new(0),
            moved: Condvar::new(),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Runs the rounds; reports the seconds of each round's phases.
    fn run(&self, rounds: usize, mut each: impl FnMut(&[f64])) -> Outcome {
        let phases = self.phases.len();
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS)
                .map(|rank| scope.spawn(move || self.work(rank, rounds)))
                .collect();
            let mut seconds = Vec::new();
            for turn in 0..rounds * phases {
                // The turn after the four ranks' is the recorder's.
                self.wait(turn * (THREADS + 1) + THREADS);
                seconds.push(self.nanoseconds.swap(0, Ordering::AcqRel) as f64 * 1e-9);
                if seconds.len() == phases {
                    each(&seconds);
                    seconds.clear();
                }
                self.pass();
            }
            let mut ends = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
            ends.try_for_each(|end| end.unwrap_or_else(|_| Err("a thread panicked".into())))
        })
    }

    fn work(&self, rank: usize, rounds: usize) -> Outcome {
        let mut first_error = Ok(());
        for phase in 0..rounds * self.phases.len() {
            self.wait(phase * (THREADS + 1) + THREADS - 1 - rank);
            let start = Instant::now();
            let outcome = self.phases[phase % self.phases.len()](rank);
            let lasted: Duration = start.elapsed();
            self.nanoseconds
                .fetch_add(lasted.as_nanos() as u64, Ordering::AcqRel);
            first_error = first_error.and(outcome);
            self.pass();
        }
        first_error
    }

    fn wait(&self, mine: usize) {
        let mut turn = self.turn.lock();
        while *turn != mine {
            self.moved.wait(&mut turn);
        }
    }

    fn pass(&self) {
        *self.turn.lock() += 1;
        self.moved.notify_all();
    }
}
