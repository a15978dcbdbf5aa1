//! The data of `train`: files opened as their content tells, with a hint where the format is
//! another one, and the digits inside the program.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use archipelago_workloads::data::{
    CsvOptions, DataError, DenseData, Format, SparseData, digits_split,
};
use archipelago_workloads::{mlp, softmax, sparse_lr};

use super::arguments::{ModelKind, TrainArguments};
use super::model::Model;
use crate::nearest::nearest;
use crate::patience;

/// What `--train` says for the digits inside the program.
const DIGITS: &str = "digits";

/// A data file that its loader refuses, with what to do about it.
#[derive(Debug, thiserror::Error)]
#[error("{error}\nhint: {hint}")]
struct Refused {
    #[source]
    error: DataError,
    hint: String,
}

/// Opens the files and picks the model's defaults for them.
pub(crate) fn load(arguments: &TrainArguments) -> anyhow::Result<Model> {
    match arguments.model {
        ModelKind::SparseLr => {
            let (train, test) = load_sparse(arguments)?;
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

fn load_sparse(arguments: &TrainArguments) -> anyhow::Result<(SparseData, SparseData)> {
    let options = [&arguments.train_labels, &arguments.test_labels];
    ensure!(
        options.iter().all(|option| option.is_none()),
        "--train-labels and --test-labels are for IDX images, which softmax and mlp read"
    );
    ensure!(
        arguments.train != Path::new(DIGITS),
        "the digits are images of ten classes: train them with --model softmax or mlp"
    );
    let open = |path: &Path| {
        let data = patience::loading(path, || SparseData::open_libsvm(path));
        data.map_err(|error| refused(arguments.model, path, error))
    };
    Ok((open(&arguments.train)?, open(test_file(arguments)?)?))
}

/// Whether rows are scaled to length 1, as text usually is: such data needs larger steps.
fn has_unit_rows(data: &SparseData) -> bool {
    let length = |row: usize| data.row(row).values.iter().map(|value| value * value).sum::<f32>();
    (0..data.rows()).all(|row| (length(row) - 1.0).abs() < 1e-2)
}

fn load_dense(arguments: &TrainArguments) -> anyhow::Result<(DenseData, DenseData)> {
    if arguments.train == Path::new(DIGITS) {
        return load_digits(arguments);
    }
    let named = arguments.train.to_str().filter(|_| !arguments.train.exists());
    if let Some(absent) = named.filter(|name| nearest(name, [DIGITS]).is_some()) {
        bail!("there is no file {absent}: did you mean `{DIGITS}`, which are in this program?");
    }
    let test = test_file(arguments)?;
    let (train_labels, test_labels) = (&arguments.train_labels, &arguments.test_labels);
    let open = |path: &Path, labels: &Option<PathBuf>, option| {
        patience::loading(path, || open_dense(arguments.model, path, labels.as_deref(), option))
    };
    let train = open(&arguments.train, train_labels, "--train-labels")?;
    let test_rows = open(test, test_labels, "--test-labels")?;
    ensure!(
        train.features() == test_rows.features(),
        "{} has {} features, {} has {}: both need the same",
        arguments.train.display(),
        train.features(),
        test.display(),
        test_rows.features()
    );
    let classes = train.classes().max(test_rows.classes());
    Ok((train.with_classes(classes)?, test_rows.with_classes(classes)?))
}

fn load_digits(arguments: &TrainArguments) -> anyhow::Result<(DenseData, DenseData)> {
    let TrainArguments { test, train_labels, test_labels, .. } = arguments;
    let options =
        [("--test", test), ("--train-labels", train_labels), ("--test-labels", test_labels)];
    if let Some((option, _)) = options.into_iter().find(|(_, file)| file.is_some()) {
        bail!(
            "--train digits brings its own labels and test rows: leave {option} out, or write \
             ./digits for a file of that name"
        );
    }
    Ok(digits_split()?)
}

fn test_file(arguments: &TrainArguments) -> anyhow::Result<&Path> {
    arguments.test.as_deref().context("--test FILE is missing: rows held out to score the model on")
}

fn open_dense(
    model: ModelKind,
    path: &Path,
    labels: Option<&Path>,
    option: &str,
) -> anyhow::Result<DenseData> {
    let idx = match Format::guess(path)? {
        Some(Format::Idx { dimensions }) => {
            ensure!(
                dimensions > 1,
                "{} holds the labels of an IDX pair: name the images here, and the labels by \
                 {option}",
                path.display()
            );
            true
        },
        Some(_) => false,
        None => labels.is_some(),
    };
    if !idx {
        ensure!(
            labels.is_none(),
            "{option} is for IDX images, and {} is another format: leave it out",
            path.display()
        );
        let csv = DenseData::open_csv(path, CsvOptions::default());
        return csv.map_err(|error| refused(model, path, error));
    }
    let labels = match labels {
        Some(labels) => labels.to_path_buf(),
        None => labels_of(path, option)?,
    };
    DenseData::open_idx(path, &labels)
        .with_context(|| format!("images {} with labels {}", path.display(), labels.display()))
}

fn labels_of(path: &Path, option: &str) -> anyhow::Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !name.contains("images-idx3") {
        bail!("{} holds IDX images: name the file of their labels by {option}", path.display());
    }
    Ok(path.with_file_name(name.replace("images-idx3", "labels-idx1")))
}

/// Adds to what is wrong in a file what the file looks like and what to pass instead.
fn refused(model: ModelKind, path: &Path, error: DataError) -> anyhow::Error {
    if !matches!(error, DataError::Text { .. } | DataError::Binary { .. }) {
        return error.into();
    }
    // A file that can no longer be read has its own error already.
    let format = Format::guess(path).ok().flatten();
    Refused { error, hint: hint(model, format) }.into()
}

fn hint(model: ModelKind, format: Option<Format>) -> String {
    let sparse = model == ModelKind::SparseLr;
    let reads = if sparse {
        "sparse-lr reads LIBSVM: rows of `label index:value ..`, labels -1 or 0, and +1, indices \
         from 1"
    } else {
        "softmax and mlp read CSV: no header, the class as 0, 1, 2, .. in the first column, \
         numbers in all others, separated by commas"
    };
    match format {
        Some(Format::Binary) => {
            format!("the file is neither text, gzip nor IDX: unpack or convert it. {reads}")
        },
        Some(Format::Libsvm) if !sparse => {
            format!(
                "the file looks like LIBSVM: pass --model sparse-lr, which tells two classes \
                 apart, or convert the file to CSV. {reads}"
            )
        },
        Some(Format::Libsvm) => format!(
            "{reads}. More than two classes in LIBSVM are not supported: label one class +1 and \
             all others -1, or convert the file to CSV for --model softmax or mlp"
        ),
        Some(Format::Csv { .. }) if sparse => {
            format!("the file looks like CSV: pass --model softmax or mlp. {reads}")
        },
        Some(Format::Idx { .. }) if sparse => {
            format!("the file looks like IDX: pass --model softmax or mlp. {reads}")
        },
        Some(Format::Csv { header: true, .. }) => {
            format!("the first line looks like a header: remove it (tail -n +2). {reads}")
        },
        Some(Format::Csv { separator, .. }) if separator != b',' => {
            format!("the fields look separated by {:?}. {reads}", char::from(separator))
        },
        _ => reads.into(),
    }
}
