//! What plans hold, and what they refuse.

use super::*;
use crate::consistency::{Asp, Bsp, Eventual};
use crate::error::Error;
use crate::extension::Extension;
use crate::id::{DataCentre, Tick};
use crate::placement::{DataCentreServers, DataCentres};
use crate::schedule::Schedule;

fn planned(servers: u32, tables: usize, slots: u32, group: u32) -> Result<Plan> {
    let servers: Vec<_> = (0..servers).map(ServerId).collect();
    let table = |at| {
        let spec = TableSpec::sparse(format!("table {at}"), 1).slots(slots);
        (spec, TablePolicy::local(Eventual), Hyper::default())
    };
    Plan::new(&servers, (0..tables).map(table).collect(), &[group], &Registry::built_in())
}

#[test]
fn what_a_frame_may_not_hold_is_refused() {
    let slots = limits::SLOTS_MAX;
    assert!(planned(1, 1, slots, 1).is_ok());
    let refused = planned(1, 2, slots, 1).unwrap_err().to_string();
    assert!(refused.starts_with("bytes of a tick"), "{refused}");
    assert!(planned(2, 2, slots, 1).is_ok(), "each server owns half");
    assert!(planned(1, 14, 1, limits::GROUP_SIZE_MAX).is_ok());
    let refused = planned(2, 14, 1, limits::GROUP_SIZE_MAX).unwrap_err().to_string();
    assert!(refused.starts_with("bytes of a group's record"), "{refused}");
    assert!(planned(1, limits::TABLES_MAX + 1, 1, 1).is_err());
}

#[test]
fn a_name_is_of_one_table() {
    let table =
        |name: &str| (TableSpec::sparse(name, 1), TablePolicy::local(Eventual), Hyper::default());
    let plan = |names: [&str; 2]| {
        Plan::new(&[ServerId(0)], names.map(table).to_vec(), &[], &Registry::built_in())
    };
    assert!(plan(["a", "b"]).is_ok());
    let refused = plan(["a", "a"]).unwrap_err().to_string();
    assert!(refused.contains("\"a\" a second time"), "{refused}");
}

#[test]
fn changes_and_ends_are_entries_and_bounded() {
    let plan = planned(2, 2, 4, 1).unwrap();
    let (table, hyper) = (TableId(0), Hyper::default());
    let change = |plan: &Plan, from, policy| {
        let terms = Box::new(Terms { from: Tick(from), policy, hyper });
        plan.with(&CatalogEntry::Change(ChangeEntry { table, terms }))
    };
    let changed = change(&plan, 9, TablePolicy::local(Eventual).allow_non_finite()).unwrap();
    let changed = change(&changed, 4, TablePolicy::local(Eventual)).unwrap();
    let held = &changed.table(table).unwrap().table;
    let from: Vec<_> = held.changes().iter().map(|terms| terms.from.0).collect();
    assert_eq!((from, held.terms_at(Tick(8)).policy.non_finite), (vec![4, 9], false));
    assert!(held.terms_at(Tick(9)).policy.non_finite);
    let unknown = change(&plan, 4, TablePolicy::local(Extension::new("mine/1")));
    assert!(matches!(unknown, Err(Error::Spec(SpecError::UnknownExtension { .. }))));
    let dropped = changed.with(&CatalogEntry::Drop(table)).unwrap();
    assert!(dropped.table(table).is_none() && dropped.dropped_named("table 0").is_some());
    assert!(!dropped.is_next(&CatalogEntry::Drop(table)), "once");
    // Who replays the entries holds the same.
    let servers = [ServerId(0), ServerId(1)];
    let empty = Plan::new(&servers, Vec::new(), &[], &Registry::built_in()).unwrap();
    let entries = dropped.created().map(|(version, _)| dropped.entry(version).unwrap());
    let replayed = entries.fold(empty, |plan, entry| plan.with(&entry).unwrap());
    assert_eq!(replayed.version(), dropped.version());
    assert_eq!(replayed.tables().count(), 1);
    // A description with large parameters and many changes fits no answer.
    let names = (0..60).map(|at| (format!("{at:0>200}"), 0.5));
    let large = names.fold(Extension::new("large/1"), |it, (name, value)| it.with(name, value));
    let registry = Registry::built_in().policy("large/1", |_| Ok(Arc::new(Eventual)));
    let spec = TableSpec::dense("w", 9);
    let tables = vec![(spec, TablePolicy::local(Eventual), hyper)];
    let mut plan = Plan::new(&servers, tables, &[], &registry).unwrap();
    let refused = (1..100).find_map(|from| {
        match change(&plan, from, TablePolicy::local(large.clone())) {
            Ok(more) => plan = more,
            Err(error) => return Some((from, error.to_string())),
        }
        None
    });
    let (at, refused) = refused.unwrap();
    assert!(at > 20 && refused.starts_with("bytes of a table's description"), "{refused}");
}

#[test]
fn what_is_appended_has_its_number_and_leaves_the_plan_before_as_it_was() {
    let servers = [ServerId(3), ServerId(1)];
    let empty = Plan::new(&servers, Vec::new(), &[], &Registry::built_in()).unwrap();
    assert_eq!((empty.keeper(), empty.version()), (ServerId(1), CatalogVersion(0)));
    let train = GroupSpec { name: "train".into(), size: 2 };
    let refused = empty.with_group(train.clone()).unwrap_err().to_string();
    assert!(refused.contains("create a table before the group"), "{refused}");
    let table = |plan: &Plan, name: &str| {
        let spec = TableSpec::dense(name, 9);
        plan.with_table(spec, TablePolicy::local(Eventual), Hyper::default()).unwrap()
    };
    let grown = table(&table(&empty, "a").with_group(train).unwrap(), "b");
    assert_eq!((grown.tables().count(), empty.tables().count()), (2, 0));
    assert_eq!(grown.table(TableId(1)).unwrap().table.name(), "b");
    assert_eq!(grown.digest(), empty.digest());
    // Who replays the entries holds the same.
    let entries = (1..=3).map(|version| grown.entry(CatalogVersion(version)).unwrap());
    let replayed = entries.fold(empty, |plan, entry| plan.with(&entry).unwrap());
    assert_eq!(replayed.entry(CatalogVersion(3)), grown.entry(CatalogVersion(3)));
    assert_eq!(grown.entry(CatalogVersion(4)).or(grown.entry(CatalogVersion(0))), None);
}

/// The plan of one of two data centres, and the same without another one, with two tables.
fn between_data_centres(of_first: TablePolicy, of_second: TablePolicy) -> [Plan; 2] {
    let listed = |name: &str, server| DataCentreServers {
        name: name.into(),
        servers: vec![ServerId(server)],
    };
    let data_centres = DataCentres::new(vec![listed("paris", 0), listed("tokyo", 1)]).unwrap();
    let table = |name: &str, policy| (TableSpec::dense(name, 9), policy, Hyper::default());
    let tables = vec![table("shared", of_first), table("own", of_second)];
    let alone = Plan::new(&[ServerId(0)], tables, &[], &Registry::built_in()).unwrap();
    [alone.of_data_centre(&data_centres, DataCentre(0)).unwrap(), alone]
}

/// Each data centre has its own keeper: what they settle together would change at ticks of their
/// own.
#[test]
fn the_rate_of_rounds_that_data_centres_settle_is_not_changed_in_one_of_them() {
    let rate = Hyper::rate(Schedule::Constant(0.1));
    let [settled, told] = [Bsp.into(), Asp::default().into()]
        .map(|global: Extension| TablePolicy::local(Bsp).global(global));
    let [plan, alone] = between_data_centres(settled.clone(), told.clone());
    let change = |plan: &Plan, table, policy: &TablePolicy, hyper: &Hyper| {
        let (from, policy, hyper) = (Tick(9), policy.clone(), *hyper);
        let terms = Box::new(Terms { from, policy, hyper });
        plan.with(&CatalogEntry::Change(ChangeEntry { table: TableId(table), terms }))
    };
    let refused = change(&plan, 0, &settled, &rate).unwrap_err().to_string();
    assert!(refused.contains("each from a tick of its own on"), "{refused}");
    assert!(change(&plan, 0, &settled, &Hyper::default()).is_ok(), "as it was");
    assert!(change(&alone, 0, &settled, &rate).is_ok(), "there is no other data centre");
    assert!(change(&plan, 1, &told, &rate).is_ok(), "deltas are told, not rounds");
}

#[test]
fn a_table_with_copies_elsewhere_is_not_dropped() {
    let local = TablePolicy::local(Eventual);
    let [plan, alone] = between_data_centres(local.clone().global(Eventual), local);
    let drop = |plan: &Plan, table| plan.with(&CatalogEntry::Drop(TableId(table)));
    let refused = drop(&plan, 0).unwrap_err();
    assert!(matches!(&refused, Error::Spec(SpecError::Planned { name, .. }) if name == "shared"));
    for words in ["copies wait for each other", "stop the servers of all data centres"] {
        assert!(refused.to_string().contains(words), "{words:?} in {refused}");
    }
    assert!(drop(&plan, 1).is_ok(), "nothing of it is elsewhere");
    assert!(drop(&alone, 0).is_ok(), "there is no other data centre");
}
