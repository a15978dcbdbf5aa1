//! Named tensors and reads started ahead: one training function over threads and over simulated
//! servers, with the meaning and the bits of plain pushes and pulls.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use archipelago::embed::{EmbedWorker, ThreadPark};
use archipelago::error::{AccessError, Error, SpecError, TensorError};
use archipelago::node::worker::{Park, Session, TensorMap, prefetch};
use archipelago::rules::Momentum;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::spec::TensorSpec;
use archipelago::time::Duration;
use archipelago::{
    Bsp, Hyper, Init, PushOptions, Result, Schedule, Store, Table, TablePolicy, TableSpec, Tick,
    Worker,
};

const WORKERS: u32 = 2;
const TICKS: u64 = 5;
/// Of blocks of 64 elements: one that fills several, one that shares a block, a scalar.
const SHAPES: [(&str, &[usize]); 4] =
    [("head.bias", &[10]), ("head.weight", &[10, 37]), ("scale", &[]), ("body", &[5, 2, 20])];

/// The model; its tensors are named from `first` on, in turn.
fn model(first: usize) -> TableSpec {
    let tensors = (0..SHAPES.len()).map(|i| {
        let (name, shape) = SHAPES[(first + i) % SHAPES.len()];
        let init = Init::Uniform { seed: 3, low: -1.0, high: 1.0 };
        TensorSpec::new(name, shape).init(init)
    });
    TableSpec::tensors("model", tensors).block_elements(64).rule(Momentum { beta: 0.9 })
}

fn hyper() -> Hyper {
    Hyper::rate(Schedule::Constant(0.1))
}

/// How a worker reads and contributes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    /// By the table's keys alone.
    Keys,
    /// By name, layer after layer.
    Names,
    /// By name, all at once, read ahead of time.
    Ahead,
}

fn gradient(rank: u32, tick: u64, values: &[f32]) -> Vec<f32> {
    let noise = |i: usize| (i as f32 + rank as f32 * 0.37 + tick as f32).sin();
    values.iter().enumerate().map(|(i, x)| x * 0.3 + noise(i)).collect()
}

async fn train<W: Worker>(me: &W, table: &Table, way: Way) -> Result<()> {
    let model = TensorMap::of(table)?;
    let rank = me.origin().rank.0;
    let options = PushOptions { weight: Some(2.0), after: &[] };
    let mut values: Vec<_> = SHAPES
        .iter()
        .map(|(name, _)| vec![0.0_f32; model.tensor(name).unwrap().shape.elements() as usize])
        .collect();
    while me.current_tick().0 <= TICKS {
        let tick = me.current_tick().0;
        let named = || SHAPES.iter().map(|(name, shape)| (*name, *shape));
        let slices = values.iter_mut().map(Vec::as_mut_slice);
        let parts = named().zip(slices).map(|((name, shape), part)| (name, shape, part));
        match way {
            Way::Keys => {
                for (name, _, part) in parts {
                    me.pull(table, model.tensor(name)?.keys().unwrap(), part).await?;
                }
            },
            Way::Names => {
                let seen = model.pull(me, parts).await?;
                assert_eq!((seen.oldest, seen.newest), (Tick(tick - 1), Tick(tick - 1)));
            },
            Way::Ahead => {
                let read = prefetch(me, model.pull(me, parts));
                me.compute(Duration::from_millis(3)).await;
                read.await?;
            },
        }
        let slopes: Vec<_> = values.iter().map(|part| gradient(rank, tick, part)).collect();
        let parts = named().zip(&slopes).map(|((name, _), part)| (name, part.as_slice()));
        match way {
            Way::Keys => {
                for (name, part) in parts {
                    let keys = model.tensor(name)?.keys().unwrap();
                    me.push_with(table, keys, part, options).await?;
                }
            },
            Way::Names => {
                for part in parts {
                    model.push_with(me, [part], options).await?;
                }
            },
            Way::Ahead => drop(model.push_with(me, parts, options).await?),
        }
        me.tick().await?;
    }
    me.finish().await
}

/// The model's digest after training in this process.
fn embedded(way: Way) -> u128 {
    let store = Store::in_memory();
    let table = store.ensure_table(model(0), TablePolicy::local(Bsp), hyper()).unwrap();
    let group = store.group("train", WORKERS).unwrap();
    let members: Vec<_> = (0..WORKERS).map(|_| group.join_blocking().unwrap()).collect();
    std::thread::scope(|scope| {
        for me in &members {
            let table = &table;
            scope.spawn(move || me.run(async |me| train(me, table, way).await).unwrap());
        }
    });
    store.digest(&table).unwrap()
}

/// The same over simulated servers; every worker names the tensors in another order.
fn simulated(way: Way, servers: u32, seed: u64) -> u128 {
    let links = LinkProfile::hostile();
    let mut cluster = Cluster::builder(seed).servers(servers).links(links).build().unwrap();
    for number in 0..WORKERS {
        let work = async move |session: Session| {
            let spec = model(number as usize);
            let table = session.ensure_table(spec, TablePolicy::local(Bsp), hyper()).await?;
            let group = session.ensure_group("train", WORKERS).await?;
            train(&session.join(group).await?, &table, way).await
        };
        cluster.spawn_session(Duration::ZERO, work);
    }
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{way:?}, {servers} servers: {}", outcome.report());
    outcome.tables[0].digest
}

#[test]
fn names_order_and_reads_ahead_change_no_bit() {
    let plain = embedded(Way::Keys);
    for way in [Way::Keys, Way::Names, Way::Ahead] {
        assert_eq!(embedded(way), plain, "{way:?}");
        for servers in 1..=3 {
            assert_eq!(simulated(way, servers, 7), plain, "{way:?}, {servers} servers");
        }
    }
}

fn alone(store: &Store, spec: TableSpec) -> (EmbedWorker, Table) {
    let table = store.ensure_table(spec, TablePolicy::local(Bsp), hyper()).unwrap();
    (store.group("train", 1).unwrap().join().unwrap(), table)
}

#[test]
fn a_worker_with_another_model_is_told_the_tensor() {
    let store = Store::in_memory();
    store.ensure_table(model(0), TablePolicy::local(Bsp), hyper()).unwrap();
    let mut other = SHAPES.map(|(name, shape)| TensorSpec::new(name, shape));
    other[1] = TensorSpec::new("head.weight", [37, 10]);
    let init = Init::Uniform { seed: 3, low: -1.0, high: 1.0 };
    let other = TableSpec::tensors("model", other.map(|tensor| tensor.init(init)));
    let other = other.block_elements(64).rule(Momentum { beta: 0.9 });
    let error = store.ensure_table(other, TablePolicy::local(Bsp), hyper()).unwrap_err();
    let Error::Spec(SpecError::Mismatch { field, expected, found, .. }) = error else {
        panic!("expected a mismatch, found {error}");
    };
    assert_eq!(field, "tensor \"head.weight\"");
    assert!(
        expected.starts_with("[10, 37]") && found.starts_with("[37, 10]"),
        "{expected} {found}"
    );
}

#[test]
fn what_does_not_fit_is_named_and_nothing_is_sent() {
    let store = Store::in_memory();
    let (me, table) = alone(&store, model(0));
    let map = TensorMap::of(&table).unwrap();
    ThreadPark.block_on(async {
        let (good, bad) = (("scale", &[1.0_f32][..]), ("head.bias", &[1.0_f32; 11][..]));
        let error = map.push(&me, [good, bad]).await.unwrap_err();
        let Error::Tensor(TensorError::Length { tensor, shape, found: 11, .. }) = error else {
            panic!("expected a length, found {error}");
        };
        assert_eq!((tensor.as_str(), shape), ("head.bias", vec![10]));
        let turned = ("head.weight", [37, 10], &[0.0_f32; 370][..]);
        let error = map.push(&me, [turned]).await.unwrap_err();
        assert!(error.to_string().contains("expected shape [10, 37], found [37, 10]"), "{error}");
        let error = map.pull(&me, [("tail", &mut [0.0_f32][..])]).await.unwrap_err();
        assert!(error.to_string().contains("\"body\", \"head.bias\""), "{error}");
        let error = map.pull(&me, [("scale", &mut [0.0_f64][..])]).await.unwrap_err();
        assert!(matches!(error, Error::Access(AccessError::DType { .. })), "{error}");
        let none: [(&str, &[f32]); 0] = [];
        map.push(&me, none).await.unwrap();
    });
    assert_eq!(store.stats().tables[0].shards.pushes, 0);
    let (_, plain) = alone(&Store::in_memory(), TableSpec::dense("plain", 3));
    assert!(matches!(TensorMap::of(&plain), Err(TensorError::Unnamed { .. })));
}

#[test]
fn a_key_leads_back_to_its_element() {
    let (_, table) = alone(&Store::in_memory(), model(0));
    let map = TensorMap::of(&table).unwrap();
    for tensor in map.tensors() {
        let keys = tensor.keys().unwrap();
        for (key, element) in [(keys.first(), 0), (keys.last(), tensor.shape.elements() - 1)] {
            let (found, at) = map.locate(key.0).unwrap();
            assert_eq!((found.name.as_str(), at), (tensor.name.as_str(), element));
        }
    }
    // "head.weight" begins a block of its own behind "head.bias".
    let gap = map.tensor("head.bias").unwrap().keys().unwrap().last().0 + 1;
    assert!(map.locate(gap).is_none() && map.locate(u64::MAX).is_none());
}

#[test]
fn a_read_ahead_belongs_to_the_tick_it_was_started_at() {
    let store = Store::in_memory();
    let (me, table) = alone(&store, TableSpec::dense("w", 4));
    ThreadPark.block_on(async {
        let mut x = [9.0_f32; 4];
        let read = prefetch(&me, me.pull(&table, .., &mut x));
        me.push(&table, .., &[1.0_f32; 4]).await.unwrap();
        me.tick().await.unwrap();
        let error = read.await.unwrap_err();
        let (begun, found) = (Tick(1), Tick(2));
        assert_eq!(error, AccessError::Prefetched { begun, found }.into());
        prefetch(&me, me.pull(&table, .., &mut x)).await.unwrap();
        assert_eq!(x, [1.0; 4]);
    });
}

#[test]
fn a_read_starts_before_it_is_awaited() {
    let store = Store::in_memory();
    let (me, table) = alone(&store, TableSpec::dense("w", 4));
    let (mut x, mut y) = ([9.0_f32; 4], [9.0_f32; 4]);
    let (read, plain) = (prefetch(&me, me.pull(&table, .., &mut x)), me.pull(&table, .., &mut y));
    drop((read, plain));
    assert_eq!((x, y), ([0.0; 4], [9.0; 4]), "one was read without being awaited");
    let mut read = pin!(prefetch(&me, me.pull(&table, .., &mut x)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(read.as_mut().poll(&mut context), Poll::Ready(Ok(_))));
}
