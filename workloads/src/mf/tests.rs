//! Factors of made-up ratings, and gradients against differences. No real data.

use super::*;
use crate::data::RatingFormat;
use crate::testing::{self, gradient_error, scattered};
use archipelago::embed::EmbedWorker;

/// Ratings with offsets and two factors, half of what 60 users could give 12 items.
fn ratings(seed: u64) -> Ratings {
    let (users, items) = (scattered(180, 1), scattered(36, 2));
    let noise = scattered(60 * 12, seed);
    let mut text = String::from("user,item,rating\n");
    for (user, row) in users.chunks(3).enumerate() {
        for (item, column) in items.chunks(3).enumerate() {
            let at = user * 12 + item;
            if (at * 7 + user) % 2 == 0 {
                let product = 30.0 * (row[1] * column[1] + row[2] * column[2]);
                let value = 3.0 + 4.0 * row[0] + 4.0 * column[0] + product + 0.2 * noise[at];
                text.push_str(&format!("{user},{item},{value}\n"));
            }
        }
    }
    Ratings::read("ratings", text.as_bytes(), RatingFormat::Csv).unwrap()
}

fn config() -> Config {
    Config { rank: 2, user_l2: 0.1, item_l2: 0.01, pace: Pace::new(5, 30), ..Config::default() }
}

fn trained(data: &Ratings, config: &Config, workers: u32) -> (Vec<f32>, Vec<TrainReport>) {
    let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, Ratings>| {
        train(me, tables, share, config, &|_| {}).await
    };
    let (values, reports) =
        testing::trained(data, config.tables(data.items(), workers), workers, train);
    (values, reports.into_iter().map(Result::unwrap).collect())
}

#[test]
fn the_gradient_is_that_of_the_objective() {
    let data = ratings(3);
    let config = Config { item_l2: 0.3, ..config() };
    let users = [3, 0, 7, 55];
    let plan = Plan::new(&data, &users, Layout::Sparse).unwrap();
    let items = scattered(plan.named.len() * 3, 5);
    let mut fit = Fit::new(&config, data.mean());
    let mut gradient = vec![7.0; items.len()];
    plan.gradient(&data, &users, &mut fit, &items, &mut gradient);
    let error = gradient_error(&items, &gradient, |items| {
        let (mut sum, mut places) = (0.0, &plan.places[..]);
        for user in users.map(|user| data.user(user)) {
            let (own, rest) = places.split_at(user.values.len());
            places = rest;
            sum += fit.solve(items, own, user.values).objective;
        }
        sum
    });
    assert!(error < 1e-3, "{error}");
}

#[test]
fn factors_are_learned_and_repeat_bit_by_bit() {
    let (data, test) = ratings(3).split(1, 0.1);
    let mut config = config();
    for workers in [1, 3] {
        let (items, reports) = trained(&data, &config, workers);
        let untrained = evaluate(&scattered(items.len(), 9), &data, &test, &config);
        let scores = evaluate(&items, &data, &test, &config);
        assert!(
            scores.rmse < 1.0 && scores.rmse < 0.3 * untrained.rmse,
            "{scores:?} {untrained:?}"
        );
        assert!(scores.objective < 0.1 * untrained.objective, "{scores:?} {untrained:?}");
        assert!(reports[0].last_loss < 0.5 * reports[0].first_loss, "{reports:?}");
        assert_eq!(trained(&data, &config, workers).0, items);
        config.layout = Layout::Sparse;
        assert_eq!(trained(&data, &config, workers).0, items);
        config.layout = Layout::Dense;
    }
}

#[test]
fn two_workers_step_like_one_with_the_batches_of_both() {
    let data = ratings(3);
    let mut config = config();
    config.pace = Pace { iterations: Some(3), ..Pace::new(60, 0) };
    let (one, _) = trained(&data, &config, 1);
    let (two, _) = trained(&data, &config, 2);
    assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-5), "{one:?} {two:?}");
}
