//! Terms that change at a tick: what they hold up, and when the shard learns of them.

use super::{ShardEngine, wait};
use crate::consistency::LocalPolicy;
use crate::error::{WaitFor, WaitReason};
use crate::history::Event;
use crate::id::{GroupId, Tick};
use crate::node::sabotage::Sabotage;
use crate::node::shard::engine::reads::policy_kind;
use crate::node::shard::progress::GroupProgress;
use crate::spec::Terms;
use crate::sync::Arc;
use crate::time::Instant;
use crate::vector::Element;

impl<T: Element> ShardEngine<T> {
    /// Works by other terms from their first tick on.
    pub(super) fn change_terms(
        &mut self,
        now: Instant,
        terms: Terms,
        policy: Arc<dyn LocalPolicy>,
    ) {
        if self.place.record_history {
            let (table, from) = (self.table.id(), terms.from);
            let policy = policy_kind(&terms.policy.local);
            self.events.push(Event::Changed { table, from, policy });
        }
        let late = self.place.switch.breaks(Sabotage::ChangesLate);
        let from = if late { terms.from.next() } else { terms.from };
        self.course.set(Terms { from, ..terms }, policy);
        self.changes.any = true;
        self.close_rounds(now);
    }

    /// The last tick before the policy of `tick`, when a member of the group has not ended it here.
    pub(super) fn barrier(&self, group: GroupId, tick: Tick) -> Option<Tick> {
        let last = self.course.at(tick).barrier.back(1);
        if last == Tick(0) {
            return None;
        }
        let reached = self.progress.group(group).map_or(Tick(0), GroupProgress::reached);
        (reached < last).then_some(last)
    }

    /// Why a request waits whose policy has not begun.
    pub(super) fn barred(&self, now: Instant, group: GroupId, tick: Tick) -> Option<WaitReason> {
        let last = self.barrier(group, tick)?;
        let slowest = self.progress.group(group).and_then(GroupProgress::slowest);
        let who = slowest.map(|(_, rank)| rank);
        Some(wait(WaitFor::PolicyChange, who, last, now))
    }

    /// Whether pushes that a group can make now are gathered.
    pub(super) fn gathers_now(&self, group: &GroupProgress) -> bool {
        self.course.at(group.reached().next()).gathers()
    }
}
