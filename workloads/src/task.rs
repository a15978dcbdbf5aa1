//! Models with their data behind one face: what an experiment trains with any number of workers,
//! and judges by the tables' values alone.
//!
//! A [`Task`] knows its tables, one worker's part and its objective. It knows neither drivers nor
//! data centres: whoever runs it creates the tables, lets every worker [`train`](Task::train), and
//! asks how good the values are that some copy of the tables holds at some tick.
//!
//! | [`Kind`] | model | data | objective | its score |
//! |---|---|---|---|---|
//! | `Mf` | [`mf`] | Jester | F per rating trained on, lower is better | held-out RMSE |
//! | `Lda` | [`lda`] | KOS | mean ln p of held-out words, higher is better | perplexity |
//! | `Image` | [`cnn`] | MNIST | held-out log-loss, lower is better | accuracy |
//!
//! ```
//! use archipelago::{Table, Worker};
//! use archipelago_workloads::data::{Cut, digits_split};
//! use archipelago_workloads::task::{Task, TaskError};
//! use archipelago_workloads::train::{TrainReport, Values};
//!
//! /// What each of a group's workers runs, in any driver.
//! async fn work<W: Worker>(
//!     me: &W,
//!     tables: &[Table],
//!     task: &Task,
//! ) -> Result<TrainReport, TaskError> {
//!     task.train(me, tables, &Cut::Skewed, &|_| {}).await
//! }
//!
//! let (train, test) = digits_split()?;
//! let task = Task::Mlp { config: Default::default(), train, test };
//! let specs = task.tables(4)?;
//! assert_eq!((specs.len(), task.iterations(4, &Cut::Skewed)?), (2, 690));
//!
//! // Any copy of the tables' values can be judged; these have learned nothing.
//! let found = task.judge(&Values::F32(vec![0.0; 65 * 64 + 65 * 10]))?;
//! assert_eq!(found.objective.name, "held-out log-loss");
//! assert!((found.objective.value - 10_f64.ln()).abs() < 1e-6);
//! # Ok::<(), TaskError>(())
//! ```

use std::path::Path;

use archipelago::{Error, Hyper, Table, TableSpec, Worker};

use crate::data::{Cut, DataError, DenseData, Documents, Examples, RatingFormat, Ratings, Share};
use crate::train::{OnProgress, Pace, TrainReport, Values};
use crate::{cnn, lda, mf, mlp};

/// The tasks that come with files of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Matrix factorization.
    Mf,
    /// Topic modelling.
    Lda,
    /// Image classification.
    Image,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mf, Self::Lda, Self::Image];

    /// The files that it is trained on, in the folder of [`Task::open`].
    pub fn train_files(self) -> &'static [&'static str] {
        match self {
            Self::Mf => &["jester1.ratings.csv.gz"],
            Self::Lda => &["docword.kos.txt.gz"],
            Self::Image => &["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"],
        }
    }

    /// The name that reports and the command line have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mf => "mf",
            Self::Lda => "lda",
            Self::Image => "image",
        }
    }
}

/// A model, its data and how to train it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Task {
    /// Factors of items that foretell ratings.
    Mf {
        /// What is trained, and how.
        config: mf::Config,
        /// Ratings to train on.
        train: Ratings,
        /// Held-out ratings of the same users.
        test: Ratings,
    },
    /// Topics of documents.
    Lda {
        /// What is trained, and how.
        config: lda::Config,
        /// Documents to train on.
        train: Documents,
        /// Held-out documents with the same vocabulary.
        test: Documents,
    },
    /// A convolutional network on images.
    Cnn {
        /// What is trained, and how.
        config: cnn::Config,
        /// Rows to train on.
        train: DenseData,
        /// Held-out rows.
        test: DenseData,
    },
    /// A network with one hidden layer.
    Mlp {
        /// What is trained, and how.
        config: mlp::Config,
        /// Rows to train on.
        train: DenseData,
        /// Held-out rows.
        test: DenseData,
    },
}

/// A task cannot go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TaskError {
    /// The store has refused or failed.
    #[error(transparent)]
    Store(#[from] Error),
    /// The data has no such share, or not the shape that the model needs.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The values are not those of the task's tables.
    #[error("values of {task}: expected {expected}, found {found}")]
    Values {
        /// The task.
        task: &'static str,
        /// How many, and of which type.
        expected: String,
        /// How many, and of which type.
        found: String,
    },
}

impl TaskError {
    /// The error in the store's words, for who runs tasks as workers.
    pub fn into_store_error(self) -> Error {
        match self {
            Self::Store(error) => error,
            other => {
                let (name, what) = ("task".into(), other.to_string());
                archipelago::error::SpecError::Planned { name, what }.into()
            },
        }
    }
}

/// How good a model is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judgement {
    /// What is judged by, one figure for each task.
    pub objective: Figure,
    /// The same in a customary form, or what users care for.
    pub score: Figure,
}

/// A figure with its name.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Whether more is better.
    pub rising: bool,
    /// How much it is.
    pub value: f64,
}

impl Figure {
    fn falling(name: &'static str, value: f64) -> Self {
        Self { name, rising: false, value }
    }

    fn rising(name: &'static str, value: f64) -> Self {
        Self { name, rising: true, value }
    }

    /// How much of the way from `start` to `end` has been made: 0 at the start, 1 at the end,
    /// whichever direction is better.
    pub fn progress(&self, start: f64, end: f64) -> f64 {
        (self.value - start) / (end - start)
    }
}

impl Task {
    /// The task of that kind with its defaults, on its files in `folder`: a tenth of Jester's
    /// ratings and of KOS's documents, and the test images of MNIST, are held out.
    ///
    /// # Errors
    /// Those of the loaders.
    pub fn open(kind: Kind, folder: impl AsRef<Path>) -> Result<Self, DataError> {
        let file = |name: &str| folder.as_ref().join(name);
        Ok(match kind {
            Kind::Mf => {
                let ratings = Ratings::open(file("jester1.ratings.csv.gz"), RatingFormat::Csv)?;
                let (train, test) = ratings.split(1, 0.1);
                Self::Mf { config: mf::Config::default(), train, test }
            },
            Kind::Lda => {
                let documents = Documents::open_docword(file("docword.kos.txt.gz"))?;
                let (train, test) = documents.hold_out(10);
                Self::Lda { config: lda::Config::default(), train, test }
            },
            Kind::Image => {
                let open = |part| {
                    DenseData::open_idx(
                        file(&format!("{part}-images-idx3-ubyte.gz")),
                        file(&format!("{part}-labels-idx1-ubyte.gz")),
                    )
                };
                let (train, test) = (open("train")?, open("t10k")?);
                Self::Cnn { config: cnn::Config::default(), train, test }
            },
        })
    }

    /// The name of its model.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Mf { .. } => "mf",
            Self::Lda { .. } => "lda",
            Self::Cnn { .. } => "cnn",
            Self::Mlp { .. } => "mlp",
        }
    }

    /// The tables to create for that many workers, all data centres' together.
    ///
    /// # Errors
    /// `Shape` when the model cannot take the data.
    pub fn tables(&self, workers: u32) -> Result<Vec<(TableSpec, Hyper)>, DataError> {
        Ok(match self {
            Self::Mf { config, train, .. } => config.tables(train.items(), workers),
            Self::Lda { config, train, .. } => config.tables(train.vocabulary()),
            Self::Cnn { config, train, .. } => {
                config.tables(train.features(), train.classes(), workers)?
            },
            Self::Mlp { config, train, .. } => {
                config.tables(train.features(), train.classes(), workers)
            },
        })
    }

    /// Steps and length.
    pub fn pace(&self) -> &Pace {
        match self {
            Self::Mf { config, .. } => &config.pace,
            Self::Lda { config, .. } => &config.pace,
            Self::Cnn { config, .. } => &config.pace,
            Self::Mlp { config, .. } => &config.pace,
        }
    }

    /// Steps and length, to be changed.
    pub fn pace_mut(&mut self) -> &mut Pace {
        match self {
            Self::Mf { config, .. } => &mut config.pace,
            Self::Lda { config, .. } => &mut config.pace,
            Self::Cnn { config, .. } => &mut config.pace,
            Self::Mlp { config, .. } => &mut config.pace,
        }
    }

    /// Rows to train on: users, documents, images.
    pub fn rows(&self) -> usize {
        match self {
            Self::Mf { train, .. } => train.rows(),
            Self::Lda { train, .. } => train.rows(),
            Self::Cnn { train, .. } | Self::Mlp { train, .. } => train.rows(),
        }
    }

    /// Iterations that each of `workers` workers will make.
    ///
    /// # Errors
    /// Those of [`Share::new`].
    pub fn iterations(&self, workers: u32, cut: &Cut) -> Result<u64, DataError> {
        Ok(match self {
            Self::Mf { train, .. } => self.pace().iterations(&Share::new(train, 0, workers, cut)?),
            Self::Lda { train, .. } => self.pace().iterations(&Share::new(train, 0, workers, cut)?),
            Self::Cnn { train, .. } | Self::Mlp { train, .. } => {
                self.pace().iterations(&Share::new(train, 0, workers, cut)?)
            },
        })
    }

    /// One worker's part: trains on its share under `cut`, then leaves the group. `tables` are
    /// those of [`tables`](Self::tables), in their order.
    ///
    /// # Errors
    /// `Store`, `Data`.
    pub fn train<'a, W: Worker>(
        &'a self,
        me: &'a W,
        tables: &'a [Table],
        cut: &'a Cut,
        progress: OnProgress<'a>,
    ) -> impl Future<Output = Result<TrainReport, TaskError>> + Send {
        let place = (me.origin().rank.0, me.group_size());
        self.train_as(me, tables, cut, place, progress)
    }

    /// As [`train`](Self::train), for a worker whose group is a part of all that train on the data:
    /// it is the `rank`-th of `workers`.
    ///
    /// # Errors
    /// As there.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn is not known to be Send where the worker's type is concrete"
    )]
    pub fn train_as<'a, W: Worker>(
        &'a self,
        me: &'a W,
        tables: &'a [Table],
        cut: &'a Cut,
        (rank, workers): (u32, u32),
        progress: OnProgress<'a>,
    ) -> impl Future<Output = Result<TrainReport, TaskError>> + Send {
        async move {
            Ok(match self {
                Self::Mf { config, train, .. } => {
                    let share = Share::new(train, rank, workers, cut)?;
                    mf::train(me, tables, &share, config, progress).await?
                },
                Self::Lda { config, train, .. } => {
                    let share = Share::new(train, rank, workers, cut)?;
                    lda::train(me, tables, &share, config, progress).await?
                },
                Self::Cnn { config, train, .. } => {
                    let share = Share::new(train, rank, workers, cut)?;
                    cnn::train(me, tables, &share, config, progress).await?
                },
                Self::Mlp { config, train, .. } => {
                    let share = Share::new(train, rank, workers, cut)?;
                    mlp::train(me, tables, &share, config, progress).await?
                },
            })
        }
    }

    /// Judges the values of all tables, one table after the other, as any copy of them holds them
    /// at any tick.
    ///
    /// # Errors
    /// `Values` when they are not as many, or not of the type, that the tables hold; `Data`.
    pub fn judge(&self, values: &Values) -> Result<Judgement, TaskError> {
        Ok(match self {
            Self::Mf { config, train, test } => {
                let scores = mf::evaluate(self.weights(values)?, train, test, config);
                Judgement {
                    objective: Figure::falling("regularised squared loss", scores.objective),
                    score: Figure::falling("RMSE", scores.rmse),
                }
            },
            Self::Lda { config, test, .. } => {
                let found = lda::evaluate(self.counts(values)?, test, config);
                Judgement {
                    objective: Figure::rising("held-out log-likelihood", found.log_likelihood),
                    score: Figure::falling("perplexity", found.perplexity()),
                }
            },
            Self::Cnn { test, .. } => classified(cnn::evaluate(self.weights(values)?, test)?),
            Self::Mlp { config, test, .. } => {
                classified(mlp::evaluate(self.weights(values)?, test, config))
            },
        })
    }

    /// Elements of all tables.
    fn elements(&self) -> Result<u64, DataError> {
        let tables = self.tables(1)?;
        Ok(tables.iter().map(|(spec, _)| spec.rows() * u64::from(spec.width)).sum())
    }

    fn weights<'a>(&self, values: &'a Values) -> Result<&'a [f32], TaskError> {
        let elements = self.elements()?;
        let weights = values.weights().filter(|weights| weights.len() as u64 == elements);
        weights.ok_or_else(|| self.other_values(values, format!("{elements} weights")))
    }

    fn counts<'a>(&self, values: &'a Values) -> Result<&'a [i64], TaskError> {
        let elements = self.elements()?;
        let counts = values.counts().filter(|counts| counts.len() as u64 == elements);
        counts.ok_or_else(|| self.other_values(values, format!("{elements} counts")))
    }

    fn other_values(&self, values: &Values, expected: String) -> TaskError {
        let found = match values {
            Values::F32(values) => format!("{} weights", values.len()),
            Values::I64(values) => format!("{} counts", values.len()),
        };
        TaskError::Values { task: self.name(), expected, found }
    }
}

fn classified(scores: crate::score::Scores) -> Judgement {
    Judgement {
        objective: Figure::falling("held-out log-loss", scores.log_loss),
        score: Figure::rising("accuracy", scores.accuracy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::digits_split;

    #[test]
    fn values_of_other_tables_are_refused() {
        let (train, test) = digits_split().unwrap();
        let task = Task::Mlp { config: mlp::Config::default(), train, test };
        let elements = 65 * 64 + 65 * 10;
        let judged = task.judge(&Values::F32(vec![0.0; elements])).unwrap();
        assert!((judged.objective.value - 10_f64.ln()).abs() < 1e-6 && !judged.objective.rising);
        for (values, found) in
            [(Values::F32(vec![0.0; 3]), "3 weights"), (Values::I64(vec![0; 4]), "4 counts")]
        {
            let error = task.judge(&values).unwrap_err().to_string();
            assert_eq!(error, format!("values of mlp: expected 4810 weights, found {found}"));
        }
    }

    #[test]
    fn progress_goes_from_the_start_to_the_end_in_either_direction() {
        let at = |value| Figure::rising("x", value).progress(-8.0, -6.0);
        assert_eq!((at(-8.0), at(-7.0), at(-6.0)), (0.0, 0.5, 1.0));
        assert_eq!(Figure::falling("x", 3.0).progress(4.0, 2.0), 0.5);
    }

    #[test]
    fn files_that_are_not_there_are_named() {
        for kind in Kind::ALL {
            let error = Task::open(kind, "/nowhere").unwrap_err().to_string();
            assert!(error.starts_with("/nowhere/") && !kind.name().is_empty(), "{error}");
        }
    }
}
