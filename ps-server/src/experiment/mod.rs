//! `experiment gaia`: the Gaia paper's comparison over simulated links.
//!
//! This module is all of the command but the runs themselves: what is run over which links
//! ([`Profile`], [`Plan`]), what comes out ([`RunResult`]), what it would cost, and how it is
//! shown. What runs a [`Cell`] implements [`Runs`] and is given to [`run`].

mod arguments;
mod bar;
mod cell;
mod curve;
mod data;
mod gaia;
mod hand_tuned;
mod html;
mod json;
mod measured;
mod overlay;
mod overview;
mod paper;
mod plan;
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
mod tuning;
mod variant;

pub use arguments::{ExperimentArguments, ExperimentCommand, GaiaArguments, WorkloadWord};
pub use cell::{Ablation, Cell, Policy};
pub use curve::{Curve, WINDOW};
pub use data::{DataFolder, NoData};
pub use gaia::{run, run_until};
pub use hand_tuned::HandTuned;
pub use measured::{Measured, Objective, ResultError, Sample, Traffic};
pub use paper::Figures;
pub use plan::{Comparison, Plan};
pub use prices::{Price, Prices, dollars};
pub use profile::{Group, Link, Links, Profile, SITES_MAX, Site};
pub use profile_error::{Fault, LeftOut, ProfileError};
pub use result::{
    ByteBudget, FinalObjective, GOAL, Paper, Reference, RunResult, SecondsTo, Verdict, WholeRun,
};
pub use runner::{Finished, Interrupted, Manner, Progress, Runs, execute};
pub use simulated::Simulated;
pub use variant::{ComputeScale, RateScale, Variant};
