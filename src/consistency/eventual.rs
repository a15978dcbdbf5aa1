//! Eventual consistency: a read sees what is there.
//!
//! Source: OSDI'14 section 3.5 ("eventual": everything may start at once).

use super::{Admit, Exchange, GlobalPolicy, LocalPolicy, ReadView};
use crate::extension::Extension;

/// Eventual consistency: nobody ever waits for another worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Eventual;

impl LocalPolicy for Eventual {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn admit(&self, _read: &ReadView) -> Admit {
        Admit::Serve
    }
}

/// Between data centres: everything is told after each tick, and nobody waits for anybody.
impl GlobalPolicy for Eventual {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn exchange(&self) -> Exchange {
        Exchange::Deltas
    }
}

impl From<Eventual> for Extension {
    fn from(_: Eventual) -> Self {
        Self::new("eventual/1")
    }
}
