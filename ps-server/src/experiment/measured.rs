//! What a run has measured, and whether that can be.

use serde::Serialize;

use super::cell::Cell;

/// What one run has measured, in virtual time: what [`Runs`](super::Runs) gives back.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// What the model is judged by.
    pub objective: Objective,
    /// From the start, at 0 seconds, to the end; times never go back. At least one.
    pub samples: Vec<Sample>,
    /// What each site has sent over the WAN in the whole run, in the order of the profile's sites;
    /// nothing under [`Policy::Lan`](super::Policy::Lan).
    pub traffic: Vec<Traffic>,
    /// Share of all updates that was kept from being sent, 0 to 1; `None` without a filter.
    pub suppressed_share: Option<f64>,
    /// Ticks that each worker has made.
    pub ticks: u64,
    /// Virtual time that a worker computes for in one tick, as calibrated.
    pub compute_seconds: f64,
    /// All values of the model.
    pub model_bytes: u64,
}

/// What a model is judged by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Objective {
    /// What it is.
    pub name: String,
    /// Whether more is better.
    pub rising: bool,
}

/// How a run stands at one time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Sample {
    /// Virtual seconds since the start.
    pub seconds: f64,
    /// The objective; not finite when training has diverged.
    pub objective: f64,
    /// Bytes sent over the WAN so far, by all sites: never less than before, nor more than the
    /// whole run's traffic.
    pub wan_bytes: u64,
    /// The largest distance of a site's copy from the mean of all copies, over the length of the
    /// mean; `None` where there is one copy.
    pub divergence: Option<f64>,
    /// Ticks of the furthest site that the site furthest behind has not seen yet; `None` where
    /// there is one copy.
    pub staleness: Option<f64>,
}

/// Bytes that a site has sent over the WAN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Traffic {
    /// Clocks, barriers, requests, acknowledgements.
    pub control_bytes: u64,
    /// Values.
    pub data_bytes: u64,
}

impl From<archipelago::sim::Traffic> for Traffic {
    fn from(sent: archipelago::sim::Traffic) -> Self {
        Self { control_bytes: sent.control_bytes, data_bytes: sent.data_bytes }
    }
}

impl Traffic {
    /// Both.
    pub fn bytes(self) -> u64 {
        self.control_bytes + self.data_bytes
    }

    pub(super) fn sum(all: &[Self]) -> Self {
        all.iter().fold(Self::default(), |sum, one| Self {
            control_bytes: sum.control_bytes + one.control_bytes,
            data_bytes: sum.data_bytes + one.data_bytes,
        })
    }
}

/// The measurements of a run cannot be used.
#[derive(Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ResultError {
    /// Nothing was measured.
    #[error("{cell}: no sample was taken: a run has at least one, at its start")]
    Empty {
        /// Which run.
        cell: String,
    },
    /// Time went back, or is no time.
    #[error("{cell}: sample {sample} is at {seconds} s: times are finite and never go back")]
    Time {
        /// Which run.
        cell: String,
        /// Which sample, from 0.
        sample: usize,
        /// Its time.
        seconds: f64,
    },
    /// Traffic of other sites.
    #[error("{cell}: traffic of {found} sites: expected that of {expected}")]
    Sites {
        /// Which run.
        cell: String,
        /// Sites of the profile.
        expected: usize,
        /// How many there were.
        found: usize,
    },
    /// Bytes that were unsent, or that no site has sent.
    #[error(
        "{cell}: sample {sample} has {found} bytes over the WAN: expected {least} to {most}, what \
         was sent before and what all sites have sent in the whole run"
    )]
    Bytes {
        /// Which run.
        cell: String,
        /// Which sample, from 0.
        sample: usize,
        /// Its bytes.
        found: u64,
        /// Those of the sample before it.
        least: u64,
        /// Those of all sites.
        most: u64,
    },
    /// A share that is none.
    #[error("{cell}: {found} of all updates were not sent: expected a share from 0 to 1")]
    Share {
        /// Which run.
        cell: String,
        /// What was found.
        found: f64,
    },
    /// The measure of all others has learned nothing.
    #[error(
        "{cell}: the objective went from {start} to {end}, which is no improvement: there is \
         nothing to compare others with"
    )]
    NoImprovement {
        /// Which run.
        cell: String,
        /// At the start.
        start: f64,
        /// At the end.
        end: f64,
    },
    /// There is nothing to compare with.
    #[error("{cell}: LAN-BSP of the same workload and seed has to be run before")]
    NoReference {
        /// Which run.
        cell: String,
    },
}

impl Measured {
    /// Whether the measurements are those of that cell, in good order.
    ///
    /// # Errors
    /// `Empty`, `Time`, `Sites`, `Bytes`, `Share`.
    pub fn check(&self, cell: &Cell<'_>) -> Result<(), ResultError> {
        let cell_name = || cell.to_string();
        if self.samples.is_empty() {
            return Err(ResultError::Empty { cell: cell_name() });
        }
        let mut before = 0.0;
        for (sample, Sample { seconds, .. }) in self.samples.iter().enumerate() {
            if !seconds.is_finite() || *seconds < before {
                return Err(ResultError::Time { cell: cell_name(), sample, seconds: *seconds });
            }
            before = *seconds;
        }
        let (expected, found) = (cell.profile.sites.len(), self.traffic.len());
        if expected != found {
            return Err(ResultError::Sites { cell: cell_name(), expected, found });
        }
        let (mut least, most) = (0, Traffic::sum(&self.traffic).bytes());
        for (sample, Sample { wan_bytes: found, .. }) in self.samples.iter().enumerate() {
            if !(least..=most).contains(found) {
                let (cell, found) = (cell_name(), *found);
                return Err(ResultError::Bytes { cell, sample, found, least, most });
            }
            least = *found;
        }
        match self.suppressed_share {
            Some(found) if !(0.0..=1.0).contains(&found) => {
                Err(ResultError::Share { cell: cell_name(), found })
            },
            _ => Ok(()),
        }
    }
}
