//! `experiment gaia`: the Gaia paper's comparison over simulated links.
//!
//! This module is all of the command but the runs themselves: what is run over which links
//! ([`Profile`], [`Plan`]), what comes out ([`RunResult`]), what it would cost, and how it is
//! shown. What runs a [`Cell`] implements [`Runs`] and is given to [`run`].

mod arguments;
mod bar;
mod cell;
mod gaia;
mod html;
mod json;
mod overlay;
mod paper;
mod plot;
mod prices;
mod profile;
mod profile_error;
mod profile_file;
mod ready;
mod report;
mod result;
mod runner;
mod scale;
mod simulated;
mod summary;
mod table;

pub use arguments::{ExperimentArguments, ExperimentCommand, GaiaArguments, WorkloadWord};
pub use cell::{Ablation, Cell, Policy};
pub use gaia::{run, run_until};
pub use paper::Figures;
pub use prices::{Price, Prices, dollars};
pub use profile::{Group, Link, Links, Profile, SITES_MAX, Site};
pub use profile_error::{Fault, ProfileError};
pub use result::{
    ByteBudget, GOAL, Measured, Objective, Paper, Reference, ResultError, RunResult, Sample,
    SecondsTo, Traffic, Verdict, WholeRun,
};
pub use runner::{Finished, Interrupted, Plan, Progress, Runs, execute};
pub use simulated::Simulated;
