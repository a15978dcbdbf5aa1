//! Which policy holds at which tick of a table, as a history tells it.

use std::collections::BTreeMap;

use crate::history::{Event, History, PolicyKind};
use crate::id::{TableId, Tick};

/// What tables promise, tick by tick.
#[derive(Debug, Default)]
pub(super) struct Courses {
    changes: BTreeMap<TableId, BTreeMap<Tick, PolicyKind>>,
    /// What they were created with, as far as anybody was served by it.
    created: BTreeMap<TableId, PolicyKind>,
}

impl Courses {
    /// Reads a whole history.
    pub(super) fn of(history: &History) -> Self {
        let mut courses = Self::default();
        for record in history.records() {
            if let Event::Changed { table, from, policy } = &record.event {
                courses.changes.entry(*table).or_default().insert(*from, *policy);
            }
        }
        for record in history.records() {
            if let Event::Served { table, at_tick, policy, .. } = &record.event
                && courses.change(*table, *at_tick).is_none()
            {
                courses.created.entry(*table).or_insert(*policy);
            }
        }
        courses
    }

    /// What holds at a tick, and since when; `None` as long as nobody was served by it.
    pub(super) fn at(&self, table: TableId, tick: Tick) -> Option<(Tick, PolicyKind)> {
        let created = self.created.get(&table).map(|kind| (Tick::FIRST, *kind));
        let Some(last) = self.change(table, tick) else { return created };
        let mut since = last;
        let earlier = self.changes.get(&table).into_iter().flat_map(|it| it.range(..=last.0).rev());
        let earlier = earlier.map(|(from, kind)| (*from, *kind)).chain(created);
        for (from, kind) in earlier {
            if kind != last.1 {
                return Some((since.0, last.1));
            }
            since = (from, kind);
        }
        // What came before is the same, or nobody was served by it.
        Some((Tick::FIRST, last.1))
    }

    /// Whether a tick belongs to rounds.
    pub(super) fn gathers(&self, table: TableId, tick: Tick) -> bool {
        self.at(table, tick).is_none_or(|(_, kind)| kind == PolicyKind::Bsp)
    }

    fn change(&self, table: TableId, tick: Tick) -> Option<(Tick, PolicyKind)> {
        let last = self.changes.get(&table)?.range(..=tick).next_back();
        last.map(|(from, kind)| (*from, *kind))
    }
}
