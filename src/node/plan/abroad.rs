//! A plan among those of other data centres.

use std::collections::BTreeMap;

use super::{Plan, Planned};
use crate::error::SpecError;
use crate::id::{DataCentre, ServerId, SlotIndex};
use crate::node::mirror::MirrorPlace;
use crate::placement::{Assignment, Ring, Sites};
use crate::sync::Arc;

/// The data centres of a plan that has several.
#[derive(Clone, Debug)]
pub struct Abroad {
    /// All of them.
    pub sites: Sites,
    /// The one whose servers the plan has.
    pub here: DataCentre,
    rings: BTreeMap<DataCentre, Ring>,
}

impl Plan {
    /// The plan of one of several data centres, which all have the same tables.
    ///
    /// # Errors
    /// `Field` when the data centre's servers are not the plan's.
    pub fn of_data_centre(&self, sites: &Sites, here: DataCentre) -> Result<Self, SpecError> {
        let mut servers = sites.get(here).map_or_else(Vec::new, |site| site.servers.clone());
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
        let others = sites.iter().filter(|(other, _)| *other != here);
        let rings = others.map(|(other, _)| Ok((other, sites.ring(other)?)));
        let rings = rings.collect::<Result<_, SpecError>>()?;
        let mut inner = (*self.inner).clone();
        inner.abroad = Some(Arc::new(Abroad { sites: sites.clone(), here, rings }));
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The data centres, where there are several.
    pub fn abroad(&self) -> Option<&Abroad> {
        self.inner.abroad.as_deref()
    }
}

impl Abroad {
    /// Where the copies of a table's slots are in each other data centre.
    pub(in crate::node) fn mirrors(
        &self,
        planned: &Planned,
        slots: &[SlotIndex],
    ) -> Vec<MirrorPlace> {
        let of = |(data_centre, ring): (&DataCentre, &Ring)| {
            let assignment = Assignment::compute(ring, planned.table.id(), &planned.grid);
            let owners = slots.iter().filter_map(|slot| Some((*slot, assignment.owner(*slot)?)));
            MirrorPlace { data_centre: *data_centre, owners: owners.collect() }
        };
        self.rings.iter().map(of).collect()
    }
}
