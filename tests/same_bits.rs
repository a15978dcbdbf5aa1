//! One training function ends with the same bits in one process over any number of shards, and in
//! a cluster over any number of servers, over good links and bad ones (SPEC law 4).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "authority/mod.rs"]
mod authority;
#[path = "same_bits/changes.rs"]
mod changes;
#[path = "same_bits/digits.rs"]
mod digits;
#[path = "same_bits/served.rs"]
mod served;
#[path = "same_bits/tasks.rs"]
mod tasks;
#[path = "training/mod.rs"]
mod training;

use std::thread;

use archipelago::embed::Config;
use archipelago::id::GroupId;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::time::Duration;
use archipelago::{Bsp, Store};

const WORKERS: u32 = 3;
const TICKS: u64 = 6;

/// The digests of both tables, trained in this process.
fn embedded(shards: u32) -> Vec<u128> {
    let store = Store::with_config(Config { shards, ..Config::default() });
    let tables = training::tables(Bsp)
        .map(|(spec, policy, hyper)| store.ensure_table(spec, policy, hyper).unwrap());
    let group = store.group("train", WORKERS).unwrap();
    let workers: Vec<_> = (0..WORKERS).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for me in workers {
            let [dense, sparse] = &tables;
            scope.spawn(move || {
                me.run(async |me| {
                    training::train(me, (dense, sparse), TICKS, Duration::ZERO).await
                })
                .unwrap();
            });
        }
    });
    tables.iter().map(|table| store.digest(table).unwrap()).collect()
}

/// The digests of both tables, trained on servers in virtual time.
fn simulated(servers: u32, links: LinkProfile, seed: u64) -> Vec<u128> {
    let [dense, sparse] = training::tables(Bsp);
    let builder = Cluster::builder(seed).servers(servers).links(links);
    let builder = builder.table(dense.0, dense.1, dense.2).table(sparse.0, sparse.1, sparse.2);
    let mut cluster = builder.group(WORKERS).record_history(false).build().unwrap();
    let (dense, sparse) = (cluster.table(0).unwrap(), cluster.table(1).unwrap());
    for worker in 0..WORKERS {
        let (dense, sparse) = (dense.clone(), sparse.clone());
        // Different speeds, so that the order of arrival changes from tick to tick.
        let cost = Duration::from_micros(700 * u64::from(worker) + 100);
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            training::train(&me, (&dense, &sparse), TICKS, cost).await
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{servers} servers, seed {seed}: {}", outcome.report());
    for table in &outcome.tables {
        for shard in &table.servers {
            assert!(shard.slots > 0, "{} owns nothing of {}", shard.server, table.name);
            assert_eq!(shard.stats.rounds, TICKS, "{} of {}", shard.server, table.name);
        }
    }
    outcome.tables.iter().map(|table| table.digest).collect()
}

/// Whatever the shards, servers and links, both drivers end with the same digests.
fn same_everywhere(
    embedded: impl Fn(u32) -> Vec<u128>,
    simulated: impl Fn(u32, LinkProfile, u64) -> Vec<u128>,
) {
    let one = embedded(1);
    for count in [1, 2, 3, 5] {
        assert_eq!(embedded(count), one, "{count} shards");
        let normal = simulated(count, LinkProfile::normal(), 1);
        assert_eq!(normal, one, "{count} servers, normal links");
        for seed in 0..3 {
            let hostile = simulated(count, LinkProfile::hostile(), seed);
            assert_eq!(hostile, one, "{count} servers, hostile links, seed {seed}");
        }
    }
}

#[test]
fn shards_and_servers_change_no_bit() {
    same_everywhere(embedded, simulated);
}
