//! Groups, hubs and pairs of hubs of a profile file.

use super::profile::{Group, Site};
use super::profile_error::Fault;
use super::profile_file::{File, Located, located, number_of};

/// Groups, then pairs of hubs by number of site.
type Overlay = (Vec<Group>, Vec<[usize; 2]>);

pub(super) fn of(file: &File, sites: &[Site]) -> Result<Overlay, Located> {
    let mut groups: Vec<Group> = Vec::new();
    for table in &file.groups {
        let mut members = Vec::new();
        for member in &table.members {
            let number = number_of(sites, member)?;
            let taken = groups.iter().any(|group| group.members.contains(&number));
            if taken || members.contains(&number) {
                let fault = Fault::TwoGroups { site: member.get_ref().clone() };
                return Err(located(member.span().start, fault));
            }
            members.push(number);
        }
        let hub = number_of(sites, &table.hub)?;
        if !members.contains(&hub) {
            let members = members.iter().map(|member| sites[*member].name.clone()).collect();
            let fault = Fault::Hub { hub: table.hub.get_ref().clone(), members };
            return Err(located(table.hub.span().start, fault));
        }
        groups.push(Group { members, hub });
    }
    let alone = |site: &usize| group_of(&groups, *site).is_none();
    if let Some(site) = (0..sites.len()).find(alone).filter(|_| !groups.is_empty()) {
        let place = file.groups[0].hub.span().start;
        return Err(located(place, Fault::NoGroup { site: sites[site].name.clone() }));
    }
    let pairs = pairs(file, sites, &groups)?;
    Ok((groups, pairs))
}

fn group_of(groups: &[Group], site: usize) -> Option<usize> {
    groups.iter().position(|group| group.members.contains(&site))
}

fn pairs(file: &File, sites: &[Site], groups: &[Group]) -> Result<Vec<[usize; 2]>, Located> {
    let mut pairs = Vec::new();
    let mut joined: Vec<[usize; 2]> = Vec::new();
    for [one, other] in &file.hub_pairs {
        let pair = [number_of(sites, one)?, number_of(sites, other)?];
        let [from, to] = pair.map(|site| sites[site].name.clone());
        let place = one.span().start;
        let two = match pair.map(|site| group_of(groups, site)) {
            [Some(a), Some(b)] if a != b => [a.min(b), a.max(b)],
            _ => return Err(located(place, Fault::Pair { from, to })),
        };
        if joined.contains(&two) {
            return Err(located(place, Fault::SamePair { from, to }));
        }
        joined.push(two);
        pairs.push(pair);
    }
    let two = (0..groups.len()).flat_map(|b| (0..b).map(move |a| [a, b]));
    let missing = two.into_iter().find(|two| !joined.contains(two));
    match (missing, file.hub_pairs.first()) {
        (Some(two), Some([first, _])) => {
            let [from, to] = two.map(|group| sites[groups[group].hub].name.clone());
            Err(located(first.span().start, Fault::MissingPair { from, to }))
        },
        _ => Ok(pairs),
    }
}
