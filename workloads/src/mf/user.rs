//! One user at its best, given the items.

use super::Config;

/// Fits one user after the other; holds what is needed for one, so that nothing is allocated for
/// each. Sums are in f64 and in the order of the ratings.
pub(super) struct Fit {
    rank: usize,
    user_l2: f64,
    item_l2: f64,
    mean: f64,
    /// The normal equations: the lower half of the matrix, row by row, then their right side; in
    /// the end the user's row, offset first.
    matrix: Vec<f64>,
    row: Vec<f64>,
    /// What the user has to explain of each rating, then the error that is left.
    errors: Vec<f64>,
}

/// What a user adds to the whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fitted {
    /// Its part of F.
    pub(super) objective: f64,
    /// The sum of squared errors of its ratings.
    pub(super) squares: f64,
}

impl Fit {
    pub(super) fn new(config: &Config, mean: f64) -> Self {
        let rank = config.rank as usize;
        Self {
            rank,
            // A user with fewer ratings than factors has many best rows; a positive term picks one.
            user_l2: config.user_l2.max(1e-9),
            item_l2: config.item_l2,
            mean,
            matrix: vec![0.0; (rank + 1) * (rank + 1)],
            row: vec![0.0; rank + 1],
            errors: Vec::new(),
        }
    }

    /// Elements of a row.
    pub(super) fn width(&self) -> usize {
        self.rank + 1
    }

    /// Finds the best row of a user who has given `values` to the items whose rows lie at `places`.
    pub(super) fn solve(&mut self, items: &[f32], places: &[u32], values: &[f32]) -> Fitted {
        let width = self.width();
        self.matrix.fill(0.0);
        self.row.fill(0.0);
        self.errors.clear();
        for (&place, &value) in places.iter().zip(values) {
            let item = &items[place as usize * width..][..width];
            let target = f64::from(value) - self.mean - f64::from(item[0]);
            self.errors.push(target);
            self.add_equation(item, target);
        }
        for place in 0..width {
            self.matrix[place * width + place] += self.user_l2;
        }
        factorize(&mut self.matrix, width);
        substitute(&self.matrix, &mut self.row);
        self.sum_up(items, places)
    }

    /// Adds one rating: the user's side of an item is 1 for the offset, then the factors.
    fn add_equation(&mut self, item: &[f32], target: f64) {
        let width = self.width();
        for (place, entry) in self.row.iter_mut().enumerate() {
            let own = if place == 0 { 1.0 } else { f64::from(item[place]) };
            *entry += own * target;
            let row = &mut self.matrix[place * width..][..=place];
            row[0] += own;
            for (entry, &other) in row[1..].iter_mut().zip(&item[1..]) {
                *entry += own * f64::from(other);
            }
        }
    }

    fn sum_up(&mut self, items: &[f32], places: &[u32]) -> Fitted {
        let width = self.width();
        let (mut squares, mut penalty) = (0.0, 0.0);
        for (error, &place) in self.errors.iter_mut().zip(places) {
            let item = &items[place as usize * width..][..width];
            *error -= told(&self.row, item);
            squares += *error * *error;
            penalty += item.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>();
        }
        let own: f64 = self.row.iter().map(|x| x * x).sum();
        let penalties = self.item_l2 * penalty + self.user_l2 * own;
        Fitted { objective: 0.5 * (squares + penalties), squares }
    }

    /// Adds the gradient of the user's part of F by the items it was solved for.
    pub(super) fn add_gradient(&self, items: &[f32], places: &[u32], gradient: &mut [f32]) {
        let width = self.width();
        for (&error, &place) in self.errors.iter().zip(places) {
            let span = place as usize * width..(place as usize + 1) * width;
            let (item, slopes) = (&items[span.clone()], &mut gradient[span]);
            slopes[0] += (self.item_l2 * f64::from(item[0]) - error) as f32;
            for ((slope, &own), user) in slopes[1..].iter_mut().zip(&item[1..]).zip(&self.row[1..])
            {
                *slope += (self.item_l2 * f64::from(own) - error * user) as f32;
            }
        }
    }

    /// What the user that was solved last will give an item.
    pub(super) fn foretell(&self, items: &[f32], item: u32) -> f64 {
        let item = &items[item as usize * self.width()..][..self.width()];
        self.mean + f64::from(item[0]) + told(&self.row, item)
    }

    /// The equations of every rating, twice its row for errors and gradient, and the solution for
    /// every user.
    pub(super) fn flops(&self, ratings: usize, users: usize) -> u64 {
        let width = self.width();
        ((width * (width + 7)) * ratings + width * width * (width + 6) / 3 * users) as u64
    }
}

/// The user's part of a rating.
fn told(user: &[f64], item: &[f32]) -> f64 {
    let mut sum = user[0];
    for (own, &other) in user[1..].iter().zip(&item[1..]) {
        sum += own * f64::from(other);
    }
    sum
}

/// Turns the lower half of a symmetric positive matrix into its Cholesky factor.
fn factorize(matrix: &mut [f64], width: usize) {
    for column in 0..width {
        let (above, below) = matrix.split_at_mut((column + 1) * width);
        let own = &mut above[column * width..];
        let squares: f64 = own[..column].iter().map(|x| x * x).sum();
        // Positive: every diagonal entry was given a positive term.
        let root = (own[column] - squares).max(f64::MIN_POSITIVE).sqrt();
        own[column] = root;
        for row in below.chunks_exact_mut(width) {
            let inner: f64 = row[..column].iter().zip(&own[..column]).map(|(a, b)| a * b).sum();
            row[column] = (row[column] - inner) / root;
        }
    }
}

/// Solves for the right side `row`, given the Cholesky factor.
fn substitute(factor: &[f64], row: &mut [f64]) {
    let width = row.len();
    for place in 0..width {
        let own = &factor[place * width..][..=place];
        let inner: f64 = own[..place].iter().zip(&*row).map(|(a, b)| a * b).sum();
        row[place] = (row[place] - inner) / own[place];
    }
    for place in (0..width).rev() {
        let below = place + 1..width;
        let inner: f64 = below.map(|other| factor[other * width + place] * row[other]).sum();
        row[place] = (row[place] - inner) / factor[place * width + place];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::scattered;

    #[test]
    fn a_user_at_its_best_gets_worse_by_any_step() {
        let config = Config { rank: 3, user_l2: 0.2, item_l2: 0.1, ..Config::default() };
        let (items, values) = (scattered(20, 1), scattered(4, 2));
        let places = [0, 2, 3, 4];
        let mut fit = Fit::new(&config, 0.25);
        let best = fit.solve(&items, &places, &values);
        let row = fit.row.clone();
        for step in [0.0, 1e-3, -1e-3] {
            for place in 0..4 {
                fit.row.copy_from_slice(&row);
                fit.row[place] += step;
                let mut sum = 0.2 * fit.row.iter().map(|x| x * x).sum::<f64>();
                for (&item, &value) in places.iter().zip(&values) {
                    let own = &items[item as usize * 4..][..4];
                    sum += (f64::from(value) - fit.foretell(&items, item)).powi(2);
                    sum += 0.1 * own.iter().map(|&x| f64::from(x * x)).sum::<f64>();
                }
                let worse = 0.5 * sum - best.objective;
                assert!(if step == 0.0 { worse.abs() < 1e-9 } else { worse > 1e-8 }, "{worse}");
            }
        }
    }

    #[test]
    fn a_system_is_solved() {
        // L = [2; 1 3; -1 2 1], so A = L L^T; the solution is (1, -2, 3).
        let mut matrix = vec![4.0, 0.0, 0.0, 2.0, 10.0, 0.0, -2.0, 5.0, 6.0];
        let mut row = vec![4.0 - 4.0 - 6.0, 2.0 - 20.0 + 15.0, -2.0 - 10.0 + 18.0];
        factorize(&mut matrix, 3);
        substitute(&matrix, &mut row);
        for (found, expected) in row.iter().zip([1.0, -2.0, 3.0]) {
            assert!((found - expected).abs() < 1e-12, "{row:?}");
        }
    }
}
