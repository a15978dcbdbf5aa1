//! The plans of a system's data centres, and which processes belong to which.

use crate::error::Result;
use crate::id::{DataCentre, ServerId};
use crate::node::{Plan, Registry};
use crate::placement::{Overlay, Site, Sites};
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
        let sites = data_centres.iter().map(|(name, count)| {
            let servers = (next..next + count).map(ServerId).collect();
            next += count;
            Site { name: name.clone(), servers }
        });
        let sites = Sites::new(sites.collect())?;
        let sites = match overlay {
            Some(overlay) => sites.overlay(overlay)?,
            None => sites,
        };
        let several = data_centres.len() > 1;
        let plan = |(here, site): (DataCentre, &Site)| {
            let plan = Plan::new(&site.servers, tables.to_vec(), groups, registry)?;
            Ok(if several { plan.of_data_centre(&sites, here)? } else { plan })
        };
        Ok(Self { plans: sites.iter().map(plan).collect::<Result<_>>()? })
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
