//! A member of a group, working on the shards of this process directly.

use std::future::{Future, poll_fn};
use std::task::{Context, Poll};

use super::group::GroupState;
use super::held::{Cell, Held};
use super::store::Inner;
use super::timer::Deadline;
use crate::error::{AccessError, Error, GroupError, Loss, Result, WaitError, WaitFor, WaitReason};
use crate::id::{Origin, Sequence, SlotIndex, TableId, Tick};
use crate::key::{Key, KeyList, KeyRange, Selection};
use crate::limits;
use crate::node::shard::{
    PullOutcome, PullRequest, PushOutcome, PushRequest, ReadRows, ShardEngine,
};
use crate::node::worker::{ChunkPlace, Line, PushOptions, Rows, Seen, Stamp, Target, Worker};
use crate::spec::{AckLevel, Table};
use crate::sync::{Arc, AtomicBool, Mutex, Ordering};
use crate::time::{Duration, Instant};
use crate::vector::Element;
use crate::wire::{self, Answer, Header, JoinGrant, Refusal, RowsSize};

/// A worker of this process. Dropped without [`finish`](Worker::finish) it counts as lost.
#[derive(Debug)]
pub struct EmbedWorker {
    store: Arc<Inner>,
    group: Arc<GroupState>,
    origin: Origin,
    line: Mutex<Line>,
    finished: AtomicBool,
}

impl EmbedWorker {
    pub(super) fn new(store: Arc<Inner>, group: Arc<GroupState>, grant: &JoinGrant) -> Self {
        let line = Mutex::new(Line::new(grant.origin, grant.start));
        Self {
            store,
            group,
            origin: grant.origin,
            line,
            finished: AtomicBool::new(false),
        }
    }

    fn check_open(&self) -> Result<()> {
        if self.finished.load(Ordering::Acquire) {
            return Err(GroupError::Finished {
                worker: self.origin,
            }
            .into());
        }
        Ok(())
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
        let held = self.store.held(table)?;
        let target = Target::new(table, rows, values.len(), T::DTYPE)?;
        let weight = options.weight.unwrap_or(1.0);
        let (first, tick) = {
            let mut line = self.line.lock();
            line.weigh(table, weight)?;
            (line.next_sequence(), line.tick())
        };
        let mut last = first;
        let mut rest = values;
        let began = self.store.clock.now();
        let mut places = target.chunks(&held.grid).peekable();
        while let Some(place) = places.next() {
            let (part, later) = rest.split_at(place.elements);
            rest = later;
            let step = Step {
                place,
                next: places.peek().copied(),
                began,
            };
            last = self.push_chunk(&held, step, part).await?;
        }
        Ok(Stamp {
            origin: self.origin,
            table: table.id(),
            tick,
            first,
            last,
        })
    }

    async fn push_chunk<T: Element>(
        &self,
        held: &Held,
        step: Step<'_>,
        values: &[T],
    ) -> Result<Sequence> {
        let place = step.place;
        let begun = Begun::push(self, held.table.id(), place.slot);
        let request = PushRequest {
            header: begun.header,
            slot: place.slot,
            previous: begun.previous,
        };
        let bytes = wire::push_bytes(request.previous, place.keys(), T::DTYPE, values.len());
        let mut wait = Wait::default();
        let answer = poll_fn(|context| {
            let now = wait.now(self, step.began);
            let mut cell = held.shard_of(place.slot).lock();
            let engine = engine::<T>(&mut cell, &held.table)?;
            step.ask_ahead(held, engine);
            let outcome = engine.push(now, &request, place.push(values));
            cell.wake();
            match outcome {
                PushOutcome::Wait(reason) => {
                    let waited = wait.go_on(self, reason, &mut cell, context);
                    waited.map_err(|error| interrupted(error, place.first_key()))
                },
                PushOutcome::Answered(answer) => {
                    cell.bytes_up += bytes as u64;
                    cell.bytes_down += self.store.push_answer_bytes;
                    Poll::Ready(Ok(answer))
                },
            }
        })
        .await?;
        wait.end(self);
        let Header { sequence, tick, .. } = begun.answered();
        if let Answer::Refused(refusal) = answer {
            let error = refusal.into_error(held.table.name(), self.origin, tick);
            self.line.lock().fail(error);
        }
        Ok(sequence)
    }

    async fn pull_chunks<T: Element>(
        &self,
        table: &Table,
        rows: Selection<'_>,
        out: &mut [T],
    ) -> Result<Seen> {
        self.check_open()?;
        let held = self.store.held(table)?;
        let target = Target::new(table, rows, out.len(), T::DTYPE)?;
        let mut seen = None;
        let mut rest = out;
        let began = self.store.clock.now();
        let mut places = target.chunks(&held.grid).peekable();
        while let Some(place) = places.next() {
            let (part, later) = rest.split_at_mut(place.elements);
            rest = later;
            let step = Step {
                place,
                next: places.peek().copied(),
                began,
            };
            let answer = wire::pull_answer_bytes(None, None, T::DTYPE, place.elements);
            let size = place.keys().map_or(RowsSize::Block, RowsSize::Keys);
            let mut pull = Pull::begin(self, &held, place.slot, began, size);
            let served =
                poll_fn(|context| pull.poll(place.read(&mut *part), Some(&step), answer, context));
            seen = Some(merged(seen, served.await?.0));
        }
        seen.ok_or(Error::Access(AccessError::EmptyRange))
    }

    async fn walk<T: Element>(
        &self,
        table: &Table,
        rows: Selection<'_>,
    ) -> Result<(Rows<T>, Seen)> {
        self.check_open()?;
        let held = self.store.held(table)?;
        let range = Target::walk(table, rows, T::DTYPE)?;
        let (mut keys, mut values, mut seen) = (Vec::new(), Vec::new(), None);
        for (slot, part) in held.grid.walks(range) {
            let mut from = Some(part.first());
            while let Some(range) = from.and_then(|first| KeyRange::new(first, part.last())) {
                let began = self.store.clock.now();
                let mut pull = Pull::begin(self, &held, slot, began, RowsSize::Walk);
                let before = keys.len();
                let (one, next) = poll_fn(|context| {
                    let (keys, values) = (&mut keys, &mut values);
                    let rows_max = limits::FRAME_KEYS_MAX;
                    let rows = ReadRows::Walk {
                        range,
                        rows_max,
                        keys,
                        values,
                    };
                    pull.poll(rows, None, 0, context)
                })
                .await?;
                let found = &keys[before..];
                let elements = found.len() * table.spec().width as usize;
                let bytes = wire::pull_answer_bytes(Some(found), next, T::DTYPE, elements);
                held.shard_of(slot).lock().bytes_down += bytes as u64;
                seen = Some(merged(seen, one));
                from = next;
            }
        }
        let keys = KeyList::new(bytemuck::allocation::cast_vec(keys))?;
        let seen = seen.ok_or(Error::Access(AccessError::EmptyRange))?;
        Ok((Rows { keys, values }, seen))
    }

    async fn wait_applied(&self, stamp: Stamp) -> Result<()> {
        let held = self.store.held_by_id(stamp.table)?;
        if !held.gathers {
            return Ok(());
        }
        if stamp.tick >= self.line.lock().tick() {
            return Err(AccessError::WaitBeforeTick { tick: stamp.tick }.into());
        }
        for shard in held.shards() {
            let mut wait = Wait::default();
            poll_fn(|context| {
                let now = self.store.clock.now();
                let mut cell = shard.lock();
                if cell.shard.closed() >= stamp.tick {
                    return Poll::Ready(Ok(()));
                }
                let (what, tick) = (WaitFor::MemberTick, stamp.tick);
                let reason = WaitReason {
                    who: None,
                    tick,
                    since: now,
                    what,
                };
                wait.go_on(self, reason, &mut cell, context)
            })
            .await?;
            wait.end(self);
        }
        Ok(())
    }

    fn end_tick(&self) -> Result<Tick> {
        let (ended, mut pushed) = {
            let mut line = self.line.lock();
            line.take_failure()?;
            line.end_tick()
        };
        let tables = self.store.ticking(&self.group, self.origin, ended);
        let now = self.store.clock.now();
        for held in &tables {
            let id = held.table.id();
            let at = pushed.iter().position(|table| table.table == id);
            let table = at.map(|at| pushed.swap_remove(at));
            let weight = table.as_ref().and_then(|table| table.weight);
            let touched = table.as_ref().map_or(&[][..], |table| &table.touched);
            held.ticked(now, self.origin, ended, weight, touched)
                .map_err(|refusal| refusal.into_error(held.table.name(), self.origin, ended))?;
        }
        Ok(ended.next())
    }
}

impl Worker for EmbedWorker {
    fn origin(&self) -> Origin {
        self.origin
    }

    fn group_size(&self) -> u32 {
        self.group.size
    }

    fn current_tick(&self) -> Tick {
        self.line.lock().tick()
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

    fn exchange<'a, T: Element>(
        &'a self,
        table: &'a Table,
        rows: impl Into<Selection<'a>>,
        values: &'a [T],
        out: &'a mut [T],
    ) -> impl Future<Output = Result<Seen>> + Send {
        let rows = rows.into();
        async move {
            self.push_chunks(table, rows, values, PushOptions::default())
                .await?;
            self.end_tick()?;
            self.pull_chunks(table, rows, out).await
        }
    }

    async fn wait(&self, stamp: Stamp, level: AckLevel) -> Result<()> {
        self.check_open()?;
        if stamp.origin != self.origin {
            let (expected, found) = (self.origin, stamp.origin);
            return Err(AccessError::ForeignStamp { expected, found }.into());
        }
        self.line.lock().take_failure()?;
        match level {
            AckLevel::Admitted => Ok(()),
            AckLevel::Applied => self.wait_applied(stamp).await,
        }
    }

    async fn tick(&self) -> Result<Tick> {
        self.check_open()?;
        self.end_tick()
    }

    async fn finish(&self) -> Result<()> {
        if self.finished.load(Ordering::Acquire) {
            return Ok(());
        }
        self.line.lock().take_failure()?;
        if self.line.lock().has_pushed() {
            self.end_tick()?;
        }
        self.finished.store(true, Ordering::Release);
        let last = self.line.lock().tick().back(1);
        self.store.leave(&self.group, self.origin, last)
    }

    async fn compute(&self, _cost: Duration) {}
}

impl Drop for EmbedWorker {
    fn drop(&mut self) {
        if !self.finished.load(Ordering::Acquire) {
            self.store.lost(&self.group, self.origin, Loss::Dropped);
        }
    }
}

/// The engine of a shard, when the table holds elements of type `T`.
pub(super) fn engine<'a, T: Element>(
    cell: &'a mut Cell,
    table: &Table,
) -> Result<&'a mut ShardEngine<T>> {
    ShardEngine::of(&mut *cell.shard).ok_or_else(|| {
        let (expected, found) = (table.spec().dtype.name(), T::DTYPE.name());
        AccessError::DType {
            table: table.name().into(),
            expected,
            found,
        }
        .into()
    })
}

/// One chunk of a call, and the one that follows.
#[derive(Clone, Copy)]
struct Step<'a> {
    place: ChunkPlace<'a>,
    next: Option<ChunkPlace<'a>>,
    /// When the call began.
    began: Instant,
}

impl Step<'_> {
    /// Lets the caches fetch what the next frame begins with while this one is carried out, where
    /// the same lock covers both: short frames would otherwise each wait for their first misses.
    fn ask_ahead<T: Element>(&self, held: &Held, engine: &ShardEngine<T>) {
        let Some(next) = &self.next else { return };
        let Some(keys) = next.keys() else { return };
        if std::ptr::eq(held.shard_of(self.place.slot), held.shard_of(next.slot)) {
            engine.prefetch(next.slot, keys);
        }
    }
}

/// A push that has a sequence but no answer yet. Dropped before its answer (a deadline, or a
/// caller that lost interest) it leaves the line as if it had never begun.
struct Begun<'a> {
    worker: &'a EmbedWorker,
    table: TableId,
    slot: SlotIndex,
    header: Header,
    previous: Option<Sequence>,
    answered: bool,
}

impl<'a> Begun<'a> {
    fn push(worker: &'a EmbedWorker, table: TableId, slot: SlotIndex) -> Self {
        let (header, previous) = worker.line.lock().begin_push(table, slot);
        Self {
            worker,
            table,
            slot,
            header,
            previous,
            answered: false,
        }
    }

    fn answered(mut self) -> Header {
        self.answered = true;
        self.header
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut line = self.worker.line.lock();
        line.answered(self.header.sequence);
        if !self.answered {
            line.abandon_push(self.table, self.slot, self.header.sequence, self.previous);
        }
    }
}

/// A pull of one chunk under way.
struct Pull<'a> {
    worker: &'a EmbedWorker,
    held: &'a Held,
    request: PullRequest,
    began: Instant,
    request_bytes: usize,
    wait: Wait,
}

impl<'a> Pull<'a> {
    fn begin(
        worker: &'a EmbedWorker,
        held: &'a Held,
        slot: SlotIndex,
        began: Instant,
        size: RowsSize<'_>,
    ) -> Self {
        let (header, own) = worker.line.lock().begin_pull(held.table.id(), slot);
        Self {
            worker,
            held,
            request: PullRequest { header, slot, own },
            began,
            request_bytes: wire::pull_bytes(own, size),
            wait: Wait::default(),
        }
    }

    fn poll<T: Element>(
        &mut self,
        rows: ReadRows<'_, T>,
        step: Option<&Step<'_>>,
        answer_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Seen, Option<Key>)>> {
        let now = self.wait.now(self.worker, self.began);
        let mut cell = self.held.shard_of(self.request.slot).lock();
        let engine = engine::<T>(&mut cell, &self.held.table)?;
        if let Some(step) = step {
            step.ask_ahead(self.held, engine);
        }
        let outcome = engine.pull(now, &self.request, rows);
        cell.wake();
        let refusal = match outcome {
            PullOutcome::Served { seen, next } => {
                cell.bytes_up += self.request_bytes as u64;
                cell.bytes_down += answer_bytes as u64;
                drop(cell);
                std::mem::take(&mut self.wait).end(self.worker);
                return Poll::Ready(Ok((seen, next)));
            },
            PullOutcome::Wait(reason) => {
                return self.wait.go_on(self.worker, reason, &mut cell, context);
            },
            PullOutcome::Settled => Refusal::WindowFull,
            PullOutcome::Refused(refusal) => refusal,
        };
        let (name, tick) = (self.held.table.name(), self.request.header.tick);
        Poll::Ready(Err(refusal.into_error(name, self.worker.origin, tick)))
    }
}

impl Drop for Pull<'_> {
    fn drop(&mut self) {
        self.worker
            .line
            .lock()
            .answered(self.request.header.sequence);
    }
}

/// A wait under way: since when, for what, and until when.
#[derive(Default)]
struct Wait {
    began: Option<(Instant, WaitFor)>,
    deadline: Option<Deadline>,
}

impl Wait {
    /// The time of a poll: when its call began, read once for all chunks that need not wait.
    fn now(&self, worker: &EmbedWorker, began: Instant) -> Instant {
        if self.began.is_none() {
            return began;
        }
        worker.store.clock.now()
    }

    /// Waits on, or ends the wait at its deadline.
    fn go_on<R>(
        &mut self,
        worker: &EmbedWorker,
        reason: WaitReason,
        cell: &mut Cell,
        context: &mut Context<'_>,
    ) -> Poll<Result<R>> {
        let store = &worker.store;
        let now = store.clock.now();
        let (since, _) = *self.began.get_or_insert((now, reason.what));
        let until = since.after(store.config.wait_max);
        if now >= until {
            let (reason, waited) = (WaitReason { since, ..reason }, now.since(since));
            return Poll::Ready(Err(WaitError::Deadline { reason, waited }.into()));
        }
        cell.park(context.waker());
        // Registered anew at each poll: the task may have moved to another waker.
        self.deadline = Some(store.timer.wake_at(until, context.waker()));
        Poll::Pending
    }

    fn end(self, worker: &EmbedWorker) {
        if let Some((since, what)) = self.began {
            let store = &worker.store;
            store.waits.ended(what, store.clock.now().since(since));
        }
    }
}

fn interrupted(error: Error, first: Key) -> Error {
    match error {
        Error::Wait(WaitError::Deadline { reason, waited }) => WaitError::Interrupted {
            reason,
            waited,
            first: first.0,
        }
        .into(),
        other => other,
    }
}

fn merged(before: Option<Seen>, one: Seen) -> Seen {
    before.map_or(one, |before| before.merge(one))
}
