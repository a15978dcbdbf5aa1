//! Data centres and their servers.

use std::borrow::Cow;

use super::overlay::{Hearing, Overlay, Telling};
use super::ring::Ring;
use crate::error::SpecError;
use crate::id::{DataCentre, ServerId};
use crate::limits;

/// The data centres of a system, each with servers of its own.
///
/// ```
/// use archipelago::id::{DataCentre, ServerId};
/// use archipelago::placement::{DataCentreServers, DataCentres};
/// let listed = |name: &str, servers: &[u32]| DataCentreServers {
///     name: name.into(),
///     servers: servers.iter().copied().map(ServerId).collect(),
/// };
/// let data_centres = DataCentres::new(vec![listed("virginia", &[0, 1]), listed("tokyo", &[2])])?;
/// assert_eq!(data_centres.of(ServerId(2)), Some(DataCentre(1)));
/// assert!(DataCentres::new(vec![listed("oregon", &[0]), listed("oregon", &[1])]).is_err());
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCentres {
    list: Vec<DataCentreServers>,
    overlay: Option<Overlay>,
}

/// A data centre's name and servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataCentreServers {
    /// Its name, unique.
    pub name: String,
    /// Its servers; no number is used twice in all data centres.
    pub servers: Vec<ServerId>,
}

impl DataCentres {
    /// Data centres in this order, which is the order in which their aggregates are folded.
    ///
    /// # Errors
    /// `Field` when there are none or too many, one has no name or no servers, or a name or a
    /// server appears twice; it names the data centre.
    pub fn new(list: Vec<DataCentreServers>) -> Result<Self, SpecError> {
        let most = limits::DATA_CENTRES_MAX;
        if list.is_empty() || list.len() > most {
            let expected = format!("1 to {most}");
            return Err(field("system", "data centres", expected, list.len().to_string()));
        }
        for (at, listed) in list.iter().enumerate() {
            let bytes = listed.name.len();
            if bytes == 0 || bytes > limits::NAME_BYTES_MAX {
                let expected = format!("1 to {} bytes", limits::NAME_BYTES_MAX);
                return Err(field(
                    &format!("data centre {at}"),
                    "name",
                    expected,
                    bytes.to_string(),
                ));
            }
            if list[..at].iter().any(|before| before.name == listed.name) {
                let expected = "a name that no other data centre has".into();
                return Err(field(&listed.name, "name", expected, format!("{:?}", listed.name)));
            }
            Self::check_servers(&list, at)?;
        }
        Ok(Self { list, overlay: None })
    }

    /// Puts them in groups, so that what leaves for far ones leaves once.
    ///
    /// # Errors
    /// `Field` when not each of them is in a group, or others are.
    pub fn overlay(mut self, overlay: Overlay) -> Result<Self, SpecError> {
        if !overlay.covers(self.list.len()) {
            let expected = format!("the {} data centres of the list", self.list.len());
            let members = overlay.groups().iter().flat_map(|group| &group.members);
            let found = members.map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(field("overlay", "groups", expected, found));
        }
        self.overlay = Some(overlay);
        Ok(self)
    }

    /// What a data centre hears and tells: by its groups, or `straight` from and to all others.
    pub fn ways(&self, here: DataCentre, straight: bool) -> (Vec<Hearing>, Vec<Telling>) {
        // `new` bounds the list.
        let all = || Overlay::of_all(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        let grouped = self.overlay.as_ref().filter(|_| !straight);
        let overlay = grouped.map_or_else(|| Cow::Owned(all()), Cow::Borrowed);
        (overlay.hearings(here), overlay.tellings(here))
    }

    fn check_servers(list: &[DataCentreServers], at: usize) -> Result<(), SpecError> {
        let listed = &list[at];
        if listed.servers.is_empty() {
            return Err(field(&listed.name, "servers", "at least 1".into(), "0".into()));
        }
        for (place, server) in listed.servers.iter().enumerate() {
            let others = list[..at].iter().flat_map(|before| &before.servers);
            if others.chain(&listed.servers[..place]).any(|other| other == server) {
                let expected = "numbers that no other server of any data centre has".into();
                return Err(field(&listed.name, "servers", expected, server.to_string()));
            }
        }
        Ok(())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (DataCentre, &DataCentreServers)> {
        (0..).map(DataCentre).zip(&self.list).collect::<Vec<_>>().into_iter()
    }

    /// One of them.
    pub fn get(&self, data_centre: DataCentre) -> Option<&DataCentreServers> {
        self.list.get(data_centre.0 as usize)
    }

    /// The data centre of a server.
    pub fn of(&self, server: ServerId) -> Option<DataCentre> {
        let at = self.list.iter().position(|listed| listed.servers.contains(&server))?;
        u32::try_from(at).ok().map(DataCentre)
    }

    /// The data centre of a server, with its other servers.
    pub fn around(&self, server: ServerId) -> Option<&DataCentreServers> {
        self.get(self.of(server)?)
    }

    /// The ring of a data centre's servers, all of one weight.
    ///
    /// # Errors
    /// `Field` when there are too many.
    pub fn ring(&self, data_centre: DataCentre) -> Result<Ring, SpecError> {
        let Some(listed) = self.get(data_centre) else {
            let found = data_centre.to_string();
            return Err(field("system", "data centre", "one of the list".into(), found));
        };
        let weighted: Vec<_> = listed.servers.iter().map(|server| (*server, 1)).collect();
        Ring::new(&weighted).map_err(|error| {
            field(&listed.name, "servers", error.to_string(), listed.servers.len().to_string())
        })
    }
}

fn field(of: &str, name: &'static str, expected: String, found: String) -> SpecError {
    SpecError::Field { table: of.into(), field: name.into(), expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data_centres(of: &[(&str, &[u32])]) -> Result<DataCentres, SpecError> {
        let listed = |(name, servers): &(&str, &[u32])| DataCentreServers {
            name: (*name).into(),
            servers: servers.iter().copied().map(ServerId).collect(),
        };
        DataCentres::new(of.iter().map(listed).collect())
    }

    #[test]
    fn lists_that_make_no_sense_say_where() {
        let says = |of: &[(&str, &[u32])], what: &str| {
            let error = data_centres(of).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        says(&[], "1 to 64");
        says(&[("", &[0])], "data centre 0");
        says(&[("a", &[0]), ("a", &[1])], "a name that no other data centre has");
        says(&[("a", &[0]), ("b", &[])], "at least 1");
        says(&[("a", &[0, 1]), ("b", &[2, 1])], "\"b\"");
        says(&[("a", &[0, 0])], "server 0");
        let known = data_centres(&[("a", &[4]), ("b", &[1, 2])]).unwrap();
        assert_eq!((known.of(ServerId(2)), known.of(ServerId(3))), (Some(DataCentre(1)), None));
        assert!(known.ring(DataCentre(1)).is_ok() && known.ring(DataCentre(2)).is_err());
    }
}
