//! The trait of update rules: how an aggregate changes rows.

use std::fmt::Debug;
use std::ops::{Deref, DerefMut};

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

/// What a rule makes of a copy that is told only what values elsewhere have gained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mirrored {
    /// The same as if all contributions had been made here, to rounding: the rule is linear in the
    /// aggregate.
    Exact,
    /// Something near it: what a contribution gains depends on state of its own data centre.
    Approximate,
    /// Nothing that makes sense: values are not sums of what they have gained.
    Refused,
}

/// The most state lanes that a rule may ask for. A fixed number, so that lending a run of rows
/// allocates nothing.
pub const LANES_MAX: usize = 4;

/// State lanes on loan: a slice of slices that needs no allocation.
///
/// ```
/// use archipelago::vector::Lanes;
/// let (mut first, mut second) = ([1.0, 2.0], [3.0, 4.0]);
/// let mut lanes = Lanes::from([&mut first[..], &mut second[..]]);
/// assert_eq!(lanes.len(), 2);
/// lanes[1][0] = 5.0;
/// assert_eq!(second, [5.0, 4.0]);
/// ```
#[derive(Debug)]
pub struct Lanes<'a, T> {
    lent: [&'a mut [T]; LANES_MAX],
    count: usize,
}

impl<'a, T> Lanes<'a, T> {
    /// No lanes.
    pub fn none() -> Self {
        Self { lent: Default::default(), count: 0 }
    }

    /// The first [`LANES_MAX`] of these lanes.
    pub fn take(lanes: impl IntoIterator<Item = &'a mut [T]>) -> Self {
        let mut taken = Self::none();
        for (place, lane) in taken.lent.iter_mut().zip(lanes) {
            *place = lane;
            taken.count += 1;
        }
        taken
    }

    /// The same lanes for a shorter time.
    pub fn reborrow(&mut self) -> Lanes<'_, T> {
        Lanes { lent: self.lent.each_mut().map(|lane| &mut **lane), count: self.count }
    }
}

impl<'a, T, const N: usize> From<[&'a mut [T]; N]> for Lanes<'a, T> {
    fn from(lanes: [&'a mut [T]; N]) -> Self {
        const { assert!(N <= LANES_MAX) };
        Self::take(lanes)
    }
}

impl<'a, T> Deref for Lanes<'a, T> {
    type Target = [&'a mut [T]];

    fn deref(&self) -> &Self::Target {
        &self.lent[..self.count]
    }
}

impl<T> DerefMut for Lanes<'_, T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.lent[..self.count]
    }
}

/// A run of rows, lent to an update rule. All slices are element-wise parallel.
#[derive(Debug)]
pub struct RowsMut<'a, T> {
    /// The values, to be changed.
    pub values: &'a mut [T],
    /// The rule's state lanes, as many as [`UpdateRule::lanes`] says, each as long as `values`.
    pub lanes: Lanes<'a, T>,
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

    /// State lanes per row, beside the values: 0 for plain SGD, 2 for Adam; at most
    /// [`LANES_MAX`]. They begin as zero.
    fn lanes(&self) -> usize {
        0
    }

    /// Whether [`ApplyContext::step`] is needed; sparse rows pay 8 bytes for it.
    fn counts_steps(&self) -> bool {
        false
    }

    /// What becomes of copies in several data centres that exchange deltas. `Refused` unless the
    /// rule says otherwise: then a table with such a global policy is not created.
    fn mirrored(&self) -> Mirrored {
        Mirrored::Refused
    }

    /// Changes rows of an f32 table.
    fn apply_f32(&self, _context: &ApplyContext, _rows: &mut RowsMut<'_, f32>) {}

    /// Changes rows of an f64 table.
    fn apply_f64(&self, _context: &ApplyContext, _rows: &mut RowsMut<'_, f64>) {}

    /// Changes rows of an i64 table.
    fn apply_i64(&self, _context: &ApplyContext, _rows: &mut RowsMut<'_, i64>) {}
}

impl dyn UpdateRule + '_ {
    /// Applies the rule to rows of any element type.
    ///
    /// # Panics
    /// When the run has not the rule's number of lanes.
    #[inline]
    pub fn apply<T: Element>(&self, context: &ApplyContext, rows: &mut RowsMut<'_, T>) {
        debug_assert!(self.supports(T::DTYPE), "checked when the table was created");
        assert_eq!(rows.lanes.len(), self.lanes(), "lanes of {self:?}");
        debug_assert_eq!(rows.values.len(), rows.aggregate.len());
        T::apply(self, context, rows);
    }
}
