//! The list of a cluster's servers as options and configuration write it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::str::FromStr;

use archipelago::id::ServerId;

/// A list of servers does not hold together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServersError {
    /// An entry is not of the form.
    #[error("expected HOST:PORT or NUMBER=HOST:PORT, found {found:?}")]
    Form {
        /// The entry.
        found: String,
    },
    /// Some entries have numbers, others none.
    #[error(
        "servers: {with} has a number, {without} has none: number all of them (NUMBER=HOST:PORT), \
         or none, then they are numbered from 0 in the order of the list"
    )]
    Mixed {
        /// An entry with a number.
        with: String,
        /// An entry without.
        without: String,
    },
    /// Two servers have one number.
    #[error(
        "servers: {first} and {second} both have the number {number}: give each server a number \
         of its own, the same in every list"
    )]
    SameNumber {
        /// The number.
        number: u32,
        /// Who has it.
        first: String,
        /// Who has it too.
        second: String,
    },
    /// Two servers have one address.
    #[error("servers: {first} and {second} both have the address {address}: only one can listen")]
    SameAddress {
        /// The address.
        address: String,
        /// Who has it.
        first: ServerId,
        /// Who has it too.
        second: ServerId,
    },
    /// An address does not resolve.
    #[error("servers: {address} does not resolve")]
    Unresolved {
        /// The address.
        address: String,
        /// What the system said.
        source: std::io::Error,
    },
}

/// One server: `HOST:PORT` or `NUMBER=HOST:PORT`.
///
/// ```
/// use archipelago_client::ServerEntry;
///
/// let entry: ServerEntry = "2=ps2.example:7100".parse()?;
/// assert_eq!((entry.number, entry.address.as_str()), (Some(2), "ps2.example:7100"));
/// assert!("ps2.example".parse::<ServerEntry>().is_err());
/// # Ok::<(), archipelago_client::ServersError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(try_from = "String", into = "String")
)]
pub struct ServerEntry {
    /// Its number, when given.
    pub number: Option<u32>,
    /// Where it is reached: host name or IP address, and port.
    pub address: String,
}

impl FromStr for ServerEntry {
    type Err = ServersError;

    fn from_str(text: &str) -> Result<Self, ServersError> {
        let form = || ServersError::Form { found: text.into() };
        let (number, address) = match text.split_once('=') {
            None => (None, text),
            Some((number, address)) => (Some(number.parse().map_err(|_error| form())?), address),
        };
        let port = address.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
        port.map(|_| Self { number, address: address.into() }).ok_or_else(form)
    }
}

impl TryFrom<String> for ServerEntry {
    type Error = ServersError;

    fn try_from(text: String) -> Result<Self, ServersError> {
        text.parse()
    }
}

impl From<ServerEntry> for String {
    fn from(entry: ServerEntry) -> Self {
        entry.to_string()
    }
}

impl fmt::Display for ServerEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(number) = self.number {
            write!(f, "{number}=")?;
        }
        f.write_str(&self.address)
    }
}

/// Servers by number, each with an address of its own.
///
/// ```
/// use archipelago_client::Servers;
///
/// let servers: Servers = "ps0.example:7100,ps1.example:7100".parse()?;
/// assert_eq!(servers, "1=ps1.example:7100,0=ps0.example:7100".parse()?);
/// # Ok::<(), archipelago_client::ServersError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers(BTreeMap<ServerId, String>);

impl Servers {
    /// The servers of a list: with the numbers that it gives, or numbered from 0 in its order.
    ///
    /// # Errors
    /// `Mixed`, `SameNumber`, `SameAddress`.
    pub fn new(entries: &[ServerEntry]) -> Result<Self, ServersError> {
        let with = entries.iter().find(|entry| entry.number.is_some());
        let without = entries.iter().find(|entry| entry.number.is_none());
        if let (Some(with), Some(without)) = (with, without) {
            let (with, without) = (with.to_string(), without.to_string());
            return Err(ServersError::Mixed { with, without });
        }
        let mut servers: BTreeMap<ServerId, String> = BTreeMap::new();
        for (place, entry) in (0..).zip(entries) {
            let (number, address) = (entry.number.unwrap_or(place), entry.address.clone());
            let same = servers.iter().find(|(_, held)| **held == address);
            if let Some(first) = servers.get(&ServerId(number)) {
                let (first, second) = (first.clone(), address);
                return Err(ServersError::SameNumber { number, first, second });
            }
            if let Some((first, _)) = same {
                let (first, second) = (*first, ServerId(number));
                return Err(ServersError::SameAddress { address, first, second });
            }
            servers.insert(ServerId(number), address);
        }
        Ok(Self(servers))
    }

    /// All numbers, ascending.
    pub fn numbers(&self) -> Vec<ServerId> {
        self.0.keys().copied().collect()
    }

    /// The address of a server, as written.
    pub fn address(&self, server: ServerId) -> Option<&str> {
        self.0.get(&server).map(String::as_str)
    }

    /// The list with all numbers, as options and configuration write it.
    pub fn entries(&self) -> Vec<ServerEntry> {
        let entry = |(number, address): (&ServerId, &String)| ServerEntry {
            number: Some(number.0),
            address: address.clone(),
        };
        self.0.iter().map(entry).collect()
    }

    /// Socket addresses: host names are looked up.
    ///
    /// # Errors
    /// `Unresolved`.
    pub fn resolve(&self) -> Result<Vec<(ServerId, SocketAddr)>, ServersError> {
        let resolved = self.0.iter().map(|(server, address)| Ok((*server, resolve(address)?)));
        resolved.collect()
    }
}

impl FromStr for Servers {
    type Err = ServersError;

    /// Entries with commas between them.
    fn from_str(list: &str) -> Result<Self, ServersError> {
        let entries = list.split(',').map(|entry| entry.trim().parse());
        Self::new(&entries.collect::<Result<Vec<_>, _>>()?)
    }
}

fn resolve(address: &str) -> Result<SocketAddr, ServersError> {
    let failed = |source| ServersError::Unresolved { address: address.into(), source };
    let mut found = address.to_socket_addrs().map_err(failed)?;
    found.next().ok_or_else(|| failed(std::io::ErrorKind::NotFound.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &[&str]) -> Result<Servers, String> {
        let entries: Vec<_> = list.iter().map(|entry| entry.parse().unwrap()).collect();
        Servers::new(&entries).map_err(|error| error.to_string())
    }

    #[test]
    fn numbers_are_given_or_counted_and_never_shared() {
        let counted = servers(&["a:1", "b:1"]).unwrap();
        assert_eq!(counted, servers(&["1=b:1", "0=a:1"]).unwrap());
        assert_eq!(counted.address(ServerId(1)), Some("b:1"));
        assert_eq!(counted.entries()[1].to_string(), "1=b:1");
        for (list, words) in [
            (["1=a:1", "1=b:1"], "a:1 and b:1 both have the number 1"),
            (["1=a:1", "2=a:1"], "both have the address a:1"),
            (["1=a:1", "b:1"], "1=a:1 has a number, b:1 has none"),
        ] {
            let error = servers(&list).unwrap_err();
            assert!(error.contains(words), "{words:?} in {error:?}");
        }
    }

    #[test]
    fn entries_name_host_and_port() {
        for text in ["a", "a:", "a:70000", ":1", "x=a:1", "=a:1", ""] {
            assert!(text.parse::<ServerEntry>().is_err(), "{text:?}");
        }
        assert!("[::1]:7100".parse::<ServerEntry>().is_ok());
    }
}
