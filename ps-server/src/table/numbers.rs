//! Schedules, inits, types and ways to combine, as the command line writes and shows them.

use std::str::FromStr;

use archipelago::vector::DType;
use archipelago::{Combine, Init, Schedule};

use crate::code::number;

/// How pushes are merged, as far as the command line says it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum CombineWord {
    /// `sum`.
    Sum,
    /// `mean`, or `mean:WEIGHT`.
    Mean(Option<f64>),
}

impl FromStr for CombineWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = match text.split_once(':') {
            None if text == "sum" => Some(Self::Sum),
            None if text == "mean" => Some(Self::Mean(None)),
            Some(("mean", weight)) => weight.parse().ok().map(|weight| Self::Mean(Some(weight))),
            _ => None,
        };
        found.ok_or_else(|| "expected sum, mean or mean:WEIGHT".into())
    }
}

pub(super) fn combine_shown(combine: Combine) -> String {
    match combine {
        Combine::WeightedMean { round_weight } => format!("mean:{}", number(round_weight)),
        Combine::Sum => "sum".into(),
        other => format!("{other:?}"),
    }
}

pub(super) fn dtype(text: &str) -> Result<DType, String> {
    let all = [DType::F32, DType::F64, DType::I64];
    let found = all.into_iter().find(|dtype| dtype.name() == text);
    found.ok_or_else(|| "expected f32, f64 or i64".into())
}

pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    let words: Vec<_> = text.split(':').collect();
    let number = |word: &str| word.parse::<f64>().ok();
    let found = match words.as_slice() {
        [value] => number(value).map(Schedule::Constant),
        ["inverse-sqrt", initial] => number(initial).map(Schedule::inverse_sqrt),
        ["linear", from, to, ticks] => number(from)
            .zip(number(to))
            .zip(ticks.parse().ok())
            .map(|((from, to), ticks)| Schedule::Linear { from, to, ticks }),
        _ => None,
    };
    found.ok_or_else(|| "expected R, inverse-sqrt:R or linear:FROM:TO:TICKS".into())
}

pub(super) fn schedule_shown(schedule: &Schedule) -> String {
    match schedule {
        Schedule::Constant(value) => number(*value),
        Schedule::InverseSqrt { initial } => format!("inverse-sqrt:{}", number(*initial)),
        Schedule::Linear { from, to, ticks } => {
            format!("linear:{}:{}:{ticks}", number(*from), number(*to))
        },
        other => format!("{other:?}"),
    }
}

pub(super) fn init(text: &str) -> Result<Init, String> {
    let words: Vec<_> = text.split(':').collect();
    let number = |word: &str| word.parse::<f64>().ok();
    let found = match words.as_slice() {
        ["zero"] => Some(Init::Zero),
        ["constant", value] => number(value).map(Init::Constant),
        ["uniform", seed, low, high] => seed
            .parse()
            .ok()
            .zip(number(low).zip(number(high)))
            .map(|(seed, (low, high))| Init::Uniform { seed, low, high }),
        _ => None,
    };
    found.ok_or_else(|| "expected zero, constant:X or uniform:SEED:LOW:HIGH".into())
}

pub(super) fn init_shown(init: Init) -> String {
    match init {
        Init::Zero => "zero".into(),
        Init::Constant(value) => format!("constant:{}", number(value)),
        Init::Uniform { seed, low, high } => {
            format!("uniform:{seed}:{}:{}", number(low), number(high))
        },
        other => format!("{other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_written() {
        for text in ["0.1", "1e300", "inverse-sqrt:0.5", "linear:1:0.25:90"] {
            assert_eq!(schedule(text).map(|it| schedule_shown(&it)), Ok(text.into()));
        }
        for text in ["zero", "constant:-2.5", "constant:1e-9", "uniform:7:-0.1:0.1"] {
            assert_eq!(init(text).map(init_shown), Ok(text.into()));
        }
        let weight = "mean:8".parse();
        assert_eq!(weight, Ok(CombineWord::Mean(Some(8.0))));
        assert_eq!(combine_shown(Combine::WeightedMean { round_weight: 8.0 }), "mean:8");
        assert_eq!(dtype("i64"), Ok(DType::I64));
    }
}
