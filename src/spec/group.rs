//! What a group is, and its record: who belongs to it, from which tick to which. Plain data; the
//! record is decided by the group's keeper alone and obeyed by every shard (laws 4, 5 and 9).
//!
//! Invariants: I1 `version` grows by one at every change; I2 a rank appears with rising
//! incarnations, at most one of them [`MemberEnd::Active`]; I3 a member counts for the rounds from
//! its `start` to its end, both included.

use crate::error::{Loss, SpecError};
use crate::id::{GroupId, Origin, RecordVersion, ServerId, TableId, Tick};
use crate::limits;

/// What a group is: two descriptions of one name must be equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSpec {
    /// The group's name, unique in its store.
    pub name: String,
    /// How many workers it has.
    pub size: u32,
}

impl GroupSpec {
    /// Checks every field.
    ///
    /// # Errors
    /// The first field outside its bounds.
    pub fn check(&self) -> Result<(), SpecError> {
        let field = |field: &'static str, expected: String, found: String| {
            let (table, field) = (self.name.clone(), field.into());
            Err(SpecError::Field { table, field, expected, found })
        };
        let (size, bytes) = (self.size, self.name.len());
        if size == 0 || size > limits::GROUP_SIZE_MAX {
            let expected = format!("1 to {}", limits::GROUP_SIZE_MAX);
            return field("group size", expected, size.to_string());
        }
        if bytes == 0 || bytes > limits::NAME_BYTES_MAX {
            let expected = format!("1 to {} bytes", limits::NAME_BYTES_MAX);
            return field("group name", expected, bytes.to_string());
        }
        Ok(())
    }

    /// Checks that a description of the same name says the same.
    ///
    /// # Errors
    /// `Mismatch` when the sizes differ.
    pub fn check_same(&self, other: &Self) -> Result<(), SpecError> {
        if self.size == other.size {
            return Ok(());
        }
        let (expected, found) = (self.size.to_string(), other.size.to_string());
        let (name, field) = (other.name.clone(), "size".into());
        Err(SpecError::Mismatch { name, field, expected, found })
    }
}

/// Who belongs to a group, as its keeper decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupRecord {
    /// The group.
    pub group: GroupId,
    /// Which record this is; a shard obeys the highest one that it has seen.
    pub version: RecordVersion,
    /// The declared number of workers; nobody reads tick 1 before as many have joined.
    pub size: u32,
    /// Everyone who has joined and may still matter to a shard, by (rank, incarnation).
    pub members: Vec<Member>,
}

/// One life of one worker in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Who.
    pub origin: Origin,
    /// The first tick that counts.
    pub start: Tick,
    /// Whether and how its membership ended.
    pub end: MemberEnd,
}

/// Whether and how a membership ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemberEnd {
    /// It has not.
    Active,
    /// The worker finished.
    Left {
        /// Its last tick.
        last: Tick,
    },
    /// The worker was declared dead.
    Removed {
        /// Why.
        why: Loss,
        /// The last tick of the worker that each shard, named by server and table, had counted
        /// when it stopped counting. A shard that is not named counted none.
        last: Vec<(ServerId, TableId, Tick)>,
    },
}
