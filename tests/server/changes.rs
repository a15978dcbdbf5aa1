//! The keeper's part in changes: what it withholds until all know, and what it takes back.

use super::*;
use archipelago::spec::{ChangeEntry, TableChange, Terms};
use archipelago::{Schedule, Ssp};

fn change(request: u64, change: TableChange) -> Message {
    Message::ChangeTable { request, name: "w".into(), change: Box::new(change) }
}

fn faster(from: Option<u64>) -> TableChange {
    let hyper = Hyper::rate(Schedule::Constant(0.5));
    TableChange { from: from.map(Tick), ..TableChange::default().hyper(hyper) }
}

fn changed(sent: &[Message]) -> Vec<(u64, Result<Tick, CatalogRefusal>)> {
    let of = |message: &Message| match message {
        Message::TableChanged { request, result } => Some((*request, result.clone())),
        _ => None,
    };
    sent.iter().filter_map(of).collect()
}

fn ticked(asked: &mut Asked, tick: u64) -> Vec<Message> {
    let (origin, settled_below) = (asked.origin, Sequence(1));
    let (tick, tables) = (Tick(tick), Vec::new());
    asked.ask(Message::Ticked { origin, tick, settled_below, tables })
}

fn attach(asked: &mut Asked) -> Vec<Message> {
    let spec_hash = asked.plan.table(TABLE).unwrap().table.spec().hash();
    asked.ask(Message::Attach { origin: asked.origin, table: TABLE, spec_hash })
}

fn withheld(server: Option<u32>) -> Message {
    Message::Withheld { server: server.map(ServerId) }
}

#[test]
fn nobody_comes_to_the_tick_of_a_change_before_every_server_knows_of_it() {
    let mut asked = Asked::new(2, Bsp);
    assert_eq!(attach(&mut asked), [Message::Attached { table: TABLE, result: Ok(()) }]);
    for tick in 1..=3 {
        let answer = Message::TickAnswer { tick: Tick(tick), result: Ok(()) };
        assert_eq!(ticked(&mut asked, tick), [answer]);
    }
    let from = 3 + limits::CHANGE_AHEAD;
    let early = asked.ask(change(1, faster(Some(from - 1))));
    let [(1, Err(CatalogRefusal::Described(SpecError::TooEarly { earliest, .. })))] =
        &changed(&early)[..]
    else {
        panic!("{early:?}")
    };
    assert_eq!(*earliest, Tick(from));
    let latest = 3 + limits::CHANGE_AHEAD_MAX;
    let far = asked.ask(change(1, faster(Some(latest + 1))));
    let (table, found, latest) = ("w".into(), Tick(latest + 1), Tick(latest));
    let refused = CatalogRefusal::Described(SpecError::TooLate { table, latest, found });
    assert_eq!(changed(&far), [(1, Err(refused))]);
    let sent = asked.ask(change(2, faster(None)));
    assert_eq!(
        (entries(&sent), changed(&sent)),
        (vec![3], vec![]),
        "behind the table and its group"
    );
    // The keeper answers ticks as long as 16 unanswered ones do not lead to the change.
    let most = from - limits::TICKS_PENDING_MAX as u64 - 2;
    for tick in 4..=most + 2 {
        let answer = Message::TickAnswer { tick: Tick(tick), result: Ok(()) };
        let sent = ticked(&mut asked, tick);
        assert_eq!(sent.contains(&answer), tick <= most, "tick {tick}: {sent:?}");
        let again = ticked(&mut asked, tick);
        let waits = vec![withheld(Some(1))];
        assert_eq!(again, if tick <= most { vec![answer] } else { waits }, "asked again");
    }
    let again = asked.ask(change(3, faster(None)));
    assert_eq!(again, [withheld(Some(1))], "found, under way");
    let (other, message) = held(1, 3);
    let sent = asked.ask_from(other, message);
    assert_eq!(changed(&sent), [(2, Ok(Tick(from))), (3, Ok(Tick(from)))]);
    for tick in most + 1..=most + 2 {
        let answer = Message::TickAnswer { tick: Tick(tick), result: Ok(()) };
        assert_eq!(sent.iter().filter(|message| **message == answer).count(), 1, "{sent:?}");
    }
    assert_eq!(sent.last(), Some(&withheld(None)));
    let cut = asked.ask(change(2, faster(None)));
    assert_eq!((entries(&cut), changed(&cut)), (vec![], vec![(2, Ok(Tick(from)))]), "after a cut");
}

#[test]
fn who_begins_to_write_waits_for_a_change_from_the_first_tick_on() {
    let mut asked = Asked::new(2, Bsp);
    let sent = asked.ask(change(1, faster(None)));
    assert_eq!((entries(&sent), changed(&sent)), (vec![3], vec![]));
    assert_eq!(attach(&mut asked), []);
    let (other, message) = held(1, 3);
    let sent = asked.ask_from(other, message);
    assert_eq!(changed(&sent), [(1, Ok(Tick(1)))]);
    assert!(sent.contains(&Message::Attached { table: TABLE, result: Ok(()) }), "{sent:?}");
}

#[test]
fn who_waits_is_told_which_server_has_not_confirmed() {
    let mut asked = keeper(3, &Registry::built_in());
    let sent = asked.ask(ensure(7, TableSpec::dense("a", 9)));
    assert_eq!(sent.last(), Some(&withheld(Some(1))), "the first of both");
    let (from, message) = held(1, 1);
    assert_eq!(asked.ask_from(from, message), [withheld(Some(2))]);
    let other = Peer::Worker(2);
    let sent = asked.ask_from(other, ensure(1, TableSpec::dense("a", 9)));
    assert_eq!(sent, [withheld(Some(2))]);
    let (from, message) = held(2, 1);
    let sent = asked.ask_from(from, message);
    assert_eq!(ensured(&sent), [(7, TABLE), (1, TABLE)]);
    assert_eq!(sent[2..], [withheld(None), withheld(None)]);
    let sent = asked.ask(ensure(8, TableSpec::dense("a", 9)));
    assert_eq!((ensured(&sent), sent.len()), (vec![(8, TABLE)], 1), "nobody is waited for");
}

#[test]
fn a_change_that_some_server_cannot_hold_is_taken_back_before_it_begins() {
    let more = Registry::built_in().policy("mine/1", |_| Ok(Arc::new(Ssp { staleness: 3 })));
    let mut asked = keeper(2, &more);
    asked.ask(ensure(1, TableSpec::dense("w", 9)));
    asked.ask_from(held(1, 1).0, held(1, 1).1);
    let mine = TablePolicy::local(Extension::new("mine/1"));
    let sent = asked.ask(change(2, TableChange::default().policy(mine).from(Tick(7))));
    assert_eq!(entries(&sent), [2]);
    let mut other = node(2, 1, &Registry::built_in());
    let from = Peer::Server(ServerId(0));
    let table = TableId(0);
    let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::default());
    let described = Box::new(Described { spec: TableSpec::dense("w", 9), policy, hyper });
    let entry = archipelago::spec::TableEntry { id: table, described, changes: Vec::new() };
    let (version, entry) = (CatalogVersion(1), CatalogEntry::Table(entry));
    other.ask_from(from, Message::CatalogEntry { version, entry });
    let answer = other.ask_from(from, sent[0].clone()).pop().unwrap();
    let Message::CatalogHeld { result: Err(refusal), .. } = &answer else { panic!("{answer:?}") };
    let refused = vec![(2, Err(refusal.clone()))];
    let sent = asked.ask_from(Peer::Server(ServerId(1)), answer);
    assert_eq!(changed(&sent), refused);
    let back = sent.iter().find(|message| matches!(message, Message::CatalogEntry { .. }));
    let Some(Message::CatalogEntry { entry: CatalogEntry::Change(entry), .. }) = back else {
        panic!("{sent:?}")
    };
    let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::default());
    let terms = Box::new(Terms { from: Tick(7), policy, hyper });
    assert_eq!(*entry, ChangeEntry { table, terms });
    let answer = other.ask_from(from, back.unwrap().clone()).pop().unwrap();
    assert!(matches!(answer, Message::CatalogHeld { result: Ok(()), .. }), "{answer:?}");
    assert_eq!(asked.ask_from(Peer::Server(ServerId(1)), answer), []);
    let held = &asked.node.plan().table(table).unwrap().table;
    assert_eq!(held.terms_at(Tick(7)).policy, TablePolicy::local(Eventual));
}

/// Server 1, which lacks the policy that the keeper has, and holds what it can of what it is told
/// until nothing comes any more; everything else that the keeper has sent.
fn told_to_all(asked: &mut Asked, other: &mut Asked, sent: Vec<Message>) -> Vec<Message> {
    let (keeper, other_is) = (Peer::Server(ServerId(0)), Peer::Server(ServerId(1)));
    let (mut told, mut rest) = (0, Vec::new());
    let mut sent = std::collections::VecDeque::from(sent);
    while let Some(message) = sent.pop_front() {
        if !matches!(message, Message::CatalogEntry { .. }) {
            rest.push(message);
            continue;
        }
        told += 1;
        assert!(told < 20, "entries without end");
        let answer = other.ask_from(keeper, message).pop().unwrap();
        sent.extend(asked.ask_from(other_is, answer));
    }
    rest
}

/// A keeper that has a policy and server 1, which has not; both hold table `w`.
fn unlike() -> (Asked, Asked, TablePolicy) {
    let more = Registry::built_in().policy("mine/1", |_| Ok(Arc::new(Ssp { staleness: 3 })));
    let (mut asked, mut other) = (keeper(2, &more), node(2, 1, &Registry::built_in()));
    let sent = asked.ask(ensure(1, TableSpec::dense("w", 9)));
    let rest = told_to_all(&mut asked, &mut other, sent);
    assert_eq!(ensured(&rest), [(1, TABLE)]);
    (asked, other, TablePolicy::local(Extension::new("mine/1")))
}

#[test]
fn a_change_made_upon_one_that_fails_goes_back_to_what_held_before_both() {
    let (mut asked, mut other, mine) = unlike();
    let mut sent = asked.ask(change(2, TableChange::default().policy(mine).from(Tick(7))));
    // What it does not name it has from the one before, which no more than the keeper holds yet.
    sent.extend(asked.ask(change(3, faster(Some(9)))));
    let rest = told_to_all(&mut asked, &mut other, sent);
    let refused = changed(&rest);
    assert!(matches!(refused[..], [(2, Err(_)), (3, Err(_))]), "{refused:?}");
    for node in [&asked.node, &other.node] {
        assert_eq!(node.plan().version(), CatalogVersion(5), "each is taken back once");
        let held = &node.plan().table(TABLE).unwrap().table;
        for tick in [7, 8, 9, 100] {
            let Terms { policy, hyper, .. } = held.terms_at(Tick(tick));
            let settled = (TablePolicy::local(Eventual), Hyper::default());
            assert_eq!((policy, hyper), settled, "tick {tick}");
        }
    }
}

#[test]
fn a_change_that_fails_takes_none_along_that_begins_with_it_and_is_held_everywhere() {
    let (mut asked, mut other, mine) = unlike();
    let mut sent = asked.ask(change(2, faster(Some(9))));
    sent.extend(asked.ask(change(3, TableChange::default().policy(mine).from(Tick(9)))));
    let rest = told_to_all(&mut asked, &mut other, sent);
    let found = changed(&rest);
    assert!(matches!(found[..], [(2, Ok(Tick(9))), (3, Err(_))]), "{found:?}");
    for node in [&asked.node, &other.node] {
        let held = &node.plan().table(TABLE).unwrap().table;
        let Terms { policy, hyper, .. } = held.terms_at(Tick(9));
        let promised = (TablePolicy::local(Eventual), Hyper::rate(Schedule::Constant(0.5)));
        assert_eq!((policy, hyper), promised);
    }
}

#[test]
fn a_dropped_table_costs_a_typed_answer_and_no_memory() {
    let mut asked = Asked::new(1, Bsp);
    let slot = asked.slot(true);
    let header = asked.header(1, 1, 1);
    assert_eq!(answer(asked.push(header, slot, None)), Answer::Admitted);
    let waits = asked.header(2, 1, 2);
    let rows = PullRows::Block(asked.rows(slot));
    let pull = Message::Pull { table: TABLE, header: waits, slot, own: Some(Sequence(1)), rows };
    assert!(matches!(asked.ask(pull.clone())[..], [Message::Deferred { .. }]));
    let sent = asked.ask(Message::DropTable { request: 1, name: "w".into() });
    let (table, sequence) = (TABLE, Sequence(2));
    let result = Err(Refusal::Dropped { table });
    let refused = Message::PullAnswer { table, sequence, result };
    assert!(sent.contains(&refused), "who waited is told: {sent:?}");
    assert!(sent.contains(&Message::TableDropped { request: 1, result: Ok(()) }), "{sent:?}");
    assert_eq!((asked.node.stats(TABLE), asked.node.waiting()), (None, 0));
    assert_eq!(asked.ask(pull), [refused]);
    let header = asked.header(3, 1, 1);
    assert_eq!(refusal(asked.push(header, slot, Some(1))), Refusal::Dropped { table });
    assert_eq!(ticked(&mut asked, 1).len(), 1, "ticks go on");
    let again = asked.ask(Message::DropTable { request: 2, name: "w".into() });
    assert_eq!(again, [Message::TableDropped { request: 2, result: Ok(()) }]);
    let never = asked.ask(Message::DropTable { request: 3, name: "v".into() });
    let result = Err(CatalogRefusal::UnknownTable { table: "v".into() });
    assert_eq!(never, [Message::TableDropped { request: 3, result }]);
    let sent = asked.ask(ensure(4, TableSpec::dense("w", 9)));
    assert_eq!(ensured(&sent), [(4, TableId(1))], "the name is free, the number is not");
    // A request that was answered before is not made again, whatever has happened since.
    let cut = asked.ask(Message::DropTable { request: 1, name: "w".into() });
    assert_eq!(cut, [Message::TableDropped { request: 1, result: Ok(()) }]);
    assert!(asked.node.stats(TableId(1)).is_some());
}

/// A request may be sent again after a cut, when it was answered and the answer was lost.
#[test]
fn a_request_that_has_found_what_it_wants_acts_no_second_time() {
    let mut asked = keeper(1, &Registry::built_in());
    let spec = TableSpec::dense("w", 9);
    let drop_w = |request| Message::DropTable { request, name: "w".into() };
    asked.ask(ensure(1, spec.clone()));
    assert_eq!(ensured(&asked.ask(ensure(2, spec.clone()))), [(2, TABLE)], "found");
    asked.ask(change(3, faster(Some(5))));
    let found = vec![(4, Ok(Tick(5)))];
    assert_eq!(changed(&asked.ask(change(4, faster(Some(5))))), found);
    let slower = TableChange::default().hyper(Hyper::rate(Schedule::Constant(0.25)));
    asked.ask(change(5, slower.from(Tick(5))));
    let version = asked.node.plan().version();
    assert_eq!(changed(&asked.ask(change(4, faster(Some(5))))), found, "asked again");
    assert_eq!(asked.node.plan().version(), version, "somebody else has changed it since");
    asked.ask(drop_w(6));
    let gone = |request| [Message::TableDropped { request, result: Ok(()) }];
    assert_eq!(asked.ask(drop_w(7)), gone(7), "found dropped");
    let again = asked.ask(ensure(2, spec.clone()));
    let result = Err(CatalogRefusal::Dropped { table: "w".into() });
    assert_eq!(again, [Message::TableEnsured { request: 2, result }], "it meant the one before");
    assert_eq!(ensured(&asked.ask(ensure(8, spec))), [(8, TableId(1))]);
    assert_eq!(asked.ask(drop_w(7)), gone(7), "asked again");
    assert!(asked.node.stats(TableId(1)).is_some(), "it meant the one before");
}

#[test]
fn without_tables_a_tick_far_ahead_is_not_believed() {
    let mut asked = Asked::new(1, Bsp);
    asked.ask(Message::DropTable { request: 1, name: "w".into() });
    let most = limits::TICKS_PENDING_MAX as u64;
    let answer = |tick, result| [Message::TickAnswer { tick: Tick(tick), result }];
    let refused = Err(Refusal::UnknownWorker);
    assert_eq!(ticked(&mut asked, 3), answer(3, Ok(())));
    for far in [3 + most + 1, u64::MAX] {
        assert_eq!(ticked(&mut asked, far), answer(far, refused));
    }
    assert_eq!(ticked(&mut asked, 3 + most), answer(3 + most, Ok(())));
    asked.origin.incarnation = Incarnation(2);
    assert_eq!(ticked(&mut asked, 1), answer(1, refused), "nobody knows it");
    // A table that comes now begins behind what was believed, and changes shortly behind it.
    asked.origin.incarnation = Incarnation(1);
    asked.ask(ensure(2, TableSpec::dense("w", 9)));
    let (origin, table) = (asked.origin, TableId(1));
    let spec_hash = asked.node.plan().table(table).unwrap().table.spec().hash();
    asked.ask(Message::Attach { origin, table, spec_hash });
    let from = Tick(3 + most + limits::CHANGE_AHEAD);
    assert_eq!(changed(&asked.ask(change(3, faster(None)))), [(3, Ok(from))]);
}
