//! What a hub tells for others (Gaia, section 4.2): what it has heard of its own group to other
//! groups' hubs, and what it has heard of another group to the members of its own.

use super::super::ShardEngine;
use crate::id::{DataCentre, Tick};
use crate::key::Key;
use crate::node::mirror::{Clock, Lane, LineId, Place};
use crate::node::sabotage::Sabotage;
use crate::node::shard::mirroring::Mirroring;
use crate::placement::Feed;
use crate::vector::Element;
use crate::wire::Delta;

impl<T: Element> ShardEngine<T> {
    /// An update of a line was taken: it goes on as it is, without another filter.
    pub(super) fn relay(&mut self, of: DataCentre, unit: Key, delta: &Delta) {
        let (slot, width) = (self.grid.slot_of(unit), self.width());
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.relays) else { return };
        for line in mirror.routes.get(&slot).into_iter().flatten() {
            let Some(lane) = mirror.lanes.get_mut(line) else { continue };
            let relays = match lane.feed {
                Feed::Own => false,
                Feed::Group => mirror.members.contains(&of),
                Feed::Relayed(group) => group == of,
            };
            if relays {
                let (place, tick) = (Place { tick: Tick(0), unit, piece: 0 }, lane.next_tick());
                lane.queue::<T>((slot, place), tick, delta.clone(), width);
            }
        }
    }

    /// Tells the clocks of lines that have advanced; what they cover is queued.
    pub(super) fn relay_clocks(&mut self) {
        let width = self.width();
        let early = self.place.switch.breaks(Sabotage::HubClockOvertakes);
        let Some(mirror) = self.mirror.as_mut().filter(|mirror| mirror.relays) else { return };
        mirror.hush_lost();
        let lanes = mirror.lanes.iter();
        let due: Vec<_> = lanes.filter_map(|it| mirror.relayed_clock(it, early)).collect();
        if mirror.laps() || mirror.group_advances(&due) {
            mirror.release();
        }
        for (line, clock) in due {
            mirror.stats.barriers += mirror.bar(line, width);
            if let Some(lane) = mirror.lanes.get_mut(&line) {
                lane.clock(clock);
            }
        }
    }
}

impl Mirroring {
    fn group_advances(&self, due: &[(LineId, Clock)]) -> bool {
        let of_group = |line| self.lanes.get(line).is_some_and(|lane| lane.feed == Feed::Group);
        due.iter().any(|(line, _)| of_group(line))
    }

    /// The clock of a line that others' clocks make, when it has advanced.
    fn relayed_clock(
        &self,
        (line, lane): (&LineId, &Lane),
        early: bool,
    ) -> Option<(LineId, Clock)> {
        let told = match lane.feed {
            Feed::Own => return None,
            Feed::Group if early => self.own_clock(),
            Feed::Group => self.group_clock(),
            // Of whom it does not count itself a hub says nothing.
            Feed::Relayed(of) => {
                self.sources.get(&of).filter(|source| source.counts())?.counted_everywhere()
            },
        };
        let ended = told == Tick(u64::MAX);
        let tick = if ended { lane.next_tick() } else { told };
        let clock = Clock { tick, weight: None, ended };
        lane.advances(clock).then_some((*line, clock))
    }

    /// The least clock of the data centre itself and the members of its group that count.
    fn group_clock(&self) -> Tick {
        self.clocks().map(|(_, tick)| tick).min().unwrap_or_default()
    }

    /// The clocks of the data centre itself and the members of its group that count.
    fn clocks(&self) -> impl Iterator<Item = (DataCentre, Tick)> {
        let members = self.members.iter().filter_map(|it| Some((*it, self.sources.get(it)?)));
        let counting = members.filter(|(_, source)| source.counts());
        let heard = counting.map(|(member, source)| (member, source.counted_everywhere()));
        std::iter::once((self.here, self.own_clock())).chain(heard)
    }

    /// Whether somebody has told two ticks since anything of the group left: who is slower, or has
    /// no workers, delays others by no more.
    fn laps(&self) -> bool {
        let before = |member| self.released.get(&member).copied().unwrap_or_default();
        self.clocks().any(|(member, tick)| tick.0.saturating_sub(before(member).0) >= 2)
    }

    fn release(&mut self) {
        self.released = self.clocks().collect();
        let groups = self.lanes.values_mut().filter(|lane| lane.feed == Feed::Group);
        groups.for_each(Lane::release);
    }

    /// Announces what waits for a server whose link is too slow; how many barriers that made.
    pub(super) fn bar(&mut self, line: LineId, width: usize) -> u64 {
        if !self.policy.bars(&self.view(line.0)) {
            return 0;
        }
        self.lanes.get_mut(&line).map_or(0, |lane| lane.bar(width) as u64)
    }
}
