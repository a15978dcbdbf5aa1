//! The rows of a mirrored table: what leaves for other data centres, and what comes from there.

use super::super::part::Part;
use super::{Rows, ShardRows};
use crate::consistency::Precision;
use crate::filter::{Passed, scatter_add, take_all, take_significant};
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::node::mirror::{compact, expanded};
use crate::vector::kernels::{add_assign, copy, shorten};
use crate::vector::{Bitmap, Element, Significance};
use crate::wire::{Delta, Refusal, RowsNamed, Trimmed};

/// What a pass takes.
#[derive(Clone, Copy, Debug)]
pub(in crate::node::shard) enum Takes<'a> {
    /// What scores more than a threshold.
    Significant(&'a dyn Significance, f64, Precision),
    /// Everything.
    All,
}

impl Takes<'_> {
    fn take<T: Element>(
        self,
        (width, values): (usize, &[T]),
        residuals: &mut [T],
        taken: &mut [T],
        bitmap: &mut Bitmap,
    ) -> Passed {
        match self {
            Takes::Significant(significance, least, precision) => {
                let passed =
                    take_significant(significance, least, width, values, residuals, taken, bitmap);
                if precision == Precision::Bf16 && passed.taken > 0 {
                    shorten(taken, residuals);
                }
                passed
            },
            Takes::All => take_all(residuals, taken),
        }
    }
}

impl<T: Element> ShardRows<T> {
    /// The pass over a block or sparse slot: what leaves, and how many elements did and did not.
    pub(in crate::node::shard) fn pass(
        &mut self,
        slot: SlotIndex,
        unit: KeyRange,
        takes: Takes<'_>,
        bitmap: &mut Bitmap,
    ) -> (Delta, Passed) {
        let width = self.width;
        match &mut self.layout {
            Rows::Dense(store) => {
                let mut taken = vec![T::default(); unit.count() as usize * width];
                let run = store.rows_mut(slot, unit);
                let passed = run.map_or(Passed::default(), |run| {
                    takes.take((width, run.values), run.residuals, &mut taken, bitmap)
                });
                (compact(RowsNamed::Block(unit), &taken, width), passed)
            },
            Rows::Sparse(store) => {
                let (mut keys, mut all) = (Vec::new(), Vec::new());
                let (mut passed, mut taken) = (Passed::default(), vec![T::default(); width]);
                let zero = T::default();
                store.visit_all(slot, |key, run| {
                    if run.residuals.iter().all(|residual| *residual == zero) {
                        return;
                    }
                    let row = takes.take((width, run.values), run.residuals, &mut taken, bitmap);
                    passed.taken += row.taken;
                    passed.left += row.left;
                    if row.taken > 0 {
                        keys.push(key);
                        all.extend_from_slice(&taken);
                    }
                });
                (compact(RowsNamed::Keys(keys), &all, width), passed)
            },
        }
    }

    /// The sum of a round's parts, as deltas of rows that some part names.
    pub(in crate::node::shard) fn aggregate(&self, parts: Vec<Part<T>>) -> Vec<Delta> {
        let mut parts = parts.into_iter();
        let Some(mut sum) = parts.next() else { return Vec::new() };
        for part in parts {
            sum.merge(part, self.width);
        }
        match sum {
            Part::Keys(keys, values) => vec![whole(RowsNamed::Keys(keys), &values)],
            rows @ Part::Rows(_) => {
                let segments = rows.into_rows().unwrap_or_default().into_iter();
                segments.map(|it| whole(RowsNamed::Block(it.rows), &it.values)).collect()
            },
        }
    }

    /// The part that another data centre's aggregate is, the deltas being of one unit.
    pub(in crate::node::shard) fn part(&self, deltas: &[Delta]) -> Option<Part<T>> {
        let mut sum: Option<Part<T>> = None;
        for delta in deltas {
            let values = expanded::<T>(delta, self.width).ok()?;
            let part = match &delta.rows {
                RowsNamed::Block(rows) => Part::of_rows(*rows, values),
                RowsNamed::Keys(keys) => Part::Keys(keys.clone(), values),
            };
            match &mut sum {
                None => sum = Some(part),
                Some(sum) => {
                    sum.merge(part, self.width);
                },
            }
        }
        sum
    }

    /// Adds what values have gained elsewhere. Neither state nor residual changes: what comes from
    /// elsewhere is never told again. The delta was checked.
    ///
    /// # Errors
    /// `Shape` when it was not.
    pub(in crate::node::shard) fn add(
        &mut self,
        slot: SlotIndex,
        delta: &Delta,
    ) -> Result<(), Refusal> {
        let width = self.width;
        let cut = |_| Refusal::Shape { expected: 0, found: delta.values.len() as u64 };
        match (&mut self.layout, &delta.rows) {
            (Rows::Dense(store), RowsNamed::Block(rows)) => {
                let Some(run) = store.rows_mut(slot, *rows) else {
                    return Err(Refusal::OutsideDomain { key: rows.first() });
                };
                let found = delta.values.elements::<T>().map_err(cut)?;
                match &delta.positions {
                    None => add_assign(run.values, &found),
                    Some(positions) => scatter_add(run.values, &positions.to_vec(), &found)
                        .map_err(|_outside| Refusal::OutsideDomain { key: rows.last() })?,
                }
                Ok(())
            },
            (Rows::Sparse(store), RowsNamed::Keys(keys)) => {
                let values = expanded::<T>(delta, width)?;
                store.update(slot, keys, |index, run| {
                    add_assign(run.values, &values[index * width..(index + 1) * width]);
                });
                Ok(())
            },
            (Rows::Dense(_), RowsNamed::Keys(_)) | (Rows::Sparse(_), RowsNamed::Block(_)) => {
                Err(Refusal::Shape { expected: 0, found: delta.values.len() as u64 })
            },
        }
    }

    /// Replaces values by others: the end of training.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub(in crate::node::shard) fn assign(
        &mut self,
        slot: SlotIndex,
        delta: &Delta,
    ) -> Result<(), Refusal> {
        let (width, values) = (self.width, expanded::<T>(delta, self.width)?);
        match (&mut self.layout, &delta.rows) {
            (Rows::Dense(store), RowsNamed::Block(rows)) => {
                let run = store.rows_mut(slot, *rows);
                let run = run.ok_or(Refusal::OutsideDomain { key: rows.first() })?;
                copy(run.values, &values);
            },
            (Rows::Sparse(store), RowsNamed::Keys(keys)) => {
                store.update(slot, keys, |index, run| {
                    copy(run.values, &values[index * width..(index + 1) * width]);
                });
            },
            (Rows::Dense(_), RowsNamed::Keys(_)) | (Rows::Sparse(_), RowsNamed::Block(_)) => {
                let found = values.len() as u64;
                return Err(Refusal::Shape { expected: 0, found });
            },
        }
        Ok(())
    }

    /// Before the rows of a sparse slot are replaced: those that are not named are at their init.
    pub(in crate::node::shard) fn reset(&mut self, slot: SlotIndex) {
        if let Rows::Sparse(store) = &mut self.layout {
            store.reset_values(slot);
        }
    }

    /// The values of a block, or of those rows of a sparse slot from a key on that fit a frame, and
    /// the first key that is left.
    pub(in crate::node::shard) fn copy_part(
        &mut self,
        slot: SlotIndex,
        unit: KeyRange,
        from: Key,
    ) -> (Delta, Option<Key>) {
        let width = self.width;
        match &mut self.layout {
            Rows::Dense(store) => {
                let values = store.rows(slot, unit).unwrap_or_default();
                (whole(RowsNamed::Block(unit), values), None)
            },
            Rows::Sparse(store) => {
                let (mut keys, mut values) = (Vec::new(), Vec::new());
                let rows_max = limits::frame_rows_max(u32::try_from(width).unwrap_or(u32::MAX));
                let next = store.walk(slot, from, rows_max, &mut keys, &mut values);
                (whole(RowsNamed::Keys(keys), &values), next)
            },
        }
    }

    /// A digest of the values of a block or sparse slot.
    pub(in crate::node::shard) fn digest_values(
        &mut self,
        slot: SlotIndex,
        unit: KeyRange,
    ) -> u128 {
        let digest = match &mut self.layout {
            Rows::Dense(store) => store.digest_values(slot, unit),
            Rows::Sparse(store) => store.digest_values(slot),
        };
        digest.unwrap_or_default()
    }
}

/// All elements of rows, zeros and all: what has to be exact names every row that it is about.
fn whole<T: Element>(rows: RowsNamed, values: &[T]) -> Delta {
    Delta { rows, positions: None, values: Trimmed::from_slice(values) }
}
