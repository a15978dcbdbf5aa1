//! The network, in candle's own words: layers from a `VarBuilder`, parameters in a `VarMap`.
//!
//! The store knows the parameters by the names that candle gives them. Nothing here knows the
//! store, except that [`Model::tensors`] describes them to it.

use archipelago_client::{Init, Shape, TensorSpec};
use archipelago_workloads::data::DenseData;
use candle_core::{D, DType, Device, Tensor, Var};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module, VarBuilder, VarMap};

/// Pixels of a side of an image.
const SIDE: usize = 8;
const CLASSES: usize = 10;

/// Two convolutions, each halved by its maximum, and a linear layer.
pub(crate) struct Model {
    /// Every parameter by name, in the order of the names.
    parameters: Vec<(String, Var)>,
    first: Conv2d,
    second: Conv2d,
    output: Linear,
}

/// Images and what they show.
pub(crate) struct Batch {
    images: Tensor,
    labels: Tensor,
}

/// A parameter's name, shape and gradient.
pub(crate) type Slope = (String, Vec<usize>, Vec<f32>);

impl Model {
    /// Its parameters mean nothing until they are loaded.
    pub(crate) fn new() -> candle_core::Result<Self> {
        let variables = VarMap::new();
        let builder = VarBuilder::from_varmap(&variables, DType::F32, &Device::Cpu);
        let same = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
        let first = candle_nn::conv2d(1, 16, 3, same, builder.pp("conv1"))?;
        let second = candle_nn::conv2d(16, 32, 3, same, builder.pp("conv2"))?;
        let output = candle_nn::linear(32 * SIDE / 4 * SIDE / 4, CLASSES, builder.pp("output"))?;
        let held = variables.data().lock().expect("nobody has panicked");
        let mut parameters: Vec<_> =
            held.iter().map(|(name, variable)| (name.clone(), variable.clone())).collect();
        drop(held);
        parameters.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(Self { parameters, first, second, output })
    }

    /// What the table holds. Weights start uniform in +-sqrt(6 / inputs), biases with zeros.
    pub(crate) fn tensors(&self, seed: u64) -> candle_core::Result<Vec<TensorSpec>> {
        let described = self.parameters.iter().map(|(name, variable)| {
            let tensor = TensorSpec::new(name.as_str(), Shape::from(variable.dims()));
            let inputs: usize = variable.dims().iter().skip(1).product();
            let bound = (6.0 / inputs as f64).sqrt();
            let init = match variable.rank() {
                1 => Init::Zero,
                _ => Init::Uniform { seed, low: -bound, high: bound },
            };
            Ok(tensor.init(init))
        });
        described.collect()
    }

    /// Memory for all parameters, by name.
    pub(crate) fn buffers(&self) -> Vec<(String, Vec<f32>)> {
        let buffer =
            |(name, variable): &(String, Var)| (name.clone(), vec![0.0; variable.elem_count()]);
        self.parameters.iter().map(buffer).collect()
    }

    /// Takes what was read into [`buffers`](Self::buffers).
    pub(crate) fn load(&self, values: &[(String, Vec<f32>)]) -> candle_core::Result<()> {
        for ((_, variable), (_, values)) in self.parameters.iter().zip(values) {
            variable.set(&Tensor::from_slice(values, variable.shape(), &Device::Cpu)?)?;
        }
        Ok(())
    }

    /// The loss of a batch and the gradient of every parameter, summed over the images; the layer
    /// nearest to the output first.
    pub(crate) fn slopes(&self, batch: &Batch) -> candle_core::Result<(f32, Vec<Slope>)> {
        let images = batch.labels.elem_count() as f64;
        let scores = self.scores(&batch.images)?;
        let loss = (candle_nn::loss::cross_entropy(&scores, &batch.labels)? * images)?;
        let gradients = loss.backward()?;
        let slope = |(name, variable): &(String, Var)| {
            let slopes = match gradients.get(variable) {
                Some(gradient) => gradient.flatten_all()?.to_vec1()?,
                None => vec![0.0; variable.elem_count()],
            };
            Ok((name.clone(), variable.dims().to_vec(), slopes))
        };
        let slopes = self.parameters.iter().rev().map(slope).collect::<candle_core::Result<_>>()?;
        Ok((loss.to_scalar()?, slopes))
    }

    /// The share of digits that it recognises.
    pub(crate) fn accuracy(&self, data: &DenseData) -> anyhow::Result<f64> {
        let rows: Vec<_> = (0..data.rows()).collect();
        let batch = batch(data, &rows)?;
        let guesses = self.scores(&batch.images)?.argmax(D::Minus1)?;
        let right = guesses.eq(&batch.labels)?.to_dtype(DType::F64)?.sum_all()?;
        Ok(right.to_scalar::<f64>()? / data.rows() as f64)
    }

    fn scores(&self, images: &Tensor) -> candle_core::Result<Tensor> {
        let halved = self.first.forward(images)?.relu()?.max_pool2d(2)?;
        let halved = self.second.forward(&halved)?.relu()?.max_pool2d(2)?;
        self.output.forward(&halved.flatten_from(1)?)
    }
}

/// These rows as images.
pub(crate) fn batch(data: &DenseData, rows: &[usize]) -> candle_core::Result<Batch> {
    let pixels: Vec<f32> = rows.iter().flat_map(|row| data.row(*row)).copied().collect();
    let labels: Vec<u32> = rows.iter().map(|row| data.labels()[*row]).collect();
    let images = Tensor::from_vec(pixels, (rows.len(), 1, SIDE, SIDE), &Device::Cpu)?;
    Ok(Batch { images, labels: Tensor::from_vec(labels, rows.len(), &Device::Cpu)? })
}
