//! By which terms a shard works, tick by tick.
//!
//! A change of policy is a barrier: no push and no read of its first tick or a later one is
//! admitted before all members have ticked the last tick before it. So whatever is admitted at any
//! moment belongs to ticks of one policy, old rounds are closed before the new policy begins, and
//! the laws hold piece by piece. A change of numbers alone holds nobody up.
//!
//! Invariants: I1 there are terms for every tick; I2 they ascend strictly by their first tick; I3
//! `barrier` is the first tick of the policy that the terms have, `Tick::FIRST` for the first one.

use crate::consistency::LocalPolicy;
use crate::id::Tick;
use crate::spec::{Table, Terms};
use crate::sync::Arc;

/// The terms of one table, for every tick. Their number is bounded by the plan.
#[derive(Debug)]
pub(super) struct Course {
    pieces: Vec<Piece>,
}

/// Terms and their code.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) terms: Terms,
    pub(super) policy: Arc<dyn LocalPolicy>,
    /// Requests of these ticks wait until all members have ticked the tick before this one.
    pub(super) barrier: Tick,
}

impl Piece {
    /// Whether pushes are gathered until their round closes.
    pub(super) fn gathers(&self) -> bool {
        self.policy.gathers()
    }

    /// The learning rate at a tick.
    pub(super) fn rate(&self, tick: Tick) -> f64 {
        self.terms.hyper.rate.at(tick.0)
    }
}

impl Course {
    /// The terms that a table was created with.
    pub(super) fn new(table: &Table, policy: Arc<dyn LocalPolicy>) -> Self {
        let terms = table.as_created().last_terms();
        Self { pieces: vec![Piece { terms, policy, barrier: Tick::FIRST }] }
    }

    /// The terms of a tick.
    pub(super) fn at(&self, tick: Tick) -> &Piece {
        &self.pieces[self.after(tick).saturating_sub(1)]
    }

    /// The size of a tick's learning rate, as a share of the largest one of the first terms.
    pub(super) fn rate_share(&self, tick: Tick) -> f64 {
        let first = self.at(Tick::FIRST).terms.hyper.rate.ends();
        let largest = first.map(f64::abs).into_iter().fold(0.0, f64::max);
        if largest == 0.0 { 1.0 } else { self.at(tick).rate(tick).abs() / largest }
    }

    /// Whether any terms gather.
    pub(super) fn gathers(&self) -> bool {
        self.pieces.iter().any(Piece::gathers)
    }

    /// Where the terms begin that follow those of a tick.
    fn after(&self, tick: Tick) -> usize {
        self.pieces.partition_point(|piece| piece.terms.from <= tick)
    }

    /// Takes other terms from a tick on; those that begin there are replaced.
    pub(super) fn set(&mut self, terms: Terms, policy: Arc<dyn LocalPolicy>) {
        let piece = Piece { barrier: terms.from, terms, policy };
        let from = piece.terms.from.max(Tick::FIRST);
        match self.pieces.binary_search_by_key(&from, |held| held.terms.from) {
            Ok(at) => self.pieces[at] = piece,
            Err(at) => self.pieces.insert(at, piece),
        }
        let mut before: Option<&Piece> = None;
        for piece in &mut self.pieces {
            piece.barrier = match before {
                Some(before) if before.terms.policy == piece.terms.policy => before.barrier,
                Some(_) => piece.terms.from,
                None => Tick::FIRST,
            };
            before = Some(piece);
        }
    }

    /// What closes after `closed` for a group whose members have all ticked `reached`: the next
    /// round, or all ticks of a policy that does not gather, once the one after it does.
    pub(super) fn closes(&self, closed: Tick, reached: Tick) -> Option<Tick> {
        let round = closed.next();
        let last = if self.at(round).gathers() {
            round
        } else {
            let mut later = self.pieces[self.after(round)..].iter();
            later.find(|piece| piece.gathers())?.terms.from.back(1)
        };
        (last <= reached).then_some(last)
    }

    /// Whether the policy of a tick ends, for a group whose members have all ticked `reached`: then
    /// it has nothing to say about its rounds any more.
    pub(super) fn is_over(&self, tick: Tick, reached: Tick) -> bool {
        let barrier = self.at(tick).barrier;
        let mut later = self.pieces[self.after(tick)..].iter();
        let next = later.find(|piece| piece.barrier > barrier);
        next.is_some_and(|piece| piece.barrier.back(1) <= reached)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::{Bsp, Eventual, Ssp};
    use crate::extension::Extension;
    use crate::id::TableId;
    use crate::node::Registry;
    use crate::schedule::Schedule;
    use crate::spec::{Hyper, TablePolicy, TableSpec};

    fn set(course: &mut Course, from: u64, local: impl Into<Extension>, rate: f64) {
        let (policy, spec) = (TablePolicy::local(local), TableSpec::dense("w", 9));
        let code = Registry::built_in().resolve(&spec, &policy).unwrap().policy;
        let hyper = Hyper::rate(Schedule::Constant(rate));
        course.set(Terms { from: Tick(from), policy, hyper }, code);
    }

    fn course() -> Course {
        let (spec, policy) = (TableSpec::dense("w", 9), TablePolicy::local(Bsp));
        let code = Registry::built_in().resolve(&spec, &policy).unwrap();
        Course::new(&Table::new(TableId(0), spec, policy, Hyper::default()), code.policy)
    }

    #[test]
    fn terms_hold_from_their_tick_on_and_a_change_of_policy_is_a_barrier() {
        let mut course = course();
        set(&mut course, 8, Ssp { staleness: 1 }, 0.5);
        set(&mut course, 4, Bsp, 0.25);
        set(&mut course, 10, Ssp { staleness: 1 }, 0.125);
        let at = |tick| (course.at(Tick(tick)).rate(Tick(tick)), course.at(Tick(tick)).barrier.0);
        assert_eq!([at(0), at(3), at(4), at(7)], [(1.0, 1), (1.0, 1), (0.25, 1), (0.25, 1)]);
        assert_eq!([at(8), at(9), at(10), at(99)], [(0.5, 8), (0.5, 8), (0.125, 8), (0.125, 8)]);
        set(&mut course, 1, Ssp { staleness: 1 }, 3.0);
        let at = |tick| (course.at(Tick(tick)).rate(Tick(tick)), course.at(Tick(tick)).barrier.0);
        assert_eq!([at(1), at(4), at(8), at(10)], [(3.0, 1), (0.25, 4), (0.5, 8), (0.125, 8)]);
    }

    #[test]
    fn rounds_close_one_by_one_and_what_does_not_gather_at_once() {
        let mut course = course();
        set(&mut course, 3, Eventual, 1.0);
        set(&mut course, 6, Bsp, 1.0);
        let closes = |closed, reached| course.closes(Tick(closed), Tick(reached)).map(|it| it.0);
        assert_eq!([closes(0, 0), closes(0, 5), closes(1, 1)], [None, Some(1), None]);
        assert_eq!([closes(2, 4), closes(2, 5), closes(5, 5)], [None, Some(5), None]);
        assert_eq!(closes(5, 6), Some(6));
        assert!(!course.is_over(Tick(2), Tick(1)) && course.is_over(Tick(2), Tick(2)));
        assert!(!course.is_over(Tick(6), Tick(99)));
    }
}
