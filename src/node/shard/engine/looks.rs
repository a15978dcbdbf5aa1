//! Looks at all rows from outside, which no request and no close step can notice.

use std::borrow::Cow;

use super::ShardEngine;
use crate::error::{Result, SpecError};
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::node::shard::rows::{ShardRows, Update};
use crate::spec::Layout;
use crate::vector::Element;

impl<T: Element> ShardEngine<T> {
    /// The values of every row held, slot by slot, in key order, as they are with all closed rounds
    /// applied; of a sparse table those of every key that may exist here, at its init where no row
    /// does. Unlike [`peek`](Self::peek) it does no close steps: while some wait, they are done
    /// on a copy of the shard's rows. Cost: all rows, and that copy.
    ///
    /// # Errors
    /// More than [`LOOK_ELEMENTS_MAX`](limits::LOOK_ELEMENTS_MAX) elements.
    pub fn look(&self) -> Result<Vec<(KeyRange, Vec<T>)>> {
        let slots = self.place.slots.iter();
        let slots: Vec<_> =
            slots.filter_map(|slot| Some((*slot, self.grid.range(*slot)?))).collect();
        let rows = slots.iter().map(|(_, range)| range.count()).fold(0, u128::saturating_add);
        let found = u64::try_from(rows.saturating_mul(self.width() as u128)).unwrap_or(u64::MAX);
        let limit = limits::LOOK_ELEMENTS_MAX;
        if found > limit {
            let what = "number of elements looked at together".into();
            return Err(SpecError::Limit { what, limit, found }.into());
        }
        let settled = self.settled();
        let values = slots.into_iter().map(|(slot, range)| {
            let mut out = vec![T::default(); range.count() as usize * self.width()];
            self.look_into(&settled, (slot, range), &mut out);
            (range, out)
        });
        Ok(values.collect())
    }

    /// The rows with all close steps done.
    fn settled(&self) -> Cow<'_, ShardRows<T>> {
        if !self.gathered.is_working() || self.exchanges_aggregates() {
            return Cow::Borrowed(&self.rows);
        }
        let (mut rows, mut gathered) = (self.rows.clone(), self.gathered.clone());
        while let Some((unit, closing, parts)) = gathered.next_step() {
            let (rate, denominator) = (closing.rate, self.denominator(&closing));
            let update = Update { rule: &*self.rule, rate, denominator };
            rows.fold(update, self.grid.slot_of(unit), parts, drop);
        }
        Cow::Owned(rows)
    }

    fn look_into(&self, rows: &ShardRows<T>, (slot, range): (SlotIndex, KeyRange), out: &mut [T]) {
        if self.table.spec().layout == Layout::Dense {
            return rows.read_block(slot, range, out, 0);
        }
        let mut first = range.first().0;
        for out in out.chunks_mut(limits::FRAME_KEYS_MAX * self.width()) {
            let count = (out.len() / self.width()) as u64;
            // The last key may be the last that there is.
            let keys: Vec<_> = (first..=first + (count - 1)).map(Key).collect();
            rows.read_keys(slot, &keys, out);
            first = first.wrapping_add(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::{Bsp, Eventual};
    use crate::extension::Extension;
    use crate::id::TableId;
    use crate::id::{GroupId, Incarnation, Origin, Rank, RecordVersion, Sequence, ServerId, Tick};
    use crate::node::Registry;
    use crate::node::sabotage::Switch;
    use crate::node::shard::{Chunk, Place, PushOutcome, PushRequest, Shard, Work};
    use crate::spec::{GroupRecord, Hyper, Init, Member, MemberEnd, Table, TablePolicy, TableSpec};
    use crate::time::Instant;
    use crate::wire::Header;

    const ORIGIN: Origin = Origin { group: GroupId(0), rank: Rank(0), incarnation: Incarnation(1) };

    fn engine(spec: TableSpec, local: impl Into<Extension>) -> ShardEngine<f32> {
        let policy = TablePolicy::local(local);
        let code = Registry::built_in().resolve(&spec, &policy).unwrap();
        let slots = vec![SlotIndex(0), SlotIndex(1)];
        let (server, record_history, switch) = (ServerId(0), false, Switch::NONE);
        let table = Table::new(TableId(0), spec, policy, Hyper::default());
        let place = Place { server, slots, record_history, switch, mirrors: None };
        let mut engine = ShardEngine::new(table, code, place).unwrap();
        let member = Member { origin: ORIGIN, start: Tick(1), end: MemberEnd::Active };
        let (group, version, members) = (GroupId(0), RecordVersion(1), vec![member]);
        engine.hold_record(Instant::EPOCH, &GroupRecord { group, version, size: 1, members });
        engine
    }

    fn request(sequence: u64, slot: u32) -> PushRequest {
        let (sequence, settled_below) = (Sequence(sequence), Sequence(1));
        let header = Header { origin: ORIGIN, sequence, settled_below, tick: Tick(1) };
        PushRequest { header, slot: SlotIndex(slot), previous: None }
    }

    #[test]
    fn closed_rounds_are_seen_and_their_steps_stay_to_be_done() {
        let spec = TableSpec::dense("w", 256).block_elements(64).slots(2);
        let mut engine = engine(spec, Bsp);
        for (sequence, first) in [(1, 0), (2, 128)] {
            let rows = KeyRange::from_count(Key(first), 64).unwrap();
            let chunk = Chunk::Block { rows, values: &[sequence as f32; 64] };
            let outcome =
                engine.push(Instant::EPOCH, &request(sequence, sequence as u32 - 1), chunk);
            assert!(matches!(outcome, PushOutcome::Answered(_)), "{outcome:?}");
        }
        let seen = |engine: &ShardEngine<f32>| {
            let slots = engine.look().unwrap().into_iter();
            slots.map(|(range, v)| (range.first().0, v[0], v[127])).collect::<Vec<_>>()
        };
        assert_eq!(seen(&engine), [(0, 0.0, 0.0), (128, 0.0, 0.0)], "the round is open");
        engine.ticked(Instant::EPOCH, ORIGIN, Tick(1), None, &[]).unwrap();
        let closed = [(0, 1.0, 0.0), (128, 2.0, 0.0)];
        assert_eq!(seen(&engine), closed);
        let bytes = engine.stats().stash_bytes;
        assert_eq!(seen(&engine), closed);
        assert_eq!(engine.stats().stash_bytes, bytes, "nothing was done for it");
        assert_eq!((engine.poll(), engine.poll()), (Work::Working, Work::Idle));
        assert_eq!(seen(&engine), closed);
    }

    #[test]
    fn sparse_rows_that_do_not_exist_read_as_their_init() {
        let domain = KeyRange::new(Key(u64::MAX - 9_999), Key(u64::MAX)).unwrap();
        let spec = TableSpec::sparse("s", 2).domain(domain).slots(2).init(Init::Constant(0.5));
        let mut engine = engine(spec, Eventual);
        let keys = [Key(u64::MAX - 1), Key(u64::MAX)];
        let chunk = Chunk::Frame { keys: &keys, values: &[1.0, 2.0, 3.0, 4.0] };
        engine.push(Instant::EPOCH, &request(1, 1), chunk);
        let slots = engine.look().unwrap();
        assert_eq!(slots.len(), 2);
        let values: Vec<_> = slots.into_iter().flat_map(|(_, values)| values).collect();
        assert_eq!(values.len(), 20_000);
        assert!(values[..19_996].iter().all(|x| *x == 0.5));
        assert_eq!(values[19_996..], [1.5, 2.5, 3.5, 4.5]);
    }

    #[test]
    fn a_domain_without_bound_is_refused() {
        let error = engine(TableSpec::sparse("s", 1).slots(2), Eventual).look().unwrap_err();
        assert!(error.to_string().contains("looked at together is 1844674"), "{error}");
    }
}
