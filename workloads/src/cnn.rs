//! A small convolutional network on square grey images, with handwritten gradients.
//!
//! Two times convolution (5 x 5, without a border), the maximum of every 2 x 2 outputs, and
//! max(0, x), with 8 and then 16 channels; then a linear layer to the classes. On images of 28 x 28
//! that is 5,994 weights.
//!
//! Three dense tables. `<name>.first` and `<name>.second`: row c holds the weights of output
//! channel c for every place under its window (row, column, input channel), then its bias.
//! `<name>.output`: row i holds the weights of input i for every class, the last row the biases.
//! All start uniform in +-1 / sqrt(inputs of an output), drawn by the tables' init, so that all
//! drivers start alike.

use archipelago::rules::Momentum;
use archipelago::{Extension, Hyper, Init, Result, Schedule, Table, TableSpec, Worker};

use crate::data::{DataError, DenseData, Share};
use crate::descent::{DenseModel, descend, score};
use crate::math;
use crate::score::Scores;
use crate::train::{self, OnProgress, Pace, TrainReport};

mod layer;

use layer::Layer;

/// Channels of the first convolution.
const FIRST: usize = 8;
/// Channels of the second one.
const SECOND: usize = 16;
/// The least side of an image: one output of the second layer.
const SIDE_MIN: usize = 16;

/// What is trained, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The tables' common name. Default "cnn".
    pub name: String,
    /// Steps and length. Default batches of 32, 3 passes.
    pub pace: Pace,
    /// The update rule. Default momentum 0.9.
    pub rule: Extension,
    /// The learning rate. Default 0.05.
    pub rate: Schedule,
    /// The seed of the init. Default 1.
    pub init_seed: u64,
    /// Elements of a block. Default 65,536.
    pub block_elements: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "cnn".into(),
            pace: Pace::new(32, 3),
            rule: Momentum { beta: 0.9 }.into(),
            rate: Schedule::Constant(0.05),
            init_seed: 1,
            block_elements: archipelago::limits::BLOCK_ELEMENTS_MAX,
        }
    }
}

impl Config {
    /// The tables for data of that shape and that many workers: first, second, output.
    ///
    /// # Errors
    /// `Shape` when the features are no square image of 16 x 16 or more.
    pub fn tables(
        &self,
        features: usize,
        classes: u32,
        workers: u32,
    ) -> std::result::Result<Vec<(TableSpec, Hyper)>, DataError> {
        let (first, second) = layers(features)?;
        let table = |layer, rows: usize, width: u32, inputs: usize| {
            let bound = 1.0 / (inputs as f64).sqrt();
            let init = Init::Uniform { seed: self.init_seed, low: -bound, high: bound };
            let spec = TableSpec::dense(format!("{}.{layer}", self.name), rows as u64)
                .width(width)
                .block_elements(self.block_elements)
                .init(init);
            train::described(spec, &self.rule, self.rate, &self.pace, workers)
        };
        let convolution =
            |layer, channels, width: usize| table(layer, channels, width as u32, width - 1);
        let inputs = second.outputs().len();
        Ok(vec![
            convolution("first", FIRST, first.width()),
            convolution("second", SECOND, second.width()),
            table("output", inputs + 1, classes, inputs),
        ])
    }
}

/// Both convolutions, for rows of that many features.
fn layers(features: usize) -> std::result::Result<(Layer<FIRST>, Layer<SECOND>), DataError> {
    let side = features.isqrt();
    if side * side != features || side < SIDE_MIN {
        return Err(DataError::Shape {
            what: "features",
            expected: format!("the pixels of a square image of {SIDE_MIN} x {SIDE_MIN} or more"),
            found: features.to_string(),
        });
    }
    let first = Layer::new(side, 1);
    let second = Layer::new(first.side(), FIRST);
    Ok((first, second))
}

/// Trains on this worker's share, then leaves the group.
///
/// `tables` are those of [`Config::tables`], in their order.
///
/// # Errors
/// `Field` when the tables are not those of the config and data, which no tables are for rows that
/// are no square images; those of the worker.
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
        let shape = config.tables(data.features(), data.classes(), share.size());
        let (Ok(expected), Ok(network)) = (shape, Network::new(data)) else {
            train::check_tables(tables, &[])?;
            return Ok(TrainReport::default());
        };
        descend(me, (tables, &expected), share, &config.pace, network, progress).await
    }
}

/// Scores a model: the rows of its tables, one after the other. With two classes, class 1 counts
/// as positive.
///
/// # Errors
/// `Shape` when the features are no square image of 16 x 16 or more.
///
/// # Panics
/// When the values are not as many as the tables' elements.
pub fn evaluate(values: &[f32], data: &DenseData) -> std::result::Result<Scores, DataError> {
    let mut network = Network::new(data)?;
    assert_eq!(values.len(), network.elements(), "the elements of all three tables");
    Ok(score(&mut network, values, data))
}

struct Network {
    first: Layer<FIRST>,
    second: Layer<SECOND>,
    classes: usize,
    scores: Vec<f32>,
}

impl Network {
    fn new(data: &DenseData) -> std::result::Result<Self, DataError> {
        let (first, second) = layers(data.features())?;
        let classes = data.classes() as usize;
        Ok(Self { first, second, classes, scores: vec![0.0; classes] })
    }

    fn elements(&self) -> usize {
        self.first.elements() + self.second.elements() + self.output_elements()
    }

    fn output_elements(&self) -> usize {
        (self.second.outputs().len() + 1) * self.classes
    }

    /// The elements of each table.
    fn split<'a>(&self, values: &'a [f32]) -> (&'a [f32], &'a [f32], &'a [f32]) {
        let (first, rest) = values.split_at(self.first.elements());
        let (second, output) = rest.split_at(self.second.elements());
        (first, second, output)
    }
}

impl DenseModel for Network {
    fn prepare(&mut self, values: &[f32]) {
        let (first, second, _) = self.split(values);
        self.first.prepare(first);
        self.second.prepare(second);
    }

    fn forward(&mut self, values: &[f32], row: &[f32]) -> &mut [f32] {
        self.first.forward(row);
        self.second.forward(self.first.outputs());
        let inputs = self.second.outputs();
        let output = &values[values.len() - self.output_elements()..];
        let (weights, biases) = output.split_at(inputs.len() * self.classes);
        math::affine(&mut self.scores, inputs, weights, biases);
        &mut self.scores
    }

    fn backward(&mut self, values: &[f32], row: &[f32], gradient: &mut [f32]) {
        let (_, second, output) = self.split(values);
        let (first_slopes, rest) = gradient.split_at_mut(self.first.elements());
        let (second_slopes, output_slopes) = rest.split_at_mut(self.second.elements());
        let (inputs, slopes) = self.second.outputs_and_slopes();
        for ((&input, slope), weights) in
            inputs.iter().zip(&mut *slopes).zip(output.chunks_exact(self.classes))
        {
            *slope = if input > 0.0 { math::dot(weights, &self.scores) } else { 0.0 };
        }
        math::add_outer(output_slopes, inputs, &self.scores);
        let (inputs, slopes) = self.first.outputs_and_slopes();
        self.second.add_gradient(inputs, second_slopes);
        self.second.pass_down(second, slopes);
        for (slope, &input) in slopes.iter_mut().zip(inputs) {
            *slope = if input > 0.0 { *slope } else { 0.0 };
        }
        self.first.add_gradient(row, first_slopes);
    }

    /// Two per product forward, and two backward for each of weights and inputs, of which a
    /// quarter is not left out by the maxima.
    fn row_flops(&self) -> u64 {
        let (first, second) = (self.first.products(), self.second.products());
        let output = (self.second.outputs().len() * self.classes) as u64;
        2 * (first + first / 4 + second + second / 2 + 3 * output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits_split;
    use crate::descent::gradient;
    use crate::testing::{gradient_error, scattered, trained};
    use archipelago::embed::EmbedWorker;

    /// The digits of 8 x 8 pixels, every pixel four times.
    fn large(data: &DenseData) -> DenseData {
        let pixel = |row: usize, place: usize| data.row(row)[place / 32 * 8 + place % 16 / 2];
        let values = (0..data.rows()).flat_map(|row| (0..256).map(move |place| pixel(row, place)));
        DenseData::new(256, 10, values.collect(), data.labels().to_vec()).unwrap()
    }

    #[test]
    fn the_gradient_is_that_of_the_loss() {
        let data = DenseData::new(324, 3, scattered(2 * 324, 1), vec![0, 2]).unwrap();
        let mut network = Network::new(&data).unwrap();
        let values: Vec<f32> =
            scattered(network.elements(), 2).iter().map(|value| value * 0.4).collect();
        let mut slopes = vec![7.0; values.len()];
        gradient(&mut network, &values, &data, &[0, 1], &mut slopes);
        let mut ignored = slopes.clone();
        // Maxima have corners: few of the thousands of steps may cross one.
        let mut errors = Vec::new();
        let largest = slopes.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
        for (at, slope) in slopes.iter().enumerate() {
            let error = gradient_error(&values[at..=at], &[largest], |value| {
                let mut moved = values.clone();
                moved[at] = value[0];
                let loss = gradient(&mut network, &moved, &data, &[0, 1], &mut ignored);
                loss + f64::from(value[0] * (largest - slope))
            });
            errors.push(error);
        }
        errors.sort_unstable_by(f64::total_cmp);
        assert!(errors[errors.len() * 9 / 10] < 1e-3, "{}", errors[errors.len() * 9 / 10]);
        assert!(errors[errors.len() - 1] < 0.1, "{}", errors[errors.len() - 1]);
    }

    #[test]
    fn digits_are_learned_and_repeat_bit_by_bit() {
        let (data, test) = digits_split().unwrap();
        let (data, test) = (large(&data), large(&test));
        let mut config = Config { block_elements: 256, ..Config::default() };
        config.pace.epochs = 5;
        let run = || {
            let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, DenseData>| {
                train(me, tables, share, &config, &|_| {}).await
            };
            trained(&data, config.tables(256, 10, 4).unwrap(), 4, train).0
        };
        let values = run();
        let scores = evaluate(&values, &test).unwrap();
        assert!(scores.accuracy > 0.85, "{scores:?}");
        assert_eq!(run(), values);
    }

    #[test]
    fn rows_that_are_no_images_are_refused() {
        let config = Config::default();
        for features in [0, 225, 257] {
            let error = config.tables(features, 10, 1).unwrap_err().to_string();
            let expected =
                "features: expected the pixels of a square image of 16 x 16 or more, found ";
            assert_eq!(error, format!("{expected}{features}"));
        }
        let count = |(spec, _): &(TableSpec, Hyper)| spec.rows() * u64::from(spec.width);
        let elements: u64 = config.tables(784, 10, 1).unwrap().iter().map(count).sum();
        assert_eq!(elements, 5_994);
    }
}
