//! Bulk synchronous parallel: a read at tick t sees exactly the rounds up to t - 1.
//!
//! Source: OSDI'14 section 3.5 ("sequential"); the meaning is SPEC section 3.

use super::global::within;
use super::{Admit, Exchange, GlobalPolicy, LocalPolicy, MirrorAdmit, MirrorRead, ReadView};
use crate::extension::Extension;

/// Bulk synchronous parallel.
///
/// Pushes are gathered, folded in a fixed order and applied when every member has ticked, so that
/// values and state are bit-equal whatever the number of servers or the order of arrival (law 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bsp;

impl LocalPolicy for Bsp {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn admit(&self, read: &ReadView) -> Admit {
        let needed = read.tick.back(1);
        if read.closed > needed {
            return Admit::Refuse { earliest: read.closed.next() };
        }
        if read.closed == needed {
            return Admit::Serve;
        }
        Admit::Wait { who: read.slowest.map(|(_, rank)| rank), tick: needed }
    }

    fn gathers(&self) -> bool {
        true
    }
}

/// Between data centres: the aggregates of each round are exchanged and folded in order of the data
/// centres, so that all copies are bit-equal at every tick. The local policy has to gather too.
impl GlobalPolicy for Bsp {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn exchange(&self) -> Exchange {
        Exchange::Aggregates
    }

    fn admit(&self, read: &MirrorRead) -> MirrorAdmit {
        within(0, read)
    }

    fn in_step(&self) -> bool {
        true
    }
}

impl From<Bsp> for Extension {
    fn from(_: Bsp) -> Self {
        Self::new("bsp/1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Rank, Tick};
    use crate::time::Instant;

    #[test]
    fn serves_exactly_the_round_before() {
        let view = |tick, closed| ReadView {
            tick: Tick(tick),
            slowest: Some((Tick(closed), Rank(3))),
            closed: Tick(closed),
            now: Instant::EPOCH,
        };
        assert_eq!(LocalPolicy::admit(&Bsp, &view(1, 0)), Admit::Serve);
        assert_eq!(
            LocalPolicy::admit(&Bsp, &view(3, 1)),
            Admit::Wait { who: Some(Rank(3)), tick: Tick(2) }
        );
        assert_eq!(LocalPolicy::admit(&Bsp, &view(2, 2)), Admit::Refuse { earliest: Tick(3) });
    }
}
