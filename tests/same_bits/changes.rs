//! Tables that change at given ticks: the same bits in one process over any shards, and in a
//! cluster over any servers and links (SPEC law 4.11).

use std::thread;

use archipelago::embed::Config;
use archipelago::id::GroupId;
#[cfg(feature = "sabotage")]
use archipelago::node::sabotage::Sabotage;
use archipelago::node::sabotage::Switch;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::time::Duration;
use archipelago::{Bsp, Hyper, Schedule, Store, TableChange, TablePolicy, Tick};

use crate::{TICKS, WORKERS, same_everywhere, training};

/// What changes before anybody trains, and what changes while they do.
fn changes() -> [TableChange; 3] {
    let rate = |rate| TableChange::default().hyper(Hyper::rate(Schedule::Constant(rate)));
    let large = TablePolicy::local(Bsp).bsp_stash_bytes_max(8 << 20).allow_non_finite();
    let line = Schedule::Linear { from: 0.3, to: 0.01, ticks: 5 };
    let line = TableChange::default().hyper(Hyper::rate(line));
    [rate(0.5).from(Tick(2)), line.policy(large).from(Tick(4)), rate(0.02).from(Tick(6))]
}

fn embedded(shards: u32) -> Vec<u128> {
    let store = Store::with_config(Config { shards, ..Config::default() });
    let tables = training::tables(Bsp)
        .map(|(spec, policy, hyper)| store.ensure_table(spec, policy, hyper).unwrap());
    let [early, middle, late] = changes();
    let change = |change: &TableChange| {
        for table in &tables {
            let from = store.change_table(table.name(), change).unwrap();
            assert_eq!(Some(from), change.from);
        }
    };
    change(&early);
    change(&middle);
    let group = store.group("train", WORKERS).unwrap();
    let workers: Vec<_> = (0..WORKERS).map(|_| group.join_blocking().unwrap()).collect();
    change(&late);
    thread::scope(|scope| {
        for me in workers {
            let [dense, sparse] = &tables;
            scope.spawn(move || {
                me.run(async |me| {
                    training::train(me, (dense, sparse), TICKS + 2, Duration::ZERO).await
                })
                .unwrap();
            });
        }
    });
    tables.iter().map(|table| store.digest(table).unwrap()).collect()
}

fn simulated(servers: u32, links: LinkProfile, seed: u64, switch: Switch) -> Vec<u128> {
    let [dense, sparse] = training::tables(Bsp);
    let builder = Cluster::builder(seed).servers(servers).links(links).switch(switch);
    let builder = builder.table(dense.0, dense.1, dense.2).table(sparse.0, sparse.1, sparse.2);
    let mut cluster = builder.group(WORKERS).record_history(false).build().unwrap();
    let (dense, sparse) = (cluster.table(0).unwrap(), cluster.table(1).unwrap());
    for worker in 0..WORKERS {
        let (dense, sparse) = (dense.clone(), sparse.clone());
        let cost = Duration::from_micros(700 * u64::from(worker) + 100);
        cluster.spawn_session(Duration::ZERO, async move |session| {
            // Whoever comes first makes them; the others find them.
            for change in changes() {
                session.change_table("dense", change.clone()).await?;
                session.change_table("sparse", change).await?;
            }
            let me = session.join(GroupId(0)).await?;
            training::train(&me, (&dense, &sparse), TICKS + 2, cost).await
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{servers} servers, seed {seed}: {}", outcome.report());
    outcome.tables.iter().map(|table| table.digest).collect()
}

#[test]
fn a_change_at_a_tick_gives_the_same_bits_everywhere() {
    same_everywhere(embedded, |servers, links, seed| simulated(servers, links, seed, Switch::NONE));
}

#[test]
#[cfg(feature = "sabotage")]
fn a_change_a_tick_later_is_noticed_in_all_bits() {
    let one = embedded(1);
    let late = simulated(2, LinkProfile::normal(), 1, Switch::on(Sabotage::ChangesLate));
    assert!(late.iter().zip(&one).all(|(late, one)| late != one), "a tick later is noticed");
}
