//! The list of a system's data centres as options and configuration write it.

use std::fmt;
use std::str::FromStr;

use archipelago::error::{SpecError, TransportError};
use archipelago::id::{DataCentre, ServerId};
use archipelago::placement::{DataCentreServers, DataCentres, HubGroup, Overlay};
use archipelago::transport::{Identity, Role};
use archipelago_client::{ServerEntry, Servers, ServersError};
use serde::{Deserialize, Serialize};

use crate::nearest::{nearest, suggestion};

/// A list of data centres does not hold together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataCentreListError {
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
    /// A group names a data centre that is not in the list.
    #[error("`hubs` names the data centre `{name}`{}", suggestion(nearest.as_deref(), known))]
    Unknown {
        /// The name.
        name: String,
        /// The data centre that was probably meant.
        nearest: Option<String>,
        /// All data centres.
        known: Vec<String>,
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
/// # Ok::<(), ps_server::DataCentreListError>(())
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
    type Err = DataCentreListError;

    fn from_str(text: &str) -> Result<Self, DataCentreListError> {
        let form = || DataCentreListError::Form { found: text.into() };
        let (name, servers) = text.split_once(':').ok_or_else(form)?;
        let servers = servers.split(',').map(|entry| entry.trim().parse());
        let servers = servers.collect::<Result<_, ServersError>>().map_err(|_error| form())?;
        Identity::new(Role::Server, name).map_err(DataCentreListError::Name)?;
        Ok(Self { name: name.into(), servers })
    }
}

impl TryFrom<String> for DataCentreEntry {
    type Error = DataCentreListError;

    fn try_from(text: String) -> Result<Self, DataCentreListError> {
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
pub struct DataCentreList {
    data_centres: DataCentres,
    servers: Servers,
    hubs: Vec<String>,
}

impl DataCentreList {
    /// The data centres of a list, in its order.
    ///
    /// # Errors
    /// `SameName`; no servers, too many data centres, and those of [`Servers::new`].
    pub fn new(entries: &[DataCentreEntry]) -> Result<Self, DataCentreListError> {
        for (at, entry) in entries.iter().enumerate() {
            if entries[..at].iter().any(|before| before.name == entry.name) {
                return Err(DataCentreListError::SameName { name: entry.name.clone() });
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
        let data_centres = entries.iter().map(|entry| {
            let servers = entry.servers.iter().map(&mut number).collect();
            DataCentreServers { name: entry.name.clone(), servers }
        });
        Ok(Self {
            data_centres: DataCentres::new(data_centres.collect())?,
            servers,
            hubs: Vec::new(),
        })
    }

    /// Puts them in groups, each a list of names with commas between them, its hub first.
    ///
    /// # Errors
    /// `Unknown`; groups that have not each data centre once.
    pub fn with_hubs(mut self, groups: &[String]) -> Result<Self, DataCentreListError> {
        let grouped = groups.iter().map(|group| {
            let members = group.split(',').map(|name| self.named(name.trim()));
            let members = members.collect::<Result<Vec<_>, _>>()?;
            // A list that was split has one at least.
            let hub = members.first().copied().unwrap_or_default();
            Ok(HubGroup { members, hub })
        });
        let grouped = grouped.collect::<Result<Vec<_>, DataCentreListError>>()?;
        self.data_centres = self.data_centres.overlay(Overlay::new(grouped, &[])?)?;
        self.hubs = groups.to_vec();
        Ok(self)
    }

    /// The groups, as options and configuration write them.
    pub fn hubs(&self) -> &[String] {
        &self.hubs
    }

    fn named(&self, name: &str) -> Result<DataCentre, DataCentreListError> {
        let found = self.data_centres.iter().find(|(_, listed)| listed.name == name);
        found.map(|(at, _)| at).ok_or_else(|| {
            let known: Vec<_> =
                self.data_centres.iter().map(|(_, listed)| listed.name.clone()).collect();
            let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            DataCentreListError::Unknown { name: name.into(), nearest, known }
        })
    }

    /// The data centres.
    pub fn data_centres(&self) -> &DataCentres {
        &self.data_centres
    }

    /// The servers of all data centres.
    pub fn all(&self) -> &Servers {
        &self.servers
    }

    /// The servers of the data centre that has this one.
    pub(super) fn around(&self, server: ServerId) -> Result<Servers, ServersError> {
        let listed = self.data_centres.around(server);
        Servers::new(&listed.map(|listed| self.entries_of(listed)).unwrap_or_default())
    }

    /// The list with all numbers, as options and configuration write it.
    pub fn entries(&self) -> Vec<DataCentreEntry> {
        let entry = |listed: &DataCentreServers| DataCentreEntry {
            name: listed.name.clone(),
            servers: self.entries_of(listed),
        };
        self.data_centres.iter().map(|(_, listed)| entry(listed)).collect()
    }

    fn entries_of(&self, listed: &DataCentreServers) -> Vec<ServerEntry> {
        let address = |server: &ServerId| self.servers.address(*server).unwrap_or_default();
        let entry = |server: &ServerId| ServerEntry {
            number: Some(server.0),
            address: address(server).into(),
        };
        listed.servers.iter().map(entry).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(list: &[&str]) -> Result<DataCentreList, String> {
        let entries = list.iter().map(|entry| entry.parse()).collect::<Result<Vec<_>, _>>();
        let entries = entries.map_err(|error: DataCentreListError| error.to_string())?;
        DataCentreList::new(&entries).map_err(|error| error.to_string())
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
    fn groups_have_each_data_centre_once() {
        let grouped = |groups: &[&str]| {
            let listed = listed(&["a:x:1", "b:y:1", "c:z:1"]).unwrap();
            let groups: Vec<_> = groups.iter().map(|group| (*group).to_owned()).collect();
            listed.with_hubs(&groups).map_err(|error| error.to_string())
        };
        assert_eq!(grouped(&["a, b", "c"]).unwrap().hubs(), ["a, b", "c"]);
        for (groups, words) in [
            (&["a,b", "d"][..], "data centre `d`"),
            (&["a,b"], "the 3 data centres of the list"),
            (&["a,b", "b,c"], "data centre 1"),
        ] {
            let error = grouped(groups).unwrap_err();
            assert!(error.contains(words), "{words:?} in {error:?}");
        }
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
