//! Newtypes for everything that is numbered. No sentinels: absence is an `Option`.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty), $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.0)
            }
        }
    };
}

id!(
    /// A table, numbered in order of creation within one store or cluster.
    TableId(u32), "table "
);
id!(
    /// A group of workers training together.
    GroupId(u32), "group "
);
id!(
    /// A worker's place in its group, from 0; the order in which contributions are folded.
    Rank(u32), "worker "
);
id!(
    /// A server process.
    ServerId(u32), "server "
);
id!(
    /// A slot of one table: the unit of placement, numbered along the domain.
    SlotIndex(u32), "slot "
);
id!(
    /// The life of a worker: issued by the keeper at join, larger at every new join of a rank.
    Incarnation(u64), "incarnation "
);
id!(
    /// The number of a request in its origin's one line over all tables; the first is 1.
    Sequence(u64), "sequence "
);
id!(
    /// The version of a group's record; it grows by one at every change of members.
    RecordVersion(u64), "record "
);

id!(
    /// A data centre: one full copy of the tables. Numbered in the order of their list.
    DataCentre(u32), "data centre "
);
id!(
    /// How much of what a shard has to tell another data centre of one slot: grows by one with
    /// each unit that begins to wait, so that a clock can say what it covers (SPEC law 8).
    Mark(u64), "mark "
);

id!(
    /// How many tables and groups a process knows of; it grows by one with each that is created.
    CatalogVersion(u64), "catalog "
);

/// Who a request comes from: one life of one worker of one group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    /// The group that the worker joined.
    pub group: GroupId,
    /// The worker's rank in it.
    pub rank: Rank,
    /// Which life of that rank.
    pub incarnation: Incarnation,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} ({})", self.rank, self.group, self.incarnation)
    }
}

/// The logical time of a worker: its iteration count, the papers' clock.
///
/// A worker starts at tick 1 (or later, when it joins a running group) and its push and pull at
/// tick t belong to iteration t. Tick 0 is the state before anyone has pushed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(pub u64);

impl Tick {
    /// The first iteration of a group.
    pub const FIRST: Self = Self(1);

    /// The iteration after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The tick `count` earlier, or 0.
    #[must_use]
    pub fn back(self, count: u64) -> Self {
        Self(self.0.saturating_sub(count))
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tick {}", self.0)
    }
}
