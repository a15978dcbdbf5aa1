//! Tasks, polled one at a time in virtual time.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Wake, Waker};

use crate::error::Result;
use crate::node::worker::Notify;
use crate::sync::{Arc, AtomicBool, Ordering};

/// A training function under way.
pub(super) type Training<'a, R> = Pin<Box<dyn Future<Output = Result<R>> + 'a>>;

/// A flag that wakers and nodes raise, and the run loop lowers.
#[derive(Debug, Default)]
pub(super) struct Flag(AtomicBool);

impl Flag {
    /// Lowers the flag; whether it was raised.
    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }

    pub(super) fn raise(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.raise();
    }
}

impl Notify for Flag {
    fn outputs_wait(&self) {
        self.raise();
    }
}

/// One task.
pub(super) struct Task<'a, R> {
    training: Option<Training<'a, R>>,
    ready: Arc<Flag>,
}

impl<'a, R> Task<'a, R> {
    /// A task that is polled as soon as its turn comes.
    pub(super) fn new(training: Training<'a, R>) -> Self {
        let ready = Arc::new(Flag::default());
        ready.raise();
        Self { training: Some(training), ready }
    }

    /// Polls the task if it was woken; its result, once.
    pub(super) fn poll(&mut self) -> Option<Result<R>> {
        let training = self.training.as_mut()?;
        if !self.ready.take() {
            return None;
        }
        let waker = Waker::from(Arc::clone(&self.ready));
        match training.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => None,
            Poll::Ready(result) => {
                self.training = None;
                Some(result)
            },
        }
    }

    /// Ends the task where it stands.
    pub(super) fn drop_now(&mut self) {
        self.training = None;
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&self) -> bool {
        self.training.is_some()
    }
}

impl<R> fmt::Debug for Task<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("running", &self.is_running()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_task_is_polled_only_when_woken() {
        let mut polls = 0;
        let gate = Arc::new(Flag::default());
        let waker = crate::sync::Mutex::new(None);
        let mut task = Task::new(Box::pin(poll_fn(|context| {
            polls += 1;
            *waker.lock() = Some(context.waker().clone());
            if gate.take() { Poll::Ready(Ok(7)) } else { Poll::Pending }
        })));
        assert!(task.poll().is_none() && task.poll().is_none());
        gate.raise();
        assert!(task.poll().is_none());
        let waker = waker.lock().take();
        waker.into_iter().for_each(Waker::wake);
        assert_eq!(task.poll(), Some(Ok(7)));
        assert!(!task.is_running() && task.poll().is_none());
        drop(task);
        assert_eq!(polls, 2);
    }
}
