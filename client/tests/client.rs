//! Programs that link the client: connecting, joining several times, deadlines and refusals,
//! against servers over QUIC.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;

use std::time::Duration;

use archipelago::Store;
use archipelago::error::{GroupError, SpecError, TransportError, WaitError, WaitFor};
use archipelago::id::Rank;
use archipelago::os::Clock;
use archipelago_client::{
    AckLevel, Bsp, Client, ClientConfig, Error, Hyper, Init, Park, Pem, Result, Schedule, Servers,
    Table, TablePolicy, TableSpec, TensorMap, TensorSpec, ThreadPark, Worker, rules::Sgd,
};
use cluster::Cluster;

fn model(tensors: impl IntoIterator<Item = TensorSpec>) -> (TableSpec, TablePolicy, Hyper) {
    let spec = TableSpec::tensors("model", tensors).block_elements(64).rule(Sgd);
    (spec, TablePolicy::local(Bsp), Hyper::rate(Schedule::Constant(0.1)))
}

/// Of blocks of 64 elements, so that every server holds a part.
fn layers() -> [TensorSpec; 2] {
    let noise = Init::Uniform { seed: 2, low: -1.0, high: 1.0 };
    [TensorSpec::new("weight", [20, 33]).init(noise), TensorSpec::new("bias", [20])]
}

/// One worker's part, for every driver; what it has read last.
async fn train<W: Worker>(me: &W, table: &Table) -> Result<Vec<f32>> {
    let model = TensorMap::of(table)?;
    let (mut weight, mut bias) = (vec![0.0_f32; 660], vec![0.0_f32; 20]);
    let target = me.origin().rank.0 as f32 + 1.0;
    for _ in 0..5 {
        let values = [("weight", weight.as_mut_slice()), ("bias", bias.as_mut_slice())];
        model.pull(me, values).await?;
        // Modelled time passes in the simulator alone.
        me.compute(Duration::from_secs(3600)).await;
        let slopes = |values: &[f32]| values.iter().map(|x| x - target).collect::<Vec<_>>();
        model.push(me, [("bias", slopes(&bias).as_slice())]).await?;
        model.push(me, [("weight", slopes(&weight).as_slice())]).await?;
        me.tick().await?;
    }
    let values = [("weight", weight.as_mut_slice()), ("bias", bias.as_mut_slice())];
    model.pull(me, values).await?;
    me.finish().await?;
    weight.extend(bias);
    Ok(weight)
}

/// What both workers have read last in one process.
fn embedded() -> Vec<f32> {
    let store = Store::in_memory();
    let (spec, policy, hyper) = model(layers());
    let table = store.ensure_table(spec, policy, hyper).unwrap();
    let group = store.group("train", 2).unwrap();
    let members = [group.join_blocking().unwrap(), group.join_blocking().unwrap()];
    let read = std::thread::scope(|scope| {
        let trained = members.map(|me| {
            let table = &table;
            scope.spawn(move || me.run(async |me| train(me, table).await).unwrap())
        });
        trained.map(|thread| thread.join().unwrap())
    });
    assert_eq!(read[0], read[1]);
    read[0].clone()
}

#[test]
fn several_workers_of_one_client_train_as_in_one_process() {
    let cluster = Cluster::start(2);
    let client = cluster.client();
    let (spec, policy, hyper) = model(layers());
    let table = client.ensure_table_blocking(spec, policy, hyper).unwrap();
    let group = client.ensure_group_blocking("train", 2).unwrap();
    let members = [client.join_blocking(group).unwrap(), client.join_blocking(group).unwrap()];
    // The connections are the workers' now: these are others.
    let listed = client.tables_blocking().unwrap();
    assert_eq!(listed[0].spec(), table.spec());
    let full = client.join_blocking(group).unwrap_err();
    assert!(matches!(full, Error::Group(GroupError::Full { .. })), "{full}");
    let expected = embedded();
    std::thread::scope(|scope| {
        for me in members {
            let (table, expected) = (&table, &expected);
            scope.spawn(move || {
                assert_eq!(&me.run(async |me| train(me, table).await).unwrap(), expected);
            });
        }
    });
}

#[test]
fn a_client_works_inside_a_runtime_and_from_files() {
    let cluster = Cluster::start(1);
    let folder = tempfile::tempdir().unwrap();
    let names = ["ca.pem", "worker.pem", "worker.key"].map(|name| folder.path().join(name));
    for (name, text) in names.iter().zip(cluster.texts()) {
        std::fs::write(name, text).unwrap();
    }
    let [authority, certificate, key] = names;
    let credentials = Pem::files(authority, &certificate, key);
    let servers: Servers = cluster.addresses()[0].to_string().parse().unwrap();
    let config = ClientConfig::new(servers, credentials);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let client = Client::connect(config.clone()).await.unwrap();
        let (spec, policy, hyper) = model(layers());
        let table = client.ensure_table(spec, policy, hyper).await.unwrap();
        let group = client.ensure_group("train", 1).await.unwrap();
        let me = client.join(group).await.unwrap();
        // A worker outlives its client.
        drop(client);
        train(&me, &table).await.unwrap();
    });
    std::fs::remove_file(&certificate).unwrap();
    let error = Client::connect_blocking(config).unwrap_err();
    let Error::Transport(TransportError::Credentials { what, problem }) = error else {
        panic!("expected credentials, found {error}");
    };
    assert_eq!(what, "certificate");
    assert!(problem.contains("worker.pem"), "{problem}");
}

#[test]
fn a_program_with_another_model_is_refused_by_its_first_tensor_that_differs() {
    let cluster = Cluster::start(2);
    let (first, second) = (cluster.client(), cluster.client());
    let [weight, bias] = layers();
    let (spec, policy, hyper) = model([weight.clone(), bias.clone()]);
    let table = first.ensure_table_blocking(spec, policy, hyper).unwrap();
    // Named in another order it is the same one.
    let (spec, policy, hyper) = model([bias, weight.clone()]);
    assert_eq!(second.ensure_table_blocking(spec, policy, hyper).unwrap().id(), table.id());
    let (spec, policy, hyper) = model([weight, TensorSpec::new("bias", [19])]);
    let error = second.ensure_table_blocking(spec, policy, hyper).unwrap_err();
    let Error::Spec(SpecError::Mismatch { field, expected, found, .. }) = error else {
        panic!("expected a mismatch, found {error}");
    };
    assert_eq!(field, "tensor \"bias\"");
    assert!(expected.starts_with("[20]") && found.starts_with("[19]"), "{expected}, {found}");
    // Who knows nothing of the model learns it from the servers.
    let found = TensorMap::of(&second.tables_blocking().unwrap()[0]).unwrap();
    assert_eq!(found.tensors(), table.spec().tensors);
}

#[test]
fn a_call_that_meets_its_deadline_says_why_and_may_be_made_again() {
    let cluster = Cluster::start(2);
    let client = cluster.client();
    let (spec, policy, hyper) = model(layers());
    let table = client.ensure_table_blocking(spec, policy, hyper).unwrap();
    let group = client.ensure_group_blocking("train", 2).unwrap();
    let me = client.join_blocking(group).unwrap();
    let map = TensorMap::of(&table).unwrap();
    let mut bias = vec![9.0_f32; 20];
    let soon = Duration::from_millis(80);
    let mut read = |within| {
        let me = me.with_deadline(within);
        me.run(async |me| map.pull(me, [("bias", bias.as_mut_slice())]).await)
    };
    let waits_for = |error: Error| {
        let Error::Wait(WaitError::Deadline { reason, waited }) = error else {
            panic!("expected a deadline, found {error}");
        };
        assert!((soon..cluster::PATIENCE).contains(&waited), "{waited:?}");
        (reason.what, reason.who)
    };
    let forming = waits_for(read(soon).unwrap_err());
    assert_eq!(forming, (WaitFor::GroupForming, Some(Rank(1))));
    let other = client.join_blocking(group).unwrap();
    read(cluster::PATIENCE).unwrap();
    // The push of an iteration counts once, however often reads give up.
    me.push(&table, .., &vec![1.0_f32; table.spec().rows() as usize]).unwrap();
    me.tick().unwrap();
    assert_eq!(waits_for(read(soon).unwrap_err()), (WaitFor::MemberTick, Some(Rank(1))));
    other.tick().unwrap();
    read(cluster::PATIENCE).unwrap();
    assert!(bias.iter().all(|x| (x + 0.1).abs() < 1e-6), "{bias:?}");
    for me in [me, other] {
        me.finish().unwrap();
    }
}

/// The error of a deadline that came long before that of all waits.
fn met(error: &Error) {
    let early = |waited: &Duration| *waited < cluster::PATIENCE;
    let met = matches!(error, Error::Wait(WaitError::Deadline { waited, .. }) if early(waited));
    assert!(met, "{error}");
}

#[test]
fn a_deadline_holds_for_a_tick_and_a_wait_too() {
    let cluster = Cluster::start(1);
    let client = cluster.client();
    let (spec, policy, hyper) = model(layers());
    let table = client.ensure_table_blocking(spec, policy, hyper).unwrap();
    let group = client.ensure_group_blocking("train", 2).unwrap();
    let (me, other) = (client.join_blocking(group).unwrap(), client.join_blocking(group).unwrap());
    let stamp = me.push(&table, .., &vec![1.0_f32; table.spec().rows() as usize]).unwrap();
    me.tick().unwrap();
    let brief = me.with_deadline(Duration::from_millis(50));
    let error = brief.wait(stamp, AckLevel::Applied).unwrap_err();
    met(&error);
    drop(brief);
    // The read that gave up is still answered some day, and the next tick waits for it.
    let error = me.with_deadline(Duration::from_millis(50)).tick().unwrap_err();
    met(&error);
    other.tick().unwrap();
    me.wait(stamp, AckLevel::Applied).unwrap();
    assert_eq!(me.tick().unwrap().0, 3);
    for me in [me, other] {
        me.finish().unwrap();
    }
}

/// A node hears of the time by its inputs: none comes while its worker computes.
#[test]
fn deadlines_are_counted_from_the_call_also_after_a_silent_time() {
    let cluster = Cluster::start(1);
    let wait = Duration::from_millis(250);
    let config = cluster.config(&cluster.addresses()).wait_deadline(wait);
    let client = Client::connect_blocking(config).unwrap();
    let (spec, policy, hyper) = model(layers());
    let table = client.ensure_table_blocking(spec, policy, hyper).unwrap();
    let group = client.ensure_group_blocking("train", 2).unwrap();
    let me = client.join_blocking(group).unwrap();
    let mut values = vec![0.0_f32; table.spec().rows() as usize];
    let clock = Clock::start();
    for brief in [false, true] {
        let silent = clock.now().after(2 * wait);
        while clock.now() < silent {
            std::thread::park_timeout(silent.since(clock.now()));
        }
        let began = clock.now();
        let deadline = if brief { wait / 2 } else { wait };
        let read = match brief {
            true => me.with_deadline(deadline).pull(&table, .., &mut values),
            false => me.pull(&table, .., &mut values),
        };
        assert!(matches!(read, Err(Error::Wait(WaitError::Deadline { .. }))), "{read:?}");
        let lasted = clock.now().since(began);
        assert!(lasted >= deadline && lasted < cluster::PATIENCE, "{lasted:?}, {deadline:?}");
    }
}

#[test]
fn nobody_at_an_address_is_told_in_time() {
    let cluster = Cluster::start(1);
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let config = cluster.config(&[silent.local_addr().unwrap()]);
    let config = config.connect_deadline(Duration::from_millis(200));
    let error = ThreadPark.block_on(Client::connect(config)).unwrap_err();
    assert!(matches!(error, Error::Transport(TransportError::Unreachable { .. })), "{error}");
}
