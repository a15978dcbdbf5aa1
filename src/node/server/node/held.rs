//! What a server holds of one table.

use super::super::waiting::Waiting;
use super::ServerOptions;
use crate::error::SpecError;
use crate::history::Event;
use crate::id::{ServerId, SlotIndex};
use crate::key::{Key, KeyRange};
use crate::node::plan::{Plan, Planned};
use crate::node::sabotage::{Sabotage, Switch};
use crate::node::shard::{Place, Shard, new_shard};

/// A table's shard, and who waits there.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) shard: Box<dyn Shard>,
    pub(super) slots: Vec<SlotIndex>,
    pub(super) waiting: Waiting,
    /// The stash has shrunk since room in it was last given away.
    pub(super) shrunk: bool,
}

impl Held {
    /// The shard of a table's slots at a server, its rows at their init.
    pub(super) fn new(
        plan: &Plan,
        planned: &Planned,
        server: ServerId,
        options: ServerOptions,
    ) -> Result<Self, SpecError> {
        let slots: Vec<_> = planned.assignment.slots_of(server).collect();
        let mirrors = plan.abroad().map(|abroad| abroad.ways(planned, &slots));
        let place = Place {
            server,
            slots: slots.clone(),
            record_history: options.record_history,
            switch: options.switch,
            mirrors,
        };
        let shard = new_shard(&planned.table, &planned.code, place)?;
        Ok(Self { shard, slots, waiting: Waiting::default(), shrunk: false })
    }
}

/// Who owns which keys, for a history.
pub(super) fn placed(
    planned: &Planned,
    server: ServerId,
    switch: Switch,
) -> impl Iterator<Item = Event> + use<'_> {
    planned.assignment.slots_of(server).filter_map(move |slot| {
        let range = planned.grid.range(slot)?;
        let last = range.last().0.saturating_sub(u64::from(switch.breaks(Sabotage::DropLastKey)));
        Some(Event::Placed {
            table: planned.table.id(),
            slot,
            range: KeyRange::new(range.first(), Key(last))?,
            owner: server,
            epoch: planned.assignment.epoch(),
        })
    })
}
