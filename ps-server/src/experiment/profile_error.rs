//! What can be wrong with a profile.

use std::path::PathBuf;

use super::cell::Policy;
use super::profile::{Profile, SITES_MAX};
use crate::files::FileError;
use crate::nearest::suggestion;
use crate::units;

/// There is no such profile, or the file does not say one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// Neither ready nor a file.
    #[error(
        "no ready profile and no file is called `{name}`{}", suggestion(nearest.as_deref(), known)
    )]
    Unknown {
        /// What was asked for.
        name: String,
        /// What was probably meant.
        nearest: Option<String>,
        /// What there is.
        known: Vec<String>,
    },
    /// A file that there is not.
    #[error("there is no file {}; ready profiles are {}", path.display(), known.join(", "))]
    Absent {
        /// The file.
        path: PathBuf,
        /// What needs no file.
        known: Vec<String>,
    },
    /// A file that cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The file is not TOML, or a value is not of its type.
    #[error("{}: {problem}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where, and what.
        problem: String,
    },
    /// A field that profiles do not have.
    #[error(
        "{}:{line}: unknown field `{field}`{}", path.display(),
        suggestion(nearest.as_deref(), known)
    )]
    UnknownField {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The field.
        field: String,
        /// The one that was probably meant.
        nearest: Option<String>,
        /// Those that may stand there.
        known: Vec<String>,
    },
    /// A policy that was asked for by name and that cannot be run over the profile's links.
    #[error(transparent)]
    Policy(#[from] LeftOut),
    /// The file says something that cannot be.
    #[error("{}:{line}: {fault}", path.display())]
    Fault {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What.
        fault: Fault,
    },
}

/// A policy is not run over the links of a profile, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{policy} needs groups, and {profile} has none: {} have them, or a profile file by \
     `[[groups]]`",
    grouped.join(", ")
)]
pub struct LeftOut {
    /// The policy.
    pub policy: Policy,
    /// The profile.
    pub profile: String,
    /// The ready profiles that have what it needs.
    pub grouped: Vec<String>,
}

impl LeftOut {
    /// Why a policy cannot be run over the links of a profile; `None` where it can.
    pub(super) fn of(policy: Policy, profile: &Profile) -> Option<Self> {
        if policy != Policy::Hubs || !profile.groups.is_empty() {
            return None;
        }
        let ready = Profile::READY.into_iter().filter_map(Profile::ready);
        let grouped = ready.filter(|ready| !ready.groups.is_empty()).map(|ready| ready.name);
        Some(Self { policy, profile: profile.name.clone(), grouped: grouped.collect() })
    }
}

/// What cannot be in a profile.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The name of a ready profile, or of all of them.
    #[error("the name `{name}` belongs to a ready profile: choose another one")]
    TakenName {
        /// The name.
        name: String,
    },
    /// A name that cannot be shown.
    #[error("{name:?} is no name: expected 1 to 64 characters, none of them a control character")]
    Name {
        /// What was found.
        name: String,
    },
    /// Too few or too many sites.
    #[error("{found} sites: expected 1 to {SITES_MAX}")]
    SiteCount {
        /// How many there are.
        found: usize,
    },
    /// Two sites of one name.
    #[error("two sites are called `{name}`: each needs a name of its own")]
    SameName {
        /// The name.
        name: String,
    },
    /// A site that is not in the list.
    #[error("no site is called `{name}`{}", suggestion(nearest.as_deref(), known))]
    UnknownSite {
        /// What was found.
        name: String,
        /// The site that was probably meant.
        nearest: Option<String>,
        /// All sites.
        known: Vec<String>,
    },
    /// A number out of its range.
    #[error("`{field}` of {of} is {}: expected {expected}", units::short(*found))]
    Number {
        /// The field.
        field: &'static str,
        /// The site or the link that it is of.
        of: String,
        /// What was found.
        found: f64,
        /// What may stand there.
        expected: String,
    },
    /// A link that nobody has given.
    #[error(
        "the link from `{from}` to `{to}` is missing: give it, or the one back, which then holds \
         for both directions"
    )]
    MissingLink {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// One direction of a link, twice.
    #[error("the link from `{from}` to `{to}` is given twice")]
    SameLink {
        /// The sender.
        from: String,
        /// The receiver.
        to: String,
    },
    /// A link that leads nowhere.
    #[error("a link from `{site}` to itself: links inside sites are described by `local`")]
    Loop {
        /// The site.
        site: String,
    },
    /// There are groups, and a site is in none.
    #[error("the site `{site}` is in no group: where there are groups, each site is in one")]
    NoGroup {
        /// The site.
        site: String,
    },
    /// A site in two groups, or twice in one.
    #[error("the site `{site}` is in two groups: each site is in one")]
    TwoGroups {
        /// The site.
        site: String,
    },
    /// A hub of another group.
    #[error("the hub `{hub}` is not a member of its group ({})", members.join(", "))]
    Hub {
        /// The hub.
        hub: String,
        /// The members.
        members: Vec<String>,
    },
    /// A pair of hubs that speaks for nobody.
    #[error("`{from}` and `{to}` are in no two groups, so they cannot be a pair of hubs")]
    Pair {
        /// One.
        from: String,
        /// The other.
        to: String,
    },
    /// Two pairs for the same two groups.
    #[error("`{from}` and `{to}` are the second pair of hubs between their groups: expected one")]
    SamePair {
        /// One.
        from: String,
        /// The other.
        to: String,
    },
    /// Pairs of hubs for some groups but not for all.
    #[error(
        "no pair of hubs for the groups of `{from}` and `{to}`: give one for every two groups, or \
         none at all"
    )]
    MissingPair {
        /// The hub of one group.
        from: String,
        /// The hub of the other.
        to: String,
    },
    /// A site whose price nobody knows.
    #[error(
        "no list price for region `{region}` of site `{site}`: give the site \
         `wan_dollars_per_gigabyte`"
    )]
    Price {
        /// The site.
        site: String,
        /// Its region.
        region: String,
    },
}
