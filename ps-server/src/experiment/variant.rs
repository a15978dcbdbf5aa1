//! What is changed about a cell, beside its links and its policy.

use std::fmt;

use serde::{Serialize, Serializer};

/// What sets a cell apart from the usual one of its links and workload: one thing, the same for
/// all policies that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Nothing.
    Usual,
    /// Workers compute for a part, or a multiple, of the calibrated time.
    Compute(ComputeScale),
    /// Workers compute for as long as over the links that [`calibrated_over`] names, not for the
    /// time that is calibrated over these.
    ///
    /// [`calibrated_over`]: super::Profile::calibrated_over
    HeldCompute,
    /// The learning rate is a part, or a multiple, of the usual one.
    Rate(RateScale),
    /// The first site has ten times as many rows as any other.
    UnequalData,
    /// Workers outside the first site compute three times as long.
    UnequalCompute,
    /// Each site has rows of its own kind: images of some classes, users with like mean ratings,
    /// documents from one part of the collection.
    RowsBySite,
}

/// By how much the time to compute differs from the calibrated one: two decades around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ComputeScale {
    /// 0.1.
    Tenth,
    /// 0.3.
    ThreeTenths,
    /// 3.
    Three,
    /// 10.
    Ten,
}

/// By how much the learning rate differs from the usual one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateScale {
    /// 0.25.
    Quarter,
    /// 0.5.
    Half,
    /// 2.
    Two,
    /// 4.
    Four,
}

impl RateScale {
    /// By what the rate is multiplied.
    pub fn factor(self) -> f64 {
        match self {
            Self::Quarter => 0.25,
            Self::Half => 0.5,
            Self::Two => 2.0,
            Self::Four => 4.0,
        }
    }
}

impl ComputeScale {
    /// By what the time is multiplied.
    pub fn factor(self) -> f64 {
        match self {
            Self::Tenth => 0.1,
            Self::ThreeTenths => 0.3,
            Self::Three => 3.0,
            Self::Ten => 10.0,
        }
    }
}

impl Variant {
    /// Those that change a cell of the paper's links, in the order of a run.
    pub const CHANGES: [Self; 11] = [
        Self::Compute(ComputeScale::Tenth),
        Self::Compute(ComputeScale::ThreeTenths),
        Self::Compute(ComputeScale::Three),
        Self::Compute(ComputeScale::Ten),
        Self::UnequalData,
        Self::UnequalCompute,
        Self::RowsBySite,
        Self::Rate(RateScale::Quarter),
        Self::Rate(RateScale::Half),
        Self::Rate(RateScale::Two),
        Self::Rate(RateScale::Four),
    ];

    /// The name that reports have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Usual => "usual",
            Self::Compute(ComputeScale::Tenth) => "compute-x0.1",
            Self::Compute(ComputeScale::ThreeTenths) => "compute-x0.3",
            Self::Compute(ComputeScale::Three) => "compute-x3",
            Self::Compute(ComputeScale::Ten) => "compute-x10",
            Self::HeldCompute => "compute-held",
            Self::Rate(RateScale::Quarter) => "rate-x0.25",
            Self::Rate(RateScale::Half) => "rate-x0.5",
            Self::Rate(RateScale::Two) => "rate-x2",
            Self::Rate(RateScale::Four) => "rate-x4",
            Self::UnequalData => "data-10-to-1",
            Self::UnequalCompute => "compute-3-to-1",
            Self::RowsBySite => "rows-by-site",
        }
    }

    /// By what the calibrated time to compute is multiplied.
    pub fn compute_factor(self) -> f64 {
        match self {
            Self::Compute(scale) => scale.factor(),
            _ => 1.0,
        }
    }

    /// By what the learning rate is multiplied.
    pub fn rate_factor(self) -> f64 {
        match self {
            Self::Rate(scale) => scale.factor(),
            _ => 1.0,
        }
    }

    /// Whether what LAN-BSP learns differs from what it learns without the change.
    pub fn trains_otherwise(self) -> bool {
        matches!(self, Self::UnequalData | Self::RowsBySite | Self::Rate(_))
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Variant {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_differ_and_factors_are_those_of_the_names() {
        let all = [&Variant::CHANGES[..], &[Variant::Usual, Variant::HeldCompute]].concat();
        let mut names: Vec<_> = all.iter().map(|variant| variant.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all.len());
        for variant in all {
            let factor = |prefix| variant.name().strip_prefix(prefix).map_or(Ok(1.0), str::parse);
            assert_eq!(factor("compute-x"), Ok(variant.compute_factor()), "{variant}");
            assert_eq!(factor("rate-x"), Ok(variant.rate_factor()), "{variant}");
        }
    }
}
