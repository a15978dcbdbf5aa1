//! The slots that a store holds.

use crate::error::SpecError;
use crate::id::SlotIndex;
use crate::key::KeyRange;
use crate::spec::TableSpec;
use crate::vector::{Element, LANES_MAX};

/// Slot indices in ascending order; the place of an index is the place of the slot's rows.
#[derive(Clone, Debug)]
pub(super) struct Held {
    indices: Vec<SlotIndex>,
}

impl Held {
    /// The slots in order of index, apart from what each holds.
    pub(super) fn new(slots: &[(SlotIndex, KeyRange)]) -> (Self, Vec<KeyRange>) {
        let mut slots = slots.to_vec();
        slots.sort_unstable();
        let (indices, ranges) = slots.into_iter().unzip();
        (Self { indices }, ranges)
    }

    /// Where the slot's rows are. Constant time while the held indices have no gaps.
    #[inline]
    pub(super) fn place(&self, slot: SlotIndex) -> Option<usize> {
        let first = self.indices.first()?;
        let guess = slot.0.wrapping_sub(first.0) as usize;
        if self.indices.get(guess) == Some(&slot) {
            return Some(guess);
        }
        self.indices.binary_search(&slot).ok()
    }

    /// All indices, ascending.
    pub(super) fn indices(&self) -> &[SlotIndex] {
        &self.indices
    }
}

/// Checks that a store of `T` can hold the table.
pub(super) fn check<T: Element>(spec: &TableSpec, lanes: usize) -> Result<(), SpecError> {
    let field = |field: &'static str, expected: String, found: String| SpecError::Field {
        table: spec.name.clone(),
        field: field.into(),
        expected,
        found,
    };
    if spec.dtype != T::DTYPE {
        let (expected, found) = (T::DTYPE.name(), spec.dtype.name());
        return Err(field("dtype", expected.into(), found.into()));
    }
    if lanes > LANES_MAX {
        let expected = format!("a rule with at most {LANES_MAX} state lanes");
        return Err(field("rule", expected, format!("one with {lanes}")));
    }
    Ok(())
}
