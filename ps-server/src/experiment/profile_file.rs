//! Profiles as TOML.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::overlay;
use super::prices::{self, Price, Prices};
use super::profile::{Link, Links, Profile, SITES_MAX, Site};
use super::profile_error::{Fault, ProfileError};
use super::ready;
use crate::files;
use crate::nearest::nearest;

/// Rates that a link may have, Mb/s: beyond them, somebody has taken another unit.
const MEGABITS: (f64, f64) = (0.001, 1_000_000.0);
/// Round-trip times that a link may have, milliseconds.
const ROUND_TRIP: (f64, f64) = (0.001, 60_000.0);
/// Prices.
const DOLLARS: (f64, f64) = (0.0, 1000.0);
/// Machines of a site.
const MACHINES_MAX: u32 = 64;
/// Characters of a name.
const NAME_MAX: usize = 64;

/// A fault and where in the text it is.
pub(super) struct Located {
    pub(super) place: usize,
    pub(super) fault: Fault,
}

pub(super) fn located(place: usize, fault: Fault) -> Located {
    Located { place, fault }
}

/// A profile file.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    name: Spanned<String>,
    source: Option<String>,
    prices_source: Option<String>,
    machines_per_site: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) hub_pairs: Vec<[Spanned<String>; 2]>,
    local: Option<LocalTable>,
    sites: Vec<SiteTable>,
    #[serde(default)]
    links: Vec<LinkTable>,
    #[serde(default)]
    pub(super) groups: Vec<GroupTable>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LocalTable {
    megabits_per_second: Spanned<f64>,
    round_trip_milliseconds: Spanned<f64>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct SiteTable {
    name: Spanned<String>,
    region: String,
    machine_dollars_per_hour: Option<Spanned<f64>>,
    wan_dollars_per_gigabyte: Option<Spanned<f64>>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct LinkTable {
    from: Spanned<String>,
    to: Spanned<String>,
    megabits_per_second: Spanned<f64>,
    round_trip_milliseconds: Spanned<f64>,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct GroupTable {
    pub(super) hub: Spanned<String>,
    pub(super) members: Vec<Spanned<String>>,
}

/// The fields of a file and of its tables.
const FIELDS: [(&str, &[&str]); 5] = [
    (
        "",
        &[
            "name",
            "source",
            "prices_source",
            "machines_per_site",
            "hub_pairs",
            "local",
            "sites",
            "links",
            "groups",
        ],
    ),
    ("local", &["megabits_per_second", "round_trip_milliseconds"]),
    ("sites", &["name", "region", "machine_dollars_per_hour", "wan_dollars_per_gigabyte"]),
    ("links", &["from", "to", "megabits_per_second", "round_trip_milliseconds"]),
    ("groups", &["hub", "members"]),
];

pub(super) fn read(path: &Path) -> Result<Profile, ProfileError> {
    parse(&files::read_text(path)?, path)
}

pub(super) fn parse(text: &str, path: &Path) -> Result<Profile, ProfileError> {
    let syntax = |error: toml::de::Error| ProfileError::Syntax {
        path: path.into(),
        problem: error.to_string(),
    };
    let line = |place: usize| 1 + text.as_bytes()[..place].iter().filter(|b| **b == b'\n').count();
    let table = DeTable::parse(text).map_err(syntax)?;
    if let Some((place, field, known)) = unknown_field(table.get_ref()) {
        return Err(ProfileError::UnknownField {
            path: path.into(),
            line: line(place),
            nearest: nearest(&field, known.iter().copied()).map(str::to_owned),
            field,
            known: known.iter().map(|name| (*name).to_owned()).collect(),
        });
    }
    let file: File = toml::from_str(text).map_err(syntax)?;
    profile(file).map_err(|Located { place, fault }| ProfileError::Fault {
        path: path.into(),
        line: line(place),
        fault,
    })
}

/// The first field that no table of its name has: where, what, and what may stand there.
fn unknown_field(file: &DeTable<'_>) -> Option<(usize, String, &'static [&'static str])> {
    let stranger = |table: &DeTable<'_>, name: &str| {
        let (_, known) = FIELDS.into_iter().find(|(held, _)| *held == name)?;
        let mut fields = table.keys();
        let field = fields.find(|field| !known.contains(&field.get_ref().as_ref()))?;
        Some((field.span().start, field.get_ref().to_string(), known))
    };
    let inside = |(name, value): (&str, &DeValue<'_>)| match value {
        DeValue::Table(table) => stranger(table, name),
        DeValue::Array(tables) => {
            let mut tables = tables.iter().filter_map(|value| value.get_ref().as_table());
            tables.find_map(|table| stranger(table, name))
        },
        _ => None,
    };
    let mut parts = file.iter().map(|(name, value)| (name.get_ref().as_ref(), value.get_ref()));
    stranger(file, "").or_else(|| parts.find_map(inside))
}

fn profile(file: File) -> Result<Profile, Located> {
    let name = named(&file.name)?;
    if Profile::READY.contains(&name.as_str()) || name == "all" {
        return Err(located(file.name.span().start, Fault::TakenName { name }));
    }
    let sites = sites(&file)?;
    let local = match &file.local {
        Some(local) => {
            let LocalTable { megabits_per_second, round_trip_milliseconds } = local;
            link("local", megabits_per_second, round_trip_milliseconds)?
        },
        None => ready::LOCAL,
    };
    let links = links(&file, &sites, local)?;
    let (groups, hub_pairs) = overlay::of(&file, &sites)?;
    let said = file.sites.iter().map(|site| prices::Said {
        site: site.name.get_ref(),
        machines: site.machine_dollars_per_hour.is_some(),
        wan: site.wan_dollars_per_gigabyte.is_some(),
    });
    let prices_source = file.prices_source.clone();
    let prices_source = prices_source.unwrap_or_else(|| prices::source(&said.collect::<Vec<_>>()));
    Ok(Profile {
        name,
        source: file.source.clone().unwrap_or_else(|| "as its file says".into()),
        links,
        local,
        groups,
        hub_pairs,
        machines_per_site: machines(file.machines_per_site.as_ref())?,
        prices: Prices {
            sites: file.sites.iter().map(price).collect::<Result<_, _>>()?,
            source: prices_source,
        },
        sites,
    })
}

fn named(name: &Spanned<String>) -> Result<String, Located> {
    let (place, name) = (name.span().start, name.get_ref().clone());
    let fits = (1..=NAME_MAX).contains(&name.chars().count()) && !name.contains(char::is_control);
    if fits { Ok(name) } else { Err(located(place, Fault::Name { name })) }
}

fn sites(file: &File) -> Result<Vec<Site>, Located> {
    let found = file.sites.len();
    if !(1..=SITES_MAX).contains(&found) {
        return Err(located(file.name.span().start, Fault::SiteCount { found }));
    }
    let mut sites: Vec<Site> = Vec::new();
    for table in &file.sites {
        let name = named(&table.name)?;
        if sites.iter().any(|site| site.name == name) {
            return Err(located(table.name.span().start, Fault::SameName { name }));
        }
        sites.push(Site { name, region: table.region.clone() });
    }
    Ok(sites)
}

/// The number of the site of that name.
pub(super) fn number_of(sites: &[Site], name: &Spanned<String>) -> Result<usize, Located> {
    let (place, name) = (name.span().start, name.get_ref());
    sites.iter().position(|site| site.name == *name).ok_or_else(|| {
        let known = || sites.iter().map(|site| site.name.as_str());
        let nearest = nearest(name, known()).map(str::to_owned);
        let known = known().map(str::to_owned).collect();
        located(place, Fault::UnknownSite { name: name.clone(), nearest, known })
    })
}

fn links(file: &File, sites: &[Site], local: Link) -> Result<Links, Located> {
    let count = sites.len();
    let mut given: Vec<Option<Link>> = vec![None; count * count];
    for table in &file.links {
        let (from, to) = (number_of(sites, &table.from)?, number_of(sites, &table.to)?);
        let place = table.from.span().start;
        let [sender, receiver] = [from, to].map(|site| sites[site].name.clone());
        if from == to {
            return Err(located(place, Fault::Loop { site: sender }));
        }
        let of = format!("the link from `{sender}` to `{receiver}`");
        let link = link(&of, &table.megabits_per_second, &table.round_trip_milliseconds)?;
        if given[from * count + to].replace(link).is_some() {
            return Err(located(place, Fault::SameLink { from: sender, to: receiver }));
        }
    }
    // A link that is given in one direction holds for both.
    let either = |from: usize, to: usize| given[from * count + to].or(given[to * count + from]);
    for to in 0..count {
        if let Some(from) = (0..to).find(|from| either(*from, to).is_none()) {
            let place = file.sites[to].name.span().start;
            let [from, to] = [from, to].map(|site| sites[site].name.clone());
            return Err(located(place, Fault::MissingLink { from, to }));
        }
    }
    Ok(Links::new(count, |from, to| either(from, to).unwrap_or(local)))
}

fn link(of: &str, megabits: &Spanned<f64>, round_trip: &Spanned<f64>) -> Result<Link, Located> {
    Ok(Link {
        megabits_per_second: number("megabits_per_second", of, megabits, MEGABITS)?,
        round_trip_milliseconds: number("round_trip_milliseconds", of, round_trip, ROUND_TRIP)?,
    })
}

fn number(
    field: &'static str,
    of: &str,
    found: &Spanned<f64>,
    (least, most): (f64, f64),
) -> Result<f64, Located> {
    let (place, found) = (found.span().start, *found.get_ref());
    // Not a number is in no range.
    if (least..=most).contains(&found) {
        return Ok(found);
    }
    let expected = format!("a number from {least} to {most}");
    Err(located(place, Fault::Number { field, of: of.into(), found, expected }))
}

fn machines(given: Option<&Spanned<u32>>) -> Result<u32, Located> {
    let Some(given) = given else {
        return Ok(ready::MACHINES_PER_SITE);
    };
    let found = *given.get_ref();
    if (1..=MACHINES_MAX).contains(&found) {
        return Ok(found);
    }
    let (field, of) = ("machines_per_site", "the profile".into());
    let expected = format!("a number from 1 to {MACHINES_MAX}");
    Err(located(given.span().start, Fault::Number { field, of, found: found.into(), expected }))
}

fn price(site: &SiteTable) -> Result<Price, Located> {
    let name = site.name.get_ref();
    let of = format!("site `{name}`");
    let given = |field, dollars: &Option<Spanned<f64>>| {
        dollars.as_ref().map(|dollars| number(field, &of, dollars, DOLLARS)).transpose()
    };
    let machine = given("machine_dollars_per_hour", &site.machine_dollars_per_hour)?;
    let wan = given("wan_dollars_per_gigabyte", &site.wan_dollars_per_gigabyte)?;
    let listed = wan.or_else(|| prices::wan_dollars_per_gigabyte(&site.region));
    let unknown = || {
        let fault = Fault::Price { site: name.clone(), region: site.region.clone() };
        located(site.name.span().start, fault)
    };
    Ok(Price {
        machine_dollars_per_hour: machine.unwrap_or(prices::MACHINE_DOLLARS_PER_HOUR),
        wan_dollars_per_gigabyte: listed.ok_or_else(unknown)?,
    })
}

pub(super) fn written(profile: &Profile) -> Result<String, toml::ser::Error> {
    let name = |site: usize| plain(profile.sites[site].name.clone());
    let sites = profile.sites.iter().zip(&profile.prices.sites);
    let file = File {
        name: plain(profile.name.clone()),
        source: Some(profile.source.clone()),
        prices_source: Some(profile.prices.source.clone()),
        machines_per_site: Some(plain(profile.machines_per_site)),
        hub_pairs: profile.hub_pairs.iter().map(|pair| pair.map(name)).collect(),
        local: Some(LocalTable {
            megabits_per_second: plain(profile.local.megabits_per_second),
            round_trip_milliseconds: plain(profile.local.round_trip_milliseconds),
        }),
        sites: sites
            .map(|(site, price)| SiteTable {
                name: plain(site.name.clone()),
                region: site.region.clone(),
                machine_dollars_per_hour: Some(plain(price.machine_dollars_per_hour)),
                wan_dollars_per_gigabyte: Some(plain(price.wan_dollars_per_gigabyte)),
            })
            .collect(),
        links: profile
            .links
            .between()
            .map(|(from, to, link)| LinkTable {
                from: name(from),
                to: name(to),
                megabits_per_second: plain(link.megabits_per_second),
                round_trip_milliseconds: plain(link.round_trip_milliseconds),
            })
            .collect(),
        groups: profile
            .groups
            .iter()
            .map(|group| GroupTable {
                hub: name(group.hub),
                members: group.members.iter().map(|member| name(*member)).collect(),
            })
            .collect(),
    };
    toml::to_string(&file)
}

/// A value that was in no text.
fn plain<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}
