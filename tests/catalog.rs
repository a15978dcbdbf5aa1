//! Tables and groups created while a cluster runs: by several at once, over bad links, by workers
//! that crash in the middle, and for groups that train already.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "catalog/changes.rs"]
mod changes;
#[path = "training/mod.rs"]
mod training;

use std::collections::BTreeMap;

use archipelago::check::{Expected, check_all};
use archipelago::error::{Error, GroupError, SpecError};
use archipelago::history::{Event, History, Record};
use archipelago::id::GroupId;
use archipelago::sim::{Builder, Cluster, Fault, LinkProfile, Outcome, Trouble};
use archipelago::time::Duration;
use archipelago::{
    Bsp, Eventual, Extension, Hyper, Schedule, Ssp, Table, TablePolicy, TableSpec, Worker,
};

const TICKS: u64 = 6;
const WORKERS: u32 = 3;

fn judge(history: &History, seed: u64) {
    let found = check_all(history, &Expected::default());
    assert!(found.is_empty(), "seed {seed}: {}", found[0]);
}

/// A cluster of nothing but servers.
fn servers(count: u32, links: LinkProfile, seed: u64) -> Builder {
    let builder = Cluster::builder(seed).servers(count).links(links);
    builder.wait_max(Duration::from_secs(60)).deadline(Duration::from_secs(200))
}

/// Workers that all create both tables and the group, then train.
fn trained(builder: Builder) -> Outcome<u64> {
    let mut cluster = builder.build().unwrap();
    for worker in 0..WORKERS {
        let cost = Duration::from_micros(700 * u64::from(worker) + 100);
        cluster.spawn_session(Duration::ZERO, async move |session| {
            training::create_and_train(session, Bsp.into(), WORKERS, TICKS, cost).await
        });
    }
    cluster.run().unwrap()
}

fn bits(outcome: &Outcome<u64>) -> Vec<u128> {
    outcome.tables.iter().map(|table| table.digest).collect()
}

#[test]
fn whoever_creates_a_table_everybody_trains_the_same_one_to_the_same_bits() {
    let one = trained(servers(1, LinkProfile::normal(), 1));
    assert!(one.is_good(), "{}", one.report());
    for count in 1..=4 {
        for seed in 0..3 {
            let outcome = trained(servers(count, LinkProfile::hostile(), seed));
            assert!(outcome.is_good(), "{count} servers, seed {seed}: {}", outcome.report());
            assert_eq!(bits(&outcome), bits(&one), "{count} servers, seed {seed}");
            judge(&outcome.history, seed);
        }
    }
}

/// Bad links strike at every step of the catalog, and whoever lives gets one number for one name.
#[test]
fn those_who_create_at_once_get_the_same_number_also_when_one_crashes_in_the_middle() {
    let mut cells = BTreeMap::new();
    for seed in 0..60 {
        let breaks_within = Duration::from_millis(20);
        let trouble = Trouble {
            drops: 0.05,
            duplicates: 0.2,
            reorders: 0.2,
            breaks_within,
            ..Trouble::default()
        };
        let crash = Fault::Crash { worker: 2, silent: seed % 2 == 0 };
        let links = LinkProfile::normal().trouble(trouble);
        let builder = servers(3, links, seed).fault(Duration::from_micros(200 * seed), crash);
        let mut cluster = builder.fault(Duration::from_secs(2), Fault::Calm).build().unwrap();
        for number in 0..4 {
            cluster.spawn_session(Duration::ZERO, async move |session| {
                let mut made = Vec::new();
                for at in 0..5 {
                    // Not all in the same order.
                    let name = format!("table {}", (at + number) % 5);
                    let spec = TableSpec::dense(name, 90);
                    let policy = TablePolicy::local(Eventual);
                    made.push(session.ensure_table(spec, policy, Hyper::default()).await?);
                }
                let group = session.ensure_group("train", 4).await?;
                made.sort_by_key(Table::id);
                let names: Vec<_> = made.iter().map(|table| table.name().to_owned()).collect();
                let listed = session.tables().await?;
                assert!(listed.iter().map(Table::name).eq(names.iter()), "seed {seed}");
                Ok((names, group))
            });
        }
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "seed {seed}: {}", outcome.report());
        let living: Vec<_> = outcome.results.iter().flatten().flatten().collect();
        assert!(living.len() >= 3, "seed {seed}");
        assert!(living.iter().all(|made| made == &living[0]), "seed {seed}: {living:?}");
        assert_eq!(outcome.tables.len(), 5, "seed {seed}");
        for (cell, hits) in outcome.cells {
            *cells.entry(cell).or_insert(0) += hits;
        }
    }
    for fault in ["dropped", "duplicated", "reordered"] {
        for step in ["ensure_table", "table_ensured", "catalog_entry", "catalog_held"] {
            assert!(cells.contains_key(&(fault, step)), "no {fault} has hit a {step}: {cells:?}");
        }
    }
}

/// Members that create a table while they train: each contributes from its own tick on.
#[test]
fn a_table_may_come_to_a_group_that_trains() {
    let mut begun_late = 0;
    for (seed, local) in (0..12).flat_map(|seed| {
        [Extension::from(Bsp), Ssp { staleness: 1 }.into(), Eventual.into()].map(|it| (seed, it))
    }) {
        let links = if seed == 0 { LinkProfile::normal() } else { LinkProfile::hostile() };
        let builder = servers(1 + seed as u32 % 4, links, seed);
        let builder = builder.fault(Duration::from_secs(2), Fault::Calm);
        let mut cluster = builder.build().unwrap();
        for worker in 0..WORKERS {
            let local = local.clone();
            cluster.spawn_session(Duration::ZERO, async move |session| {
                let [(first, policy, hyper), _] = training::tables(local);
                session.ensure_table(first, policy.clone(), hyper).await?;
                let group = session.ensure_group("train", WORKERS).await?;
                let me = session.join(group).await?;
                let begins = 2 + u64::from(me.origin().rank.0) * 2;
                while me.current_tick().0 < begins {
                    me.compute(Duration::from_millis(u64::from(worker))).await;
                    me.tick().await?;
                }
                let spec = TableSpec::dense("late", 300).block_elements(64);
                let late = me.ensure_table(spec, policy, Hyper::default()).await?;
                let mut x = [0.0_f32; 300];
                while me.current_tick().0 <= TICKS {
                    me.pull(&late, .., &mut x).await?;
                    me.push(&late, .., &[1.0_f32; 300]).await?;
                    me.tick().await?;
                }
                me.pull(&late, .., &mut x).await?;
                me.finish().await?;
                Ok(x)
            });
        }
        let outcome = cluster.run().unwrap();
        let name = local.name();
        assert!(outcome.is_good(), "{name}, seed {seed}: {}", outcome.report());
        if name == "bsp/1" {
            // Of ticks 2 to 6, 4 to 6 and 6 alone.
            let all = [(TICKS - 1 + TICKS - 3 + TICKS - 5) as f32; 300];
            assert!(outcome.results.iter().all(|x| *x == Some(Ok(all))), "seed {seed}");
        }
        let late = |record: &&Record| matches!(record.event, Event::BeginsBehind { .. });
        begun_late += outcome.history.records().iter().filter(late).count();
        judge(&outcome.history, seed);
    }
    assert!(begun_late > 50, "{begun_late} members were ahead of a new shard");
}

#[test]
fn what_differs_or_comes_too_early_is_refused_by_name() {
    let mut cluster = servers(2, LinkProfile::normal(), 1).build().unwrap();
    cluster.spawn_session(Duration::ZERO, async move |session| {
        let early = session.ensure_group("train", 2).await.unwrap_err();
        assert!(matches!(early, Error::Group(GroupError::NeedsTable { .. })), "{early}");
        let ensure = async |rows, staleness, rate| {
            let hyper = Hyper::rate(Schedule::Constant(rate));
            let policy = TablePolicy::local(Ssp { staleness });
            session.ensure_table(TableSpec::dense("w", rows), policy, hyper).await
        };
        let table = ensure(9, 1, 0.5).await?;
        assert_eq!(ensure(9, 1, 0.5).await?.id(), table.id());
        let differ = [(8, 1, 0.5, "domain"), (9, 2, 0.5, "local policy"), (9, 1, 0.25, "rate")];
        for (rows, staleness, rate, named) in differ {
            let refused = ensure(rows, staleness, rate).await.unwrap_err();
            let Error::Spec(SpecError::Mismatch { field, .. }) = &refused else {
                panic!("expected a mismatch, found {refused}")
            };
            assert_eq!(field, named, "{refused}");
        }
        let group = session.ensure_group("train", 2).await?;
        assert_eq!(session.ensure_group("train", 2).await?, group);
        let refused = session.ensure_group("train", 3).await.unwrap_err().to_string();
        assert!(refused.contains("exists with size 2, found 3"), "{refused}");
        let unknown = session.join(GroupId(7)).await.unwrap_err();
        assert!(matches!(unknown, Error::Group(GroupError::Unknown { .. })), "{unknown}");
        Ok(())
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
}
