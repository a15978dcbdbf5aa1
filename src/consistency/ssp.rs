//! Stale synchronous parallel: the fastest worker is at most `staleness` ticks ahead.
//!
//! A read at tick t sees every member's pushes of ticks up to t - `staleness` - 1; the papers'
//! bounded delay (OSDI'14 section 3.5) with the meaning of SPEC section 3.

use super::global::within;
use super::{Admit, Exchange, GlobalPolicy, LocalPolicy, MirrorAdmit, MirrorRead, ReadView};
use crate::extension::{Extension, WHOLE_MAX};

/// Stale synchronous parallel with bound `staleness`, in ticks.
///
/// Nobody waits when the bound holds, nobody is served when it does not (law 5). With staleness 0
/// a read waits as under [`Bsp`](super::Bsp), but pushes apply at once, so it may see newer ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ssp {
    /// How many ticks a reader may be ahead of the slowest member's last counted tick, less one.
    pub staleness: u64,
}

impl LocalPolicy for Ssp {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn admit(&self, read: &ReadView) -> Admit {
        let needed = read.tick.back(self.staleness.saturating_add(1));
        match read.slowest {
            Some((tick, rank)) if tick < needed => Admit::Wait { who: Some(rank), tick: needed },
            _ => Admit::Serve,
        }
    }
}

/// Between data centres: everything is told after each tick, and a reader at tick t sees what every
/// data centre has told of ticks up to t - `staleness` - 1.
impl GlobalPolicy for Ssp {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn exchange(&self) -> Exchange {
        Exchange::Deltas
    }

    fn admit(&self, read: &MirrorRead) -> MirrorAdmit {
        within(self.staleness, read)
    }

    fn in_step(&self) -> bool {
        self.staleness == 0
    }
}

impl From<Ssp> for Extension {
    fn from(ssp: Ssp) -> Self {
        Self::new("ssp/1").with("staleness", ssp.staleness.min(WHOLE_MAX) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{Rank, Tick};
    use crate::time::Instant;

    #[test]
    fn waits_exactly_when_the_bound_is_broken() {
        let admit = |staleness, tick, slowest| {
            let read = ReadView {
                tick: Tick(tick),
                slowest: Some((Tick(slowest), Rank(1))),
                closed: Tick(0),
                now: Instant::EPOCH,
            };
            LocalPolicy::admit(&Ssp { staleness }, &read)
        };
        assert_eq!(admit(2, 5, 2), Admit::Serve);
        assert_eq!(admit(2, 5, 1), Admit::Wait { who: Some(Rank(1)), tick: Tick(2) });
        assert_eq!(admit(u64::MAX, u64::MAX, 0), Admit::Serve);
    }
}
