//! Rows on loan to whoever applies a rule.

use crate::vector::{Lanes, RowsMut};

/// Consecutive rows of one block (dense), or one row (sparse): values, state and step.
#[derive(Debug)]
pub struct Run<'a, T> {
    /// The values.
    pub values: &'a mut [T],
    /// The state lanes, each as long as `values`.
    pub lanes: Lanes<'a, T>,
    /// How many rounds have named this block or row; the holder counts. Forgotten in sparse
    /// tables whose rule does not count steps.
    pub step: &'a mut u64,
    /// What the values have gained that other data centres have not been told, as long as
    /// `values`; empty where the table is not mirrored.
    pub residuals: &'a mut [T],
}

impl<T> Run<'_, T> {
    /// The run with an aggregate, as an update rule takes it.
    ///
    /// ```
    /// use archipelago::id::SlotIndex;
    /// use archipelago::key::KeyRange;
    /// use archipelago::vector::{ApplyContext, UpdateRule};
    /// use archipelago::{TableSpec, rules::Momentum, store::DenseStore};
    ///
    /// let rule: &dyn UpdateRule = &Momentum { beta: 0.5 };
    /// let spec = TableSpec::dense("w", 4);
    /// let slots = [(SlotIndex(0), spec.domain)];
    /// let mut store = DenseStore::<f32>::new(&spec, rule.lanes(), &slots)?;
    /// let mut run = store.rows_mut(SlotIndex(0), spec.domain).expect("one block");
    /// *run.step += 1;
    /// let context = ApplyContext { rate: 0.1, step: *run.step };
    /// rule.apply(&context, &mut run.rows(&[1.0, 2.0, 3.0, 4.0]));
    /// assert_eq!(store.rows(SlotIndex(0), spec.domain), Some(&[-0.1, -0.2, -0.3, -0.4][..]));
    /// # Ok::<(), archipelago::error::SpecError>(())
    /// ```
    pub fn rows<'s>(&'s mut self, aggregate: &'s [T]) -> RowsMut<'s, T> {
        RowsMut { values: self.values, lanes: self.lanes.reborrow(), aggregate }
    }
}
