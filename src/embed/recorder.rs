//! The history of a store that was built to record one: events of all shards and workers, each
//! told under the lock of what it happened to, so that each one's events are in their order.

use crate::history::{Event, History};
use crate::os::Clock;
use crate::sync::{Arc, Mutex};

/// Collects what the witnesses of one store tell. Its lock is the last one taken.
#[derive(Debug)]
pub(super) struct Recorder {
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Gone once it was taken.
    history: Option<History>,
    nodes: u32,
}

/// The voice of one node in a history: a shard of a table, a group's keeper or a worker. Mute
/// unless the store records.
#[derive(Clone, Debug, Default)]
pub(super) struct Witness {
    recorder: Option<Arc<Recorder>>,
    node: u32,
}

impl Recorder {
    pub(super) fn new(clock: Clock) -> Self {
        let state = State { history: Some(History::new()), nodes: 0 };
        Self { clock, state: Mutex::new(state) }
    }

    /// The history so far. Nothing more is recorded.
    pub(super) fn take(&self) -> Option<History> {
        self.state.lock().history.take()
    }
}

impl Witness {
    /// The next node, where a history is recorded.
    pub(super) fn new(recorder: Option<&Arc<Recorder>>) -> Self {
        let Some(recorder) = recorder else { return Self::default() };
        let mut state = recorder.state.lock();
        state.nodes += 1;
        Self { recorder: Some(Arc::clone(recorder)), node: state.nodes - 1 }
    }

    /// Whether somebody listens.
    pub(super) fn records(&self) -> bool {
        self.recorder.is_some()
    }

    /// Tells what happened, in order. Without a history it is not even made.
    pub(super) fn tell<E: IntoIterator<Item = Event>>(&self, events: impl FnOnce() -> E) {
        let Some(recorder) = &self.recorder else { return };
        let events = events();
        let mut state = recorder.state.lock();
        // Read under the lock, so that times ascend.
        let now = recorder.clock.now();
        let Some(history) = &mut state.history else { return };
        for event in events {
            history.push(now, self.node, event);
        }
    }
}
