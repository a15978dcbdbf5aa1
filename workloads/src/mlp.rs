//! A network with one hidden layer on dense rows.
//!
//! Two dense tables, one per layer. `<name>.hidden`: row i holds the weights of input i for every
//! hidden unit, the last row their biases. `<name>.output`: row i holds the weights of hidden
//! unit i for every class, the last row the biases. Both start uniform in
//! +-1 / sqrt(inputs of the layer), drawn by the tables' init, so that all drivers start alike.

use archipelago::{Extension, Hyper, Init, Result, Schedule, Table, TableSpec, Worker};

use crate::data::{DenseData, Share};
use crate::descent::{DenseModel, descend, score};
use crate::math;
use crate::score::Scores;
use crate::train::{self, OnProgress, Pace, TrainReport};

/// What a hidden unit does to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// The hyperbolic tangent.
    Tanh,
    /// max(0, x).
    Relu,
}

impl Activation {
    fn apply(self, input: f32) -> f32 {
        match self {
            Self::Tanh => libm::tanhf(input),
            Self::Relu => input.max(0.0),
        }
    }

    /// The derivative, as a function of the output.
    fn slope(self, output: f32) -> f32 {
        match self {
            Self::Tanh => 1.0 - output * output,
            Self::Relu => f32::from(output > 0.0),
        }
    }
}

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The tables' common name. Default "mlp".
    pub name: String,
    /// Steps and length. Default batches of 16, 30 passes.
    pub pace: Pace,
    /// Hidden units. Default 64.
    pub hidden: u32,
    /// What they do. Default the hyperbolic tangent.
    pub activation: Activation,
    /// The update rule. Default Adagrad.
    pub rule: Extension,
    /// The learning rate. Default 0.1.
    pub rate: Schedule,
    /// The seed of the init. Default 1.
    pub init_seed: u64,
    /// Elements of a block. Default 65,536.
    pub block_elements: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "mlp".into(),
            pace: Pace::new(16, 30),
            hidden: 64,
            activation: Activation::Tanh,
            rule: train::adagrad(),
            rate: Schedule::Constant(0.1),
            init_seed: 1,
            block_elements: archipelago::limits::BLOCK_ELEMENTS_MAX,
        }
    }
}

impl Config {
    /// The tables for data of that shape and that many workers: hidden, then output.
    pub fn tables(&self, features: usize, classes: u32, workers: u32) -> Vec<(TableSpec, Hyper)> {
        let layer = |layer, inputs: u64, outputs| {
            let bound = 1.0 / (inputs.max(1) as f64).sqrt();
            let init = Init::Uniform { seed: self.init_seed, low: -bound, high: bound };
            let spec = TableSpec::dense(format!("{}.{layer}", self.name), inputs + 1)
                .width(outputs)
                .block_elements(self.block_elements)
                .init(init);
            train::described(spec, &self.rule, self.rate, &self.pace, workers)
        };
        vec![
            layer("hidden", features as u64, self.hidden),
            layer("output", u64::from(self.hidden), classes),
        ]
    }
}

/// Trains on this worker's share, then leaves the group.
///
/// `tables` are those of [`Config::tables`], in their order.
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
        let model = Network::new(data, config);
        descend(me, (tables, &expected), share, &config.pace, model, progress).await
    }
}

/// Scores a model: the rows of its tables, one after the other, hidden before output. Of the
/// config only the hidden units count. With two classes, class 1 counts as positive.
///
/// # Panics
/// When the values are not (features + 1) x hidden + (hidden + 1) x classes.
pub fn evaluate(values: &[f32], data: &DenseData, config: &Config) -> Scores {
    let mut model = Network::new(data, config);
    let expected = "(features + 1) x hidden + (hidden + 1) x classes";
    assert_eq!(values.len(), model.elements(), "{expected}");
    score(&mut model, values, data)
}

struct Network {
    features: usize,
    hidden: usize,
    classes: usize,
    activation: Activation,
    /// Outputs of the hidden units for the row at hand.
    units: Vec<f32>,
    /// Derivatives of the loss by the inputs of the hidden units.
    unit_slopes: Vec<f32>,
    scores: Vec<f32>,
}

impl Network {
    fn new(data: &DenseData, config: &Config) -> Self {
        let (hidden, classes) = (config.hidden as usize, data.classes() as usize);
        Self {
            features: data.features(),
            hidden,
            classes,
            activation: config.activation,
            units: vec![0.0; hidden],
            unit_slopes: vec![0.0; hidden],
            scores: vec![0.0; classes],
        }
    }

    /// Elements of the hidden layer's table.
    fn hidden_elements(&self) -> usize {
        (self.features + 1) * self.hidden
    }

    fn elements(&self) -> usize {
        self.hidden_elements() + (self.hidden + 1) * self.classes
    }
}

impl DenseModel for Network {
    fn forward(&mut self, values: &[f32], row: &[f32]) -> &mut [f32] {
        let (hidden, output) = values.split_at(self.hidden_elements());
        let (weights, biases) = hidden.split_at(self.features * self.hidden);
        math::affine(&mut self.units, row, weights, biases);
        for unit in &mut self.units {
            *unit = self.activation.apply(*unit);
        }
        let (weights, biases) = output.split_at(self.hidden * self.classes);
        math::affine(&mut self.scores, &self.units, weights, biases);
        &mut self.scores
    }

    fn backward(&mut self, values: &[f32], row: &[f32], gradient: &mut [f32]) {
        let (hidden, output) = gradient.split_at_mut(self.hidden_elements());
        let weights = values[self.hidden_elements()..].chunks_exact(self.classes);
        let units = self.units.iter().zip(&mut self.unit_slopes);
        for ((&unit, slope), weights) in units.zip(weights) {
            *slope = self.activation.slope(unit) * math::dot(weights, &self.scores);
        }
        math::add_outer(output, &self.units, &self.scores);
        math::add_outer(hidden, row, &self.unit_slopes);
    }

    /// Two forward and two backward per weight, two more per output weight to pass slopes down.
    fn row_flops(&self) -> u64 {
        4 * self.elements() as u64 + 2 * (self.hidden * self.classes) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits_split;
    use crate::descent::gradient;
    use crate::testing::{gradient_error, scattered, trained};
    use crate::train::Values;
    use archipelago::embed::EmbedWorker;
    use archipelago::id::Rank;

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let data = DenseData::new(4, 3, scattered(20, 1), vec![0, 2, 1, 2, 0]).unwrap();
        for activation in [Activation::Tanh, Activation::Relu] {
            let config = Config { hidden: 5, activation, ..Config::default() };
            let mut model = Network::new(&data, &config);
            let values = scattered(model.elements(), 2);
            let rows = [0, 1, 2, 3, 4];
            let mut slopes = vec![7.0; values.len()];
            gradient(&mut model, &values, &data, &rows, &mut slopes);
            let mut ignored = slopes.clone();
            let error = gradient_error(&values, &slopes, |values| {
                gradient(&mut model, values, &data, &rows, &mut ignored)
            });
            assert!(error < 1e-3, "{activation:?}: {error}");
        }
    }

    #[test]
    fn digits_are_learned_on_small_blocks_and_repeat_bit_by_bit() {
        let (data, test) = digits_split().unwrap();
        let mut config = Config { block_elements: 256, ..Config::default() };
        config.pace.final_model = Some(Rank(0));
        config.pace.epochs = 10;
        let trained = || {
            let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, DenseData>| {
                train(me, tables, share, &config, &|_| {}).await
            };
            let (values, reports) = trained(&data, config.tables(64, 10, 4), 4, train);
            let model = reports.into_iter().next().and_then(|report| report.unwrap().model);
            assert_eq!(model, Some(Values::F32(values.clone())));
            values
        };
        let values = trained();
        let scores = evaluate(&values, &test, &config);
        assert!(scores.accuracy > 0.89, "{scores:?}");
        assert_eq!(trained(), values);
    }
}
