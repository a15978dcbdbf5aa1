//! The list of a system's data centres as options and configuration write it.

use std::fmt;
use std::str::FromStr;

use archipelago::error::{SpecError, TransportError};
use archipelago::id::ServerId;
use archipelago::placement::{Site, Sites};
use archipelago::transport::{Identity, Role};
use archipelago_client::{ServerEntry, Servers, ServersError};
use serde::{Deserialize, Serialize};

/// A list of data centres does not hold together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataCentresError {
    /// An entry is not of the form.
    #[error("data centres: expected NAME:NUMBER=HOST:PORT,.., found {found:?}")]
    Form {
        /// The entry.
        found: String,
    },
    /// A name that no certificate can have.
    #[error("data centres: {0}")]
    Name(TransportError),
    /// Two data centres have one name.
    #[error(
        "data centres: two are called {name:?}: put all servers of a data centre into one entry, \
         {name}:SERVER,SERVER,.."
    )]
    SameName {
        /// The name.
        name: String,
    },
    /// Numbers or addresses of servers.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// More than there may be.
    #[error(transparent)]
    System(#[from] SpecError),
}

/// One data centre and its servers: `NAME:SERVER,SERVER,..`, each server as in `servers`.
///
/// ```
/// use ps_server::DataCentreEntry;
///
/// let entry: DataCentreEntry = "tokyo:2=ps0.tokyo:7100,3=ps1.tokyo:7100".parse()?;
/// assert_eq!((entry.name.as_str(), entry.servers.len()), ("tokyo", 2));
/// # Ok::<(), ps_server::DataCentresError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DataCentreEntry {
    /// Its name, which its certificates have.
    pub name: String,
    /// Its servers.
    pub servers: Vec<ServerEntry>,
}

impl FromStr for DataCentreEntry {
    type Err = DataCentresError;

    fn from_str(text: &str) -> Result<Self, DataCentresError> {
        let form = || DataCentresError::Form { found: text.into() };
        let (name, servers) = text.split_once(':').ok_or_else(form)?;
        let servers = servers.split(',').map(|entry| entry.trim().parse());
        let servers = servers.collect::<Result<_, ServersError>>().map_err(|_error| form())?;
        Identity::new(Role::Server, name).map_err(DataCentresError::Name)?;
        Ok(Self { name: name.into(), servers })
    }
}

impl TryFrom<String> for DataCentreEntry {
    type Error = DataCentresError;

    fn try_from(text: String) -> Result<Self, DataCentresError> {
        text.parse()
    }
}

impl From<DataCentreEntry> for String {
    fn from(entry: DataCentreEntry) -> Self {
        entry.to_string()
    }
}

impl fmt::Display for DataCentreEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let servers: Vec<_> = self.servers.iter().map(ToString::to_string).collect();
        write!(f, "{}:{}", self.name, servers.join(","))
    }
}

/// Several data centres, with servers that are numbered over all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCentres {
    sites: Sites,
    servers: Servers,
}

impl DataCentres {
    /// The data centres of a list, in its order.
    ///
    /// # Errors
    /// `SameName`; no servers, too many data centres, and those of [`Servers::new`].
    pub fn new(entries: &[DataCentreEntry]) -> Result<Self, DataCentresError> {
        for (at, entry) in entries.iter().enumerate() {
            if entries[..at].iter().any(|before| before.name == entry.name) {
                return Err(DataCentresError::SameName { name: entry.name.clone() });
            }
        }
        let all: Vec<_> = entries.iter().flat_map(|entry| &entry.servers).cloned().collect();
        let servers = Servers::new(&all)?;
        let mut next = 0;
        let mut number = |entry: &ServerEntry| {
            let number = entry.number.unwrap_or(next);
            next += 1;
            ServerId(number)
        };
        let sites = entries.iter().map(|entry| {
            let servers = entry.servers.iter().map(&mut number).collect();
            Site { name: entry.name.clone(), servers }
        });
        Ok(Self { sites: Sites::new(sites.collect())?, servers })
    }

    /// The data centres.
    pub fn sites(&self) -> &Sites {
        &self.sites
    }

    /// The servers of all data centres.
    pub fn all(&self) -> &Servers {
        &self.servers
    }

    /// The servers of the data centre that has this one.
    pub(super) fn around(&self, server: ServerId) -> Result<Servers, ServersError> {
        let site = self.sites.of(server).and_then(|it| self.sites.get(it));
        Servers::new(&site.map(|site| self.entries_of(site)).unwrap_or_default())
    }

    /// The list with all numbers, as options and configuration write it.
    pub fn entries(&self) -> Vec<DataCentreEntry> {
        let entry = |site: &Site| DataCentreEntry {
            name: site.name.clone(),
            servers: self.entries_of(site),
        };
        self.sites.iter().map(|(_, site)| entry(site)).collect()
    }

    fn entries_of(&self, site: &Site) -> Vec<ServerEntry> {
        let address = |server: &ServerId| self.servers.address(*server).unwrap_or_default();
        let entry = |server: &ServerId| ServerEntry {
            number: Some(server.0),
            address: address(server).into(),
        };
        site.servers.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(list: &[&str]) -> Result<DataCentres, String> {
        let entries = list.iter().map(|entry| entry.parse()).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error: DataCentresError| error.to_string())?;
        DataCentres::new(&entries).map_err(|error| error.to_string())
    }

    #[test]
    fn servers_are_numbered_over_all_data_centres() {
        let counted = listed(&["paris:a:1,b:1", "tokyo:c:1"]).unwrap();
        assert_eq!(counted, listed(&["paris:0=a:1,1=b:1", "tokyo:2=c:1"]).unwrap());
        assert_eq!(counted.entries()[1].to_string(), "tokyo:2=c:1");
        assert_eq!(counted.around(ServerId(1)).unwrap(), "0=a:1,1=b:1".parse().unwrap());
        assert_eq!(counted.all().numbers().len(), 3);
    }

    #[test]
    fn lists_that_make_no_sense_say_where() {
        for (list, words) in [
            (&["paris:a:1", "paris:b:1"][..], "two are called \"paris\""),
            (&["paris:0=a:1", "tokyo:0=b:1"], "a:1 and b:1 both have the number 0"),
            (&["paris:a:1", "tokyo:a:1"], "both have the address a:1"),
            (&["paris:0=a:1", "tokyo:b:1"], "0=a:1 has a number, b:1 has none"),
            (&["Paris:a:1"], "lower-case"),
            (&["a:1"], "expected NAME:NUMBER=HOST:PORT"),
            (&["paris"], "expected NAME:NUMBER=HOST:PORT"),
            (&[":a:1"], "1 to 63"),
        ] {
            let error = listed(list).unwrap_err();
            assert!(error.contains(words), "{words:?} in {error:?}");
        }
    }
}
