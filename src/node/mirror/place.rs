//! Where the other copies of a shard are.

use std::collections::BTreeMap;

use crate::id::{DataCentre, ServerId, SlotIndex};

/// The owners of a table's slots in one other data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorPlace {
    /// The data centre.
    pub data_centre: DataCentre,
    /// Who owns the slots of the shard there.
    pub owners: BTreeMap<SlotIndex, ServerId>,
}
