//! A read that is under way while its worker does something else.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::Worker;
use crate::error::{AccessError, Result};
use crate::id::Tick;

/// Starts a read of `me` at once, such as [`Worker::pull`] or
/// [`TensorMap::pull`](super::TensorMap::pull), which by itself starts when it is first awaited.
/// What it asks for travels while the caller loads a batch or computes; of a long read as much as
/// the send window holds ([`INFLIGHT_BYTES_MAX`](crate::limits::INFLIGHT_BYTES_MAX)), the rest
/// once it is awaited. It keeps that room until then: await a long read before a push.
///
/// It means what the read means where it starts: values of the current tick. Start it after
/// `tick`, and await it before the next one: a tick waits for the reads of its iteration.
///
/// ```
/// use archipelago::node::worker::prefetch;
/// use archipelago::{Result, Table, Worker};
///
/// async fn train<W: Worker>(me: &W, w: &Table, mut load: impl FnMut() -> f32) -> Result<()> {
///     let mut x = [0.0_f32; 8];
///     for _ in 0..50 {
///         let read = prefetch(me, me.pull(w, .., &mut x));
///         let batch = load();
///         read.await?;
///         me.push(w, .., &x.map(|x| x - batch)).await?;
///         me.tick().await?;
///     }
///     me.finish().await
/// }
/// ```
pub fn prefetch<'a, W: Worker, R>(
    me: &'a W,
    read: impl Future<Output = Result<R>> + Send + 'a,
) -> Prefetch<'a, W, R> {
    let mut read: Pin<Box<dyn Future<Output = Result<R>> + Send + 'a>> = Box::pin(read);
    // Nobody has to be woken: whoever awaits it looks again first.
    let first = read.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let state = match first {
        Poll::Ready(result) => State::Ended(Some(result)),
        Poll::Pending => State::UnderWay(read),
    };
    Prefetch { me, begun: me.current_tick(), state }
}

/// A read under way; await it for its result. Dropped, it is given up.
#[must_use = "its values are there once it was awaited"]
pub struct Prefetch<'a, W, R> {
    me: &'a W,
    begun: Tick,
    state: State<'a, R>,
}

enum State<'a, R> {
    UnderWay(Pin<Box<dyn Future<Output = Result<R>> + Send + 'a>>),
    /// Until its result is taken.
    Ended(Option<Result<R>>),
}

impl<W: Worker, R: Unpin> Future for Prefetch<'_, W, R> {
    type Output = Result<R>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<R>> {
        let (begun, found) = (self.begun, self.me.current_tick());
        if begun != found {
            // What is left of it would be read at another tick (law 5).
            return Poll::Ready(Err(AccessError::Prefetched { begun, found }.into()));
        }
        match &mut self.state {
            State::UnderWay(read) => read.as_mut().poll(context),
            State::Ended(result) => result.take().map_or(Poll::Pending, Poll::Ready),
        }
    }
}

impl<W, R> fmt::Debug for Prefetch<'_, W, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prefetch").field("begun", &self.begun).finish_non_exhaustive()
    }
}
