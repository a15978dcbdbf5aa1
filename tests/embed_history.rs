//! The history that the embedded store records: the checkers of the laws hold over it, and find
//! what a switch breaks.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::thread;

use archipelago::check::{self, Expected};
use archipelago::embed::Config;
use archipelago::error::{Error, WaitError};
use archipelago::history::{Event, History, WaitOutcome};
use archipelago::time::Duration;
use archipelago::{
    Bsp, Eventual, Extension, Hyper, KeyList, Ssp, Store, Table, TablePolicy, TableSpec, Worker,
};

const WORKERS: u32 = 4;
const TICKS: u64 = 12;
const ROWS: usize = 3000;

fn recording() -> Config {
    Config { shards: 3, record_history: true, ..Config::default() }
}

/// A dense and a sparse table, small enough for a history and large enough for several shards.
fn tables(store: &Store, local: &Extension) -> [Table; 2] {
    let policy = TablePolicy::local(local.clone()).bsp_stash_bytes_max(512 * 1024);
    let dense = TableSpec::dense("dense", ROWS as u64).block_elements(256).slots(16);
    let sparse = TableSpec::sparse("sparse", 2).slots(8);
    [dense, sparse].map(|spec| store.ensure_table(spec, policy.clone(), Hyper::default()).unwrap())
}

async fn train<W: Worker>(me: &W, tables: &[Table; 2]) -> archipelago::Result<()> {
    let [dense, sparse] = tables;
    let rank = u64::from(me.origin().rank.0);
    let keys = KeyList::new((0..40).map(|key| key * (u64::MAX / 50) + rank).collect())?;
    let (mut x, mut y) = (vec![0.0_f32; ROWS], vec![0.0_f32; keys.len() * 2]);
    while me.current_tick().0 <= TICKS {
        me.pull(dense, .., &mut x).await?;
        me.pull(sparse, &keys, &mut y).await?;
        me.push(dense, .., &x.iter().map(|x| 1.0 - x * 0.1).collect::<Vec<_>>()).await?;
        if me.current_tick().0.is_multiple_of(rank + 1) {
            me.push(sparse, &keys, &y.iter().map(|y| 1.0 - y).collect::<Vec<_>>()).await?;
        }
        me.pull_rows::<f32>(sparse, ..).await?;
        me.tick().await?;
    }
    me.finish().await
}

fn found(history: &History, tables: &[Table]) -> Vec<check::Violation> {
    let domains = tables.iter().map(|table| table.spec().domain).collect();
    check::check_all(history, &Expected { domains, ..Expected::default() })
}

fn count(history: &History, which: impl Fn(&Event) -> bool) -> u64 {
    history.records().iter().filter(|record| which(&record.event)).count() as u64
}

/// Trains on threads; one worker is lost half-way when `lose` says so, and replaced.
fn trained(local: impl Into<Extension>, lose: bool) -> (Store, [Table; 2]) {
    let store = Store::with_config(recording());
    let tables = tables(&store, &local.into());
    let group = store.group("g", WORKERS).unwrap();
    let members: Vec<_> = (0..WORKERS).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for me in members {
            let (tables, group) = (&tables, &group);
            scope.spawn(move || {
                if lose && me.origin().rank.0 == 2 {
                    me.push(&tables[0], .., &[1.0_f32; ROWS]).unwrap();
                    me.tick().unwrap();
                    me.push(&tables[0], .., &[1.0_f32; ROWS]).unwrap();
                    drop(me);
                    let me = group.join_blocking().unwrap();
                    return me.run(async |me| train(me, tables).await).unwrap();
                }
                me.run(async |me| train(me, tables).await).unwrap();
            });
        }
    });
    (store, tables)
}

#[test]
fn of_threads_that_train_breaks_no_law() {
    let locals = [Bsp.into(), Ssp { staleness: 0 }.into(), Ssp { staleness: 2 }.into()];
    let locals: [Extension; 4] = [&locals[..], &[Eventual.into()]].concat().try_into().unwrap();
    for local in locals {
        for lose in [false, true] {
            let name = format!("{}, a worker lost: {lose}", local.name());
            let (store, tables) = trained(local.clone(), lose);
            let history = store.take_history().unwrap();
            assert_eq!(found(&history, &tables), [], "{name}");
            // Nothing is missing that the laws speak of.
            let stats = store.stats();
            let all = |of: fn(&archipelago::embed::TableStats) -> u64| -> u64 {
                stats.tables.iter().map(of).sum()
            };
            let pushed = count(&history, |event| matches!(event, Event::Pushed { .. }));
            let executed = count(&history, |event| matches!(event, Event::Executed { .. }));
            let served = count(&history, |event| matches!(event, Event::Served { .. }));
            assert_eq!((pushed, executed), (executed, all(|table| table.shards.pushes)), "{name}");
            assert_eq!(served, all(|table| table.shards.pulls), "{name}");
            let lost = count(&history, |event| matches!(event, Event::WorkerLost { .. }));
            assert_eq!(lost, u64::from(lose), "{name}");
            let joined = count(&history, |event| matches!(event, Event::Joined { .. }));
            assert_eq!(joined, u64::from(WORKERS) + lost, "{name}");
            let closed = count(&history, |event| matches!(event, Event::RoundClosed { .. }));
            assert_eq!(closed > 0, local.name() == "bsp/1", "{name}");
            assert!(history.records().is_sorted_by_key(|record| record.at), "{name}");
            assert!(store.take_history().is_none(), "it was taken");
        }
    }
}

#[test]
fn is_recorded_on_demand() {
    let store = Store::in_memory();
    tables(&store, &Bsp.into());
    assert!(store.take_history().is_none());
}

/// What one member of two does alone: ticks `ticks` times and pulls; the deadline is short.
fn alone(config: Config, local: impl Into<Extension>, ticks: u64) -> (History, [Table; 2]) {
    let store = Store::with_config(Config { wait_max: Duration::from_millis(10), ..config });
    let tables = tables(&store, &local.into());
    let group = store.group("g", 2).unwrap();
    let (a, _b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    let mut x = [0.0_f32; ROWS];
    a.pull(&tables[0], .., &mut x).unwrap();
    for _ in 0..ticks {
        a.push(&tables[0], .., &x).unwrap();
        a.tick().unwrap();
    }
    match a.pull(&tables[0], .., &mut x) {
        Ok(_) | Err(Error::Wait(WaitError::Deadline { .. })) => {},
        Err(other) => unreachable!("{other}"),
    }
    (store.take_history().unwrap(), tables)
}

#[test]
fn tells_of_waits_that_were_given_up() {
    for local in [Bsp.into(), Extension::from(Ssp { staleness: 1 })] {
        let (history, tables) = alone(recording(), local, 2);
        let given_up =
            |event: &Event| matches!(event, Event::WaitEnded { outcome: WaitOutcome::GivenUp, .. });
        let began = count(&history, |event| matches!(event, Event::WaitBegan { .. }));
        assert_eq!((began, count(&history, given_up)), (1, 1));
        assert_eq!(found(&history, &tables), []);
    }
}

#[cfg(feature = "sabotage")]
mod sabotaged {
    use super::*;
    use archipelago::check::Law;
    use archipelago::node::sabotage::{Sabotage, Switch};

    fn is_caught(law: u8, sabotage: Sabotage, local: impl Into<Extension>, ticks: u64) {
        let config = Config { switch: Switch::on(sabotage), ..recording() };
        let (history, tables) = alone(config, local, ticks);
        let found = found(&history, &tables);
        assert!(found.iter().any(|v| v.law == Law(law)), "{sabotage:?} breaks law {law} unseen");
    }

    #[test]
    fn the_checkers_find_what_is_broken() {
        is_caught(4, Sabotage::SspServesEarly, Bsp, 2);
        is_caught(5, Sabotage::SspServesEarly, Ssp { staleness: 0 }, 2);
        is_caught(5, Sabotage::SspWaitsLonger, Ssp { staleness: 2 }, 2);
        is_caught(12, Sabotage::UnboundedStash, Bsp, 300);
    }
}
