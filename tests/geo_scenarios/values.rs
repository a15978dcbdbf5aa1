//! Values that are told at the end of training: no more is under way than of updates, and in the
//! end all copies are equal (SPEC laws 6.4 and 12.7).

use std::collections::VecDeque;

use archipelago::id::{DataCentre, GroupId, Mark, Sequence, ServerId, SlotIndex, TableId, Tick};
use archipelago::key::Key;
use archipelago::limits::{MIRROR_DELTA_BYTES, MIRROR_INFLIGHT_BYTES_MIN};
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::placement::{DataCentreServers, DataCentres};
use archipelago::rules::Add;
use archipelago::sim::{Cluster, Fault, Site, Topology, Wan};
use archipelago::time::{Duration, Instant};
use archipelago::wire::{Delta, Message, MirrorMessage, RowsNamed, Trimmed};
use archipelago::{Bsp, Hyper, KeyList, Ssp, TablePolicy, TableSpec, Worker};

use crate::play::{copy, millis};
use crate::strangers::{end_training, say};

const TABLE: TableId = TableId(0);
const HERE: DataCentre = DataCentre(0);
const THERE: DataCentre = DataCentre(1);
const FOLLOWER: Peer = Peer::Server(ServerId(1));
/// Rows of one piece, and pieces of one slot.
const PIECE_ROWS: u64 = 4096;
const PIECES: u32 = 10;

/// The only server of the first of two data centres, after the end of training. The other side is
/// played by the test.
struct Leader {
    node: ServerNode,
    slots: u32,
    /// What it has told of values, not confirmed yet: slot and bytes.
    under_way: VecDeque<(SlotIndex, usize)>,
    arrived: Vec<u64>,
    /// Everything that it has told on this connection.
    told: Vec<MirrorMessage>,
}

impl Leader {
    /// With `PIECES` of rows in each slot.
    fn new(slots: u32) -> Self {
        let spec = TableSpec::sparse("w", 1).slots(slots).rule(Add);
        let policy = TablePolicy::local(Bsp).global(Ssp { staleness: 2 });
        let listed = |name: &str, server| DataCentreServers {
            name: name.into(),
            servers: vec![ServerId(server)],
        };
        let data_centres = DataCentres::new(vec![listed("here", 0), listed("there", 1)]).unwrap();
        let tables = vec![(spec, policy, Hyper::default())];
        let plan = Plan::new(&[ServerId(0)], tables, &[1], &Registry::built_in()).unwrap();
        let plan = plan.of_data_centre(&data_centres, HERE).unwrap();
        let options = ServerOptions::default();
        let node = ServerNode::new(plan, ServerId(0), Instant::EPOCH, options).unwrap();
        let (under_way, arrived) = (VecDeque::new(), vec![0; slots as usize]);
        let mut leader = Self { node, slots, under_way, arrived, told: Vec::new() };
        for slot in (0..slots).map(SlotIndex) {
            for piece in 0..u64::from(PIECES) {
                let keys = piece * PIECE_ROWS..(piece + 1) * PIECE_ROWS;
                leader.update(slot, 1 + piece, keys, 1.1);
            }
        }
        end_training(&mut leader.node);
        let (previous, weight, marks) = (None, None, Vec::new());
        let clock = MirrorMessage::Clock { previous, tick: Tick(1), weight, ended: true, marks };
        leader.hear(THERE, clock);
        assert_eq!(leader.told, [], "there is no connection");
        leader
    }

    /// The first key of a slot.
    fn unit(&self, slot: SlotIndex) -> Key {
        Key(((u128::from(slot.0) << 64) / u128::from(self.slots)) as u64)
    }

    fn hear(&mut self, of: DataCentre, message: MirrorMessage) {
        let message = Message::Mirror { table: TABLE, of, message };
        self.input(Input::Message { from: FOLLOWER, message });
    }

    fn input(&mut self, input: Input) {
        for output in say(&mut self.node, Instant::EPOCH, input) {
            let Output::Send { to: FOLLOWER, message, .. } = output else { continue };
            let Message::Mirror { message, .. } = message else { continue };
            if let MirrorMessage::Assign { slot, delta, .. } = &message {
                self.under_way.push_back((*slot, delta.bytes() + MIRROR_DELTA_BYTES));
            }
            self.told.push(message);
        }
        let bytes: usize = self.under_way.iter().map(|(_, bytes)| bytes).sum();
        let piece = self.under_way.back().map_or(0, |(_, bytes)| *bytes);
        assert!(bytes < MIRROR_INFLIGHT_BYTES_MIN + piece, "{bytes} bytes are under way");
    }

    fn update(&mut self, slot: SlotIndex, sequence: u64, rows: std::ops::Range<u64>, value: f32) {
        let count = (rows.end - rows.start) as usize;
        let first = self.unit(slot).0;
        let delta = Delta {
            rows: RowsNamed::Keys(rows.map(|row| Key(first + row)).collect()),
            positions: None,
            values: Trimmed::from_slice(&vec![value; count]),
        };
        let (sequence, mark) = (Sequence(sequence), Some(Mark(sequence)));
        self.hear(THERE, MirrorMessage::Update { slot, sequence, tick: Tick(1), mark, delta });
    }

    /// A new connection: what was under way is lost.
    fn connect(&mut self) {
        self.told.clear();
        self.under_way.clear();
        self.arrived.fill(0);
        self.input(Input::PeerUp(FOLLOWER));
        assert!(matches!(self.told[..], [MirrorMessage::Open { .. }]), "{:?}", self.told);
        let open = self.told[0].clone();
        self.hear(THERE, open);
        self.told.retain(|message| matches!(message, MirrorMessage::Digest { .. }));
        assert_eq!(self.told.len(), self.slots as usize, "all is to be compared");
    }

    /// The follower has other values.
    fn ask(&mut self, slot: SlotIndex) {
        let unit = self.unit(slot);
        self.hear(HERE, MirrorMessage::Differs { slot, unit });
    }

    /// So many pieces come, the oldest ones.
    fn arrive_times(&mut self, count: u64) {
        for _ in 0..count {
            self.arrive();
        }
    }

    /// The oldest piece comes; false when none is under way.
    fn arrive(&mut self) -> bool {
        let Some((slot, _)) = self.under_way.pop_front() else { return false };
        let pieces = &mut self.arrived[slot.0 as usize];
        *pieces += 1;
        let pieces = *pieces;
        self.hear(HERE, MirrorMessage::Arrived { slot, pieces });
        true
    }

    /// The values told last of each slot, whole, in order, and the digests behind them.
    fn whole(&self) -> Vec<(SlotIndex, Vec<f32>, u128)> {
        let (mut whole, mut values) = (Vec::new(), Vec::new());
        let mut next = 0;
        for message in &self.told {
            match message {
                MirrorMessage::Assign { slot: _, piece, last, delta } => {
                    if *piece == 0 {
                        values.clear();
                    } else {
                        assert_eq!(*piece, next);
                    }
                    values.extend_from_slice(&delta.values.elements::<f32>().unwrap());
                    next = if *last { u32::MAX } else { *piece + 1 };
                },
                MirrorMessage::Digest { slot, digest, .. } if next == u32::MAX => {
                    whole.push((*slot, std::mem::take(&mut values), *digest));
                    next = 0;
                },
                _ => {},
            }
        }
        whole
    }

    /// The digest told last of a slot.
    fn digest(&self, slot: SlotIndex) -> u128 {
        let of_slot = |message: &MirrorMessage| match message {
            MirrorMessage::Digest { slot: of, digest, .. } if *of == slot => Some(*digest),
            _ => None,
        };
        self.told.iter().rev().find_map(of_slot).unwrap()
    }

    fn pieces(&self) -> usize {
        self.told.iter().filter(|it| matches!(it, MirrorMessage::Assign { .. })).count()
    }
}

fn rows(value: f32) -> Vec<f32> {
    vec![value; (u64::from(PIECES) * PIECE_ROWS) as usize]
}

/// A slot of several windows leaves as its pieces come, and no faster.
#[test]
fn a_large_slot_leaves_while_there_is_room_and_all_of_it_in_the_end() {
    let (mut leader, slot) = (Leader::new(1), SlotIndex(0));
    leader.connect();
    let digest = leader.digest(slot);
    for _ in 0..3 {
        leader.ask(slot);
        assert_eq!(leader.pieces(), 3, "a window");
    }
    for come in 1..u64::from(PIECES) {
        leader.hear(HERE, MirrorMessage::Arrived { slot, pieces: leader.arrived[0] });
        assert!(leader.arrive());
        assert_eq!(leader.pieces() as u64, (come + 3).min(u64::from(PIECES)));
    }
    while leader.arrive() {}
    assert_eq!(leader.whole(), [(slot, rows(1.1), digest)]);
    let unit = leader.unit(slot);
    leader.hear(HERE, MirrorMessage::Same { slot, unit, digest });
    assert!(leader.node.is_equal());
}

#[test]
fn a_connection_that_breaks_in_the_middle_begins_anew_with_a_whole_window() {
    let (mut leader, slot) = (Leader::new(1), SlotIndex(0));
    for come in [0, 2, 7, 12] {
        leader.connect();
        assert_eq!(leader.pieces(), 0, "nobody has asked on this connection");
        leader.ask(slot);
        assert_eq!(leader.pieces(), 3);
        leader.arrive_times(come);
    }
    assert_eq!(leader.whole(), [(slot, rows(1.1), leader.digest(slot))]);
}

/// What several slots have under way together is one window.
#[test]
fn slots_that_are_asked_for_at_once_share_the_window() {
    let mut leader = Leader::new(8);
    leader.connect();
    (0..8).for_each(|slot| leader.ask(SlotIndex(slot)));
    assert_eq!(leader.pieces(), 3);
    while leader.arrive() {}
    let whole = leader.whole();
    assert_eq!(whole.len(), 8);
    for (at, (slot, values, digest)) in (0..).zip(whole) {
        assert_eq!((slot, values), (SlotIndex(at), rows(1.1)));
        assert_eq!(digest, leader.digest(slot));
    }
}

/// Who has said that it differs is told values of one moment, whenever they change.
#[test]
fn values_that_change_meanwhile_are_told_anew() {
    for come in 0..=u64::from(PIECES) {
        let (mut leader, slot) = (Leader::new(1), SlotIndex(0));
        leader.connect();
        let before = leader.digest(slot);
        leader.ask(slot);
        leader.arrive_times(come);
        let pieces = leader.pieces();
        leader.update(slot, 1 + u64::from(PIECES), 0..PIECE_ROWS, 0.5);
        let digest = leader.digest(slot);
        assert_ne!(digest, before, "it is told at once");
        while leader.arrive() {}
        assert_eq!(leader.pieces(), pieces, "nothing more of what it was, {come} had come");
        leader.ask(slot);
        while leader.arrive() {}
        let mut expected = rows(1.1);
        expected[..PIECE_ROWS as usize].fill(1.6);
        assert_eq!(leader.whole().last(), Some(&(slot, expected, digest)), "{come} had come");
    }
}

/// Copies of a sparse slot of many windows differ by rounding at the end. What is told of it never
/// floods the link, and copies end equal, also when the link breaks meanwhile and a worker pushes
/// after the end.
#[test]
fn copies_of_a_slot_of_many_windows_end_equal() {
    const KEYS: u64 = 100_000;
    let second = Duration::from_secs(1);
    let run = |breaks: &[u64], late: u64| {
        let wan = Wan::new(200_000, millis(40));
        let site = |name| Site::new(name).card_bytes_per_second(1_000_000_000);
        let server = |number| Peer::Server(ServerId(number));
        let mut topology = Topology::builder().site(site("a")).site(site("b"));
        topology = topology.wans("a", "b", wan).place(server(0), "a").place(server(1), "b");
        let mut places = vec![("a", 0), ("b", 0)];
        places.extend((late > 0).then_some(("b", 15)));
        for (worker, (place, _)) in (0..).zip(&places) {
            topology = topology.place(Peer::Worker(worker), *place);
        }
        let spec = TableSpec::sparse("w", 1).slots(1).rule(Add);
        let policy = TablePolicy::local(Bsp).global(Ssp { staleness: 2 });
        let mut builder = Cluster::builder(1)
            .table(spec, policy, Hyper::default())
            .group(1)
            .data_centre("a", 1)
            .data_centre("b", 1)
            .topology(topology.build().unwrap())
            .deadline(600 * second);
        for at in breaks {
            let (a, b) = (vec![server(0)], vec![server(1)]);
            builder = builder.fault(millis(*at), Fault::Partition { a, b, lasts: millis(500) });
        }
        let mut cluster = builder.build().unwrap();
        let w = cluster.table(0).unwrap();
        let keys = KeyList::from_unsorted((0..KEYS).collect());
        for (worker, (place, starts)) in (0_u32..).zip(places) {
            let (w, keys) = (w.clone(), keys.clone());
            let ticks = if starts > 0 { late } else { 3 };
            let data_centre = DataCentre(u32::from(place == "b"));
            cluster.spawn_in(data_centre, GroupId(0), starts * second, async move |me| {
                for tick in 0..ticks {
                    let gains: Vec<f32> = (0..KEYS)
                        .map(|key| (1 + key * 7 + tick + u64::from(worker)) as f32 / 9.0)
                        .collect();
                    me.push(&w, &keys, &gains).await?;
                    me.tick().await?;
                    me.compute(second).await;
                }
                me.finish().await
            });
        }
        let (mut before, mut most, mut all) = (0, 0, 0);
        cluster.sample(millis(1), |sample| {
            all = sample.wan_bytes();
            most = most.max(all - before);
            before = all;
        });
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{breaks:?}, {late}: {}", outcome.report());
        copy(&outcome);
        println!("{breaks:?}, {late}: {most} of {all}, {:?}", outcome.time);
        assert!(most < 4 * MIRROR_INFLIGHT_BYTES_MIN as u64, "{breaks:?}, {late}: {most} at once");
    };
    run(&[], 0);
    run(&[5_000, 6_000, 7_000, 8_000, 9_000, 10_000, 11_000], 0);
    run(&[16_000, 18_000, 21_000], 5);
}
