//! Laws between data centres, each seen broken by the switch that breaks it.

use archipelago::check::{Law, Violation};
use archipelago::consistency::{Precision, Threshold};
use archipelago::id::DataCentre;
use archipelago::node::sabotage::{Sabotage, Switch};
use archipelago::placement::{HubGroup, Overlay};
use archipelago::rules::Add;
use archipelago::time::Duration;
use archipelago::{Asp, Bsp, Eventual, Ssp, TableSpec};

use crate::play::{Play, Site, copies, millis};

/// What a sabotaged run is found guilty of.
fn found(play: &Play, sabotage: Sabotage, seed: u64) -> Vec<Violation> {
    let play = Play { switch: Switch::on(sabotage), ..play.clone() };
    play.judge(&play.play(seed))
}

fn is_caught(law: u8, sabotage: Sabotage, play: &Play) {
    play.run(1);
    let caught = found(play, sabotage, 1).iter().any(|violation| violation.law == Law(law));
    assert!(caught, "{sabotage:?} breaks law {law} unseen");
}

fn counts() -> TableSpec {
    TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add)
}

fn asp() -> Asp {
    Asp { staleness: 2, ..Asp::new(0.5) }
}

#[test]
fn law_4_is_seen_broken_between_data_centres() {
    is_caught(4, Sabotage::AggregatesByArrival, &Play::new(Bsp));
}

#[test]
fn law_6_is_seen_broken() {
    is_caught(6, Sabotage::PassSkips, &Play::new(asp()));
    is_caught(6, Sabotage::PassSkips, &Play::new(Asp { precision: Precision::Bf16, ..asp() }));
    let mut slow = Play::new(Ssp { staleness: 0 }).local(Eventual).wan(millis(200), 5_000_000);
    slow.sites[1].costs = vec![millis(100); 2];
    is_caught(6, Sabotage::MirrorServesEarly, &slow);
    is_caught(6, Sabotage::MirrorServesEarly, &barred());
    let sparse = TableSpec::sparse("n", 60).slots(8).dtype::<i64>().rule(Add);
    is_caught(6, Sabotage::MirrorServesEarly, &barred().spec(sparse));
}

#[test]
fn law_7_is_seen_broken() {
    let play = Play::new(asp()).spec(counts());
    is_caught(7, Sabotage::UpdateTakenTwice, &play);
    is_caught(7, Sabotage::PassForgets, &play);
    let twice = Play { switch: Switch::on(Sabotage::UpdateTakenTwice), ..play.clone() };
    assert_ne!(copies(&twice.play(1)), copies(&play.play(1)));
}

#[test]
fn law_8_is_seen_broken() {
    let slow = Play::new(asp()).spec(counts()).wan(millis(20), 20_000);
    is_caught(8, Sabotage::MirrorClockOvertakes, &slow);
    let group = |members: [u32; 2]| HubGroup {
        members: members.map(DataCentre).to_vec(),
        hub: DataCentre(members[0]),
    };
    let mut hubs = Play::new(asp()).spec(counts()).sites(vec![Site::new(1, 2); 4]);
    hubs.overlay = Some(Overlay::new(vec![group([0, 1]), group([2, 3])], &[]).unwrap());
    hubs.sites[1].costs = vec![millis(60); 2];
    is_caught(8, Sabotage::HubClockOvertakes, &hubs);
}

#[test]
fn law_9_is_seen_broken_between_data_centres() {
    is_caught(9, Sabotage::BarriersStay, &barred_by_the_dead());
    let dead = dead();
    assert!(dead.play(1).is_good(), "{}", dead.play(1).report());
    let endless = Play { switch: Switch::on(Sabotage::WaitForTheLost), ..dead };
    assert!(!endless.play(1).is_good());
}

/// What arises takes four ticks to leave, and is barred.
fn barred() -> Play {
    let hard = Threshold::new(0.0);
    let asp = Asp { hard, staleness: 100, barrier_ticks: 1.0, ..Asp::default() };
    let spec = TableSpec::dense("n", 6000).block_elements(64).slots(8).dtype::<i64>().rule(Add);
    Play::new(asp).spec(spec).local(Eventual).wan(millis(20), 400_000).ticks(30)
}

/// One whose updates are barred goes away in the middle.
fn barred_by_the_dead() -> Play {
    barred().ticks(60).wan(millis(20), 40_000).stop(2, Duration::from_secs(2))
}

/// A data centre stops for good.
fn dead() -> Play {
    let global = Asp { silence_max: Duration::from_secs(10), ..asp() };
    Play::new(global).ticks(100).stop(2, Duration::from_secs(1))
}
