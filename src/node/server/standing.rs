//! Who waits at a server and how far workers have come, for those who operate it. Reads state
//! that is there for other reasons, and adds up what has ended; decides nothing.

use std::collections::BTreeMap;

use crate::error::{WaitFor, WaitReason};
use crate::id::{GroupId, Rank, Tick};
use crate::time::{Duration, Instant};

/// How a server's requests and workers stand.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Standing {
    /// Requests that wait or have waited, by what for, and for which data centre; those that nobody
    /// waited for are left out.
    pub waits: Vec<WaitStanding>,
    /// Whom reads wait for, most awaited first.
    pub awaited: Vec<Awaited>,
    /// Groups with members.
    pub groups: Vec<GroupStanding>,
}

/// Requests that wait, or have waited, for one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WaitStanding {
    /// What for.
    pub what: WaitFor,
    /// Requests that wait now.
    pub now: u64,
    /// How long the first of them has waited.
    pub longest: Duration,
    /// Waits that have ended with an answer.
    pub ended: u64,
    /// How long those lasted together.
    pub waited: Duration,
}

impl WaitStanding {
    /// What for, in one word.
    pub fn reason(&self) -> &'static str {
        match self.what {
            WaitFor::GroupForming => "group_forming",
            WaitFor::MemberTick => "member_tick",
            WaitFor::OwnPush => "own_push",
            WaitFor::EarlierPush => "earlier_push",
            WaitFor::StashFull => "stash_full",
            WaitFor::PolicyChange => "policy_change",
            WaitFor::SendWindow => "send_window",
            WaitFor::CloseSteps => "close_steps",
            WaitFor::Answer => "answer",
            WaitFor::Confirmation { .. } => "confirmation",
            WaitFor::MirrorClock { .. } => "mirror_clock",
            WaitFor::Barrier { .. } => "barrier",
        }
    }
}

/// A member for whose tick reads wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Awaited {
    /// Its group.
    pub group: GroupId,
    /// Who.
    pub rank: Rank,
    /// The least tick that is waited for.
    pub tick: Tick,
    /// How many reads wait.
    pub reads: u64,
}

/// How far the members of a group have come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupStanding {
    /// The group.
    pub group: GroupId,
    /// Its name.
    pub name: String,
    /// How many members it is declared to have.
    pub size: u32,
    /// Members that are there, by rank, and the last tick heard of each.
    pub members: Vec<(Rank, Tick)>,
}

impl GroupStanding {
    /// The tick of the member furthest ahead.
    pub fn fastest(&self) -> Tick {
        self.members.iter().map(|(_, tick)| *tick).max().unwrap_or_default()
    }

    /// Ticks that a member is behind the one furthest ahead.
    pub fn lag(&self, tick: Tick) -> u64 {
        self.fastest().0 - tick.0.min(self.fastest().0)
    }

    /// The member furthest behind, the first by rank of several.
    pub fn slowest(&self) -> Option<(Rank, Tick)> {
        self.members.iter().copied().min_by_key(|(rank, tick)| (*tick, *rank))
    }
}

/// Adds up waits: those that have ended as they end, those that last when somebody asks. There are
/// as many kinds as there are reasons, and of some one for each data centre.
#[derive(Clone, Debug, Default)]
pub(super) struct Waits(BTreeMap<WaitFor, Kind>);

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    now: u64,
    longest: Duration,
    ended: u64,
    waited: Duration,
}

impl Waits {
    /// A wait has ended.
    pub(super) fn ended(&mut self, what: WaitFor, lasted: Duration) {
        let kind = self.0.entry(what).or_default();
        kind.ended += 1;
        kind.waited += lasted;
    }

    /// A wait goes on.
    pub(super) fn lasts(&mut self, what: WaitFor, so_far: Duration) {
        let kind = self.0.entry(what).or_default();
        kind.now += 1;
        kind.longest = kind.longest.max(so_far);
    }

    /// What there is, or was.
    pub(super) fn all(&self) -> Vec<WaitStanding> {
        let standing = self.0.iter().map(|(what, kind)| {
            let Kind { now, longest, ended, waited } = *kind;
            WaitStanding { what: *what, now, longest, ended, waited }
        });
        standing.collect()
    }
}

/// Adds up whom reads wait for.
#[derive(Debug, Default)]
pub(super) struct AwaitedMembers(BTreeMap<(GroupId, Rank), (Tick, u64)>);

impl AwaitedMembers {
    /// A read of a group's member waits.
    pub(super) fn note(&mut self, group: GroupId, reason: &WaitReason) {
        let for_tick = matches!(reason.what, WaitFor::MemberTick | WaitFor::PolicyChange);
        let Some(rank) = reason.who.filter(|_| for_tick) else { return };
        let (tick, reads) = self.0.entry((group, rank)).or_insert((reason.tick, 0));
        *tick = reason.tick.min(*tick);
        *reads += 1;
    }

    /// The members that most reads wait for.
    pub(super) fn most(self) -> Vec<Awaited> {
        let one = |((group, rank), (tick, reads))| Awaited { group, rank, tick, reads };
        let mut all: Vec<_> = self.0.into_iter().map(one).collect();
        all.sort_by_key(|awaited| std::cmp::Reverse(awaited.reads));
        all.truncate(AWAITED_MAX);
        all
    }
}

/// How long a wait has lasted.
pub(super) fn lasted(now: Instant, reason: &WaitReason) -> Duration {
    now.since(reason.since)
}

/// As many as an operator looks at.
const AWAITED_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::DataCentre;

    #[test]
    fn waits_are_added_up_by_what_they_are_for() {
        let second = Duration::from_secs(1);
        let mut waits = Waits::default();
        waits.ended(WaitFor::OwnPush, second);
        waits.ended(WaitFor::OwnPush, second);
        let clock = |of| WaitFor::MirrorClock { data_centre: DataCentre(of) };
        waits.ended(clock(2), second);
        waits.lasts(clock(1), second);
        waits.lasts(WaitFor::MemberTick, second);
        waits.lasts(WaitFor::MemberTick, 3 * second);
        let zero = Duration::ZERO;
        let wait =
            |what, now, longest, ended, waited| WaitStanding { what, now, longest, ended, waited };
        assert_eq!(
            waits.all(),
            [
                wait(WaitFor::MemberTick, 2, 3 * second, 0, zero),
                wait(WaitFor::OwnPush, 0, zero, 2, 2 * second),
                wait(clock(1), 1, second, 0, zero),
                wait(clock(2), 0, zero, 1, second),
            ]
        );
    }

    #[test]
    fn the_slowest_member_and_its_lag() {
        let members = vec![(Rank(0), Tick(7)), (Rank(1), Tick(4)), (Rank(2), Tick(4))];
        let group = GroupStanding { group: GroupId(0), name: "train".into(), size: 3, members };
        assert_eq!((group.fastest(), group.slowest()), (Tick(7), Some((Rank(1), Tick(4)))));
        assert_eq!((group.lag(Tick(4)), group.lag(Tick(9))), (3, 0));
    }
}
