//! A table as the store holds it: its shards, each behind a lock, and who waits at each.

use super::changing::Changed;
use super::parked::{Parked, Woken};
use super::recorder::Witness;
use super::store::Config;
use crate::error::{AccessError, Result, SpecError};
use crate::history::Event;
use crate::id::{GroupId, Origin, Sequence, ServerId, SlotIndex, Tick};
use crate::node::registry::Code;
use crate::node::shard::{Place, Shard, ShardStats, Work, digest_of, new_shard};
use crate::placement::{Epoch, SlotGrid};
use crate::spec::{GroupRecord, Table};
use crate::sync::{Arc, Mutex};
use crate::time::Instant;
use crate::wire::Refusal;

/// A table and its shards.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) table: Table,
    pub(super) grid: SlotGrid,
    shards: Vec<Mutex<Cell>>,
    slots_per_shard: u32,
    /// The group that writes the table, bound for all shards at its first push.
    writer: Mutex<Option<GroupId>>,
    /// The table with its changes.
    changed: Mutex<Table>,
}

/// One shard, under its lock.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) shard: Box<dyn Shard>,
    /// The table is gone: nothing may be done here any more.
    pub(super) dropped: bool,
    pub(super) parked: Parked,
    pub(super) witness: Witness,
    /// Bytes that the requests and answers would have on the wire.
    pub(super) bytes_up: u64,
    pub(super) bytes_down: u64,
}

impl Held {
    pub(super) fn new(
        table: Table,
        code: &Code,
        config: &Config,
        mut witness: impl FnMut() -> Witness,
    ) -> Result<Self, SpecError> {
        let grid = SlotGrid::new(table.spec());
        let slots_per_shard = grid.count().div_ceil(config.shards.max(1));
        let mut cells = Vec::new();
        for first in (0..grid.count()).step_by(slots_per_shard as usize) {
            let last = grid.count().min(first + slots_per_shard);
            let place = Place {
                server: ServerId(u32::try_from(cells.len()).unwrap_or(u32::MAX)),
                slots: (first..last).map(SlotIndex).collect(),
                record_history: config.record_history,
                switch: config.switch,
                mirrors: None,
            };
            let witness = witness();
            witness.tell(|| placed(&table, &grid, &place));
            let shard = new_shard(&table, code, place)?;
            let parked = Parked::default();
            let (dropped, bytes_up, bytes_down) = (false, 0, 0);
            let cell = Cell { shard, dropped, parked, witness, bytes_up, bytes_down };
            cells.push(Mutex::new(cell));
        }
        let (writer, changed) = (Mutex::new(None), Mutex::new(table.clone()));
        Ok(Self { table, grid, shards: cells, slots_per_shard, writer, changed })
    }

    /// Binds the group that writes the table: once, for all shards.
    pub(super) fn bind(&self, origin: Origin) -> Result<(), Refusal> {
        let mut writer = self.writer.lock();
        match *writer {
            Some(bound) if bound == origin.group => Ok(()),
            Some(writer) => Err(Refusal::WriterTaken { writer }),
            None => {
                for cell in &self.shards {
                    cell.lock().shard.bind(origin)?;
                }
                *writer = Some(origin.group);
                Ok(())
            },
        }
    }

    /// The table with its changes.
    pub(super) fn changed(&self) -> Table {
        self.changed.lock().clone()
    }

    /// Changes the table. `terms` is told the group that writes it, and makes the terms. No group
    /// is bound meanwhile. [`work`](Self::work) is to follow.
    pub(super) fn change(
        &self,
        now: Instant,
        terms: impl FnOnce(&Table, Option<GroupId>) -> Result<Changed>,
    ) -> Result<Tick> {
        let writer = self.writer.lock();
        let mut changed = self.changed.lock();
        let (terms, policy) = match terms(&changed, *writer)? {
            Changed::Found(tick) => return Ok(tick),
            Changed::New(terms, policy) => (*terms, policy),
        };
        let from = terms.from;
        for cell in &self.shards {
            cell.lock().shard.change(now, terms.clone(), Arc::clone(&policy));
        }
        *changed = changed.with_change(terms);
        Ok(from)
    }

    /// The table is gone: whoever waits here is told.
    pub(super) fn end(&self) {
        for cell in &self.shards {
            let mut cell = cell.lock();
            cell.dropped = true;
            let woken = cell.parked.take();
            drop(cell);
            woken.wake();
        }
    }

    /// The shard that holds a slot.
    pub(super) fn shard_of(&self, slot: SlotIndex) -> &Mutex<Cell> {
        &self.shards[(slot.0 / self.slots_per_shard) as usize]
    }

    /// All shards, in order of their slots.
    pub(super) fn shards(&self) -> &[Mutex<Cell>] {
        &self.shards
    }

    /// Tells every shard about a tick and does the close steps that follow. No lock may be held.
    pub(super) fn ticked(
        &self,
        now: Instant,
        origin: Origin,
        tick: Tick,
        weight: Option<f64>,
        touched: &[(SlotIndex, Sequence)],
    ) -> Result<(), Refusal> {
        let (mut rest, mut answer) = (touched, Ok(()));
        for (index, cell) in self.shards.iter().enumerate() {
            let end = (index as u64 + 1) * u64::from(self.slots_per_shard);
            let here = rest.partition_point(|(slot, _)| u64::from(slot.0) < end);
            let (mine, later) = rest.split_at(here);
            rest = later;
            let mut cell = cell.lock();
            // Every shard hears of the tick, also when one refuses it.
            let ticked = cell.shard.ticked(now, origin, tick, weight, mine);
            let woken = cell.end_step();
            drop(cell);
            woken.wake();
            answer = answer.and(ticked);
        }
        self.work();
        answer
    }

    /// Tells every shard about a group's record. [`work`](Self::work) is to follow once the
    /// caller has released its locks.
    pub(super) fn hold_record(&self, now: Instant, record: &GroupRecord) {
        for cell in &self.shards {
            cell.lock().hold_record(now, record);
        }
    }

    /// Does the close steps that wait, one block under the lock at a time, so that a reader of
    /// another block gets in between; wakes whoever may go on. No lock may be held.
    pub(super) fn work(&self) {
        for cell in &self.shards {
            loop {
                let mut cell = cell.lock();
                let work = cell.shard.poll();
                let woken = cell.end_step();
                drop(cell);
                woken.wake();
                if work == Work::Idle {
                    break;
                }
            }
        }
    }

    /// Counters of all shards together, and the bytes up and down.
    pub(super) fn stats(&self) -> (ShardStats, u64, u64) {
        let mut sum = ShardStats::default();
        let (mut up, mut down) = (0, 0);
        for cell in &self.shards {
            let cell = cell.lock();
            let one = cell.shard.stats();
            sum.pushes += one.pushes;
            sum.pulls += one.pulls;
            sum.rounds = sum.rounds.max(one.rounds);
            sum.waits += one.waits;
            sum.repeats += one.repeats;
            sum.refusals += one.refusals;
            sum.stash_bytes += one.stash_bytes;
            sum.stash_bytes_peak += one.stash_bytes_peak;
            sum.memory_bytes += one.memory_bytes;
            sum.clock_ranges += one.clock_ranges;
            sum.window_outcomes = sum.window_outcomes.max(one.window_outcomes);
            sum.window_entries += one.window_entries;
            sum.open_rounds = sum.open_rounds.max(one.open_rounds);
            up += cell.bytes_up;
            down += cell.bytes_down;
        }
        (sum, up, down)
    }

    /// A digest of all values and state.
    pub(super) fn digest(&self) -> u128 {
        digest_of(self.shards.iter().flat_map(|cell| cell.lock().shard.digests()))
    }
}

impl Cell {
    /// Whether the table is still there.
    pub(super) fn check_there(&self, table: &Table) -> Result<(), AccessError> {
        if !self.dropped {
            return Ok(());
        }
        Err(AccessError::Dropped { table: table.name().into() })
    }

    /// Tells the shard about a group's record.
    pub(super) fn hold_record(&mut self, now: Instant, record: &GroupRecord) {
        self.witness.tell(|| [Event::RecordHeld { record: record.clone() }]);
        self.shard.hold_record(now, record);
    }

    /// Ends a step under the lock: its events are told, and everybody who waits here is taken
    /// out if something has changed.
    pub(super) fn end_step(&mut self) -> Woken {
        let shard = &mut self.shard;
        self.witness.tell(|| shard.take_events());
        if self.shard.take_changed() { self.parked.take() } else { Woken::default() }
    }
}

/// Who owns which keys, for a history.
fn placed(table: &Table, grid: &SlotGrid, place: &Place) -> Vec<Event> {
    let (table, owner, epoch) = (table.id(), place.server, Epoch(0));
    let event = |slot: &SlotIndex| {
        Some(Event::Placed { table, slot: *slot, range: grid.range(*slot)?, owner, epoch })
    };
    place.slots.iter().filter_map(event).collect()
}
