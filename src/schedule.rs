//! Numbers that change with the tick: learning rates now, thresholds later.

/// A value as a function of the tick t = 1, 2, 3, ...
///
/// ```
/// use archipelago::Schedule;
/// assert_eq!(Schedule::inverse_sqrt(0.1).at(4), 0.05);
/// assert_eq!(Schedule::Linear { from: 1.0, to: 0.0, ticks: 4 }.at(3), 0.5);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Schedule {
    /// The same value at every tick.
    Constant(f64),
    /// `initial` / sqrt(t): the schedule of the convergence theorems of SSP and of Gaia.
    InverseSqrt {
        /// The value at tick 1.
        initial: f64,
    },
    /// From `from` at tick 1 to `to` at tick `ticks` + 1 in a straight line, then `to`.
    Linear {
        /// The value at tick 1.
        from: f64,
        /// The value from tick `ticks` + 1 on.
        to: f64,
        /// How many ticks the way takes.
        ticks: u64,
    },
}

impl Schedule {
    /// `initial` / sqrt(t).
    pub fn inverse_sqrt(initial: f64) -> Self {
        Self::InverseSqrt { initial }
    }

    /// The value at tick `t`; tick 0 counts as tick 1.
    pub fn at(&self, t: u64) -> f64 {
        let t = t.max(1);
        match *self {
            Self::Constant(value) => value,
            Self::InverseSqrt { initial } => initial / (t as f64).sqrt(),
            Self::Linear { to, ticks, .. } if t > ticks => to,
            Self::Linear { from, to, ticks } => {
                from + (to - from) * ((t - 1) as f64 / ticks as f64)
            },
        }
    }

    /// The values between which all others lie, or from which they fall to 0.
    pub fn ends(&self) -> [f64; 2] {
        match *self {
            Self::Constant(value) | Self::InverseSqrt { initial: value } => [value, value],
            Self::Linear { from, to, .. } => [from, to],
        }
    }

    /// Whether every parameter is a finite number.
    pub fn is_finite(&self) -> bool {
        match *self {
            Self::Constant(value) => value.is_finite(),
            Self::InverseSqrt { initial } => initial.is_finite(),
            Self::Linear { from, to, .. } => from.is_finite() && (to - from).is_finite(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges() {
        let line = Schedule::Linear { from: 2.0, to: 1.0, ticks: 10 };
        assert_eq!((line.at(0), line.at(1), line.at(11), line.at(u64::MAX)), (2.0, 2.0, 1.0, 1.0));
        assert_eq!(Schedule::Linear { from: 2.0, to: 1.0, ticks: 0 }.at(1), 1.0);
        assert!(!Schedule::Constant(f64::NAN).is_finite());
    }
}
