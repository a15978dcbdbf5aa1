//! Data centres in groups: what leaves for far ones leaves once, and reaches everybody once.

use archipelago::history::{Event, Record};
use archipelago::id::{DataCentre, ServerId};
use archipelago::node::Peer;
use archipelago::node::mirror::Standing;
use archipelago::placement::{HubGroup, Overlay};
use archipelago::rules::Add;
use archipelago::sim::{Fault, LinkProfile, Outcome};
use archipelago::time::Duration;
use archipelago::{Asp, Eventual, Extension, Ssp, TableSpec, Tick};

use crate::play::{Play, Site, copies, copy, millis, stands};

const SECOND: Duration = Duration::from_secs(1);

fn overlay(groups: &[(&[u32], u32)], pairs: &[[u32; 2]]) -> Overlay {
    let group = |(members, hub): &(&[u32], u32)| HubGroup {
        members: members.iter().copied().map(DataCentre).collect(),
        hub: DataCentre(*hub),
    };
    let pairs: Vec<_> = pairs.iter().map(|pair| pair.map(DataCentre)).collect();
    Overlay::new(groups.iter().map(group).collect(), &pairs).unwrap()
}

/// Two groups of three, and the first ones are the hubs.
fn two_groups() -> Overlay {
    overlay(&[(&[0, 1, 2], 0), (&[3, 4, 5], 3)], &[])
}

fn counts() -> TableSpec {
    TableSpec::dense("n", 300).block_elements(64).slots(5).dtype::<i64>().rule(Add)
}

fn play(global: impl Into<Extension>, overlay: Overlay) -> Play {
    let sites = overlay.groups().iter().map(|group| group.members.len()).sum();
    let mut play = Play::new(global).spec(counts()).sites(vec![Site::new(1, 2); sites]);
    play.overlay = Some(overlay);
    play
}

fn count(outcome: &Outcome<Vec<f64>>, is_one: impl Fn(&Event) -> bool) -> usize {
    outcome.history.records().iter().filter(|record| is_one(&record.event)).count()
}

/// Under policies that exchange deltas, with hubs by group or pair: all pushes are in every copy
/// once, and no law is broken.
#[test]
fn what_all_have_pushed_is_in_every_copy_once() {
    let shapes = [
        two_groups(),
        overlay(&[(&[0, 1, 2], 2), (&[3, 4], 4), (&[5], 5)], &[]),
        overlay(&[(&[2, 5, 0], 0), (&[1, 4], 4), (&[3, 6], 6)], &[[0, 1], [5, 3], [4, 6]]),
        overlay(&[(&[0], 0), (&[1], 1)], &[]),
    ];
    let globals = [
        Extension::from(Asp { staleness: 0, ..Asp::new(0.05) }),
        Asp { staleness: 3, ..Asp::new(0.5) }.into(),
        Ssp { staleness: 1 }.into(),
        Eventual.into(),
    ];
    for (overlay, global) in shapes.iter().flat_map(|it| globals.iter().map(move |by| (it, by))) {
        let mut grouped = play(global.clone(), overlay.clone()).local(Ssp { staleness: 1 });
        // Of different numbers of servers, so that ways cross.
        grouped.sites[0].servers = 2;
        let mut straight = grouped.clone();
        straight.overlay = None;
        let both = [grouped, straight].map(|play| copy(&play.run(3)));
        assert_eq!(both[0], both[1], "{global}");
    }
}

/// Copies in step take what each data centre has told by itself: hubs change nothing.
#[test]
fn copies_in_step_go_straight() {
    let mut grouped = play(Asp { staleness: 0, ..Asp::new(0.0) }, two_groups());
    let with = grouped.run(1);
    grouped.overlay = None;
    assert_eq!(with.site_traffic, grouped.run(1).site_traffic);
}

/// What it is for: bytes between the groups shrink to those of one data centre.
#[test]
fn what_leaves_for_another_group_leaves_once() {
    let between = |outcome: &Outcome<Vec<f64>>| -> u64 {
        let far = |to: ServerId, node: u32| (to.0 < 3) != (node < 3);
        let told = outcome.history.records().iter().map(|record| match &record.event {
            Event::UpdateTold { to, .. } if far(*to, record.node) => 1,
            _ => 0,
        });
        told.sum()
    };
    let mut play = play(Asp { staleness: 64, ..Asp::new(0.0) }, two_groups()).ticks(40);
    let with = between(&play.run(1));
    play.overlay = None;
    let without = between(&play.run(1));
    assert!(with * 5 < without, "{with} against {without} updates");
}

/// DS 0, barriers and hubs together: three waits on one path, and all of them end.
#[test]
fn in_lockstep_with_barriers_and_hubs_nobody_waits_for_ever() {
    let asp = Asp { staleness: 0, barrier_ticks: 0.1, ..Asp::new(0.0) };
    let mut play = play(asp, two_groups()).local(Ssp { staleness: 0 }).ticks(30);
    play = play.wan(millis(60), 40_000);
    let outcome = play.run(1);
    assert!(count(&outcome, |event| matches!(event, Event::BarrierSet { .. })) > 0);
    copy(&outcome);
}

/// A hub that dies takes its group's voice with it: each side finds the other one silent, goes on,
/// and ends equal within itself.
#[test]
fn a_hub_that_dies_parts_the_groups_and_holds_up_nobody() {
    let asp = Asp { staleness: 2, ..Asp::new(0.0) };
    let play = play(asp, two_groups()).ticks(200).stop(0, 2 * SECOND);
    let outcome = play.run(1);
    let copies = copies(&outcome);
    assert_eq!((copies[1], copies[3], copies[4]), (copies[2], copies[4], copies[5]));
    assert!(count(&outcome, |event| matches!(event, Event::DataCentreLost { .. })) > 0);
}

/// A member that dies is left out of its group's clock by the hub.
#[test]
fn a_member_that_dies_is_left_out_of_the_clock_of_its_group() {
    let asp = Asp { staleness: 2, ..Asp::new(0.0) };
    let play = play(asp, two_groups()).ticks(200).stop(1, 2 * SECOND);
    let outcome = play.run(1);
    let copies = copies(&outcome);
    let alive = [0, 2, 3, 4, 5].map(|at: usize| copies[at]);
    assert_eq!(alive, [copies[0]; 5]);
    let lost = |event: &Event| matches!(event, Event::DataCentreLost { .. });
    assert_eq!(count(&outcome, lost), 2, "its own group loses it, and nobody else anybody");
}

/// The way between two hubs is cut for long, and heals: nothing is lost or counted twice, and the
/// members behind see it on both sides.
#[test]
fn a_cut_between_hubs_is_seen_behind_them_and_heals() {
    let asp = Asp { staleness: 8, ..Asp::new(0.0) };
    let mut play = play(asp, two_groups()).ticks(3000);
    play.sites.iter_mut().for_each(|site| site.costs = vec![millis(100); 2]);
    play = play.cut_between(&[0, 1, 2], &[3, 4, 5], 5 * SECOND, 100 * SECOND);
    let mut seen = Vec::new();
    let outcome = play.play_sampled(1, SECOND, |sample| {
        let (passed, stands) = stands(&sample, ServerId(2), DataCentre(3));
        if passed < Tick(2900) && seen.last() != Some(&stands) {
            seen.push(stands);
        }
    });
    assert!(outcome.is_good(), "{}", outcome.report());
    assert_eq!(seen[..2], [Standing::Counts, Standing::Lost]);
    assert_eq!(seen.last(), Some(&Standing::Counts), "{seen:?}");
    let found = play.judge(&outcome);
    assert!(found.is_empty(), "{}", crate::play::shown(&found));
    copy(&outcome);
}

/// A hub that has lost a group says nothing of it, also on a new connection and also while what it
/// had heard before still leaves.
#[test]
fn a_hub_that_is_connected_again_says_nothing_of_whom_it_has_lost() {
    let asp = Asp { staleness: 8, ..Asp::new(0.0) };
    let mut play = play(asp, two_groups()).ticks(1200);
    play.sites.iter_mut().for_each(|site| site.costs = vec![millis(100); 2]);
    play = play.cut_between(&[0, 1, 2], &[3, 4, 5], 5 * SECOND, 100 * SECOND);
    let [hub, member] = [0, 1].map(|server| Peer::Server(ServerId(server)));
    play = play.fault(80 * SECOND, Fault::Break { a: hub, b: member });
    let (mut looks, mut seen) = (0, Vec::new());
    let outcome = play.play_sampled(1, SECOND, |sample| {
        looks += 1;
        if (75..105).contains(&looks) {
            seen.push(stands(&sample, ServerId(1), DataCentre(3)).1);
        }
    });
    assert_eq!(seen, [Standing::Lost; 30]);
    assert!(outcome.is_good(), "{}", outcome.report());
    let found = play.judge(&outcome);
    assert!(found.is_empty(), "{}", crate::play::shown(&found));
    copy(&outcome);
}

/// Random links, breaks and groups: every law, over many seeds.
#[test]
fn broken_links_and_hubs_over_many_seeds() {
    for seed in 0..12 {
        let pairs: &[[u32; 2]] = if seed % 2 == 0 { &[] } else { &[[1, 4]] };
        let overlay = overlay(&[(&[0, 1, 2], 0), (&[3, 4, 5], 3)], pairs);
        let asp = Asp { staleness: seed % 3, barrier_ticks: 0.5, ..Asp::new(0.02) };
        let mut play = play(asp, overlay).local(Eventual).ticks(25);
        play.wan = LinkProfile::hostile().latency(millis(30));
        play.sites[(seed % 6) as usize].servers = 2;
        play.faults.push((70 * SECOND, Fault::Calm));
        copy(&play.run(seed));
    }
}

/// A hub that is cut off and ends alone has ended for its group: when it is back it says so, of a
/// member that trains on, too, whose updates it tells all the same.
#[test]
fn a_hub_that_ends_alone_has_ended_for_its_group() {
    let overlay = overlay(&[(&[0, 3], 3), (&[1, 2], 2)], &[]);
    let mut play = play(Asp { staleness: 2, silence_max: 2 * SECOND, ..Asp::new(0.02) }, overlay);
    play.sites.iter_mut().for_each(|site| site.costs = vec![millis(200); 2]);
    play.sites[1].costs = vec![millis(300); 2];
    play = play.ticks(90).cut_off(2, millis(1300), 19 * SECOND);
    let outcome = play.run(1);
    copy(&outcome);
    let records = outcome.history.records();
    let told = |record: &Record| match record.event {
        Event::MirrorClockTold { of: DataCentre(1), tick, .. } => {
            (record.node, tick) == (2, Tick(u64::MAX))
        },
        _ => false,
    };
    let ends =
        |record: &Record| record.node == 1 && matches!(record.event, Event::TrainingEnded { .. });
    let (told, ends) = (records.iter().position(told), records.iter().position(ends));
    assert!(told.is_some() && told < ends, "{told:?} {ends:?}");
}
