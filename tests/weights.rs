//! A push and its weight belong to one tick, also when the worker ticks while the push waits.

#![expect(clippy::panic, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use archipelago::id::{GroupId, Incarnation, Origin, Sequence, ServerId, TableId, Tick};
use archipelago::node::worker::{Notify, Session, WorkerNode, WorkerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::sync::{Arc, Mutex};
use archipelago::time::Instant;
use archipelago::wire::{Answer, JoinGrant, Message};
use archipelago::{
    Bsp, Combine, Hyper, KeyList, PushOptions, Store, TablePolicy, TableSpec, Worker, limits,
};

const FIVE: PushOptions<'static> = PushOptions { weight: Some(5.0), after: &[] };

fn specs() -> [TableSpec; 2] {
    let mean = Combine::WeightedMean { round_weight: 1.0 };
    [TableSpec::dense("w", 1), TableSpec::dense("v", 1).combine(mean)]
}

fn poll<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
    std::pin::Pin::new(future).poll(&mut Context::from_waker(Waker::noop()))
}

fn now<F: Future>(future: F) -> F::Output {
    match poll(&mut pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it should not have to wait"),
    }
}

#[test]
fn of_a_push_that_waits_for_its_window() {
    let store = Store::in_memory();
    let policy = TablePolicy::local(Bsp);
    let [w, v] =
        specs().map(|spec| store.ensure_table(spec, policy.clone(), Hyper::default()).unwrap());
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join().unwrap(), group.join().unwrap());
    now(a.tick()).unwrap();
    let mut x = [0.0_f32];
    {
        let mut pull = pin!(a.pull(&w, .., &mut x));
        assert!(poll(&mut pull).is_pending());
        for _ in 1..limits::INFLIGHT_MAX {
            now(a.push(&w, .., &[1.0_f32])).unwrap();
        }
        let mut push = pin!(a.push_with(&v, .., &[10.0_f32], FIVE));
        assert!(poll(&mut push).is_pending(), "the window is full");
        now(b.tick()).unwrap();
        assert!(poll(&mut pull).is_ready());
        assert_eq!(now(a.tick()).unwrap(), Tick(3));
        let Poll::Ready(Ok(stamp)) = poll(&mut push) else { panic!("the window has room") };
        assert_eq!(stamp.tick, Tick(3));
    }
    now(b.tick()).unwrap();
    now(b.push(&v, .., &[2.0_f32])).unwrap();
    now(b.tick()).unwrap();
    now(a.tick()).unwrap();
    now(b.pull(&v, .., &mut x)).unwrap();
    assert_eq!(x, [(10.0 + 2.0) / (5.0 + 1.0)]);
}

#[test]
fn of_a_push_without_rows() {
    let store = Store::in_memory();
    let policy = TablePolicy::local(Bsp);
    let [_, spec] = specs();
    let v = store.ensure_table(spec, policy, Hyper::default()).unwrap();
    let group = store.group("g", 2).unwrap();
    let (a, b) = (group.join().unwrap(), group.join().unwrap());
    let none = KeyList::default();
    let stamp = now(a.push_with(&v, &none, &[0.0_f32; 0], FIVE)).unwrap();
    assert!(stamp.first > stamp.last, "no request carries it");
    let other = now(a.push(&v, .., &[1.0_f32])).unwrap_err();
    assert!(other.to_string().contains("differs"), "{other}");
    now(b.push(&v, .., &[12.0_f32])).unwrap();
    for member in [&a, &b] {
        now(member.tick()).unwrap();
    }
    let mut x = [0.0_f32];
    now(a.pull(&v, .., &mut x)).unwrap();
    assert_eq!(x, [12.0 / (5.0 + 1.0)], "a weight that is said counts");
}

#[derive(Debug)]
struct Nobody;

impl Notify for Nobody {
    fn outputs_wait(&self) {}
}

/// The ticks that a node sends: of each, the tables named with their weights.
fn ticks_sent(node: &Mutex<WorkerNode>) -> Vec<Vec<(TableId, Option<f64>, usize)>> {
    let mut sent = Vec::new();
    loop {
        let output = node.lock().poll();
        match output {
            Output::Idle => return sent,
            Output::Send { message: Message::Ticked { tables, .. }, .. } => {
                sent.push(tables.iter().map(|t| (t.table, t.weight, t.touched.len())).collect());
            },
            Output::Send { .. } | Output::Event(_) | Output::WakeAt(_) | Output::Working => {},
        }
    }
}

#[test]
fn of_a_push_that_waits_for_its_window_elsewhere() {
    let server = ServerId(0);
    let tables = specs().map(|spec| (spec, TablePolicy::local(Bsp), Hyper::default()));
    let plan = Plan::new(&[server], tables.into(), &[1], &Registry::built_in()).unwrap();
    let [w, v] = [0, 1].map(|id| plan.table(TableId(id)).unwrap().table.clone());
    let options = WorkerOptions::default();
    let node = WorkerNode::new(plan, 7, Instant::EPOCH, options);
    let node = Arc::new(Mutex::new(node));
    let hear = |input| node.lock().handle(Instant::EPOCH, input);
    let tell = |message| hear(Input::Message { from: Peer::Server(server), message });
    hear(Input::PeerUp(Peer::Server(server)));
    let session = Session::new(Arc::clone(&node), Arc::new(Nobody));
    let mut joining = pin!(session.join(GroupId(0)));
    assert!(poll(&mut joining).is_pending(), "nobody has answered");
    let origin = Origin { incarnation: Incarnation(1), ..Origin::default() };
    tell(Message::Joined { token: 7, result: Ok(JoinGrant { origin, size: 1, start: Tick(1) }) });
    for table in [w.id(), v.id()] {
        tell(Message::Attached { table, result: Ok(()) });
    }
    let Poll::Ready(Ok(me)) = poll(&mut joining) else { panic!("the join is answered") };
    for _ in 0..limits::INFLIGHT_MAX {
        now(me.push(&w, .., &[1.0_f32])).unwrap();
    }
    let mut push = pin!(me.push_with(&v, .., &[10.0_f32], FIVE));
    assert!(poll(&mut push).is_pending(), "the window is full");
    now(me.tick()).unwrap();
    assert_eq!(ticks_sent(&node), [vec![(w.id(), Some(1.0), 1)]]);
    let (table, sequence, answer) = (w.id(), Sequence(1), Answer::Admitted);
    tell(Message::PushAnswer { table, sequence, answer });
    let Poll::Ready(Ok(stamp)) = poll(&mut push) else { panic!("the window has room") };
    assert_eq!(stamp.tick, Tick(2));
    now(me.tick()).unwrap();
    assert_eq!(ticks_sent(&node), [vec![(v.id(), Some(5.0), 1)]]);
}
