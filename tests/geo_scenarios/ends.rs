//! The end of training, and what comes after it: copies are equal, whoever is late or lost.

use archipelago::check::{Expected, check_all};
use archipelago::error::{AccessError, Error};
use archipelago::id::{DataCentre, GroupId, ServerId, TableId};
use archipelago::node::Peer;
use archipelago::node::mirror::Standing;
use archipelago::placement::{HubGroup, Overlay};
use archipelago::rules::{Add, Sgd};
use archipelago::sim::{Cluster, Fault, LinkProfile, Sample};
use archipelago::spec::Combine;
use archipelago::time::Duration;
use archipelago::{
    AckLevel, Asp, Bsp, Eventual, Extension, Hyper, Schedule, TablePolicy, TableSpec, Worker,
};

use crate::equal::policies;
use crate::play::{Play, Site, copies, copy, millis, shown};
use crate::warnings::warnings;

const SECOND: Duration = Duration::from_secs(1);

fn group(members: &[u32], hub: u32) -> HubGroup {
    let members = members.iter().copied().map(DataCentre).collect();
    HubGroup { members, hub: DataCentre(hub) }
}

/// What each of three copies holds in the end, of 15 pushes and then 7 more of somebody who joins
/// the second data centre late, one way being `slow`.
fn after_late_pushes(
    local: &Extension,
    staleness: u64,
    overlay: Option<Overlay>,
    slow: [u32; 2],
) -> Vec<i64> {
    let spec = TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add);
    let policy = TablePolicy::local(local.clone()).global(Asp { staleness, ..Asp::new(0.5) });
    let mut builder = Cluster::builder(1).table(spec, policy, Hyper::default()).group(1);
    for name in ["a", "b", "c"] {
        builder = builder.data_centre(name, 1);
    }
    for (a, b) in [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)] {
        let latency = if [a, b] == slow { 3000 } else { 10 };
        let wan = LinkProfile::normal().latency(millis(latency));
        builder = builder.link(Peer::Server(ServerId(a)), Peer::Server(ServerId(b)), wan);
    }
    if let Some(overlay) = overlay {
        builder = builder.overlay(overlay);
    }
    let (mut last, mut cluster) = (Vec::new(), builder.deadline(600 * SECOND).build().unwrap());
    let w = cluster.table(0).unwrap();
    for (at, starts, count) in [(0, 1, 5), (1, 1, 5), (2, 1, 5), (1, 100, 7)] {
        let w = w.clone();
        cluster.spawn_in(DataCentre(at), GroupId(0), starts * SECOND, async move |me| {
            for _ in 0..count {
                me.push(&w, .., &[1_i64; 300]).await?;
                me.tick().await?;
                me.compute(millis(100)).await;
            }
            me.finish().await
        });
    }
    cluster.sample(SECOND, |mut sample| {
        last = [0, 1, 2].map(|it| sample.values::<i64>(&[ServerId(it)], TableId(0))[0]).to_vec();
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{local}, DS {staleness}: {}", outcome.report());
    last
}

/// An update that takes longer than the values it is in: a copy that has taken both takes the
/// values again.
#[test]
fn what_comes_after_the_values_that_it_is_in_is_not_counted_twice() {
    let hubs = || Overlay::new(vec![group(&[0, 1], 0), group(&[2], 2)], &[]).unwrap();
    for (local, staleness, overlay, slow) in [
        (Extension::from(Eventual), 1, None, [1, 2]),
        (Bsp.into(), 1, None, [1, 2]),
        (Bsp.into(), 0, None, [1, 2]),
        (Eventual.into(), 1, Some(hubs()), [0, 2]),
    ] {
        assert_eq!(after_late_pushes(&local, staleness, overlay, slow), [22; 3], "{local}");
    }
}

/// What is pushed after the end of training there is in no copy, although others still train:
/// copies stay equal at every tick. Whoever pushes so late waits for nobody, and is told.
#[test]
fn what_is_pushed_after_the_end_under_bsp_is_in_no_copy() {
    let mean = Combine::WeightedMean { round_weight: 2.0 };
    for (combine, ticks) in [(Combine::Sum, [3, 3]), (Combine::Sum, [3, 40]), (mean, [3, 40])] {
        let spec = TableSpec::dense("w", 300).block_elements(64).slots(5).rule(Sgd);
        let policy = TablePolicy::local(Bsp).global(Bsp);
        let hyper = Hyper::rate(Schedule::Constant(0.5));
        let builder = Cluster::builder(1).table(spec.combine(combine), policy, hyper).group(1);
        let builder = builder.data_centre("a", 1).data_centre("b", 2).deadline(600 * SECOND);
        let run = |late: u64| {
            let mut cluster = builder.clone().build().unwrap();
            let w = cluster.table(0).unwrap();
            let [first, other] = ticks;
            for (at, starts, count) in [(0, 0, first), (1, 0, other), (0, 15, late)] {
                let w = w.clone();
                cluster.spawn_in(DataCentre(at), GroupId(0), starts * SECOND, async move |me| {
                    for _ in 0..count {
                        me.pull(&w, .., &mut [0.0_f32; 300]).await?;
                        let stamp = me.push(&w, .., &[1.0_f32; 300]).await?;
                        match me.wait(stamp, AckLevel::Admitted).await {
                            Err(Error::Access(AccessError::Ended { table })) if starts > 0 => {
                                assert_eq!(table, "w");
                            },
                            told => assert_eq!((told?, starts), ((), 0)),
                        }
                        me.tick().await?;
                        me.compute(SECOND).await;
                    }
                    me.finish().await
                });
            }
            let outcome = cluster.run().unwrap();
            assert!(outcome.is_good(), "{combine:?}, {ticks:?}: {}", outcome.report());
            let data_centres = outcome.data_centres.clone();
            let expected = Expected { data_centres, ..Expected::default() };
            let found = check_all(&outcome.history, &expected);
            assert!(found.is_empty(), "{combine:?}, {ticks:?}: {}", shown(&found));
            copy(&outcome)
        };
        assert_eq!(run(7), run(0), "{combine:?}, {ticks:?}");
    }
}

/// Who joins after the end and only reads waits for no tick: nobody tells of any more.
#[test]
fn who_reads_after_the_end_waits_for_nobody() {
    for global in policies() {
        let spec = TableSpec::dense("w", 300).block_elements(64).slots(5).rule(Sgd);
        let policy = TablePolicy::local(Bsp).global(global.clone());
        let builder = Cluster::builder(1).table(spec, policy, Hyper::default()).group(1);
        let builder = builder.data_centre("a", 1).data_centre("b", 2).deadline(200 * SECOND);
        let mut cluster = builder.build().unwrap();
        let w = cluster.table(0).unwrap();
        for (at, starts) in [(0, 0), (1, 0), (0, 50)] {
            let w = w.clone();
            cluster.spawn_in(DataCentre(at), GroupId(0), starts * SECOND, async move |me| {
                for _ in 0..5 {
                    me.pull(&w, .., &mut [0.0_f32; 300]).await?;
                    if starts == 0 {
                        me.push(&w, .., &[1.0_f32; 300]).await?;
                    }
                    me.tick().await?;
                }
                me.finish().await
            });
        }
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{global}: {}", outcome.report());
        copy(&outcome);
    }
}

/// The group whose first data centre is dead still goes by its name: somebody leads, and who lives
/// ends equal.
#[test]
fn a_group_whose_first_is_dead_leads_all_the_same() {
    let overlay = Overlay::new(vec![group(&[0, 3], 3), group(&[1, 2], 1)], &[]).unwrap();
    let asp = Asp { staleness: 2, ..Asp::new(0.02) };
    let mut play = Play::new(asp).sites(vec![Site::new(1, 2); 4]).ticks(200).stop(0, 2 * SECOND);
    play.overlay = Some(overlay);
    let copies = copies(&play.run(1));
    assert_eq!(copies[1..], [copies[1]; 3]);
}

/// The one who speaks for the first group to the second is dead: both go on with the third and
/// have lost each other. The third takes the values of the first and says so; the second is equal
/// within itself, and shows that it is not equal with all who count there.
#[test]
fn two_that_have_lost_each_other_end_apart_and_say_so() {
    let groups = vec![group(&[0, 1], 0), group(&[2, 3], 2), group(&[4, 5], 4)];
    let overlay = Overlay::new(groups, &[[DataCentre(1), DataCentre(2)]]).unwrap();
    let asp = Asp { staleness: 2, ..Asp::new(0.0) };
    let mut play = Play::new(asp).sites(vec![Site::new(1, 2); 6]).ticks(200).stop(1, 2 * SECOND);
    (play.overlay, play.deadline) = (Some(overlay), 200 * SECOND);
    let (mut equal, mut outcome) = ([false; 6], None);
    let warned = warnings(|| {
        let look = |sample: Sample<'_>| {
            let standing = |at| sample.mirror_standing(ServerId(at), TableId(0)).unwrap();
            equal = [0, 1, 2, 3, 4, 5].map(|at| standing(at).equal);
        };
        outcome = Some(play.play_sampled(1, SECOND, look));
    });
    let outcome = outcome.unwrap();
    let found = play.judge(&outcome);
    assert!(found.is_empty(), "{}", shown(&found));
    let copies = copies(&outcome);
    assert_eq!((copies[4], copies[5], copies[3]), (copies[0], copies[0], copies[2]));
    assert_ne!(copies[2], copies[0]);
    assert_eq!(equal, [true, false, false, true, true, true]);
    let says = |line: &&String| line.contains("lost each other");
    assert_eq!(warned.iter().filter(says).count(), 1, "{warned:#?}");
    assert!(outcome.errors().next().is_none(), "{}", outcome.report());
}

/// The same without groups: only the way between the first two is cut.
#[test]
fn who_cannot_reach_the_first_ends_apart_from_those_who_can() {
    for local in [Extension::from(Bsp), Eventual.into()] {
        let asp = Asp { staleness: 2, ..Asp::new(0.0) };
        let mut play = Play::new(asp).local(local).sites(vec![Site::new(1, 2); 3]).ticks(200);
        play = play.cut_between(&[0], &[1], 2 * SECOND, 500 * SECOND);
        play.deadline = 200 * SECOND;
        let mut equal = [false; 3];
        let outcome = play.play_sampled(1, SECOND, |sample| {
            let standing = |at| sample.mirror_standing(ServerId(at), TableId(0)).unwrap();
            equal = [0, 1, 2].map(|at| standing(at).equal);
        });
        let copies = copies(&outcome);
        assert!(copies[2] == copies[0] && copies[1] != copies[0], "{copies:x?}");
        assert_eq!(equal, [true, false, true]);
        assert!(outcome.errors().next().is_none(), "{}", outcome.report());
    }
}

/// One that ends while it has lost the other is equal, with all who count: until the other counts
/// again and still trains.
#[test]
fn who_has_ended_is_not_equal_with_one_who_trains_again() {
    let spec = TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add);
    let policy = TablePolicy::local(Bsp).global(Eventual);
    let [a, b] = [0, 1].map(|it| Peer::Server(ServerId(it)));
    let cut = Fault::Partition { a: vec![a], b: vec![b], lasts: 100 * SECOND };
    let builder = Cluster::builder(1).table(spec, policy, Hyper::default()).group(1);
    let builder = builder.data_centre("a", 1).data_centre("b", 1).deadline(600 * SECOND);
    let (mut seen, mut cluster) = (Vec::new(), builder.fault(SECOND, cut).build().unwrap());
    let w = cluster.table(0).unwrap();
    for (at, ticks) in [(0, 300), (1, 50)] {
        let w = w.clone();
        cluster.spawn_in(DataCentre(at), GroupId(0), Duration::ZERO, async move |me| {
            for _ in 0..ticks {
                me.push(&w, .., &[1_i64; 300]).await?;
                me.tick().await?;
                me.compute(SECOND).await;
            }
            me.finish().await
        });
    }
    cluster.sample(10 * SECOND, |sample| {
        let standing = sample.mirror_standing(ServerId(1), TableId(0)).unwrap();
        let counts = standing.others[0].2 == Standing::Counts;
        seen.push((counts, standing.equal));
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    seen.dedup();
    let (trains, lost, ended) = ((true, false), (false, false), (false, true));
    assert_eq!(seen, [trains, lost, ended, trains]);
    copy(&outcome);
}

/// One of the first data centre's two servers cannot be reached while the other data centre ends,
/// which has lost it then, and lets its own values count. When it is back, also what its other
/// server has told meanwhile counts again.
#[test]
fn the_first_comes_back_after_the_end_with_all_of_its_servers() {
    let spec = TableSpec::dense("w", 3000).block_elements(64).rule(Add);
    let policy = TablePolicy::local(Bsp).global(Asp::new(0.01)).silence_max(2 * SECOND);
    let [a, b] = [0, 2].map(|it| vec![Peer::Server(ServerId(it))]);
    let builder = Cluster::builder(1).table(spec, policy, Hyper::default()).group(1).group(1);
    let builder = builder.data_centre("a", 2).data_centre("b", 1).deadline(600 * SECOND);
    let cut = Fault::Partition { a, b, lasts: 30 * SECOND };
    let (mut equal, mut cluster) = ([false; 3], builder.fault(3 * SECOND, cut).build().unwrap());
    let w = cluster.table(0).unwrap();
    for (at, ticks) in [(0, 20), (1, 80)] {
        let w = w.clone();
        cluster.spawn_in(DataCentre(at), GroupId(0), Duration::ZERO, async move |me| {
            for tick in 0..ticks {
                me.push(&w, .., &[0.1_f32 / (tick + 1 + at) as f32; 3000]).await?;
                me.tick().await?;
                me.compute(millis(100)).await;
            }
            me.finish().await
        });
    }
    // Time passes until all is over.
    cluster.spawn_in(DataCentre(1), GroupId(1), 60 * SECOND, async move |me| {
        me.compute(SECOND).await;
        me.finish().await
    });
    cluster.sample(SECOND, |sample| {
        let standing = |at| sample.mirror_standing(ServerId(at), TableId(0)).unwrap();
        equal = [0, 1, 2].map(|at| standing(at).equal);
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    copy(&outcome);
    assert_eq!(equal, [true; 3]);
}

/// The first is back while the next one, which has led without it, still waits for the third to
/// confirm its values: nobody will, for those of the first count again, and all end equal.
#[test]
fn who_leads_no_more_waits_for_nobody_to_confirm_its_values() {
    for lasts in (0..20).map(|step| millis(2000 + 100 * step)) {
        let asp = Asp { staleness: 2, silence_max: 5 * SECOND, ..Asp::new(0.02) };
        let mut play = Play::new(asp).ticks(6).wan(SECOND, 5_000_000).cut_off(0, 2 * SECOND, lasts);
        play.deadline = 200 * SECOND;
        copy(&play.run(1));
    }
}

/// The one whose values all take dies while they take them: the next one's count.
#[test]
fn the_first_dies_in_the_end_and_the_next_one_leads() {
    for at in [3200, 3600, 4000, 4400, 4800, 6000, 7000] {
        let asp = Asp { staleness: 2, silence_max: 5 * SECOND, ..Asp::new(0.02) };
        let mut play = Play::new(asp).ticks(6).wan(SECOND, 5_000_000).stop(0, millis(at));
        play.deadline = 200 * SECOND;
        let outcome = play.play(1);
        assert!(outcome.is_good(), "stopped at {at} ms: {}", outcome.report());
        let copies = copies(&outcome);
        assert_eq!(copies[1], copies[2], "stopped at {at} ms");
    }
}
