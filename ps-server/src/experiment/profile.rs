//! Sites and the links between them.

use std::path::Path;

use super::prices::Prices;
use super::profile_error::ProfileError;
use super::profile_file;
use super::ready;
use crate::nearest::nearest;

/// Most sites of a profile.
pub const SITES_MAX: usize = 64;

/// Where an experiment takes place: sites, links, the overlay over them, prices.
///
/// Made by [`ready`](Self::ready) and [`from_toml`](Self::from_toml), it keeps the promises of its
/// fields; whoever builds one by hand has to.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// What it is called.
    pub name: String,
    /// What its links are based on.
    pub source: String,
    /// One or more, [`SITES_MAX`] at most, no two of one name.
    pub sites: Vec<Site>,
    /// Every site to every site.
    pub links: Links,
    /// A link inside a site, and between sites that are thought to be one data centre.
    pub local: Link,
    /// The overlay: each site in exactly one group; no group at all when everybody sends to
    /// everybody.
    pub groups: Vec<Group>,
    /// For any two groups the sites that speak for them, as numbers of sites; empty when each
    /// group's hub does.
    pub hub_pairs: Vec<[usize; 2]>,
    /// Machines of each site, 1 or more.
    pub machines_per_site: u32,
    /// What they cost.
    pub prices: Prices,
}

/// A data centre.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Site {
    /// What it is called.
    pub name: String,
    /// The region of the cloud that it is in, which prices go by.
    pub region: String,
}

/// One direction of a link.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Rate, in 10^6 bits per second, above 0.
    pub megabits_per_second: f64,
    /// Time there and back without load, above 0. One way takes half of it.
    pub round_trip_milliseconds: f64,
}

/// Sites near each other, and the one that speaks for them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Numbers of its sites.
    pub members: Vec<usize>,
    /// One of them.
    pub hub: usize,
}

/// The links of every ordered pair of sites.
#[derive(Clone, Debug, PartialEq)]
pub struct Links {
    sites: usize,
    /// Row by row, senders first.
    links: Vec<Link>,
}

impl Links {
    /// What `link` says of every ordered pair (from, to), a site to itself included.
    pub fn new(sites: usize, mut link: impl FnMut(usize, usize) -> Link) -> Self {
        let pairs = (0..sites).flat_map(|from| (0..sites).map(move |to| (from, to)));
        Self { sites, links: pairs.map(|(from, to)| link(from, to)).collect() }
    }

    /// The link from one site to another.
    ///
    /// # Panics
    /// When there is no such site.
    pub fn get(&self, from: usize, to: usize) -> Link {
        assert!(to < self.sites, "site {to} of {}", self.sites);
        self.links[from * self.sites + to]
    }

    /// How many sites they join.
    pub fn sites(&self) -> usize {
        self.sites
    }

    /// The links between different sites, in the order of senders, then receivers.
    pub fn between(&self) -> impl Iterator<Item = (usize, usize, Link)> {
        let pairs = self.links.iter().enumerate();
        pairs
            .map(|(place, link)| (place / self.sites, place % self.sites, *link))
            .filter(|(from, to, _)| from != to)
    }
}

impl Profile {
    /// The ready ones. `lan` has the sites of `ec2-11` when it is asked for by itself: what other
    /// profiles are compared with is their own [`lan`](Self::lan).
    pub const READY: [&str; 8] =
        ["ec2-11", "vc", "ss", "lan", "aws-2022", "ec2-11-no-delay", "vc-no-delay", "ss-no-delay"];

    /// What `all` means: the three that the paper has figures of.
    pub const PAPER: [&str; 3] = ["ec2-11", "vc", "ss"];

    /// A ready profile.
    ///
    /// `ec2-11`: the rates between 11 regions of EC2 that the paper measured, as read off the bars
    /// of its figure 2, good to 15 Mb/s, the same in both directions; groups, hubs and pairs of
    /// hubs are those of the authors' code. `vc` and `ss` are Virginia with California and
    /// Singapore with Sao Paulo out of it. `lan` has 1000 Mb/s everywhere. The paper gives no
    /// latencies: all profiles have the round-trip times that were measured between the same
    /// regions in 2022, and 0.2 ms inside a site. `aws-2022` also has the rates measured then,
    /// over 64 connections between two machines; one connection gets less. `ec2-11-no-delay`,
    /// `vc-no-delay` and `ss-no-delay` have the rates of the paper and the round-trip times of a
    /// local network everywhere: what the paper emulates.
    pub fn ready(name: &str) -> Option<Self> {
        ready::profile(name)
    }

    /// What a command line means: a ready profile, or a file.
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn named(name: &str) -> Result<Self, ProfileError> {
        if let Some(profile) = Self::ready(name) {
            return Ok(profile);
        }
        let path = Path::new(name);
        let known = Self::READY.into_iter().chain(["all"]);
        if path.exists() {
            return profile_file::read(path);
        }
        if path.components().count() > 1 || path.extension().is_some() {
            let known = known.map(str::to_owned).collect();
            return Err(ProfileError::Absent { path: path.into(), known });
        }
        Err(ProfileError::Unknown {
            name: name.into(),
            nearest: nearest(name, known.clone()).map(str::to_owned),
            known: known.map(str::to_owned).collect(),
        })
    }

    /// The profile that a text says; `path` stands in errors. The format is in the help of
    /// `ps-server experiment gaia` and in [`GaiaArguments`](super::GaiaArguments).
    ///
    /// # Errors
    /// See [`ProfileError`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ProfileError> {
        profile_file::parse(text, path)
    }

    /// As TOML that says the same again.
    ///
    /// # Errors
    /// A number that TOML cannot hold; never for profiles made by [`named`](Self::named).
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        profile_file::written(self)
    }

    /// The ready profiles that a full run has beside this one: the same sites over other links.
    pub fn companions(&self) -> &'static [&'static str] {
        match self.name.as_str() {
            "ec2-11" => &["ec2-11-no-delay", "aws-2022"],
            "vc" => &["vc-no-delay"],
            "ss" => &["ss-no-delay"],
            _ => &[],
        }
    }

    /// The ready profile that this one is a companion of: the time to compute may be calibrated
    /// over its links instead.
    pub fn calibrated_over(&self) -> Option<Self> {
        let mut paper = Self::PAPER.into_iter().filter_map(Self::ready);
        paper.find(|other| other.companions().contains(&self.name.as_str()))
    }

    /// Links as if all sites were in one data centre.
    pub fn lan(&self) -> Links {
        Links::new(self.sites.len(), |_, _| self.local)
    }

    /// The slowest link between two sites; the local one where there is one site.
    pub fn slowest(&self) -> Link {
        let rate = |link: &Link| link.megabits_per_second;
        let links = self.links.between().map(|(_, _, link)| link);
        links.min_by(|a, b| rate(a).total_cmp(&rate(b))).unwrap_or(self.local)
    }

    /// Machines of all sites.
    pub fn machines(&self) -> u64 {
        self.sites.len() as u64 * u64::from(self.machines_per_site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_ready_profiles_or_files() {
        assert_eq!(Profile::named("vc").expect("ready").sites.len(), 2);
        let error = |name| Profile::named(name).expect_err("no such profile").to_string();
        assert_eq!(
            error("ec2-1"),
            "no ready profile and no file is called `ec2-1`: did you mean `ec2-11`?"
        );
        assert!(error("VC").ends_with("did you mean `vc`?"), "{}", error("VC"));
        let far = error("elsewhere");
        assert!(
            far.ends_with("lan, aws-2022, ec2-11-no-delay, vc-no-delay, ss-no-delay, all"),
            "{far}"
        );
        let ready = "; ready profiles are ec2-11, vc, ss, lan, aws-2022, ec2-11-no-delay, \
            vc-no-delay, ss-no-delay, all";
        for absent in ["absent.toml", "absent/vc"] {
            assert_eq!(error(absent), format!("there is no file {absent}{ready}"));
        }
    }

    #[test]
    fn companions_know_whose_they_are() {
        let over = |name| Profile::ready(name).expect("ready").calibrated_over();
        let name = |name| over(name).map(|profile| profile.name);
        assert_eq!(name("aws-2022").as_deref(), Some("ec2-11"));
        assert_eq!(name("vc-no-delay").as_deref(), Some("vc"));
        assert_eq!((name("vc"), name("lan")), (None, None));
    }

    #[test]
    fn slowest_links_and_machines_are_found() {
        let ec2 = Profile::ready("ec2-11").expect("ready");
        assert_eq!(ec2.slowest().megabits_per_second, 17.0);
        assert_eq!(ec2.machines(), 22);
        assert_eq!(ec2.lan().sites(), 11);
        assert!(ec2.lan().between().all(|(_, _, link)| link == ec2.local));
    }
}
