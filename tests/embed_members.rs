//! Who is in a group of this process, from which tick on, and what becomes of those who leave.

use std::thread;

use archipelago::embed::Config;
use archipelago::id::Tick;
use archipelago::{Bsp, Combine, Hyper, Ssp, Store, TablePolicy, TableSpec};

fn store(shards: u32) -> Store {
    Store::with_config(Config { shards, ..Config::default() })
}

#[test]
fn a_worker_that_is_dropped_does_not_stop_the_others() {
    for policy in [TablePolicy::local(Bsp), TablePolicy::local(Ssp { staleness: 0 })] {
        let store = store(3);
        let w = store.ensure_table(TableSpec::dense("w", 300), policy, Hyper::default()).unwrap();
        let group = store.group("g", 2).unwrap();
        let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
        a.push(&w, .., &[1.0_f32; 300]).unwrap();
        a.tick().unwrap();
        let mut x = [0.0_f32; 300];
        thread::scope(|scope| {
            let waiting = scope.spawn(|| a.pull(&w, .., &mut x));
            b.push(&w, .., &[5.0_f32; 300]).unwrap();
            drop(b);
            waiting.join().unwrap().unwrap();
        });
        if w.policy().local.name() == "bsp/1" {
            assert_eq!(x, [1.0; 300], "the open contribution of the lost worker is dropped");
        }
        let c = group.join_blocking().unwrap();
        assert_eq!(c.current_tick().0, 2);
        c.tick().unwrap();
        a.tick().unwrap();
        c.pull(&w, .., &mut x).unwrap();
    }
}

#[test]
fn a_joiner_starts_at_its_own_groups_tick() {
    let store = store(2);
    let policy = TablePolicy::local(Bsp);
    let spec = |name| TableSpec::dense(name, 10);
    let w1 = store.ensure_table(spec("w1"), policy.clone(), Hyper::default()).unwrap();
    let w2 = store.ensure_table(spec("w2"), policy, Hyper::default()).unwrap();
    let a = store.group("a", 1).unwrap().join_blocking().unwrap();
    let group = store.group("b", 2).unwrap();
    let (b0, b1) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    for _ in 0..100 {
        a.push(&w1, .., &[1.0_f32; 10]).unwrap();
        a.tick().unwrap();
    }
    for b in [&b0, &b1] {
        b.push(&w2, .., &[1.0_f32; 10]).unwrap();
        b.tick().unwrap();
    }
    drop(b1);
    let b1 = group.join_blocking().unwrap();
    assert_eq!((b0.current_tick().0, b1.current_tick().0), (2, 2));
    b1.pull(&w2, .., &mut [0.0_f32; 10]).unwrap();
}

#[test]
fn a_member_that_finishes_early_leaves_its_place_empty_for_founders_only() {
    let store = store(2);
    let policy = TablePolicy::local(Bsp);
    let spec = TableSpec::dense("w", 4).combine(Combine::WeightedMean { round_weight: 1.0 });
    let w = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let a = group.join_blocking().unwrap();
    a.push(&w, .., &[3.0_f32; 4]).unwrap();
    a.finish().unwrap();
    let b = group.join_blocking().unwrap();
    assert_eq!(b.origin().rank.0, 1, "the group still needs its second founder");
    b.push(&w, .., &[5.0_f32; 4]).unwrap();
    b.tick().unwrap();
    let mut x = [0.0_f32; 4];
    b.pull(&w, .., &mut x).unwrap();
    assert_eq!(x, [4.0; 4]);
    let again = group.join_blocking().unwrap();
    assert_eq!((again.origin().rank.0, again.current_tick().0), (0, 2));
}

#[test]
fn who_joins_while_a_round_is_folded_starts_behind_it() {
    let store = Store::in_memory();
    let spec = TableSpec::dense("w", 8);
    let w = store.ensure_table(spec, TablePolicy::local(Bsp), Hyper::default()).unwrap();
    let group = store.group("g", 4).unwrap();
    let mut members: Vec<_> = (0..4).map(|_| group.join_blocking().unwrap()).collect();
    // Rank 0 is lost; ranks 1 and 2 have ticked when 3 pushes: what they pushed is one sum now,
    // which nothing of a lower rank may precede any more.
    drop(members.remove(0));
    for me in &members[..2] {
        me.push(&w, .., &[1.0_f32; 8]).unwrap();
        me.tick().unwrap();
    }
    members[2].push(&w, .., &[1.0_f32; 8]).unwrap();
    let late = group.join_blocking().unwrap();
    assert_eq!((late.origin().rank.0, late.current_tick()), (0, Tick(2)));
    let held = store.stats().tables[0].shards.stash_bytes;
    assert!((2 * 32..3 * 32 + 3 * 64).contains(&held), "one sum, one contribution: {held} bytes");
}
