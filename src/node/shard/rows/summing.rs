//! Sums and scores of rows for histories: what laws 6 and 7 are checked by.

use super::{Rows, ShardRows};
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::node::mirror::expanded;
use crate::spec::TableSpec;
use crate::store::Run;
use crate::vector::{Bitmap, Element, Significance};
use crate::wire::{Delta, RowsNamed};

impl<T: Element> ShardRows<T> {
    /// The sums of values and of residuals of a block or sparse slot, each element times a factor
    /// of its own. They wrap; of i64 they are linear, and so exact.
    pub(in crate::node::shard) fn checksums(
        &mut self,
        spec: &TableSpec,
        slot: SlotIndex,
        unit: KeyRange,
    ) -> (u64, u64) {
        let (width, mut sums) = (self.width, (0_u64, 0_u64));
        // Sparse rows come to exist at their init: what they have gained counts.
        let mut init = vec![T::default(); width];
        match &mut self.layout {
            Rows::Dense(store) => {
                if let Some(run) = store.rows_mut(slot, unit) {
                    sums = (
                        sum_of(unit.first(), run.values, width),
                        sum_of(unit.first(), run.residuals, width),
                    );
                }
            },
            Rows::Sparse(store) => store.visit_all(slot, |key, run| {
                spec.fill_init(key, &mut init);
                let values = sum_of(key, run.values, width);
                sums.0 = sums.0.wrapping_add(values.wrapping_sub(sum_of(key, &init, width)));
                sums.1 = sums.1.wrapping_add(sum_of(key, run.residuals, width));
            }),
        }
        sums
    }

    /// The same of a delta.
    pub(in crate::node::shard) fn checksum(&self, delta: &Delta) -> u64 {
        let Ok(values) = expanded::<T>(delta, self.width) else { return 0 };
        match &delta.rows {
            RowsNamed::Block(rows) => sum_of(rows.first(), &values, self.width),
            RowsNamed::Keys(keys) => {
                let rows = keys.iter().zip(values.chunks_exact(self.width));
                let sums = rows.map(|(key, row)| sum_of(*key, row, self.width));
                sums.fold(0, u64::wrapping_add)
            },
        }
    }

    /// How many elements of a block or sparse slot score more than a threshold, but for what was
    /// cut off of those that were `told`.
    pub(in crate::node::shard) fn over(
        &mut self,
        slot: SlotIndex,
        unit: KeyRange,
        (significance, threshold): (&dyn Significance, f64),
        told: Option<&Delta>,
        bitmap: &mut Bitmap,
    ) -> u64 {
        let (width, mut over) = (self.width, 0);
        let values = told.and_then(|delta| expanded::<T>(delta, width).ok()).unwrap_or_default();
        let mut count = |told: Option<&[T]>, run: &Run<'_, T>| {
            significance.mark(threshold, width, run.values, run.residuals, bitmap);
            let told = |at: usize| told.and_then(|told| told.get(at)).copied().unwrap_or_default();
            let marked = run.residuals.iter().enumerate().filter(|(at, _)| bitmap.get(*at));
            over += marked.filter(|(at, rest)| !is_cut_off(told(*at), **rest)).count() as u64;
        };
        match &mut self.layout {
            Rows::Dense(store) => {
                if let Some(run) = store.rows_mut(slot, unit) {
                    count(Some(&values), &run);
                }
            },
            Rows::Sparse(store) => {
                let keys: &[Key] = match told.map(|delta| &delta.rows) {
                    Some(RowsNamed::Keys(keys)) => keys,
                    _ => &[],
                };
                store.visit_all(slot, |key, run| {
                    let at = keys.binary_search(&key).ok();
                    count(at.map(|at| &values[at * width..(at + 1) * width]), &run);
                });
            },
        }
        over
    }
}

/// Whether this can be what was cut off of an element that was told.
fn is_cut_off<T: Element>(told: T, rest: T) -> bool {
    rest.to_f64().abs() < told.to_f64().abs() / 128.0
}

/// Elements of rows from a key on, each times an odd number of its own.
fn sum_of<T: Element>(first: Key, elements: &[T], width: usize) -> u64 {
    let start = first.0.wrapping_mul(width as u64);
    let terms = elements.iter().zip(0_u64..).map(|(element, at)| {
        let mut bits = [0; 8];
        let bytes = bytemuck::bytes_of(element);
        bits[..bytes.len()].copy_from_slice(bytes);
        let factor = start.wrapping_add(at).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        u64::from_ne_bytes(bits).wrapping_mul(factor)
    });
    terms.fold(0, u64::wrapping_add)
}
