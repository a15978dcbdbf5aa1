//! What the tests of laws, scenarios and bits train: a dense and a sparse table, and one portable
//! training function whose pushes are sensitive to the order in which they are added.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

use archipelago::node::worker::Session;
use archipelago::rules::{Adam, Momentum};
use archipelago::time::Duration;
use archipelago::{
    Bsp, Combine, Eventual, Extension, Hyper, KeyList, PushOptions, Result, Schedule, Ssp, Table,
    TableChange, TablePolicy, TableSpec, Tick, Worker,
};

pub(crate) const ROWS: usize = 1500;
pub(crate) const WIDTH: usize = 2;

/// The two tables, in the order of their numbers.
pub(crate) fn tables(local: impl Into<Extension>) -> [(TableSpec, TablePolicy, Hyper); 2] {
    let combine = Combine::WeightedMean { round_weight: 4.5 };
    let dense = TableSpec::dense("dense", ROWS as u64).width(WIDTH as u32).block_elements(256);
    let dense = dense.combine(combine).rule(Momentum { beta: 0.9 });
    let sparse = TableSpec::sparse("sparse", 3).slots(16).combine(combine).rule(Adam::default());
    let policy = TablePolicy::local(local);
    let hyper = Hyper::rate(Schedule::inverse_sqrt(0.1));
    [(dense, policy.clone(), hyper), (sparse, policy, hyper)]
}

/// A number in [-1, 1) that depends on everything, and not on the machine.
fn noise(rank: u32, tick: u64, at: usize) -> f32 {
    let seed = (u64::from(rank) << 48) ^ (tick << 32) ^ at as u64;
    (archipelago::rng::unit(archipelago::rng::mix(seed)) * 2.0 - 1.0) as f32
}

/// The sparse keys that a worker touches in a tick, over the whole domain.
fn keys(rank: u32, tick: u64) -> KeyList {
    let of = |i: u64| archipelago::rng::mix((i * (u64::from(rank) + 1) + tick) % 97);
    KeyList::from_unsorted((0..60).map(of).chain([0, u64::MAX]).collect())
}

/// Creates both tables and a group of `workers`, or finds them, and trains in it.
pub(crate) async fn create_and_train(
    session: Session,
    local: Extension,
    workers: u32,
    last: u64,
    cost: Duration,
) -> Result<u64> {
    let [dense, sparse] = tables(local);
    let dense = session.ensure_table(dense.0, dense.1, dense.2).await?;
    let sparse = session.ensure_table(sparse.0, sparse.1, sparse.2).await?;
    let group = session.ensure_group("train", workers).await?;
    train(&session.join(group).await?, (&dense, &sparse), last, cost).await
}

/// Lets both tables change their policies and numbers at some ticks, and drops a third one.
pub(crate) async fn change_and_drop(session: &Session, local: Extension, seed: u64) -> Result<()> {
    let other = TableSpec::dense("other", 9);
    let [dense, sparse] = tables(local);
    let (policy, hyper) = (dense.1.clone(), dense.2);
    for (spec, policy, hyper) in [dense, sparse] {
        let name = spec.name.clone();
        session.ensure_table(spec, policy, hyper).await?;
        for (at, tick) in [2, 3, 5, 6].into_iter().enumerate() {
            let policies: [Extension; 3] =
                [Bsp.into(), Eventual.into(), Ssp { staleness: at as u64 }.into()];
            let next = policies.into_iter().nth((seed as usize / 3 + at) % 3).unwrap_or(Bsp.into());
            let change = TableChange::default().policy(TablePolicy::local(next));
            let rate = Schedule::Constant(0.05 / tick as f64);
            session.change_table(&name, change.hyper(Hyper::rate(rate)).from(Tick(tick))).await?;
        }
    }
    session.ensure_table(other, policy, hyper).await?;
    session.drop_table("other").await
}

/// Trains up to tick `last`, then finishes. Every tick takes `cost` of virtual time.
pub(crate) async fn train<W: Worker>(
    me: &W,
    (dense, sparse): (&Table, &Table),
    last: u64,
    cost: Duration,
) -> Result<u64> {
    let rank = me.origin().rank.0;
    while me.current_tick().0 <= last {
        let tick = me.current_tick().0;
        let options = PushOptions { weight: Some(f64::from(rank) + 0.5), after: &[] };
        // A strided part, so that blocks are touched in pieces and by some workers only.
        let rows =
            (0..ROWS as u64).filter(|row| !(row * 7 + tick).is_multiple_of(u64::from(rank) + 2));
        let rows = KeyList::new(rows.collect())?;
        let mut x = vec![0.0_f32; rows.len() * WIDTH];
        me.pull(dense, &rows, &mut x).await?;
        let g: Vec<f32> =
            x.iter().enumerate().map(|(i, x)| x * 0.3 + noise(rank, tick, i) / 3.0).collect();
        let keys = keys(rank, tick);
        let mut y = vec![0.0_f32; keys.len() * 3];
        me.pull(sparse, &keys, &mut y).await?;
        let h: Vec<f32> =
            y.iter().enumerate().map(|(i, y)| y * 0.1 - noise(rank, tick, i + ROWS)).collect();
        me.compute(cost).await;
        me.push_with(dense, &rows, &g, options).await?;
        me.push_with(sparse, &keys, &h, options).await?;
        // A second contribution to the same rows: subtotals are in sequence order.
        me.push_with(dense, 100..400, &vec![0.01_f32; 300 * WIDTH], options).await?;
        me.tick().await?;
    }
    me.finish().await?;
    Ok(last)
}
