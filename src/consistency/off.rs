//! No exchange: each data centre, or one cluster that is stretched over several, by itself.

use super::{Exchange, GlobalPolicy};
use crate::extension::Extension;

/// Data centres tell each other nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Off;

impl GlobalPolicy for Off {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn exchange(&self) -> Exchange {
        Exchange::Nothing
    }
}

impl From<Off> for Extension {
    fn from(_: Off) -> Self {
        Self::new("off/1")
    }
}
