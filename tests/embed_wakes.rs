//! The embedded store under an executor whose wakers poll at once, on the thread that wakes: no
//! lock may be held then.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::Pin;
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use archipelago::embed::{Config, EmbedWorker, Group};
use archipelago::sync::{Arc, AtomicBool, AtomicU64, Mutex, Ordering};
use archipelago::time::Duration;
use archipelago::{Bsp, Hyper, Store, Table, TablePolicy, TableSpec, Worker};

type Pinned = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A task that runs where it is woken, except in the middle of its own poll.
struct Inline {
    future: Mutex<Option<Pinned>>,
    woken: AtomicBool,
}

impl Inline {
    /// Runs a future to its first wait.
    fn start(future: impl Future<Output = ()> + Send + 'static) {
        let future: Pinned = Box::pin(future);
        Arc::new(Self { future: Mutex::new(Some(future)), woken: AtomicBool::new(false) }).wake();
    }
}

impl Wake for Inline {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        while self.woken.load(Ordering::SeqCst) {
            // Whoever polls it now looks again afterwards.
            let Some(mut future) = self.future.try_lock() else { return };
            let waker = Waker::from(Arc::clone(&self));
            while self.woken.swap(false, Ordering::SeqCst) {
                let polled =
                    future.as_mut().map(|f| f.as_mut().poll(&mut Context::from_waker(&waker)));
                if polled.is_some_and(|polled| polled.is_ready()) {
                    *future = None;
                }
            }
        }
    }
}

/// Runs a scene that must not hang.
fn in_time(scene: impl FnOnce() + Send + 'static) {
    let (ended, wait) = mpsc::channel();
    let running = thread::spawn(move || {
        scene();
        ended.send(()).unwrap();
    });
    let ended = wait.recv_timeout(Duration::from_secs(20));
    assert_ne!(ended, Err(mpsc::RecvTimeoutError::Timeout), "a waker was called under a lock");
    running.join().unwrap();
}

fn table(stash: usize) -> (Store, Table) {
    let store = Store::with_config(Config { shards: 1, ..Config::default() });
    let policy = TablePolicy::local(Bsp).bsp_stash_bytes_max(stash);
    let w = store.ensure_table(TableSpec::dense("w", 196_608), policy, Hyper::default()).unwrap();
    (store, w)
}

/// Pulls at once and ticks after it, over and over, until `ticks` have ended.
fn train(me: EmbedWorker, w: &Table, ticks: u64) -> Arc<AtomicU64> {
    let (ended, w) = (Arc::new(AtomicU64::new(0)), w.clone());
    let count = Arc::clone(&ended);
    Inline::start(async move {
        for _ in 0..ticks {
            me.pull(&w, 0..64, &mut [0.0_f32; 64]).await.unwrap();
            me.push(&w, 0..64, &[1.0_f32; 64]).await.unwrap();
            me.tick().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        }
        me.finish().await.unwrap();
    });
    ended
}

#[test]
fn ticks_wake_without_a_lock() {
    in_time(|| {
        let (store, w) = table(1 << 20);
        let group = store.group("g", 2).unwrap();
        let (a, b) = (group.join_blocking().unwrap(), group.join().unwrap());
        let ended = train(b, &w, 5);
        for tick in 1..5 {
            assert_eq!(ended.load(Ordering::SeqCst), tick);
            a.tick().unwrap();
        }
        assert_eq!(ended.load(Ordering::SeqCst), 5);
    });
}

/// One of two members reads tick 2; `change` lets the other go; the reader must go on.
fn members_change(change: impl FnOnce(&Group, EmbedWorker) + Send + 'static) {
    in_time(|| {
        let (store, w) = table(1 << 20);
        let group = store.group("g", 2).unwrap();
        let (a, b) = (group.join().unwrap(), group.join().unwrap());
        let ended = train(b, &w, 3);
        assert_eq!(ended.load(Ordering::SeqCst), 1);
        change(&group, a);
        assert_eq!(ended.load(Ordering::SeqCst), 3);
    });
}

#[test]
fn a_lost_member_wakes_without_a_lock() {
    members_change(|_, member| drop(member));
}

#[test]
fn a_member_that_leaves_wakes_without_a_lock() {
    members_change(|_, member| Inline::start(async move { member.finish().await.unwrap() }));
}

#[test]
fn a_joiner_wakes_without_a_lock() {
    in_time(|| {
        let (store, w) = table(1 << 20);
        let group = store.group("g", 2).unwrap();
        let ended = train(group.join().unwrap(), &w, 1);
        assert_eq!(ended.load(Ordering::SeqCst), 0);
        let _b = group.join().unwrap();
        assert_eq!(ended.load(Ordering::SeqCst), 1);
    });
}

/// A tick lets a push into the stash, which lets the push behind it go on.
#[test]
fn pushes_wake_without_a_lock() {
    in_time(|| {
        let (store, w) = table(512 * 1024 + 256);
        let group = store.group("g", 3).unwrap();
        let a = group.join_blocking().unwrap();
        let (b, c) = (Arc::new(group.join().unwrap()), group.join_blocking().unwrap());
        c.push(&w, 0..131_072, &vec![1.0_f32; 131_072]).unwrap();
        let pushed = Arc::new(AtomicU64::new(0));
        for _ in 0..2 {
            let (b, w, pushed) = (Arc::clone(&b), w.clone(), Arc::clone(&pushed));
            Inline::start(async move {
                b.push(&w, 0..64, &[1.0_f32; 64]).await.unwrap();
                pushed.fetch_add(1, Ordering::SeqCst);
            });
        }
        assert_eq!(pushed.load(Ordering::SeqCst), 0);
        a.tick().unwrap();
        assert_eq!(pushed.load(Ordering::SeqCst), 2);
    });
}

/// A tick that waits for a pull of its own worker goes on when the pull ends.
#[test]
fn the_end_of_a_pull_wakes_without_a_lock() {
    in_time(|| {
        let (store, w) = table(1 << 20);
        let group = store.group("g", 2).unwrap();
        let (a, b) = (Arc::new(group.join().unwrap()), group.join_blocking().unwrap());
        let ticked = Arc::new(AtomicU64::new(0));
        tick(&a);
        let (me, table) = (Arc::clone(&a), w.clone());
        Inline::start(async move {
            me.pull(&table, 0..64, &mut [0.0_f32; 64]).await.unwrap();
        });
        let (me, count) = (Arc::clone(&a), Arc::clone(&ticked));
        Inline::start(async move {
            me.tick().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
        });
        assert_eq!(ticked.load(Ordering::SeqCst), 0);
        b.tick().unwrap();
        assert_eq!(ticked.load(Ordering::SeqCst), 1);
    });
}

/// Ends the first tick of a member that has not pulled.
fn tick(me: &Arc<EmbedWorker>) {
    let one = Arc::clone(me);
    Inline::start(async move {
        one.tick().await.unwrap();
    });
    assert_eq!(me.current_tick().0, 2);
}

/// A waker that owns a task, as wakers do, and does nothing when woken.
struct Owner(#[expect(dead_code, reason = "held until the last waker goes")] Mutex<Pinned>);

impl Wake for Owner {
    fn wake(self: Arc<Self>) {}
}

/// The last waker of a task drops what the task holds: here another wait, with its own deadline.
#[test]
fn a_deadline_drops_its_waker_without_a_lock() {
    in_time(|| {
        let (store, w) = table(1 << 20);
        let group = store.group("g", 2).unwrap();
        let (a, b) = (Arc::new(group.join().unwrap()), group.join_blocking().unwrap());
        tick(&a);
        let waiting = || {
            let (me, w) = (Arc::clone(&a), w.clone());
            let pull =
                async move { me.pull(&w, 0..64, &mut [0.0_f32; 64]).await.map(drop).unwrap() };
            let pull: Pinned = Box::pin(pull);
            pull
        };
        let (mut inner, mut outer) = (waiting(), waiting());
        let mut noop = Context::from_waker(Waker::noop());
        assert_eq!(inner.as_mut().poll(&mut noop), Poll::Pending);
        let owner = Waker::from(Arc::new(Owner(Mutex::new(inner))));
        assert_eq!(outer.as_mut().poll(&mut Context::from_waker(&owner)), Poll::Pending);
        drop(owner);
        // The shard's waker goes; the deadline's is the last.
        b.tick().unwrap();
        drop(outer);
    });
}
