//! What all servers are given at their start and have to agree on: data centres and tables.
//!
//! I1: a server is one of a data centre only when its certificate names that one; I2: servers that
//! were given other data centres or tables are refused, since copies would differ and numbers of
//! tables would mean different ones.

use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use super::identity::Identity;
use crate::error::{Result, SpecError, TransportError};
use crate::id::{DataCentre, ServerId};
use crate::node::{Peer, Plan, Registry};
use crate::placement::{DataCentreServers, DataCentres};
use crate::spec::{Described, Hyper, TablePolicy, TableSpec};
use crate::wire::{self, Message};

/// What all servers of all data centres are given at their start, the same to each.
///
/// ```
/// use archipelago::id::ServerId;
/// use archipelago::node::Registry;
/// use archipelago::placement::{DataCentreServers, DataCentres};
/// use archipelago::transport::System;
/// use archipelago::{Asp, Bsp, Hyper, TablePolicy, TableSpec};
///
/// let listed = |name: &str, server| {
///     let servers = vec![ServerId(server)];
///     DataCentreServers { name: name.into(), servers }
/// };
/// let policy = TablePolicy::local(Bsp).global(Asp::default());
/// let system = System {
///     data_centres: Some(DataCentres::new(vec![listed("paris", 0), listed("tokyo", 1)])?),
///     tables: vec![(TableSpec::dense("w", 9), policy, Hyper::default())],
/// };
/// let plan = system.plan(&[ServerId(1)], &Registry::built_in())?;
/// assert!(plan.table_named("w").is_some());
/// # Ok::<(), archipelago::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct System {
    /// All data centres, this one among them, in the same order everywhere; each has the name that
    /// its certificates have. `None` where there is only one.
    pub data_centres: Option<DataCentres>,
    /// Tables that exist from the start, numbered in this order. Those with a global policy have
    /// to: they cannot be created later.
    pub tables: Vec<(TableSpec, TablePolicy, Hyper)>,
}

impl System {
    /// The plan of a data centre with these servers.
    ///
    /// # Errors
    /// As [`Plan::new`]; `Field` when no data centre has exactly these servers, or when a table has
    /// a global policy and there is no other data centre.
    pub fn plan(&self, servers: &[ServerId], registry: &Registry) -> Result<Plan> {
        let plan = Plan::new(servers, self.tables.clone(), &[], registry)?;
        let several =
            self.data_centres.as_ref().filter(|data_centres| data_centres.iter().len() > 1);
        let Some(data_centres) = several else {
            check_alone(&plan)?;
            return Ok(plan);
        };
        let here = servers.first().and_then(|server| data_centres.of(*server));
        let here = here.ok_or_else(|| unlisted(data_centres, servers))?;
        Ok(plan.of_data_centre(data_centres, here)?)
    }
}

/// Without another data centre a global policy means nothing: it was a mistake.
fn check_alone(plan: &Plan) -> Result<(), SpecError> {
    match plan.tables().find(|planned| planned.is_mirrored()) {
        None => Ok(()),
        Some(planned) => Err(SpecError::Field {
            table: planned.table.name().into(),
            field: "global policy".into(),
            expected: "off/1, or other data centres to be named".into(),
            found: planned.table.policy().global.to_string(),
        }),
    }
}

fn unlisted(data_centres: &DataCentres, servers: &[ServerId]) -> SpecError {
    let shown = |of: &[ServerId]| of.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let listed = |(_, each): (DataCentre, &DataCentreServers)| {
        format!("{}: {}", each.name, shown(&each.servers))
    };
    SpecError::Field {
        table: "system".into(),
        field: "servers".into(),
        expected: data_centres.iter().map(listed).collect::<Vec<_>>().join("; "),
        found: shown(servers),
    }
}

/// Whom a server takes for a server, and of which data centre.
#[derive(Debug)]
pub(super) struct Agreed {
    data_centres: Option<DataCentres>,
    own: String,
    /// What servers compare: the plan's own digest where nothing else was given.
    pub(super) digest: u128,
}

impl Agreed {
    /// What a server with that identity and plan knows.
    ///
    /// # Errors
    /// `Identity` when its certificate is for another data centre than the one that lists it.
    pub(super) fn new(
        system: System,
        plan: &Plan,
        identity: &Identity,
    ) -> Result<Self, TransportError> {
        let own = identity.dc().to_owned();
        if let Some(abroad) = plan.abroad()
            && let Some(listed) = abroad.data_centres.get(abroad.here)
            && listed.name != own
        {
            let expected = "a certificate for the data centre that lists this server";
            let found = format!("{identity}, while the servers are listed for {}", listed.name);
            return Err(TransportError::Identity { expected, found });
        }
        let data_centres = plan.abroad().map(|abroad| abroad.data_centres.clone());
        let digest = match (&data_centres, system.tables.is_empty()) {
            (None, true) => plan.digest(),
            _ => digest(plan, data_centres.as_ref(), system.tables),
        };
        Ok(Self { data_centres, own, digest })
    }

    /// The data centre that a peer's certificate has to name; why there is none.
    pub(super) fn data_centre_of(&self, peer: Peer) -> Result<&str, String> {
        let (Some(data_centres), Peer::Server(server)) = (&self.data_centres, peer) else {
            return Ok(&self.own);
        };
        let listed = data_centres
            .around(server)
            .ok_or_else(|| format!("{server} is in no list of a data centre"));
        listed.map(|listed| listed.name.as_str())
    }
}

fn digest(
    plan: &Plan,
    data_centres: Option<&DataCentres>,
    tables: Vec<(TableSpec, TablePolicy, Hyper)>,
) -> u128 {
    let mut hasher = SipHasher24::new();
    match data_centres {
        None => hasher.write(&plan.digest().to_le_bytes()),
        Some(data_centres) => {
            for (_, listed) in data_centres.iter() {
                hasher.write(&(listed.servers.len() as u64).to_le_bytes());
                listed.servers.iter().for_each(|server| hasher.write(&server.0.to_le_bytes()));
                hasher.write(&(listed.name.len() as u64).to_le_bytes());
                hasher.write(listed.name.as_bytes());
            }
            // Who speaks to whom, and for whom.
            let told = data_centres.iter().flat_map(|(at, _)| data_centres.ways(at, false).1);
            for way in told {
                let numbers = [way.of, way.to, way.stands_for].map(|DataCentre(number)| number);
                numbers.iter().for_each(|number| hasher.write(&number.to_le_bytes()));
            }
        },
    }
    for (spec, policy, hyper) in tables {
        let described = Box::new(Described { spec, policy, hyper });
        let mut bytes = Vec::new();
        // A description that fits no frame was refused when it was planned.
        drop(wire::encode(&Message::EnsureTable { request: 0, described }, &mut bytes));
        hasher.write(&bytes);
    }
    hasher.finish128().as_u128()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Extension;
    use crate::transport::Role;

    fn data_centres(of: &[(&str, &[u32])]) -> Option<DataCentres> {
        let listed = |(name, servers): &(&str, &[u32])| DataCentreServers {
            name: (*name).into(),
            servers: servers.iter().copied().map(ServerId).collect(),
        };
        Some(DataCentres::new(of.iter().map(listed).collect()).unwrap())
    }

    fn tables(threshold: f64) -> Vec<(TableSpec, TablePolicy, Hyper)> {
        let asp = Extension::new("asp/1").with("threshold", threshold);
        let policy = TablePolicy::local(Extension::new("bsp/1")).global(asp);
        vec![(TableSpec::dense("w", 9), policy, Hyper::default())]
    }

    fn agreed(system: System, servers: &[u32], dc: &str) -> Result<Agreed> {
        let servers: Vec<_> = servers.iter().copied().map(ServerId).collect();
        let plan = system.plan(&servers, &Registry::built_in())?;
        Ok(Agreed::new(system, &plan, &Identity::new(Role::Server, dc)?)?)
    }

    fn two() -> System {
        System { data_centres: data_centres(&[("a", &[0, 1]), ("b", &[2])]), tables: tables(0.01) }
    }

    #[test]
    fn servers_agree_across_data_centres_or_on_nothing() {
        let here = agreed(two(), &[0, 1], "a").unwrap();
        let there = agreed(two(), &[2], "b").unwrap();
        assert_eq!(here.digest, there.digest);
        let others = [
            System { tables: tables(0.02), ..two() },
            System { data_centres: data_centres(&[("b", &[2]), ("a", &[0, 1])]), ..two() },
            System { data_centres: data_centres(&[("a", &[0, 1]), ("c", &[2])]), ..two() },
            System {
                data_centres: data_centres(&[("a", &[0, 1]), ("b", &[2]), ("c", &[3])]),
                ..two()
            },
        ];
        for other in others {
            let other = agreed(other, &[0, 1], "a").unwrap();
            assert_ne!(here.digest, other.digest, "{other:?}");
        }
    }

    #[test]
    fn a_server_is_of_the_data_centre_that_lists_it() {
        let here = agreed(two(), &[0, 1], "a").unwrap();
        assert_eq!(here.data_centre_of(Peer::Server(ServerId(2))), Ok("b"));
        assert_eq!(here.data_centre_of(Peer::Server(ServerId(1))), Ok("a"));
        assert_eq!(here.data_centre_of(Peer::Worker(2)), Ok("a"));
        assert!(here.data_centre_of(Peer::Server(ServerId(3))).unwrap_err().contains("server 3"));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_reason() {
        let refused = |system, servers: &[u32], dc: &str| {
            agreed(system, servers, dc).map(drop).unwrap_err().to_string()
        };
        assert!(refused(two(), &[0, 1], "b").contains("listed for a"));
        assert!(refused(two(), &[5], "a").contains("a: server 0, server 1; b: server 2"));
        assert!(refused(two(), &[0], "a").contains("servers"));
        let alone = System { data_centres: None, ..two() };
        assert!(refused(alone, &[0], "a").contains("other data centres to be named"));
    }
}
