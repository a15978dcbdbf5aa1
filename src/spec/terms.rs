//! How a table behaves from which tick on, and what is asked of it while it is trained. Plain data.

use super::{Hyper, Table, TablePolicy};
use crate::error::SpecError;
use crate::id::Tick;
use crate::limits;

/// How a table behaves from a tick on: pushes, reads and rounds of that tick and of later ones.
#[derive(Clone, Debug, PartialEq)]
pub struct Terms {
    /// The first tick that they hold for.
    pub from: Tick,
    /// How it behaves.
    pub policy: TablePolicy,
    /// The numbers that change while it is trained.
    pub hyper: Hyper,
}

/// What is to change of a table that exists. What is not named stays as it was last.
///
/// ```
/// use archipelago::{Hyper, Schedule, Ssp, TableChange, TablePolicy, Tick};
/// let change = TableChange::default()
///     .policy(TablePolicy::local(Ssp { staleness: 2 }))
///     .hyper(Hyper::rate(Schedule::Constant(0.1)))
///     .from(Tick(100));
/// assert_eq!(change.from, Some(Tick(100)));
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TableChange {
    /// How it is to behave.
    pub policy: Option<TablePolicy>,
    /// Its numbers.
    pub hyper: Option<Hyper>,
    /// The first tick that the change holds for; the earliest possible one when `None`. At most
    /// [`CHANGE_AHEAD_MAX`](limits::CHANGE_AHEAD_MAX) ticks ahead.
    pub from: Option<Tick>,
}

impl TableChange {
    /// Sets how the table is to behave.
    #[must_use]
    pub fn policy(mut self, policy: TablePolicy) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Sets its numbers.
    #[must_use]
    pub fn hyper(mut self, hyper: Hyper) -> Self {
        self.hyper = Some(hyper);
        self
    }

    /// Sets the first tick that the change holds for.
    #[must_use]
    pub fn from(mut self, tick: Tick) -> Self {
        self.from = Some(tick);
        self
    }

    /// The terms that it makes of a table's last ones. Somebody may have come to any tick before
    /// `free`; the worker furthest ahead has ended `reached`. It does not begin before the change
    /// that was made last, and not so far ahead that the table cannot be changed for long.
    pub(crate) fn of(&self, table: &Table, free: Tick, reached: Tick) -> Result<Terms, SpecError> {
        let last = table.last_terms();
        let earliest = free.max(last.from);
        let latest = Tick(reached.0.saturating_add(limits::CHANGE_AHEAD_MAX)).max(earliest);
        let found = self.from.unwrap_or(earliest).max(Tick::FIRST);
        let name = || table.name().to_owned();
        if found < earliest {
            return Err(SpecError::TooEarly { table: name(), earliest, found });
        }
        if found > latest {
            return Err(SpecError::TooLate { table: name(), latest, found });
        }
        let from = found;
        let policy = self.policy.as_ref().unwrap_or(&last.policy).clone();
        Ok(Terms { from, policy, hyper: self.hyper.unwrap_or(last.hyper) })
    }

    /// The terms of a table that are what it asks for: the last ones, or those that begin at the
    /// tick that it names.
    pub(crate) fn found_in(&self, table: &Table) -> Option<Terms> {
        let terms = match self.from {
            None => table.last_terms(),
            Some(from) => table.terms_at(from.max(Tick::FIRST)),
        };
        let found = self.policy.as_ref().is_none_or(|policy| *policy == terms.policy)
            && self.hyper.is_none_or(|hyper| hyper == terms.hyper)
            && self.from.is_none_or(|from| from.max(Tick::FIRST) == terms.from);
        found.then_some(terms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Extension;
    use crate::id::TableId;
    use crate::spec::TableSpec;

    #[test]
    fn a_change_begins_neither_too_early_nor_too_far_ahead() {
        let policy = TablePolicy::local(Extension::new("eventual/1"));
        let table = Table::new(TableId(0), TableSpec::dense("w", 9), policy, Hyper::default());
        let most = limits::CHANGE_AHEAD_MAX;
        let at = |tick| TableChange::default().from(Tick(tick));
        let from = |table: &Table, change: &TableChange| {
            change.of(table, Tick(8), Tick(5)).map(|terms| terms.from.0)
        };
        assert_eq!(from(&table, &TableChange::default()), Ok(8));
        assert_eq!((from(&table, &at(8)), from(&table, &at(5 + most))), (Ok(8), Ok(5 + most)));
        let name = || "w".to_owned();
        let early = SpecError::TooEarly { table: name(), earliest: Tick(8), found: Tick(7) };
        assert_eq!(from(&table, &at(7)), Err(early));
        for far in [6 + most, u64::MAX] {
            let (latest, found) = (Tick(5 + most), Tick(far));
            assert_eq!(
                from(&table, &at(far)),
                Err(SpecError::TooLate { table: name(), latest, found })
            );
        }
        // Behind a change that is as far ahead as can be there is one tick left: its own.
        let terms = at(5 + most).of(&table, Tick(8), Tick(5)).unwrap();
        let changed = table.with_change(terms);
        assert_eq!(from(&changed, &TableChange::default()), Ok(5 + most));
        assert!(from(&changed, &at(4 + most)).is_err());
        let last = TableChange::default().of(&table, Tick(u64::MAX), Tick(u64::MAX));
        assert_eq!(last.unwrap().from, Tick(u64::MAX));
    }
}
