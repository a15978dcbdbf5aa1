//! Several tasks of one worker at the same time, and what is given up half-way: nobody waits for
//! what never comes, and nothing counts that was taken back.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Barrier;
use std::task::{Context, Poll, Waker};
use std::thread;

use archipelago::embed::Config;
use archipelago::node::Registry;
use archipelago::os::Clock;
use archipelago::sync::{Arc, AtomicUsize, Ordering};
use archipelago::time::{Duration, Instant};
use archipelago::vector::{ApplyContext, DType, RowsMut, UpdateRule};
use archipelago::{
    AckLevel, Bsp, Combine, Extension, Hyper, KeyList, PushOptions, Store, Table, TablePolicy,
    TableSpec, Worker,
};

const HALF: u64 = 131_072;

fn poll<F: Future>(future: &mut Pin<&mut F>) -> Poll<F::Output> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn store(shards: u32) -> Store {
    let wait_max = Duration::from_secs(5);
    Store::with_config(Config { shards, wait_max, ..Config::default() })
}

/// A table whose stash has room for `HALF` elements of those who are not next in fold order.
fn small_stash(store: &Store, spec: TableSpec) -> Table {
    let policy = TablePolicy::local(Bsp).bsp_stash_bytes_max(HALF as usize * 4 + 256);
    store.ensure_table(spec, policy, Hyper::default()).unwrap()
}

#[test]
fn a_pull_does_not_wait_for_a_push_that_was_taken_back() {
    let store = store(1);
    let w = small_stash(&store, TableSpec::dense("w", HALF + 64));
    let group = store.group("g", 2).unwrap();
    let (_first, second) = (group.join_blocking().unwrap(), group.join().unwrap());
    let (half, one, mut x) = (vec![1.0_f32; HALF as usize], [1.0_f32; 64], [0.0_f32; 64]);
    assert!(poll(&mut pin!(second.push(&w, 0..HALF, &half))).is_ready());
    let mut pull = pin!(second.pull(&w, HALF..HALF + 64, &mut x));
    {
        let mut push = pin!(second.push(&w, HALF..HALF + 64, &one));
        assert!(poll(&mut push).is_pending(), "the stash is full, and another rank is next");
        assert!(poll(&mut pull).is_pending(), "an own push is under way");
    }
    assert!(matches!(poll(&mut pull), Poll::Ready(Ok(_))));
}

#[test]
fn a_push_that_was_taken_back_has_no_weight() {
    let store = store(1);
    let mean = Combine::WeightedMean { round_weight: 1.0 };
    let v = small_stash(&store, TableSpec::dense("v", HALF + 64).combine(mean));
    let group = store.group("g", 3).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join().unwrap());
    let c = group.join_blocking().unwrap();
    c.push(&v, 0..HALF, &vec![3.0_f32; HALF as usize]).unwrap();
    {
        let options = PushOptions { weight: Some(5.0), after: &[] };
        let mut push = pin!(b.push_with(&v, HALF..HALF + 64, &[1.0_f32; 64], options));
        assert!(poll(&mut push).is_pending());
    }
    let options = PushOptions { weight: Some(2.0), after: &[] };
    let none = KeyList::default();
    assert!(matches!(
        poll(&mut pin!(b.push_with(&v, &none, &[0.0_f32; 0], options))),
        Poll::Ready(Ok(_))
    ));
    a.tick().unwrap();
    assert!(poll(&mut pin!(b.tick())).is_ready());
    c.tick().unwrap();
    let mut x = [0.0_f32; 64];
    a.pull(&v, 0..64, &mut x).unwrap();
    assert_eq!(x, [1.0; 64], "3 of weight 1, nothing of weight 2, and 5 is forgotten");
}

#[test]
fn ticks_of_many_tasks_follow_each_other() {
    let store = store(8);
    let policy = TablePolicy::local(Bsp);
    let w = store.ensure_table(TableSpec::dense("w", 1000), policy, Hyper::default()).unwrap();
    let me = store.group("g", 1).unwrap().join_blocking().unwrap();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    me.tick().unwrap();
                }
            });
        }
    });
    me.pull(&w, .., &mut vec![0.0_f32; 1000]).unwrap();
    assert_eq!(me.current_tick().0, 1 + 8 * 2000);
}

#[test]
fn a_tick_that_races_the_end_stops_nobody() {
    for turn in 0..400 {
        let store = store(4);
        let policy = TablePolicy::local(Bsp);
        let w = store.ensure_table(TableSpec::dense("w", 64), policy, Hyper::default()).unwrap();
        let group = store.group("g", 2).unwrap();
        let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
        let start = Barrier::new(2);
        thread::scope(|scope| {
            // Either may be first: then the tick is refused because the worker has finished.
            scope.spawn(|| {
                start.wait();
                drop(a.tick());
            });
            start.wait();
            (0..turn % 40).for_each(|_| std::hint::spin_loop());
            a.finish().unwrap();
            a.finish().unwrap();
        });
        b.tick().unwrap();
        b.tick().unwrap();
        b.pull(&w, .., &mut [0.0_f32; 64]).unwrap();
    }
}

/// Blocks that [`Slow`] was called for.
static RAN: AtomicUsize = AtomicUsize::new(0);

/// Takes its time.
#[derive(Debug)]
struct Slow;

impl UpdateRule for Slow {
    fn extension(&self) -> Extension {
        Extension::new("slow/1")
    }

    fn apply_f32(&self, _: &ApplyContext, _: &mut RowsMut<'_, f32>) {
        let clock = Clock::start();
        while clock.now() < Instant::EPOCH.after(Duration::from_millis(2)) {}
        RAN.fetch_add(1, Ordering::SeqCst);
    }

    fn supports(&self, dtype: DType) -> bool {
        dtype == DType::F32
    }
}

#[test]
fn applied_means_that_the_rule_has_run_on_every_block() {
    let registry = Registry::built_in().rule("slow/1", |_| Ok(Arc::new(Slow)));
    let store = Store::with_config(Config { registry, shards: 1, ..Config::default() });
    let spec = TableSpec::dense("w", 640).block_elements(64).rule(Extension::new("slow/1"));
    let w = store.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    let stamp = a.push(&w, .., &[1.0_f32; 640]).unwrap();
    a.tick().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| b.tick().unwrap());
        a.wait(stamp, AckLevel::Applied).unwrap();
        assert_eq!(RAN.load(Ordering::SeqCst), 10);
    });
}
