//! Sums and scores of rows for histories: what laws 6 and 7 are checked by.

use super::{Rows, ShardRows};
use crate::id::SlotIndex;
use crate::key::{Key, KeyRange};
use crate::node::mirror::expanded;
use crate::spec::TableSpec;
use crate::vector::{Element, Marks, Significance};
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

    /// How many elements of a block or sparse slot score more than a threshold.
    pub(in crate::node::shard) fn over(
        &mut self,
        slot: SlotIndex,
        unit: KeyRange,
        significance: &dyn Significance,
        threshold: f64,
        marks: &mut Marks,
    ) -> u64 {
        let (width, mut over) = (self.width, 0);
        match &mut self.layout {
            Rows::Dense(store) => {
                if let Some(run) = store.rows_mut(slot, unit) {
                    significance.mark(threshold, width, run.values, run.residuals, marks);
                    over = marks.count();
                }
            },
            Rows::Sparse(store) => store.visit_all(slot, |_, run| {
                significance.mark(threshold, width, run.values, run.residuals, marks);
                over += marks.count();
            }),
        }
        over
    }
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
