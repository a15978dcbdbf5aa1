//! The plans of a system's data centres, and which processes belong to which.

use crate::error::Result;
use crate::id::{DataCentre, ServerId};
use crate::node::{Plan, Registry};
use crate::placement::{DataCentreServers, DataCentres, Overlay};
use crate::spec::{Hyper, TablePolicy, TableSpec};

/// One plan for each data centre; the first one's where there is only one.
#[derive(Clone, Debug)]
pub(super) struct Plans {
    plans: Vec<Plan>,
}

impl Plans {
    /// The plans of data centres with so many servers each, which are numbered on: one cluster when
    /// there is only one.
    pub(super) fn new(
        (data_centres, overlay): (&[(String, u32)], Option<Overlay>),
        tables: &[(TableSpec, TablePolicy, Hyper)],
        groups: &[u32],
        registry: &Registry,
    ) -> Result<Self> {
        let mut next = 0;
        let data_centres = data_centres.iter().map(|(name, count)| {
            let servers = (next..next + count).map(ServerId).collect();
            next += count;
            DataCentreServers { name: name.clone(), servers }
        });
        let data_centres = DataCentres::new(data_centres.collect())?;
        let data_centres = match overlay {
            Some(overlay) => data_centres.overlay(overlay)?,
            None => data_centres,
        };
        let several = data_centres.iter().len() > 1;
        let plan = |(here, listed): (DataCentre, &DataCentreServers)| {
            let plan = Plan::new(&listed.servers, tables.to_vec(), groups, registry)?;
            Ok(if several { plan.of_data_centre(&data_centres, here)? } else { plan })
        };
        Ok(Self { plans: data_centres.iter().map(plan).collect::<Result<_>>()? })
    }

    /// The plan of a data centre.
    pub(super) fn of(&self, data_centre: DataCentre) -> Option<&Plan> {
        self.plans.get(data_centre.0 as usize)
    }

    /// The plan of the first data centre.
    pub(super) fn first(&self) -> &Plan {
        // `new` refuses a list without data centres.
        &self.plans[0]
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (DataCentre, &Plan)> {
        (0..).map(DataCentre).zip(&self.plans)
    }

    /// All servers, by number.
    pub(super) fn servers(&self) -> Vec<ServerId> {
        self.plans.iter().flat_map(|plan| plan.servers().iter().copied()).collect()
    }
}
