//! Multinomial logistic regression on dense rows.
//!
//! One dense table: row i holds the weights of feature i for every class, the last row the
//! biases. Every batch pulls and pushes all of it.

use archipelago::{Extension, Hyper, Result, Schedule, Table, TableSpec, Worker};

use crate::data::{DenseData, Share};
use crate::descent::{DenseModel, descend, score};
use crate::math;
use crate::score::Scores;
use crate::train::{self, OnProgress, Pace, TrainReport};

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The table's name. Default "softmax".
    pub name: String,
    /// Steps and length. Default batches of 16, 30 passes.
    pub pace: Pace,
    /// The update rule. Default Adagrad.
    pub rule: Extension,
    /// The learning rate. Default 0.1.
    pub rate: Schedule,
    /// Strength of the L2 term: adds `l2 / 2 * |w|^2` to each row's loss, biases left out.
    /// Default 0.
    pub l2: f32,
    /// Elements of a block. Default 65,536.
    pub block_elements: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "softmax".into(),
            pace: Pace::new(16, 30),
            rule: train::adagrad(),
            rate: Schedule::Constant(0.1),
            l2: 0.0,
            block_elements: archipelago::limits::BLOCK_ELEMENTS_MAX,
        }
    }
}

impl Config {
    /// The table for data of that shape and that many workers.
    pub fn tables(&self, features: usize, classes: u32, workers: u32) -> Vec<(TableSpec, Hyper)> {
        let spec = TableSpec::dense(&self.name, features as u64 + 1)
            .width(classes)
            .block_elements(self.block_elements);
        vec![train::described(spec, &self.rule, self.rate, &self.pace, workers)]
    }
}

/// Trains on this worker's share, then leaves the group.
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
    share: &'a Share<'a, DenseData>,
    config: &'a Config,
    progress: OnProgress<'a>,
) -> impl Future<Output = Result<TrainReport>> + Send {
    async move {
        let data = share.data();
        let expected = config.tables(data.features(), data.classes(), share.size());
        let model = Softmax::new(data.features(), data.classes() as usize, config.l2);
        descend(me, (tables, &expected), share, &config.pace, model, progress).await
    }
}

/// Scores a model: the rows of its table, one after the other. With two classes, class 1 counts
/// as positive.
///
/// # Panics
/// When the values are not (features + 1) x classes.
pub fn evaluate(values: &[f32], data: &DenseData) -> Scores {
    let mut model = Softmax::new(data.features(), data.classes() as usize, 0.0);
    assert_eq!(values.len(), model.elements(), "(features + 1) x classes");
    score(&mut model, values, data)
}

struct Softmax {
    features: usize,
    classes: usize,
    l2: f32,
    scores: Vec<f32>,
}

impl Softmax {
    fn new(features: usize, classes: usize, l2: f32) -> Self {
        Self { features, classes, l2, scores: vec![0.0; classes] }
    }

    fn elements(&self) -> usize {
        (self.features + 1) * self.classes
    }
}

impl DenseModel for Softmax {
    fn forward(&mut self, values: &[f32], row: &[f32]) -> &mut [f32] {
        let (weights, biases) = values.split_at(self.features * self.classes);
        math::affine(&mut self.scores, row, weights, biases);
        &mut self.scores
    }

    fn backward(&mut self, _: &[f32], row: &[f32], gradient: &mut [f32]) {
        math::add_outer(gradient, row, &self.scores);
    }

    fn penalty(&self, values: &[f32], rows: usize, gradient: &mut [f32]) {
        let weights = self.features * self.classes;
        math::add_scaled(&mut gradient[..weights], self.l2 * rows as f32, &values[..weights]);
    }

    fn row_flops(&self) -> u64 {
        4 * self.elements() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits_split;
    use crate::descent::gradient;
    use crate::testing::{gradient_error, scattered, trained};
    use archipelago::embed::EmbedWorker;
    use archipelago::sync::{AtomicU64, Ordering};

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let data = DenseData::new(4, 3, scattered(20, 1), vec![0, 2, 1, 2, 0]).unwrap();
        let mut model = Softmax::new(4, 3, 0.1);
        let values = scattered(model.elements(), 2);
        let rows = [0, 2, 3, 4];
        let mut slopes = vec![7.0; values.len()];
        gradient(&mut model, &values, &data, &rows, &mut slopes);
        let mut ignored = slopes.clone();
        let error = gradient_error(&values, &slopes, |values| {
            let squares: f64 = values[..12].iter().map(|w| f64::from(w * w)).sum();
            gradient(&mut model, values, &data, &rows, &mut ignored) + 0.2 * squares
        });
        assert!(error < 1e-3, "{error}");
    }

    #[test]
    fn digits_are_learned_on_small_blocks_by_one_and_by_four() {
        let (data, test) = digits_split().unwrap();
        let config = Config { block_elements: 256, ..Config::default() };
        for workers in [1, 4] {
            let calls = AtomicU64::new(0);
            let progress = |progress: train::Progress<'_>| {
                assert_eq!(progress.model.map(<[f32]>::len), Some(650));
                assert_eq!(progress.tick.0, progress.iteration + 1);
                calls.fetch_add(1, Ordering::Relaxed);
            };
            let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, DenseData>| {
                train(me, tables, share, &config, &progress).await
            };
            let tables = config.tables(64, 10, workers);
            let (values, reports) = trained(&data, tables, workers, train);
            let iterations = reports[0].as_ref().unwrap().iterations;
            let share = Share::strided(&data, 0, workers).unwrap();
            assert_eq!(iterations, config.pace.iterations(&share));
            assert_eq!(calls.into_inner(), iterations * u64::from(workers));
            let scores = evaluate(&values, &test);
            assert!(scores.accuracy > 0.89 && scores.auc.is_none(), "{scores:?}");
        }
    }
}
