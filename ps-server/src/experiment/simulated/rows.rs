//! Which rows sites have, and which ones copies are judged by.

use std::fmt::Write;

use archipelago_workloads::data::{Cut, RatingFormat, Ratings};
use archipelago_workloads::task::Task;

use super::super::variant::Variant;
use super::layout::WORKERS_PER_SITE;

/// By how much the first site has more rows than another.
const MORE_ROWS: u32 = 10;

/// Held-out images that a copy is judged by.
const JUDGED_IMAGES: usize = 2_000;

/// Every so many users are judged by.
const JUDGED_USERS_APART: usize = 5;

/// How rows are cut into the shares of workers, those of a site one after the other.
pub(super) fn cut(variant: Variant, workers: u32) -> Cut {
    let weight = |worker: u32| if worker < WORKERS_PER_SITE { MORE_ROWS } else { 1 };
    match variant {
        Variant::UnequalData => Cut::Weighted((0..workers).map(weight).collect()),
        Variant::RowsBySite => Cut::Skewed,
        _ => Cut::Even,
    }
}

/// The task with its rows to train on in an order that a skewed cut makes use of: images have their
/// labels, documents the order of their collection; users are sorted by their mean rating.
pub(super) fn sorted(task: &Task) -> anyhow::Result<Task> {
    let mut sorted = task.clone();
    if let Task::Mf { train, .. } = &mut sorted {
        *train = by_mean(train)?;
    }
    Ok(sorted)
}

/// The task with as many rows as it takes to judge a copy: a hundred times in a run.
pub(super) fn judged(task: &Task) -> anyhow::Result<Task> {
    Ok(match task {
        Task::Mf { config, train, .. } => {
            let users: Vec<_> = (0..train.users()).step_by(JUDGED_USERS_APART).collect();
            let train = only(train, &users)?;
            // Held-out ratings have no part in the objective.
            Task::Mf { config: config.clone(), test: train.clone(), train }
        },
        Task::Cnn { config, test, .. } => {
            let test = test.clone().split(JUDGED_IMAGES.min(test.rows()))?.0;
            Task::Cnn { config: config.clone(), train: test.clone(), test }
        },
        other => other.clone(),
    })
}

fn by_mean(ratings: &Ratings) -> anyhow::Result<Ratings> {
    let mean = |user: usize| {
        let values = ratings.user(user).values;
        let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
        sum / values.len().max(1) as f64
    };
    let mut users: Vec<_> = (0..ratings.users()).map(|user| (mean(user), user)).collect();
    users.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    only(ratings, &users.into_iter().map(|(_, user)| user).collect::<Vec<_>>())
}

/// The ratings of these users, in their order.
fn only(ratings: &Ratings, users: &[usize]) -> anyhow::Result<Ratings> {
    let mut text = String::from("user,item,rating\n");
    for (place, user) in users.iter().enumerate() {
        let rated = ratings.user(*user);
        for (item, value) in rated.items.iter().zip(rated.values) {
            writeln!(text, "{place},{item},{value}")?;
        }
    }
    let some = Ratings::read("ratings of some users", text.as_bytes(), RatingFormat::Csv)?;
    anyhow::ensure!(some.items() == ratings.items(), "an item that nobody of them rates is lost");
    Ok(some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_sorted_by_their_mean_and_keep_their_ratings() {
        let text = "user,item,rating\n1,1,3\n1,2,5\n2,1,-2.25\n3,2,9.5\n";
        let ratings = Ratings::read("f", text.as_bytes(), RatingFormat::Csv).expect("good");
        let sorted = by_mean(&ratings).expect("the same ratings");
        let values = |user| sorted.user(user).values.to_vec();
        assert_eq!([values(0), values(1), values(2)], [vec![-2.25], vec![3.0, 5.0], vec![9.5]]);
        assert_eq!(sorted.user(2).items, [1]);
    }

    #[test]
    fn every_fifth_user_is_judged() {
        let row = |user: usize| format!("{user},{},{user}.5\n{user},{},1\n", user % 2, 2);
        let text: String = (0..11).map(row).collect();
        let text = format!("user,item,rating\n{text}");
        let train = Ratings::read("f", text.as_bytes(), RatingFormat::Csv).expect("good");
        let config = archipelago_workloads::mf::Config::default();
        let task = Task::Mf { config, test: train.clone(), train };
        let Task::Mf { train, test, .. } = judged(&task).expect("ratings") else {
            panic!("another task");
        };
        assert_eq!((train.users(), &train), (3, &test));
        assert_eq!([0, 1, 2].map(|user| train.user(user).values[0]), [0.5, 5.5, 10.5]);
        assert_eq!(train.user(1).items, [1, 2]);
    }

    #[test]
    fn the_first_site_has_ten_times_the_rows_of_another() {
        let cut = cut(Variant::UnequalData, 2 * WORKERS_PER_SITE);
        assert_eq!(cut, Cut::Weighted(vec![10, 10, 10, 10, 1, 1, 1, 1]));
    }
}
