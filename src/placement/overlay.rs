//! Who speaks to whom among data centres: everybody to everybody, or in groups with hubs.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::SpecError;
use crate::id::DataCentre;

/// Data centres in groups (Gaia, NSDI'17, section 4.2): those of a group speak to each other, and
/// what leaves for another group leaves once, from the group's hub for it to the other's hub for
/// this one, which tells its own members.
///
/// ```
/// use archipelago::id::DataCentre;
/// use archipelago::placement::{HubGroup, Overlay};
/// let group = |members: &[u32], hub| HubGroup {
///     members: members.iter().copied().map(DataCentre).collect(),
///     hub: DataCentre(hub),
/// };
/// let overlay = Overlay::new(vec![group(&[0, 1, 2], 0), group(&[3, 4], 4)], &[])?;
/// // The second data centre hears of the other group as one, through its own hub.
/// let heard: Vec<_> = overlay.hearings(DataCentre(1)).iter().map(|it| (it.of, it.from)).collect();
/// let [hub, other, group] = [0, 2, 3].map(DataCentre);
/// assert_eq!(heard, [(hub, hub), (other, other), (group, hub)]);
/// # Ok::<(), archipelago::error::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Overlay {
    groups: Vec<HubGroup>,
    /// For each two groups, by number, lower first: who speaks for them.
    pairs: BTreeMap<(usize, usize), [DataCentre; 2]>,
}

/// Data centres near each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubGroup {
    /// All of them.
    pub members: Vec<DataCentre>,
    /// The one that speaks for them where no pair says otherwise.
    pub hub: DataCentre,
}

/// What a data centre hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hearing {
    /// Whom it hears of: one data centre, or a group by its first member.
    pub of: DataCentre,
    /// Whose servers it hears it from.
    pub from: DataCentre,
}

/// What a data centre tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telling {
    /// For whom it speaks: itself, or a group by its first member.
    pub of: DataCentre,
    /// Whose servers it tells.
    pub to: DataCentre,
    /// Whom the receiver stands for: itself, or its group by its first member.
    pub stands_for: DataCentre,
    /// What it tells.
    pub feed: Feed,
}

/// Where what is told comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// The data centre's own values.
    Own,
    /// They, and what the other members of its group have told.
    Group,
    /// What was heard of another group.
    Relayed(DataCentre),
}

impl Overlay {
    /// Groups, and for some two of them the data centres that speak for them instead of the hubs.
    ///
    /// # Errors
    /// `Field` when a group is empty, a data centre is in two groups, a hub is in another group
    /// than its own, or a pair does not join two groups, or joins two that another pair joins.
    pub fn new(groups: Vec<HubGroup>, pairs: &[[DataCentre; 2]]) -> Result<Self, SpecError> {
        let mut seen = BTreeSet::new();
        for group in &groups {
            if !group.members.contains(&group.hub) {
                return Err(field("hub", "a member of its group", group.hub));
            }
            if let Some(twice) = group.members.iter().find(|member| !seen.insert(**member)) {
                return Err(field("groups", "each data centre in one group, once", *twice));
            }
        }
        let mut overlay = Self { groups, pairs: BTreeMap::new() };
        for pair in pairs {
            let [one, other] = pair.map(|member| overlay.group_of(member));
            let (Some(one), Some(other)) = (one, other) else {
                return Err(field("hub pairs", "data centres of groups", pair[0]));
            };
            let (at, pair) = match one.cmp(&other) {
                std::cmp::Ordering::Less => ((one, other), *pair),
                std::cmp::Ordering::Greater => ((other, one), [pair[1], pair[0]]),
                std::cmp::Ordering::Equal => {
                    return Err(field("hub pairs", "members of two groups", pair[1]));
                },
            };
            if overlay.pairs.insert(at, pair).is_some() {
                return Err(field("hub pairs", "one pair for any two groups", pair[0]));
            }
        }
        Ok(overlay)
    }

    /// One group, in which everybody speaks to everybody.
    pub(super) fn of_all(count: u32) -> Self {
        let group = HubGroup { members: (0..count).map(DataCentre).collect(), hub: DataCentre(0) };
        Self { groups: vec![group], pairs: BTreeMap::new() }
    }

    /// The groups.
    pub fn groups(&self) -> &[HubGroup] {
        &self.groups
    }

    /// Whether exactly these data centres are in its groups.
    pub(super) fn covers(&self, count: usize) -> bool {
        let members = || self.groups.iter().flat_map(|group| &group.members);
        members().count() == count && members().all(|member| (member.0 as usize) < count)
    }

    /// What a data centre hears, in order of whom it hears of; nothing when it is in no group.
    pub fn hearings(&self, here: DataCentre) -> Vec<Hearing> {
        let Some(own) = self.group_of(here) else { return Vec::new() };
        let mut heard: Vec<_> =
            self.others_in(own, here).map(|of| Hearing { of, from: of }).collect();
        for group in (0..self.groups.len()).filter(|group| *group != own) {
            let speaker = self.speaker(own, group);
            let from = if speaker == here { self.speaker(group, own) } else { speaker };
            heard.push(Hearing { of: self.first(group), from });
        }
        heard.sort_by_key(|hearing| hearing.of);
        heard
    }

    /// What a data centre tells; nothing when it is in no group.
    pub fn tellings(&self, here: DataCentre) -> Vec<Telling> {
        let Some(own) = self.group_of(here) else { return Vec::new() };
        let direct = |to| Telling { of: here, to, stands_for: to, feed: Feed::Own };
        let mut told: Vec<_> = self.others_in(own, here).map(direct).collect();
        let others = (0..self.groups.len()).filter(|group| *group != own);
        for group in others.filter(|group| self.speaker(own, *group) == here) {
            let (to, stands_for) = (self.speaker(group, own), self.first(group));
            told.push(Telling { of: self.first(own), to, stands_for, feed: Feed::Group });
            let relayed = |to| {
                let feed = Feed::Relayed(stands_for);
                Telling { of: stands_for, to, stands_for: to, feed }
            };
            told.extend(self.others_in(own, here).map(relayed));
        }
        told
    }

    /// By which name one data centre hears of another: its own, or its group's; `None` when one of
    /// them is in no group.
    pub fn name(&self, here: DataCentre, there: DataCentre) -> Option<DataCentre> {
        let (own, other) = (self.group_of(here)?, self.group_of(there)?);
        Some(if own == other { there } else { self.first(other) })
    }

    fn group_of(&self, member: DataCentre) -> Option<usize> {
        self.groups.iter().position(|group| group.members.contains(&member))
    }

    fn others_in(&self, group: usize, here: DataCentre) -> impl Iterator<Item = DataCentre> {
        self.groups[group].members.iter().copied().filter(move |member| *member != here)
    }

    /// The name of a group.
    fn first(&self, group: usize) -> DataCentre {
        let members = self.groups[group].members.iter().copied();
        members.min().unwrap_or(self.groups[group].hub)
    }

    /// Who speaks for a group to another.
    fn speaker(&self, group: usize, to: usize) -> DataCentre {
        let pair = self.pairs.get(&(group.min(to), group.max(to)));
        pair.map_or(self.groups[group].hub, |pair| pair[usize::from(group > to)])
    }
}

fn field(name: &'static str, expected: &str, found: DataCentre) -> SpecError {
    SpecError::Field {
        table: "overlay".into(),
        field: name.into(),
        expected: expected.into(),
        found: found.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(members: &[u32], hub: u32) -> HubGroup {
        let members = members.iter().copied().map(DataCentre).collect();
        HubGroup { members, hub: DataCentre(hub) }
    }

    fn pair(one: u32, other: u32) -> [DataCentre; 2] {
        [DataCentre(one), DataCentre(other)]
    }

    /// What everybody has to tell reaches everybody else once, whatever the groups and hubs are,
    /// and whoever tells is heard.
    #[test]
    fn what_one_tells_reaches_all_others_once() {
        let groups = vec![group(&[0, 1, 2, 10], 0), group(&[5, 6, 7, 8], 5), group(&[4, 3, 9], 4)];
        let overlays = [
            (Overlay::new(groups.clone(), &[]).unwrap(), 11),
            (Overlay::new(groups, &[pair(0, 4), pair(6, 2), pair(9, 5)]).unwrap(), 11),
            (Overlay::new(vec![group(&[0], 0), group(&[1], 1), group(&[2], 2)], &[]).unwrap(), 3),
            (Overlay::new(vec![group(&[2, 0, 1], 1)], &[]).unwrap(), 3),
        ];
        for (overlay, count) in overlays {
            assert!(overlay.covers(count) && !overlay.covers(count + 1));
            let all = (0..count as u32).map(DataCentre);
            for origin in all.clone() {
                let mut reached = BTreeMap::new();
                let mut way = vec![(origin, None)];
                while let Some((at, heard)) = way.pop() {
                    for telling in overlay.tellings(at) {
                        assert_eq!(overlay.name(at, telling.to), Some(telling.stands_for));
                        let takes = match (heard, telling.feed) {
                            (None, Feed::Own | Feed::Group) => true,
                            // Of a member of the own group.
                            (Some(of), Feed::Group) => overlay.group_of(of) == overlay.group_of(at),
                            (Some(of), Feed::Relayed(group)) => {
                                of == group && heard_directly(&overlay, at, of)
                            },
                            _ => false,
                        };
                        if takes {
                            let hearing = Hearing { of: telling.of, from: at };
                            assert!(overlay.hearings(telling.to).contains(&hearing));
                            *reached.entry(telling.to).or_insert(0) += 1;
                            way.push((telling.to, Some(telling.of)));
                        }
                    }
                }
                let others = all.clone().filter(|other| *other != origin);
                assert_eq!(reached, others.map(|other| (other, 1)).collect(), "from {origin}");
            }
        }
    }

    /// Whether a group's hub tells this data centre itself.
    fn heard_directly(overlay: &Overlay, at: DataCentre, of: DataCentre) -> bool {
        let hearings = overlay.hearings(at);
        let hearing = hearings.iter().find(|hearing| hearing.of == of).unwrap();
        overlay.group_of(hearing.from) == overlay.group_of(of)
    }

    #[test]
    fn groups_that_make_no_sense_say_what() {
        let says = |groups: Vec<HubGroup>, pairs: &[[DataCentre; 2]], what: &str| {
            let error = Overlay::new(groups, pairs).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        };
        let two = || vec![group(&[0, 1], 0), group(&[2], 2)];
        says(vec![group(&[0, 1], 2)], &[], "a member of its group");
        says(vec![group(&[0, 1], 0), group(&[1], 1)], &[], "in one group, once");
        says(two(), &[pair(0, 1)], "members of two groups");
        says(two(), &[pair(0, 3)], "data centres of groups");
        says(two(), &[pair(0, 2), pair(2, 1)], "one pair for any two groups");
        assert!(Overlay::new(vec![HubGroup { members: vec![], hub: DataCentre(0) }], &[]).is_err());
    }
}
