//! Scores on real data against those of a converged solver.
//!
//! The files are not part of the crate: `ARCHIPELAGO_DATA_FOLDER` names the folder with them. Run
//! with `cargo test --workspace --lib reference -- --ignored --nocapture`; `.ci/run` does.

use std::path::PathBuf;

use archipelago::Table;
use archipelago::embed::EmbedWorker;
use archipelago::os::Clock;
use archipelago::time::Instant;

use crate::data::{Cut, DenseData, Share, SparseData};
use crate::score::Scores;
use crate::task::{Judgement, Kind, Task};
use crate::testing::{trained, trained_task};
use crate::{mlp, sparse_lr};

fn file(name: &str) -> PathBuf {
    let folder = std::env::var_os("ARCHIPELAGO_DATA_FOLDER");
    PathBuf::from(folder.expect("ARCHIPELAGO_DATA_FOLDER names a folder")).join(name)
}

/// Trains with 1, 4 and 8 workers and compares with the reference (accuracy, area).
fn compare(names: (&str, &str), features: u64, config: &sparse_lr::Config, expected: (f64, f64)) {
    let open = |name| SparseData::open_libsvm(file(name)).unwrap().with_features(features).unwrap();
    let (data, test) = (open(names.0), open(names.1));
    for workers in [1, 4, 8] {
        let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, SparseData>| {
            sparse_lr::train(me, tables, share, config, &|_| {}).await
        };
        let (values, _) = trained(&data, config.tables(features, workers), workers, train);
        let scores = sparse_lr::evaluate(&values, &test);
        println!("{}, {workers} workers: {scores:?}", names.0);
        assert!(scores.accuracy > expected.0 - 0.003, "expected {}", expected.0);
        assert!(scores.auc > Some(expected.1 - 0.003), "expected {}", expected.1);
    }
}

#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn a9a() {
    compare(("a9a.gz", "a9a.t.gz"), 123, &sparse_lr::Config::default(), (0.8499, 0.9022));
}

#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn newsgroups() {
    let names = ("20news.binary.train.svm.gz", "20news.binary.test.svm.gz");
    compare(names, 61_188, &sparse_lr::Config::unit_rows(), (0.9392, 0.9834));
}

#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn flights() {
    let names = ("flights.train.svm.gz", "flights.test.svm.gz");
    compare(names, 38_537, &sparse_lr::Config::default(), (0.7471, 0.6715));
}

#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn mnist() {
    let open =
        |images: &str, labels: &str| DenseData::open_idx(file(images), file(labels)).unwrap();
    let data = open("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz");
    let test = open("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz");
    assert_eq!(
        (data.rows(), test.rows(), data.features(), data.classes()),
        (60_000, 10_000, 784, 10)
    );
    let mut config = mlp::Config::default();
    config.pace.epochs = 2;
    let workers = 4;
    let train = async |me: &EmbedWorker, tables: &[Table], share: &Share<'_, DenseData>| {
        mlp::train(me, tables, share, &config, &|_| {}).await
    };
    let (values, _) = trained(&data, config.tables(784, 10, workers), workers, train);
    let scores: Scores = mlp::evaluate(&values, &test, &config);
    println!("MNIST, {workers} workers: {scores:?}");
    assert!(scores.accuracy > 0.95);
}

/// Trains a task with its defaults and 4 workers; its judgements after each number of passes.
fn judged<const N: usize>(kind: Kind, passes: [u32; N]) -> [Judgement; N] {
    let mut task = Task::open(kind, file("")).unwrap();
    passes.map(|epochs| {
        task.pace_mut().epochs = epochs;
        let clock = Clock::start();
        let values = trained_task(&task, 4, &Cut::Even);
        let seconds = clock.now().since(Instant::EPOCH).as_secs_f64();
        let judged = task.judge(&values).unwrap();
        println!("{}, {epochs} passes in {seconds:.1} s: {judged:?}", kind.name());
        judged
    })
}

/// User and item offsets alone end at an RMSE of 4.341.
#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn jester_by_factors() {
    let [first, last] = judged(Kind::Mf, [1, 5]);
    assert!(last.objective.value < first.objective.value && last.objective.value < 8.06);
    assert!(last.score.value < 4.03);
}

/// One topic, which is the frequency of words, ends at a perplexity of 2,594.
#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn kos_by_topics() {
    let [first, last] = judged(Kind::Lda, [1, 30]);
    assert!(last.objective.value > first.objective.value + 0.1);
    assert!(last.score.value < 1_560.0);
}

#[test]
#[ignore = "needs ARCHIPELAGO_DATA_FOLDER"]
fn mnist_by_convolutions() {
    let [found] = judged(Kind::Image, [2]);
    assert!(found.score.value > 0.98 && found.objective.value < 0.06);
}
