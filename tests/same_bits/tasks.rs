//! Matrix factorization, topics and a convolutional network, on small data: the same weights and
//! counts in this process and in the simulator, whatever the shards, servers and links.

use std::thread;

use archipelago::embed::Config;
use archipelago::id::GroupId;
use archipelago::rng::Rng;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::sync::Arc;
use archipelago::time::Duration;
use archipelago::{Bsp, Layout, Store, TablePolicy};
use archipelago_workloads::data::{Cut, DenseData, Documents, RatingFormat, Ratings, digits_split};
use archipelago_workloads::task::Task;
use archipelago_workloads::train::Pace;
use archipelago_workloads::{cnn, lda, mf};

const WORKERS: u32 = 3;
const ITERATIONS: u64 = 8;

fn pace(batch: usize) -> Pace {
    Pace { iterations: Some(ITERATIONS), ..Pace::new(batch, 0) }
}

fn ratings() -> Ratings {
    let mut rng = Rng::new(1);
    let mut text = String::from("user,item,rating\n");
    for pair in (0..1200).filter(|pair| pair % 7 < 4) {
        text.push_str(&format!("{},{},{}\n", pair / 30, pair % 30, 8.0 * rng.unit() - 2.0));
    }
    Ratings::read("ratings", text.as_bytes(), RatingFormat::Csv).unwrap()
}

fn documents() -> Documents {
    let mut rng = Rng::new(2);
    let mut lines = String::new();
    for document in 1..=40 {
        for word in 0..10 {
            lines.push_str(&format!("{document} {} {}\n", 20 * word + 1 + rng.below(20), word + 1));
        }
    }
    Documents::read_docword("documents", format!("40\n200\n400\n{lines}").as_bytes()).unwrap()
}

/// Digits with every pixel four times: 16 x 16.
fn images() -> DenseData {
    let small = digits_split().unwrap().0.split(200).unwrap().0;
    let pixel = |row: usize, place: usize| small.row(row)[place / 32 * 8 + place % 16 / 2];
    let values = (0..small.rows()).flat_map(|row| (0..256).map(move |place| pixel(row, place)));
    DenseData::new(256, 10, values.collect(), small.labels().to_vec()).unwrap()
}

/// Small blocks and frames, so that every server has a part.
fn tasks() -> Vec<(Task, Cut)> {
    let (train, test) = ratings().split(1, 0.1);
    let mf = mf::Config { rank: 3, pace: pace(5), block_elements: 64, ..Default::default() };
    let sparse = mf::Config { layout: Layout::Sparse, ..mf.clone() };
    let (documents, held) = documents().hold_out(8);
    let lda = lda::Config { topics: 4, pace: pace(4), ..Default::default() };
    let (images, rest) = images().split(150).unwrap();
    let cnn = cnn::Config { pace: pace(6), block_elements: 64, ..Default::default() };
    vec![
        (Task::Mf { config: mf, train: train.clone(), test: test.clone() }, Cut::Even),
        (Task::Mf { config: sparse, train, test }, Cut::Weighted(vec![5, 1, 1])),
        (Task::Lda { config: lda, train: documents, test: held }, Cut::Skewed),
        (Task::Cnn { config: cnn, train: images, test: rest }, Cut::Skewed),
    ]
}

/// The digests of all tables, trained on threads.
fn embedded(task: &Task, cut: &Cut, shards: u32) -> Vec<u128> {
    let store = Store::with_config(Config { shards, ..Config::default() });
    let ensure = |(spec, hyper)| store.ensure_table(spec, TablePolicy::local(Bsp), hyper).unwrap();
    let tables: Vec<_> = task.tables(WORKERS).unwrap().into_iter().map(ensure).collect();
    let group = store.group("train", WORKERS).unwrap();
    let members: Vec<_> = (0..WORKERS).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for member in members {
            let tables = &tables;
            scope.spawn(move || {
                member.run(async |me| task.train(me, tables, cut, &|_| ()).await).unwrap()
            });
        }
    });
    tables.iter().map(|table| store.digest(table).unwrap()).collect()
}

/// The digests of all tables, trained on servers in virtual time.
fn simulated(task: &Arc<Task>, cut: &Cut, servers: u32, links: LinkProfile) -> Vec<u128> {
    let mut builder = Cluster::builder(7).servers(servers).links(links).record_history(false);
    let specs = task.tables(WORKERS).unwrap();
    let count = specs.len() as u32;
    for (spec, hyper) in specs {
        builder = builder.table(spec, TablePolicy::local(Bsp), hyper);
    }
    let mut cluster = builder.group(WORKERS).build().unwrap();
    for _ in 0..WORKERS {
        let (task, cut) = (Arc::clone(task), cut.clone());
        let tables: Vec<_> =
            (0..count).map(|table| cluster.table(table).unwrap().clone()).collect();
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            task.train(&me, &tables, &cut, &|_| ()).await.unwrap();
            Ok::<(), archipelago::Error>(())
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}, {servers} servers: {}", task.name(), outcome.report());
    outcome.tables.iter().map(|table| table.digest).collect()
}

#[test]
fn embed_shards_and_sim_servers_agree_on_every_task() {
    for (task, cut) in tasks() {
        let task = Arc::new(task);
        let one = embedded(&task, &cut, 1);
        assert_eq!(embedded(&task, &cut, 5), one, "{}, 5 shards", task.name());
        for servers in [1, 3] {
            for links in [LinkProfile::normal(), LinkProfile::hostile()] {
                let found = simulated(&task, &cut, servers, links);
                assert_eq!(found, one, "{}, {servers} servers", task.name());
            }
        }
    }
}
