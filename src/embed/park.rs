//! Drives a future on the calling thread, parking it in between.

use crate::sync::Arc;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::node::worker::Park;

/// Parks the calling thread until its future can go on.
#[derive(Clone, Copy, Debug, Default)]
pub struct ThreadPark;

impl Park for ThreadPark {
    fn block_on<F: Future>(&self, future: F) -> F::Output {
        let waker = WAKER.try_with(Waker::clone).unwrap_or_else(|_| unpark());
        let mut context = Context::from_waker(&waker);
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut context) {
                Poll::Ready(output) => return output,
                // A wake before this line leaves a token behind, so it is never lost.
                Poll::Pending => thread::park(),
            }
        }
    }
}

thread_local! {
    /// The thread's waker, kept: most futures are ready at once, and then making one would be a
    /// good part of their cost. A wake meant for an earlier future only makes the thread look.
    static WAKER: Waker = unpark();
}

fn unpark() -> Waker {
    Waker::from(Arc::new(Unpark(thread::current())))
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}
