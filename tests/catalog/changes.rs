//! Tables that change, or end, while their group trains: by tick alone, the same everywhere.

use archipelago::check::{Expected, check_all};
use archipelago::error::{AccessError, Error, SpecError, WaitError, WaitFor};
use archipelago::history::{Event, History};
use archipelago::id::ServerId;
use archipelago::node::Peer;
#[cfg(feature = "sabotage")]
use archipelago::node::sabotage::Sabotage;
use archipelago::node::sabotage::Switch;
use archipelago::sim::{Cluster, Fault, LinkProfile, Outcome};
use archipelago::time::Duration;
use archipelago::{
    AckLevel, Bsp, Eventual, Extension, Hyper, Schedule, Ssp, TableChange, TablePolicy, TableSpec,
    Tick, Worker, limits,
};

use crate::training;

const WORKERS: u32 = 3;

fn rate(rate: f64) -> Hyper {
    Hyper::rate(Schedule::Constant(rate))
}

fn local(policy: impl Into<Extension>) -> TableChange {
    TableChange::default().policy(TablePolicy::local(policy))
}

/// The policies that tables go through, whatever they began with.
fn course() -> [TableChange; 4] {
    [
        local(Eventual).from(Tick(3)),
        local(Bsp).hyper(rate(0.02)).from(Tick(5)),
        local(Ssp { staleness: 1 }).from(Tick(7)),
        TableChange::default().hyper(rate(0.01)).from(Tick(8)),
    ]
}

/// A cluster whose size and links follow from the seed, and whose faults end.
fn calming<'a, R: 'a>(seed: u64) -> Cluster<'a, R> {
    let links = if seed.is_multiple_of(2) { LinkProfile::normal() } else { LinkProfile::hostile() };
    let builder = Cluster::builder(seed).servers(1 + seed as u32 % 4).links(links);
    let builder = builder.fault(Duration::from_secs(3), Fault::Calm);
    builder.wait_max(Duration::from_secs(60)).build().unwrap()
}

fn judge(history: &History, seed: u64) {
    let found = check_all(history, &Expected::default());
    let shown: Vec<_> = found.iter().take(5).map(ToString::to_string).collect();
    assert!(found.is_empty(), "seed {seed}: {}", shown.join("\n"));
}

/// Workers that train through a course of policies, which one of them asks for before.
fn through(seed: u64, servers: u32, links: LinkProfile, switch: Switch) -> Outcome<u64> {
    let builder = Cluster::builder(seed).servers(servers).links(links).switch(switch);
    let builder = builder.wait_max(Duration::from_secs(60)).deadline(Duration::from_secs(200));
    let mut cluster = builder.fault(Duration::from_secs(3), Fault::Calm).build().unwrap();
    for worker in 0..WORKERS {
        let cost = Duration::from_millis(3 * u64::from(worker) + 1);
        cluster.spawn_session(Duration::ZERO, async move |session| {
            let [dense, sparse] = training::tables(Bsp);
            let dense = session.ensure_table(dense.0, dense.1, dense.2).await?;
            let sparse = session.ensure_table(sparse.0, sparse.1, sparse.2).await?;
            if worker == 0 {
                for change in course() {
                    for name in ["dense", "sparse"] {
                        let from = session.change_table(name, change.clone()).await?;
                        assert_eq!(Some(from), change.from);
                    }
                }
            }
            let group = session.ensure_group("train", WORKERS).await?;
            training::train(&session.join(group).await?, (&dense, &sparse), 10, cost).await
        });
    }
    cluster.run().unwrap()
}

#[test]
fn a_table_goes_through_any_policies_and_every_law_holds_piece_by_piece() {
    let mut waits = 0;
    for seed in 0..24_u64 {
        let hostile = !seed.is_multiple_of(3);
        let links = if hostile { LinkProfile::hostile() } else { LinkProfile::normal() };
        let outcome = through(seed, 1 + seed as u32 % 4, links, Switch::NONE);
        assert!(outcome.is_good(), "seed {seed}: {}", outcome.report());
        judge(&outcome.history, seed);
        let records = outcome.history.records().iter();
        let barred = records.filter(|record| match &record.event {
            Event::WaitBegan { reason, .. } => reason.what == WaitFor::PolicyChange,
            _ => false,
        });
        waits += barred.count();
    }
    assert!(waits > 20, "only {waits} requests met a barrier");
}

#[test]
#[cfg(feature = "sabotage")]
fn a_shard_that_changes_a_tick_late_is_noticed() {
    let late = Switch::on(Sabotage::ChangesLate);
    let outcome = through(1, 2, LinkProfile::normal(), late);
    let found = check_all(&outcome.history, &Expected::default());
    assert!(found.iter().any(|violation| violation.law == archipelago::check::Law(5)), "{found:?}");
}

/// Workers that write one table of integers by `Assign`-free adding, while one of them changes it.
#[test]
fn a_change_in_the_middle_begins_where_nobody_can_be_and_is_found_when_asked_again() {
    for seed in 0..20 {
        let mut cluster = calming(seed);
        for worker in 0..WORKERS {
            cluster.spawn_session(Duration::ZERO, async move |session| {
                // A push is worth its rate: what is read tells at which ticks which rate held.
                let spec = TableSpec::dense("w", 300).block_elements(64);
                let spec = spec.rule(archipelago::rules::Sgd);
                let policy = TablePolicy::local(Bsp);
                let w = session.ensure_table(spec.clone(), policy.clone(), rate(1.0)).await?;
                let group = session.ensure_group("train", WORKERS).await?;
                let me = session.join(group).await?;
                let (mut x, mut from) = ([0.0_f32; 300], Tick(0));
                while me.current_tick().0 <= 50 {
                    if worker == 1 && me.current_tick() == Tick(4) {
                        let change = TableChange::default().hyper(rate(0.5));
                        from = me.change_table("w", change.clone()).await?;
                        assert_eq!(me.change_table("w", change).await?, from, "found");
                        let far = TableChange::default().hyper(rate(9.0)).from(Tick(u64::MAX));
                        let refused = me.change_table("w", far).await.unwrap_err();
                        assert!(matches!(refused, Error::Spec(SpecError::TooLate { .. })));
                        let early = TableChange::default().hyper(rate(9.0)).from(Tick(5));
                        let refused = me.change_table("w", early).await.unwrap_err();
                        let Error::Spec(SpecError::TooEarly { earliest, .. }) = refused else {
                            panic!("{refused}")
                        };
                        assert!(earliest >= from, "{earliest} {from}");
                        // Who starts again with the old description finds the table.
                        let again =
                            me.ensure_table(spec.clone(), policy.clone(), rate(1.0)).await?;
                        assert_eq!(again.changes()[0].from, from);
                        me.ensure_table(spec.clone(), policy.clone(), rate(0.5)).await?;
                        let other = me.ensure_table(spec.clone(), policy.clone(), rate(0.25)).await;
                        assert!(matches!(other, Err(Error::Spec(SpecError::Mismatch { .. }))));
                    }
                    me.pull(&w, .., &mut x).await?;
                    me.push(&w, .., &[-1.0_f32; 300]).await?;
                    me.tick().await?;
                }
                me.pull(&w, .., &mut x).await?;
                me.finish().await?;
                Ok((from, x))
            });
        }
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "seed {seed}: {}", outcome.report());
        judge(&outcome.history, seed);
        let results: Vec<_> = outcome.results.iter().flatten().flatten().collect();
        let from = results[1].0;
        assert!(from.0 >= limits::CHANGE_AHEAD && from.0 <= 45, "seed {seed}: {from}");
        let sum = WORKERS as f32 * ((from.0 - 1) as f32 + 0.5 * (51 - from.0) as f32);
        for (_, x) in results {
            assert_eq!(x.iter().find(|x| **x != sum), None, "seed {seed}: {from}, {sum}");
        }
    }
}

#[test]
fn a_dropped_table_is_refused_by_name_and_its_name_is_free() {
    for seed in 0..16 {
        let mut cluster = calming(seed);
        for worker in 0..WORKERS {
            cluster.spawn_session(Duration::ZERO, async move |session| {
                let ensure = async |session: &archipelago::node::worker::Session| {
                    let spec = TableSpec::dense("w", 300).block_elements(64);
                    session.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default()).await
                };
                let unknown = session.drop_table("never").await.unwrap_err();
                assert!(matches!(unknown, Error::Access(AccessError::UnknownTable { .. })));
                let w = ensure(&session).await?;
                if worker == 0 {
                    let gone = TableSpec::dense("gone", 9);
                    let policy = TablePolicy::local(Bsp);
                    session.ensure_table(gone, policy, Hyper::default()).await?;
                    session.drop_table("gone").await?;
                    session.drop_table("gone").await?;
                    let refused = session.change_table("gone", local(Eventual)).await.unwrap_err();
                    assert!(matches!(refused, Error::Access(AccessError::Dropped { .. })));
                }
                let group = session.ensure_group("train", WORKERS).await?;
                let me = session.join(group).await?;
                let mut x = [0.0_f32; 300];
                let is_dropped = |error: &Error| {
                    matches!(error, Error::Access(AccessError::Dropped { table }) if table == "w")
                };
                if worker == 0 {
                    // Once all have joined.
                    me.pull(&w, .., &mut x).await?;
                    me.compute(Duration::from_millis(40)).await;
                    me.drop_table("w").await?;
                } else {
                    // Waits for worker 0, who never ticks: until the table is gone.
                    let waited = async {
                        me.push(&w, .., &[1.0_f32; 300]).await?;
                        me.tick().await?;
                        me.pull(&w, .., &mut x).await
                    };
                    let refused = waited.await.unwrap_err();
                    assert!(is_dropped(&refused), "seed {seed}: {refused}");
                }
                let spec = TableSpec::dense("w", 20);
                let policy = TablePolicy::local(Eventual);
                let again = me.ensure_table(spec, policy, Hyper::default()).await?;
                assert_ne!(again.id(), w.id());
                me.push(&again, .., &[1.0_f32; 20]).await?;
                me.finish().await?;
                Ok(again.id())
            });
        }
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "seed {seed}: {}", outcome.report());
        judge(&outcome.history, seed);
        assert_eq!(outcome.tables.len(), 1, "seed {seed}: the first one is gone");
    }
}

/// What `Applied` means before and behind a change, for a push of either side.
#[test]
fn waiting_for_applied_goes_by_the_policy_of_the_push() {
    let mut cluster = Cluster::builder(3).servers(2).build().unwrap();
    for _ in 0..2 {
        cluster.spawn_session(Duration::ZERO, async move |session| {
            let spec = TableSpec::dense("w", 300).block_elements(64);
            let w = session.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default()).await?;
            session.change_table("w", local(Eventual).from(Tick(2))).await?;
            session.change_table("w", local(Bsp).from(Tick(3))).await?;
            let group = session.ensure_group("train", 2).await?;
            let me = session.join(group).await?;
            let gathered = me.push(&w, .., &[1.0_f32; 300]).await?;
            let early = me.wait(gathered, AckLevel::Applied).await.unwrap_err();
            assert!(matches!(early, Error::Access(AccessError::WaitBeforeTick { .. })), "{early}");
            me.tick().await?;
            me.wait(gathered, AckLevel::Applied).await?;
            let at_once = me.push(&w, .., &[1.0_f32; 300]).await?;
            me.wait(at_once, AckLevel::Applied).await?;
            me.tick().await?;
            let gathered = me.push(&w, .., &[1.0_f32; 300]).await?;
            assert!(me.wait(gathered, AckLevel::Applied).await.is_err());
            me.tick().await?;
            me.wait(gathered, AckLevel::Applied).await?;
            me.finish().await
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    judge(&outcome.history, 3);
}

/// The keeper and one server are cut apart while everybody reaches both.
#[test]
fn who_waits_for_a_change_to_be_known_names_the_server_that_has_not_confirmed_it() {
    let cut = Fault::Partition {
        a: vec![Peer::Server(ServerId(0))],
        b: vec![Peer::Server(ServerId(2))],
        lasts: Duration::from_secs(20),
    };
    let builder = Cluster::builder(5).servers(3).fault(Duration::from_millis(300), cut);
    let mut cluster = builder.wait_max(Duration::from_secs(3)).build().unwrap();
    for worker in 0..2 {
        cluster.spawn_session(Duration::ZERO, async move |session| {
            let spec = TableSpec::dense("w", 300).block_elements(64);
            let policy = TablePolicy::local(Eventual);
            let w = session.ensure_table(spec, policy, rate(1.0)).await?;
            let group = session.ensure_group("train", 2).await?;
            let me = session.join(group).await?;
            me.push(&w, .., &[1.0_f32; 300]).await?;
            let names = |error: &Error| {
                let Error::Wait(WaitError::Deadline { reason, .. }) = error else { return false };
                reason.what == WaitFor::Confirmation { server: ServerId(2) }
            };
            let faster = TableChange::default().hyper(rate(0.5));
            let mut held_up = 0;
            while me.current_tick().0 <= 80 {
                me.compute(Duration::from_millis(20)).await;
                if worker == 0 && me.current_tick() == Tick(20) && held_up == 0 {
                    let error = me.change_table("w", faster.clone()).await.unwrap_err();
                    assert!(names(&error), "{error}");
                }
                if let Err(error) = me.tick().await {
                    assert!(names(&error), "{error}");
                    assert!(error.to_string().contains("waits for server 2 to confirm"), "{error}");
                    held_up += 1;
                }
            }
            let from = me.change_table("w", faster).await?;
            me.finish().await?;
            Ok((held_up, from))
        });
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    judge(&outcome.history, 5);
    for (held_up, from) in outcome.results.iter().flatten().flatten() {
        assert!(*held_up > 3 && from.0 >= 19 + limits::CHANGE_AHEAD, "{held_up} times, {from}");
    }
}
