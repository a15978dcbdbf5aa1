//! A worker for plain threaded code: the async methods, each driven to its end.

use std::future::Future;

use super::{PushOptions, Rows, Seen, Stamp, Worker};
use crate::error::Result;
use crate::id::{Origin, Tick};
use crate::key::Selection;
use crate::spec::{AckLevel, Table};
use crate::vector::Element;

/// Drives a future on the calling thread. Drivers that may park threads provide it.
pub trait Park: Send + Sync + std::fmt::Debug {
    /// Polls `future` to its end, parking the thread in between.
    fn block_on<F: Future>(&self, future: F) -> F::Output;
}

/// A worker whose methods block the calling thread.
#[derive(Debug)]
pub struct Blocking<W, P> {
    worker: W,
    park: P,
}

impl<W: Worker, P: Park> Blocking<W, P> {
    /// Wraps a worker.
    pub fn new(worker: W, park: P) -> Self {
        Self { worker, park }
    }

    /// Runs a portable training function on this thread.
    pub fn run<R>(&self, train: impl AsyncFnOnce(&W) -> R) -> R {
        self.park.block_on(train(&self.worker))
    }

    /// The wrapped worker.
    pub fn worker(&self) -> &W {
        &self.worker
    }

    pub(super) fn park(&self) -> &P {
        &self.park
    }

    /// See [`Worker::origin`].
    pub fn origin(&self) -> Origin {
        self.worker.origin()
    }

    /// See [`Worker::current_tick`].
    pub fn current_tick(&self) -> Tick {
        self.worker.current_tick()
    }

    /// See [`Worker::pull`].
    ///
    /// # Errors
    /// As there.
    pub fn pull<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        out: &'a mut [T],
    ) -> Result<Seen> {
        self.park.block_on(self.worker.pull(table, rows, out))
    }

    /// See [`Worker::pull_rows`].
    ///
    /// # Errors
    /// As there.
    pub fn pull_rows<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
    ) -> Result<(Rows<T>, Seen)> {
        self.park.block_on(self.worker.pull_rows(table, rows))
    }

    /// See [`Worker::push`].
    ///
    /// # Errors
    /// As there.
    pub fn push<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
    ) -> Result<Stamp> {
        self.park.block_on(self.worker.push(table, rows, values))
    }

    /// See [`Worker::push_with`].
    ///
    /// # Errors
    /// As there.
    pub fn push_with<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        options: PushOptions<'a>,
    ) -> Result<Stamp> {
        self.park.block_on(self.worker.push_with(table, rows, values, options))
    }

    /// See [`Worker::exchange`].
    ///
    /// # Errors
    /// As there.
    pub fn exchange<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        out: &'a mut [T],
    ) -> Result<Seen> {
        self.park.block_on(self.worker.exchange(table, rows, values, out))
    }

    /// See [`Worker::wait`].
    ///
    /// # Errors
    /// As there.
    pub fn wait(&self, stamp: Stamp, level: AckLevel) -> Result<()> {
        self.park.block_on(self.worker.wait(stamp, level))
    }

    /// See [`Worker::tick`].
    ///
    /// # Errors
    /// As there.
    pub fn tick(&self) -> Result<Tick> {
        self.park.block_on(self.worker.tick())
    }

    /// See [`Worker::finish`].
    ///
    /// # Errors
    /// As there.
    pub fn finish(&self) -> Result<()> {
        self.park.block_on(self.worker.finish())
    }
}
