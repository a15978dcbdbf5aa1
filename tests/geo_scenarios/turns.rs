//! Tables of one system share its links: none waits for another one's updates to end, and none
//! takes a link for idle that another one fills.

use archipelago::consistency::Goal;
use archipelago::history::Event;
use archipelago::id::{DataCentre, GroupId, ServerId, TableId};
use archipelago::node::Peer;
use archipelago::rules::Add;
use archipelago::sim::{Cluster, LinkProfile};
use archipelago::time::Duration;
use archipelago::{Asp, Bsp, Eventual, Extension, Hyper, TablePolicy, TableSpec, Worker};

const SECOND: Duration = Duration::from_secs(1);
const LARGE: usize = 1 << 16;
const TICKS: u64 = 40;

/// Two data centres over 100 kB/s train two tables, a large and a small one, of which the first
/// gains 256 kB in each tick of a second. What the second holds elsewhere after each second, and
/// the thresholds of its passes.
fn beside_a_large_table(small: &Extension) -> (Vec<f32>, Vec<f64>) {
    let table = |name: &str, elements: usize, global: &Extension| {
        let spec = TableSpec::dense(name, elements as u64).block_elements(4096).rule(Add);
        (spec, TablePolicy::local(Bsp).global(global.clone()))
    };
    let mut builder = Cluster::builder(1).group(1).record_history(true).deadline(900 * SECOND);
    for (spec, policy) in [table("large", LARGE, &Eventual.into()), table("small", 64, small)] {
        builder = builder.table(spec, policy, Hyper::default());
    }
    builder = builder.data_centre("a", 1).data_centre("b", 1);
    let thin = LinkProfile::normal().latency(Duration::from_millis(20)).bytes_per_second(100_000);
    for (from, to) in [(0, 1), (1, 0)] {
        let [from, to] = [from, to].map(|it| Peer::Server(ServerId(it)));
        builder = builder.link(from, to, thin);
    }
    let (mut held, mut cluster) = (Vec::new(), builder.build().unwrap());
    let [large, small] = [0, 1].map(|it| cluster.table(it).unwrap());
    for data_centre in [0, 1] {
        let (large, small) = (large.clone(), small.clone());
        cluster.spawn_in(DataCentre(data_centre), GroupId(0), Duration::ZERO, async move |me| {
            for tick in 0..TICKS {
                let gain = 1.1 + data_centre as f32;
                me.push(&large, .., &[gain; LARGE]).await?;
                me.push(&small, .., &[if tick == 0 { 1.0_f32 } else { 0.001 }; 64]).await?;
                me.tick().await?;
                me.compute(SECOND).await;
            }
            me.finish().await
        });
    }
    cluster.sample(SECOND, |mut sample| {
        held.push(sample.values::<f32>(&[ServerId(1)], TableId(1))[0]);
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    let threshold = |event: &Event| match event {
        Event::PassEnded { table: TableId(1), threshold, .. } => Some(f64::from_bits(*threshold)),
        _ => None,
    };
    (held, outcome.history.records().iter().filter_map(|it| threshold(&it.event)).collect())
}

#[test]
fn a_table_whose_updates_never_end_leaves_room_for_others() {
    let (held, _) = beside_a_large_table(&Eventual.into());
    // 1 and a little of its own, as much of the other one.
    assert!(held[5] > 2.0, "{held:?}");
}

#[test]
fn a_link_that_another_table_fills_is_not_idle() {
    let (_, thresholds) = beside_a_large_table(&Asp::auto(Goal::Speed).into());
    // All of it where the link is full, 2 % of it where it is idle: half a round trip of a tick.
    assert!(thresholds.iter().any(|it| *it > 0.005), "{thresholds:?}");
}
