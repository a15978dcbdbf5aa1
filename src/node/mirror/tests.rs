//! Lanes, sources and stashes by themselves: what scenarios do not reach.

use std::collections::BTreeMap;

use super::*;
use crate::id::{DataCentre, Mark, Sequence, ServerId, SlotIndex, Tick};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::placement::{Feed, Telling};
use crate::time::{Duration, Instant};
use crate::wire::{Delta, MirrorMessage, Refusal, RowsNamed};

const SLOT: SlotIndex = SlotIndex(0);

fn delta(first: u64, values: &[f32]) -> Delta {
    let rows = KeyRange::from_count(Key(first), values.len() as u64).unwrap();
    compact(RowsNamed::Block(rows), values, 1)
}

fn place(tick: u64, unit: u64) -> Place {
    Place { tick: Tick(tick), unit: Key(unit), piece: 0 }
}

/// A lane on a connection whose other side has the same terms.
fn open_lane() -> Lane {
    let (of, to) = (DataCentre(0), DataCentre(1));
    let mut lane = Lane::new(Telling { of, to, stands_for: to, feed: Feed::Own });
    lane.connected();
    assert_eq!(said(&mut lane), [], "before the other side has said that it has the same terms");
    lane.opened(1);
    lane
}

fn said(lane: &mut Lane) -> Vec<MirrorMessage> {
    let next = || lane.next::<f32>(Instant(1), true, 1).map(|(message, _)| message);
    std::iter::from_fn(next).take(1000).collect()
}

/// A barrier goes ahead of the clock that covers its data: whoever may read at a tick knows of it.
#[test]
fn barriers_leave_before_the_clock_and_both_before_data() {
    let mut lane = open_lane();
    lane.queue::<f32>((SLOT, place(0, 0)), Tick(1), delta(0, &[1.0; 8]), 1);
    assert_eq!(lane.bar(1), 1);
    lane.clock(Clock { tick: Tick(1), ..Clock::default() });
    let said = said(&mut lane);
    let at = |is: &dyn Fn(&MirrorMessage) -> bool| said.iter().position(is).unwrap();
    let barrier = at(&|it| matches!(it, MirrorMessage::Barrier { .. }));
    let clock = at(&|it| matches!(it, MirrorMessage::Clock { .. }));
    let update = at(&|it| matches!(it, MirrorMessage::Update { .. }));
    assert!(barrier < clock && clock < update, "{said:?}");
}

/// Honest servers tell infinity, and NaN: nobody may refuse them (SPEC section 8).
#[test]
fn finite_gains_may_add_up_to_infinity_on_their_way() {
    let told = |gains: &[f32]| {
        let mut lane = open_lane();
        for gain in gains {
            lane.queue::<f32>((SLOT, place(0, 0)), Tick(1), delta(0, &[*gain]), 1);
        }
        let told = said(&mut lane).into_iter().find_map(|message| match message {
            MirrorMessage::Update { delta, .. } => expanded::<f32>(&delta, 1).ok(),
            _ => None,
        });
        told.unwrap()[0]
    };
    assert_eq!(told(&[f32::MAX, f32::MAX]), f32::INFINITY);
    // The gains of rounds may overflow at home, one after the other.
    assert!(told(&[f32::INFINITY, f32::NEG_INFINITY]).is_nan());
}

/// What somebody repeats is answered once: a neighbour cannot be made to hold much.
#[test]
fn answers_do_not_pile_up() {
    let (mut neighbour, here) = (Neighbour::default(), DataCentre(0));
    neighbour.connected(7);
    let of = DataCentre(1);
    assert!(neighbour.opened() && !neighbour.opened());
    for sequence in 1..=1000 {
        neighbour.confirm(of, SLOT, Sequence(sequence));
        neighbour.answer(of, (SLOT, Key(0)), Some(3));
        neighbour.refuse(of, (SLOT, Sequence(1)), Refusal::Limit);
    }
    let mut said = Vec::new();
    while let Some((of, message)) = neighbour.next(here) {
        said.push((of.0, message));
    }
    let (slot, unit, digest) = (SLOT, Key(0), 3);
    let confirm = |sequence, result| {
        let sequence = Sequence(sequence);
        (1, MirrorMessage::Confirm { slot, sequence, result })
    };
    let open = (0, MirrorMessage::Open { terms_hash: 7 });
    let same = (1, MirrorMessage::Same { slot, unit, digest });
    assert_eq!(said, [open, confirm(1, Err(Refusal::Limit)), confirm(1000, Ok(())), same]);
    neighbour.confirm(of, SLOT, Sequence(9));
    neighbour.connected(8);
    assert!(neighbour.opened(), "a new connection knows nothing");
    let only = neighbour.next(here).map(|(_, message)| message);
    assert_eq!(only, Some(MirrorMessage::Open { terms_hash: 8 }));
    assert_eq!(neighbour.next(here), None);
}

/// What is barred is announced again on each connection until it is confirmed, whether it waits or
/// has left.
#[test]
fn a_barrier_is_announced_again_on_a_new_connection() {
    let announced = |lane: &mut Lane| {
        let is_barrier = |it: &MirrorMessage| matches!(it, MirrorMessage::Barrier { .. });
        let again = || {
            lane.connected();
            lane.opened(1);
            let first = lane.next::<f32>(Instant::EPOCH, false, 1);
            first.is_some_and(|(message, _)| is_barrier(&message))
        };
        std::iter::repeat_with(again).take(2).collect::<Vec<_>>()
    };
    let mut lane = open_lane();
    lane.queue::<f32>((SLOT, place(0, 0)), Tick(1), delta(0, &[1.0; 8]), 1);
    lane.clock(Clock { tick: Tick(1), ..Clock::default() });
    assert_eq!(lane.bar(1), 1);
    assert_eq!(announced(&mut lane), [true, true], "it waits");
    let left = |message: &MirrorMessage| matches!(message, MirrorMessage::Update { .. });
    assert_eq!(said(&mut lane).iter().filter(|message| left(message)).count(), 1);
    assert_eq!(announced(&mut lane), [true, true], "it has left");
    lane.confirmed(SLOT, Sequence(1));
    assert_eq!(announced(&mut lane), [false, false], "it has come");
}

/// A clock that was due when its group was lost is told when the group counts again, and no sooner:
/// also when the other side opens in between.
#[test]
fn of_a_lost_group_no_clock_is_told_that_was_due() {
    let (of, to, most) = (DataCentre(3), DataCentre(1), Duration::from_secs(30));
    let mut lane = Lane::new(Telling { of, to, stands_for: to, feed: Feed::Relayed(of) });
    lane.connected();
    lane.clock(Clock { tick: Tick(7), ..Clock::default() });
    lane.hush();
    lane.opened(1);
    assert_eq!(said(&mut lane), []);
    lane.heartbeat(Instant::EPOCH, most);
    let told = said(&mut lane);
    assert!(matches!(told[..], [MirrorMessage::Clock { tick: Tick(7), .. }]), "{told:?}");
}

/// Of a clock: the one before, the tick, the weight, the mark of the slot.
type Told = (Option<u64>, u64, Option<f64>, Option<u64>);

/// What a lane tells of clocks.
fn clocks(lane: &mut Lane) -> Vec<Told> {
    let next = || lane.next::<f32>(Instant(1), true, 1).map(|(message, _)| message);
    let of_clock = |message| match message {
        MirrorMessage::Clock { previous, tick, weight, marks, .. } => {
            let mark = marks.first().map(|(_, mark)| mark.0);
            Some((previous.map(|it: Tick| it.0), tick.0, weight, mark))
        },
        _ => None,
    };
    std::iter::from_fn(next).filter_map(of_clock).collect()
}

/// To one that has ended rounds without end are under way: each weight is told again until it is
/// known to have come.
#[test]
fn weights_that_may_not_have_come_are_told_again() {
    let mut lane = open_lane();
    assert_eq!(clocks(&mut lane), [(None, 0, None, None)]);
    for tick in [1, 2, 3, 5] {
        lane.queue::<f32>((SLOT, place(tick, 0)), Tick(tick), delta(0, &[1.0]), 1);
        lane.clock(Clock { tick: Tick(tick), weight: Some(0.5), ended: false });
    }
    lane.clock(Clock { tick: Tick(6), weight: None, ended: true });
    let at = |previous, tick, mark| (previous, tick, Some(0.5), Some(mark));
    let all = [at(Some(0), 1, 1), at(Some(1), 2, 2), at(Some(2), 3, 3), at(Some(3), 5, 4)];
    let said = clocks(&mut lane);
    assert_eq!((&said[..4], said[4]), (&all[..], (Some(5), 6, None, Some(4))));
    let mut again = |confirmed| {
        lane.confirmed(SLOT, Sequence(confirmed));
        lane.connected();
        lane.opened(1);
        clocks(&mut lane)
    };
    let last = (Some(5), 6, None, Some(4));
    assert_eq!(again(2), [at(None, 3, 3), at(Some(3), 5, 4), last]);
    assert_eq!(again(4), [(None, 6, None, Some(4))]);
}

/// Rounds in which nothing was told of a lane's slots confirm nothing: so many are kept.
#[test]
fn of_rounds_without_updates_so_many_weights_are_told_again() {
    let mut lane = open_lane();
    let most = limits::MIRROR_IDLE_CLOCKS_MAX as u64;
    for tick in 1..=3 * most {
        if tick == 7 {
            lane.queue::<f32>((SLOT, place(tick, 0)), Tick(tick), delta(0, &[1.0]), 1);
        }
        lane.clock(Clock { tick: Tick(tick), weight: Some(0.5), ended: false });
    }
    let told: Vec<_> = clocks(&mut lane).into_iter().map(|(_, tick, ..)| tick).collect();
    assert_eq!(told[..2], [7, 2 * most]);
    assert_eq!(told.len() as u64, 2 + most);
}

/// Whether the other side counts may change in the middle: it hears all of a round, or nothing.
#[test]
fn a_round_is_told_as_the_other_side_counted_when_it_began() {
    let mut lane = open_lane();
    for (round, counts) in [(1, true), (2, false), (3, true)] {
        let asked = [counts, !counts, !counts].map(|counts| lane.tells_round(Tick(round), counts));
        assert_eq!(asked, [counts; 3], "{round}");
    }
}

/// Somebody who does not wait tells more than the next two ticks only while there is room.
#[test]
fn a_stash_has_an_end() {
    let mut stash = Stash::new(0, 4);
    let large = delta(0, &vec![1.0; 1 << 20]);
    let mut held = 0_usize;
    for tick in 1..=1000 {
        if stash.room(Tick(tick), DataCentre(1), &large) == Room::Left {
            stash.hold(Tick(tick), Key(0), DataCentre(1), large.clone());
            held += large.bytes();
        }
    }
    assert!(held > limits::MIRROR_STASH_BYTES_MAX / 2);
    assert!(held <= limits::MIRROR_STASH_BYTES_MAX + 2 * large.bytes(), "{held}");
    for tick in 1..=2 * limits::MIRROR_WEIGHTS_MAX as u64 {
        stash.weigh_told(Tick(tick), (DataCentre(1), ServerId(9)), 1.0);
    }
    assert_eq!(stash.last_tick(), Tick(limits::MIRROR_WEIGHTS_MAX as u64));
    // However much one tells, its own weight has room, and what others tell of the next two ticks.
    stash.settled(Tick(1));
    stash.weigh_told(Tick(1 << 40), (DataCentre(1), ServerId(9)), 1.0);
    stash.weigh(Tick(2), (DataCentre(0), ServerId(7)), 3.0);
    stash.weigh_told(Tick(3), (DataCentre(2), ServerId(8)), 5.0);
    let full = stash.weigh_told(Tick(1 << 41), (DataCentre(2), ServerId(8)), 5.0);
    assert_eq!((full, stash.last_tick()), (Room::Full, Tick(1 << 40)));
    let of = |tick| stash.weights(Tick(tick)).map(|(of, ..)| of.0).collect::<Vec<_>>();
    assert_eq!((of(2), of(3)), (vec![0, 1], vec![1, 2]));
}

/// Ticks of which nothing was told cost nothing, however many they are.
#[test]
fn a_stash_jumps_to_the_next_tick_that_was_told_of() {
    let mut stash = Stash::new(0, 4);
    assert_eq!(stash.next_told(), None);
    stash.hold(Tick(1 << 62), Key(0), DataCentre(1), delta(0, &[1.0]));
    stash.weigh_told(Tick(1 << 40), (DataCentre(1), ServerId(9)), 1.0);
    assert_eq!(stash.next_told(), Some(Tick(1 << 40)));
    stash.settled(Tick(1 << 40));
    assert_eq!(stash.next_told(), Some(Tick(1 << 62)));
}

/// Of a round in parts nothing is left: neither values nor the weight that they are divided by.
#[test]
fn parts_of_an_aggregate_are_left_out_with_their_weight() {
    let mut stash = Stash::new(0, 4);
    for from in [DataCentre(0), DataCentre(1)] {
        stash.hold(Tick(1), Key(0), from, delta(0, &[1.0; 8]));
        stash.hold(Tick(2), Key(0), from, delta(0, &[1.0; 8]));
        stash.weigh(Tick(1), (from, ServerId(from.0)), 2.0);
    }
    assert_eq!(stash.leave_out(Tick(1), |from| from == DataCentre(1)), 1);
    let weights: Vec<_> = stash.weights(Tick(1)).collect();
    assert_eq!(weights, [(DataCentre(0), ServerId(0), 2.0)]);
    stash.settle(Tick(1));
    let (tick, unit, told) = stash.next_step().unwrap();
    assert_eq!((tick, unit), (Tick(1), Key(0)));
    assert_eq!(told.keys().copied().collect::<Vec<_>>(), [DataCentre(0)]);
    stash.settled(Tick(1));
    assert_eq!(stash.leave_out(Tick(2), |_| false), 0);
}

/// What is told again after a break leads to the next one, though those between are not.
#[test]
fn a_clock_that_is_told_again_leads_to_the_next() {
    let (mut source, from) = (source(), ServerId(4));
    assert!(source.clock(from, None, Tick(5), &[]));
    assert!(!source.clock(from, None, Tick(3), &[]));
    assert!(!source.clock(from, Some(Tick(4)), Tick(7), &[]), "one between was lost");
    assert!(source.clock(from, Some(Tick(3)), Tick(7), &[(SLOT, Mark(1))]));
    assert_eq!((source.told(from), source.counted(SLOT)), (Tick(7), Tick(5)));
}

fn source() -> Source {
    let owners = BTreeMap::from([(SlotIndex(0), ServerId(4)), (SlotIndex(1), ServerId(5))]);
    Source::new(&owners, false)
}

/// Each server of a data centre has to be heard: without one its slots do not count.
#[test]
fn one_silent_server_loses_a_data_centre_and_time_begins_when_somebody_looks() {
    let (mut source, most) = (source(), Duration::from_secs(30));
    let at = |second: u64| Instant(second * 1_000_000_000);
    let seen = |near| Seen { here: Tick(0), near };
    source.on_time(at(1000), most, seen(false));
    assert!(source.counts(), "nothing was heard yet, and nobody has waited");
    for second in 1001..=1031 {
        source.heard(ServerId(4), at(second));
        source.on_time(at(second), most, seen(false));
        assert_eq!(source.counts(), second < 1030, "{second}");
    }
    source.heard(ServerId(5), at(1032));
    source.heard(ServerId(4), at(1032));
    source.on_time(at(1032), most, seen(false));
    assert_eq!(source.standing(), Standing::Behind);
    source.on_time(at(1033), most, seen(true));
    assert_eq!(source.standing(), Standing::Counts);
}

/// Who speaks again but comes no nearer counts once what it had told is here, and no sooner.
#[test]
fn who_is_back_and_slower_counts_once_what_it_missed_is_here() {
    let (owners, most) = (BTreeMap::from([(SLOT, ServerId(4))]), Duration::from_secs(30));
    let at = |second: u64| Instant(second * 1_000_000_000);
    let stands = |taken_at: u64, ahead: u64, ticks: &dyn Fn(u64) -> u64| {
        let mut source = Source::new(&owners, false);
        source.on_time(at(0), most, Seen { here: Tick(0), near: true });
        source.on_time(at(40), most, Seen { here: Tick(40), near: false });
        assert_eq!(source.standing(), Standing::Lost);
        let counts = (41..400).find(|second| {
            source.heard(ServerId(4), at(*second));
            let mark = if *second == 41 { &[(SLOT, Mark(1))][..] } else { &[] };
            source.clock(ServerId(4), None, Tick(ticks(*second)), mark);
            if *second == taken_at {
                source.take(SLOT, Some(Mark(1)));
            }
            source.on_time(at(*second), most, Seen { here: Tick(ahead + *second), near: false });
            source.counts()
        });
        counts.unwrap_or(u64::MAX)
    };
    let [half, most] = [|second| second / 2, |second| second * 9 / 10];
    assert!(stands(41, 20, &half) <= 75, "it is slower, and all of it is here");
    let late = stands(200, 20, &most);
    assert!((200..250).contains(&late), "{late}: not before what it has told has come");
    assert_eq!(stands(41, 1000, &|second| second * 2), u64::MAX, "it comes nearer");
    assert_eq!(stands(41, 80, &most), 71, "less than two minutes behind");
    assert_eq!(stands(41, 200, &most), u64::MAX, "too far for all others to stand still");
}

/// While few ticks end here, or none, that somebody comes no nearer says nothing: it would count
/// although it ticks faster, and hold up everybody until it has caught up.
#[test]
fn who_is_back_and_faster_does_not_count_before_it_is_near_however_long_ticks_last() {
    let (owners, most) = (BTreeMap::from([(SLOT, ServerId(4))]), Duration::from_secs(30));
    let at = |second: u64| Instant(second * 1_000_000_000);
    for (here_lasts, there_lasts) in [(60, 20), (40, 25), (u64::MAX, u64::MAX)] {
        let mut source = Source::new(&owners, false);
        source.on_time(at(0), most, Seen { here: Tick(0), near: true });
        source.on_time(at(40), most, Seen { here: Tick(900), near: false });
        for second in 41..4000 {
            source.heard(ServerId(4), at(second));
            source.clock(ServerId(4), None, Tick(second / there_lasts), &[]);
            let here = Tick(1000 + second / here_lasts);
            source.on_time(at(second), most, Seen { here, near: false });
            assert_eq!(source.standing(), Standing::Behind, "{here_lasts} {second}");
        }
    }
}

/// What counts everywhere is what counts for the slot furthest behind.
#[test]
fn the_clock_that_counts_everywhere_is_the_least() {
    let mut source = source();
    assert_eq!(source.counted_everywhere(), Tick(0));
    assert!(source.clock(ServerId(4), None, Tick(3), &[]));
    assert_eq!((source.counted(SLOT), source.counted_everywhere()), (Tick(3), Tick(0)));
    assert!(source.clock(ServerId(5), None, Tick(2), &[(SlotIndex(1), Mark(1))]));
    assert_eq!(source.counted_everywhere(), Tick(0));
    assert!(source.take(SlotIndex(1), Some(Mark(1))));
    assert_eq!(source.counted_everywhere(), Tick(2));
    assert!(source.clock(ServerId(5), Some(Tick(2)), Tick(9), &[]));
    assert_eq!(source.counted_everywhere(), Tick(3));
}
