//! Switches that break one law each, so that every law's test can be seen to fail.
//!
//! Configuration, not code paths of a release: outside tests and the feature `sabotage` the only
//! value is "none", and the compiler removes the questions.

/// Which law to break.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sabotage {
    /// Law 1: a worker's clock is set, not raised, and may go back.
    ClockGoesBack,
    /// Law 2: a repeated request is executed again.
    ForgetOutcomes,
    /// Law 4: contributions are folded in order of arrival.
    FoldByArrival,
    /// Law 4: a change of a table takes effect a tick later than was said.
    ChangesLate,
    /// Law 5: Ssp serves a read although the bound is broken.
    SspServesEarly,
    /// Law 5: Ssp lets a read wait although the bound holds.
    SspWaitsLonger,
    /// Law 5: a tick counts before its data has arrived.
    TickOvertakesData,
    /// Law 4: aggregates of data centres are folded in order of arrival.
    AggregatesByArrival,
    /// Law 6: a read does not wait for other data centres.
    MirrorServesEarly,
    /// Law 6: a pass leaves out a part of the shard.
    PassSkips,
    /// Law 7: an update from another data centre is added twice.
    UpdateTakenTwice,
    /// Law 7: a pass forgets what it does not tell.
    PassForgets,
    /// Law 8: a mirror clock counts before what it covers has come.
    MirrorClockOvertakes,
    /// Law 8: a hub tells the clock of its group before all members have ended the tick.
    HubClockOvertakes,
    /// Law 9: barriers do not end by time.
    BarriersStay,
    /// Law 9: a data centre that is lost is waited for.
    WaitForTheLost,
    /// Law 9: a lost member is never removed, and its group waits for ever.
    KeepTheDead,
    /// Law 11: the last key of a slot is owned by nobody.
    DropLastKey,
    /// Law 12: the stash has no limit.
    UnboundedStash,
    /// Law 14: a peer's rows, keys and lengths are believed to fit the table.
    TrustShapes,
}

/// The switch as held by a component.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    #[cfg(any(test, feature = "sabotage"))]
    broken: Option<Sabotage>,
}

impl Switch {
    /// Everything works.
    pub const NONE: Self = Self {
        #[cfg(any(test, feature = "sabotage"))]
        broken: None,
    };

    /// Breaks one law.
    #[cfg(any(test, feature = "sabotage"))]
    pub fn on(sabotage: Sabotage) -> Self {
        Self { broken: Some(sabotage) }
    }

    /// Whether this law is broken.
    #[inline]
    pub fn breaks(self, sabotage: Sabotage) -> bool {
        #[cfg(any(test, feature = "sabotage"))]
        return self.broken == Some(sabotage);
        #[cfg(not(any(test, feature = "sabotage")))]
        {
            let _ = sabotage;
            false
        }
    }
}
