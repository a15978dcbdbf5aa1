//! Where the other copies of a shard are, and which of them speak to each other.

use std::collections::BTreeMap;

use crate::id::{DataCentre, ServerId, SlotIndex};
use crate::placement::{Hearing, Telling};

/// The other copies of a shard, as the shard sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ways {
    /// The data centre of the shard.
    pub here: DataCentre,
    /// Whom it hears.
    pub heard: Vec<(Hearing, Owners)>,
    /// Whom it tells.
    pub told: Vec<(Telling, Owners)>,
}

/// Who owns the slots of the shard in the data centre that is heard, or told.
pub type Owners = BTreeMap<SlotIndex, ServerId>;

/// What is told for one data centre, or group, to one server. A server may have several.
pub(in crate::node) type LineId = (ServerId, DataCentre);
