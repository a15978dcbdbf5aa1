//! The models that a job can train, behind one face.

use archipelago::{Extension, Hyper, Result, Table, TableSpec, Worker};
use archipelago_workloads::data::{DataError, DenseData, Share, SparseData};
use archipelago_workloads::score::Scores;
use archipelago_workloads::train::{OnProgress, Pace, TrainReport};
use archipelago_workloads::{mlp, softmax, sparse_lr};

use super::stop::Stopped;
use super::summary::Summary;

/// A model, its data and how to train it.
#[derive(Clone, Debug)]
pub(crate) enum Model {
    SparseLr { config: sparse_lr::Config, train: SparseData, test: SparseData },
    Softmax { config: softmax::Config, train: DenseData, test: DenseData },
    Mlp { config: mlp::Config, train: DenseData, test: DenseData },
}

impl Model {
    /// The tables to create for that many workers.
    pub(crate) fn tables(&self, workers: u32) -> Vec<(TableSpec, Hyper)> {
        match self {
            Self::SparseLr { config, train, .. } => config.tables(train.features(), workers),
            Self::Softmax { config, train, .. } => {
                config.tables(train.features(), train.classes(), workers)
            },
            Self::Mlp { config, train, .. } => {
                config.tables(train.features(), train.classes(), workers)
            },
        }
    }

    /// Iterations that each of `workers` workers will make.
    pub(crate) fn iterations(&self, workers: u32) -> std::result::Result<u64, DataError> {
        Ok(match self {
            Self::SparseLr { config, train, .. } => {
                config.pace.iterations(&Share::strided(train, 0, workers)?)
            },
            Self::Softmax { config, train, .. } => {
                config.pace.iterations(&Share::strided(train, 0, workers)?)
            },
            Self::Mlp { config, train, .. } => {
                config.pace.iterations(&Share::strided(train, 0, workers)?)
            },
        })
    }

    /// The name that the command line has for it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::SparseLr { .. } => "sparse-lr",
            Self::Softmax { .. } => "softmax",
            Self::Mlp { .. } => "mlp",
        }
    }

    /// Rows to train on.
    pub(crate) fn rows(&self) -> usize {
        match self {
            Self::SparseLr { train, .. } => train.rows(),
            Self::Softmax { train, .. } | Self::Mlp { train, .. } => train.rows(),
        }
    }

    /// The log-loss of giving every class the same probability, in nats; of two classes at least.
    pub(crate) fn guessing(&self) -> f64 {
        let classes = match self {
            Self::SparseLr { .. } => 2,
            Self::Softmax { train, .. } | Self::Mlp { train, .. } => train.classes().max(2),
        };
        f64::from(classes).ln()
    }

    /// The learning rate at the first tick.
    pub(crate) fn rate(&self) -> f64 {
        let rate = match self {
            Self::SparseLr { config, .. } => config.rate,
            Self::Softmax { config, .. } => config.rate,
            Self::Mlp { config, .. } => config.rate,
        };
        rate.at(1)
    }

    /// Steps and length, to be changed.
    pub(crate) fn pace_mut(&mut self) -> &mut Pace {
        match self {
            Self::SparseLr { config, .. } => &mut config.pace,
            Self::Softmax { config, .. } => &mut config.pace,
            Self::Mlp { config, .. } => &mut config.pace,
        }
    }

    /// The name that its tables have in common.
    pub(crate) fn run(&self) -> &str {
        match self {
            Self::SparseLr { config, .. } => &config.name,
            Self::Softmax { config, .. } => &config.name,
            Self::Mlp { config, .. } => &config.name,
        }
    }

    /// That name, to be changed.
    pub(crate) fn run_mut(&mut self) -> &mut String {
        match self {
            Self::SparseLr { config, .. } => &mut config.name,
            Self::Softmax { config, .. } => &mut config.name,
            Self::Mlp { config, .. } => &mut config.name,
        }
    }

    /// Elements of a block of its dense tables, to be changed.
    pub(crate) fn block_elements_mut(&mut self) -> &mut u32 {
        match self {
            Self::SparseLr { config, .. } => &mut config.block_elements,
            Self::Softmax { config, .. } => &mut config.block_elements,
            Self::Mlp { config, .. } => &mut config.block_elements,
        }
    }

    /// The update rule.
    pub(crate) fn rule(&self) -> &Extension {
        match self {
            Self::SparseLr { config, .. } => &config.rule,
            Self::Softmax { config, .. } => &config.rule,
            Self::Mlp { config, .. } => &config.rule,
        }
    }

    /// The update rule, to be changed.
    pub(crate) fn rule_mut(&mut self) -> &mut Extension {
        match self {
            Self::SparseLr { config, .. } => &mut config.rule,
            Self::Softmax { config, .. } => &mut config.rule,
            Self::Mlp { config, .. } => &mut config.rule,
        }
    }

    /// The learning rate, to be changed.
    pub(crate) fn rate_mut(&mut self) -> &mut archipelago::Schedule {
        match self {
            Self::SparseLr { config, .. } => &mut config.rate,
            Self::Softmax { config, .. } => &mut config.rate,
            Self::Mlp { config, .. } => &mut config.rate,
        }
    }

    /// One worker's part.
    pub(crate) async fn train<W: Worker>(
        &self,
        me: &W,
        tables: &[Table],
        progress: OnProgress<'_>,
    ) -> Result<TrainReport, JobError> {
        let (rank, workers) = (me.origin().rank.0, me.group_size());
        match self {
            Self::SparseLr { config, train, .. } => {
                let share = Share::strided(train, rank, workers)?;
                Ok(sparse_lr::train(me, tables, &share, config, progress).await?)
            },
            Self::Softmax { config, train, .. } => {
                let share = Share::strided(train, rank, workers)?;
                Ok(softmax::train(me, tables, &share, config, progress).await?)
            },
            Self::Mlp { config, train, .. } => {
                let share = Share::strided(train, rank, workers)?;
                Ok(mlp::train(me, tables, &share, config, progress).await?)
            },
        }
    }

    /// What the training rows and the held-out rows are.
    pub(crate) fn summaries(&self) -> (Summary, Summary) {
        match self {
            Self::SparseLr { train, test, .. } => {
                (Summary::of_sparse(train), Summary::of_sparse(test))
            },
            Self::Softmax { train, test, .. } | Self::Mlp { train, test, .. } => {
                (Summary::of_dense(train), Summary::of_dense(test))
            },
        }
    }

    /// Scores on the held-out rows.
    pub(crate) fn evaluate(&self, values: &[f32]) -> Scores {
        match self {
            Self::SparseLr { test, .. } => sparse_lr::evaluate(values, test),
            Self::Softmax { test, .. } => softmax::evaluate(values, test),
            Self::Mlp { config, test, .. } => mlp::evaluate(values, test, config),
        }
    }
}

/// What can go wrong in a worker's part.
#[derive(Debug)]
pub(crate) enum JobError {
    Store(archipelago::Error),
    Data(DataError),
    Stopped(Stopped),
}

impl From<Stopped> for JobError {
    fn from(stopped: Stopped) -> Self {
        Self::Stopped(stopped)
    }
}

impl From<archipelago::Error> for JobError {
    fn from(error: archipelago::Error) -> Self {
        Self::Store(error)
    }
}

impl From<DataError> for JobError {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

impl From<JobError> for anyhow::Error {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Store(error) => error.into(),
            JobError::Data(error) => error.into(),
            JobError::Stopped(stopped) => stopped.into(),
        }
    }
}
