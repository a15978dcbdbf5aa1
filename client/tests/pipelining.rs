//! What travels while a worker does something else, seen over a long road.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
#[path = "../../tests/relay/mod.rs"]
mod relay;

use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use archipelago::os::Clock;
use archipelago_client::{
    AckLevel, Bsp, Client, Eventual, Hyper, Park, RemoteWorker, Table, TablePolicy, TableSpec,
    TensorMap, TensorSpec, ThreadPark, Worker, prefetch,
};
use cluster::Cluster;
use relay::{Relay, Road};

/// Of one way: longer than a busy machine takes between two steps of a test.
const DELAY: Duration = Duration::from_millis(200);

/// A worker that is alone in its group, far from its server.
struct Far {
    me: RemoteWorker,
    table: Table,
    // Ended in this order: the road after who uses it.
    _relay: Relay,
    _cluster: Cluster,
}

impl Far {
    fn new(policy: TablePolicy) -> Self {
        let cluster = Cluster::start(1);
        let road = Road { delay: DELAY, ..Road::FREE };
        let relay = Relay::start(cluster.addresses()[0], road, road, 1);
        let client = Client::connect_blocking(cluster.config(&[relay.address()])).unwrap();
        let tensors = (0..8).map(|i| TensorSpec::new(format!("layer{i}"), [20]));
        let spec = TableSpec::tensors("model", tensors);
        let table = client.ensure_table_blocking(spec, policy, Hyper::default()).unwrap();
        let group = client.ensure_group_blocking("train", 1).unwrap();
        let me = ThreadPark.block_on(client.join(group)).unwrap();
        Self { me, table, _relay: relay, _cluster: cluster }
    }
}

fn once<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// The worker computes: three round trips long, in which nothing is polled.
fn compute() {
    let clock = Clock::start();
    let end = clock.now().after(6 * DELAY);
    while clock.now() < end {
        std::thread::park_timeout(end.since(clock.now()));
    }
}

#[test]
fn a_prefetch_is_answered_while_nobody_awaits_it_and_a_pull_is_not() {
    let far = Far::new(TablePolicy::local(Bsp));
    let model = TensorMap::of(&far.table).unwrap();
    let (mut x, mut y) = (vec![9.0_f32; 20], vec![9.0_f32; 20]);
    let plain = model.pull(&far.me, [("layer1", y.as_mut_slice())]);
    let read = prefetch(&far.me, model.pull(&far.me, [("layer0", x.as_mut_slice())]));
    compute();
    let (mut plain, mut read) = (pin!(plain), pin!(read));
    assert!(once(read.as_mut()).is_ready(), "its values have travelled meanwhile");
    assert!(once(plain.as_mut()).is_pending(), "this one has only begun to ask");
}

#[test]
fn tensors_are_read_in_one_round_trip() {
    let far = Far::new(TablePolicy::local(Bsp));
    let model = TensorMap::of(&far.table).unwrap();
    let mut values = vec![vec![9.0_f32; 20]; 8];
    let names: Vec<_> = (0..8).map(|i| format!("layer{i}")).collect();
    let slices = names.iter().map(String::as_str).zip(values.iter_mut().map(Vec::as_mut_slice));
    let mut read = pin!(prefetch(&far.me, model.pull(&far.me, slices)));
    compute();
    assert!(once(read.as_mut()).is_ready(), "all eight were asked for before the first answer");
}

#[test]
fn pushes_travel_while_the_next_gradient_is_computed() {
    let far = Far::new(TablePolicy::local(Eventual));
    let (me, model) = (&far.me, TensorMap::of(&far.table).unwrap());
    let slopes = vec![1.0_f32; 20];
    let stamps = ThreadPark.block_on(async {
        let mut stamps = Vec::new();
        for layer in ["layer7", "layer6", "layer5"] {
            stamps.push(model.push(me, [(layer, slopes.as_slice())]).await.unwrap());
        }
        stamps
    });
    let last = stamps[2];
    let mut held = pin!(me.wait(last, AckLevel::Admitted));
    assert!(once(held.as_mut()).is_pending(), "no push waited for the answer to the one before");
    compute();
    assert!(once(held.as_mut()).is_ready(), "all three were carried while nobody waited");
}
