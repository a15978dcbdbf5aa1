//! How a table behaves, and its hyper-parameters.

use super::TableSpec;
use super::same::{same, same_shown};
use crate::error::SpecError;
use crate::extension::Extension;
use crate::limits;
use crate::schedule::Schedule;
use crate::time::Duration;

/// How much an acknowledgement promises (law 3). Levels above `Applied` are planned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum AckLevel {
    /// The contribution and its window entry are held; a Bsp round has not closed yet.
    Admitted,
    /// The update rule has run. Survives no failure.
    Applied,
}

/// In which order the contributions of a round are folded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FoldOrder {
    /// By worker, each worker's by sequence: bit-exact whatever the order of arrival (law 4).
    #[default]
    Worker,
    /// In order of arrival. Planned: refused with a typed error.
    Arrival,
}

/// How a table behaves: which consistency its readers get. Versioned, not part of the spec's hash.
#[derive(Clone, Debug, PartialEq)]
pub struct TablePolicy {
    /// The local policy: `Bsp`, `Ssp { staleness }`, `Eventual` or a user's own.
    pub local: Extension,
    /// The global policy: `Off`, `Bsp`, `Ssp { staleness }`, `Eventual`, `Asp` or a user's own.
    pub global: Extension,
    /// The significance function that a global policy's threshold is compared with.
    pub significance: Extension,
    /// Fold order of rounds with several contributions.
    pub fold: FoldOrder,
    /// Accept NaN and infinity in pushes. Default: no.
    pub non_finite: bool,
    /// Bytes that a Bsp shard may stash for workers that are not next in fold order.
    pub bsp_stash_bytes_max: usize,
}

/// The parameter of any global policy that says how long a data centre may be silent.
pub(crate) const SILENCE: &str = "silence_seconds";

impl TablePolicy {
    /// A policy with the given consistency and the defaults elsewhere.
    ///
    /// ```
    /// use archipelago::{Ssp, TablePolicy};
    /// let policy = TablePolicy::local(Ssp { staleness: 2 });
    /// assert_eq!(policy.local.name(), "ssp/1");
    /// ```
    pub fn local(policy: impl Into<Extension>) -> Self {
        Self {
            local: policy.into(),
            global: Extension::new("off/1"),
            significance: Extension::new("relative/1"),
            fold: FoldOrder::Worker,
            non_finite: false,
            bsp_stash_bytes_max: limits::BSP_STASH_BYTES_MAX,
        }
    }

    /// Sets the consistency between data centres. Default: they tell each other nothing.
    #[must_use]
    pub fn global(mut self, policy: impl Into<Extension>) -> Self {
        self.global = policy.into();
        self
    }

    /// Sets how long a data centre may be silent before the others go on without it, whatever the
    /// global policy, which is named before: at least
    /// [`DATA_CENTRE_SILENCE_MIN`](crate::limits::DATA_CENTRE_SILENCE_MIN). Default:
    /// [`DATA_CENTRE_SILENCE_MAX`](crate::limits::DATA_CENTRE_SILENCE_MAX).
    ///
    /// ```
    /// use archipelago::{Bsp, TablePolicy};
    /// use archipelago::time::Duration;
    /// let policy = TablePolicy::local(Bsp).global(Bsp).silence_max(Duration::from_secs(600));
    /// assert_eq!(policy.global.to_string(), "bsp/1(silence_seconds=600)");
    /// ```
    #[must_use]
    pub fn silence_max(mut self, silence: Duration) -> Self {
        self.global = self.global.with(SILENCE, silence.as_secs_f64());
        self
    }

    /// Sets the significance function. Default: `relative/1`, the share of the value.
    #[must_use]
    pub fn significance(mut self, function: impl Into<Extension>) -> Self {
        self.significance = function.into();
        self
    }

    /// Accepts NaN and infinity in pushes, and so saves one pass over pushed data. Without it the
    /// `push` of such a value may still return `Ok`: the error, `NonFinite`, then comes from the
    /// worker's next `wait`, `tick` or `finish`.
    #[must_use]
    pub fn allow_non_finite(mut self) -> Self {
        self.non_finite = true;
        self
    }

    /// Bounds the stash, in bytes per shard; a chunk takes some 90 bytes beside its values.
    #[must_use]
    pub fn bsp_stash_bytes_max(mut self, bytes: usize) -> Self {
        self.bsp_stash_bytes_max = bytes;
        self
    }

    /// Sets the fold order.
    #[must_use]
    pub fn fold(mut self, order: FoldOrder) -> Self {
        self.fold = order;
        self
    }

    /// Checks that another policy for the table `name` is the same.
    ///
    /// # Errors
    /// `Mismatch` naming the first field that differs.
    pub fn check_same(&self, name: &str, found: &Self) -> Result<(), SpecError> {
        let stash = [self.bsp_stash_bytes_max, found.bsp_stash_bytes_max];
        same(name, "local policy", &self.local, &found.local)?;
        same(name, "global policy", &self.global, &found.global)?;
        same(name, "significance", &self.significance, &found.significance)?;
        same_shown(name, "fold order", &self.fold, &found.fold)?;
        same(name, "non_finite", &self.non_finite, &found.non_finite)?;
        same(name, "bsp_stash_bytes_max", &stash[0], &stash[1])
    }
}

/// Numbers that change while a table is trained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Hyper {
    /// The learning rate, for rules that use one.
    pub rate: Schedule,
}

impl Hyper {
    /// The learning rate's schedule.
    pub fn rate(rate: Schedule) -> Self {
        Self { rate }
    }

    /// Checks that other numbers for the table `name` are the same.
    ///
    /// # Errors
    /// `Mismatch` naming the field that differs.
    pub fn check_same(&self, name: &str, found: &Self) -> Result<(), SpecError> {
        same_shown(name, "rate", &self.rate, &found.rate)
    }

    /// Checks that every number is finite, and stays what it is in the table's type.
    ///
    /// # Errors
    /// `Field` naming the schedule.
    pub fn check(&self, spec: &TableSpec) -> Result<(), SpecError> {
        if self.rate.is_finite() && self.rate.ends().iter().all(|value| spec.keeps(*value)) {
            return Ok(());
        }
        Err(SpecError::Field {
            table: spec.name.clone(),
            field: "rate".into(),
            expected: format!("finite numbers that {} holds", spec.dtype.name()),
            found: format!("{:?}", self.rate),
        })
    }
}

impl Default for Hyper {
    /// Rate 1, for rules that do not use one.
    fn default() -> Self {
        Self::rate(Schedule::Constant(1.0))
    }
}
