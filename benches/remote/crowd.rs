//! `remote_crowd`: 64 workers, each a thread with small pushes, at one server.

use std::time::{Duration, Instant};

use archipelago::embed::ThreadPark;
use archipelago::node::worker::{Blocking, Park};
use archipelago::spec::AckLevel;
use archipelago::{Eventual, Hyper, TablePolicy, TableSpec};

use crate::race::Outcome;
use crate::report::{Aim, Report, Row};
use crate::store::Cluster;

const WORKERS: u32 = 64;
const WIDTH: usize = 16;
const ROWS_OF_WORKER: usize = 64;

pub(crate) fn rows(report: &mut Report, smoke: bool) -> Outcome {
    const NAME: &str = "remote_crowd";
    if !report.wants(NAME) {
        return Ok(());
    }
    let workers = if smoke { 4 } else { WORKERS };
    let lasting = Duration::from_millis(if smoke { 100 } else { 5_000 });
    let cluster = Cluster::start()?;
    let before = cluster.process.memory()?.0;
    let mut served = measure(&cluster, workers, lasting)?;
    let (_, most) = cluster.process.memory()?;
    served.sort_by_key(Vec::len);
    let (least, last) = (served.first().map_or(0, Vec::len), served.last().map_or(0, Vec::len));
    let mut times: Vec<f64> = served.concat();
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times.get((times.len() as f64 * share) as usize).map_or(0.0, |t| t * 1e3);
    report.row(&Row {
        name: NAME.into(),
        value: times.len() as f64 / lasting.as_secs_f64() / 1e3,
        limit: f64::NAN,
        unit: "k/s",
        aim: Aim::None,
        note: format!(
            "pushes of 4 KiB, waited for: p50 {:.2} ms, p99 {:.2} ms; least and most of a worker \
             {least} and {last}; server grew by {:.1} MiB",
            at(0.50),
            at(0.99),
            most.saturating_sub(before) as f64 / f64::from(1 << 20)
        ),
    });
    Ok(())
}

/// The seconds of each push, by worker.
fn measure(cluster: &Cluster, workers: u32, lasting: Duration) -> Outcome<Vec<Vec<f64>>> {
    let rows = u64::from(workers) * ROWS_OF_WORKER as u64;
    let spec = TableSpec::dense("w", rows).width(WIDTH as u32).block_elements(1024);
    let gate = std::sync::Barrier::new(workers as usize);
    let served = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers)
            .map(|_| {
                let (spec, gate) = (spec.clone(), &gate);
                scope.spawn(move || -> Outcome<Vec<f64>> {
                    let session = cluster.connect()?;
                    let (me, table) = ThreadPark.block_on(async {
                        let policy = TablePolicy::local(Eventual);
                        let table = session.ensure_table(spec, policy, Hyper::default()).await?;
                        let group = session.ensure_group("crowd", workers).await?;
                        Outcome::Ok((session.join(group).await?, table))
                    })?;
                    let me = Blocking::new(me, ThreadPark);
                    let first = u64::from(me.origin().rank.0) * ROWS_OF_WORKER as u64;
                    let values = vec![1.0_f32; ROWS_OF_WORKER * WIDTH];
                    gate.wait();
                    let (begin, mut times) = (Instant::now(), Vec::new());
                    while begin.elapsed() < lasting {
                        let start = Instant::now();
                        let rows = first..first + ROWS_OF_WORKER as u64;
                        let stamp = me.push(&table, rows, &values)?;
                        me.wait(stamp, AckLevel::Admitted)?;
                        times.push(start.elapsed().as_secs_f64());
                    }
                    me.finish()?;
                    Ok(times)
                })
            })
            .collect();
        let ends = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ends.map(|end| end.unwrap_or_else(|_| Err("a worker's thread panicked".into())))
            .collect::<Outcome<Vec<_>>>()
    })?;
    Ok(served)
}
