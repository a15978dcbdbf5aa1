//! Wakes waiting futures at their deadlines: one thread per store, started by the first wait.

use std::collections::BTreeMap;
use std::task::Waker;
use std::thread;

use crate::os::Clock;
use crate::sync::{Arc, Condvar, Mutex, MutexGuard};
use crate::time::Instant;

/// The deadlines of one store's waits.
#[derive(Clone, Debug)]
pub(super) struct Timer {
    shared: Arc<Shared>,
}

/// Forgets the deadline when dropped: the wait is over.
#[derive(Debug)]
pub(super) struct Deadline {
    shared: Arc<Shared>,
    key: (Instant, u64),
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    deadlines: BTreeMap<(Instant, u64), Waker>,
    next: u64,
    running: bool,
    closed: bool,
}

impl Timer {
    pub(super) fn new(clock: Clock) -> Self {
        let (state, changed) = (Mutex::new(State::default()), Condvar::new());
        Self { shared: Arc::new(Shared { clock, state, changed }) }
    }

    /// Wakes `waker` at `at`, unless the answer is dropped before.
    pub(super) fn wake_at(&self, at: Instant, waker: &Waker) -> Deadline {
        let waker = waker.clone();
        let mut state = self.shared.state.lock();
        let key = (at, state.next);
        state.next += 1;
        state.deadlines.insert(key, waker);
        if !state.running {
            state.running = true;
            let shared = Arc::clone(&self.shared);
            // Without the thread a wait would outlive its deadline but still end with its owner.
            let name = thread::Builder::new().name("archipelago-deadlines".into());
            state.running = name.spawn(move || run(&shared)).is_ok();
        }
        drop(state);
        self.shared.changed.notify_one();
        Deadline { shared: Arc::clone(&self.shared), key }
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.shared.state.lock().closed = true;
        self.shared.changed.notify_one();
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        let waker = self.shared.state.lock().deadlines.remove(&self.key);
        // Without the lock: the last waker of a task drops all that it holds, deadlines too.
        drop(waker);
    }
}

fn run(shared: &Shared) {
    let mut state = shared.state.lock();
    while !state.closed {
        let now = shared.clock.now();
        let Some(next) = state.deadlines.first_key_value().map(|((at, _), _)| *at) else {
            shared.changed.wait(&mut state);
            continue;
        };
        if next > now {
            shared.changed.wait_for(&mut state, next.since(now));
            continue;
        }
        if let Some((_, waker)) = state.deadlines.pop_first() {
            // Without the lock: a waker may poll a future that sets a deadline.
            MutexGuard::unlocked(&mut state, || waker.wake());
        }
    }
}
