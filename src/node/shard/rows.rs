//! The rows of a shard, and how contributions reach them through the update rule.

mod mirrored;
mod summing;

pub(super) use mirrored::Takes;

use super::part::{Part, Segment, row_count};
use super::{Chunk, engine::context};
use crate::error::SpecError;
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::spec::{Layout, TableSpec};
use crate::store::{DenseStore, Run, SparseStore};
use crate::vector::kernels::{divide, sum_into, update_1};
use crate::vector::{Element, Lanes, RowsMut, UpdateRule};

/// Elements summed and applied at a time: they stay in the first-level cache in between.
const TILE_ELEMENTS: usize = 2048;

/// Widest sparse rows of which many are copied together for one call of a stateless rule.
const TOGETHER_WIDTH_MAX: usize = 64;

/// The rows of one shard, in either layout.
#[derive(Clone, Debug)]
pub(super) struct ShardRows<T> {
    layout: Rows<T>,
    width: usize,
    tiles: Tiles<T>,
}

/// Room for elements on their way through a rule.
#[derive(Clone, Debug)]
struct Tiles<T> {
    sum: Vec<T>,
    /// Values before the rule, where what they gain is kept.
    before: Vec<T>,
}

#[derive(Clone, Debug)]
enum Rows<T> {
    Dense(DenseStore<T>),
    Sparse(SparseStore<T>),
}

/// How an aggregate is turned into an update.
#[derive(Clone, Copy, Debug)]
pub(super) struct Update<'a> {
    pub(super) rule: &'a dyn UpdateRule,
    pub(super) rate: f64,
    /// What sums are divided by, for `WeightedMean`.
    pub(super) denominator: Option<f64>,
}

impl<T: Element> ShardRows<T> {
    pub(super) fn new(
        spec: &TableSpec,
        rule: &dyn UpdateRule,
        slots: &[(SlotIndex, KeyRange)],
        mirrored: bool,
    ) -> Result<Self, SpecError> {
        let (lanes, steps) = (rule.lanes(), rule.counts_steps());
        let layout = match spec.layout {
            Layout::Dense => Rows::Dense(DenseStore::with_residuals(spec, lanes, slots, mirrored)?),
            Layout::Sparse => {
                Rows::Sparse(SparseStore::with_residuals(spec, lanes, steps, slots, mirrored)?)
            },
        };
        let tile = || vec![T::default(); TILE_ELEMENTS];
        let before = if mirrored { tile() } else { Vec::new() };
        Ok(Self { layout, width: spec.width as usize, tiles: Tiles { sum: tile(), before } })
    }

    /// Applies one contribution that is a round of its own. The chunk was checked before.
    pub(super) fn apply(&mut self, update: Update<'_>, slot: SlotIndex, chunk: Chunk<'_, T>) {
        match (&mut self.layout, chunk) {
            (Rows::Dense(store), Chunk::Block { rows, values }) => {
                let Some(mut run) = store.rows_mut(slot, rows) else {
                    return;
                };
                *run.step += 1;
                let step = *run.step;
                apply_run(update, &mut run, step, &[values], &mut self.tiles);
            },
            (Rows::Sparse(store), Chunk::Frame { keys, values }) => {
                apply_keys(store, update, slot, (keys, values), self.width, &mut self.tiles);
            },
            (Rows::Dense(_), Chunk::Frame { .. }) | (Rows::Sparse(_), Chunk::Block { .. }) => {},
        }
    }

    /// Folds the parts of a closed round, in order, and applies the aggregate. The buffers of the
    /// parts, as far as they are still needed by nobody, go to `recycle`.
    pub(super) fn fold(
        &mut self,
        update: Update<'_>,
        slot: SlotIndex,
        parts: Vec<Part<T>>,
        mut recycle: impl FnMut(Vec<T>),
    ) {
        match &mut self.layout {
            Rows::Dense(store) => {
                let parts: Vec<_> = parts.into_iter().filter_map(Part::into_rows).collect();
                fold_rows(store, update, slot, &parts, self.width, &mut self.tiles);
                for segment in parts.into_iter().flatten() {
                    recycle(segment.values);
                }
            },
            Rows::Sparse(store) => {
                let mut parts = parts.into_iter();
                let Some(mut sum) = parts.next() else { return };
                for part in parts {
                    sum.merge(part, self.width);
                }
                if let Part::Keys(keys, values) = sum {
                    apply_keys(store, update, slot, (&keys, &values), self.width, &mut self.tiles);
                    recycle(values);
                }
            },
        }
    }

    /// Copies the values of rows within one block. The rows were checked before.
    pub(super) fn read_block(
        &self,
        slot: SlotIndex,
        rows: KeyRange,
        out: &mut [T],
        whole_bytes: usize,
    ) {
        if let Rows::Dense(store) = &self.layout {
            store.read_range(slot, rows, out, whole_bytes);
        }
    }

    /// Copies the values of these keys. The keys were checked before.
    pub(super) fn read_keys(&self, slot: SlotIndex, keys: &[Key], out: &mut [T]) {
        if let Rows::Sparse(store) = &self.layout {
            store.read(slot, keys, out);
        }
    }

    /// Asks for what reading or updating these keys will touch first.
    pub(super) fn prefetch(&self, slot: SlotIndex, keys: &[Key]) {
        if let Rows::Sparse(store) = &self.layout {
            store.prefetch(slot, keys);
        }
    }

    /// Appends the rows that exist in `range`, at most `rows_max`; where to continue.
    pub(super) fn walk(
        &mut self,
        slot: SlotIndex,
        range: KeyRange,
        rows_max: usize,
        keys: &mut Vec<Key>,
        values: &mut Vec<T>,
    ) -> Option<Key> {
        let Rows::Sparse(store) = &mut self.layout else {
            return None;
        };
        let next = store.walk(slot, range.first(), rows_max, keys, values);
        let inside = keys.partition_point(|key| *key <= range.last());
        keys.truncate(inside);
        values.truncate(inside * self.width);
        next.filter(|next| *next <= range.last())
    }

    pub(super) fn digest_slot(&self, slot: SlotIndex) -> u128 {
        let digest = match &self.layout {
            Rows::Dense(store) => store.digest_slot(slot),
            Rows::Sparse(store) => store.digest_slot(slot),
        };
        digest.unwrap_or_default()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        match &self.layout {
            Rows::Dense(store) => store.memory_bytes(),
            Rows::Sparse(store) => store.memory_bytes(),
        }
    }
}

/// Cuts the rows named into runs that the same parts name, so that each run is folded whole. The
/// block's step advances once, however many runs there are.
fn fold_rows<T: Element>(
    store: &mut DenseStore<T>,
    update: Update<'_>,
    slot: SlotIndex,
    parts: &[Vec<Segment<T>>],
    width: usize,
    tiles: &mut Tiles<T>,
) {
    let mut step = None;
    let mut slices = Vec::with_capacity(parts.len());
    // Runs and each part's segments ascend, so that one walk over all of them finds every cover.
    let mut rests: Vec<_> = parts.iter().map(Vec::as_slice).collect();
    for rows in runs(parts) {
        slices.clear();
        for rest in &mut rests {
            while let Some((_, later)) =
                rest.split_first().filter(|(segment, _)| segment.rows.last() < rows.first())
            {
                *rest = later;
            }
            if let Some(segment) = rest.first().filter(|segment| segment.rows.covers(&rows)) {
                let start = segment.rows.offset(rows.first()) as usize * width;
                slices.push(&segment.values[start..start + row_count(&rows) * width]);
            }
        }
        if slices.is_empty() {
            continue;
        }
        let Some(mut run) = store.rows_mut(slot, rows) else {
            continue;
        };
        let step = *step.get_or_insert_with(|| {
            *run.step += 1;
            *run.step
        });
        apply_run(update, &mut run, step, &slices, tiles);
    }
}

/// The pieces between all ends of segments.
fn runs<T>(parts: &[Vec<Segment<T>>]) -> Vec<KeyRange> {
    if let Some(rows) = same_rows(parts) {
        return vec![rows];
    }
    let mut starts = Vec::new();
    for segment in parts.iter().flatten() {
        starts.push(u128::from(segment.rows.first().0));
        starts.push(u128::from(segment.rows.last().0) + 1);
    }
    starts.sort_unstable();
    starts.dedup();
    // Both ends come from segments, so they fit u64 once the end is made inclusive again.
    let piece = |[start, end]: &[u128; 2]| KeyRange::new(Key(*start as u64), Key((end - 1) as u64));
    starts.array_windows().filter_map(piece).collect()
}

/// The common case: everybody names the same rows.
fn same_rows<T>(parts: &[Vec<Segment<T>>]) -> Option<KeyRange> {
    let [first, ..] = parts else { return None };
    let [segment] = first.as_slice() else {
        return None;
    };
    let same = |part: &Vec<Segment<T>>| part.len() == 1 && part[0].rows == segment.rows;
    parts.iter().all(same).then_some(segment.rows)
}

/// Sums `parts` and applies the aggregate to one run, tile by tile: rules are element-wise, so a
/// run may be cut anywhere.
fn apply_run<T: Element>(
    update: Update<'_>,
    run: &mut Run<'_, T>,
    step: u64,
    parts: &[&[T]],
    tiles: &mut Tiles<T>,
) {
    let context = context(update.rate, step);
    let mirrored = !run.residuals.is_empty();
    if let ([only], None, false) = (parts, update.denominator, mirrored) {
        return update.rule.apply(&context, &mut run.rows(only));
    }
    let mut start = 0;
    while start < run.values.len() {
        let end = run.values.len().min(start + tiles.sum.len());
        let sum = &mut tiles.sum[..end - start];
        sum_into(sum, parts, start..end);
        if let Some(denominator) = update.denominator {
            divide(sum, denominator);
        }
        let before = if mirrored { &mut tiles.before[..end - start] } else { &mut [] };
        if mirrored {
            before.copy_from_slice(&run.values[start..end]);
        }
        let mut rows = RowsMut {
            values: &mut run.values[start..end],
            lanes: Lanes::take(run.lanes.iter_mut().map(|lane| &mut lane[start..end])),
            aggregate: sum,
        };
        update.rule.apply(&context, &mut rows);
        if mirrored {
            let (residuals, after) = (&mut run.residuals[start..end], &run.values[start..end]);
            update_1(residuals, before, after, |residual, before, after| {
                *residual = residual.plus(after.minus(*before));
            });
        }
        start = end;
    }
}

fn apply_keys<T: Element>(
    store: &mut SparseStore<T>,
    update: Update<'_>,
    slot: SlotIndex,
    (keys, values): (&[Key], &[T]),
    width: usize,
    tiles: &mut Tiles<T>,
) {
    let stateless = update.rule.lanes() == 0 && !update.rule.counts_steps();
    let mirrored = !tiles.before.is_empty();
    if stateless && !mirrored && update.denominator.is_none() && width <= TOGETHER_WIDTH_MAX {
        let context = context(update.rate, 1);
        store.update_together(slot, keys, &mut tiles.sum, |first, rows| {
            let start = first * width;
            let mut rows = RowsMut {
                aggregate: &values[start..start + rows.len()],
                values: rows,
                lanes: Lanes::none(),
            };
            update.rule.apply(&context, &mut rows);
        });
        return;
    }
    store.update(slot, keys, |index, mut run| {
        *run.step += 1;
        let step = *run.step;
        let row = &values[index * width..(index + 1) * width];
        if update.denominator.is_none() && !mirrored {
            update.rule.apply(&context(update.rate, step), &mut run.rows(row));
        } else {
            apply_run(update, &mut run, step, &[row], tiles);
        }
    });
}
