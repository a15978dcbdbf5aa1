//! The trait of update rules: how an aggregate changes rows.

use std::fmt::Debug;

use super::{DType, Element};
use crate::extension::Extension;

/// What an update rule may know beside the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ApplyContext {
    /// The learning rate of the round's tick (Bsp) or of the pushing worker's tick.
    pub rate: f64,
    /// How many rounds have named this block (dense) or row (sparse), this one included: 1, 2, ...
    pub step: u64,
}

/// A run of rows, lent to an update rule. All slices are element-wise parallel.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    /// The values, to be changed.
    pub values: &'a mut [T],
    /// The rule's state lanes, as many as [`UpdateRule::lanes`] says, each as long as `values`.
    pub lanes: &'a mut [&'a mut [T]],
    /// The aggregate of the round, as long as `values`.
    pub aggregate: &'a [T],
}

/// How the aggregate of a closed round changes values and state.
///
/// Stateless code: all state lives in the lanes, beside the values, so that it replicates, moves
/// and checkpoints with them. A rule must be element-wise and deterministic: the result for one
/// element may depend only on that element's value, lanes and aggregate and on the context,
/// because a run of rows is cut differently by different drivers (law 4).
///
/// Only the methods of the types named by [`supports`](Self::supports) are ever called.
///
/// ```
/// use archipelago::vector::{ApplyContext, DType, RowsMut, UpdateRule};
/// use archipelago::Extension;
///
/// /// Keeps the largest value ever pushed.
/// #[derive(Debug)]
/// struct Largest;
///
/// impl UpdateRule for Largest {
///     fn extension(&self) -> Extension {
///         Extension::new("largest/1")
///     }
///     fn supports(&self, dtype: DType) -> bool {
///         dtype == DType::F32
///     }
///     fn apply_f32(&self, _: &ApplyContext, rows: &mut RowsMut<'_, f32>) {
///         for (value, pushed) in rows.values.iter_mut().zip(rows.aggregate) {
///             *value = value.max(*pushed);
///         }
///     }
/// }
/// ```
pub trait UpdateRule: Debug + Send + Sync {
    /// The name and parameters under which a table spec names this rule.
    fn extension(&self) -> Extension;

    /// Whether tables of this type may use the rule.
    fn supports(&self, dtype: DType) -> bool;

    /// State lanes per row, beside the values: 0 for plain SGD, 2 for Adam.
    fn lanes(&self) -> usize {
        0
    }

    /// Whether [`ApplyContext::step`] is needed; sparse rows pay 8 bytes for it.
    fn counts_steps(&self) -> bool {
        false
    }

    /// Changes rows of an f32 table.
    fn apply_f32(&self, _context: &ApplyContext, _rows: &mut RowsMut<'_, f32>) {}

    /// Changes rows of an f64 table.
    fn apply_f64(&self, _context: &ApplyContext, _rows: &mut RowsMut<'_, f64>) {}

    /// Changes rows of an i64 table.
    fn apply_i64(&self, _context: &ApplyContext, _rows: &mut RowsMut<'_, i64>) {}
}

impl dyn UpdateRule {
    /// Applies the rule to rows of any element type.
    pub fn apply<T: Element>(&self, context: &ApplyContext, rows: &mut RowsMut<'_, T>) {
        debug_assert!(
            self.supports(T::DTYPE),
            "checked when the table was created"
        );
        debug_assert_eq!(rows.lanes.len(), self.lanes());
        debug_assert_eq!(rows.values.len(), rows.aggregate.len());
        T::apply(self, context, rows);
    }
}
