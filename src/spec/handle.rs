//! A table as programs hold it: what it is, and its terms as far as they were known.

use super::{Hyper, TablePolicy, TableSpec, Terms};
use crate::error::SpecError;
use crate::id::{TableId, Tick};
use crate::sync::Arc;

/// A table as workers hold it: cheap to clone, valid for any driver of the store it came from.
#[derive(Clone, Debug)]
pub struct Table {
    inner: Arc<TableInner>,
    /// As far as was known when the handle was made.
    changes: Arc<[Terms]>,
}

#[derive(Debug)]
struct TableInner {
    id: TableId,
    spec: TableSpec,
    policy: TablePolicy,
    hyper: Hyper,
}

impl Table {
    /// Whether both are handles of the very same table, not only of one with the same name.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// A handle; stores make these when a table is created.
    pub fn new(id: TableId, spec: TableSpec, policy: TablePolicy, hyper: Hyper) -> Self {
        Self { inner: Arc::new(TableInner { id, spec, policy, hyper }), changes: Arc::new([]) }
    }

    /// The table's number in its store.
    pub fn id(&self) -> TableId {
        self.inner.id
    }

    /// The table's name.
    pub fn name(&self) -> &str {
        &self.inner.spec.name
    }

    /// What the table is.
    pub fn spec(&self) -> &TableSpec {
        &self.inner.spec
    }

    /// How it behaves, as it was created.
    pub fn policy(&self) -> &TablePolicy {
        &self.inner.policy
    }

    /// Its hyper-parameters, as it was created.
    pub fn hyper(&self) -> &Hyper {
        &self.inner.hyper
    }

    /// What was changed while it exists, ascending by tick, as far as was known when this handle
    /// was made.
    pub fn changes(&self) -> &[Terms] {
        &self.changes
    }

    /// How it behaves at a tick, as far as this handle knows.
    pub fn terms_at(&self, tick: Tick) -> Terms {
        let after = self.changes.partition_point(|terms| terms.from <= tick);
        let changed = after.checked_sub(1).and_then(|at| self.changes.get(at));
        changed.cloned().unwrap_or_else(|| self.created())
    }

    /// How it behaves after all changes that this handle knows of.
    pub fn last_terms(&self) -> Terms {
        self.changes.last().cloned().unwrap_or_else(|| self.created())
    }

    /// The handle without any change.
    #[must_use]
    pub fn as_created(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), changes: Arc::new([]) }
    }

    /// The handle with one change more. Terms that begin at the same tick are replaced.
    #[must_use]
    pub fn with_change(&self, terms: Terms) -> Self {
        let mut changes = self.changes.to_vec();
        match changes.binary_search_by_key(&terms.from, |held| held.from) {
            Ok(at) => changes[at] = terms,
            Err(at) => changes.insert(at, terms),
        }
        Self { inner: Arc::clone(&self.inner), changes: changes.into() }
    }

    fn created(&self) -> Terms {
        let (policy, hyper) = (self.policy().clone(), *self.hyper());
        Terms { from: Tick::FIRST, policy, hyper }
    }

    /// Checks that a description of the same name says the same: what the table was created as, or
    /// what it was changed to last. So a program that is started again finds the table that it
    /// has created, whatever was changed meanwhile.
    ///
    /// # Errors
    /// `Mismatch` naming the first field that differs from the last change.
    pub fn check_same(
        &self,
        spec: &TableSpec,
        policy: &TablePolicy,
        hyper: &Hyper,
    ) -> Result<(), SpecError> {
        self.spec().check_same(spec)?;
        if self.policy() == policy && self.hyper() == hyper {
            return Ok(());
        }
        let last = self.last_terms();
        last.policy.check_same(&spec.name, policy)?;
        last.hyper.check_same(&spec.name, hyper)
    }
}
