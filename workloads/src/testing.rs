//! What the tests of training functions share.

use archipelago::embed::{EmbedWorker, ThreadPark};
use archipelago::rng::Rng;
use archipelago::vector::Element;
use archipelago::{Blocking, Bsp, Hyper, Result, Store, Table, TablePolicy, TableSpec, Worker};

use crate::data::{Cut, Examples, Share};
use crate::task::Task;
use crate::train::{TrainReport, Values, read_elements, read_model};

/// As [`trained_elements`], of tables of weights.
pub(crate) fn trained<D: Examples + Sync>(
    data: &D,
    tables: Vec<(TableSpec, Hyper)>,
    workers: u32,
    train: impl AsyncFn(&EmbedWorker, &[Table], &Share<'_, D>) -> Result<TrainReport> + Sync,
) -> (Vec<f32>, Vec<Result<TrainReport>>) {
    trained_elements(data, tables, workers, train)
}

/// Runs `train` on a thread per worker under Bsp; the values of all tables, one after the other,
/// and the reports by rank.
pub(crate) fn trained_elements<D: Examples + Sync, T: Element>(
    data: &D,
    tables: Vec<(TableSpec, Hyper)>,
    workers: u32,
    train: impl AsyncFn(&EmbedWorker, &[Table], &Share<'_, D>) -> Result<TrainReport> + Sync,
) -> (Vec<T>, Vec<Result<TrainReport>>) {
    let (reader, tables, reports) = worked(tables, workers, async |me, tables| {
        let share = Share::strided(data, me.origin().rank.0, workers).unwrap();
        train(me, tables, &share).await
    });
    (reader.run(async |me| read_elements(me, &tables).await).unwrap(), reports)
}

/// The values of a task that `workers` have trained under Bsp.
pub(crate) fn trained_task(task: &Task, workers: u32, cut: &Cut) -> Values {
    let (reader, tables, _) = worked(task.tables(workers).unwrap(), workers, async |me, tables| {
        task.train(me, tables, cut, &|_| {}).await.unwrap()
    });
    reader.run(async |me| read_model(me, &tables).await).unwrap()
}

/// Runs `work` on a thread per worker under Bsp; who reads the tables, they, and the results by
/// rank.
fn worked<R: Send>(
    tables: Vec<(TableSpec, Hyper)>,
    workers: u32,
    work: impl AsyncFn(&EmbedWorker, &[Table]) -> R + Sync,
) -> (Blocking<EmbedWorker, ThreadPark>, Vec<Table>, Vec<R>) {
    let store = Store::in_memory();
    let ensure = |(spec, hyper)| store.ensure_table(spec, TablePolicy::local(Bsp), hyper).unwrap();
    let tables: Vec<Table> = tables.into_iter().map(ensure).collect();
    let group = store.group("train", workers).unwrap();
    let members: Vec<_> = (0..workers).map(|_| group.join_blocking().unwrap()).collect();
    let results = std::thread::scope(|scope| {
        let threads = members.into_iter().map(|member| {
            let (work, tables) = (&work, &tables);
            scope.spawn(move || member.run(async |me| work(me, tables).await))
        });
        let threads: Vec<_> = threads.collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let reader = store.group("read", 1).unwrap().join_blocking().unwrap();
    (reader, tables, results)
}

/// The largest distance of a gradient from the central differences of its loss, relative to the
/// gradient's largest element.
pub(crate) fn gradient_error(
    values: &[f32],
    gradient: &[f32],
    mut loss: impl FnMut(&[f32]) -> f64,
) -> f64 {
    const STEP: f32 = 1.0 / 128.0;
    let mut moved = values.to_vec();
    let mut worst = 0.0_f64;
    for (at, &slope) in gradient.iter().enumerate() {
        moved[at] = values[at] + STEP;
        let above = loss(&moved);
        moved[at] = values[at] - STEP;
        let below = loss(&moved);
        moved[at] = values[at];
        let difference = (above - below) / f64::from(2.0 * STEP);
        worst = worst.max((difference - f64::from(slope)).abs());
    }
    let largest = gradient.iter().fold(0.0_f32, |largest, slope| largest.max(slope.abs()));
    worst / f64::from(largest)
}

/// Values that look random, in [-1/2, 1/2).
pub(crate) fn scattered(count: usize, seed: u64) -> Vec<f32> {
    let mut rng = Rng::new(seed);
    (0..count).map(|_| rng.unit() as f32 - 0.5).collect()
}
