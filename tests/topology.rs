//! Machines and sites of a simulated cluster: what connections share, what is counted, and looks at
//! a run that it does not notice.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "training/mod.rs"]
mod training;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use archipelago::error::{Error, TopologyError};
use archipelago::id::{GroupId, ServerId, TableId};
use archipelago::key::{Key, KeyRange};
use archipelago::node::Peer;
use archipelago::sim::{
    Builder, Cluster, Fault, LinkProfile, Outcome, Site, Topology, TopologyBuilder, Wan,
};
use archipelago::time::{Duration, Instant};
use archipelago::{Bsp, Eventual, Hyper, Init, KeyList, TablePolicy, TableSpec, Worker};

const SERVER: Peer = Peer::Server(ServerId(0));
/// Rows of a table of 1 MB.
const ROWS: usize = 250_000;
const FAST: Wan = Wan {
    bytes_per_second: 1_000_000_000,
    latency: Duration::from_millis(1),
    jitter_max: Duration::ZERO,
};
const SLOW: Wan = Wan { bytes_per_second: 1_000_000, ..FAST };

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Two sites with a pipe between them, and a server at the second one.
fn two_sites(wan: Wan) -> TopologyBuilder {
    Topology::builder()
        .site(Site::new("west").card_bytes_per_second(2_000_000))
        .site(Site::new("east").card_bytes_per_second(1_000_000_000))
        .wans("west", "east", wan)
        .place(SERVER, "east")
}

/// One server, and `tables` tables of 1 MB with a group of one worker each.
fn senders(topology: TopologyBuilder, tables: u32) -> Builder {
    let builder = Cluster::builder(3).topology(topology.build().unwrap()).record_history(false);
    let described = (0..tables).map(|table| {
        let spec = TableSpec::dense(format!("t{table}"), ROWS as u64).block_elements(4096);
        (spec, TablePolicy::local(Eventual), Hyper::default())
    });
    let builder = described.fold(builder, |b, (spec, policy, hyper)| b.table(spec, policy, hyper));
    (0..tables).fold(builder, |builder, _| builder.group(1))
}

/// Rows that a worker pushes before it waits until they are there.
const PART: usize = ROWS / 50;

/// Lets each worker push its table, part by part. When each table is there, in milliseconds.
fn pushed(builder: Builder, tables: u32) -> Vec<u64> {
    let there = RefCell::new(vec![0; tables as usize]);
    let mut cluster = builder.build().unwrap();
    for number in 0..tables {
        let table = cluster.table(number).unwrap();
        cluster.spawn(GroupId(number), Duration::ZERO, async move |me| {
            for rows in (0..ROWS as u64).step_by(PART) {
                me.push(&table, rows..rows + PART as u64, &vec![1.0_f32; PART]).await?;
                me.pull(&table, rows..rows + 1, &mut [0.0_f32]).await?;
            }
            me.finish().await
        });
    }
    cluster.sample(millis(10), |mut sample| {
        for (number, at) in there.borrow_mut().iter_mut().enumerate() {
            let values = sample.values::<f32>(&[ServerId(0)], TableId(number as u32));
            assert_eq!(values.len(), ROWS);
            if *at == 0 && values.iter().all(|x| *x == 1.0) {
                *at = sample.time.0 / 1_000_000;
            }
        }
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    there.into_inner()
}

#[test]
fn connections_over_one_pipe_get_half_each() {
    let place = |topology: TopologyBuilder, n| topology.place(Peer::Worker(n), "west");
    let alone = pushed(senders(place(two_sites(SLOW), 0), 1), 1);
    assert!((1050..1200).contains(&alone[0]), "{alone:?}");
    let both = pushed(senders(place(place(two_sites(SLOW), 0), 1), 2), 2);
    assert!(both.iter().all(|at| (2000..2150).contains(at)), "{both:?}");
    let from_two_sites = two_sites(SLOW)
        .site(Site::new("north"))
        .wans("north", "east", SLOW)
        .wans("north", "west", SLOW)
        .place(Peer::Worker(0), "west")
        .place(Peer::Worker(1), "north");
    let apart = pushed(senders(from_two_sites, 2), 2);
    assert!(apart.iter().all(|at| (1050..1200).contains(at)), "each has its own pipe: {apart:?}");
}

#[test]
fn processes_of_one_machine_share_its_card() {
    let workers = [Peer::Worker(0), Peer::Worker(1)];
    let together = pushed(senders(two_sites(FAST).colocate(workers, "west"), 2), 2);
    assert!(together.iter().all(|at| (1000..1150).contains(at)), "2 MB at 2 MB/s: {together:?}");
    let own = two_sites(FAST).place(workers[0], "west").place(workers[1], "west");
    let own = pushed(senders(own, 2), 2);
    assert!(own.iter().all(|at| (550..700).contains(at)), "1 MB at 2 MB/s: {own:?}");
    let at_server = Topology::builder()
        .site(Site::new("east").card_bytes_per_second(1_000))
        .colocate([SERVER, Peer::Worker(0)], "east");
    let at_server = pushed(senders(at_server, 1), 1);
    assert!(at_server[0] < 60, "no card is needed: {at_server:?}");
}

#[test]
fn control_overtakes_the_data_of_another_connection() {
    let topology = two_sites(SLOW).place(Peer::Worker(0), "west").place(Peer::Worker(1), "west");
    let mut cluster = senders(topology, 2).build().unwrap();
    let (table, joined, joined_at) = (cluster.table(0).unwrap(), Cell::new(false), Cell::new(0));
    cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
        me.push(&table, .., &vec![1.0_f32; ROWS]).await?;
        me.finish().await
    });
    cluster.spawn(GroupId(1), millis(300), async |me| {
        joined.set(true);
        me.finish().await
    });
    cluster.sample(millis(1), |sample| {
        if joined.get() && joined_at.get() == 0 {
            joined_at.set(sample.time.0 / 1_000_000);
        }
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    assert!((320..400).contains(&joined_at.get()), "{}", joined_at.get());
}

/// Trains on two servers at two sites with a worker each and a third that shares a machine.
fn train(seed: u64, links: LinkProfile, faults: &[(Duration, Fault)]) -> Builder {
    let topology = Topology::builder()
        .site(Site::new("west"))
        .site(Site::new("east"))
        .wan("west", "east", SLOW.jitter_max(millis(2)))
        .wan("east", "west", FAST)
        .colocate([SERVER, Peer::Worker(0)], "west")
        .place(Peer::Server(ServerId(1)), "east")
        .colocate([Peer::Worker(1), Peer::Worker(2)], "east")
        .build()
        .unwrap();
    let builder = Cluster::builder(seed).servers(2).links(links).topology(topology).group(3);
    let [dense, sparse] = training::tables(Bsp);
    let builder = builder.table(dense.0, dense.1, dense.2).table(sparse.0, sparse.1, sparse.2);
    let faults = faults.iter().cloned();
    faults.fold(builder, |builder, (at, fault)| builder.fault(at, fault))
}

fn trained<'a>(builder: Builder, prepare: impl FnOnce(&mut Cluster<'a, u64>)) -> Outcome<u64> {
    let mut cluster = builder.build().unwrap();
    let (dense, sparse) = (cluster.table(0).unwrap(), cluster.table(1).unwrap());
    for worker in 0..3 {
        let (dense, sparse) = (dense.clone(), sparse.clone());
        cluster.spawn(GroupId(0), millis(worker), async move |me| {
            training::train(&me, (&dense, &sparse), 6, millis(1 + worker)).await
        });
    }
    prepare(&mut cluster);
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    outcome
}

#[test]
fn bytes_between_sites_add_up_to_those_of_connections() {
    for links in [LinkProfile::normal(), LinkProfile::hostile()] {
        let outcome = trained(train(5, links, &[]), |_| {});
        let site = |peer| match peer {
            SERVER | Peer::Worker(0) => "west",
            _ => "east",
        };
        let mut sums: BTreeMap<_, [u64; 4]> = BTreeMap::new();
        for ((from, to), t) in &outcome.traffic {
            let sum = sums.entry((site(*from).to_owned(), site(*to).to_owned())).or_default();
            let of = [t.control_messages, t.control_bytes, t.data_messages, t.data_bytes];
            sum.iter_mut().zip(of).for_each(|(sum, of)| *sum += of);
        }
        let found = outcome.site_traffic.into_iter().map(|(sites, t)| {
            (sites, [t.control_messages, t.control_bytes, t.data_messages, t.data_bytes])
        });
        assert_eq!(found.collect::<BTreeMap<_, _>>(), sums);
        assert_eq!(sums.len(), 4);
        assert!(sums.values().flatten().all(|count| *count > 0), "{sums:?}");
    }
}

#[test]
fn shared_pipes_change_no_bit() {
    let tables = |outcome: Outcome<u64>| -> Vec<_> {
        outcome.tables.into_iter().map(|table| table.digest).collect()
    };
    let [dense, sparse] = training::tables(Bsp);
    let builder = Cluster::builder(1).servers(2).group(3);
    let builder = builder.table(dense.0, dense.1, dense.2).table(sparse.0, sparse.1, sparse.2);
    let plain = trained(builder, |_| {});
    assert!(plain.site_traffic.is_empty());
    let apart = Fault::Apart { a: "west".into(), b: "east".into(), lasts: millis(700) };
    let shared = trained(train(2, LinkProfile::hostile(), &[(millis(50), apart)]), |_| {});
    assert_eq!(tables(plain), tables(shared));
}

#[test]
fn a_pipe_changes_while_a_cluster_runs() {
    let time = |fault: Option<Fault>| {
        let faults: Vec<_> = fault.into_iter().map(|fault| (millis(40), fault)).collect();
        trained(train(5, LinkProfile::normal(), &faults), |_| {}).time
    };
    let wan = |wan| Fault::Wan { from: "west".into(), to: "east".into(), wan };
    let (before, faster) = (time(None), time(Some(wan(FAST))));
    let farther = time(Some(wan(Wan { latency: millis(500), ..SLOW })));
    let slower = time(Some(wan(Wan { bytes_per_second: 20_000, ..SLOW })));
    assert!(faster < before, "{faster:?} {before:?}");
    assert!(farther.since(before) > millis(4 * 490), "{farther:?} {before:?}");
    assert!(slower.since(before) > millis(1000), "{slower:?} {before:?}");
    let profile = LinkProfile::normal().latency(millis(500));
    let a_link = time(Some(Fault::Link { a: SERVER, b: Peer::Worker(1), profile }));
    assert!(a_link.since(before) > millis(4 * 490), "{a_link:?} {before:?}");
}

#[test]
fn sites_that_are_apart_let_nobody_through_who_starts_meanwhile() {
    let topology = two_sites(FAST).place(Peer::Worker(0), "west");
    let apart = Fault::Apart { a: "east".into(), b: "west".into(), lasts: millis(3000) };
    for starts in [0, 1000] {
        let builder = senders(topology.clone(), 1).fault(millis(100), apart.clone());
        let mut cluster = builder.build().unwrap();
        let table = cluster.table(0).unwrap();
        cluster.spawn(GroupId(0), millis(starts), async move |me| {
            me.compute(millis(200)).await;
            me.push(&table, .., &vec![1.0_f32; ROWS]).await?;
            me.finish().await
        });
        let outcome = cluster.run().unwrap();
        assert!(outcome.is_good(), "{}", outcome.report());
        let ended = outcome.time.since(Instant::EPOCH);
        assert!((millis(3100)..millis(5500)).contains(&ended), "from {starts}: {ended:?}");
    }
}

#[test]
fn a_run_does_not_notice_that_it_is_sampled() {
    for seed in 0..3 {
        let links = if seed == 0 { LinkProfile::normal() } else { LinkProfile::hostile() };
        let plain = trained(train(seed, links, &[]), |_| {});
        let taken = RefCell::new(Vec::new());
        let sampled = trained(train(seed, links, &[]), |cluster| {
            cluster.sample(Duration::from_micros(211), |mut sample| {
                let values = sample.values::<f32>(&[ServerId(0), ServerId(1)], TableId(0));
                assert_eq!(values.len(), training::ROWS * training::WIDTH);
                taken.borrow_mut().push((sample.time, values));
            });
        });
        assert_eq!(format!("{plain:?}"), format!("{sampled:?}"), "seed {seed}");
        let taken = taken.into_inner();
        let due = (0..=sampled.time.0 / 211_000).map(|n| Instant(n * 211_000));
        assert!(taken.iter().map(|(time, _)| *time).eq(due));
        let mut seen: Vec<_> = taken.into_iter().map(|(_, values)| values).collect();
        seen.dedup();
        assert!(seen.len() > 6, "seed {seed}: {}", seen.len());
    }
}

/// Two workers add 1 to every row of a dense and a sparse table in each of four rounds.
fn adding<'a>(links: LinkProfile) -> Cluster<'a, ()> {
    let dense = TableSpec::dense("dense", 3_000).block_elements(64);
    let domain = KeyRange::new(Key(10), Key(2_009)).unwrap();
    let sparse = TableSpec::sparse("sparse", 1).domain(domain).init(Init::Constant(0.5));
    let bsp = || (TablePolicy::local(Bsp), Hyper::default());
    let builder = Cluster::builder(9).servers(2).links(links).group(2);
    let builder = builder.table(dense, bsp().0, bsp().1).table(sparse, bsp().0, bsp().1);
    let mut cluster = builder.build().unwrap();
    let (dense, sparse) = (cluster.table(0).unwrap(), cluster.table(1).unwrap());
    for _ in 0..2 {
        let (dense, sparse) = (dense.clone(), sparse.clone());
        cluster.spawn(GroupId(0), Duration::ZERO, async move |me| {
            let keys = KeyList::new((10..1_010).collect())?;
            for _ in 0..4 {
                me.push(&dense, .., &[1.0_f32; 3_000]).await?;
                me.push(&sparse, &keys, &[1.0_f32; 1_000]).await?;
                me.tick().await?;
            }
            me.finish().await
        });
    }
    cluster
}

#[test]
fn a_sample_shows_whole_rounds_of_each_server() {
    let (rounds, samples) = (RefCell::new(Vec::new()), Cell::new(0));
    let mut cluster = adding(LinkProfile::normal());
    cluster.sample(Duration::from_micros(7), |mut sample| {
        samples.set(samples.get() + 1);
        for server in [ServerId(0), ServerId(1)] {
            let values = sample.values::<f32>(&[server], TableId(0));
            assert!(values.iter().all(|x| *x == values[0]), "half a round at {:?}", sample.time);
            rounds.borrow_mut().push(values[0]);
        }
        // Key by key along the domain: the rows pushed to, then the init of all others.
        let values = sample.values::<f32>(&[ServerId(1), ServerId(0)], TableId(1));
        assert_eq!(values.len(), 2_000);
        assert!(values[..1_000].iter().all(|x| (x - 0.5) % 2.0 == 0.0 && *x <= 8.5));
        assert!(values[1_000..].iter().all(|x| *x == 0.5));
        assert_eq!(sample.values::<f32>(&[ServerId(0)], TableId(7)), []);
    });
    let outcome = cluster.run().unwrap();
    assert!(outcome.is_good(), "{}", outcome.report());
    let mut rounds = rounds.into_inner();
    rounds.sort_by(f32::total_cmp);
    rounds.dedup();
    assert_eq!(rounds, [0.0, 2.0, 4.0, 6.0, 8.0]);
    assert_eq!(samples.get(), outcome.time.0 / 7_000 + 1);
}

#[test]
fn a_sample_that_asks_for_what_there_is_not_says_so() {
    let mut cluster = adding(LinkProfile::normal());
    cluster.sample(Duration::from_secs(3600), |mut sample| {
        assert_eq!(sample.values::<f64>(&[ServerId(0)], TableId(0)), []);
        assert_eq!(sample.values::<f32>(&[ServerId(2)], TableId(0)), []);
    });
    let outcome = cluster.run().unwrap();
    assert!(!outcome.is_good());
    let [dtype, server] = &outcome.defects[..] else {
        unreachable!("two defects: {:?}", outcome.defects)
    };
    assert!(dtype.contains("\"dense\" holds f32, the slice holds f64"), "{dtype}");
    assert!(server.contains("not in the plan"), "{server}");
}

#[test]
fn what_has_no_place_is_refused() {
    let error = |builder: Builder| builder.build::<()>().unwrap_err();
    let no_server = Topology::builder().site(Site::new("a")).build().unwrap();
    let peer = SERVER.to_string();
    let not_placed = Error::Topology(TopologyError::NotPlaced { peer });
    assert_eq!(error(Cluster::builder(1).topology(no_server)), not_placed);

    let mut cluster = senders(two_sites(FAST).place(Peer::Worker(0), "west"), 2).build().unwrap();
    for group in 0..2 {
        cluster.spawn(GroupId(group), Duration::ZERO, async |me| me.finish().await);
    }
    let peer = Peer::Worker(1).to_string();
    let not_placed = Error::Topology(TopologyError::NotPlaced { peer });
    assert_eq!(cluster.run().unwrap_err(), not_placed);
}

#[test]
fn a_fault_at_sites_that_there_are_not_is_refused() {
    let apart = |a: &str, b: &str| {
        let lasts = millis(1);
        Fault::Apart { a: a.into(), b: b.into(), lasts }
    };
    let said = |builder: Builder, fault: Fault, expected: &str| {
        let error = builder.fault(millis(1), fault).build::<()>().unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    let sites = || senders(two_sites(FAST), 1);
    said(Cluster::builder(1), apart("a", "b"), "names site \"a\", and the cluster has no topology");
    said(sites(), apart("west", "x"), "unknown site \"x\"; expected one of: west, east");
    said(sites(), apart("west", "west"), "\"west\" was named at both ends");
    let wan = Wan { bytes_per_second: 0, ..FAST };
    let nothing = Fault::Wan { from: "west".into(), to: "east".into(), wan };
    said(sites(), nothing, "the pipe from \"west\" to \"east\" carries 0 bytes");
}
