//! A local policy of one's own: in step while gradients are large, then stale synchronous.

use archipelago::consistency::{Admit, LocalPolicy, ReadView};
use archipelago::sync::Arc;
use archipelago::{Extension, Tick};

/// The first `ticks` ticks nobody is ahead of the slowest; from then on by `staleness` ticks at
/// most. Early steps are large and point the same way, so that stale ones overshoot together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WarmUp {
    /// How many ticks the warm-up takes.
    pub(crate) ticks: u32,
    /// How far anybody may be ahead after it.
    pub(crate) staleness: u32,
}

impl WarmUp {
    /// The name by which tables ask for it.
    pub(crate) const NAME: &str = "warm-up/1";

    /// What the registry calls.
    pub(crate) fn make(named: &Extension) -> Result<Arc<dyn LocalPolicy>, String> {
        let whole = |name| {
            let value = named.parameter(name).unwrap_or(0.0);
            let fits = value >= 0.0 && value.fract() == 0.0 && value <= f64::from(u32::MAX);
            fits.then_some(value as u32).ok_or_else(|| format!("{name}: a whole number"))
        };
        Ok(Arc::new(Self { ticks: whole("ticks")?, staleness: whole("staleness")? }))
    }

    /// The tick that everybody has to have ended before anybody reads at `tick`.
    fn needed(self, tick: Tick) -> Tick {
        let stale = tick.back(u64::from(self.staleness) + 1);
        // What the warm-up saw is never unseen again.
        stale.max(tick.back(1).min(Tick(u64::from(self.ticks))))
    }
}

impl From<WarmUp> for Extension {
    fn from(policy: WarmUp) -> Self {
        let named = Self::new(WarmUp::NAME).with("ticks", f64::from(policy.ticks));
        named.with("staleness", f64::from(policy.staleness))
    }
}

impl LocalPolicy for WarmUp {
    fn extension(&self) -> Extension {
        (*self).into()
    }

    fn admit(&self, read: &ReadView) -> Admit {
        let needed = self.needed(read.tick);
        match read.slowest {
            Some((tick, rank)) if tick < needed => Admit::Wait { who: Some(rank), tick: needed },
            _ => Admit::Serve,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_step_first_and_then_stale() {
        let policy = WarmUp { ticks: 3, staleness: 2 };
        let needed: Vec<_> = (1..=9).map(|tick| policy.needed(Tick(tick)).0).collect();
        assert_eq!(needed, [0, 1, 2, 3, 3, 3, 4, 5, 6]);
        let named = Extension::from(policy);
        assert_eq!(WarmUp::make(&named).map(|made| made.extension()), Ok(named));
        assert!(WarmUp::make(&Extension::new(WarmUp::NAME).with("ticks", 0.5)).is_err());
    }
}
