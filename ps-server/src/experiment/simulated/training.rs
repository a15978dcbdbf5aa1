//! One run: workers that train, and looks at the copies while they do.

use std::cell::RefCell;

use archipelago::id::{DataCentre, GroupId, ServerId, TableId};
use archipelago::sim::{Cluster, Outcome, Sample as Look};
use archipelago::time::{Duration, Instant};
use archipelago_workloads::task::TaskError;
use archipelago_workloads::train::{TrainReport, Values};

use super::super::cell::Cell;
use super::super::measured::{Measured, Sample, Traffic};
use super::super::runner::Progress;
use super::layout::{self, Layout, WORKERS_PER_SITE};
use super::timing::Calibrated;
use super::workload::Workload;

/// Looks that a run of as many ticks as LAN-BSP has is cut into.
const SAMPLES: u32 = 100;

/// Runs a cell to its end.
pub(super) fn train(
    cell: &Cell<'_>,
    work: &Workload,
    calibrated: &Calibrated,
    progress: &dyn Fn(Progress),
) -> anyhow::Result<Measured> {
    let layout = Layout::of(cell);
    let tick = calibrated.expected_tick(cell.policy);
    let every = Duration::from_secs_f64(tick * work.lan_ticks as f64 / f64::from(SAMPLES));
    let samples = RefCell::new(Vec::new());
    let outcome = run(cell, &layout, work, Some((every, &samples, progress)))?;
    let ended = outcome.ended.since(Instant::EPOCH).as_secs_f64();
    // Looks go on while the end is told.
    let mut samples: Vec<Sample> = samples.into_inner();
    let behind = samples.iter().position(|sample| sample.seconds >= ended);
    if let Some(last) = behind {
        samples.truncate(last + 1);
        samples[last].seconds = ended;
    }
    anyhow::ensure!(!samples.is_empty(), "no sample was taken");
    let kept: u64 = mirror(&outcome, |stats| stats.elements_kept);
    let told: u64 = mirror(&outcome, |stats| stats.elements_told);
    let filters = layout.filters;
    let share = kept as f64 / (kept + told).max(1) as f64;
    Ok(Measured {
        objective: objective(work)?,
        samples,
        traffic: traffic(cell, &layout, &outcome),
        suppressed_share: filters.then_some(share),
        ticks: work.ticks,
        compute_seconds: calibrated.computing.seconds,
        model_bytes: work.model_bytes()?,
    })
}

fn objective(work: &Workload) -> anyhow::Result<super::super::Objective> {
    let bytes = work.model_bytes()?;
    let values = match work.counts()? {
        true => Values::I64(vec![0; bytes as usize / 8]),
        false => Values::F32(vec![0.0; bytes as usize / 4]),
    };
    work.objective(&values)
}

fn mirror(
    outcome: &Outcome<TrainReport>,
    figure: impl Fn(&archipelago::node::shard::MirrorStats) -> u64,
) -> u64 {
    let shards = outcome.tables.iter().flat_map(|table| &table.servers);
    shards.filter_map(|shard| shard.mirror.as_ref()).map(figure).sum()
}

/// Where a run's samples go, how often they are taken, and who is told.
pub(super) type Watch<'a> = (Duration, &'a RefCell<Vec<Sample>>, &'a dyn Fn(Progress));

/// Runs workers under a layout.
pub(super) fn run(
    cell: &Cell<'_>,
    layout: &Layout,
    work: &Workload,
    watch: Option<Watch<'_>>,
) -> anyhow::Result<Outcome<TrainReport>> {
    let mut cluster = layout::builder(cell, layout, work)?.build()?;
    let tables = (0..work.tables()?.len() as u32).map(|index| cluster.table(index));
    let tables = tables.collect::<Result<Vec<_>, _>>()?;
    let elsewhere = work.elsewhere();
    for worker in 0..work.workers {
        let work = if worker < WORKERS_PER_SITE { work } else { &elsewhere };
        let (work, tables) = (work.clone(), tables.clone());
        let workers = work.workers;
        let train = async move |me| {
            let (task, cut) = (&work.task, &work.cut);
            let done = task.train_as(&me, &tables, cut, (worker, workers), &|_| {}).await;
            done.map_err(TaskError::into_store_error)
        };
        let site = if layout.copies { worker / WORKERS_PER_SITE } else { 0 };
        cluster.spawn_in(DataCentre(site), GroupId(0), Duration::ZERO, train);
    }
    if let Some(watch) = watch {
        let servers = copies(cell, layout, &cluster);
        let count = tables.len() as u32;
        let counts = work.counts()?;
        let judge = work.clone();
        let judged = layout.judged.0 as usize;
        let (every, samples, progress) = watch;
        cluster.sample(every, move |mut look| {
            let values = servers.iter().map(|of| values(&mut look, of, count, counts));
            let values: Vec<_> = values.collect();
            let objective = judge.judge(&values[judged.min(values.len() - 1)]);
            let seconds = look.time.since(Instant::EPOCH).as_secs_f64();
            let several = values.len() > 1;
            let sample = Sample {
                seconds,
                objective,
                wan_bytes: look.wan_bytes(),
                divergence: several.then(|| divergence(&values)),
                staleness: several.then(|| staleness(&look, &servers)),
            };
            let length = f64::from(SAMPLES) * judge.ticks as f64 / judge.lan_ticks as f64;
            let share = seconds / (every.as_secs_f64() * length).max(1e-9);
            progress(Progress { share: share.min(1.0), objective: Some(objective) });
            samples.borrow_mut().push(sample);
        });
    }
    let outcome = cluster.run()?;
    anyhow::ensure!(outcome.is_good(), "{}", outcome.report());
    Ok(outcome)
}

/// The servers of each copy.
fn copies<'a, R: 'a>(
    cell: &Cell<'_>,
    layout: &Layout,
    cluster: &Cluster<'a, R>,
) -> Vec<Vec<ServerId>> {
    let copies = if layout.copies { cell.profile.sites.len() as u32 } else { 1 };
    (0..copies).map(|copy| cluster.servers(DataCentre(copy)).to_vec()).collect()
}

fn values(look: &mut Look<'_>, servers: &[ServerId], tables: u32, counts: bool) -> Values {
    let tables = (0..tables).map(TableId);
    match counts {
        true => Values::I64(tables.flat_map(|table| look.values::<i64>(servers, table)).collect()),
        false => Values::F32(tables.flat_map(|table| look.values::<f32>(servers, table)).collect()),
    }
}

/// The largest distance of a copy from the mean of all, over the length of the mean.
fn divergence(copies: &[Values]) -> f64 {
    let elements = |values: &Values| -> Vec<f64> {
        match values {
            Values::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
            Values::I64(values) => values.iter().map(|value| *value as f64).collect(),
            _ => Vec::new(),
        }
    };
    let copies: Vec<_> = copies.iter().map(elements).collect();
    let count = copies.len() as f64;
    let mut mean = vec![0.0; copies.first().map_or(0, Vec::len)];
    for copy in &copies {
        mean.iter_mut().zip(copy).for_each(|(sum, value)| *sum += value / count);
    }
    let length = |of: &mut dyn Iterator<Item = f64>| of.map(|x| x * x).sum::<f64>().sqrt();
    let distances =
        copies.iter().map(|copy| length(&mut copy.iter().zip(&mean).map(|(a, b)| a - b)));
    let norm = length(&mut mean.iter().copied());
    distances.fold(0.0, f64::max) / norm.max(f64::MIN_POSITIVE)
}

/// Ticks of the furthest copy that the one furthest behind has not seen.
fn staleness(look: &Look<'_>, servers: &[Vec<ServerId>]) -> f64 {
    let standings = servers.iter().flatten().filter_map(|it| look.mirror_standing(*it, TableId(0)));
    let standings: Vec<_> = standings.collect();
    let furthest = standings.iter().map(|it| it.passed.0).max().unwrap_or(0);
    let seen = standings.iter().flat_map(|it| it.others.iter().map(|(_, tick, _)| tick.0)).min();
    furthest.saturating_sub(seen.unwrap_or(furthest)) as f64
}

/// What each site has sent to others, in the order of the profile.
fn traffic(cell: &Cell<'_>, layout: &Layout, outcome: &Outcome<TrainReport>) -> Vec<Traffic> {
    let of = |name: &str| outcome.sent_abroad(Some(name)).into();
    let sites = cell.profile.sites.iter();
    sites.map(|site| if layout.one_site { Traffic::default() } else { of(&site.name) }).collect()
}
