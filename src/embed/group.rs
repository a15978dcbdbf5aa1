//! Groups of workers in this process.

use super::park::ThreadPark;
use super::recorder::Witness;
use super::store::{Inner, Tables};
use super::worker::EmbedWorker;
use crate::error::{Error, GroupError, Loss, Result};
use crate::history::Event;
use crate::id::{GroupId, Origin, ServerId, TableId, Tick};
use crate::node::keeper::Keeper;
use crate::node::sabotage::Sabotage;
use crate::node::worker::Blocking;
use crate::sync::{Arc, AtomicU64, Mutex, MutexGuard, Ordering};
use crate::wire::{JoinGrant, Refusal};

/// A group of workers that train together.
#[derive(Clone, Debug)]
pub struct Group {
    store: Arc<Inner>,
    state: Arc<GroupState>,
}

#[derive(Debug)]
pub(super) struct GroupState {
    pub(super) name: String,
    pub(super) size: u32,
    pub(super) keeper: Mutex<Keeper>,
    witness: Witness,
    tokens: AtomicU64,
}

impl GroupState {
    pub(super) fn new(id: GroupId, name: &str, size: u32, witness: Witness) -> Self {
        let (keeper, tokens) = (Mutex::new(Keeper::new(id, size, 1)), AtomicU64::new(0));
        Self { name: name.into(), size, keeper, witness, tokens }
    }
}

impl Group {
    pub(super) fn new(store: Arc<Inner>, state: Arc<GroupState>) -> Self {
        Self { store, state }
    }

    /// The group's name.
    pub fn name(&self) -> &str {
        &self.state.name
    }

    /// How many workers it has.
    pub fn size(&self) -> u32 {
        self.state.size
    }

    /// Takes a place in the group. Does not wait for the other members; reads do.
    ///
    /// # Errors
    /// `Full` when every place has a living member.
    pub fn join(&self) -> Result<EmbedWorker> {
        let grant = self.store.join(&self.state)?;
        let (origin, start) = (grant.origin, grant.start);
        let witness = self.store.witness();
        witness.tell(|| [Event::Joined { origin, start }]);
        tracing::info!(group = self.name(), worker = %origin, "joined");
        let (store, state) = (Arc::clone(&self.store), Arc::clone(&self.state));
        Ok(EmbedWorker::new(store, state, &grant, witness))
    }

    /// As [`join`](Self::join), for plain threaded code.
    ///
    /// # Errors
    /// As there.
    pub fn join_blocking(&self) -> Result<Blocking<EmbedWorker, ThreadPark>> {
        Ok(Blocking::new(self.join()?, ThreadPark))
    }
}

impl Inner {
    fn join(&self, group: &GroupState) -> Result<JoinGrant> {
        let tables = self.tables.lock();
        let mut keeper = group.keeper.lock();
        let now = self.clock.now();
        let token = group.tokens.fetch_add(1, Ordering::Relaxed);
        // Every shard is held while the newcomer's first tick is chosen: none closes that round
        // before it knows of the newcomer.
        let mut cells: Vec<_> =
            tables.iter().flat_map(|held| held.shards()).map(Mutex::lock).collect();
        let id = keeper.record().group;
        let closed = cells.iter().map(|cell| cell.shard.folded(id)).max().unwrap_or_default();
        let grant = keeper.join(now, token, closed).map_err(|refusal| full(group, &refusal))?;
        for cell in &mut cells {
            cell.hold_record(now, keeper.record());
        }
        drop(cells);
        drop(keeper);
        work_on(tables);
        Ok(grant)
    }

    /// A member leaves after its last tick.
    pub(super) fn leave(&self, group: &GroupState, origin: Origin, last: Tick) -> Result<()> {
        let tables = self.tables.lock();
        let mut keeper = group.keeper.lock();
        keeper.leave(origin, last).map_err(|refusal| refusal.into_error("", origin, last))?;
        for held in tables.iter() {
            held.hold_record(self.clock.now(), keeper.record());
        }
        drop(keeper);
        work_on(tables);
        Ok(())
    }

    /// A member was lost: it is fenced at every shard, then removed from the record.
    pub(super) fn lost(&self, group: &GroupState, origin: Origin, why: Loss) {
        if self.config.switch.breaks(Sabotage::KeepTheDead) {
            return;
        }
        let tables = self.tables.lock();
        let mut keeper = group.keeper.lock();
        if !keeper.lost(origin, why) {
            return;
        }
        group.witness.tell(|| [Event::WorkerLost { origin, why }]);
        tracing::warn!(group = group.name, worker = %origin, %why, "worker lost");
        // Shards of one process stand in for servers: a record names ticks by (shard, table).
        let shards = tables.iter().map(|held| held.shards().len()).max().unwrap_or(0);
        let mut last: Vec<Vec<(TableId, Tick)>> = vec![Vec::new(); shards];
        for held in tables.iter() {
            for (cell, ticks) in held.shards().iter().zip(&mut last) {
                let counted = cell.lock().shard.fence(origin).unwrap_or_default();
                ticks.push((held.table.id(), counted));
            }
        }
        keeper.expect_servers(shards);
        for (shard, ticks) in last.iter().enumerate() {
            let server = ServerId(u32::try_from(shard).unwrap_or(u32::MAX));
            keeper.fenced(origin, server, ticks);
        }
        for held in tables.iter() {
            held.hold_record(self.clock.now(), keeper.record());
        }
        drop(keeper);
        work_on(tables);
    }
}

/// Does the close steps that a change of members brings, and wakes, once the lock is released.
fn work_on(locked: MutexGuard<'_, Tables>) {
    let tables = Arc::clone(&locked);
    drop(locked);
    tables.iter().for_each(|held| held.work());
}

fn full(group: &GroupState, refusal: &Refusal) -> Error {
    match refusal {
        Refusal::GroupFull { size } => {
            GroupError::Full { group: group.name.clone(), size: *size }.into()
        },
        other => other.into_error("", Origin::default(), Tick(0)),
    }
}
