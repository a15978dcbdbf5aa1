//! The processes of a cluster: a node, and for a worker the training function that it runs.

use super::executor::{Flag, Task};
use crate::error::Result;
use crate::id::DataCentre;
use crate::node::server::ServerNode;
use crate::node::worker::{Session, WorkerNode};
use crate::sync::{Arc, Mutex};
use crate::time::Instant;

/// A training function before its worker has started.
pub(super) type Train<'a, R> = Box<dyn FnOnce(Session) -> super::executor::Training<'a, R> + 'a>;

/// One server.
#[derive(Debug)]
pub(super) struct ServerProcess {
    pub(super) node: ServerNode,
    pub(super) clock: NodeClock,
    /// The most requests that waited, as last recorded.
    pub(super) waiting_peak: u64,
    /// It has stopped for good.
    pub(super) stopped: bool,
}

/// When a node wants to be called again.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeClock {
    pub(super) wake_at: Option<Instant>,
    /// A step is scheduled.
    pub(super) working: bool,
}

/// One worker.
pub(super) struct WorkerProcess<'a, R> {
    pub(super) data_centre: DataCentre,
    pub(super) starts_at: Instant,
    pub(super) train: Option<Train<'a, R>>,
    pub(super) life: Option<Life<'a, R>>,
    pub(super) clock: NodeClock,
    pub(super) paused_until: Instant,
    pub(super) ended: Ended<R>,
    pub(super) inflight_peak: u64,
}

/// A worker's process while it runs.
#[derive(Debug)]
pub(super) struct Life<'a, R> {
    pub(super) node: Arc<Mutex<WorkerNode>>,
    pub(super) outputs: Arc<Flag>,
    pub(super) task: Task<'a, R>,
}

/// How a worker's process ended.
#[derive(Debug)]
pub(super) enum Ended<R> {
    /// Not yet.
    No,
    /// By its training function's return.
    Returned(Result<R>),
    /// By a crash.
    Crashed,
}

impl<'a, R: 'a> WorkerProcess<'a, R> {
    pub(super) fn new(starts_at: Instant, train: Train<'a, R>) -> Self {
        Self {
            data_centre: DataCentre(0),
            starts_at,
            train: Some(train),
            life: None,
            clock: NodeClock::default(),
            paused_until: Instant::EPOCH,
            ended: Ended::No,
            inflight_peak: 0,
        }
    }

    /// Starts the process on `node`.
    pub(super) fn start(&mut self, node: WorkerNode) {
        let Some(train) = self.train.take() else {
            return;
        };
        let node = Arc::new(Mutex::new(node));
        let outputs = Arc::new(Flag::default());
        let (at, notify) = (Arc::clone(&node), Arc::clone(&outputs));
        let task = Task::new(train(Session::new(at, notify)));
        self.life = Some(Life { node, outputs, task });
    }

    /// Whether its training function has neither returned nor been ended.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.ended, Ended::No)
    }
}
