//! Logistic regression on sparse rows: every batch pulls and pushes only the keys that it names.
//!
//! One table of width 1: key i is the weight of feature i, key `features` the bias, which every
//! batch names. The workload of OSDI'14 section 5.1 in its smooth form: L2 instead of L1, so
//! without the proximal step and the KKT filter.
//!
//! The L2 term is taken on the keys that a batch names: a rare feature decays only when it
//! occurs. A batch's list of keys is made when the batch first comes up and kept.

use archipelago::key::{Key, KeyRange};
use archipelago::{Extension, Hyper, KeyList, Layout, Result, Schedule, Table, TableSpec, Worker};

use crate::course::{Course, Step};
use crate::data::{Share, SparseData};
use crate::math;
use crate::score::{Scores, Tally, area_under_curve};
use crate::train::{self, OnProgress, Pace, TrainReport, check_tables};

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The table's name. Default "weights".
    pub name: String,
    /// Steps and length. Default batches of 64, 5 passes.
    pub pace: Pace,
    /// The update rule. Default Adagrad: features differ in frequency by orders of magnitude.
    pub rule: Extension,
    /// The learning rate. Default 0.05, right for features that are 0 or 1.
    pub rate: Schedule,
    /// Strength of the L2 term: adds `l2 / 2 * w^2` to each row's loss for every feature (not
    /// the bias) that its batch names. Default 0.
    pub l2: f32,
    /// How rows come to exist. Default sparse.
    pub layout: Layout,
    /// Elements of a block, where the layout is dense. Default 65,536.
    pub block_elements: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "weights".into(),
            pace: Pace::new(64, 5),
            rule: train::adagrad(),
            rate: Schedule::Constant(0.05),
            l2: 0.0,
            layout: Layout::Sparse,
            block_elements: archipelago::limits::BLOCK_ELEMENTS_MAX,
        }
    }
}

impl Config {
    /// For rows scaled to length 1 (text), whose values are small: rate 0.3, 10 passes.
    pub fn unit_rows() -> Self {
        Self { pace: Pace::new(64, 10), rate: Schedule::Constant(0.3), ..Self::default() }
    }

    /// The table for data of that many features and that many workers.
    pub fn tables(&self, features: u64, workers: u32) -> Vec<(TableSpec, Hyper)> {
        let domain = KeyRange::new(Key(0), Key(features)).unwrap_or(KeyRange::single(Key(0)));
        let mut spec =
            TableSpec::sparse(&self.name, 1).domain(domain).block_elements(self.block_elements);
        spec.layout = self.layout;
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
    share: &'a Share<'a, SparseData>,
    config: &'a Config,
    progress: OnProgress<'a>,
) -> impl Future<Output = Result<TrainReport>> + Send {
    async move {
        let data = share.data();
        check_tables(tables, &config.tables(data.features(), share.size()))?;
        let (mut plans, mut values, mut gradient) = (Vec::new(), Vec::new(), Vec::new());
        let mut course = Course::new(me, share, &config.pace, progress);
        while let Some(batch) = course.next_batch() {
            let mut step = Step::default();
            if let (false, Some(table)) = (batch.rows.is_empty(), tables.first()) {
                let plan = batch.derived(&mut plans, |rows| Plan::new(data, rows))?;
                values.resize(plan.keys.len(), 0.0);
                gradient.resize(plan.keys.len(), 0.0);
                step.seen = Some(me.pull(table, &plan.keys, &mut values).await?);
                step.loss = plan.gradient(data, batch.rows, config.l2, &values, &mut gradient);
                course.compute(plan.flops()).await;
                me.push_with(table, &plan.keys, &gradient, batch.weight()).await?;
            }
            course.end_iteration(step).await?;
        }
        course.finish(tables).await
    }
}

/// Scores a model: the weights by feature, then the bias. Features that the model does not have
/// weigh nothing.
pub fn evaluate(values: &[f32], data: &SparseData) -> Scores {
    let (&bias, weights) = values.split_last().unwrap_or((&0.0, &[]));
    let mut tally = Tally::default();
    let mut scored = Vec::with_capacity(data.rows());
    for row in (0..data.rows()).map(|row| data.row(row)) {
        let mut score = bias;
        for (&index, &value) in row.indices.iter().zip(row.values) {
            score += weights.get(index as usize).copied().unwrap_or(0.0) * value;
        }
        let (loss, _) = math::log_loss(row.label * score);
        tally.add((score > 0.0) == (row.label > 0.0), loss);
        scored.push((score, row.label > 0.0));
    }
    tally.scores(area_under_curve(scored))
}

/// What is derived from a batch's rows once: its keys, and where each nonzero's key is in them.
struct Plan {
    /// The features that the rows name, then the bias.
    keys: KeyList,
    /// For every nonzero, row by row, the index of its key.
    places: Vec<u32>,
}

impl Plan {
    fn new(data: &SparseData, rows: &[usize]) -> Result<Self> {
        let named = || rows.iter().flat_map(|&row| data.row(row).indices).map(|&i| u64::from(i));
        let mut keys: Vec<u64> = named().collect();
        keys.sort_unstable();
        keys.dedup();
        // Every key is found: the list was made of them.
        let place = |feature| keys.binary_search(&feature).unwrap_or_else(|place| place) as u32;
        let places = named().map(place).collect();
        keys.push(data.features());
        Ok(Self { keys: KeyList::new(keys)?, places })
    }

    /// Sets `gradient` to that of the loss summed over `rows`; returns the loss without L2.
    fn gradient(
        &self,
        data: &SparseData,
        rows: &[usize],
        l2: f32,
        values: &[f32],
        gradient: &mut [f32],
    ) -> f64 {
        let bias = values.len() - 1;
        let decay = l2 * rows.len() as f32;
        for (slope, value) in gradient[..bias].iter_mut().zip(values) {
            *slope = decay * value;
        }
        gradient[bias] = 0.0;
        let mut total = 0.0;
        let mut places = &self.places[..];
        for row in rows.iter().map(|&row| data.row(row)) {
            let (own, rest) = places.split_at(row.values.len());
            places = rest;
            let mut score = values[bias];
            for (&place, &value) in own.iter().zip(row.values) {
                score += values[place as usize] * value;
            }
            let (loss, slope) = math::log_loss(row.label * score);
            let slope = slope * row.label;
            for (&place, &value) in own.iter().zip(row.values) {
                gradient[place as usize] += slope * value;
            }
            gradient[bias] += slope;
            total += f64::from(loss);
        }
        total
    }

    /// Two operations per nonzero forward, two backward, two per key for L2.
    fn flops(&self) -> u64 {
        4 * self.places.len() as u64 + 2 * self.keys.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, gradient_error, scattered};
    use crate::train::Values;
    use archipelago::embed::EmbedWorker;
    use archipelago::id::Rank;
    use archipelago::rng::Rng;

    /// Rows of a known linear model over 40 features, two or three features a row.
    fn rows(count: usize) -> SparseData {
        let (weights, mut rng) = (scattered(40, 1), Rng::new(2));
        let mut text = String::new();
        for _ in 0..count {
            let mut own: Vec<usize> = (0..3).map(|_| rng.below(40) as usize).collect();
            own.sort_unstable();
            own.dedup();
            let score: f32 = own.iter().map(|&i| weights[i]).sum();
            text.push_str(if score > 0.0 { "+1" } else { "-1" });
            for i in own {
                text.push_str(&format!(" {}:{}", i + 1, 1 + i % 3));
            }
            text.push('\n');
        }
        let data = SparseData::read_libsvm("rows", text.as_bytes()).unwrap();
        data.with_features(40).unwrap()
    }

    fn trained(data: &SparseData, config: &Config, workers: u32) -> (Vec<f32>, Vec<TrainReport>) {
        let tables = config.tables(data.features(), workers);
        let (values, reports) = run(data, config, tables, workers);
        (values, reports.into_iter().map(Result::unwrap).collect())
    }

    fn run(
        data: &SparseData,
        config: &Config,
        tables: Vec<(TableSpec, Hyper)>,
        workers: u32,
    ) -> (Vec<f32>, Vec<Result<TrainReport>>) {
        let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, SparseData>| {
            train(me, tables, share, config, &|_| {}).await
        };
        testing::trained(data, tables, workers, train)
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let data = rows(12);
        let share = Share::strided(&data, 0, 1).unwrap();
        let batches = share.batches(1, 12);
        let plan = Plan::new(&data, batches.rows(0)).unwrap();
        let values = scattered(plan.keys.len(), 3);
        let mut gradient = vec![7.0; values.len()];
        let l2 = 0.1;
        plan.gradient(&data, batches.rows(0), l2, &values, &mut gradient);
        let mut ignored = vec![0.0; values.len()];
        let error = gradient_error(&values, &gradient, |values| {
            let weights = &values[..values.len() - 1];
            let squares: f64 = weights.iter().map(|w| f64::from(w * w)).sum();
            let loss = plan.gradient(&data, batches.rows(0), l2, values, &mut ignored);
            loss + 0.5 * f64::from(l2) * squares * batches.rows(0).len() as f64
        });
        assert!(error < 1e-3, "{error}");
    }

    #[test]
    fn training_learns_and_repeats_bit_by_bit() {
        let data = rows(600);
        let mut config = Config { rate: Schedule::Constant(0.3), ..Config::default() };
        config.pace = Pace::new(20, 20);
        for workers in [1, 3] {
            let (values, reports) = trained(&data, &config, workers);
            let scores = evaluate(&values, &data);
            assert!(scores.accuracy > 0.97 && scores.auc > Some(0.99), "{scores:?}");
            assert!(reports[0].last_loss < 0.5 * reports[0].first_loss, "{reports:?}");
            assert_eq!(trained(&data, &config, workers).0, values);
            config.layout = Layout::Dense;
            assert_eq!(trained(&data, &config, workers).0, values);
            config.layout = Layout::Sparse;
        }
    }

    #[test]
    fn two_workers_step_like_one_with_the_batches_of_both() {
        let data = rows(5);
        let mut config = Config { rule: Extension::new("sgd/1"), ..Config::default() };
        config.pace = Pace { iterations: Some(3), final_model: Some(Rank(0)), ..Pace::new(9, 0) };
        let (one, _) = trained(&data, &config, 1);
        let (two, reports) = trained(&data, &config, 2);
        assert!(one.iter().zip(&two).all(|(a, b)| (a - b).abs() < 1e-6), "{one:?} {two:?}");
        assert!(one.iter().any(|value| value.abs() > 1e-3));
        assert_eq!(reports[0].model, Some(Values::F32(two)));
        assert_eq!((&reports[1].model, reports[1].rows, reports[1].iterations), (&None, 6, 3));
    }

    #[test]
    fn a_worker_without_rows_ticks_along() {
        let data = rows(2);
        let config = Config::default();
        let (values, reports) = trained(&data, &config, 4);
        assert_eq!((reports[3].iterations, reports[3].rows), (5, 0));
        assert!(values.iter().any(|value| *value != 0.0));
    }

    #[test]
    fn tables_of_another_shape_are_refused() {
        let data = rows(4);
        let config = Config::default();
        let (_, result) = run(&data, &config, config.tables(41, 1), 1);
        let error = result[0].as_ref().unwrap_err().to_string();
        let expected = "table \"weights\": shape is [keys 0..=41, width 1], \
            expected [keys 0..=40, width 1]";
        assert_eq!(error, expected);
    }
}
