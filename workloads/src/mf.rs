//! Factors of users and items that foretell ratings: matrix factorization by stochastic gradient
//! descent.
//!
//! A rating is foretold as `mean + user offset + item offset + user factors . item factors`.
//!
//! The rows of items (offset, then factors) are shared: one table. The row of a user depends on the
//! user's own ratings and on items alone, so it stays with the worker that has them and is no part
//! of the model: private, and nothing to move. It is not even kept: given the items, the best row
//! of a user is the solution of a small least-squares problem (ridge regression), and is computed
//! when its user comes up. What is descended is thus the objective with every user at its best,
//!
//! > F(items) = sum over users of min over x of
//! > 1/2 sum over ratings of (error^2 + item_l2 |item row|^2) + 1/2 user_l2 |x|^2
//!
//! whose gradient by the items is that at the minimum, x held still (variable projection: Golub
//! and Pereyra, SIAM J. Numer. Anal. 1973). So the items alone say how good a model is, wherever
//! and whenever they are read, and a worker that is lost takes no state along.
//!
//! The gradient is pushed as a sum over the batch's users, with their number as weight.

use archipelago::key::{Key, KeyRange};
use archipelago::{Extension, Hyper, Init, Layout, Result, Schedule, Table, TableSpec, Worker};

use crate::course::{Course, Step};
use crate::data::{Ratings, Share, UserRatings};
use crate::named::Named;
use crate::train::{self, OnProgress, Pace, TrainReport, check_tables};

mod user;

use user::Fit;

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The table's name. Default "items".
    pub name: String,
    /// Steps and length. Default batches of 64 users, 10 passes.
    pub pace: Pace,
    /// Factors of a user and of an item. Default 10.
    pub rank: u32,
    /// Strength of the L2 term on a user's row. Default 8.
    pub user_l2: f64,
    /// Strength of the L2 term on an item's row, for each of its ratings. Default 0.5.
    pub item_l2: f64,
    /// The update rule. Default Sgd, which the convergence theorems are about.
    pub rule: Extension,
    /// The learning rate. Default 0.5 / sqrt(t), as in the theorems.
    pub rate: Schedule,
    /// The seed of the init. Default 1.
    pub init_seed: u64,
    /// How rows come to exist. Default dense: every batch moves all items. Sparse: it moves those
    /// that its users have rated, which pays where they are a small part.
    pub layout: Layout,
    /// Elements of a block, where the layout is dense. Default 65,536.
    pub block_elements: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "items".into(),
            pace: Pace::new(64, 10),
            rank: 10,
            user_l2: 8.0,
            item_l2: 0.5,
            rule: Extension::new("sgd/1"),
            rate: Schedule::inverse_sqrt(0.5),
            init_seed: 1,
            layout: Layout::Dense,
            block_elements: archipelago::limits::BLOCK_ELEMENTS_MAX,
        }
    }
}

impl Config {
    /// The table for that many items and workers.
    pub fn tables(&self, items: usize, workers: u32) -> Vec<(TableSpec, Hyper)> {
        let last = (items as u64).saturating_sub(1);
        let domain = KeyRange::new(Key(0), Key(last)).unwrap_or(KeyRange::single(Key(0)));
        let bound = 0.5 / f64::from(self.rank.max(1)).sqrt();
        let init = Init::Uniform { seed: self.init_seed, low: -bound, high: bound };
        let mut spec = TableSpec::sparse(&self.name, self.rank + 1)
            .domain(domain)
            .init(init)
            .block_elements(self.block_elements);
        spec.layout = self.layout;
        vec![train::described(spec, &self.rule, self.rate, &self.pace, workers)]
    }
}

/// Trains on this worker's share of the users, then leaves the group. The loss in reports is the
/// mean over users of the squared error of their ratings, at the best row of the user.
///
/// `tables` are those of [`Config::tables`].
///
/// # Errors
/// `Field` when the tables are not those of the config and data; those of the worker.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn is not known to be Send where the worker's type is concrete"
)]
pub fn train<'a, W: Worker>(
    me: &'a W,
    tables: &'a [Table],
    share: &'a Share<'a, Ratings>,
    config: &'a Config,
    progress: OnProgress<'a>,
) -> impl Future<Output = Result<TrainReport>> + Send {
    async move {
        let data = share.data();
        check_tables(tables, &config.tables(data.items(), share.size()))?;
        let mut fit = Fit::new(config, data.mean());
        let (mut plans, mut items, mut gradient) = (Vec::new(), Vec::new(), Vec::new());
        let mut course = Course::new(me, share, &config.pace, progress);
        while let Some(batch) = course.next_batch() {
            let mut step = Step::default();
            if let (false, Some(table)) = (batch.rows.is_empty(), tables.first()) {
                let plan =
                    batch.derived(&mut plans, |rows| Plan::new(data, rows, config.layout))?;
                items.resize(plan.named.len() * fit.width(), 0.0);
                gradient.resize(items.len(), 0.0);
                step.seen = Some(me.pull(table, plan.named.selection(), &mut items).await?);
                step.loss = plan.gradient(data, batch.rows, &mut fit, &items, &mut gradient);
                course.compute(fit.flops(plan.places.len(), batch.rows.len())).await;
                let rows = plan.named.selection();
                me.push_with(table, rows, &gradient, batch.weight()).await?;
                step.model = plan.named.is_all().then_some(&items);
            }
            course.end_iteration(step).await?;
        }
        course.finish(tables).await
    }
}

/// How good items are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// F(items) per rating trained on: what is descended. Lower is better.
    pub objective: f64,
    /// Held-out ratings.
    pub ratings: usize,
    /// The root of the mean squared error over them.
    pub rmse: f64,
    /// The mean absolute error over them.
    pub mae: f64,
}

/// Scores items: the objective on the ratings of `train`, and the errors of foretelling the
/// ratings of `test` by the same users, each at its best row for its ratings in `train`. `items`
/// are the rows of the table, row by row.
///
/// # Panics
/// When the items are not those of `train` x (rank + 1), or `test` is not of the same users.
pub fn evaluate(items: &[f32], train: &Ratings, test: &Ratings, config: &Config) -> Scores {
    let mut fit = Fit::new(config, train.mean());
    assert_eq!(items.len(), train.items() * fit.width(), "items x (rank + 1)");
    assert_eq!((train.users(), train.items()), (test.users(), test.items()), "two parts of one");
    let (mut objective, mut squares, mut errors) = (0.0, 0.0, 0.0);
    for user in 0..train.users() {
        let UserRatings { items: rated, values } = train.user(user);
        objective += fit.solve(items, rated, values).objective;
        let UserRatings { items: rated, values } = test.user(user);
        for (&item, &value) in rated.iter().zip(values) {
            let error = f64::from(value) - fit.foretell(items, item);
            squares += error * error;
            errors += error.abs();
        }
    }
    let count = test.count().max(1) as f64;
    Scores {
        objective: objective / train.count().max(1) as f64,
        ratings: test.count(),
        rmse: (squares / count).sqrt(),
        mae: errors / count,
    }
}

/// What is derived from a batch's users once.
struct Plan {
    /// The items that they have rated.
    named: Named,
    /// For every rating, user by user, where its item's row lies.
    places: Vec<u32>,
}

impl Plan {
    fn new(data: &Ratings, users: &[usize], layout: Layout) -> Result<Self> {
        let rated = || users.iter().flat_map(|&user| data.user(user).items);
        let keys = rated().map(|&item| u64::from(item));
        let named = Named::new(layout, data.items() as u64, keys)?;
        let places = rated().map(|&item| named.place(item.into())).collect();
        Ok(Self { named, places })
    }

    /// Sets `gradient` to that of F summed over `users`; returns the squared error of every user
    /// per rating, summed over users.
    fn gradient(
        &self,
        data: &Ratings,
        users: &[usize],
        fit: &mut Fit,
        items: &[f32],
        gradient: &mut [f32],
    ) -> f64 {
        gradient.fill(0.0);
        let (mut loss, mut places) = (0.0, &self.places[..]);
        for &user in users {
            let values = data.user(user).values;
            let (own, rest) = places.split_at(values.len());
            places = rest;
            loss += fit.solve(items, own, values).squares / values.len().max(1) as f64;
            fit.add_gradient(items, own, gradient);
        }
        loss
    }
}

#[cfg(test)]
mod tests;
