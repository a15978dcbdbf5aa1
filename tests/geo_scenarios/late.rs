//! Who is slow, who comes late, and who goes on alone.

use archipelago::check::{Expected, check_all, check_mirror_clocks};
use archipelago::error::{AccessError, Error};
use archipelago::history::Event;
use archipelago::id::{DataCentre, GroupId, ServerId};
use archipelago::node::Peer;
use archipelago::node::mirror::Standing;
use archipelago::rules::{Add, Sgd};
use archipelago::sim::{Cluster, Fault, Outcome};
use archipelago::time::Duration;
use archipelago::{
    AckLevel, Asp, Bsp, Eventual, Extension, Hyper, Schedule, Ssp, TableChange, TablePolicy,
    TableSpec, Tick, Worker,
};

use crate::play::{Play, Site, copy, held, millis, shown, stands};

const SECOND: Duration = Duration::from_secs(1);

fn has<R>(outcome: &Outcome<R>, is_one: impl Fn(&Event) -> bool) -> bool {
    outcome.history.records().iter().any(|record| is_one(&record.event))
}

/// Before its first tick has ended it says that it lives.
#[test]
fn a_data_centre_whose_ticks_last_longer_than_silence_is_not_lost() {
    for global in [Extension::from(Bsp), Ssp { staleness: 0 }.into()] {
        let mut play = Play::new(global).ticks(3);
        play.sites[1].costs = vec![45 * SECOND; 2];
        let outcome = play.run(1);
        assert!(!has(&outcome, |event| matches!(event, Event::DataCentreLost { .. })));
        copy(&outcome);
    }
}

/// With nobody left to wait for, a read at tick t sees round t - 1 all the same.
#[test]
fn who_goes_on_alone_reads_what_one_data_centre_reads() {
    let sites = [Site::new(2, 3), Site::new(1, 3)];
    for global in [Extension::from(Bsp), Asp { staleness: 0, ..Asp::new(0.0) }.into()] {
        let mut play = Play::new(global).sites(sites.clone()).ticks(20).stop(1, millis(1));
        play.sites[0].costs = vec![millis(1), millis(5), millis(50)];
        let mut one = Play::new(Extension::new("off/1")).sites([sites[0].clone()]).ticks(20);
        one.sites[0].costs.clone_from(&play.sites[0].costs);
        assert_eq!(play.run(1).results[..3], one.run(1).results[..]);
    }
}

/// Whoever was away and is behind is shown as such: nobody waits for it until it has caught up.
#[test]
fn who_is_back_and_behind_is_seen() {
    let mut play = Play::new(Asp { staleness: 1, ..Asp::new(0.0) }).ticks(150);
    play = play.cut_off(1, SECOND, 60 * SECOND);
    play.sites.iter_mut().for_each(|site| site.costs = vec![SECOND; 2]);
    play.sites[1].costs = vec![millis(1500); 2];
    let (outcome, seen) = standings(&play, SECOND, Tick(u64::MAX));
    copy(&outcome);
    let expected = [Standing::Counts, Standing::Lost, Standing::Behind, Standing::Counts];
    assert_eq!(seen, expected);
}

/// Whoever is back but only ticks more slowly than the others would never catch up: what it has
/// missed is taken, and then it is waited for as before.
#[test]
fn who_is_back_and_only_slower_counts_again() {
    let globals: [Extension; 3] =
        [Asp { staleness: 1, ..Asp::new(0.0) }.into(), Ssp { staleness: 0 }.into(), Bsp.into()];
    for global in globals {
        let mut play = Play::new(global.clone()).ticks(400).cut_off(1, SECOND, 60 * SECOND);
        play.sites.iter_mut().for_each(|site| site.costs = vec![SECOND; 2]);
        play.sites[1].costs = vec![millis(1500); 2];
        let (outcome, seen) = standings(&play, SECOND, Tick(350));
        let found = play.judge(&outcome);
        assert!(found.is_empty(), "{global}: {}", shown(&found));
        copy(&outcome);
        let expected = [Standing::Counts, Standing::Lost, Standing::Behind, Standing::Counts];
        assert_eq!(seen, expected, "{global}");
    }
}

/// One path between two servers is enough to be lost: without it the clock counts for none of the
/// slots behind it.
#[test]
fn a_data_centre_is_lost_with_the_path_to_one_of_its_servers() {
    let mut play = Play::new(Asp { staleness: 1, ..Asp::new(0.0) });
    play = play.sites([Site::new(1, 2), Site::new(2, 2)]).ticks(150);
    play.sites.iter_mut().for_each(|site| site.costs = vec![SECOND; 2]);
    let path = |server: u32| vec![Peer::Server(ServerId(server))];
    let (a, b) = (path(0), path(2));
    play = play.fault(SECOND, Fault::Partition { a, b, lasts: 60 * SECOND });
    let (outcome, seen) = standings(&play, SECOND, Tick(u64::MAX));
    assert_eq!(seen[..2], [Standing::Counts, Standing::Lost]);
    assert_eq!(seen.last(), Some(&Standing::Counts));
    copy(&outcome);
}

/// How the second data centre stands at the first server, before some tick.
fn standings(play: &Play, every: Duration, before: Tick) -> (Outcome<Vec<f64>>, Vec<Standing>) {
    let (first, mut seen) = (play.servers(0)[0], Vec::new());
    let outcome = play.play_sampled(1, every, |sample| {
        let (passed, stands) = stands(&sample, first, DataCentre(1));
        if passed < before && seen.last() != Some(&stands) {
            seen.push(stands);
        }
    });
    assert!(outcome.is_good(), "{}", outcome.report());
    (outcome, seen)
}

/// Clocks that are always some ticks old, for ticks are shorter than the way, are near enough for
/// a bound of more ticks.
#[test]
fn who_is_back_counts_although_ticks_are_shorter_than_the_way() {
    let asp = Asp { staleness: 64, silence_max: 2 * SECOND, ..Asp::new(0.0) };
    let mut play = Play::new(asp).ticks(700).wan(millis(100), 10_000_000);
    play.sites.iter_mut().for_each(|site| site.costs = vec![millis(10); 2]);
    play = play.cut_off(1, SECOND, 4 * SECOND);
    let (_, seen) = standings(&play, millis(50), Tick(650));
    let back = seen.iter().rposition(|stands| *stands == Standing::Lost);
    assert!(back.is_some_and(|at| seen[at..].contains(&Standing::Counts)), "{seen:?}");
}

/// A group that only reads and runs ahead before anybody has pushed, leaving at once or later; and
/// workers who join after the others have left. Of both, each push is in every copy once.
#[test]
fn readers_that_run_ahead_and_workers_that_join_late_lose_nothing() {
    let cases = [(Extension::from(Bsp), 1), (Bsp.into(), 0), (Eventual.into(), 1)];
    let cases = cases.into_iter().flat_map(|case| [(0, case.clone()), (30, case)]);
    for (stays, (local, staleness)) in cases {
        let spec = TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add);
        let global = Asp { staleness, ..Asp::new(0.5) };
        let policy = TablePolicy::local(local.clone()).global(global);
        let mut last = Vec::new();
        let mut cluster = Cluster::builder(1)
            .table(spec, policy, Hyper::default())
            .group(1)
            .group(1)
            .record_history(true)
            .data_centre("a", 2)
            .data_centre("b", 3)
            .deadline(600 * SECOND)
            .build()
            .unwrap();
        let w = cluster.table(0).unwrap();
        let pushers = [(0, 1, 5), (1, 1, 5), (0, 100, 7)];
        for (at, starts, count) in pushers {
            let w = w.clone();
            cluster.spawn_in(DataCentre(at), GroupId(1), starts * SECOND, async move |me| {
                for _ in 0..count {
                    me.push(&w, .., &[1_i64; 300]).await?;
                    me.tick().await?;
                    me.compute(millis(100)).await;
                }
                me.finish().await
            });
        }
        for at in [0, 1] {
            let w = w.clone();
            cluster.spawn_in(DataCentre(at), GroupId(0), Duration::ZERO, async move |me| {
                for _ in 0..20 {
                    me.pull(&w, .., &mut [0_i64; 300]).await?;
                    me.tick().await?;
                }
                me.compute(stays * SECOND).await;
                me.finish().await
            });
        }
        cluster.sample(SECOND, |mut sample| {
            last = held::<i64>(&mut sample, &[&[0, 1], &[2, 3, 4]]).concat();
        });
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{local}, DS {staleness}, {stays} s: {}", outcome.report());
        assert_eq!(last, [17; 600], "{local}, DS {staleness}, {stays} s");
        let found = check_mirror_clocks(&outcome.history);
        assert!(found.is_empty(), "{local}, DS {staleness}, {stays} s: {found:?}");
    }
}

/// Under BSP between data centres readers of one have ticked on before anybody pushes there: who
/// begins behind them is told from where on it may, and pushes from there, in step with the others.
#[test]
fn who_begins_to_push_behind_settled_ticks_is_told() {
    let spec = TableSpec::dense("w", 300).block_elements(64).slots(5).rule(Sgd);
    let policy = TablePolicy::local(Bsp).global(Bsp);
    let hyper = Hyper::rate(Schedule::Constant(1.0));
    let builder = Cluster::builder(1).table(spec.clone(), policy, hyper).record_history(true);
    let builder = builder.group(1).group(1).data_centre("a", 2).data_centre("b", 3);
    let (mut last, mut cluster) = (Vec::new(), builder.deadline(600 * SECOND).build().unwrap());
    let w = cluster.table(0).unwrap();
    cluster.spawn_in(DataCentre(0), GroupId(0), Duration::ZERO, async move |me| {
        for _ in 0..6 {
            me.tick().await?;
        }
        me.compute(10 * SECOND).await;
        me.finish().await
    });
    for (at, begins) in [(0, Tick(7)), (1, Tick(1))] {
        let w = w.clone();
        cluster.spawn_in(DataCentre(at), GroupId(1), SECOND, async move |me| {
            let mine = [(1 + at) as f32; 300];
            if begins > Tick(1) {
                let early = me.push(&w, .., &mine).await?;
                let told = me.wait(early, AckLevel::Admitted).await;
                let Err(Error::Access(AccessError::Passed { expected, found, .. })) = told else {
                    panic!("{told:?}");
                };
                assert_eq!((expected, found), (begins, Tick(1)));
            }
            for tick in 1..=11 {
                if Tick(tick) >= begins {
                    me.push(&w, .., &mine).await?;
                }
                me.tick().await?;
            }
            me.finish().await
        });
    }
    cluster.sample(SECOND, |mut sample| {
        last = held::<f32>(&mut sample, &[&[0, 1], &[2, 3, 4]]).concat();
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    assert_eq!(last, [-(5.0 + 2.0 * 11.0); 600]);
    let data_centres = outcome.data_centres.clone();
    let (domains, staleness) = (vec![spec.domain], vec![Some(0)]);
    let expected = Expected { domains, data_centres, overlay: None, staleness };
    let found = check_all(&outcome.history, &expected);
    assert!(found.is_empty(), "{}", shown(&found));
}

/// The local policy of a table changes in the middle, in every data centre: in step or not, each
/// push is in every copy once.
#[test]
fn a_local_policy_changes_between_data_centres() {
    for (staleness, locals) in [
        (0, [Extension::from(Bsp), Eventual.into()]),
        (0, [Eventual.into(), Bsp.into()]),
        (2, [Bsp.into(), Ssp { staleness: 1 }.into()]),
    ] {
        let spec = TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add);
        let global = Extension::from(Asp { staleness, ..Asp::new(0.5) });
        let policies = locals.map(|local| TablePolicy::local(local).global(global.clone()));
        let mut last = Vec::new();
        let builder = Cluster::builder(1).table(spec, policies[0].clone(), Hyper::default());
        let builder = builder.group(2).data_centre("a", 2).data_centre("b", 3);
        let mut cluster = builder.deadline(600 * SECOND).build().unwrap();
        let w = cluster.table(0).unwrap();
        for (at, rank) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
            let (w, policy) = (w.clone(), policies[1].clone());
            cluster.spawn_session_in(DataCentre(at), Duration::ZERO, async move |session| {
                let change = TableChange::default().policy(policy).from(Tick(9));
                session.change_table("n", change).await?;
                let me = session.join(GroupId(0)).await?;
                for tick in 1..=20 {
                    me.pull(&w, .., &mut [0_i64; 300]).await?;
                    me.push(&w, .., &[1_i64; 300]).await?;
                    me.compute(millis(10 + 7 * (tick * (rank + 1) % 5))).await;
                    me.tick().await?;
                }
                me.finish().await
            });
        }
        cluster.sample(SECOND, |mut sample| {
            last = held::<i64>(&mut sample, &[&[0, 1], &[2, 3, 4]]).concat();
        });
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "DS {staleness}: {}", outcome.report());
        assert_eq!(last, [80; 600], "DS {staleness}, {}", policies[1].local);
    }
}

/// The keeper of a data centre refuses it, whoever asks: the others would wait for a copy that
/// cannot be made again. Training goes on.
#[test]
fn a_table_between_data_centres_is_not_dropped() {
    let spec = TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add);
    let policy = TablePolicy::local(Eventual).global(Eventual);
    let builder = Cluster::builder(1).table(spec, policy, Hyper::default()).group(1);
    let builder = builder.data_centre("a", 2).data_centre("b", 1).deadline(600 * SECOND);
    let (mut last, mut cluster) = (Vec::new(), builder.build().unwrap());
    let w = cluster.table(0).unwrap();
    for at in [0, 1] {
        let w = w.clone();
        cluster.spawn_session_in(DataCentre(at), Duration::ZERO, async move |session| {
            let refused = session.drop_table("n").await.unwrap_err().to_string();
            let words = ["\"n\"", "global policy", "stop the servers of all data centres"];
            assert!(words.iter().all(|words| refused.contains(words)), "{refused}");
            let me = session.join(GroupId(0)).await?;
            for _ in 0..5 {
                me.push(&w, .., &[1_i64; 300]).await?;
                me.tick().await?;
            }
            me.finish().await
        });
    }
    cluster.sample(SECOND, |mut sample| {
        last = held::<i64>(&mut sample, &[&[0, 1], &[2]]).concat();
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    assert_eq!(last, [10; 600]);
}
