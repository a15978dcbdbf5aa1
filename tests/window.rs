//! How much a worker has under way: bytes are bounded whatever the size of a call, in both
//! directions, and each answer makes room for as much again (SPEC law 12).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Wake, Waker};

use archipelago::id::{GroupId, Incarnation, Origin, Sequence, ServerId, TableId, Tick};
use archipelago::node::worker::{Notify, RemoteWorker, Session, WorkerNode, WorkerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::sync::{Arc, AtomicBool, Mutex, Ordering};
use archipelago::time::Instant;
use archipelago::wire::{Answer, JoinGrant, Message, Payload, PullResult, PullRows};
use archipelago::{Eventual, Hyper, Table, TablePolicy, TableSpec, Worker, limits};

/// Four times what may be under way.
const ELEMENTS: usize = 4 * limits::INFLIGHT_BYTES_MAX / size_of::<f32>();

#[derive(Debug)]
struct Nobody;

impl Notify for Nobody {
    fn outputs_wait(&self) {}
}

fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// A member whose server this test plays.
struct Member {
    node: Arc<Mutex<WorkerNode>>,
    table: Table,
}

impl Member {
    fn new() -> (Self, RemoteWorker) {
        let spec = TableSpec::dense("w", ELEMENTS as u64);
        let tables = vec![(spec, TablePolicy::local(Eventual), Hyper::default())];
        let plan = Plan::new(&[ServerId(0)], tables, &[1], &Registry::built_in()).unwrap();
        let table = plan.table(TableId(0)).unwrap().table.clone();
        let node = WorkerNode::new(plan, 7, Instant::EPOCH, WorkerOptions::default());
        let this = Self { node: Arc::new(Mutex::new(node)), table };
        this.node.lock().handle(Instant::EPOCH, Input::PeerUp(Peer::Server(ServerId(0))));
        let session = Session::new(Arc::clone(&this.node), Arc::new(Nobody));
        let mut joining = pin!(session.join(GroupId(0)));
        assert!(poll(joining.as_mut()).is_pending(), "nobody has answered");
        let origin = Origin { incarnation: Incarnation(1), ..Origin::default() };
        let grant = JoinGrant { origin, size: 1, start: Tick(1) };
        this.tell(Message::Joined { token: 7, result: Ok(grant) });
        this.tell(Message::Attached { table: TableId(0), result: Ok(()) });
        let Poll::Ready(Ok(me)) = poll(joining) else { unreachable!("the join is answered") };
        (this, me)
    }

    fn tell(&self, message: Message) {
        let input = Input::Message { from: Peer::Server(ServerId(0)), message };
        self.node.lock().handle(Instant::EPOCH, input);
    }

    /// The requests that were sent: their numbers, and the bytes that each carries or asks for.
    fn sent(&self) -> Vec<(Sequence, usize)> {
        let mut sent = Vec::new();
        loop {
            let output = self.node.lock().poll();
            match output {
                Output::Idle => return sent,
                Output::Send { message: Message::Push { header, values, .. }, .. } => {
                    sent.push((header.sequence, values.bytes.len()));
                },
                Output::Send { message: Message::Pull { header, rows, .. }, .. } => {
                    let PullRows::Block(rows) = rows else { unreachable!("a dense table") };
                    sent.push((header.sequence, rows.count() as usize * size_of::<f32>()));
                },
                Output::Send { .. } | Output::Event(_) | Output::WakeAt(_) | Output::Working => {},
            }
        }
    }

    /// Plays the server until `call` ends, one answer at a time.
    fn serve<F: Future>(&self, mut call: Pin<&mut F>, answer: impl Fn(Sequence, usize) -> Message) {
        let (mut open, mut most) = (Vec::new(), 0);
        while poll(call.as_mut()).is_pending() {
            open.extend(self.sent());
            let bytes: usize = open.iter().map(|(_, bytes)| bytes).sum();
            assert!(bytes <= limits::INFLIGHT_BYTES_MAX, "{bytes} bytes under way");
            most = most.max(bytes);
            let (sequence, bytes) = open.remove(0);
            self.tell(answer(sequence, bytes));
        }
        assert_eq!(most, limits::INFLIGHT_BYTES_MAX, "all of it is used");
    }
}

#[test]
fn a_large_push_waits_for_answers() {
    let (member, me) = Member::new();
    let values = vec![1.0_f32; ELEMENTS];
    let answer =
        |sequence, _| Message::PushAnswer { table: TableId(0), sequence, answer: Answer::Admitted };
    member.serve(pin!(me.push(&member.table, .., &values)), answer);
}

#[test]
fn a_large_pull_takes_answers_while_it_asks() {
    let (member, me) = Member::new();
    let mut values = vec![0.0_f32; ELEMENTS];
    member.serve(pin!(me.pull(&member.table, .., &mut values)), served);
    assert!(values.iter().all(|value| *value == 2.0));
}

/// The answer to a read of so many bytes.
fn served(sequence: Sequence, bytes: usize) -> Message {
    let values = Payload::from_slice(&vec![2.0_f32; bytes / size_of::<f32>()]);
    let (oldest, newest, keys, next) = (Tick(0), Tick(0), None, None);
    let result = Ok(PullResult { oldest, newest, keys, next, values });
    Message::PullAnswer { table: TableId(0), sequence, result }
}

/// Notes that its future was woken.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// No message comes any more that could wake the other read.
#[test]
fn room_that_one_read_leaves_is_told_to_another() {
    for given_up in [false, true] {
        let (member, me) = Member::new();
        let all = limits::INFLIGHT_BYTES_MAX / size_of::<f32>();
        let (mut values, mut more) = (vec![0.0_f32; all], [0.0_f32; 9]);
        let mut first = Box::pin(me.pull(&member.table, ..all as u64, &mut values));
        assert!(poll(first.as_mut()).is_pending());
        for (sequence, bytes) in member.sent() {
            member.tell(served(sequence, bytes));
        }
        let told = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&told));
        let mut second = pin!(me.pull(&member.table, ..9, &mut more));
        let polled = second.as_mut().poll(&mut Context::from_waker(&waker));
        assert!(polled.is_pending() && member.sent().is_empty(), "there is no room yet");
        assert!(!told.0.load(Ordering::Relaxed));
        if !given_up {
            assert!(poll(first.as_mut()).is_ready());
        }
        drop(first);
        assert!(told.0.load(Ordering::Relaxed), "given up: {given_up}");
        assert!(poll(second).is_pending() && member.sent().len() == 1, "now it asks");
    }
}
