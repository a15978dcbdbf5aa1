//! The face of a worker node: the trait [`Worker`] over messages.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::future::{Future, poll_fn};
use std::ops::Range;
use std::task::{Poll, Waker};

use super::deadline::Deadline;
use super::node::{Waited, WorkerNode, finished};
use super::{
    ChunkPlace, PushOptions, Rows, Seen, Session, Stamp, Target, Worker, check_stamp, interrupted,
};
use crate::error::{AccessError, Error, FrameError, Result};
use crate::id::{Origin, Sequence, SlotIndex, TableId, Tick};
use crate::key::{Key, KeyRange, Selection};
use crate::limits;
use crate::placement::SlotGrid;
use crate::spec::{AckLevel, Hyper, Table, TableChange, TablePolicy, TableSpec};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use crate::time::{Duration, Instant};
use crate::vector::Element;
use crate::wire::{JoinGrant, Payload, PullResult, PullRows, Refusal, RowsNamed};

/// Told when a future has left outputs in the node that its driver should poll.
pub trait Notify: Send + Sync + Debug {
    /// Outputs wait.
    fn outputs_wait(&self);

    /// The time, where the driver has a clock that goes on between the node's inputs.
    fn now(&self) -> Option<Instant> {
        None
    }
}

/// A member of a group whose servers are elsewhere. Dropped without
/// [`finish`](Worker::finish) its node falls silent, and is removed from the group.
#[derive(Debug)]
pub struct RemoteWorker {
    pub(super) session: Arc<Session>,
    grant: JoinGrant,
    finished: Arc<AtomicBool>,
    pub(super) deadline: Option<Deadline>,
}

impl RemoteWorker {
    pub(super) fn new(session: Session, grant: JoinGrant) -> Self {
        let (session, finished) = (Arc::new(session), Arc::default());
        Self { session, grant, finished, deadline: None }
    }

    /// Another handle of this worker.
    pub(super) fn until_then(&self, deadline: Deadline) -> Self {
        let (session, finished) = (Arc::clone(&self.session), Arc::clone(&self.finished));
        Self { session, grant: self.grant, finished, deadline: Some(deadline) }
    }

    /// As [`Session::ensure_table`]: also a member may create tables.
    ///
    /// # Errors
    /// As there.
    pub async fn ensure_table(
        &self,
        spec: TableSpec,
        policy: TablePolicy,
        hyper: Hyper,
    ) -> Result<Table> {
        self.check_open()?;
        self.in_time(self.session.ensure_table(spec, policy, hyper)).await
    }

    /// How often and how long servers have let its requests wait.
    pub fn waited(&self) -> Waited {
        self.node().lock().waited()
    }

    /// As [`Session::change_table`]: also a member may change tables.
    ///
    /// # Errors
    /// As there.
    pub async fn change_table(&self, name: &str, change: TableChange) -> Result<Tick> {
        self.check_open()?;
        self.in_time(self.session.change_table(name, change)).await
    }

    /// As [`Session::drop_table`].
    ///
    /// # Errors
    /// As there.
    pub async fn drop_table(&self, name: &str) -> Result<()> {
        self.check_open()?;
        self.in_time(self.session.drop_table(name)).await
    }

    async fn until<R>(&self, ready: impl FnMut(&mut WorkerNode) -> Option<R>) -> Result<R> {
        self.in_time(self.session.until(ready)).await
    }

    fn node(&self) -> &Mutex<WorkerNode> {
        &self.session.node
    }

    fn check_open(&self) -> Result<()> {
        if self.finished.load(Ordering::Acquire) {
            return Err(finished(self.grant.origin));
        }
        Ok(())
    }

    async fn attach(&self, table: &Table) -> Result<()> {
        let answer = self.until(|node| node.attach(table.id())).await?;
        answer.map_err(|refusal| self.refused(refusal, table.name()))
    }

    async fn push_chunks<T: Element>(
        &self,
        table: &Table,
        rows: Selection<'_>,
        values: &[T],
        options: PushOptions<'_>,
    ) -> Result<Stamp> {
        self.check_open()?;
        for stamp in options.after {
            self.wait(*stamp, AckLevel::Admitted).await?;
        }
        let target = Target::new(table, rows, values.len(), T::DTYPE)?;
        self.attach(table).await?;
        let grid = self.grid(table)?;
        let weight = options.weight.unwrap_or(1.0);
        let pool = self.node().lock().pool().clone();
        let mut stamp = None;
        let mut rest = values;
        for place in target.chunks(&grid) {
            let (part, later) = rest.split_at(place.elements);
            rest = later;
            // Copied before there is room and without the lock, while earlier chunks travel.
            let mut chunk = Some((named(&place), Payload::pooled(&pool, part)));
            let begin = |node: &mut WorkerNode| {
                let (rows, values) = chunk.take_if(|_| node.has_room(size_of_val(part)))?;
                Some(node.begin_push(table, place.slot, weight, rows, values))
            };
            let begun = self.until(begin).await;
            let header = begun.map_err(|error| interrupted(error, place.first_key()))??;
            stamp = Some(Stamp::with(stamp, table.id(), &header));
        }
        match stamp {
            Some(stamp) => Ok(stamp),
            None => Ok(self.node().lock().line().push_nothing(table, options.weight)?),
        }
    }

    async fn pull_chunks<T: Element>(
        &self,
        table: &Table,
        rows: Selection<'_>,
        out: &mut [T],
    ) -> Result<Seen> {
        self.check_open()?;
        let target = Target::new(table, rows, out.len(), T::DTYPE)?;
        let grid = self.grid(table)?;
        let mut under_way = UnderWay::new(self);
        let mut seen = None;
        let mut offset = 0;
        for place in target.chunks(&grid) {
            // Answers are taken while requests go out, so that neither side's memory grows.
            let bytes = place.elements * size_of::<T>();
            while !self.node().lock().has_room(bytes) {
                if under_way.is_open() {
                    let answer = under_way.next(table.name()).await?;
                    seen = Some(take(answer, seen, out)?);
                } else {
                    // Pushes fill the window: their answers make room.
                    self.until(|node| node.has_room(bytes).then_some(())).await?;
                }
            }
            let at = offset..offset + place.elements;
            offset = at.end;
            under_way.begin(table.id(), place.slot, Some((pulled(&place), bytes)), at)?;
        }
        while under_way.is_open() {
            let answer = under_way.next(table.name()).await?;
            seen = Some(take(answer, seen, out)?);
        }
        Ok(seen.unwrap_or_else(|| Seen::nothing(self.current_tick())))
    }

    async fn walk<T: Element>(
        &self,
        table: &Table,
        rows: Selection<'_>,
    ) -> Result<(Rows<T>, Seen)> {
        self.check_open()?;
        let range = Target::walk(table, rows, T::DTYPE)?;
        let grid = self.grid(table)?;
        let rows_max = limits::frame_rows_max(table.spec().width) as u32;
        let bytes = rows_max as usize * table.spec().width as usize * size_of::<T>();
        let (mut keys, mut values, mut seen) = (Vec::new(), Vec::new(), None);
        for (slot, part) in grid.walks(range) {
            let mut from = Some(part.first());
            while let Some(range) = from.and_then(|first| KeyRange::new(first, part.last())) {
                let mut under_way = UnderWay::new(self);
                let rows = PullRows::Walk { range, rows_max };
                self.until(|node| node.has_room(bytes).then_some(())).await?;
                under_way.begin(table.id(), slot, Some((rows, bytes)), 0..0)?;
                let (result, _) = under_way.next(table.name()).await?;
                append(&result, &range, &mut keys, &mut values)?;
                from = result.next;
                seen = Some(merged(seen, &result));
            }
        }
        Rows::found(keys, values, seen)
    }

    async fn end_tick(&self) -> Result<Tick> {
        self.node().lock().line().take_failure()?;
        self.until(|node| node.may_tick().then(|| node.tick())).await
    }

    /// Waits at every server of the table until a read at the current tick would be served: then
    /// the push is applied there, whatever the policies of its tick and of the current one.
    async fn wait_applied(&self, stamp: Stamp) -> Result<()> {
        let slots = {
            let mut node = self.node().lock();
            let current = node.line().tick();
            // What was not gathered was applied when it was answered.
            let gathered = node.is_gathered(&stamp);
            let Some(planned) = node.plan().table(stamp.table).filter(|_| gathered) else {
                return Ok(());
            };
            if stamp.tick >= current {
                return Err(AccessError::WaitBeforeTick { tick: stamp.tick }.into());
            }
            let servers = planned.assignment.servers().iter();
            let first = servers.filter_map(|server| planned.assignment.slots_of(*server).next());
            first.collect::<Vec<_>>()
        };
        for slot in slots {
            let mut under_way = UnderWay::new(self);
            self.until(|node| node.has_room(0).then_some(())).await?;
            under_way.begin(stamp.table, slot, None, 0..0)?;
            under_way.next("").await?;
        }
        Ok(())
    }

    fn grid(&self, table: &Table) -> Result<SlotGrid> {
        let node = self.node().lock();
        let planned = node.plan().table(table.id());
        let found = planned.filter(|planned| planned.table.spec() == table.spec());
        let unknown = || AccessError::UnknownTable { table: table.name().into() };
        Ok(found.ok_or_else(unknown)?.grid)
    }

    fn refused(&self, refusal: Refusal, table: &str) -> Error {
        let tick = self.node().lock().line().tick();
        refusal.into_error(table, self.grant.origin, tick)
    }
}

impl Worker for RemoteWorker {
    fn origin(&self) -> Origin {
        self.grant.origin
    }

    fn group_size(&self) -> u32 {
        self.grant.size
    }

    fn current_tick(&self) -> Tick {
        self.node().lock().line().tick()
    }

    fn pull<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        out: &'a mut [T],
    ) -> impl Future<Output = Result<Seen>> + Send {
        self.pull_chunks(table, rows.into(), out)
    }

    fn pull_rows<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
    ) -> impl Future<Output = Result<(Rows<T>, Seen)>> + Send {
        self.walk(table, rows.into())
    }

    fn push_with<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        options: PushOptions<'a>,
    ) -> impl Future<Output = Result<Stamp>> + Send {
        self.push_chunks(table, rows.into(), values, options)
    }

    async fn wait(&self, stamp: Stamp, level: AckLevel) -> Result<()> {
        self.check_open()?;
        check_stamp(&stamp, self.grant.origin)?;
        self.until(|node| node.pushed_through(stamp.last).then_some(())).await?;
        self.node().lock().line().take_failure()?;
        match level {
            AckLevel::Admitted => Ok(()),
            AckLevel::Applied => self.wait_applied(stamp).await,
        }
    }

    async fn tick(&self) -> Result<Tick> {
        self.check_open()?;
        self.end_tick().await
    }

    async fn finish(&self) -> Result<()> {
        if self.finished.load(Ordering::Acquire) {
            return Ok(());
        }
        if self.node().lock().line().has_pushed() {
            self.end_tick().await?;
        }
        self.until(|node| node.is_settled().then_some(())).await?;
        self.node().lock().line().take_failure()?;
        let answer = self.until(WorkerNode::leave).await?;
        self.finished.store(true, Ordering::Release);
        self.node().lock().close();
        answer.map_err(|refusal| self.refused(refusal, ""))
    }

    async fn compute(&self, cost: Duration) {
        if self.session.notify.now().is_some() {
            // Where time is real, computing has taken it already.
            return;
        }
        let until = self.node().lock().now().after(cost);
        poll_fn(|context| {
            let mut node = self.node().lock();
            if node.now() >= until {
                return Poll::Ready(());
            }
            node.park(context.waker(), until);
            drop(node);
            self.session.notify.outputs_wait();
            Poll::Pending
        })
        .await;
    }
}

/// Pulls under way, in the order of their sending.
struct UnderWay<'a> {
    worker: &'a RemoteWorker,
    open: VecDeque<(Sequence, Range<usize>)>,
}

/// A pull's answer and the part of the slice that it fills.
type Answered = (PullResult, Range<usize>);

impl<'a> UnderWay<'a> {
    fn new(worker: &'a RemoteWorker) -> Self {
        Self { worker, open: VecDeque::new() }
    }

    fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    fn begin(
        &mut self,
        table: TableId,
        slot: SlotIndex,
        rows: Option<(PullRows, usize)>,
        at: Range<usize>,
    ) -> Result<()> {
        let begun = self.worker.node().lock().begin_pull(table, slot, rows);
        self.open.push_back((begun.ok_or(not_owned(slot))?, at));
        self.worker.session.notify.outputs_wait();
        Ok(())
    }

    /// The answer of the oldest pull.
    async fn next(&mut self, table: &str) -> Result<Answered> {
        let Some((sequence, at)) = self.open.front().cloned() else {
            return Err(AccessError::EmptyRange.into());
        };
        let answer = self.worker.until(|node| node.take_answer(sequence)).await?;
        self.open.pop_front();
        let result = answer.map_err(|refusal| self.worker.refused(refusal, table))?;
        Ok((result, at))
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut node = self.worker.node().lock();
        for (sequence, _) in self.open.drain(..) {
            node.abandon(sequence);
        }
        let woken = node.take_woken();
        drop(node);
        woken.into_iter().for_each(Waker::wake);
    }
}

fn named(place: &ChunkPlace<'_>) -> RowsNamed {
    match (place.block(), place.keys()) {
        (Some(rows), _) => RowsNamed::Block(rows),
        (None, keys) => RowsNamed::Keys(keys.unwrap_or_default().to_vec()),
    }
}

fn pulled(place: &ChunkPlace<'_>) -> PullRows {
    match named(place) {
        RowsNamed::Block(rows) => PullRows::Block(rows),
        RowsNamed::Keys(keys) => PullRows::Keys(keys),
    }
}

/// Copies an answer to its place. The server's word is checked: it may not be what was asked for.
fn take<T: Element>((result, at): Answered, seen: Option<Seen>, out: &mut [T]) -> Result<Seen> {
    let values = result.values.elements::<T>()?;
    let expected = at.len();
    let place = out.get_mut(at).filter(|place| place.len() == values.len());
    let Some(place) = place else {
        return Err(FrameError::Truncated { expected, found: values.len() }.into());
    };
    place.copy_from_slice(&values);
    Ok(merged(seen, &result))
}

fn append<T: Element>(
    result: &PullResult,
    range: &KeyRange,
    keys: &mut Vec<Key>,
    values: &mut Vec<T>,
) -> Result<()> {
    let found = result.keys.as_deref().unwrap_or_default();
    let ends = found.first().into_iter().chain(found.last());
    let outside = ends.chain(&result.next).find(|key| !range.contains(**key));
    let stuck = result.next.filter(|next| found.last().is_none_or(|last| next <= last));
    if let Some(key) = outside.copied().or(stuck) {
        return Err(FrameError::Malformed { field: "key of a walk", found: key.0 }.into());
    }
    keys.extend_from_slice(found);
    values.extend_from_slice(&result.values.elements::<T>()?);
    Ok(())
}

fn merged(before: Option<Seen>, result: &PullResult) -> Seen {
    Seen { oldest: result.oldest, newest: result.newest }.joined(before)
}

fn not_owned(slot: SlotIndex) -> Error {
    FrameError::NotOwned { slot }.into()
}
