//! `train`: a model from files.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use archipelago::Schedule;
use archipelago_workloads::data::{CsvOptions, DenseData, SparseData};
use archipelago_workloads::{mlp, softmax, sparse_lr};

use crate::arguments::{ModelKind, TrainArguments};
use crate::job::Job;
use crate::model::Model;
use crate::report;

/// Loads, trains, scores, reports.
pub(crate) fn run(arguments: &TrainArguments, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut model = load(arguments)?;
    if let Some(epochs) = arguments.epochs {
        model.pace_mut().epochs = epochs;
    }
    if let Some(batch) = arguments.batch {
        ensure!(batch > 0, "--batch must be at least 1");
        model.pace_mut().batch = batch;
    }
    if let Some(rate) = arguments.rate {
        ensure!(rate.is_finite() && rate > 0.0, "--rate must be a finite number > 0");
        *model.rate_mut() = Schedule::Constant(rate);
    }
    let job = Job {
        model: &model,
        local: arguments.local,
        workers: arguments.workers,
        shards: arguments.shards,
        quiet: arguments.json,
    };
    let outcome = job.run()?;
    if arguments.json { report::json(out, &outcome) } else { report::table(out, &[outcome]) }
}

fn load(arguments: &TrainArguments) -> anyhow::Result<Model> {
    match arguments.model {
        ModelKind::SparseLr => {
            let train = SparseData::open_libsvm(&arguments.train)?;
            let test = SparseData::open_libsvm(&arguments.test)?;
            let config = if has_unit_rows(&train) {
                sparse_lr::Config::unit_rows()
            } else {
                sparse_lr::Config::default()
            };
            Ok(Model::SparseLr { config, train, test })
        },
        ModelKind::Softmax => {
            let (train, test) = load_dense(arguments)?;
            Ok(Model::Softmax { config: softmax::Config::default(), train, test })
        },
        ModelKind::Mlp => {
            let (train, test) = load_dense(arguments)?;
            Ok(Model::Mlp { config: mlp::Config::default(), train, test })
        },
    }
}

/// Whether rows are scaled to length 1, as text usually is: such data needs larger steps.
fn has_unit_rows(data: &SparseData) -> bool {
    let length = |row: usize| data.row(row).values.iter().map(|value| value * value).sum::<f32>();
    (0..data.rows()).all(|row| (length(row) - 1.0).abs() < 1e-2)
}

fn load_dense(arguments: &TrainArguments) -> anyhow::Result<(DenseData, DenseData)> {
    let train = open_dense(&arguments.train, arguments.train_labels.as_deref())?;
    let test = open_dense(&arguments.test, arguments.test_labels.as_deref())?;
    ensure!(
        train.features() == test.features(),
        "{} has {} features, {} has {}",
        arguments.train.display(),
        train.features(),
        arguments.test.display(),
        test.features()
    );
    let classes = train.classes().max(test.classes());
    Ok((train.with_classes(classes)?, test.with_classes(classes)?))
}

fn open_dense(path: &Path, labels: Option<&Path>) -> anyhow::Result<DenseData> {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_default();
    if labels.is_none() && !name.contains("idx") {
        return Ok(DenseData::open_csv(path, CsvOptions::default())?);
    }
    let labels = match labels {
        Some(labels) => labels.to_path_buf(),
        None => labels_of(path, &name)?,
    };
    DenseData::open_idx(path, &labels)
        .with_context(|| format!("images {} with labels {}", path.display(), labels.display()))
}

fn labels_of(path: &Path, name: &str) -> anyhow::Result<PathBuf> {
    if !name.contains("images-idx3") {
        bail!("{}: name the labels with --train-labels and --test-labels", path.display());
    }
    Ok(path.with_file_name(name.replace("images-idx3", "labels-idx1")))
}
