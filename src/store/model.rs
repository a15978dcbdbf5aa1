//! Both stores against the plainest model there is, a map from key to row, under random changes.

use std::collections::BTreeMap;

use proptest::collection::{btree_set, vec};
use proptest::prelude::*;

use super::{DenseStore, Run, SparseStore};
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::spec::{Init, TableSpec};
use crate::vector::Element;

/// A row of the model: values, then the lanes one after the other; and its step.
#[derive(Clone, Debug, PartialEq)]
struct Row<T> {
    record: Vec<T>,
    step: u64,
}

impl<T: Element> Row<T> {
    fn new(spec: &TableSpec, lanes: usize, key: Key) -> Self {
        let width = spec.width as usize;
        let mut record = vec![T::default(); width * (1 + lanes)];
        spec.fill_init(key, &mut record[..width]);
        Self { record, step: 0 }
    }

    /// The same change as [`change`], element by element.
    fn change(&mut self, by: i32) {
        for (element, value) in self.record.iter_mut().enumerate() {
            *value = value.plus(T::from_f64(f64::from(by) * (element + 1) as f64));
        }
        self.step += 1;
    }
}

/// Adds `by` times the element's place in its record to each element of one row.
fn change<T: Element>(row: usize, width: usize, by: i32, run: &mut Run<'_, T>) {
    let lanes = run.lanes.iter_mut().map(|lane| &mut **lane);
    let slices = std::iter::once(&mut *run.values).chain(lanes);
    let elements = slices.flat_map(|slice| &mut slice[row * width..(row + 1) * width]);
    for (element, value) in elements.enumerate() {
        *value = value.plus(T::from_f64(f64::from(by) * (element + 1) as f64));
    }
}

fn inits() -> impl Strategy<Value = Init> {
    prop_oneof![
        Just(Init::Zero),
        Just(Init::Constant(-2.0)),
        (any::<u64>(), -3.0..0.0).prop_map(|(seed, low)| Init::Uniform { seed, low, high: 5.0 }),
    ]
}

#[derive(Clone, Debug)]
enum Sparse {
    Update(Vec<Key>, i32),
    Read(Vec<Key>),
    Walk(Key, usize),
}

fn keys() -> impl Strategy<Value = Vec<Key>> {
    let key = prop_oneof![
        4 => 0_u64..300,
        1 => any::<u64>(),
        1 => Just(u64::MAX),
        2 => u64::MAX - 40..=u64::MAX,
    ];
    btree_set(key, 0..200).prop_map(|keys| keys.into_iter().map(Key).collect())
}

fn sparse_ops() -> impl Strategy<Value = Vec<Sparse>> {
    let op = prop_oneof![
        2 => (keys(), -9..9).prop_map(|(keys, by)| Sparse::Update(keys, by)),
        1 => keys().prop_map(Sparse::Read),
        1 => (any::<u64>(), 0_usize..90).prop_map(|(from, max)| Sparse::Walk(Key(from >> 56), max)),
    ];
    vec(op, 0..12)
}

const LOW: SlotIndex = SlotIndex(3);
const HIGH: SlotIndex = SlotIndex(9);

/// The keys on either side of 150: the domain of `LOW` and of `HIGH`.
fn halves() -> [(SlotIndex, KeyRange); 2] {
    let range = |first, last| KeyRange::new(Key(first), Key(last)).unwrap();
    [(HIGH, range(150, u64::MAX)), (LOW, range(0, 149))]
}

fn split(keys: &[Key]) -> [(SlotIndex, &[Key]); 2] {
    let (low, high) = keys.split_at(keys.partition_point(|key| key.0 < 150));
    [(LOW, low), (HIGH, high)]
}

fn sparse_agrees<T: Element>(spec: &TableSpec, lanes: usize, steps: bool, ops: &[Sparse]) {
    let width = spec.width as usize;
    let mut store = SparseStore::<T>::new(spec, lanes, steps, &halves()).unwrap();
    let mut model = BTreeMap::<Key, Row<T>>::new();
    for op in ops {
        match op {
            Sparse::Update(keys, by) => {
                let before = model.len();
                for key in keys {
                    let row = model.entry(*key);
                    row.or_insert_with(|| Row::new(spec, lanes, *key)).change(*by);
                }
                let made = split(keys).map(|(slot, keys)| {
                    store.update(slot, keys, |_, mut run| {
                        change(0, width, *by, &mut run);
                        *run.step += 1;
                    })
                });
                assert_eq!(made[0].unwrap() + made[1].unwrap(), model.len() - before);
            },
            Sparse::Read(keys) => {
                for (slot, keys) in split(keys) {
                    let mut out = vec![T::from_f64(77.0); keys.len() * width];
                    let found = store.read(slot, keys, &mut out).unwrap();
                    let held = keys.iter().filter(|key| model.contains_key(key)).count();
                    assert_eq!(found, held);
                    for (key, out) in keys.iter().zip(out.chunks(width)) {
                        let fresh = || Row::new(spec, lanes, *key);
                        let row = model.get(key).cloned().unwrap_or_else(fresh);
                        assert_eq!(out, &row.record[..width]);
                    }
                }
            },
            Sparse::Walk(from, rows_max) => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                let next = store.walk(HIGH, *from, *rows_max, &mut keys, &mut values);
                let mut rows = model.range((*from).max(Key(150))..);
                for (key, values) in keys.iter().zip(values.chunks(width)) {
                    let (expected, row) = rows.next().unwrap();
                    assert_eq!((key, values), (expected, &row.record[..width]));
                }
                assert_eq!(next, rows.next().map(|(key, _)| *key));
                assert!(next.is_none() || keys.len() == *rows_max);
            },
        }
    }
    assert_eq!(store.len(LOW).unwrap() + store.len(HIGH).unwrap(), model.len());
    digest_forgets_the_order(spec, lanes, steps, &store, &model);
}

/// Another store per slot, filled in descending order of key, has the same digests.
fn digest_forgets_the_order<T: Element>(
    spec: &TableSpec,
    lanes: usize,
    steps: bool,
    store: &SparseStore<T>,
    model: &BTreeMap<Key, Row<T>>,
) {
    let width = spec.width as usize;
    for (slot, range) in halves() {
        let mut other = SparseStore::<T>::new(spec, lanes, steps, &[(slot, range)]).unwrap();
        for (key, row) in model.iter().rev().filter(|(key, _)| range.contains(**key)) {
            other.update(slot, &[*key], |_, mut run| {
                run.values.copy_from_slice(&row.record[..width]);
                for (lane, state) in run.lanes.iter_mut().zip(row.record[width..].chunks(width)) {
                    lane.copy_from_slice(state);
                }
                *run.step = row.step;
            });
        }
        assert_eq!(other.digest_slot(slot), store.digest_slot(slot));
        let first = model.range(range.first()..=range.last()).next();
        if let Some((key, _)) = first {
            other.update(slot, &[*key], |_, run| {
                run.values[0] = run.values[0].plus(T::from_f64(1.0));
            });
            assert_ne!(other.digest_slot(slot), store.digest_slot(slot));
        }
    }
}

#[derive(Clone, Debug)]
struct Change {
    first: u64,
    rows: u64,
    by: i32,
}

fn dense_changes() -> impl Strategy<Value = Vec<Change>> {
    let change = (0_u64..230, prop_oneof![1_u64..4, 1_u64..80], -9..9);
    vec(change.prop_map(|(first, rows, by)| Change { first, rows, by }), 0..20)
}

/// Slots of a domain of 200 rows in blocks: the first `cut` blocks, and the others.
fn dense_slots(spec: &TableSpec, cut: u64) -> Vec<(SlotIndex, KeyRange)> {
    let first = spec.domain.first();
    match KeyRange::from_count(first, cut * spec.block_rows()) {
        Some(low) if low.last() < spec.domain.last() => {
            let high = KeyRange::new(Key(low.last().0 + 1), spec.domain.last()).unwrap();
            vec![(HIGH, high), (LOW, low)]
        },
        _ => vec![(LOW, spec.domain)],
    }
}

fn dense_agrees<T: Element>(spec: &TableSpec, lanes: usize, cut: u64, changes: &[Change]) {
    let (width, start) = (spec.width as usize, spec.domain.first().0);
    let slots = dense_slots(spec, cut);
    let mut store = DenseStore::<T>::new(spec, lanes, &slots).unwrap();
    let mut alone: Vec<_> =
        slots.iter().map(|slot| DenseStore::<T>::new(spec, lanes, &[*slot]).unwrap()).collect();
    let fresh = |key: u64| Row::<T>::new(spec, lanes, Key(start + key));
    let mut model: Vec<_> = (0..spec.rows()).map(fresh).collect();
    for Change { first, rows, by } in changes {
        let first_key = start.checked_add(*first).map(Key);
        let range = first_key.and_then(|key| KeyRange::from_count(key, *rows));
        let Some(range) = range else { continue };
        let block = |key: Key| (key.0 - start) / spec.block_rows();
        let one_block = block(range.first()) == block(range.last());
        for ((slot, keys), alone) in slots.iter().zip(&mut alone) {
            let lent = store.rows_mut(*slot, range);
            assert_eq!(lent.is_some(), keys.covers(&range) && one_block);
            let Some(mut run) = lent else { continue };
            let mut run_alone = alone.rows_mut(*slot, range).unwrap();
            for row in 0..*rows as usize {
                change(row, width, *by, &mut run);
                change(row, width, *by, &mut run_alone);
                model[*first as usize + row].change(*by);
            }
            *run.step += 1;
            *run_alone.step += 1;
        }
    }
    for ((slot, keys), alone) in slots.iter().zip(&alone) {
        let from = (keys.first().0 - start) as usize;
        let rows = &model[from..from + keys.count() as usize];
        let expected: Vec<T> = rows.iter().flat_map(|row| row.record[..width].to_vec()).collect();
        let mut out = vec![T::default(); expected.len()];
        store.read_range(*slot, *keys, &mut out, 0).unwrap();
        assert_eq!(out, expected);
        assert_eq!(store.digest_slot(*slot), alone.digest_slot(*slot));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn sparse_rows_are_a_map(
        width in 1_u32..20, lanes in 0_usize..3, steps: bool, init in inits(), ops in sparse_ops(),
    ) {
        let spec = TableSpec::sparse("s", width).init(init);
        sparse_agrees::<f32>(&spec, lanes, steps, &ops);
        sparse_agrees::<i64>(&spec.dtype::<i64>(), lanes, steps, &ops);
    }

    #[test]
    fn dense_rows_are_an_array(
        width in 1_u32..40, lanes in 0_usize..3, cut in 0_u64..90, init in inits(),
        at_the_end: bool, changes in dense_changes(),
    ) {
        let first = if at_the_end { u64::MAX - 199 } else { 1000 };
        let domain = KeyRange::from_count(Key(first), 200).unwrap();
        let spec = TableSpec::dense("d", 1).domain(domain).width(width).block_elements(64);
        let spec = spec.init(init);
        dense_agrees::<f32>(&spec, lanes, cut, &changes);
        dense_agrees::<f64>(&spec.dtype::<f64>(), lanes, cut, &changes);
    }
}

#[test]
fn lanes_state_and_refusals() {
    let spec = TableSpec::dense("d", 300).block_elements(64);
    let slot = [(LOW, spec.domain)];
    assert!(DenseStore::<f32>::new(&spec, 5, &slot).is_err());
    assert!(SparseStore::<f64>::new(&spec, 0, false, &slot).is_err());
    let mut store = DenseStore::<f32>::new(&spec, 4, &slot).unwrap();
    assert_eq!(store.block_count(LOW), Some(5));
    assert!(store.rows(HIGH, spec.domain).is_none());
    assert!(store.rows(LOW, KeyRange::ALL).is_none());
    let before = store.digest_slot(LOW);
    let last = KeyRange::single(Key(299));
    store.rows_mut(LOW, last).unwrap().lanes[3][0] = 1.0;
    let lane = store.digest_slot(LOW);
    *store.rows_mut(LOW, last).unwrap().step = 1;
    assert!(before != lane && lane != store.digest_slot(LOW));
    assert_eq!(*store.rows_mut(LOW, KeyRange::single(Key(256))).unwrap().step, 1);
    assert_eq!(*store.rows_mut(LOW, KeyRange::single(Key(255))).unwrap().step, 0);
}

#[test]
#[should_panic(expected = "whole blocks")]
fn a_slot_that_cuts_a_block_is_a_bug() {
    let spec = TableSpec::dense("d", 300).block_elements(64);
    let cut = KeyRange::from_count(Key(0), 65).unwrap();
    let _store = DenseStore::<f32>::new(&spec, 0, &[(LOW, cut)]);
}
