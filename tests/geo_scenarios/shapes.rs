//! Data centres that are not alike, and tables of every kind.

use archipelago::id::TableId;
use archipelago::rules::{Add, Sgd};
use archipelago::spec::Init;
use archipelago::{Asp, Bsp, Eventual, Extension, Ssp, TableSpec};

use crate::equal::policies;
use crate::play::{Play, Site, copy, millis};

fn counts() -> TableSpec {
    TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add)
}

/// One table of each kind that ends equal under each policy.
#[test]
fn tables_of_every_type_and_layout() {
    let dense = TableSpec::dense("w", 90).block_elements(64).slots(7).rule(Sgd);
    let sparse = TableSpec::sparse("w", 2).slots(11).rule(Sgd);
    for global in policies() {
        for spec in [
            dense.clone().width(4),
            dense.clone().dtype::<f64>(),
            dense.clone().dtype::<i64>().rule(Add),
            dense.clone().slots(1),
            sparse.clone(),
            sparse.clone().dtype::<f64>().slots(1),
            sparse.clone().dtype::<i64>().rule(Add).width(70),
        ] {
            copy(&Play::new(global.clone()).spec(spec).run(1));
        }
    }
}

#[test]
fn more_servers_than_slots_and_fewer() {
    for global in policies() {
        let sites = [Site::new(1, 2), Site::new(7, 2), Site::new(3, 2)];
        copy(&Play::new(global).spec(counts()).sites(sites).run(1));
    }
}

#[test]
fn a_data_centre_that_contributes_nothing_and_one_with_a_slow_worker() {
    for global in policies() {
        for local in [Extension::from(Bsp), Eventual.into()] {
            if global.name() == "bsp/1" && local.name() != "bsp/1" {
                continue;
            }
            let mut play = Play::new(global.clone()).local(local).spec(counts());
            play.sites[0].pushes = false;
            play.sites[2].costs[1] = millis(300);
            copy(&play.run(1));
        }
    }
}

#[test]
fn data_centres_that_end_at_different_ticks() {
    for global in policies() {
        let mut play = Play::new(global).spec(counts());
        (play.sites[0].ticks, play.sites[1].ticks) = (3, 17);
        copy(&play.run(1));
    }
}

#[test]
fn data_centres_with_different_numbers_of_workers() {
    for global in policies() {
        let sites = [Site::new(1, 1), Site::new(2, 3), Site::new(2, 2)];
        let play = Play::new(global).spec(counts()).sites(sites);
        let one = Play::new(Extension::new("off/1")).spec(counts()).sites([Site::new(2, 6)]);
        assert_eq!(copy(&play.run(1)), copy(&one.run(1)));
    }
}

/// Nobody anywhere pushes to the last slots.
#[test]
fn slots_that_nobody_pushes_to_hold_up_nobody() {
    for staleness in [0, 2] {
        let mut play = Play::new(Ssp { staleness }).spec(counts());
        play.sites.iter_mut().for_each(|site| site.pushes = false);
        let outcome = play.run(1);
        assert!(outcome.tables.iter().all(|table| table.servers.len() == 2));
        play.sites[1].pushes = true;
        copy(&play.run(2));
    }
}

/// Rows that one data centre alone has pushed nothing but zeros to, and slots of several frames.
#[test]
fn sparse_rows_of_zeros_and_slots_of_many_frames() {
    let narrow = TableSpec::sparse("n", 1).slots(2).dtype::<i64>().rule(Add);
    let begun = narrow.clone().init(Init::Constant(7.0));
    for global in policies() {
        for (spec, keys) in [(&narrow, 40), (&begun, 40), (&narrow, 15_000)] {
            let mut play = Play::new(global.clone()).spec(spec.clone()).ticks(4);
            play.keys = keys;
            let mut one = Play::new(Extension::new("off/1")).spec(spec.clone()).ticks(4);
            (one.sites, one.keys) = (vec![Site::new(2, 6)], keys);
            one.sites[0].ticks = 4;
            assert_eq!(copy(&play.run(1)), copy(&one.run(1)), "{global}");
        }
    }
}

#[test]
fn samples_of_all_copies_come_together() {
    let play = Play::new(Asp { staleness: 0, ..Asp::new(0.0) }).spec(counts()).ticks(30);
    let (mut last, servers) = (Vec::new(), [0, 1, 2].map(|site| play.servers(site)));
    play.play_sampled(1, millis(250), |mut sample| {
        last = servers.each_ref().map(|it| sample.values::<i64>(it, TableId(0))).to_vec();
    });
    assert_eq!((&last[0], &last[1]), (&last[1], &last[2]));
    assert!(last[0].iter().any(|x| *x != 0));
}
