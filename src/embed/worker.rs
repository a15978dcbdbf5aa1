//! A member of a group, working on the shards of this process directly.

mod request;

use std::future::{Future, poll_fn};
use std::task::{Poll, Waker};

use super::group::GroupState;
use request::{Begun, Pull, Step, Wait};

use super::held::{Cell, Held};
use super::parked::Parked;
use super::recorder::Witness;
use super::store::Inner;
use crate::error::{AccessError, Error, GroupError, Loss, Result, WaitFor, WaitReason};
use crate::history::{Event, WaitOutcome};
use crate::id::{Origin, Sequence, TableId, Tick};
use crate::key::{KeyRange, Selection};
use crate::limits;
use crate::node::shard::{PushOutcome, PushRequest, ReadRows, ShardEngine, Work};
use crate::node::worker::{
    Line, PushOptions, Rows, Seen, Stamp, Target, Worker, check_stamp, interrupted,
};
use crate::spec::{AckLevel, Table};
use crate::sync::{Arc, AtomicBool, Mutex, MutexGuard, Ordering};
use crate::time::{Duration, Instant};
use crate::vector::Element;
use crate::wire::{self, Answer, Header, JoinGrant, Refusal, RowsSize, TickTable};

/// A worker of this process. Dropped without [`finish`](Worker::finish) it counts as lost.
#[derive(Debug)]
pub struct EmbedWorker {
    store: Arc<Inner>,
    group: Arc<GroupState>,
    origin: Origin,
    turn: Mutex<Turn>,
    witness: Witness,
    finished: AtomicBool,
}

/// The worker's line of requests, and who waits for it to move on.
#[derive(Debug)]
struct Turn {
    line: Line,
    /// A tick is being told to the shards: the next one may not overtake it.
    ending: bool,
    /// Woken when a request has ended: a tick or a full window may go on.
    parked: Parked,
}

impl EmbedWorker {
    pub(super) fn new(
        store: Arc<Inner>,
        group: Arc<GroupState>,
        grant: &JoinGrant,
        witness: Witness,
    ) -> Self {
        let line = Line::new(grant.origin, grant.start);
        let turn = Mutex::new(Turn { line, ending: false, parked: Parked::default() });
        Self { store, group, origin: grant.origin, turn, witness, finished: AtomicBool::new(false) }
    }

    /// Waits until `ready` answers, for requests of this very worker to end.
    async fn in_turn<R>(&self, mut ready: impl FnMut(&mut Turn) -> Option<R>) -> Result<R> {
        let mut wait = Wait::default();
        poll_fn(|context| {
            wait.polled();
            let mut turn = self.turn.lock();
            if let Some(answer) = ready(&mut turn) {
                return Poll::Ready(Ok(answer));
            }
            let (who, tick) = (Some(self.origin.rank), turn.line.tick());
            let reason = WaitReason { who, tick, since: Instant::EPOCH, what: WaitFor::Answer };
            let polled = wait.until(self, reason, context);
            if polled.is_pending() {
                turn.parked.park(context.waker());
            }
            polled
        })
        .await
    }

    fn tick_now(&self) -> Tick {
        self.turn.lock().line.tick()
    }

    fn check_open(&self) -> Result<()> {
        if self.finished.load(Ordering::Acquire) {
            return Err(GroupError::Finished { worker: self.origin }.into());
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
        held.bind(self.origin)
            .map_err(|refusal| refusal.into_error(table.name(), self.origin, self.tick_now()))?;
        let weight = options.weight.unwrap_or(1.0);
        let mut stamp = None;
        let mut rest = values;
        let began = self.store.clock.now();
        let mut places = target.chunks(&held.grid).peekable();
        while let Some(place) = places.next() {
            let (part, later) = rest.split_at(place.elements);
            rest = later;
            let step = Step { place, next: places.peek().copied(), began };
            let header = self.push_chunk(&held, step, weight, part).await?;
            stamp = Some(Stamp::with(stamp, table.id(), &header));
        }
        match stamp {
            Some(stamp) => Ok(stamp),
            None => Ok(self.turn.lock().line.push_nothing(table, options.weight)?),
        }
    }

    async fn push_chunk<T: Element>(
        &self,
        held: &Held,
        step: Step<'_>,
        weight: f64,
        values: &[T],
    ) -> Result<Header> {
        let place = step.place;
        let begin = |turn: &mut Turn| {
            let room = turn.line.has_room();
            room.then(|| turn.line.begin_push(&held.table, place.slot, weight))
        };
        let begun = begin(&mut self.turn.lock());
        let begun = match begun {
            Some(begun) => begun?,
            None => {
                let begun = self.in_turn(begin).await;
                begun.map_err(|error| interrupted(error, place.first_key()))??
            },
        };
        let begun = Begun::push(self, begun);
        let (header, slot) = (begun.header, place.slot);
        let bytes = wire::push_bytes(begun.previous, place.keys(), T::DTYPE, values.len());
        let mut wait = Wait::default();
        let answer = poll_fn(|context| {
            wait.polled();
            let now = wait.now(self, step.began);
            let previous = begun.previous_now(&wait, context.waker());
            let request = PushRequest { header, slot, previous };
            let mut cell = held.shard_of(slot).lock();
            let engine = engine::<T>(&mut cell, &held.table)?;
            step.ask_ahead(held, engine);
            let outcome = engine.push(now, &request, place.push(values));
            let polled = match outcome {
                PushOutcome::Wait(reason) => {
                    wait.tell(&cell, held, (&header, slot), reason);
                    let waited = wait.go_on(self, reason, &mut cell, context);
                    waited.map_err(|error| interrupted(error, place.first_key()))
                },
                PushOutcome::Answered(answer) => {
                    self.tell_pushed(held.table.id(), &request, &answer);
                    cell.bytes_up += bytes as u64;
                    cell.bytes_down += self.store.push_answer_bytes;
                    Poll::Ready(Ok(answer))
                },
            };
            let woken = cell.end_step();
            drop(cell);
            woken.wake();
            polled
        })
        .await?;
        let refused = matches!(answer, Answer::Refused(_));
        wait.end(self, if refused { WaitOutcome::Refused } else { WaitOutcome::Served });
        let header = begun.answered();
        if let Answer::Refused(refusal) = answer {
            let error = refusal.into_error(held.table.name(), self.origin, header.tick);
            self.turn.lock().line.fail(error);
        }
        Ok(header)
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
        let whole_bytes = size_of_val(out);
        let mut seen = None;
        let mut rest = out;
        let began = self.store.clock.now();
        let mut places = target.chunks(&held.grid).peekable();
        while let Some(place) = places.next() {
            let (part, later) = rest.split_at_mut(place.elements);
            rest = later;
            let step = Step { place, next: places.peek().copied(), began };
            let answer = wire::pull_answer_bytes(None, None, T::DTYPE, place.elements);
            let size = place.keys().map_or(RowsSize::Block, RowsSize::Keys);
            let mut pull = Pull::begin(self, &held, place.slot, began, size);
            let served = poll_fn(|context| {
                pull.poll(place.read(&mut *part, whole_bytes), Some(&step), answer, context)
            });
            seen = Some(served.await?.0.joined(seen));
        }
        Ok(seen.unwrap_or_else(|| Seen::nothing(self.tick_now())))
    }

    async fn walk<T: Element>(
        &self,
        table: &Table,
        rows: Selection<'_>,
    ) -> Result<(Rows<T>, Seen)> {
        self.check_open()?;
        let held = self.store.held(table)?;
        let range = Target::walk(table, rows, T::DTYPE)?;
        let rows_max = limits::frame_rows_max(table.spec().width);
        let (mut keys, mut values, mut seen) = (Vec::new(), Vec::new(), None);
        for (slot, part) in held.grid.walks(range) {
            let mut from = Some(part.first());
            while let Some(range) = from.and_then(|first| KeyRange::new(first, part.last())) {
                let began = self.store.clock.now();
                let mut pull = Pull::begin(self, &held, slot, began, RowsSize::Walk);
                let before = keys.len();
                let (one, next) = poll_fn(|context| {
                    let (keys, values) = (&mut keys, &mut values);
                    let rows = ReadRows::Walk { range, rows_max, keys, values };
                    pull.poll(rows, None, 0, context)
                })
                .await?;
                let found = &keys[before..];
                let elements = found.len() * table.spec().width as usize;
                let bytes = wire::pull_answer_bytes(Some(found), next, T::DTYPE, elements);
                held.shard_of(slot).lock().bytes_down += bytes as u64;
                seen = Some(one.joined(seen));
                from = next;
            }
        }
        Rows::found(keys, values, seen)
    }

    async fn wait_applied(&self, stamp: Stamp) -> Result<()> {
        let held = self.store.held_by_id(stamp.table)?;
        let gathers = held.shards().first().is_some_and(|it| it.lock().shard.gathers(stamp.tick));
        if !gathers {
            return Ok(());
        }
        if stamp.tick >= self.turn.lock().line.tick() {
            return Err(AccessError::WaitBeforeTick { tick: stamp.tick }.into());
        }
        for shard in held.shards() {
            let mut wait = Wait::default();
            poll_fn(|context| {
                wait.polled();
                let now = self.store.clock.now();
                let mut cell = shard.lock();
                cell.check_there(&held.table)?;
                if cell.shard.closed(self.origin.group) >= stamp.tick {
                    // The round is closed: what is left are the steps that apply it.
                    while cell.shard.poll() == Work::Working {
                        MutexGuard::bump(&mut cell);
                    }
                    return Poll::Ready(Ok(()));
                }
                let slowest = cell.shard.slowest(self.origin.group);
                let who = slowest.filter(|(tick, _)| *tick < stamp.tick).map(|(_, rank)| rank);
                let (what, tick) = (WaitFor::MemberTick, stamp.tick);
                let reason = WaitReason { who, tick, since: now, what };
                wait.go_on(self, reason, &mut cell, context)
            })
            .await?;
            wait.end(self, WaitOutcome::Served);
        }
        Ok(())
    }

    /// Ends the tick once all pulls of it are answered (SPEC law 5).
    async fn end_tick(&self) -> Result<Tick> {
        let (ended, pushed) = self.begin_to_end(Line::end_tick).await?;
        let answer = self.tick_shards(ended, pushed);
        self.move_on(|turn| turn.ending = false);
        answer.map(|()| ended.next())
    }

    /// Waits until nothing is under way, then lets `end` change the line. No other tick ends
    /// until `ending` is taken back.
    async fn begin_to_end<R>(&self, end: impl Fn(&mut Line) -> R) -> Result<R> {
        let begun = self.in_turn(|turn| {
            let idle = turn.line.unanswered() == 0 && !turn.ending;
            idle.then(|| {
                // Another task may have finished meanwhile.
                self.check_open()?;
                turn.line.take_failure()?;
                turn.ending = true;
                Ok(end(&mut turn.line))
            })
        });
        begun.await?
    }

    /// Changes the turn, and wakes who waits for that.
    fn move_on(&self, change: impl FnOnce(&mut Turn)) {
        let mut turn = self.turn.lock();
        change(&mut turn);
        let woken = turn.parked.take();
        drop(turn);
        woken.wake();
    }

    /// The push before a request that waits, to the same slot. An earlier one may be taken back
    /// meanwhile; then the waker is called, since nothing changes at the shard.
    fn previous_now(&self, sequence: Sequence, waker: &Waker) -> Option<Sequence> {
        let mut turn = self.turn.lock();
        turn.parked.park(waker);
        turn.line.previous(sequence)
    }

    /// Tells every shard that a tick has ended.
    fn tick_shards(&self, ended: Tick, mut pushed: Vec<TickTable>) -> Result<()> {
        self.tell_ticked(ended, &pushed);
        let tables = self.store.ticking(&self.group, self.origin, ended);
        let now = self.store.clock.now();
        let mut answer = Ok(());
        for held in tables.iter() {
            let id = held.table.id();
            let at = pushed.iter().position(|table| table.table == id);
            let table = at.map(|at| pushed.swap_remove(at));
            let weight = table.as_ref().and_then(|table| table.weight);
            let touched = table.as_ref().map_or(&[][..], |table| &table.touched);
            let ticked = held.ticked(now, self.origin, ended, weight, touched);
            let named =
                |refusal: Refusal| refusal.into_error(held.table.name(), self.origin, ended);
            answer = answer.and(ticked.map_err(named));
        }
        answer
    }
}

/// What a history hears of a worker.
impl EmbedWorker {
    /// A push is told when its shard takes it, with the predecessor that it has then.
    fn tell_pushed(&self, table: TableId, request: &PushRequest, answer: &Answer) {
        let PushRequest { header: Header { origin, sequence, tick, .. }, slot, previous } =
            *request;
        self.witness.tell(|| {
            let pushed = Event::Pushed { origin, table, slot, sequence, previous, tick };
            let refused = matches!(answer, Answer::Refused(_));
            let refused = refused.then_some(Event::Refused { origin, table, sequence });
            [pushed].into_iter().chain(refused)
        });
    }

    fn tell_ticked(&self, tick: Tick, tables: &[TickTable]) {
        self.witness.tell(|| {
            let touched = tables.iter().flat_map(|table| {
                table.touched.iter().map(|(slot, last)| (table.table, *slot, *last))
            });
            [Event::TickSent { origin: self.origin, tick, touched: touched.collect() }]
        });
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
        self.tick_now()
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
        check_stamp(&stamp, self.origin)?;
        self.turn.lock().line.take_failure()?;
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
        // From here to the farewell no other tick ends, and what was pushed is ticked.
        let end = |line: &mut Line| line.has_pushed().then(|| line.end_tick());
        let answer = match self.begin_to_end(end).await {
            Err(Error::Group(GroupError::Finished { .. })) => return Ok(()),
            Err(error) => return Err(error),
            Ok(Some((ended, pushed))) => self.tick_shards(ended, pushed),
            Ok(None) => Ok(()),
        };
        let last = self.tick_now().back(1);
        let answer = answer.and_then(|()| self.store.leave(&self.group, self.origin, last));
        self.finished.store(answer.is_ok(), Ordering::Release);
        self.move_on(|turn| turn.ending = false);
        answer
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
    cell.check_there(table)?;
    ShardEngine::of(&mut *cell.shard).ok_or_else(|| {
        let (expected, found) = (table.spec().dtype.name(), T::DTYPE.name());
        AccessError::DType { table: table.name().into(), expected, found }.into()
    })
}
