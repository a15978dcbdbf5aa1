//! Requests and waits under way. Each puts its worker's line in order again when it is dropped.

use std::task::{Context, Poll, Waker};

use super::{EmbedWorker, engine};
use crate::embed::held::{Cell, Held};
use crate::embed::recorder::Witness;
use crate::embed::timer::Deadline;
use crate::error::{Result, WaitError, WaitFor, WaitReason};
use crate::history::{Event, WaitOutcome};
use crate::id::{Origin, Sequence, SlotIndex, TableId};
use crate::key::Key;
use crate::node::shard::{PullOutcome, PullRequest, ReadRows, ShardEngine};
use crate::node::worker::{ChunkPlace, Seen};
use crate::time::Instant;
use crate::vector::Element;
use crate::wire::{self, Header, Refusal, RowsSize};

/// One chunk of a call, and the one that follows.
#[derive(Clone, Copy)]
pub(super) struct Step<'a> {
    pub(super) place: ChunkPlace<'a>,
    pub(super) next: Option<ChunkPlace<'a>>,
    /// When the call began.
    pub(super) began: Instant,
}

impl Step<'_> {
    /// Lets the caches fetch what the next frame begins with while this one is carried out, where
    /// the same lock covers both: short frames would otherwise each wait for their first misses.
    pub(super) fn ask_ahead<T: Element>(&self, held: &Held, engine: &ShardEngine<T>) {
        let Some(next) = &self.next else { return };
        let Some(keys) = next.keys() else { return };
        if std::ptr::eq(held.shard_of(self.place.slot), held.shard_of(next.slot)) {
            engine.prefetch(next.slot, keys);
        }
    }
}

/// A push that has a sequence but no answer yet. Dropped before its answer (a deadline, or a
/// caller that lost interest) it leaves the line as if it had never begun.
pub(super) struct Begun<'a> {
    worker: &'a EmbedWorker,
    pub(super) header: Header,
    pub(super) previous: Option<Sequence>,
    answered: bool,
}

impl<'a> Begun<'a> {
    pub(super) fn push(
        worker: &'a EmbedWorker,
        (header, previous): (Header, Option<Sequence>),
    ) -> Self {
        Self { worker, header, previous, answered: false }
    }

    /// The push before it to the same slot.
    pub(super) fn previous_now(&self, wait: &Wait, waker: &Waker) -> Option<Sequence> {
        if wait.began.is_none() {
            return self.previous;
        }
        self.worker.previous_now(self.header.sequence, waker)
    }

    pub(super) fn answered(mut self) -> Header {
        self.answered = true;
        self.header
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let (answered, sequence) = (self.answered, self.header.sequence);
        self.worker.move_on(|turn| match answered {
            true => turn.line.answered(sequence),
            false => turn.line.abandon_push(sequence),
        });
    }
}

/// A pull of one chunk under way.
pub(super) struct Pull<'a> {
    worker: &'a EmbedWorker,
    held: &'a Held,
    request: PullRequest,
    began: Instant,
    request_bytes: usize,
    wait: Wait,
}

impl<'a> Pull<'a> {
    pub(super) fn begin(
        worker: &'a EmbedWorker,
        held: &'a Held,
        slot: SlotIndex,
        began: Instant,
        size: RowsSize<'_>,
    ) -> Self {
        let (header, own) = worker.turn.lock().line.begin_pull(held.table.id(), slot);
        let request = PullRequest { header, slot, own };
        let request_bytes = wire::pull_bytes(own, size);
        Self { worker, held, request, began, request_bytes, wait: Wait::default() }
    }

    pub(super) fn poll<T: Element>(
        &mut self,
        rows: ReadRows<'_, T>,
        step: Option<&Step<'_>>,
        answer_bytes: usize,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Seen, Option<Key>)>> {
        self.wait.polled();
        let now = self.wait.now(self.worker, self.began);
        if self.wait.began.is_some() {
            let sequence = self.request.header.sequence;
            self.request.own = self.worker.previous_now(sequence, context.waker());
        }
        let mut cell = self.held.shard_of(self.request.slot).lock();
        let engine = engine::<T>(&mut cell, &self.held.table)?;
        if let Some(step) = step {
            step.ask_ahead(self.held, engine);
        }
        let outcome = engine.pull(now, &self.request, rows);
        let answer = match outcome {
            PullOutcome::Served { seen, next } => {
                cell.bytes_up += self.request_bytes as u64;
                cell.bytes_down += answer_bytes as u64;
                Ok((seen, next))
            },
            PullOutcome::Wait(reason) => {
                let request = (&self.request.header, self.request.slot);
                self.wait.tell(&cell, self.held, request, reason);
                let polled = self.wait.go_on(self.worker, reason, &mut cell, context);
                let woken = cell.end_step();
                drop(cell);
                woken.wake();
                return polled;
            },
            PullOutcome::Settled => Err(Refusal::WindowFull),
            PullOutcome::Refused(refusal) => Err(refusal),
        };
        let woken = cell.end_step();
        drop(cell);
        woken.wake();
        let outcome = if answer.is_ok() { WaitOutcome::Served } else { WaitOutcome::Refused };
        std::mem::take(&mut self.wait).end(self.worker, outcome);
        let (name, tick) = (self.held.table.name(), self.request.header.tick);
        Poll::Ready(answer.map_err(|refusal| refusal.into_error(name, self.worker.origin, tick)))
    }
}

impl Drop for Pull<'_> {
    fn drop(&mut self) {
        self.worker.move_on(|turn| turn.line.answered(self.request.header.sequence));
    }
}

/// A wait under way: since when, for what, and until when.
#[derive(Default)]
pub(super) struct Wait {
    began: Option<(Instant, WaitFor)>,
    deadline: Option<Deadline>,
    told: Option<Box<Told>>,
}

/// A wait that a history knows of. It ends there when this is dropped.
struct Told {
    witness: Witness,
    origin: Origin,
    table: TableId,
    sequence: Sequence,
    outcome: WaitOutcome,
}

impl Drop for Told {
    fn drop(&mut self) {
        let Self { origin, table, sequence, outcome, .. } = *self;
        self.witness.tell(|| [Event::WaitEnded { origin, table, sequence, outcome }]);
    }
}

impl Wait {
    /// Begins a poll: the deadline of the one before is forgotten, while no lock is held.
    pub(super) fn polled(&mut self) {
        self.deadline = None;
    }

    /// The time of a poll: when its call began, read once for all chunks that need not wait.
    pub(super) fn now(&self, worker: &EmbedWorker, began: Instant) -> Instant {
        if self.began.is_none() {
            return began;
        }
        worker.store.clock.now()
    }

    /// Tells a history, once, that a request waits at a shard.
    pub(super) fn tell(
        &mut self,
        cell: &Cell,
        held: &Held,
        (header, slot): (&Header, SlotIndex),
        reason: WaitReason,
    ) {
        if self.told.is_some() || !cell.witness.records() {
            return;
        }
        let Header { origin, sequence, tick: at_tick, .. } = *header;
        let (table, witness) = (held.table.id(), cell.witness.clone());
        witness.tell(|| [Event::WaitBegan { origin, table, slot, sequence, at_tick, reason }]);
        let outcome = WaitOutcome::GivenUp;
        self.told = Some(Box::new(Told { witness, origin, table, sequence, outcome }));
    }

    /// Waits on at a shard, or ends the wait at its deadline.
    pub(super) fn go_on<R>(
        &mut self,
        worker: &EmbedWorker,
        reason: WaitReason,
        cell: &mut Cell,
        context: &mut Context<'_>,
    ) -> Poll<Result<R>> {
        let polled = self.until(worker, reason, context);
        if polled.is_pending() {
            cell.parked.park(context.waker());
        }
        polled
    }

    /// Asks to be woken at the deadline, or ends the wait there.
    pub(super) fn until<R>(
        &mut self,
        worker: &EmbedWorker,
        reason: WaitReason,
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
        // Registered anew at each poll: the task may have moved to another waker.
        self.deadline = Some(store.timer.wake_at(until, context.waker()));
        Poll::Pending
    }

    pub(super) fn end(mut self, worker: &EmbedWorker, outcome: WaitOutcome) {
        if let Some(told) = &mut self.told {
            told.outcome = outcome;
        }
        if let Some((since, what)) = self.began {
            let store = &worker.store;
            store.waits.ended(what, store.clock.now().since(since));
        }
    }
}
