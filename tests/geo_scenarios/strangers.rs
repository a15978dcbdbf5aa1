//! What a server of another data centre says is taken from the one who may say it, and where it
//! fits; anything else changes nothing (SPEC law 14.11).

use archipelago::history::Event;
use archipelago::id::{
    DataCentre, GroupId, Mark, Origin, Sequence, ServerId, SlotIndex, TableId, Tick,
};
use archipelago::key::{Key, KeyRange};
use archipelago::limits::{MIRROR_STASH_BYTES_MAX, MIRROR_STASH_SHARE_BYTES_MIN};
use archipelago::node::mirror::Standing;
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::placement::{DataCentreServers, DataCentres};
use archipelago::rules::Add;
use archipelago::time::Instant;
use archipelago::wire::{
    Delta, Header, Message, MirrorMessage, Positions, PullRows, RowsNamed, Trimmed,
};
use archipelago::{Asp, Bsp, Extension, Hyper, Ssp, TablePolicy, TableSpec};

use crate::warnings::warnings;

pub(crate) const TABLE: TableId = TableId(0);

/// The only server of the first of two data centres; the other one has servers 1 and 2.
fn server(global: impl Into<Extension>) -> (ServerNode, Plan) {
    server_of(TableSpec::dense("w", 512).block_elements(64).slots(8).rule(Add), global)
}

pub(crate) fn server_of(spec: TableSpec, global: impl Into<Extension>) -> (ServerNode, Plan) {
    server_with(spec, global, ServerOptions::default())
}

fn server_with(
    spec: TableSpec,
    global: impl Into<Extension>,
    options: ServerOptions,
) -> (ServerNode, Plan) {
    let policy = TablePolicy::local(Bsp).global(global);
    let tables = vec![(spec, policy, Hyper::default())];
    let listed = |name: &str, servers: &[u32]| DataCentreServers {
        name: name.into(),
        servers: servers.iter().copied().map(ServerId).collect(),
    };
    let data_centres =
        DataCentres::new(vec![listed("here", &[0]), listed("there", &[1, 2])]).unwrap();
    let plan = |servers: &[ServerId], here| {
        let plan = Plan::new(servers, tables.clone(), &[1], &Registry::built_in()).unwrap();
        plan.of_data_centre(&data_centres, DataCentre(here)).unwrap()
    };
    let there = plan(&[ServerId(1), ServerId(2)], 1);
    let node = ServerNode::new(plan(&[ServerId(0)], 0), ServerId(0), Instant::EPOCH, options);
    (node.unwrap(), there)
}

pub(crate) fn say(node: &mut ServerNode, now: Instant, input: Input) -> Vec<Output> {
    node.handle(now, input);
    std::iter::from_fn(|| Some(node.poll()).filter(|it| *it != Output::Idle)).collect()
}

/// The only worker joins.
fn join(node: &mut ServerNode) -> Origin {
    let (from, message) = (Peer::Worker(7), Message::Join { group: GroupId(0), token: 7 });
    say(node, Instant::EPOCH, Input::PeerUp(from));
    let joined = say(node, Instant::EPOCH, Input::Message { from, message });
    let origin = joined.iter().find_map(|output| match output {
        Output::Send { message: Message::Joined { result, .. }, .. } => result.as_ref().ok(),
        _ => None,
    });
    origin.unwrap().origin
}

/// The only worker joins and leaves.
pub(crate) fn end_training(node: &mut ServerNode) {
    let message = Message::Leave { origin: join(node), last: Tick(0) };
    say(node, Instant::EPOCH, Input::Message { from: Peer::Worker(7), message });
    say(node, Instant(10_000_000_000), Input::Timer);
}

/// The only server of the second of two data centres, after the end of training in both.
fn server_that_ends(spec: TableSpec) -> ServerNode {
    let tables =
        vec![(spec, TablePolicy::local(Bsp).global(Ssp { staleness: 2 }), Hyper::default())];
    let listed = |name: &str, server| DataCentreServers {
        name: name.into(),
        servers: vec![ServerId(server)],
    };
    let data_centres = DataCentres::new(vec![listed("there", 1), listed("here", 0)]).unwrap();
    let plan = Plan::new(&[ServerId(0)], tables, &[1], &Registry::built_in()).unwrap();
    let plan = plan.of_data_centre(&data_centres, DataCentre(1)).unwrap();
    let options = ServerOptions::default();
    let mut node = ServerNode::new(plan, ServerId(0), Instant::EPOCH, options).unwrap();
    end_training(&mut node);
    let (previous, weight, marks) = (None, None, Vec::new());
    let clock = MirrorMessage::Clock { previous, tick: Tick(1), weight, ended: true, marks };
    hear_of(&mut node, DataCentre(0), Peer::Server(ServerId(1)), clock);
    node
}

/// It is told that its values of the first slot differ from those of the first data centre.
fn make_ask(node: &mut ServerNode) {
    let digest = MirrorMessage::Digest { slot: SlotIndex(0), unit: Key(0), digest: 99 };
    hear_of(node, DataCentre(0), Peer::Server(ServerId(1)), digest);
}

fn server_that_asks(spec: TableSpec) -> ServerNode {
    let mut node = server_that_ends(spec);
    make_ask(&mut node);
    node
}

fn hear(node: &mut ServerNode, from: Peer, message: MirrorMessage) {
    hear_of(node, DataCentre(1), from, message);
}

fn hear_of(node: &mut ServerNode, of: DataCentre, from: Peer, message: MirrorMessage) {
    let message = Message::Mirror { table: TABLE, of, message };
    node.handle(Instant::EPOCH, Input::Message { from, message });
    while !matches!(node.poll(), Output::Idle) {}
}

pub(crate) fn delta(first: u64, values: &[f32]) -> Delta {
    let rows = KeyRange::from_count(Key(first), values.len() as u64).unwrap();
    let values = Trimmed::from_slice(values);
    Delta { rows: RowsNamed::Block(rows), positions: None, values }
}

pub(crate) fn update(slot: u32, sequence: u64, delta: Delta) -> MirrorMessage {
    let (slot, sequence, mark) = (SlotIndex(slot), Sequence(sequence), Some(Mark(sequence)));
    MirrorMessage::Update { slot, sequence, tick: Tick(1), mark, delta }
}

#[test]
fn what_a_stranger_says_or_what_does_not_fit_changes_nothing() {
    let (mut node, there) = server(Ssp { staleness: 2 });
    let owner = there.owner(TABLE, SlotIndex(1)).unwrap();
    let other = ServerId(3 - owner.0);
    let (owner, other) = (Peer::Server(owner), Peer::Server(other));
    let before = node.value_digests(TABLE);
    let good = || update(1, 1, delta(64, &[1.0; 64]));
    let wrong = |change: &dyn Fn(&mut Delta)| {
        let mut wrong = delta(64, &[1.0; 64]);
        change(&mut wrong);
        update(1, 1, wrong)
    };
    let unknown = MirrorMessage::Open { terms_hash: 1 };
    let (slot, delta_of) = (SlotIndex(1), delta(64, &[1.0; 64]));
    let assign = MirrorMessage::Assign { slot, piece: 0, last: true, delta: delta_of };
    let differs = MirrorMessage::Differs { slot: SlotIndex(1), unit: Key(64) };
    let digest = MirrorMessage::Digest { slot: SlotIndex(1), unit: Key(65), digest: 9 };
    for (from, message) in [
        (Peer::Worker(1), good()),
        (Peer::Server(ServerId(9)), good()),
        (other, good()),
        (owner, update(1, 2, delta(64, &[1.0; 64]))),
        (owner, update(1, u64::MAX, delta(64, &[1.0; 64]))),
        (owner, update(99, 1, delta(64, &[1.0; 64]))),
        (owner, update(1, 1, delta(0, &[1.0; 64]))),
        (owner, update(1, 1, delta(96, &[1.0; 64]))),
        (owner, update(1, 1, delta(64, &[1.0; 65]))),
        (owner, update(1, 1, delta(100_000, &[1.0; 64]))),
        (owner, wrong(&|it| it.values = Trimmed::from_slice(&[1_i64; 64]))),
        (owner, wrong(&|it| it.values = Trimmed::from_slice(&[1.0_f32; 63]))),
        (owner, wrong(&|it| it.rows = RowsNamed::Keys((64..128).map(Key).collect()))),
        (owner, wrong(&|it| it.rows = RowsNamed::Block(KeyRange::ALL))),
        (owner, wrong(&|it| it.positions = Some(Positions::new(&[64]).unwrap()))),
        (owner, assign),
        (owner, differs),
        (owner, digest),
        (owner, unknown),
    ] {
        hear(&mut node, from, message.clone());
        assert_eq!(node.value_digests(TABLE), before, "{from}: {message:?}");
    }
    assert_eq!(node.mirror_stats(TABLE).unwrap().updates_taken, 0);
    hear(&mut node, owner, good());
    assert_ne!(node.value_digests(TABLE), before);
    let after = node.value_digests(TABLE);
    hear(&mut node, owner, good());
    assert_eq!(node.value_digests(TABLE), after, "taken once");
}

/// Somebody tells of one tick again and again. What is more than it can have to tell is not held:
/// deltas are added at once, and where a round cannot be settled without it, it is refused, with a
/// warning in both cases.
#[test]
fn who_tells_too_much_of_a_tick_that_is_not_settled_makes_nobody_hold_it() {
    const ROWS: usize = 1 << 16;
    let spec = TableSpec::dense("w", ROWS as u64).block_elements(ROWS as u32).slots(1).rule(Add);
    for (global, refuses) in [(Extension::from(Bsp), true), (Ssp { staleness: 0 }.into(), false)] {
        let (mut node, there) = server_of(spec.clone(), global);
        let owner = there.owner(TABLE, SlotIndex(0)).unwrap();
        let before = node.value_digests(TABLE);
        let enough = (MIRROR_STASH_SHARE_BYTES_MIN / (4 * ROWS)) as u64;
        // With all of their bits: others take fewer bytes.
        let values = vec![1.1; ROWS];
        let warned = warnings(|| {
            for sequence in 1..=enough + 1 {
                if sequence == enough - 1 {
                    assert_eq!(node.value_digests(TABLE), before);
                    assert!(node.mirror_standing(TABLE).unwrap().differ.is_empty());
                }
                hear(&mut node, Peer::Server(owner), update(0, sequence, delta(0, &values)));
            }
        });
        let share = MIRROR_STASH_SHARE_BYTES_MIN;
        let ServerId(number) = owner;
        let expected = format!(
            "table = w, data_centre = 1, server = {number}, tick = tick 1, limit_bytes = {share}"
        );
        let says = |line: &String| line.contains(&expected);
        assert_eq!(warned.iter().filter(|line| says(line)).count(), 1, "{warned:?}");
        let refused = node.mirror_standing(TABLE).unwrap().differ;
        assert_eq!(refused, if refuses { vec![owner] } else { vec![] });
        let stands = if refuses { Standing::Refused } else { Standing::Counts };
        assert_eq!(node.mirror_standing(TABLE).unwrap().others[0].2, stands);
        assert_eq!(node.value_digests(TABLE) == before, refuses);
    }
}

/// Whether a worker that reads rows of the first block waits, once a barrier was heard; and whether
/// one was set.
fn is_barred(ranges: &[(u64, u64)]) -> [bool; 2] {
    let spec = TableSpec::dense("w", 512).block_elements(64).slots(8).rule(Add);
    let options = ServerOptions { record_history: true, ..ServerOptions::default() };
    let (mut node, there) = server_with(spec, Asp::default(), options);
    let range = |(first, last): &(u64, u64)| KeyRange::new(Key(*first), Key(*last)).unwrap();
    let from = Peer::Server(there.owner(TABLE, SlotIndex(0)).unwrap());
    let ranges = ranges.iter().map(range).collect();
    let message = MirrorMessage::Barrier { slot: SlotIndex(0), mark: Mark(1), ranges };
    let message = Message::Mirror { table: TABLE, of: DataCentre(1), message };
    let heard = say(&mut node, Instant::EPOCH, Input::Message { from, message });
    let set = |output: &Output| matches!(output, Output::Event(Event::BarrierSet { .. }));
    let is_set = heard.iter().any(set);
    let (origin, sequence, settled_below) = (join(&mut node), Sequence(1), Sequence(1));
    let header = Header { origin, sequence, settled_below, tick: Tick(1) };
    let rows = PullRows::Block(KeyRange::from_count(Key(0), 64).unwrap());
    let message = Message::Pull { table: TABLE, header, slot: SlotIndex(0), own: None, rows };
    let input = Input::Message { from: Peer::Worker(7), message };
    let answers = say(&mut node, Instant::EPOCH, input);
    let waits =
        |output: &Output| matches!(output, Output::Send { message: Message::Deferred { .. }, .. });
    [answers.iter().any(waits), is_set]
}

#[test]
fn barriers_whose_ranges_no_honest_server_tells_are_not_set() {
    for good in [&[(0, 3), (5, 5)][..], &[(63, 63)]] {
        assert_eq!(is_barred(good), [true; 2], "{good:?}");
    }
    for wrong in [&[][..], &[(5, 5), (0, 3)], &[(5, 5), (5, 5)], &[(0, 64)], &[(0, 1), (64, 65)]] {
        assert_eq!(is_barred(wrong), [false; 2], "{wrong:?}");
    }
}

/// Whoever runs the server sees why a line stands still, once: not for each message.
#[test]
fn a_gap_in_a_line_is_warned_of_once_a_connection() {
    let (mut node, there) = server(Ssp { staleness: 2 });
    let owner = Peer::Server(there.owner(TABLE, SlotIndex(0)).unwrap());
    let gaps = |node: &mut ServerNode| {
        for at in 5..8 {
            hear(node, owner, update(0, at, delta(0, &[1.0; 64])));
            let (previous, tick, marks) = (Some(Tick(at)), Tick(at + 1), Vec::new());
            let clock = MirrorMessage::Clock { previous, tick, weight: None, ended: false, marks };
            hear(node, owner, clock);
        }
    };
    for _ in 0..2 {
        node.handle(Instant::EPOCH, Input::PeerUp(owner));
        let said = warnings(|| gaps(&mut node));
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].contains("slot = 0, expected = 1, found = 5"), "{said:?}");
        assert!(said.iter().all(|line| line.contains("data_centre = 1")), "{said:?}");
    }
    let clock = |previous, tick| {
        let (weight, ended, marks) = (None, false, Vec::new());
        MirrorMessage::Clock { previous, tick: Tick(tick), weight, ended, marks }
    };
    let said = warnings(|| {
        hear(&mut node, owner, update(0, 1, delta(0, &[1.0; 64])));
        hear(&mut node, owner, update(0, 1, delta(0, &[1.0; 64])));
        [clock(None, 3), clock(Some(Tick(0)), 3), clock(Some(Tick(3)), 4), clock(None, 2)]
            .into_iter()
            .for_each(|clock| hear(&mut node, owner, clock));
    });
    assert!(said.is_empty(), "what honest servers tell: {said:?}");
}

/// What is logged of data centres names them by their numbers, and fills no disk.
#[test]
fn what_comes_too_late_is_warned_of_once_a_tick_and_who_is_silent_by_seconds() {
    let (mut node, there) = server(Bsp);
    let owner = Peer::Server(there.owner(TABLE, SlotIndex(0)).unwrap());
    end_training(&mut node);
    for server in [1, 2] {
        let (previous, tick, weight, ended) = (None, Tick(1), Some(1.0), false);
        let clock = MirrorMessage::Clock { previous, tick, weight, ended, marks: Vec::new() };
        hear(&mut node, Peer::Server(ServerId(server)), clock);
    }
    let late = warnings(|| {
        for at in 1..10 {
            hear(&mut node, owner, update(0, at, delta(0, &[1.0; 64])));
        }
    });
    assert_eq!(late.len(), 1, "{late:?}");
    assert!(late[0].contains("data_centre = 1, tick = ") && late[0].contains("too late"));
    let silent = warnings(|| {
        say(&mut node, Instant(100_000_000_000), Input::Timer);
    });
    let expected = |line: &String| line.contains("data_centre = 1, silent_seconds = ");
    assert_eq!(silent.iter().filter(|line| expected(line)).count(), 1, "{silent:?}");
}

/// Sums of what honest servers tell overflow: a copy without them would differ from the others.
#[test]
fn what_is_not_finite_is_taken() {
    let (mut node, there) = server(Ssp { staleness: 2 });
    let owner = Peer::Server(there.owner(TABLE, SlotIndex(0)).unwrap());
    for (sequence, value) in [(1, f32::INFINITY), (2, f32::NEG_INFINITY)] {
        hear(&mut node, owner, update(0, sequence, delta(0, &[value; 64])));
        assert_eq!(node.mirror_stats(TABLE).unwrap().updates_taken, sequence);
    }
    let values = node.values::<f32>(TABLE).unwrap();
    assert!(values.iter().flat_map(|(_, values)| values).any(|value| value.is_nan()));
    assert!(node.mirror_standing(TABLE).unwrap().differ.is_empty());
}

/// A piece of nothing costs its sender nothing: pieces would come without end.
#[test]
fn pieces_that_name_nothing_are_refused() {
    let first = Peer::Server(ServerId(1));
    let keys = |keys: &[u64]| Delta {
        rows: RowsNamed::Keys(keys.iter().copied().map(Key).collect()),
        positions: None,
        values: Trimmed::from_slice(&vec![1.0_f32; keys.len()]),
    };
    let few = Positions::new(&[]).unwrap();
    let none = || Delta {
        positions: Some(few.clone()),
        values: Trimmed::from_slice::<f32>(&[]),
        ..delta(0, &[0.0])
    };
    let dense = TableSpec::dense("w", 512).block_elements(64).slots(8).rule(Add);
    for (spec, nothing, last, all) in [
        (TableSpec::sparse("w", 1).slots(4).rule(Add), keys(&[]), keys(&[5]), keys(&[5, 6])),
        (dense, none(), delta(0, &[1.0; 64]), delta(0, &[1.0; 64])),
    ] {
        let mut node = server_that_asks(spec);
        let before = node.value_digests(TABLE);
        let mut assign = |piece, last, delta| {
            let message = MirrorMessage::Assign { slot: SlotIndex(0), piece, last, delta };
            hear_of(&mut node, DataCentre(0), first, message);
            node.value_digests(TABLE)
        };
        assert_eq!(assign(0, false, nothing), before);
        assert_eq!(assign(1, true, last), before, "the piece before it was not taken");
        assert_ne!(assign(0, true, all), before);
    }
}

/// At the end a slot's values are held until the last piece has come. Where they are more than
/// there is room for, the copy stays as it is and says so; a copy with the same rows has room.
#[test]
fn a_slot_that_is_more_than_there_is_room_for_is_named_and_stays_unequal() {
    const WIDTH: u32 = 65_536;
    const ROWS: u64 = (MIRROR_STASH_BYTES_MAX / (4 * WIDTH as usize)) as u64;
    let first = Peer::Server(ServerId(1));
    let row = |key, value: f32| Delta {
        rows: RowsNamed::Keys(vec![Key(key)]),
        positions: None,
        values: Trimmed::from_slice(&[value; WIDTH as usize]),
    };
    let told = |node: &mut ServerNode| {
        make_ask(node);
        let before = node.value_digests(TABLE);
        let warned = warnings(|| {
            for (piece, key) in (0..).zip(0..ROWS) {
                let (slot, last) = (SlotIndex(0), key + 1 == ROWS);
                let message = MirrorMessage::Assign { slot, piece, last, delta: row(key, 2.1) };
                hear_of(node, DataCentre(0), first, message);
            }
            // The sender says again what they have to be: whoever has no room does not ask again.
            make_ask(node);
        });
        (warned, node.value_digests(TABLE) != before)
    };
    let server = || server_that_ends(TableSpec::sparse("w", WIDTH).slots(1).rule(Add));
    let mut without_rows = server();
    let (warned, taken) = told(&mut without_rows);
    let expected =
        format!("table = w, data_centre = 0, slot = 0, limit_bytes = {MIRROR_STASH_BYTES_MAX}");
    assert_eq!(warned.len(), 1, "{warned:?}");
    assert!(warned[0].contains(&expected) && !taken, "{warned:?}");
    let standing = without_rows.mirror_standing(TABLE).unwrap();
    assert_eq!((standing.too_large, standing.equal), (vec![SlotIndex(0)], false));
    let mut with_rows = server();
    for (sequence, key) in (1..).zip(0..ROWS) {
        hear_of(&mut with_rows, DataCentre(0), first, update(0, sequence, row(key, 1.1)));
    }
    assert_eq!(told(&mut with_rows), (Vec::new(), true));
    assert!(with_rows.mirror_standing(TABLE).unwrap().too_large.is_empty());
}

/// Nobody waits for a data centre whose updates are refused: a history says so, as it does of one
/// that is lost.
#[test]
fn who_is_refused_is_in_a_history_until_its_next_connection() {
    let spec = TableSpec::dense("w", 512).block_elements(64).slots(8).rule(Add);
    let options = ServerOptions { record_history: true, ..ServerOptions::default() };
    let (mut node, there) = server_with(spec, Ssp { staleness: 2 }, options);
    let owner = there.owner(TABLE, SlotIndex(0)).unwrap();
    let (from, other) = (Peer::Server(owner), Peer::Server(ServerId(3 - owner.0)));
    let mut say = |input| say(&mut node, Instant::EPOCH, input);
    let heard = |from, message| {
        let of = DataCentre(1);
        Input::Message { from, message: Message::Mirror { table: TABLE, of, message } }
    };
    let stands = |outputs: Vec<Output>| {
        let event = |output| if let Output::Event(event) = output { Some(event) } else { None };
        let of_standing = |event: &Event| {
            matches!(event, Event::DataCentreLost { .. } | Event::DataCentreBack { .. })
        };
        outputs.into_iter().filter_map(event).filter(of_standing).collect::<Vec<_>>()
    };
    let open = say(Input::PeerUp(from)).into_iter().find_map(|output| match output {
        Output::Send { message: Message::Mirror { message, .. }, .. } => Some(message),
        _ => None,
    });
    assert!(matches!(open, Some(MirrorMessage::Open { .. })), "{open:?}");
    let open = open.unwrap();
    let wrong = || heard(from, update(0, 1, delta(64, &[1.0; 64])));
    let (table, data_centre) = (TABLE, DataCentre(1));
    assert_eq!(stands(say(wrong())), [Event::DataCentreLost { table, data_centre }]);
    assert_eq!(stands(say(wrong())), [], "once");
    say(Input::PeerUp(other));
    assert_eq!(stands(say(heard(other, open.clone()))), [], "another server's connection");
    say(Input::PeerUp(from));
    let back = stands(say(heard(from, open)));
    assert_eq!(back, [Event::DataCentreBack { table, data_centre }]);
}

/// What was asked of it at the end never comes: the next one's values count, here its own.
#[test]
fn who_is_refused_at_the_end_is_not_asked_any_more() {
    let spec = TableSpec::dense("w", 512).block_elements(64).slots(8).rule(Add);
    let mut node = server_that_asks(spec);
    assert!(!node.mirror_standing(TABLE).unwrap().equal, "it has asked");
    let wrong = update(0, 1, delta(64, &[1.0; 64]));
    hear_of(&mut node, DataCentre(0), Peer::Server(ServerId(1)), wrong);
    let standing = node.mirror_standing(TABLE).unwrap();
    assert_eq!((standing.others[0].2, standing.equal), (Standing::Refused, true));
}

#[test]
fn weights_that_cannot_be_are_not_taken() {
    let (mut node, there) = server(Bsp);
    let owner = Peer::Server(there.owner(TABLE, SlotIndex(1)).unwrap());
    for weight in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e-40] {
        let (previous, tick, weight, marks) = (None, Tick(1), Some(weight), Vec::new());
        hear(
            &mut node,
            owner,
            MirrorMessage::Clock { previous, tick, weight, ended: false, marks },
        );
        let standing = node.mirror_standing(TABLE).unwrap();
        assert_eq!(standing.others[0].1, Tick(0), "{weight:?}");
    }
}

#[test]
fn servers_elsewhere_may_say_what_mirrors_say_and_nothing_else() {
    let (group, token) = (GroupId(0), 1);
    let answers = |from: Peer, message: &Message| {
        let (mut node, _) = server(Ssp { staleness: 2 });
        let message = message.clone();
        node.handle(Instant::EPOCH, Input::Message { from, message });
        let outputs = std::iter::from_fn(|| Some(node.poll()).filter(|it| *it != Output::Idle));
        outputs.filter(|it| matches!(it, Output::Send { .. })).count()
    };
    for message in [
        Message::Join { group, token },
        Message::ListTables { request: 1, from: TABLE },
        Message::DropTable { request: 1, name: "w".into() },
    ] {
        assert_ne!(
            answers(Peer::Worker(token), &message),
            0,
            "a worker has an answer: {message:?}"
        );
        assert_eq!(answers(Peer::Server(ServerId(1)), &message), 0, "{message:?}");
    }
}
