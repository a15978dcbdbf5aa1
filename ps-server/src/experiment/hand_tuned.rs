//! The thresholds that a user would try by hand.

/// A constant threshold of ASP, out of the grid of those that are tried beside the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandTuned {
    place: usize,
}

/// Thresholds with the names of their policies. 0.01 is missing: it is the default, which is run
/// anyway.
const GRID: [(f64, &str); 6] = [
    (0.001, "asp-0.001"),
    (0.005, "asp-0.005"),
    (0.02, "asp-0.02"),
    (0.05, "asp-0.05"),
    (0.1, "asp-0.1"),
    (0.2, "asp-0.2"),
];

impl HandTuned {
    /// All of them, from the lowest.
    pub const ALL: [Self; GRID.len()] = {
        let mut all = [Self { place: 0 }; GRID.len()];
        let mut place = 0;
        while place < GRID.len() {
            all[place].place = place;
            place += 1;
        }
        all
    };

    /// The threshold.
    pub fn threshold(self) -> f64 {
        GRID[self.place].0
    }

    /// The name that reports have for ASP under it.
    pub fn name(self) -> &'static str {
        GRID[self.place].1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_rise_and_are_those_of_their_names() {
        assert!(GRID.is_sorted_by(|(one, _), (other, _)| one < other));
        for tuned in HandTuned::ALL {
            assert_eq!(tuned.name(), format!("asp-{}", tuned.threshold()));
        }
    }
}
