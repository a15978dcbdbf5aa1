//! The embedded store as a user meets it: policies, groups, errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::thread;

use archipelago::embed::Config;
use archipelago::error::{AccessError, Error, GroupError, WaitError, WaitFor};
use archipelago::rules::{Adam, Momentum, Sgd};
use archipelago::time::Duration;
use archipelago::{
    AckLevel, Bsp, Combine, Eventual, Hyper, KeyList, Schedule, Ssp, Store, TablePolicy, TableSpec,
    Worker,
};

fn store(shards: u32) -> Store {
    Store::with_config(Config { shards, ..Config::default() })
}

/// Four workers push overlapping, rounding-sensitive contributions; the digest of the result.
fn bsp_digest(shards: u32, sparse: bool) -> u128 {
    let store = store(shards);
    let spec =
        if sparse { TableSpec::sparse("w", 3) } else { TableSpec::dense("w", 5000).width(3) };
    let spec = spec.block_elements(256).rule(Momentum { beta: 0.9 });
    let spec = spec.combine(Combine::WeightedMean { round_weight: 8.0 });
    let hyper = Hyper::rate(Schedule::inverse_sqrt(0.1));
    let w = store.ensure_table(spec, TablePolicy::local(Bsp), hyper).unwrap();
    let group = store.group("g", 4).unwrap();
    let workers: Vec<_> = (0..4).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for me in workers {
            let w = &w;
            scope.spawn(move || {
                let rank = u64::from(me.origin().rank.0);
                for tick in 1..6_u64 {
                    let keys = (0..5000).filter(|key| (key * 7 + tick) % (rank + 2) != 0).collect();
                    let keys = KeyList::new(keys).unwrap();
                    let mut x = vec![0.0_f32; keys.len() * 3];
                    me.pull(w, &keys, &mut x).unwrap();
                    let g: Vec<f32> = x
                        .iter()
                        .enumerate()
                        .map(|(i, x)| x * 0.3 + ((i as f32) * 0.37 + rank as f32).sin() / 3.0)
                        .collect();
                    let options =
                        archipelago::PushOptions { weight: Some(rank as f64 + 0.5), after: &[] };
                    me.push_with(w, &keys, &g, options).unwrap();
                    me.tick().unwrap();
                }
                me.finish().unwrap();
            });
        }
    });
    store.digest(&w).unwrap()
}

#[test]
fn bsp_bits_do_not_depend_on_the_number_of_shards() {
    for sparse in [false, true] {
        let one = bsp_digest(1, sparse);
        for shards in [2, 3, 5, 8] {
            assert_eq!(bsp_digest(shards, sparse), one, "{shards} shards, sparse: {sparse}");
        }
    }
}

#[test]
fn an_exchange_is_push_tick_and_pull() {
    let store = store(2);
    let spec = TableSpec::dense("w", 4).rule(Sgd);
    let w = store.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default()).unwrap();
    let me = store.group("g", 1).unwrap().join_blocking().unwrap();
    let mut x = [0.0_f32; 4];
    let seen = me.exchange(&w, .., &[1.0; 4], &mut x).unwrap();
    assert_eq!((x, seen.oldest.0, seen.newest.0), ([-1.0; 4], 1, 1));
    me.finish().unwrap();
    assert!(matches!(me.tick(), Err(Error::Group(GroupError::Finished { .. }))));
}

#[test]
fn errors_name_what_was_expected_and_found() {
    let store = store(2);
    let spec = TableSpec::dense("w", 10).rule(Adam::default());
    let w = store.ensure_table(spec.clone(), TablePolicy::local(Bsp), Hyper::default()).unwrap();
    let ensure = |spec: &TableSpec, policy, rate| {
        let hyper = Hyper::rate(Schedule::Constant(rate));
        store.ensure_table(spec.clone(), policy, hyper).unwrap_err().to_string()
    };
    let end = ": use the same or another name";
    let (wide, bsp) = (spec.clone().width(2), TablePolicy::local(Bsp));
    assert_eq!(ensure(&wide, bsp.clone(), 1.0), format!("\"w\" exists with width 1, found 2{end}"));
    assert_eq!(
        ensure(&spec, TablePolicy::local(Ssp { staleness: 2 }), 1.0),
        format!("\"w\" exists with local policy bsp/1, found ssp/1(staleness=2){end}")
    );
    assert_eq!(
        ensure(&spec, bsp, 0.5),
        format!("\"w\" exists with rate Constant(1.0), found Constant(0.5){end}")
    );
    for empty in [TableSpec::dense("v", 0), TableSpec::dense("v", 0).width(3)] {
        let error = ensure(&empty, TablePolicy::local(Bsp), 1.0);
        assert!(error.contains("number of rows (keys), or the width, is 0"), "{error}");
    }
    let me = store.group("g", 1).unwrap().join_blocking().unwrap();
    let wrong = me.push(&w, .., &[1.0_f32; 9]).unwrap_err();
    assert_eq!(
        wrong.to_string(),
        "table \"w\", keys 0..=9: expected 10 elements (rows x width), found 9"
    );
    let wrong = me.push(&w, .., &[1.0_f64; 10]).unwrap_err();
    assert_eq!(wrong.to_string(), "table \"w\" holds f32, the slice holds f64");
    let wrong = me.push(&w, 5..11, &[1.0_f32; 6]).unwrap_err();
    assert!(matches!(wrong, Error::Access(AccessError::OutsideDomain { key: 10, last: 9, .. })));
    let stamp = me.push(&w, 0..2, &[1.0_f32; 2]).unwrap();
    let early = me.wait(stamp, AckLevel::Applied).unwrap_err();
    assert!(matches!(early, Error::Access(AccessError::WaitBeforeTick { .. })));
    me.push(&w, 2..4, &[1.0_f32, f32::NAN]).unwrap();
    let refused = me.tick().unwrap_err();
    assert!(refused.to_string().starts_with("table \"w\", key 3, element 0: NaN"), "{refused}");
    me.tick().unwrap();
    me.wait(stamp, AckLevel::Applied).unwrap();
    let mut x = [0.0_f32; 10];
    me.pull(&w, .., &mut x).unwrap();
    assert!(x[0] < 0.0 && x[2..] == [0.0; 8]);
}

#[test]
fn a_table_has_one_writing_group() {
    let store = store(2);
    let policy = TablePolicy::local(Eventual);
    let w = store.ensure_table(TableSpec::dense("w", 10), policy, Hyper::default()).unwrap();
    let writer = store.group("writer", 1).unwrap().join_blocking().unwrap();
    let reader = store.group("reader", 1).unwrap().join_blocking().unwrap();
    writer.push(&w, 1..2, &[3.0_f32]).unwrap();
    let mut x = [0.0_f32; 10];
    reader.pull(&w, .., &mut x).unwrap();
    assert_eq!(x[1], 3.0);
    // Another shard than the one that was written, and still the same table.
    let taken = reader.push(&w, 9..10, &[3.0_f32]).unwrap_err();
    assert!(matches!(taken, Error::Access(AccessError::WriterTaken { .. })), "{taken}");
}

#[test]
fn a_tick_waits_for_the_pulls_before_it() {
    let store = store(2);
    let policy = TablePolicy::local(Bsp);
    let w = store.ensure_table(TableSpec::dense("w", 10), policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    a.tick().unwrap();
    b.push(&w, .., &[1.0_f32; 10]).unwrap();
    let (mut early, mut late) = ([9.0_f32; 10], [9.0_f32; 10]);
    thread::scope(|scope| {
        scope.spawn(|| {
            // Both futures run at once: the tick may not overtake the pull of tick 2.
            a.run(async |me| {
                let pull = me.pull(&w, .., &mut early);
                let (mut pull, mut tick) = (std::pin::pin!(pull), std::pin::pin!(me.tick()));
                let mut ended = false;
                std::future::poll_fn(|context| {
                    let pulled = pull.as_mut().poll(context).is_ready();
                    if !pulled {
                        ended |= tick.as_mut().poll(context).is_ready();
                        assert!(!ended, "the tick ended before its pull was answered");
                    }
                    if pulled { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                })
                .await;
            });
        });
        b.tick().unwrap();
    });
    assert_eq!(early, [1.0; 10]);
    b.tick().unwrap();
    a.tick().unwrap();
    a.pull(&w, .., &mut late).unwrap();
    assert_eq!(late, [1.0; 10]);
}

#[test]
fn the_sum_of_a_round_is_the_written_one() {
    let store = store(2);
    let policy = TablePolicy::local(Bsp);
    let w = store.ensure_table(TableSpec::dense("w", 1), policy, Hyper::default()).unwrap();
    let group = store.group("g", 3).unwrap();
    let members: Vec<_> = (0..3).map(|_| group.join_blocking().unwrap()).collect();
    // Rounding tells orders apart: 1 is lost beside 2^24.
    let big = 16_777_216.0_f32;
    let pushes = [vec![1.0], vec![big], vec![1.0, -big]];
    // Arrival is the reverse of rank.
    for (member, values) in members.iter().zip(&pushes).rev() {
        for value in values {
            member.push(&w, .., &[*value]).unwrap();
        }
        member.tick().unwrap();
    }
    let mut x = [0.0_f32];
    members[0].pull(&w, .., &mut x).unwrap();
    let written = (1.0 + big) + (1.0 - big);
    assert_eq!(x[0].to_bits(), (0.0 + written).to_bits());
    let (flat, by_arrival) = (((1.0 + big) + 1.0) - big, ((1.0 - big) + big) + 1.0);
    assert!(written != flat && written != by_arrival, "the order shows");
}

#[test]
fn waits_end_at_their_deadline_and_say_why() {
    let wait_max = Duration::from_millis(30);
    let store = Store::with_config(Config { wait_max, ..Config::default() });
    let policy = TablePolicy::local(Bsp);
    let w = store.ensure_table(TableSpec::dense("w", 1), policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let a = group.join_blocking().unwrap();
    let mut x = [7.0_f32];
    let waits = |error: Error| match error {
        Error::Wait(WaitError::Deadline { reason, waited }) => {
            assert!(waited >= wait_max, "{waited:?}");
            (reason.what, reason.who.map(|rank| rank.0), reason.tick.0)
        },
        other => panic!("expected a deadline, found {other}"),
    };
    let forming = a.pull(&w, .., &mut x).unwrap_err();
    assert!(forming.to_string().contains("waits for worker 1 to join the group"), "{forming}");
    assert_eq!(waits(forming), (WaitFor::GroupForming, Some(1), 1));
    let b = group.join_blocking().unwrap();
    a.pull(&w, .., &mut x).unwrap();
    let stamp = a.push(&w, .., &[0.0_f32]).unwrap();
    a.tick().unwrap();
    let slow = waits(a.pull(&w, .., &mut x).unwrap_err());
    assert_eq!(slow, (WaitFor::MemberTick, Some(1), 1));
    let applied = waits(a.wait(stamp, AckLevel::Applied).unwrap_err());
    assert_eq!(applied, slow);
    assert_eq!(x, [0.0], "a deadline serves nothing");
    b.tick().unwrap();
    a.pull(&w, .., &mut x).unwrap();
    let stats = store.stats();
    assert!(stats.waits.iter().all(|wait| wait.count > 0));
}

#[test]
fn applied_means_that_the_rule_has_run() {
    let store = store(3);
    let policy = TablePolicy::local(Bsp);
    let w = store.ensure_table(TableSpec::dense("w", 500), policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    let stamp = a.push(&w, .., &[1.0_f32; 500]).unwrap();
    a.wait(stamp, AckLevel::Admitted).unwrap();
    let mut x = [9.0_f32; 500];
    store.read(&w, .., &mut x).unwrap();
    assert_eq!(x, [0.0; 500], "admitted is not applied");
    a.tick().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| b.tick().unwrap());
        a.wait(stamp, AckLevel::Applied).unwrap();
        store.read(&w, .., &mut x).unwrap();
    });
    assert_eq!(x, [1.0; 500]);
}

#[test]
fn the_stash_is_bounded_and_the_next_in_order_is_always_admitted() {
    const ROWS: usize = 1 << 20;
    let bound = 1 << 20;
    let store = store(1);
    let policy = TablePolicy::local(Bsp).bsp_stash_bytes_max(bound);
    let spec = TableSpec::dense("w", ROWS as u64);
    let w = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    let group = store.group("g", 3).unwrap();
    let members: Vec<_> = (0..3).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for member in members.into_iter().rev() {
            let w = &w;
            scope.spawn(move || {
                let g = vec![1.0_f32; ROWS];
                for _ in 0..3 {
                    member.push(w, .., &g).unwrap();
                    member.tick().unwrap();
                }
                member.finish().unwrap();
            });
        }
    });
    let mut x = vec![0.0_f32; ROWS];
    store.read(&w, .., &mut x).unwrap();
    assert!(x.iter().all(|x| *x == 9.0));
    let peak = store.stats().tables[0].shards.stash_bytes_peak;
    // Beyond the bound: one fold of the ranks before, and the pushes of the one next in order.
    let most = (bound + 2 * ROWS * 4) as u64;
    assert!(peak <= most, "{peak} of {most}");
    let waited = store.stats().waits.iter().any(|wait| wait.what == WaitFor::StashFull);
    assert!(waited, "somebody had to wait with its data");
}

#[test]
fn a_pull_reports_the_ticks_that_it_reflects() {
    let store = store(2);
    let policy = TablePolicy::local(Ssp { staleness: 5 });
    let w = store.ensure_table(TableSpec::dense("w", 1), policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    let mut x = [0.0_f32];
    for _ in 0..3 {
        a.push(&w, .., &[1.0_f32]).unwrap();
        a.tick().unwrap();
    }
    b.push(&w, .., &[10.0_f32]).unwrap();
    let seen = a.pull(&w, .., &mut x).unwrap();
    assert_eq!((x[0], seen.oldest.0, seen.newest.0), (13.0, 0, 3));
    b.tick().unwrap();
    a.push(&w, .., &[100.0_f32]).unwrap();
    let seen = b.pull(&w, .., &mut x).unwrap();
    assert_eq!((x[0], seen.oldest.0, seen.newest.0), (113.0, 1, 4));
}

#[test]
fn a_push_to_one_shard_is_applied_everywhere_it_matters() {
    let store = store(4);
    let spec = TableSpec::dense("w", 1000).block_elements(64);
    let w = store.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default()).unwrap();
    let me = store.group("g", 1).unwrap().join_blocking().unwrap();
    let stamp = me.push(&w, 0..1, &[1.0_f32]).unwrap();
    me.tick().unwrap();
    me.wait(stamp, AckLevel::Applied).unwrap();
}

#[test]
fn pushes_that_time_out_leave_no_gap() {
    let wait_max = Duration::from_millis(50);
    let store = Store::with_config(Config { shards: 1, wait_max, ..Config::default() });
    let policy = TablePolicy::local(Bsp).bsp_stash_bytes_max(512 * 1024 + 256);
    let spec = TableSpec::dense("w", 196_608);
    let w = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    let group = store.group("g", 3).unwrap();
    let members: Vec<_> = (0..3).map(|_| group.join_blocking().unwrap()).collect();
    let [a, b, c] = &members[..] else { panic!("three members") };
    c.push(&w, 0..131_072, &vec![1.0_f32; 131_072]).unwrap();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| b.push(&w, 0..64, &[1.0_f32; 64]).unwrap_err());
        }
    });
    for member in [a, b, c] {
        member.tick().unwrap();
    }
    let mut x = [0.0_f32; 64];
    a.pull(&w, 0..64, &mut x).unwrap();
    assert_eq!(x, [1.0; 64]);
    b.push(&w, 0..64, &[1.0_f32; 64]).unwrap();
    for member in [a, b, c] {
        member.tick().unwrap();
    }
    a.pull(&w, 0..64, &mut x).unwrap();
    assert_eq!(x, [2.0; 64]);
}

#[test]
fn a_tick_that_waits_for_an_unpolled_pull_ends_at_its_deadline() {
    let wait_max = Duration::from_millis(30);
    let store = Store::with_config(Config { wait_max, ..Config::default() });
    let policy = TablePolicy::local(Bsp);
    let w = store.ensure_table(TableSpec::dense("w", 1), policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, _b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    a.tick().unwrap();
    let mut x = [0.0_f32];
    let mut pull = Box::pin(a.worker().pull(&w, .., &mut x));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    assert!(pull.as_mut().poll(&mut context).is_pending());
    let late = a.tick().unwrap_err();
    let expected = matches!(late, Error::Wait(WaitError::Deadline { reason, .. })
        if reason.what == WaitFor::Answer && reason.who == Some(a.origin().rank));
    assert!(expected, "{late}");
}

#[test]
fn a_handle_of_another_store_is_refused() {
    let (one, two) = (store(1), store(1));
    let policy = TablePolicy::local(Eventual);
    let ensure = |store: &Store, name| {
        let spec = TableSpec::dense(name, 10);
        store.ensure_table(spec, policy.clone(), Hyper::default()).unwrap()
    };
    let foreign = ensure(&one, "w");
    ensure(&two, "other");
    ensure(&two, "w");
    let me = two.group("g", 1).unwrap().join_blocking().unwrap();
    let refused = me.push(&foreign, .., &[1.0_f32; 10]).unwrap_err();
    assert!(matches!(refused, Error::Access(AccessError::UnknownTable { .. })), "{refused}");
}

#[test]
fn empty_lists_are_no_rows_in_every_operation() {
    let store = store(2);
    let policy = TablePolicy::local(Bsp);
    let spec = TableSpec::sparse("w", 1).combine(Combine::WeightedMean { round_weight: 1.0 });
    let w = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    let none = KeyList::default();
    let one = KeyList::new(vec![7]).unwrap();
    a.push(&w, &none, &[0.0_f32; 0]).unwrap();
    b.push(&w, &one, &[2.0_f32]).unwrap();
    b.tick().unwrap();
    a.exchange(&w, &none, &[0.0_f32; 0], &mut []).unwrap();
    let mut x = [0.0_f32];
    a.pull(&w, &one, &mut x).unwrap();
    assert_eq!(x, [2.0], "a worker without rows does not weigh");
}

#[test]
fn a_walk_reads_no_more_than_a_frame_at_a_time() {
    let store = store(1);
    let policy = TablePolicy::local(Eventual);
    let spec = TableSpec::sparse("wide", 1024).slots(1);
    let wide = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    let me = store.group("g", 1).unwrap().join_blocking().unwrap();
    let keys = KeyList::new((0..100).collect()).unwrap();
    let values: Vec<f32> = (0..100 * 1024).map(|at| at as f32).collect();
    me.push(&wide, &keys, &values).unwrap();
    let (rows, _) = me.pull_rows::<f32>(&wide, ..).unwrap();
    assert!(rows.keys == keys && rows.values == values);
    let parts = values.len().div_ceil(archipelago::limits::FRAME_ELEMENTS_MAX) as u64;
    assert_eq!(store.stats().tables[0].shards.pulls, parts);
}
