//! How a table behaves from which tick on, and what is asked of it while it is trained. Plain data.

use super::{Hyper, Table, TablePolicy};
use crate::id::Tick;

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
    /// The first tick that the change holds for; the earliest possible one when `None`.
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

    /// The terms that it makes of the `last` ones, from `earliest` on or later. `Err` when it names
    /// an earlier tick.
    pub(crate) fn of(&self, last: &Terms, earliest: Tick) -> Result<Terms, Tick> {
        let from = self.from.unwrap_or(earliest).max(Tick::FIRST);
        if from < earliest {
            return Err(from);
        }
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
