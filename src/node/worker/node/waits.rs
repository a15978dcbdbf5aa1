//! What a worker node waits for: who has to act, since when, and for how long it did; and when it
//! has to be woken.

use std::task::Waker;

use super::{Request, State, WorkerNode};
use crate::error::{Error, WaitFor, WaitReason};
use crate::id::{Rank, ServerId};
use crate::limits;
use crate::node::Output;
use crate::time::{Duration, Instant};
use crate::wire::Message;

/// Times in which servers let a request of a worker wait, or several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waited {
    /// How many have ended.
    pub count: u64,
    /// How long they lasted together.
    pub total: Duration,
}

/// Requests that wait now, and the time that it took when there were such before.
#[derive(Debug, Default)]
pub(super) struct Waits {
    open: usize,
    since: Instant,
    before: Waited,
}

impl Waits {
    pub(super) fn began(&mut self, now: Instant) {
        if self.open == 0 {
            self.since = now;
        }
        self.open += 1;
    }

    pub(super) fn ended(&mut self, now: Instant) {
        self.open = self.open.saturating_sub(1);
        if self.open == 0 {
            self.before.count += 1;
            self.before.total += now.since(self.since);
        }
    }
}

impl WorkerNode {
    /// How often and how long servers have let its requests wait.
    pub fn waited(&self) -> Waited {
        self.waits.before
    }

    /// Why nothing can go on.
    pub(in crate::node::worker) fn failure(&self) -> Option<Error> {
        self.failure.clone()
    }

    /// The server that has to answer something and has been away for longest; since when.
    pub(in crate::node::worker) fn awaited_server(&self) -> Option<(ServerId, Instant)> {
        let owes = |server: ServerId| {
            let open = |request: &Request| !matches!(request.state, State::Answered(_));
            self.requests.values().any(|request| request.to == server && open(request))
                || self.ticks.values().any(|unanswered| unanswered.contains_key(&server))
                || server == self.plan.keeper()
        };
        let away = self.down.iter().map(|(server, since)| (*server, *since));
        away.filter(|(server, _)| owes(*server)).min_by_key(|(_, since)| *since)
    }

    /// Keeps a waker until something happens, at the latest at `until`.
    pub(in crate::node::worker) fn park(&mut self, waker: &Waker, until: Instant) {
        if !self.wakers.iter().any(|held| held.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
        self.timer = Some(self.timer.map_or(until, |earlier| earlier.min(until)));
    }

    /// Whether the driver has to poll: outputs wait, or it would wake the node too late. To be
    /// woken too early costs nothing now: it finds out then.
    pub(in crate::node::worker) fn wants_poll(&self) -> bool {
        let late = self.next_wake().is_some_and(|next| self.wake_at.is_none_or(|at| next < at));
        late || self.closed || !self.outputs.is_empty()
    }

    pub(super) fn on_time(&mut self) {
        if self.timer.is_some_and(|first| first <= self.now) {
            self.timer = None;
            self.wake_all();
        }
        let active = matches!(self.joined, Some(Ok(_))) && !self.closed;
        if active && self.now >= self.keeper_heard.after(limits::HEARTBEAT_INTERVAL) {
            let origin = self.line.origin();
            self.send_control(self.plan.keeper(), Message::Heartbeat { origin });
            // Also when the connection is down: asking again at once would be a busy loop.
            self.keeper_heard = self.now;
        }
    }

    /// When to be woken.
    fn next_wake(&self) -> Option<Instant> {
        let active = matches!(self.joined, Some(Ok(_))) && !self.closed;
        let heartbeat = active.then(|| self.keeper_heard.after(limits::HEARTBEAT_INTERVAL));
        self.timer.into_iter().chain(heartbeat).min()
    }

    pub(super) fn ask_to_wake(&mut self) {
        let next = self.next_wake();
        if next.is_some() && next != self.wake_at {
            self.outputs.extend(next.map(Output::WakeAt));
        }
        self.wake_at = next;
    }

    /// What the oldest unanswered request waits for, as far as its server has told; or the keeper,
    /// when it may not answer.
    pub fn reason(&self, since: Instant) -> WaitReason {
        let told = self.requests.values().find_map(|request| match &request.state {
            State::Deferred(reason) => Some(WaitReason { since, ..*reason }),
            State::UnderWay | State::Answered(_) | State::Abandoned => None,
        });
        let (who, tick): (Option<Rank>, _) = (None, self.line.tick());
        let withheld = self.withheld.map(|server| WaitFor::Confirmation { server });
        let what = withheld.unwrap_or(WaitFor::Answer);
        told.unwrap_or(WaitReason { who, tick, since, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_at_the_same_time_are_one_wait() {
        let mut waits = Waits::default();
        waits.began(Instant(10));
        waits.began(Instant(20));
        waits.ended(Instant(30));
        assert_eq!(waits.before, Waited::default());
        waits.ended(Instant(50));
        waits.began(Instant(60));
        waits.ended(Instant(61));
        let total = Duration::from_nanos(41);
        assert_eq!(waits.before, Waited { count: 2, total });
    }
}
