//! Results beside the paper: one line for each profile, workload and variant, over all seeds.

use archipelago_workloads::task::Kind;

use super::cell::Policy;
use super::paper::Figures;
use super::result::{ByteBudget, FinalObjective, RunResult, Verdict};
use super::variant::Variant;

/// What a profile, a workload and a variant came to.
#[derive(Clone, Debug)]
pub(super) struct Summary {
    pub(super) profile: String,
    pub(super) workload: &'static str,
    pub(super) variant: Variant,
    pub(super) paper: Option<Figures>,
    /// Of the WAN, with the time to compute of the first seed.
    pub(super) budget: Option<ByteBudget>,
    /// Time of the baseline over time of LAN-BSP.
    pub(super) baseline: Option<Spread>,
    /// Time of ASP over time of LAN-BSP.
    pub(super) asp: Option<Spread>,
    /// Time of the baseline over time of ASP.
    pub(super) speedup: Option<Spread>,
    /// Share of updates that ASP kept from being sent.
    pub(super) suppressed: Option<Spread>,
    /// The objective of LAN-BSP at its end.
    pub(super) lan_objective: Option<Spread>,
    /// That of ASP.
    pub(super) asp_objective: Option<Spread>,
    /// By how much that is worse, as a share.
    pub(super) worse_by: Option<Spread>,
}

impl Summary {
    /// Of all results, in the order of their first runs.
    pub(super) fn all(results: &[RunResult]) -> Vec<Self> {
        let mut cells: Vec<(&str, &'static str, Variant)> = Vec::new();
        for result in results {
            let cell = (result.profile.as_str(), result.workload, result.variant);
            if !cells.contains(&cell) {
                cells.push(cell);
            }
        }
        cells.into_iter().map(|cell| Self::of(cell, results)).collect()
    }

    fn of(cell: (&str, &'static str, Variant), results: &[RunResult]) -> Self {
        let own = |policy: Policy| {
            results.iter().filter(move |result| {
                let of = (result.profile.as_str(), result.workload, result.variant);
                (of, result.policy) == (cell, policy)
            })
        };
        let spread = |policy: Policy, value: &dyn Fn(&RunResult) -> Option<f64>| {
            Spread::of(own(policy).map(value).collect())
        };
        let (profile, workload, variant) = cell;
        let kind = Kind::ALL.into_iter().find(|kind| kind.name() == workload);
        let figures = kind.and_then(|kind| Figures::of(profile, kind));
        let suppressed = spread(Policy::Asp, &|run| run.suppressed_share);
        Self {
            profile: profile.into(),
            workload,
            variant,
            paper: figures.filter(|_| variant == Variant::Usual),
            budget: own(Policy::Asp).next().map(|run| run.byte_budget),
            baseline: spread(Policy::Baseline, &|run| run.ratio_to_lan),
            asp: spread(Policy::Asp, &|run| run.ratio_to_lan),
            speedup: spread(Policy::Asp, &|run| run.speedup),
            suppressed: suppressed.filter(|spread| spread.median.is_some()),
            lan_objective: spread(Policy::Lan, &|run| Some(run.objective)),
            asp_objective: spread(Policy::Asp, &|run| Some(run.objective)),
            worse_by: spread(Policy::Asp, &|run| Some(run.final_objective.worse_by)),
        }
    }

    /// Whether ASP is as fast as we aim at; `None` without an aim, or without a run.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        let (paper, asp) = (self.paper?, self.asp.as_ref()?);
        Some(Verdict::of(asp.median, paper.aim))
    }

    /// Whether ASP ends as well as LAN-BSP; `None` without a run.
    pub(super) fn end_verdict(&self) -> Option<Verdict> {
        Some(Verdict::of(self.worse_by.as_ref()?.median, FinalObjective::WORSE_MAX))
    }
}

/// A figure over all seeds. `None` stands for what was never reached, above all numbers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) least: Option<f64>,
    /// The upper one of an even number.
    pub(super) median: Option<f64>,
    pub(super) most: Option<f64>,
}

impl Spread {
    fn of(values: Vec<Option<f64>>) -> Option<Self> {
        let mut values: Vec<_> =
            values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
        values.sort_by(f64::total_cmp);
        let reached = |value: f64| Some(value).filter(|value| value.is_finite());
        Some(Self {
            least: reached(*values.first()?),
            median: reached(values[values.len() / 2]),
            most: reached(*values.last()?),
        })
    }

    /// The median alone.
    pub(super) fn middle(&self, figure: impl Fn(f64) -> String) -> String {
        self.median.map_or("never".into(), figure)
    }

    /// The median, and the range where it can be told from the median.
    pub(super) fn shown(&self, figure: impl Fn(f64) -> String) -> String {
        let shown = |value: Option<f64>| value.map_or("never".into(), &figure);
        let [least, median, most] = [self.least, self.median, self.most].map(shown);
        if least == most { median } else { format!("{median} ({least} to {most})") }
    }
}

/// A spread, or that there is none.
pub(super) fn shown(spread: Option<&Spread>, figure: impl Fn(f64) -> String) -> String {
    spread.map_or("-".into(), |spread| spread.shown(figure))
}

/// Whether an end is within its bound.
pub(super) fn yes_or_no(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "yes",
        Verdict::Missed => "no",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_reached_is_above_all() {
        let spread = |values: &[Option<f64>]| Spread::of(values.to_vec());
        assert_eq!(spread(&[]), None);
        let three = spread(&[None, Some(2.0), Some(1.0)]).expect("values");
        assert_eq!((three.least, three.median, three.most), (Some(1.0), Some(2.0), None));
        let figure = |value: f64| format!("{value:.1}");
        assert_eq!(three.shown(figure), "2.0 (1.0 to never)");
        let near = spread(&[Some(3.01), Some(3.04)]).expect("values");
        assert_eq!(near.shown(figure), "3.0");
        assert_eq!(shown(spread(&[None]).as_ref(), figure), "never");
        assert_eq!(shown(None, figure), "-");
    }
}
