//! Several data centres in the simulator: scenarios that read like stage directions, and the laws
//! that hold between copies (SPEC laws 4, 6, 7, 8 and 9).

use archipelago::consistency::Threshold;
use archipelago::id::{DataCentre, GroupId};
use archipelago::rules::{Add, Momentum, Sgd};
use archipelago::sim::{Cluster, LinkProfile, Outcome};
use archipelago::time::Duration;
use archipelago::{
    Asp, Bsp, Eventual, Extension, Hyper, Schedule, Ssp, TablePolicy, TableSpec, Worker,
};

/// A system of data centres that push the same made-up contributions, whatever the policy.
#[derive(Clone)]
struct Play {
    data_centres: u32,
    servers: u32,
    workers: u32,
    ticks: u64,
    spec: TableSpec,
    local: Extension,
    global: Extension,
    latency: Duration,
    bytes_per_second: u64,
}

impl Play {
    fn new(global: impl Into<Extension>) -> Self {
        Self {
            data_centres: 3,
            servers: 2,
            workers: 2,
            ticks: 10,
            spec: TableSpec::dense("w", 300).block_elements(64).slots(5).rule(Sgd),
            local: Bsp.into(),
            global: global.into(),
            latency: Duration::from_millis(40),
            bytes_per_second: 5_000_000,
        }
    }

    fn run(&self, seed: u64) -> Outcome<Vec<f32>> {
        let policy = TablePolicy::local(self.local.clone()).global(self.global.clone());
        let hyper = Hyper::rate(Schedule::Constant(0.125));
        let links = LinkProfile::normal()
            .latency(self.latency)
            .jitter_max(Duration::from_millis(5))
            .bytes_per_second(self.bytes_per_second);
        let mut builder = Cluster::builder(seed)
            .table(self.spec.clone(), policy, hyper)
            .group(self.workers)
            .links(links);
        for data_centre in 0..self.data_centres {
            builder = builder.data_centre(format!("dc{data_centre}"), self.servers);
        }
        let mut cluster = builder.build().unwrap();
        let w = cluster.table(0).unwrap();
        for data_centre in 0..self.data_centres {
            for _ in 0..self.workers {
                let (w, ticks) = (w.clone(), self.ticks);
                let train = async move |me| train(me, w, data_centre, ticks).await;
                cluster.spawn_in(DataCentre(data_centre), GroupId(0), Duration::ZERO, train);
            }
        }
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{}", outcome.report());
        outcome
    }
}

/// Pulls, and pushes what depends on nothing but who and when, so that sums can be foretold.
async fn train<W: Worker>(
    me: W,
    w: archipelago::Table,
    data_centre: u32,
    ticks: u64,
) -> archipelago::Result<Vec<f32>> {
    let elements = (w.spec().domain.count() as usize) * w.spec().width as usize;
    let mut x = vec![0.0_f32; elements];
    for tick in 1..=ticks {
        me.pull(&w, .., &mut x).await?;
        let who = (data_centre * 7 + me.origin().rank.0 + 1) as f32;
        let g: Vec<_> =
            (0..elements).map(|i| who * ((i % 13) as f32 + tick as f32) / 64.0).collect();
        me.push(&w, .., &g).await?;
        me.tick().await?;
    }
    me.finish().await?;
    Ok(x)
}

fn copies<R>(outcome: &Outcome<R>) -> Vec<u128> {
    outcome.tables.iter().map(|table| table.values).collect()
}

#[test]
fn at_the_end_all_copies_are_equal_under_every_policy() {
    let policies: [Extension; 6] = [
        Bsp.into(),
        Ssp { staleness: 0 }.into(),
        Ssp { staleness: 2 }.into(),
        Eventual.into(),
        Asp::new(0.05).into(),
        Asp { staleness: 0, ..Asp::new(0.2) }.into(),
    ];
    for global in policies {
        let outcome = Play::new(global.clone()).run(1);
        let copies = copies(&outcome);
        assert_eq!(copies.len(), 3);
        assert!(copies.iter().all(|copy| *copy == copies[0]), "{global}: {copies:x?}");
    }
    let _ = (Add, Momentum { beta: 0.5 }, Threshold::new(0.0));
}
