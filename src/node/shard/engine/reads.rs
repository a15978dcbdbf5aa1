//! Reads: admitted by the policy, served after the close step of their own block.

use super::{ShardEngine, wait};
use crate::consistency::{Admit, ReadView};
use crate::error::{WaitFor, WaitReason};
use crate::extension::Extension;
use crate::history::{Event, PolicyKind};
use crate::id::{SlotIndex, Tick};
use crate::key::Key;
use crate::node::sabotage::Sabotage;
use crate::node::shard::{PullOutcome, PullRequest, ReadRows, RowsAsked};
use crate::node::worker::Seen;
use crate::time::Instant;
use crate::vector::Element;
use crate::wire::{Header, Refusal};

impl<T: Element> ShardEngine<T> {
    /// Reads one chunk for a member of a group into the place that `place` makes for it, once the
    /// read is admitted: a read that has to wait costs no memory. Or says what it waits for.
    pub fn pull_into<'a>(
        &mut self,
        now: Instant,
        request: &PullRequest,
        asked: RowsAsked<'_>,
        place: impl FnOnce() -> ReadRows<'a, T>,
    ) -> PullOutcome
    where
        T: 'a,
    {
        match self.admit_pull(now, request, asked) {
            // Who asks for no rows asks whether all of them are there: nothing is forced for it.
            Ok(Some(_)) if asked == RowsAsked::Nothing && self.gathered.is_working() => {
                let reason = wait(WaitFor::CloseSteps, None, request.header.tick, now);
                self.note_wait(&request.header, reason);
                PullOutcome::Wait(reason)
            },
            Ok(Some(seen)) => {
                let rows = place();
                if let Err(refusal) = self.check_place(&rows) {
                    return PullOutcome::Refused(refusal);
                }
                self.stats.pulls += 1;
                self.record_served(&request.header, request, seen);
                let Header { origin, tick, .. } = request.header;
                self.record_mirror_served((origin, tick), request.slot, asked);
                let next = self.read(request.slot, rows);
                PullOutcome::Served { seen, next }
            },
            Ok(None) => PullOutcome::Settled,
            Err(Halt::Refused(refusal)) => PullOutcome::Refused(refusal),
            Err(Halt::Wait(reason)) => {
                self.note_wait(&request.header, reason);
                PullOutcome::Wait(reason)
            },
        }
    }

    fn admit_pull(
        &mut self,
        now: Instant,
        request: &PullRequest,
        asked: RowsAsked<'_>,
    ) -> Result<Option<Seen>, Halt> {
        let Header { origin, sequence, settled_below, tick } = request.header;
        let forming = || Halt::Wait(wait(WaitFor::GroupForming, None, tick, now));
        let Some(member) = self.progress.member(origin)? else {
            return Err(forming());
        };
        member.window.settle(settled_below);
        if sequence < member.window.settled_below() {
            return Ok(None);
        }
        if member.window.head(request.slot) < request.own {
            return Err(Halt::Wait(wait(WaitFor::OwnPush, Some(origin.rank), tick, now)));
        }
        self.check_asked(request.slot, asked)?;
        let range = self.owned(request.slot)?;
        let Some(group) = self.progress.group(origin.group) else {
            return Err(forming());
        };
        if let Some(missing) = group.missing() {
            return Err(Halt::Wait(wait(WaitFor::GroupForming, Some(missing), tick, now)));
        }
        let foreign = self.progress.writer().is_some_and(|writer| writer != origin.group);
        if foreign {
            let oldest = self.progress.writing().map_or(Tick(0), |writing| writing.closed);
            return Ok(Some(self.seen(request.slot, oldest)));
        }
        let counted = group.tick_at(origin.rank, &range).unwrap_or_default();
        if tick <= counted {
            let expected = counted.next();
            return Err(Halt::Refused(Refusal::TickBackwards { expected, found: tick }));
        }
        if let Some(reason) = self.barred(now, origin.group, tick) {
            return Err(Halt::Wait(reason));
        }
        let slowest = group.slowest_in(&range);
        let view = ReadView { tick, slowest, closed: group.closed, now };
        let oldest = match slowest {
            _ if self.course.at(tick).gathers() => group.closed,
            Some((slowest, _)) => slowest,
            None => group.last_round(),
        };
        match self.decide(view) {
            Admit::Serve => match self.mirror_wait(now, tick, request.slot, asked) {
                Some(reason) => Err(Halt::Wait(reason)),
                None => Ok(Some(self.seen(request.slot, oldest))),
            },
            Admit::Wait { who, tick } => {
                Err(Halt::Wait(WaitReason { who, tick, since: now, what: WaitFor::MemberTick }))
            },
            Admit::Refuse { earliest } => {
                Err(Halt::Refused(Refusal::TickBackwards { expected: earliest, found: tick }))
            },
        }
    }

    fn decide(&self, view: ReadView) -> Admit {
        let admit = self.course.at(view.tick).policy.admit(&view);
        if self.place.switch.breaks(Sabotage::SspServesEarly) {
            return Admit::Serve;
        }
        if self.place.switch.breaks(Sabotage::SspWaitsLonger)
            && let Some((slowest, rank)) = view.slowest
            && slowest < view.tick.back(1)
        {
            return Admit::Wait { who: Some(rank), tick: view.tick.back(1) };
        }
        admit
    }

    pub(super) fn seen(&self, slot: SlotIndex, oldest: Tick) -> Seen {
        let newest = self.newest.get(&slot).copied().unwrap_or_default();
        Seen { oldest, newest: newest.max(oldest) }
    }

    pub(super) fn read(&mut self, slot: SlotIndex, rows: ReadRows<'_, T>) -> Option<Key> {
        match rows {
            ReadRows::Block { rows, out, whole_bytes } => {
                self.force(self.grid.block_range(rows.first()).first());
                self.rows.read_block(slot, rows, out, whole_bytes);
                None
            },
            ReadRows::Keys { keys, out } => {
                self.force(self.slot_unit(slot));
                self.rows.read_keys(slot, keys, out);
                None
            },
            ReadRows::Walk { range, rows_max, keys, values } => {
                self.force(self.slot_unit(slot));
                self.rows.walk(slot, range, rows_max, keys, values)
            },
            ReadRows::Nothing => None,
        }
    }

    fn record_served(&mut self, header: &Header, request: &PullRequest, seen: Seen) {
        if !self.place.record_history {
            return;
        }
        self.events.push(Event::Served {
            origin: header.origin,
            table: self.table.id(),
            slot: request.slot,
            at_tick: header.tick,
            oldest: seen.oldest,
            newest: seen.newest,
            policy: policy_kind(&self.course.at(header.tick).terms.policy.local),
            own: request.own,
        });
    }
}

/// Why a pull is not served now.
enum Halt {
    Wait(WaitReason),
    Refused(Refusal),
}

impl From<Refusal> for Halt {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What a history says of a policy, so that checkers know what it promised.
pub(super) fn policy_kind(local: &Extension) -> PolicyKind {
    match local.name() {
        "bsp/1" => PolicyKind::Bsp,
        "ssp/1" => PolicyKind::Ssp(local.parameter("staleness").unwrap_or(0.0) as u64),
        "eventual/1" => PolicyKind::Eventual,
        _ => PolicyKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Bsp;
    use crate::id::{
        GroupId, Incarnation, Origin, Rank, RecordVersion, Sequence, ServerId, TableId,
    };
    use crate::key::KeyRange;
    use crate::node::Registry;
    use crate::node::sabotage::Switch;
    use crate::node::shard::{Place, Shard};
    use crate::spec::{GroupRecord, Hyper, Member, MemberEnd, Table, TablePolicy, TableSpec};

    const NOW: Instant = Instant::EPOCH;

    fn engine() -> ShardEngine<f32> {
        let (spec, policy) = (TableSpec::dense("w", 8), TablePolicy::local(Bsp));
        let code = Registry::built_in().resolve(&spec, &policy).unwrap();
        let place = Place {
            server: ServerId(0),
            slots: vec![SlotIndex(0)],
            record_history: false,
            switch: Switch::NONE,
            mirrors: None,
        };
        let table = Table::new(TableId(0), spec, policy, Hyper::default());
        let mut engine = ShardEngine::new(table, code, place).unwrap();
        let member = Member { origin: origin(), start: Tick(1), end: MemberEnd::Active };
        let (group, version) = (GroupId(0), RecordVersion(1));
        engine.hold_record(NOW, &GroupRecord { group, version, size: 1, members: vec![member] });
        engine
    }

    fn origin() -> Origin {
        Origin { group: GroupId(0), rank: Rank(0), incarnation: Incarnation(1) }
    }

    #[test]
    fn a_place_for_values_is_made_only_for_a_read_that_is_served() {
        let mut engine = engine();
        let mut pull = |tick, keys: u64| {
            let (sequence, settled_below) = (Sequence(1), Sequence(1));
            let header = Header { origin: origin(), sequence, settled_below, tick: Tick(tick) };
            let request = PullRequest { header, slot: SlotIndex(0), own: None };
            let rows = KeyRange::from_count(Key(0), keys).unwrap();
            let (mut out, mut made) = (vec![9.0; 8], false);
            let outcome = engine.pull_into(NOW, &request, RowsAsked::Block(rows), || {
                made = true;
                ReadRows::Block { rows, out: &mut out, whole_bytes: 0 }
            });
            (outcome, made)
        };
        assert!(matches!(pull(2, 8), (PullOutcome::Wait(_), false)));
        assert!(matches!(pull(2, 9), (PullOutcome::Refused(_), false)), "refused at once");
        assert!(matches!(pull(1, 8), (PullOutcome::Served { .. }, true)));
        assert!(matches!(pull(1, 7), (PullOutcome::Refused(Refusal::Shape { .. }), true)));
    }
}
