//! A plan among those of other data centres.

use std::collections::BTreeMap;

use super::{Plan, Planned};
use crate::consistency::Exchange;
use crate::error::SpecError;
use crate::id::{DataCentre, ServerId, SlotIndex};
use crate::node::mirror::{Owners, Ways};
use crate::node::shard::goes_in_step;
use crate::placement::{Assignment, DataCentres, Ring};
use crate::spec::Terms;
use crate::sync::Arc;

/// The data centres of a plan that has several.
#[derive(Clone, Debug)]
pub struct Abroad {
    /// All of them.
    pub data_centres: DataCentres,
    /// The one whose servers the plan has.
    pub here: DataCentre,
    rings: BTreeMap<DataCentre, Ring>,
}

impl Plan {
    /// The plan of one of several data centres, which all have the same tables.
    ///
    /// # Errors
    /// `Field` when the data centre's servers are not the plan's.
    pub fn of_data_centre(
        &self,
        data_centres: &DataCentres,
        here: DataCentre,
    ) -> Result<Self, SpecError> {
        let mut servers =
            data_centres.get(here).map_or_else(Vec::new, |listed| listed.servers.clone());
        servers.sort_unstable();
        if *servers != *self.inner.servers {
            let shown = |of: &[ServerId]| of.iter().map(ToString::to_string).collect::<Vec<_>>();
            return Err(SpecError::Field {
                table: here.to_string(),
                field: "servers".into(),
                expected: shown(&self.inner.servers).join(", "),
                found: shown(&servers).join(", "),
            });
        }
        let others = data_centres.iter().filter(|(other, _)| *other != here);
        let rings = others.map(|(other, _)| Ok((other, data_centres.ring(other)?)));
        let rings = rings.collect::<Result<_, SpecError>>()?;
        let mut inner = (*self.inner).clone();
        inner.abroad = Some(Arc::new(Abroad { data_centres: data_centres.clone(), here, rings }));
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The data centres, where there are several.
    pub fn abroad(&self) -> Option<&Abroad> {
        self.inner.abroad.as_deref()
    }
}

impl Planned {
    /// Whether copies in several data centres exchange anything about the table.
    pub fn is_mirrored(&self) -> bool {
        self.code.is_mirrored()
    }

    /// Whether other terms change the numbers by which data centres settle rounds together: they
    /// would have to begin at the same tick in all of them.
    pub(super) fn settles_otherwise_by(&self, found: &Terms) -> bool {
        let settles = self.code.global.exchange() == Exchange::Aggregates;
        settles && self.table.last_terms().hyper != found.hyper
    }
}

impl Abroad {
    /// Where the copies of a table's slots are in other data centres, and who speaks to whom. Hubs
    /// add deltas up; copies that go in step take what each data centre has told by itself.
    pub(in crate::node) fn ways(&self, planned: &Planned, slots: &[SlotIndex]) -> Ways {
        let straight = goes_in_step(&planned.code);
        let straight = straight || planned.code.global.exchange() != Exchange::Deltas;
        let (heard, told) = self.data_centres.ways(self.here, straight);
        let owners = |other: DataCentre| -> Owners {
            let ring = self.rings.get(&other);
            let of = |ring| Assignment::compute(ring, planned.table.id(), &planned.grid);
            let Some(assignment) = ring.map(of) else { return Owners::new() };
            slots.iter().filter_map(|slot| Some((*slot, assignment.owner(*slot)?))).collect()
        };
        Ways {
            here: self.here,
            heard: heard.into_iter().map(|hearing| (hearing, owners(hearing.from))).collect(),
            told: told.into_iter().map(|telling| (telling, owners(telling.to))).collect(),
        }
    }
}
