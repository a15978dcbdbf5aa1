//! A cluster as all its processes know it from the start: servers, tables, groups, placement.
//!
//! Placement changes at run time are the manager's, which is planned; until then the plan is
//! static and every process computes the same one.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::registry::{Code, Registry};
use crate::error::{Result, SpecError};
use crate::id::{GroupId, ServerId, SlotIndex, TableId};
use crate::limits;
use crate::placement::{Assignment, Ring, SlotGrid};
use crate::spec::{Hyper, Table, TablePolicy, TableSpec};
use crate::sync::Arc;
use crate::wire;

/// A cluster's plan. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    servers: Vec<ServerId>,
    tables: Vec<Planned>,
    groups: BTreeMap<GroupId, u32>,
}

/// A table and where it is.
#[derive(Debug)]
pub struct Planned {
    /// The table.
    pub table: Table,
    /// Its code.
    pub code: Code,
    /// Its slots.
    pub grid: SlotGrid,
    /// Who owns which.
    pub assignment: Assignment,
}

impl Plan {
    /// Plans `tables` on `servers` of equal weight, for groups of the given sizes; tables and
    /// groups are numbered in order.
    ///
    /// # Errors
    /// A description out of bounds, an unknown extension, no table, too many or no servers; or so
    /// many slots, tables and workers that a tick or a group's record may not fit one frame.
    pub fn new(
        servers: &[ServerId],
        tables: Vec<(TableSpec, TablePolicy, Hyper)>,
        groups: &[u32],
        registry: &Registry,
    ) -> Result<Self> {
        let weighted: Vec<_> = servers.iter().map(|server| (*server, 1)).collect();
        let ring = Ring::new(&weighted).map_err(|error| field("servers", &error, servers.len()))?;
        let mut planned = Vec::new();
        for (index, (spec, policy, hyper)) in tables.into_iter().enumerate() {
            let code = registry.resolve(&spec, &policy)?;
            hyper.check(&spec)?;
            let id = TableId(u32::try_from(index).unwrap_or(u32::MAX));
            let grid = SlotGrid::new(&spec);
            let assignment = Assignment::compute(&ring, id, &grid);
            let table = Table::new(id, spec, policy, hyper);
            planned.push(Planned { table, code, grid, assignment });
        }
        if planned.is_empty() {
            return Err(field("tables", &"at least one", 0).into());
        }
        let mut sizes = BTreeMap::new();
        for (index, size) in groups.iter().enumerate() {
            if *size == 0 || *size > limits::GROUP_SIZE_MAX {
                return Err(field("group size", &"1 to 4096", *size as usize).into());
            }
            sizes.insert(GroupId(u32::try_from(index).unwrap_or(u32::MAX)), *size);
        }
        let mut servers = servers.to_vec();
        servers.sort_unstable();
        check_frames(&planned, servers.len(), &sizes)?;
        Ok(Self { inner: Arc::new(Inner { servers, tables: planned, groups: sizes }) })
    }

    /// All servers, ascending.
    pub fn servers(&self) -> &[ServerId] {
        &self.inner.servers
    }

    /// All tables, in order of their numbers.
    pub fn tables(&self) -> &[Planned] {
        &self.inner.tables
    }

    /// One table.
    pub fn table(&self, table: TableId) -> Option<&Planned> {
        self.inner.tables.get(table.0 as usize)
    }

    /// The groups and their sizes.
    pub fn groups(&self) -> impl Iterator<Item = (GroupId, u32)> {
        self.inner.groups.iter().map(|(group, size)| (*group, *size))
    }

    /// The keeper of every group: the owner of slot 0 of the first table.
    pub fn keeper(&self) -> ServerId {
        self.owner(TableId(0), SlotIndex(0)).unwrap_or_default()
    }

    /// What two processes compare to know that they work by the same plan.
    pub fn digest(&self) -> u128 {
        let mut hasher = SipHasher24::new();
        let mut add = |text: &dyn fmt::Debug| hasher.write(format!("{text:?};").as_bytes());
        add(&self.inner.servers);
        for planned in &self.inner.tables {
            let table = &planned.table;
            add(&(table.spec().hash(), table.policy(), table.hyper()));
        }
        add(&self.inner.groups);
        hasher.finish128().as_u128()
    }

    /// Who owns a slot.
    pub fn owner(&self, table: TableId, slot: SlotIndex) -> Option<ServerId> {
        self.table(table)?.assignment.owner(slot)
    }
}

/// Checks that whatever workers do, ticks and records fit one frame each (SPEC law 14.3).
fn check_frames(
    tables: &[Planned],
    servers: usize,
    groups: &BTreeMap<GroupId, u32>,
) -> Result<(), SpecError> {
    check_limit("tables", limits::TABLES_MAX, tables.len())?;
    check_limit("groups", limits::GROUPS_MAX, groups.len())?;
    let mut owned: BTreeMap<ServerId, usize> = BTreeMap::new();
    for Planned { grid, assignment, .. } in tables {
        for server in grid.slots().filter_map(|slot| assignment.owner(slot)) {
            *owned.entry(server).or_default() += 1;
        }
    }
    let slots = owned.into_values().max().unwrap_or_default();
    let tick = wire::tick_bytes_max(tables.len(), slots);
    let what = "bytes of a tick that touches every slot of one server (use fewer slots a table)";
    check_limit(what, limits::FRAME_BYTES_MAX, tick)?;
    let members = groups.values().max().copied().unwrap_or_default() as usize;
    let record = wire::record_bytes_max(members, servers * tables.len());
    let what = "bytes of a group's record when all are lost (use smaller groups or fewer tables)";
    check_limit(what, limits::FRAME_BYTES_MAX, record)
}

fn check_limit(what: &'static str, limit: usize, found: usize) -> Result<(), SpecError> {
    if found <= limit {
        return Ok(());
    }
    Err(SpecError::Limit { what, limit: limit as u64, found: found as u64 })
}

fn field(field: &'static str, expected: &impl ToString, found: usize) -> SpecError {
    let (expected, found) = (expected.to_string(), found.to_string());
    SpecError::Field { table: "cluster".into(), field, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Eventual;

    fn planned(servers: u32, tables: usize, slots: u32, group: u32) -> Result<Plan> {
        let servers: Vec<_> = (0..servers).map(ServerId).collect();
        let table = |at| {
            let spec = TableSpec::sparse(format!("table {at}"), 1).slots(slots);
            (spec, TablePolicy::local(Eventual), Hyper::default())
        };
        Plan::new(&servers, (0..tables).map(table).collect(), &[group], &Registry::built_in())
    }

    #[test]
    fn what_a_frame_may_not_hold_is_refused() {
        let slots = limits::SLOTS_MAX;
        assert!(planned(1, 1, slots, 1).is_ok());
        let refused = planned(1, 2, slots, 1).unwrap_err().to_string();
        assert!(refused.starts_with("bytes of a tick"), "{refused}");
        assert!(planned(2, 2, slots, 1).is_ok(), "each server owns half");
        assert!(planned(1, 14, 1, limits::GROUP_SIZE_MAX).is_ok());
        let refused = planned(2, 14, 1, limits::GROUP_SIZE_MAX).unwrap_err().to_string();
        assert!(refused.starts_with("bytes of a group's record"), "{refused}");
        assert!(planned(1, limits::TABLES_MAX + 1, 1, 1).is_err());
    }
}
