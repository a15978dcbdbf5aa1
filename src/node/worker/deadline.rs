//! Deadlines of single calls, beside the one that holds for every wait of a process.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::{Blocking, Park, RemoteWorker};
use crate::error::{Result, WaitError};
use crate::time::{Duration, Instant};

/// When a call has to have ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline {
    since: Instant,
    until: Instant,
}

impl RemoteWorker {
    /// The same worker with a deadline: every call through this handle ends at the latest when
    /// `within` has passed from now. What is not there by then ends with [`WaitError::Deadline`],
    /// which says what it waited for, or, in the middle of a push, [`WaitError::Interrupted`].
    ///
    /// The worker goes on as if the call had not been made, except that what an interrupted push
    /// names as applied stays: call again, through this worker or another such handle (law 2).
    /// Only [`exchange`](super::Worker::exchange) is three calls in one: when the tick has ended,
    /// repeat its pull alone. A handle keeps the worker in its group like the worker itself.
    #[must_use]
    pub fn with_deadline(&self, within: Duration) -> Self {
        let since = self.session.time();
        self.until_then(Deadline { since, until: since.after(within) })
    }

    /// Waits as `wait` does, but not beyond the deadline.
    pub(super) async fn in_time<R>(&self, wait: impl Future<Output = Result<R>>) -> Result<R> {
        let Some(Deadline { since, until }) = self.deadline else { return wait.await };
        let mut wait = pin!(wait);
        poll_fn(|context| {
            let polled = wait.as_mut().poll(context);
            if polled.is_ready() {
                return polled;
            }
            let now = self.session.time();
            let mut node = self.session.node.lock();
            if now >= until {
                let (reason, waited) = (node.reason(since), now.since(since));
                return Poll::Ready(Err(WaitError::Deadline { reason, waited }.into()));
            }
            node.park(context.waker(), until);
            let wants_poll = node.wants_poll();
            drop(node);
            if wants_poll {
                self.session.notify.outputs_wait();
            }
            Poll::Pending
        })
        .await
    }
}

impl<P: Park + Clone> Blocking<RemoteWorker, P> {
    /// As [`RemoteWorker::with_deadline`], for plain threaded code.
    #[must_use]
    pub fn with_deadline(&self, within: Duration) -> Self {
        Self::new(self.worker().with_deadline(within), self.park().clone())
    }
}
