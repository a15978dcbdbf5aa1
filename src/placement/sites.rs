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
/// use archipelago::placement::{Site, Sites};
/// let site = |name: &str, servers: &[u32]| Site {
///     name: name.into(),
///     servers: servers.iter().copied().map(ServerId).collect(),
/// };
/// let sites = Sites::new(vec![site("virginia", &[0, 1]), site("tokyo", &[2])])?;
/// assert_eq!(sites.of(ServerId(2)), Some(DataCentre(1)));
/// assert!(Sites::new(vec![site("oregon", &[0]), site("oregon", &[1])]).is_err());
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sites {
    sites: Vec<Site>,
    overlay: Option<Overlay>,
}

/// One data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// Its name, unique.
    pub name: String,
    /// Its servers; no number is used twice in all data centres.
    pub servers: Vec<ServerId>,
}

impl Sites {
    /// Data centres in this order, which is the order in which their aggregates are folded.
    ///
    /// # Errors
    /// `Field` when there are none or too many, one has no name or no servers, or a name or a
    /// server appears twice; it names the data centre.
    pub fn new(sites: Vec<Site>) -> Result<Self, SpecError> {
        let most = limits::DATA_CENTRES_MAX;
        if sites.is_empty() || sites.len() > most {
            let expected = format!("1 to {most}");
            return Err(field("system", "data centres", expected, sites.len().to_string()));
        }
        for (at, site) in sites.iter().enumerate() {
            let bytes = site.name.len();
            if bytes == 0 || bytes > limits::NAME_BYTES_MAX {
                let expected = format!("1 to {} bytes", limits::NAME_BYTES_MAX);
                return Err(field(
                    &format!("data centre {at}"),
                    "name",
                    expected,
                    bytes.to_string(),
                ));
            }
            if sites[..at].iter().any(|before| before.name == site.name) {
                let expected = "a name that no other data centre has".into();
                return Err(field(&site.name, "name", expected, format!("{:?}", site.name)));
            }
            Self::check_servers(&sites, at)?;
        }
        Ok(Self { sites, overlay: None })
    }

    /// Puts them in groups, so that what leaves for far ones leaves once.
    ///
    /// # Errors
    /// `Field` when not each of them is in a group, or others are.
    pub fn overlay(mut self, overlay: Overlay) -> Result<Self, SpecError> {
        if !overlay.covers(self.sites.len()) {
            let expected = format!("the {} data centres of the list", self.sites.len());
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
        let all = || Overlay::of_all(u32::try_from(self.sites.len()).unwrap_or(u32::MAX));
        let grouped = self.overlay.as_ref().filter(|_| !straight);
        let overlay = grouped.map_or_else(|| Cow::Owned(all()), Cow::Borrowed);
        (overlay.hearings(here), overlay.tellings(here))
    }

    fn check_servers(sites: &[Site], at: usize) -> Result<(), SpecError> {
        let site = &sites[at];
        if site.servers.is_empty() {
            return Err(field(&site.name, "servers", "at least 1".into(), "0".into()));
        }
        for (place, server) in site.servers.iter().enumerate() {
            let others = sites[..at].iter().flat_map(|before| &before.servers);
            if others.chain(&site.servers[..place]).any(|other| other == server) {
                let expected = "numbers that no other server of any data centre has".into();
                return Err(field(&site.name, "servers", expected, server.to_string()));
            }
        }
        Ok(())
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (DataCentre, &Site)> {
        (0..).map(DataCentre).zip(&self.sites).collect::<Vec<_>>().into_iter()
    }

    /// One of them.
    pub fn get(&self, data_centre: DataCentre) -> Option<&Site> {
        self.sites.get(data_centre.0 as usize)
    }

    /// The data centre of a server.
    pub fn of(&self, server: ServerId) -> Option<DataCentre> {
        let at = self.sites.iter().position(|site| site.servers.contains(&server))?;
        u32::try_from(at).ok().map(DataCentre)
    }

    /// The data centre of a server, with its other servers.
    pub fn around(&self, server: ServerId) -> Option<&Site> {
        self.get(self.of(server)?)
    }

    /// The ring of a data centre's servers, all of one weight.
    ///
    /// # Errors
    /// `Field` when there are too many.
    pub fn ring(&self, data_centre: DataCentre) -> Result<Ring, SpecError> {
        let Some(site) = self.get(data_centre) else {
            let found = data_centre.to_string();
            return Err(field("system", "data centre", "one of the list".into(), found));
        };
        let weighted: Vec<_> = site.servers.iter().map(|server| (*server, 1)).collect();
        Ring::new(&weighted).map_err(|error| {
            field(&site.name, "servers", error.to_string(), site.servers.len().to_string())
        })
    }
}

fn field(of: &str, name: &'static str, expected: String, found: String) -> SpecError {
    SpecError::Field { table: of.into(), field: name.into(), expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sites(of: &[(&str, &[u32])]) -> Result<Sites, SpecError> {
        let site = |(name, servers): &(&str, &[u32])| Site {
            name: (*name).into(),
            servers: servers.iter().copied().map(ServerId).collect(),
        };
        Sites::new(of.iter().map(site).collect())
    }

    #[test]
    fn lists_that_make_no_sense_say_where() {
        let says = |of: &[(&str, &[u32])], what: &str| {
            let error = sites(of).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        says(&[], "1 to 64");
        says(&[("", &[0])], "data centre 0");
        says(&[("a", &[0]), ("a", &[1])], "a name that no other data centre has");
        says(&[("a", &[0]), ("b", &[])], "at least 1");
        says(&[("a", &[0, 1]), ("b", &[2, 1])], "\"b\"");
        says(&[("a", &[0, 0])], "server 0");
        let known = sites(&[("a", &[4]), ("b", &[1, 2])]).unwrap();
        assert_eq!((known.of(ServerId(2)), known.of(ServerId(3))), (Some(DataCentre(1)), None));
        assert!(known.ring(DataCentre(1)).is_ok() && known.ring(DataCentre(2)).is_err());
    }
}
