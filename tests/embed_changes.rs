//! Tables of this process that change, or end, while threads train them.

use std::thread;

use archipelago::check::{Expected, check_all};
use archipelago::embed::Config;
use archipelago::error::{AccessError, Error, SpecError};
use archipelago::time::Duration;
use archipelago::{
    AckLevel, Bsp, Eventual, Extension, Hyper, Schedule, Ssp, Store, TableChange, TablePolicy,
    TableSpec, Tick, limits, rules::Sgd,
};

fn rate(rate: f64) -> Hyper {
    Hyper::rate(Schedule::Constant(rate))
}

fn local(policy: impl Into<Extension>, from: u64) -> TableChange {
    TableChange::default().policy(TablePolicy::local(policy)).from(Tick(from))
}

#[test]
fn threads_go_through_any_policies_and_no_law_is_broken() {
    let config = Config { shards: 3, record_history: true, ..Config::default() };
    let store = Store::with_config(config);
    let spec = TableSpec::dense("w", 900).block_elements(64).rule(Sgd);
    let w = store.ensure_table(spec, TablePolicy::local(Bsp), rate(1.0)).unwrap();
    for change in [local(Eventual, 4), local(Bsp, 8), local(Ssp { staleness: 1 }, 12)] {
        let faster = change.hyper(rate(0.5));
        assert_eq!(store.change_table("w", &faster).unwrap(), faster.from.unwrap());
    }
    let group = store.group("g", 3).unwrap();
    let members: Vec<_> = (0..3).map(|_| group.join_blocking().unwrap()).collect();
    thread::scope(|scope| {
        for me in members {
            let w = &w;
            scope.spawn(move || {
                let mut x = vec![0.0_f32; 900];
                for _ in 0..16 {
                    me.pull(w, .., &mut x).unwrap();
                    let pushed = me.push(w, .., &[-1.0_f32; 900]).unwrap();
                    let tick = me.current_tick().0;
                    let gathers = tick < 4 || (8..12).contains(&tick);
                    let waited = me.wait(pushed, AckLevel::Applied);
                    assert_eq!(waited.is_err(), gathers, "tick {tick}: {waited:?}");
                    me.tick().unwrap();
                    me.wait(pushed, AckLevel::Applied).unwrap();
                }
                me.finish().unwrap();
            });
        }
    });
    let mut x = vec![0.0_f32; 900];
    store.read(&w, .., &mut x).unwrap();
    assert!(x.iter().all(|x| *x == 3.0 * (3.0 + 13.0 * 0.5)), "{}", x[0]);
    let found = check_all(&store.take_history().unwrap(), &Expected::default());
    assert!(found.is_empty(), "{}", found[0]);
}

#[test]
fn a_change_begins_where_nobody_can_be_and_old_descriptions_find_the_table() {
    let store = Store::in_memory();
    let (spec, policy) = (TableSpec::dense("w", 9), TablePolicy::local(Bsp));
    let w = store.ensure_table(spec.clone(), policy.clone(), rate(1.0)).unwrap();
    let me = store.group("g", 1).unwrap().join_blocking().unwrap();
    for _ in 0..5 {
        me.push(&w, .., &[1.0_f32; 9]).unwrap();
        me.tick().unwrap();
    }
    let faster = TableChange::default().hyper(rate(2.0));
    let refused = store.change_table("w", &faster.clone().from(Tick(6))).unwrap_err();
    let Error::Spec(SpecError::TooEarly { earliest, .. }) = refused else { panic!("{refused}") };
    let far = faster.clone().from(Tick(6 + limits::CHANGE_AHEAD_MAX));
    let refused = store.change_table("w", &far).unwrap_err();
    let Error::Spec(SpecError::TooLate { latest, .. }) = refused else { panic!("{refused}") };
    assert_eq!(latest, Tick(5 + limits::CHANGE_AHEAD_MAX));
    assert_eq!(store.change_table("w", &faster).unwrap(), earliest);
    assert_eq!(store.change_table("w", &faster).unwrap(), earliest, "found");
    assert_eq!(store.table("w").unwrap().changes()[0].from, earliest);
    store.ensure_table(spec.clone(), policy.clone(), rate(1.0)).unwrap();
    store.ensure_table(spec.clone(), policy.clone(), rate(2.0)).unwrap();
    let other = store.ensure_table(spec, policy, rate(3.0)).unwrap_err();
    assert!(matches!(other, Error::Spec(SpecError::Mismatch { .. })), "{other}");
    let odd = store.change_table("w", &TableChange::default().hyper(rate(f64::NAN))).unwrap_err();
    assert!(matches!(odd, Error::Spec(SpecError::Field { .. })), "{odd}");
}

#[test]
fn who_waits_at_a_table_that_is_dropped_is_told_and_its_name_is_free() {
    let wait_max = Duration::from_secs(20);
    let store = Store::with_config(Config { wait_max, ..Config::default() });
    let (spec, policy) = (TableSpec::dense("w", 90), TablePolicy::local(Bsp));
    let w = store.ensure_table(spec.clone(), policy.clone(), Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join_blocking().unwrap(), group.join_blocking().unwrap());
    let is_dropped = |error: &Error| match error {
        Error::Access(AccessError::Dropped { table }) => table == "w",
        _ => false,
    };
    thread::scope(|scope| {
        let (a, w) = (&a, &w);
        let waiting = scope.spawn(move || {
            a.push(w, .., &[1.0_f32; 90]).unwrap();
            a.tick().unwrap();
            a.pull(w, .., &mut [0.0_f32; 90])
        });
        while store.stats().tables[0].shards.waits == 0 {
            thread::yield_now();
        }
        store.drop_table("w").unwrap();
        let refused = waiting.join().unwrap().unwrap_err();
        assert!(is_dropped(&refused), "{refused}");
    });
    store.drop_table("w").unwrap();
    assert!(is_dropped(&b.push(&w, .., &[1.0_f32; 90]).unwrap_err()));
    assert!(is_dropped(&store.change_table("w", &local(Eventual, 9)).unwrap_err()));
    assert!(is_dropped(&store.read(&w, .., &mut [0.0_f32; 90]).unwrap_err()));
    let never = store.drop_table("v").unwrap_err();
    assert!(matches!(never, Error::Access(AccessError::UnknownTable { .. })), "{never}");
    let again = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    assert_ne!(again.id(), w.id());
    b.push(&again, .., &[1.0_f32; 90]).unwrap();
    b.tick().unwrap();
    let mut x = [0.0_f32; 90];
    a.pull(&again, .., &mut x).unwrap();
    assert!(is_dropped(&a.pull(&w, .., &mut x).unwrap_err()));
}
