//! The trait of global policies: what leaves for other data centres, and who waits for them.

use std::fmt::Debug;

use crate::extension::Extension;
use crate::id::{DataCentre, Tick};
use crate::schedule::Schedule;
use crate::spec::SILENCE;
use crate::time::{Duration, Instant};

/// What the copies of a table in several data centres tell each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// Nothing.
    Nothing,
    /// The aggregate of each round; every copy folds them in order of the data centres and runs
    /// the update rule on the result.
    Aggregates,
    /// What values have gained by local updates; every copy adds it.
    Deltas,
}

/// How exactly the copies of a table are told what leaves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// Bit by bit.
    #[default]
    Full,
    /// Cut to what [`Element::shortened`](crate::vector::Element::shortened) leaves: half the bytes
    /// of an `f32` and three of an `f64` where nothing waits for the link, more where deltas add
    /// up. The rest, less than 1/128 of what is told, stays in the residual. Integers are told
    /// whole.
    Bf16,
}

/// What a policy may know of the way to one other data centre.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct LinkView {
    /// Bytes of all tables that wait to leave, or have left and are not confirmed: those of others
    /// as of the last confirmation.
    pub queued_bytes: u64,
    /// The measured rate; `None` before anything was confirmed.
    pub bytes_per_second: Option<f64>,
    /// The shortest time from sending to confirmation; `None` before the first.
    pub round_trip: Option<Duration>,
    /// How long the last ticks lasted; `None` before the second.
    pub tick_lasts: Option<Duration>,
}

impl LinkView {
    /// How long what is queued needs to leave, in ticks; 0 while nothing was measured.
    pub fn queued_ticks(&self) -> f64 {
        match self.bytes_per_second {
            Some(rate) if rate > 0.0 => self.in_ticks(self.queued_bytes as f64 / rate),
            _ => 0.0,
        }
    }

    /// How long the way there and back is, in ticks; 0 while nothing was measured.
    pub fn round_trip_ticks(&self) -> f64 {
        self.round_trip.map_or(0.0, |round_trip| self.in_ticks(round_trip.as_secs_f64()))
    }

    fn in_ticks(&self, seconds: f64) -> f64 {
        let tick = self.tick_lasts.filter(|tick| !tick.is_zero());
        tick.map_or(0.0, |tick| seconds / tick.as_secs_f64())
    }
}

/// What a policy may know when a tick has ended and its updates are looked through.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PassView {
    /// The tick that has ended at this copy.
    pub tick: Tick,
    /// The size of that tick's learning rate, as a share of the largest one of the schedule with
    /// which training has begun.
    pub rate_share: f64,
    /// The way to the data centre that is hardest to reach.
    pub slowest_link: LinkView,
    /// The longest of the round trips to those that count and are told by this one, in ticks; 0
    /// while none was measured. What hubs pass on takes longer.
    pub round_trip_ticks: f64,
    /// Whether the table's elements are counts: integers, which no learning rate scales.
    pub counts: bool,
    /// Whether copies go in step: then nothing that depends on links may decide (SPEC law 6.5).
    pub in_step: bool,
    /// The driver's time.
    pub now: Instant,
}

/// What a policy may know about a read, once the local policy would serve it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MirrorRead {
    /// The tick that the reader reads at.
    pub tick: Tick,
    /// The data centre furthest behind in the keys read, and its mirror clock there; `None` when
    /// there is no other that counts.
    pub slowest: Option<(Tick, DataCentre)>,
    /// The driver's time.
    pub now: Instant,
}

/// Whether the copies elsewhere are close enough for a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MirrorAdmit {
    /// They are.
    Serve,
    /// Once the mirror clock of `who` shows `tick`.
    Wait {
        /// The data centre furthest behind.
        who: DataCentre,
        /// The tick that its clock has to show.
        tick: Tick,
    },
}

/// One model of consistency between data centres. Stateless code; one file per model.
///
/// The mechanism itself guarantees, under every policy: nothing that a copy has gained is lost or
/// counted twice (law 7), a mirror clock counts only once what it covers is there (law 8), no wait
/// lasts when the data centre that it waits for is lost (law 9), and all copies are equal in the
/// end (law 6).
///
/// ```
/// use archipelago::consistency::{Exchange, GlobalPolicy, PassView};
/// use archipelago::Extension;
///
/// /// Everything is told every hundredth tick; in between nothing that is not enormous.
/// #[derive(Debug)]
/// struct EveryHundredth;
///
/// impl GlobalPolicy for EveryHundredth {
///     fn extension(&self) -> Extension {
///         Extension::new("every-hundredth/1")
///     }
///     fn exchange(&self) -> Exchange {
///         Exchange::Deltas
///     }
///     fn threshold(&self, pass: &PassView) -> f64 {
///         if pass.tick.0.is_multiple_of(100) { 0.0 } else { f64::MAX }
///     }
/// }
/// ```
pub trait GlobalPolicy: Debug + Send + Sync {
    /// The name and parameters under which a table policy names this one.
    fn extension(&self) -> Extension;

    /// What the copies tell each other.
    fn exchange(&self) -> Exchange;

    /// The threshold of a pass: what scores more leaves for all other data centres. 0 tells
    /// everything that has changed.
    fn threshold(&self, _pass: &PassView) -> f64 {
        0.0
    }

    /// How exactly that is told. A pass with a threshold of 0, and the end, tell it in full.
    fn precision(&self) -> Precision {
        Precision::Full
    }

    /// Whether what still waits to leave after a pass is announced by a barrier: readers elsewhere
    /// then wait for it.
    fn bars(&self, _link: &LinkView) -> bool {
        false
    }

    /// Is this read served now, as far as the other data centres go?
    fn admit(&self, _read: &MirrorRead) -> MirrorAdmit {
        MirrorAdmit::Serve
    }

    /// Whether copies go in step where the local policy gathers rounds: what others tell of a tick
    /// is taken, in order of the data centres, when all have told of it and the round has closed
    /// here, and no later round closes before.
    fn in_step(&self) -> bool {
        false
    }

    /// Which conditions of its convergence theorem do not hold under a learning rate, by name; none
    /// where it has no theorem. Users are warned of them.
    fn conditions_broken(&self, _rate: &Schedule) -> Vec<&'static str> {
        Vec::new()
    }

    /// How long a data centre may be silent before nobody waits for it any more, where the table's
    /// policy has no `silence_seconds`.
    fn silence_max(&self) -> Duration {
        crate::limits::DATA_CENTRE_SILENCE_MAX
    }

    /// How long a barrier holds up reads at most.
    fn barrier_max(&self) -> Duration {
        crate::limits::BARRIER_MAX
    }
}

/// How long a data centre may be silent: as the description of a global policy says, which may be
/// of any, or by default. Shorter than what it takes to say anything, it would be lost and back
/// all the time.
///
/// # Errors
/// What was expected.
pub(crate) fn silence_max(named: &Extension, default: Duration) -> Result<Duration, String> {
    let least = crate::limits::DATA_CENTRE_SILENCE_MIN;
    let silence = seconds(named, SILENCE, default)?;
    if silence < least {
        return Err(format!("{SILENCE}: {} or more", least.as_secs_f64()));
    }
    Ok(silence)
}

pub(super) fn seconds(
    named: &Extension,
    name: &str,
    default: Duration,
) -> Result<Duration, String> {
    let value = named.parameter(name).unwrap_or(default.as_secs_f64());
    match Duration::try_from_secs_f64(value) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err(format!("{name}: a positive number of seconds")),
    }
}

/// The rule of SSP between data centres: at most `staleness` ticks ahead of the slowest.
pub(super) fn within(staleness: u64, read: &MirrorRead) -> MirrorAdmit {
    let needed = read.tick.back(staleness.saturating_add(1));
    match read.slowest {
        Some((tick, who)) if tick < needed => MirrorAdmit::Wait { who, tick: needed },
        _ => MirrorAdmit::Serve,
    }
}
