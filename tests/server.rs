//! One server node, asked directly: repeated, stale, senseless and early requests.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "server/bounds.rs"]
mod bounds;
#[path = "server/changes.rs"]
mod changes;
#[path = "server/keyless.rs"]
mod keyless;

use archipelago::consistency::{Bsp, Eventual};
use archipelago::error::{SpecError, WaitFor};
use archipelago::id::{
    CatalogVersion, GroupId, Incarnation, Origin, Sequence, ServerId, SlotIndex, TableId, Tick,
};
use archipelago::key::{Key, KeyRange};
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::rules::Sgd;
use archipelago::spec::{CatalogEntry, Described, GroupEntry, GroupRecord, GroupSpec};
use archipelago::sync::Arc;
use archipelago::time::Instant;
use archipelago::wire::{
    Answer, CatalogRefusal, Header, Message, Payload, PullRows, Refusal, RowsNamed, TickTable,
};
use archipelago::{Extension, Hyper, TablePolicy, TableSpec, limits};

const TABLE: TableId = TableId(0);
const WORKER: Peer = Peer::Worker(1);

struct Asked {
    node: ServerNode,
    plan: Plan,
    origin: Origin,
}

impl Asked {
    /// Server 0 of `servers`, with one worker joined.
    fn new(servers: u32, local: impl Into<Extension>) -> Self {
        let ids: Vec<_> = (0..servers).map(ServerId).collect();
        let spec = TableSpec::dense("w", 1024).block_elements(64);
        let tables = vec![(spec, TablePolicy::local(local), Hyper::default())];
        let plan = Plan::new(&ids, tables, &[1], &Registry::built_in()).unwrap();
        let keeper = plan.keeper();
        let options = ServerOptions::default();
        let node = ServerNode::new(plan.clone(), keeper, Instant::EPOCH, options).unwrap();
        let mut asked = Self { node, plan, origin: Origin::default() };
        let group = GroupId(0);
        let sent = asked.ask(Message::Join { group, token: 1 });
        // The other servers are played here: they hold the record.
        for server in ids.into_iter().filter(|server| *server != keeper) {
            let record = sent.iter().find(|message| matches!(message, Message::Record(_)));
            let Some(Message::Record(record)) = record else { panic!("a record for {server}") };
            let (version, closed) = (record.version, Tick(0));
            asked.ask_from(
                Peer::Server(server),
                Message::RecordHeld { group, version, server, closed },
            );
        }
        let incarnation = Incarnation(1);
        asked.origin = Origin { incarnation, ..Origin::default() };
        asked
    }

    /// Sends a message and answers everything that the node sends.
    fn ask(&mut self, message: Message) -> Vec<Message> {
        self.ask_from(WORKER, message)
    }

    fn ask_from(&mut self, from: Peer, message: Message) -> Vec<Message> {
        self.node.handle(Instant::EPOCH, Input::Message { from, message });
        let mut sent = Vec::new();
        loop {
            match self.node.poll() {
                Output::Idle => return sent,
                Output::Send { message, .. } => sent.push(message),
                Output::Event(_) | Output::WakeAt(_) | Output::Working => {},
            }
        }
    }

    fn slot(&self, owned: bool) -> SlotIndex {
        let planned = self.plan.table(TABLE).unwrap();
        let keeper = self.plan.keeper();
        let mut slots = planned.grid.slots();
        slots.find(|slot| (planned.assignment.owner(*slot) == Some(keeper)) == owned).unwrap()
    }

    fn rows(&self, slot: SlotIndex) -> KeyRange {
        self.plan.table(TABLE).unwrap().grid.range(slot).unwrap()
    }

    fn header(&self, sequence: u64, settled_below: u64, tick: u64) -> Header {
        let (sequence, settled_below) = (Sequence(sequence), Sequence(settled_below));
        Header { origin: self.origin, sequence, settled_below, tick: Tick(tick) }
    }

    fn push(&mut self, header: Header, slot: SlotIndex, previous: Option<u64>) -> Message {
        let rows = self.rows(slot);
        let values = vec![1.0_f32; rows.count() as usize];
        self.push_values(header, slot, previous, RowsNamed::Block(rows), &values)
    }

    fn push_values(
        &mut self,
        header: Header,
        slot: SlotIndex,
        previous: Option<u64>,
        rows: RowsNamed,
        values: &[f32],
    ) -> Message {
        let (previous, values) = (previous.map(Sequence), Payload::from_slice(values));
        let message = Message::Push { table: TABLE, header, slot, previous, rows, values };
        self.ask(message).pop().expect("an answer")
    }

    /// The first value of a slot.
    fn value(&mut self, sequence: u64, tick: u64, slot: SlotIndex) -> f32 {
        let header = self.header(sequence, sequence, tick);
        let rows = PullRows::Block(self.rows(slot));
        let message = Message::Pull { table: TABLE, header, slot, own: None, rows };
        match self.ask(message).pop() {
            Some(Message::PullAnswer { result: Ok(result), .. }) => {
                result.values.elements::<f32>().unwrap()[0]
            },
            other => panic!("expected rows, found {other:?}"),
        }
    }
}

fn answer(message: Message) -> Answer {
    match message {
        Message::PushAnswer { answer, .. } => answer,
        other => panic!("expected an answer, found {other:?}"),
    }
}

fn refusal(message: Message) -> Refusal {
    match answer(message) {
        Answer::Refused(refusal) => refusal,
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn a_repeated_push_gets_its_stored_answer() {
    let mut asked = Asked::new(1, Eventual);
    let slot = asked.slot(true);
    for _ in 0..3 {
        let header = asked.header(1, 1, 1);
        assert_eq!(answer(asked.push(header, slot, None)), Answer::Applied);
    }
    let header = asked.header(2, 2, 1);
    assert_eq!(answer(asked.push(header, slot, Some(1))), Answer::Applied);
    let header = asked.header(1, 1, 1);
    assert_eq!(answer(asked.push(header, slot, None)), Answer::Settled);
    assert_eq!(asked.value(3, 1, slot), 2.0);
}

#[test]
fn a_stale_incarnation_is_refused() {
    let mut asked = Asked::new(1, Eventual);
    let slot = asked.slot(true);
    asked.node.handle(Instant::EPOCH, Input::PeerDown(WORKER));
    asked.ask(Message::Join { group: GroupId(0), token: 2 });
    let header = asked.header(1, 1, 1);
    let current = Incarnation(2);
    assert_eq!(refusal(asked.push(header, slot, None)), Refusal::StaleWorker { current });
    asked.origin.incarnation = current;
    assert_eq!(asked.value(1, 1, slot), 0.0, "nothing was applied");
}

#[test]
fn a_chunk_waits_at_its_worker_until_its_predecessor_came() {
    let mut asked = Asked::new(1, Eventual);
    let slot = asked.slot(true);
    let early = asked.header(2, 1, 1);
    let Message::Deferred { reason, .. } = asked.push(early, slot, Some(1)) else {
        panic!("executed out of order")
    };
    assert_eq!(reason.what, WaitFor::EarlierPush);
    assert_eq!(asked.node.waiting(), 1, "its name is held, not its data");
    let rows = RowsNamed::Block(asked.rows(slot));
    let values = Payload::from_slice(&vec![1.0_f32; asked.rows(slot).count() as usize]);
    let header = asked.header(1, 1, 1);
    let message = Message::Push { table: TABLE, header, slot, previous: None, rows, values };
    let sent = asked.ask(message);
    assert!(sent.contains(&Message::Resume { table: TABLE, sequence: Sequence(2) }), "{sent:?}");
    assert_eq!(answer(asked.push(early, slot, Some(1))), Answer::Applied);
}

#[test]
fn a_foreign_slot_is_refused() {
    let mut asked = Asked::new(3, Eventual);
    let slot = asked.slot(false);
    let header = asked.header(1, 1, 1);
    assert_eq!(refusal(asked.push(header, slot, None)), Refusal::NotOwned { slot });
}

#[test]
fn senseless_messages_change_nothing() {
    let mut asked = Asked::new(1, Eventual);
    let slot = asked.slot(true);
    let before = asked.node.digests(TABLE);
    let header = asked.header(1, 1, 1);
    let rows = asked.rows(slot);
    let all = RowsNamed::Block(rows);
    let short = asked.push_values(header, slot, None, all.clone(), &[1.0]);
    assert!(matches!(refusal(short), Refusal::Shape { expected: 64, found: 1 }));
    let outside = RowsNamed::Block(KeyRange::single(Key(u64::MAX)));
    let header = asked.header(2, 1, 1);
    let outside = asked.push_values(header, slot, Some(1), outside, &[1.0]);
    assert!(matches!(refusal(outside), Refusal::OutsideDomain { .. }));
    let header = asked.header(3, 1, 1);
    let keys = asked.push_values(header, slot, Some(2), RowsNamed::Keys(vec![Key(1)]), &[1.0]);
    assert!(matches!(refusal(keys), Refusal::Shape { .. }));
    let values = Payload::from_slice(&[1_i64; 64]);
    let (table, previous) = (TABLE, Some(Sequence(3)));
    let header = asked.header(4, 1, 1);
    let wrong = Message::Push { table, header, slot, previous, rows: all, values };
    let wrong = asked.ask(wrong).pop().unwrap();
    assert!(matches!(refusal(wrong), Refusal::DType { .. }));
    let mut stranger = asked.header(1, 1, 1);
    stranger.origin.rank.0 = 77;
    assert_eq!(refusal(asked.push(stranger, slot, None)), Refusal::UnknownWorker);
    let table = TableId(9);
    let rows = PullRows::Block(rows);
    let unknown = Message::Pull { table, header, slot, own: None, rows };
    let unknown = asked.ask(unknown).pop().unwrap();
    let expected = Err(Refusal::UnknownTable { table });
    assert!(matches!(unknown, Message::PullAnswer { result, .. } if result == expected));
    assert_eq!(asked.node.digests(TABLE), before);
}

#[test]
fn what_servers_say_counts_from_servers_only() {
    let mut asked = Asked::new(2, Eventual);
    let (origin, slot) = (asked.origin, asked.slot(true));
    assert_eq!(asked.ask(Message::Fence { origin }), []);
    assert_eq!(asked.ask(Message::Record(GroupRecord { size: 1, ..GroupRecord::default() })), []);
    let header = asked.header(1, 1, 1);
    assert_eq!(answer(asked.push(header, slot, None)), Answer::Applied);
}

#[test]
fn ticks_count_in_order_behind_their_data_and_only_so_many_wait() {
    let mut asked = Asked::new(1, Bsp);
    let slot = asked.slot(true);
    let tick = |asked: &mut Asked, tick: u64, touched: &[(SlotIndex, Sequence)]| {
        let (origin, settled_below) = (asked.origin, Sequence(1));
        let table = TickTable { table: TABLE, weight: Some(1.0), touched: touched.to_vec() };
        let (tick, tables) = (Tick(tick), vec![table]);
        let sent = asked.ask(Message::Ticked { origin, tick, settled_below, tables });
        let answered = sent.into_iter().find_map(|message| match message {
            Message::TickAnswer { result, .. } => Some(result),
            _ => None,
        });
        answered.unwrap()
    };
    assert_eq!(tick(&mut asked, 1, &[(slot, Sequence(1))]), Ok(()));
    assert_eq!(asked.node.stats(TABLE).unwrap().rounds, 0, "the tick is ahead of its data");
    let most = limits::TICKS_PENDING_MAX as u64;
    let refused = tick(&mut asked, most + 1, &[]);
    assert!(matches!(refused, Err(Refusal::TickBackwards { .. })), "{refused:?}");
    let header = asked.header(1, 1, 1);
    assert_eq!(answer(asked.push(header, slot, None)), Answer::Admitted);
    assert_eq!(asked.value(2, 2, slot), 1.0);
}

/// Also at tables that the worker does not push to any more.
#[test]
fn a_tick_settles_what_was_answered() {
    let mut asked = Asked::new(1, Eventual);
    let (origin, slot) = (asked.origin, asked.slot(true));
    let header = asked.header(1, 1, 1);
    assert_eq!(answer(asked.push(header, slot, None)), Answer::Applied);
    let kept = |asked: &Asked| asked.node.stats(TABLE).unwrap().window_outcomes;
    assert_eq!(kept(&asked), 1);
    let (tick, settled_below) = (Tick(1), Sequence(2));
    asked.ask(Message::Ticked { origin, tick, settled_below, tables: Vec::new() });
    assert_eq!(kept(&asked), 0);
    assert_eq!(answer(asked.push(header, slot, None)), Answer::Settled);
}

/// The keeper of `servers` servers and no tables.
fn keeper(servers: u32, registry: &Registry) -> Asked {
    node(servers, 0, registry)
}

fn node(servers: u32, number: u32, registry: &Registry) -> Asked {
    let ids: Vec<_> = (0..servers).map(ServerId).collect();
    let plan = Plan::new(&ids, Vec::new(), &[], registry).unwrap();
    let options = ServerOptions::default();
    let node = ServerNode::new(plan.clone(), ServerId(number), Instant::EPOCH, options).unwrap();
    Asked { node, plan, origin: Origin::default() }
}

fn ensure(request: u64, spec: TableSpec) -> Message {
    let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::default());
    Message::EnsureTable { request, described: Box::new(Described { spec, policy, hyper }) }
}

fn held(server: u32, version: u64) -> (Peer, Message) {
    let (server, version) = (ServerId(server), CatalogVersion(version));
    (Peer::Server(server), Message::CatalogHeld { version, server, result: Ok(()) })
}

fn ensured(sent: &[Message]) -> Vec<(u64, TableId)> {
    let of = |message: &Message| match message {
        Message::TableEnsured { request, result: Ok(entry) } => Some((*request, entry.id)),
        _ => None,
    };
    sent.iter().filter_map(of).collect()
}

fn entries(sent: &[Message]) -> Vec<u64> {
    let of = |message: &Message| match message {
        Message::CatalogEntry { version, .. } => Some(version.0),
        _ => None,
    };
    sent.iter().filter_map(of).collect()
}

/// The entry of the catalog that is sent.
fn entry(sent: &[Message]) -> Message {
    let mut sent = sent.iter();
    sent.find(|message| matches!(message, Message::CatalogEntry { .. })).cloned().unwrap()
}

#[test]
fn a_table_is_answered_once_every_server_holds_it_and_told_one_entry_at_a_time() {
    let mut asked = keeper(3, &Registry::built_in());
    let sent = asked.ask(ensure(7, TableSpec::dense("a", 9)));
    assert_eq!((entries(&sent), ensured(&sent)), (vec![1, 1], vec![]));
    let sent = asked.ask(ensure(8, TableSpec::dense("b", 9)));
    assert_eq!((entries(&sent), ensured(&sent)), (vec![], vec![]));
    let sent = asked.ask(ensure(9, TableSpec::dense("a", 9)));
    assert_eq!((entries(&sent), ensured(&sent)), (vec![], vec![]), "asked again under way");
    let (from, message) = held(1, 1);
    let sent = asked.ask_from(from, message.clone());
    assert_eq!((entries(&sent), ensured(&sent)), (vec![2], vec![]));
    assert_eq!(asked.ask_from(from, message), [], "a repeated answer");
    let (_, forged) = held(2, 1);
    assert_eq!(asked.ask_from(from, forged), [], "an answer for somebody else");
    let (from, ahead) = held(2, 2);
    assert_eq!(asked.ask_from(from, ahead), [], "an answer to what was not sent");
    asked.node.handle(Instant::EPOCH, Input::PeerUp(from));
    let Output::Send { message: again, .. } = asked.node.poll() else { panic!("sent again") };
    assert_eq!(entries(&[again]), [1]);
    let (from, message) = held(2, 1);
    let sent = asked.ask_from(from, message);
    assert_eq!(entries(&sent), [2]);
    assert_eq!(ensured(&sent), [(7, TableId(0)), (9, TableId(0))]);
    let listed = asked.ask(Message::ListTables { request: 1, from: TableId(0) });
    let [Message::Tables { tables, next: None, .. }] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(tables.len(), 1, "what not all hold is not listed");
    let (from, message) = held(1, 2);
    assert_eq!(ensured(&asked.ask_from(from, message)), []);
    let (from, message) = held(2, 2);
    assert_eq!(ensured(&asked.ask_from(from, message)), [(8, TableId(1))]);
}

#[test]
fn code_that_a_server_lacks_is_named_with_what_there_is() {
    let more = Registry::built_in().rule("mine/1", |_| Ok(Arc::new(Sgd)));
    let spec = TableSpec::dense("w", 9).rule(Extension::new("mine/1"));
    let lacks = |refusal: &CatalogRefusal| {
        let CatalogRefusal::Described(error) = refusal else { panic!("{refusal:?}") };
        let SpecError::UnknownExtension { extension, known, .. } = error else { panic!("{error}") };
        assert!(extension == "mine/1" && known.contains("adam/1"), "{error}");
    };
    // The keeper lacks it: nothing is created.
    let sent = keeper(2, &Registry::built_in()).ask(ensure(1, spec.clone()));
    let [Message::TableEnsured { result: Err(refusal), .. }] = &sent[..] else {
        panic!("{sent:?}")
    };
    lacks(refusal);
    // Another server lacks it: the number is taken, and whoever asks is told, also later.
    let mut asked = keeper(2, &more);
    let entry = entry(&asked.ask(ensure(1, spec.clone())));
    let mut other = node(2, 1, &Registry::built_in());
    for _ in 0..2 {
        let answer = other.ask_from(Peer::Server(ServerId(0)), entry.clone()).pop().unwrap();
        let Message::CatalogHeld { result: Err(refusal), .. } = &answer else {
            panic!("{answer:?}")
        };
        lacks(refusal);
        asked.ask_from(Peer::Server(ServerId(1)), answer);
    }
    let sent = asked.ask(ensure(2, spec));
    let [Message::TableEnsured { request: 2, result: Err(refusal) }] = &sent[..] else {
        panic!("{sent:?}")
    };
    lacks(refusal);
    let entry = self::entry(&asked.ask(ensure(3, TableSpec::dense("v", 9))));
    let answer = other.ask_from(Peer::Server(ServerId(0)), entry).pop().unwrap();
    assert_eq!(ensured(&asked.ask_from(Peer::Server(ServerId(1)), answer)), [(3, TableId(1))]);
    let header = asked.header(1, 1, 1);
    let refused = refusal_of_push(&mut other, header);
    assert_eq!(refused, Refusal::UnknownTable { table: TABLE });
}

fn refusal_of_push(asked: &mut Asked, header: Header) -> Refusal {
    let rows = RowsNamed::Block(KeyRange::single(Key(0)));
    refusal(asked.push_values(header, SlotIndex(0), None, rows, &[1.0]))
}

#[test]
fn only_the_keeper_creates_and_only_for_so_many_at_once() {
    let mut other = node(2, 1, &Registry::built_in());
    let sent = other.ask(ensure(1, TableSpec::dense("w", 9)));
    let keeper_is = CatalogRefusal::NotKeeper { keeper: ServerId(0) };
    assert_eq!(sent, [Message::TableEnsured { request: 1, result: Err(keeper_is) }]);
    let mut asked = keeper(2, &Registry::built_in());
    for request in 0..=limits::ASKS_MAX as u64 {
        let sent = asked.ask(ensure(request, TableSpec::dense("w", 9)));
        let result = Err(CatalogRefusal::Busy);
        let busy = sent.contains(&Message::TableEnsured { request, result });
        assert_eq!(busy, request == limits::ASKS_MAX as u64, "{sent:?}");
    }
    asked.node.handle(Instant::EPOCH, Input::PeerDown(WORKER));
    assert_eq!(asked.ask_from(held(1, 1).0, held(1, 1).1), [], "nobody waits any more");
}

#[test]
fn entries_count_from_the_keeper_in_order_and_joins_from_then_on() {
    let mut other = node(3, 1, &Registry::built_in());
    let mut asked = keeper(3, &Registry::built_in());
    let spec = TableSpec::dense("w", 900).block_elements(64);
    let table = entry(&asked.ask(ensure(1, spec)));
    assert_eq!(other.ask_from(Peer::Server(ServerId(2)), table.clone()), [], "not the keeper");
    let from = Peer::Server(ServerId(0));
    for _ in 0..3 {
        let sent = other.ask_from(from, table.clone());
        assert_eq!(sent, [held(1, 1).1]);
    }
    assert_eq!(other.node.plan().version(), CatalogVersion(1));
    let group = GroupSpec { name: "train".into(), size: 1 };
    let entry = CatalogEntry::Group(GroupEntry { id: GroupId(4), spec: group.clone() });
    let version = CatalogVersion(2);
    assert_eq!(other.ask_from(from, Message::CatalogEntry { version, entry }), []);
    let entry = CatalogEntry::Group(GroupEntry { id: GroupId(0), spec: group.clone() });
    let version = CatalogVersion(3);
    assert_eq!(other.ask_from(from, Message::CatalogEntry { version, entry }), [], "a gap");
    for (server, version) in [(1, 1), (2, 1)] {
        asked.ask_from(held(server, version).0, held(server, version).1);
    }
    asked.ask(Message::EnsureGroup { request: 2, spec: group });
    let join = Message::Join { group: GroupId(0), token: 1 };
    let sent = asked.ask(join.clone());
    let [Message::Joined { result: Err(refusal), .. }] = &sent[..] else { panic!("{sent:?}") };
    assert_eq!(*refusal, Refusal::UnknownGroup { group: GroupId(0) }, "not all know of it");
    for (server, version) in [(1, 2), (2, 2)] {
        asked.ask_from(held(server, version).0, held(server, version).1);
    }
    assert!(asked.ask(join).iter().any(|message| matches!(message, Message::Record(_))));
}

#[test]
fn a_read_that_has_waited_stays_while_its_peer_takes_no_more() {
    let mut asked = Asked::new(1, Bsp);
    let slots: Vec<_> = asked.plan.table(TABLE).unwrap().grid.slots().take(3).collect();
    let pull = |asked: &Asked, sequence, slot| {
        let rows = PullRows::Block(asked.rows(slot));
        let header = asked.header(sequence, 1, 2);
        Message::Pull { table: TABLE, header, slot, own: None, rows }
    };
    for (sequence, slot) in (1..).zip(&slots) {
        let told = asked.ask(pull(&asked, sequence, *slot));
        assert!(matches!(told[..], [Message::Deferred { .. }]), "round 1 is open: {told:?}");
    }
    asked.node.handle(Instant::EPOCH, Input::PeerFull(WORKER));
    let (origin, settled_below) = (asked.origin, Sequence(1));
    let tables = Vec::new();
    let sent = asked.ask(Message::Ticked { origin, tick: Tick(1), settled_below, tables });
    assert!(matches!(sent[..], [Message::TickAnswer { .. }]), "the round is closed: {sent:?}");
    // What is served at once keeps to what the driver lets in.
    let served = asked.ask(pull(&asked, 9, slots[0]));
    assert!(matches!(served[..], [Message::PullAnswer { .. }]), "{served:?}");
    asked.node.handle(Instant::EPOCH, Input::PeerRoom(WORKER));
    let mut served = Vec::new();
    while let Output::Working | Output::Send { .. } = {
        let output = asked.node.poll();
        if let Output::Send { message: Message::PullAnswer { sequence, .. }, .. } = &output {
            served.push(sequence.0);
        }
        output
    } {}
    served.sort_unstable();
    assert_eq!(served, [1, 2, 3]);
}
