//! One origin's line of requests: sequences, chains per slot, weights, what a tick has to name.
//!
//! Invariants: I1 sequences of an origin are one ascending line over all tables; I2 each push
//! names the push before it to the same slot; I3 `settled_below` is the lowest sequence without
//! an answer, so that nothing is forgotten that may still be asked again (law 2).

use std::collections::BTreeMap;

use super::{Stamp, check_weight};
use crate::error::{AccessError, Error};
use crate::id::{Origin, Sequence, SlotIndex, TableId, Tick};
use crate::limits;
use crate::spec::Table;
use crate::wire::{Header, TickTable};

/// The line of one origin.
#[derive(Debug)]
pub struct Line {
    origin: Origin,
    tick: Tick,
    next: Sequence,
    /// Ascending by sequence.
    unanswered: Vec<Unanswered>,
    tables: BTreeMap<TableId, TableLine>,
    failed: Option<Error>,
}

/// A request without an answer.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    sequence: Sequence,
    table: TableId,
    slot: SlotIndex,
    /// The push before it to the same slot.
    previous: Option<Sequence>,
}

#[derive(Debug, Default)]
struct TableLine {
    /// The last push to each slot and its tick; grows to the highest slot touched.
    heads: Vec<Option<(Sequence, Tick)>>,
    /// The slots pushed to in this tick, in order of their first push.
    touched: Vec<SlotIndex>,
    weight: Option<f64>,
    /// Chunks pushed in this tick, and whether the weight was said without any.
    chunks: usize,
    said: bool,
}

impl Line {
    /// The line of a worker that starts at `tick`.
    pub fn new(origin: Origin, tick: Tick) -> Self {
        let (unanswered, tables) = (Vec::new(), BTreeMap::new());
        Self { origin, tick, next: Sequence(1), unanswered, tables, failed: None }
    }

    /// Whose line it is.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The current tick.
    pub fn tick(&self) -> Tick {
        self.tick
    }

    /// The sequence that the next request will get.
    pub fn next_sequence(&self) -> Sequence {
        self.next
    }

    /// Requests without an answer.
    pub fn unanswered(&self) -> usize {
        self.unanswered.len()
    }

    /// Whether something was pushed since the last tick.
    pub fn has_pushed(&self) -> bool {
        self.tables.values().any(|table| table.weight.is_some())
    }

    /// A push without rows: no request carries it, and it contributes nothing unless its weight is
    /// said.
    ///
    /// # Errors
    /// As of [`begin_push`](Self::begin_push).
    pub fn push_nothing(
        &mut self,
        table: &Table,
        weight: Option<f64>,
    ) -> Result<Stamp, AccessError> {
        if let Some(weight) = weight {
            self.weigh(table, weight)?.said = true;
        }
        let (origin, table, tick, first) = (self.origin, table.id(), self.tick, self.next);
        Ok(Stamp { origin, table, tick, first, last: Sequence(first.0 - 1) })
    }

    fn weigh(&mut self, table: &Table, weight: f64) -> Result<&mut TableLine, AccessError> {
        let weight = check_weight(table, self.tick, weight)?;
        let line = self.tables.entry(table.id()).or_default();
        if line.weight.is_some_and(|held| held.to_bits() != weight.to_bits()) {
            let problem = "differs from the weight of an earlier push of this tick";
            let (table, tick) = (table.name().into(), self.tick);
            return Err(AccessError::Weight { table, tick, found: weight, problem });
        }
        line.weight = Some(weight);
        Ok(line)
    }

    /// Begins a push to a slot: its header, and the push before it to that slot. The weight becomes
    /// that of the header's tick in the same step, so that no tick can fall between them.
    ///
    /// # Errors
    /// `Weight` when it is out of bounds or differs from an earlier push of the tick; nothing has
    /// begun then.
    pub fn begin_push(
        &mut self,
        table: &Table,
        slot: SlotIndex,
        weight: f64,
    ) -> Result<(Header, Option<Sequence>), AccessError> {
        self.weigh(table, weight)?.chunks += 1;
        let header = self.header();
        let table = table.id();
        let line = self.tables.entry(table).or_default();
        let at = slot.0 as usize;
        if line.heads.len() <= at {
            line.heads.resize(at + 1, None);
        }
        let before = line.heads[at].replace((header.sequence, header.tick));
        if before.is_none_or(|(_, tick)| tick < header.tick) {
            line.touched.push(slot);
        }
        let previous = before.map(|(sequence, _)| sequence);
        Ok((self.begun(header, table, slot, previous), previous))
    }

    /// The push before an unanswered request to the same slot. It changes when that one is taken
    /// back.
    pub fn previous(&self, sequence: Sequence) -> Option<Sequence> {
        let at = self.place(sequence)?;
        self.unanswered[at].previous
    }

    /// Takes back a push that was begun but never executed: later requests follow its predecessor,
    /// and a weight that came with nothing else is forgotten.
    pub fn abandon_push(&mut self, sequence: Sequence) {
        let Some(at) = self.place(sequence) else { return };
        let gone = self.unanswered.remove(at);
        for later in &mut self.unanswered {
            let follows = later.table == gone.table && later.slot == gone.slot;
            if follows && later.previous == Some(sequence) {
                later.previous = gone.previous;
            }
        }
        let Some(line) = self.tables.get_mut(&gone.table) else { return };
        // A tick ends only when nothing is unanswered, so the push was of this one.
        line.chunks = line.chunks.saturating_sub(1);
        if line.chunks == 0 && !line.said {
            line.weight = None;
        }
        let Some(head) = line.heads.get_mut(gone.slot.0 as usize) else { return };
        if head.is_some_and(|(held, _)| held == sequence) {
            // A chunk that was executed before is older than this tick at worst: naming its slot
            // again in the tick does no harm.
            *head = gone.previous.map(|previous| (previous, self.tick.back(1)));
        }
    }

    /// Begins a pull from a slot: its header, and the last own push to that slot.
    pub fn begin_pull(&mut self, table: TableId, slot: SlotIndex) -> (Header, Option<Sequence>) {
        let header = self.header();
        let line = self.tables.get(&table);
        let head = line.and_then(|line| *line.heads.get(slot.0 as usize)?);
        let own = head.map(|(sequence, _)| sequence);
        (self.begun(header, table, slot, own), own)
    }

    /// Notes that a request was answered.
    pub fn answered(&mut self, sequence: Sequence) {
        if let Some(at) = self.place(sequence) {
            self.unanswered.remove(at);
        }
    }

    /// The lowest sequence without an answer.
    pub fn settled_below(&self) -> Sequence {
        self.unanswered.first().map_or(self.next, |request| request.sequence)
    }

    /// Whether another request may begin: windows keep outcomes from the lowest unanswered
    /// sequence on, and no more than `inflight_max` (law 12).
    pub fn has_room(&self) -> bool {
        self.next.0 - self.settled_below().0 < limits::INFLIGHT_MAX as u64
    }

    /// Keeps the first error of a push until [`take_failure`](Self::take_failure).
    pub fn fail(&mut self, error: Error) {
        self.failed.get_or_insert(error);
    }

    /// The error that `wait`, `tick` or `finish` has to surface.
    ///
    /// # Errors
    /// The first error of a push since the last call.
    pub fn take_failure(&mut self) -> Result<(), Error> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Ends the tick: which tick ended, and what it did to each table it pushed to.
    pub fn end_tick(&mut self) -> (Tick, Vec<TickTable>) {
        let ended = self.tick;
        self.tick = ended.next();
        let mut tables = Vec::new();
        for (table, line) in &mut self.tables {
            let Some(weight) = line.weight.take() else {
                continue;
            };
            (line.chunks, line.said) = (0, false);
            let mut touched = std::mem::take(&mut line.touched);
            touched.sort_unstable();
            touched.dedup();
            let last = |slot: SlotIndex| Some((slot, line.heads.get(slot.0 as usize)?.as_ref()?.0));
            let touched = touched.into_iter().filter_map(last).collect();
            tables.push(TickTable { table: *table, weight: Some(weight), touched });
        }
        (ended, tables)
    }

    fn place(&self, sequence: Sequence) -> Option<usize> {
        self.unanswered.binary_search_by_key(&sequence, |request| request.sequence).ok()
    }

    /// The header of the next request.
    fn header(&self) -> Header {
        let (sequence, settled_below) = (self.next, self.settled_below());
        Header { origin: self.origin, sequence, settled_below, tick: self.tick }
    }

    /// Notes that the request of that header has begun.
    fn begun(
        &mut self,
        header: Header,
        table: TableId,
        slot: SlotIndex,
        previous: Option<Sequence>,
    ) -> Header {
        let sequence = header.sequence;
        self.next = Sequence(sequence.0 + 1);
        self.unanswered.push(Unanswered { sequence, table, slot, previous });
        header
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{Hyper, TablePolicy, TableSpec};

    fn table() -> Table {
        let policy = TablePolicy::local(crate::consistency::Eventual);
        Table::new(TableId(3), TableSpec::dense("w", 9), policy, Hyper::default())
    }

    #[test]
    fn chains_ticks_and_settlement() {
        let table = table();
        let mut line = Line::new(Origin::default(), Tick(1));
        let slot = SlotIndex(5);
        let (first, previous) = line.begin_push(&table, slot, 2.0).unwrap();
        let other = line.begin_push(&table, slot, 3.0);
        assert!(matches!(other, Err(AccessError::Weight { .. })));
        assert_eq!((first.sequence, previous), (Sequence(1), None));
        let (second, previous) = line.begin_push(&table, slot, 2.0).unwrap();
        assert_eq!((second.sequence, second.settled_below), (Sequence(2), Sequence(1)));
        assert_eq!(previous, Some(Sequence(1)));
        line.answered(Sequence(1));
        assert_eq!(line.begin_pull(table.id(), slot).1, Some(Sequence(2)));
        assert_eq!(line.settled_below(), Sequence(2));
        let (ended, tables) = line.end_tick();
        assert_eq!((ended, line.tick()), (Tick(1), Tick(2)));
        assert_eq!(tables[0].touched, vec![(slot, Sequence(2))]);
        line.push_nothing(&table, Some(3.0)).unwrap();
        assert!(line.end_tick().1[0].touched.is_empty());
    }

    #[test]
    fn what_is_taken_back_takes_its_weight_along_and_frees_who_follows() {
        let table = table();
        let slot = SlotIndex(1);
        let mut line = Line::new(Origin::default(), Tick(1));
        line.begin_push(&table, slot, 3.0).unwrap();
        let (pull, own) = line.begin_pull(table.id(), slot);
        assert_eq!(own, Some(Sequence(1)));
        line.abandon_push(Sequence(1));
        assert_eq!(line.previous(pull.sequence), None, "the pull waits for nobody");
        assert!(!line.has_pushed());
        line.begin_push(&table, slot, 0.5).unwrap();
        line.push_nothing(&table, Some(0.5)).unwrap();
        line.abandon_push(Sequence(3));
        assert!(line.has_pushed(), "a weight that was said on its own stays");
    }

    #[test]
    fn pushes_that_are_taken_back_leave_no_gap() {
        let (table, slot) = (table(), SlotIndex(1));
        let mut line = Line::new(Origin::default(), Tick(1));
        let push = |line: &mut Line| line.begin_push(&table, slot, 1.0).unwrap();
        for sequence in 1..=4 {
            assert_eq!(push(&mut line).0.sequence, Sequence(sequence));
        }
        line.answered(Sequence(1));
        line.abandon_push(Sequence(2));
        assert_eq!(line.previous(Sequence(3)), Some(Sequence(1)));
        line.abandon_push(Sequence(3));
        assert_eq!(line.previous(Sequence(4)), Some(Sequence(1)));
        line.abandon_push(Sequence(4));
        assert_eq!(push(&mut line).1, Some(Sequence(1)));
    }
}
