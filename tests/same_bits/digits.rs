//! The digits classifier, a real model on real data: its trained values and optimizer state.

use std::thread;

use archipelago::embed::Config;
use archipelago::id::GroupId;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::sync::Arc;
use archipelago::time::Duration;
use archipelago::{Bsp, Error, Hyper, Store, TablePolicy, TableSpec};
use archipelago_workloads::data::{DenseData, Share, digits_split};
use archipelago_workloads::mlp;

pub(crate) const WORKERS: u32 = 4;
/// Two passes over the data.
pub(crate) const ITERATIONS: u64 = 46;

pub(crate) fn classifier() -> mlp::Config {
    let mut config = mlp::Config { block_elements: 256, ..mlp::Config::default() };
    config.pace.iterations = Some(ITERATIONS);
    config
}

pub(crate) fn tables(data: &DenseData) -> Vec<(TableSpec, Hyper)> {
    classifier().tables(data.features(), data.classes(), WORKERS)
}

/// The digests of both layers, trained on threads.
pub(crate) fn embedded(data: &DenseData, shards: u32) -> Vec<u128> {
    let store = Store::with_config(Config { shards, ..Config::default() });
    let ensure = |(spec, hyper)| store.ensure_table(spec, TablePolicy::local(Bsp), hyper).unwrap();
    let tables: Vec<_> = tables(data).into_iter().map(ensure).collect();
    let group = store.group("train", WORKERS).unwrap();
    let members: Vec<_> = (0..WORKERS).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for member in members {
            let tables = &tables;
            scope.spawn(move || {
                let share = Share::strided(data, member.origin().rank.0, WORKERS).unwrap();
                let config = classifier();
                member.run(async |me| mlp::train(me, tables, &share, &config, &|_| ()).await)
            });
        }
    });
    tables.iter().map(|table| store.digest(table).unwrap()).collect()
}

/// The digests of both layers, trained on servers in virtual time.
fn simulated(data: &Arc<DenseData>, servers: u32, links: LinkProfile, seed: u64) -> Vec<u128> {
    let mut builder = Cluster::builder(seed).servers(servers).links(links).record_history(false);
    for (spec, hyper) in tables(data) {
        builder = builder.table(spec, TablePolicy::local(Bsp), hyper);
    }
    let mut cluster = builder.group(WORKERS).build().unwrap();
    for _ in 0..WORKERS {
        let data = Arc::clone(data);
        let tables = [cluster.table(0).unwrap().clone(), cluster.table(1).unwrap().clone()];
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            use archipelago::Worker;
            let share = Share::strided(&*data, me.origin().rank.0, WORKERS).unwrap();
            mlp::train(&me, &tables, &share, &classifier(), &|_| ()).await?;
            Ok::<(), Error>(())
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{servers} servers, seed {seed}: {}", outcome.report());
    for server in 0..servers {
        let of_server = outcome.tables.iter().flat_map(|table| &table.servers);
        let mut owned = of_server.filter(|shard| shard.server.0 == server && shard.slots > 0);
        let closed = owned.next().map(|shard| shard.stats.rounds);
        assert_eq!(closed, Some(ITERATIONS), "server {server} owned a slot and closed rounds");
    }
    outcome.tables.iter().map(|table| table.digest).collect()
}

#[test]
fn embed_shards_and_sim_servers_agree_on_the_digits() {
    let data = Arc::new(digits_split().unwrap().0);
    let one = embedded(&data, 1);
    for count in [1, 2, 3, 5] {
        assert_eq!(embedded(&data, count), one, "{count} shards");
        for (links, seed) in
            [(LinkProfile::normal(), 1), (LinkProfile::hostile(), 2), (LinkProfile::hostile(), 3)]
        {
            let found = simulated(&data, count, links, seed);
            assert_eq!(found, one, "{count} servers, seed {seed}");
        }
    }
}
