//! Links that are slow, break and heal; data centres that go away, for a while or for good.

use archipelago::check::Law;
use archipelago::consistency::Threshold;
use archipelago::history::{BarrierEnd, Event};
use archipelago::id::DataCentre;
use archipelago::limits::MIRROR_INFLIGHT_BYTES_MIN;
use archipelago::node::Peer;
use archipelago::rng::Rng;
use archipelago::rules::Add;
use archipelago::sim::{Fault, LinkProfile, Outcome};
use archipelago::time::Duration;
use archipelago::{Asp, Bsp, Eventual, Extension, Ssp, TableSpec};

use crate::equal::policies;
use crate::play::{Play, Site, copies, copy, millis, shown};

const SECOND: Duration = Duration::from_secs(1);

fn counts(rows: u64) -> TableSpec {
    TableSpec::dense("n", rows).block_elements(64).slots(8).dtype::<i64>().rule(Add)
}

pub(crate) fn count(outcome: &Outcome<Vec<f64>>, is_one: impl Fn(&Event) -> bool) -> usize {
    outcome.history.records().iter().filter(|record| is_one(&record.event)).count()
}

/// What one data centre with all workers would hold.
fn alone(play: &Play) -> u128 {
    let workers = play.sites.iter().map(|site| site.costs.len() as u32).sum();
    let one = Site { ticks: play.sites[0].ticks, ..Site::new(2, workers) };
    let off = Play::new(Extension::new("off/1")).spec(play.spec.clone()).sites([one]);
    copy(&off.run(1))
}

/// What arises takes four ticks to leave, and is barred.
fn outrun() -> Play {
    let hard = Threshold::new(0.0);
    let asp = Asp { hard, staleness: 100, barrier_ticks: 1.0, ..Asp::default() };
    Play::new(asp).spec(counts(6000)).local(Eventual).wan(millis(20), 400_000).ticks(30)
}

#[test]
fn a_slow_link_makes_barriers_and_loses_nothing() {
    let play = outrun();
    let outcome = play.run(1);
    assert_eq!(copy(&outcome), alone(&play));
    let set = count(&outcome, |event| matches!(event, Event::BarrierSet { .. }));
    let came = |event: &Event| matches!(event, Event::BarrierEnded { why: BarrierEnd::Came, .. });
    assert!(set > 100 && count(&outcome, came) == set, "{set} barriers");
    let free =
        Play { global: Asp { barrier_ticks: f64::INFINITY, ..asp_of(&play) }.into(), ..play };
    let outcome = free.run(1);
    assert_eq!(count(&outcome, |event| matches!(event, Event::BarrierSet { .. })), 0);
}

fn asp_of(play: &Play) -> Asp {
    Asp::from_extension(&play.global).unwrap()
}

#[test]
fn a_barrier_whose_sender_dies_ends_by_its_time() {
    let play = outrun().ticks(60).wan(millis(20), 40_000).stop(2, 2 * SECOND);
    let outcome = play.run(1);
    let by_time =
        |event: &Event| matches!(event, Event::BarrierEnded { why: BarrierEnd::Time, .. });
    assert!(count(&outcome, by_time) > 0);
    let copies = copies(&outcome);
    assert_eq!(copies[0], copies[1], "those that live");
}

#[test]
fn a_link_dies_and_heals_and_nothing_is_lost_or_counted_twice() {
    for global in policies() {
        let mut play = Play::new(global).spec(counts(300)).ticks(60);
        let (a, b) = (Peer::Server(play.servers(0)[0]), Peer::Server(play.servers(1)[1]));
        for at in [300, 400, 1500] {
            play = play.fault(millis(at), Fault::Break { a, b });
        }
        play = play.cut_off(1, millis(700), 3 * SECOND);
        assert_eq!(copy(&play.run(1)), alone(&play), "{}", play.global);
    }
}

#[test]
fn a_barred_unit_is_announced_again_after_a_break() {
    let play = outrun().ticks(60).cut_off(1, SECOND, SECOND);
    let outcome = play.run(1);
    assert_eq!(copy(&outcome), alone(&play));
    let heals = [2000, 2150].map(|at| archipelago::time::Instant::EPOCH.after(millis(at)));
    let announced = outcome.history.records().iter().filter(|record| {
        let of_it = |event: &Event| {
            matches!(event, Event::BarrierSet { data_centre, .. } if *data_centre == DataCentre(1))
        };
        heals[0] < record.at && record.at < heals[1] && of_it(&record.event)
    });
    assert!(announced.count() > 20);
}

#[test]
fn a_data_centre_that_crashes_is_waited_for_until_it_is_found_silent() {
    for global in policies() {
        let play = Play::new(global).spec(counts(300)).ticks(60).stop(2, SECOND);
        let outcome = play.run(1);
        let copies = copies(&outcome);
        assert_eq!(copies[0], copies[1], "{}", play.global);
        assert!(outcome.time.since(archipelago::time::Instant::EPOCH) < 50 * SECOND);
    }
}

/// The first data centre is the one whose values the others take at the end.
#[test]
fn the_first_data_centre_crashes_and_the_others_end_equal() {
    for global in policies() {
        let outcome = Play::new(global.clone()).ticks(60).stop(0, SECOND).run(1);
        let copies = copies(&outcome);
        assert_eq!(copies[1], copies[2], "{global}");
    }
}

#[test]
fn all_others_crash_and_one_goes_on_alone() {
    for global in policies() {
        let play = Play::new(global).ticks(60).stop(0, SECOND).stop(2, SECOND);
        play.run(1);
    }
}

/// An hour, and each delta is counted once; what waits takes no more than the table meanwhile.
#[test]
fn a_data_centre_away_for_an_hour_catches_up_once() {
    let hour = 3600 * SECOND;
    for (staleness, local) in [(2, Extension::from(Bsp)), (0, Bsp.into()), (2, Eventual.into())] {
        let mut play = Play::new(Asp { staleness, ..Asp::new(0.0) }).local(local.clone());
        play = play.spec(counts(20_000)).ticks(90).cut_off(1, 30 * SECOND, hour);
        play.sites.iter_mut().for_each(|site| site.costs = vec![60 * SECOND; 2]);
        play.deadline = 3 * hour;
        let mut most = 0;
        let outcome = play.play_sampled(1, 300 * SECOND, |sample| {
            most = most.max(sample.mirror_queued_bytes());
        });
        let found = play.judge(&outcome);
        assert!(found.is_empty() && outcome.is_good(), "{}{}", shown(&found), outcome.report());
        assert_eq!(copy(&outcome), alone(&play), "DS {staleness}, {local}");
        assert!(count(&outcome, |it| matches!(it, Event::DataCentreBack { .. })) > 0);
        // Between the one and each of two others, each way: the table, and what is under way.
        let lanes = 4 * (20_000 * 8 + 313 * 64);
        let under_way = 4 * 4 * MIRROR_INFLIGHT_BYTES_MIN as u64;
        assert!(most <= lanes + under_way, "{most} bytes waited, DS {staleness}, {local}");
    }
}

#[test]
fn six_hours_over_a_thin_line_with_flat_memory() {
    let hours = 6 * 3600 * SECOND;
    let mut play = Play::new(Asp::default()).spec(counts(20_000)).local(Ssp { staleness: 1 });
    play = play.wan(millis(80), 50_000_000 / 8).ticks(360);
    play.sites.iter_mut().for_each(|site| site.costs = vec![60 * SECOND; 2]);
    (play.deadline, play.record) = (2 * hours, false);
    // What waited most, hour by hour. Lanes are busy for a moment of each minute.
    let (mut most, mut looks, mut busy) = ([0; 7], 0_usize, 0);
    let every = millis(20);
    let outcome = play.play_sampled(1, every, |sample| {
        let hour = looks / (3600 * SECOND.as_millis() / every.as_millis()) as usize;
        let queued = sample.mirror_queued_bytes();
        (looks, busy) = (looks + 1, busy + u64::from(queued > 0));
        most[hour.min(6)] = queued.max(most[hour.min(6)]);
    });
    assert!(outcome.is_good(), "{}", outcome.report());
    assert!(outcome.time.since(archipelago::time::Instant::EPOCH) >= hours);
    assert!(busy > 360, "lanes were busy when they were looked at {busy} times");
    assert!(most[..6].iter().all(|most| *most > 6 * 100_000), "each way was busy: {most:?}");
    assert!(most[1..6].iter().all(|later| *later <= most[0]), "{most:?}");
    // At the end all that is left leaves, behind what is under way.
    let under_way = 12 * MIRROR_INFLIGHT_BYTES_MIN as u64;
    assert!(most[6] <= 6 * (20_000 * 8 + 313 * 64) + under_way, "{most:?}");
}

/// Whatever chance does to links, every law holds and every copy ends with every push once.
#[test]
fn hostile_links_over_many_seeds() {
    for seed in 0..60 {
        let (play, stopped) = hostile(seed);
        let outcome = play.run(seed);
        let bsp = play.global.name() == "bsp/1";
        let lost = count(&outcome, |event| matches!(event, Event::DataCentreLost { .. })) > 0;
        println!("seed {seed}: {}, {}, lost: {lost}", play.global, play.local);
        if stopped {
            assert_eq!(copies(&outcome)[0], copies(&outcome)[1], "seed {seed}, {}", play.global);
        } else if bsp && lost {
            copy(&outcome);
        } else {
            assert_eq!(copy(&outcome), alone(&play), "seed {seed}, {}", play.global);
        }
    }
}

/// What chance makes of a play, and whether its last data centre stops for good.
pub(crate) fn hostile(seed: u64) -> (Play, bool) {
    let mut rng = Rng::named(seed, "play");
    let all = policies();
    let global = all[rng.below(all.len() as u64) as usize].clone();
    let mut play = Play::new(global.clone()).ticks(25).spec(counts(300));
    if rng.chance(0.4) {
        play.spec = TableSpec::sparse("n", 1).slots(8).dtype::<i64>().rule(Add);
    }
    if global.name() != "bsp/1" && rng.chance(0.6) {
        play.local = if rng.chance(0.5) { Ssp { staleness: 1 }.into() } else { Eventual.into() };
    }
    play.wan = LinkProfile::hostile().latency(millis(5 + rng.below(60)));
    play.wan.bytes_per_second = 40_000 + rng.below(2_000_000);
    if rng.chance(0.3) {
        play.lan = LinkProfile::hostile();
    }
    for site in &mut play.sites {
        site.servers = 1 + rng.below(3) as u32;
        site.costs = vec![millis(1 + rng.below(80)); 2];
    }
    if rng.chance(0.5) {
        let (at, lasts) = (millis(200 + rng.below(2000)), millis(rng.below(60_000)));
        if lasts > 20 * SECOND {
            // It has to be back before the others have ended.
            play.sites.iter_mut().for_each(|site| site.costs = vec![3 * SECOND; 2]);
        }
        play = play.cut_off(rng.below(3) as usize, at, lasts);
    }
    let stopped = rng.chance(0.25);
    if stopped {
        play = play.stop(2, millis(300 + rng.below(3000)));
    }
    play.faults.push((70 * SECOND, Fault::Calm));
    (play, stopped)
}

/// Once lost and back, a data centre may have been left out: the others' copies are its own again
/// at the end, under every policy.
#[test]
fn who_was_lost_and_comes_back_ends_equal() {
    for global in policies() {
        let mut play = Play::new(global.clone()).spec(counts(300)).ticks(100);
        play = play.cut_off(1, SECOND, 45 * SECOND);
        play.sites.iter_mut().for_each(|site| site.costs = vec![SECOND; 2]);
        let outcome = play.play(1);
        assert!(outcome.is_good(), "{global}: {}", outcome.report());
        let found = play.judge(&outcome);
        assert!(found.is_empty(), "{global}: {}", shown(&found));
        let end = copy(&outcome);
        assert!(global.name() == "bsp/1" || end == alone(&play), "{global}");
    }
}

/// Of a data centre that dies one of the others has heard more than another; and rows may exist in
/// one copy alone.
#[test]
fn who_has_heard_less_of_the_dead_takes_the_values_of_the_first() {
    let narrow = TableSpec::sparse("n", 1).slots(3).dtype::<i64>().rule(Add);
    for seed in 0..4 {
        let play = Play::new(Asp::new(0.3)).local(Eventual).spec(narrow.clone()).ticks(40);
        let play = play.wan(millis(30), 20_000).stop(2, millis(700 + 100 * seed));
        let copies = copies(&play.run(seed));
        assert_eq!(copies[0], copies[1], "seed {seed}");
    }
}

#[test]
fn two_worlds_that_cannot_hear_each_other_break_no_law_of_their_own() {
    let play = Play::new(Bsp).ticks(60).cut_off(0, SECOND, 40 * SECOND);
    let found = play.judge(&play.play(1));
    assert!(found.iter().all(|violation| violation.law == Law(4)), "{}", shown(&found));
}
