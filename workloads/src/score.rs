//! How good a model is on a data set.

/// Scores of a model on labelled rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// How many rows were scored.
    pub rows: usize,
    /// The share of rows whose likeliest class is their label, 0 to 1.
    pub accuracy: f64,
    /// The mean of -ln(probability given to the label), in nats.
    pub log_loss: f64,
    /// The area under the ROC curve: the probability that a +1 row scores above a -1 row, ties
    /// counted half. `None` for more than two classes or when one of the two is absent.
    pub auc: Option<f64>,
}

/// Sums up the scores of rows one by one.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: usize,
    right: usize,
    loss: f64,
}

impl Tally {
    pub(crate) fn add(&mut self, right: bool, loss: f32) {
        self.rows += 1;
        self.right += usize::from(right);
        self.loss += f64::from(loss);
    }

    pub(crate) fn scores(&self, auc: Option<f64>) -> Scores {
        let rows = self.rows.max(1) as f64;
        Scores {
            rows: self.rows,
            accuracy: self.right as f64 / rows,
            log_loss: self.loss / rows,
            auc,
        }
    }
}

/// The index of the largest score, the first of equals.
pub(crate) fn largest(scores: &[f32]) -> usize {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] {
            best = index;
        }
    }
    best
}

/// Area under the ROC curve of (score, is positive), by ranks (Mann and Whitney). Cost: a sort.
pub(crate) fn area_under_curve(mut scored: Vec<(f32, bool)>) -> Option<f64> {
    scored.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    let (mut below, mut wins) = (0_u64, 0.0);
    for ties in scored.chunk_by(|(a, _), (b, _)| a == b) {
        let positive = ties.iter().filter(|(_, positive)| *positive).count() as u64;
        let negative = ties.len() as u64 - positive;
        wins += positive as f64 * (below as f64 + negative as f64 / 2.0);
        below += negative;
    }
    let positives = scored.len() as u64 - below;
    (positives > 0 && below > 0).then(|| wins / (positives as f64 * below as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_area_counts_ties_half() {
        let area = |rows: &[(f32, bool)]| area_under_curve(rows.to_vec());
        assert_eq!(area(&[(0.1, false), (0.2, true)]), Some(1.0));
        assert_eq!(area(&[(0.2, false), (0.1, true)]), Some(0.0));
        assert_eq!(area(&[(0.0, true), (-0.0, false), (1.0, true), (0.5, false)]), Some(0.625));
        assert_eq!(area(&[(0.5, true)]), None);
        assert_eq!(area(&[]), None);
    }

    #[test]
    fn a_tally_of_nothing_is_zero() {
        assert_eq!(Tally::default().scores(None).log_loss, 0.0);
        assert_eq!(largest(&[1.0, 3.0, 3.0]), 1);
    }
}
