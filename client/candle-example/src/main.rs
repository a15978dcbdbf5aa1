//! Trains a convolutional network, written with candle, on handwritten digits. Its parameters live
//! on Archipelago servers; two workers compute gradients and meet in every round (BSP).
//!
//! `cargo run --release` starts two servers in this process, with certificates that are thrown
//! away. With `--servers` it trains on those that run elsewhere.

mod model;
mod servers;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, anyhow};
use archipelago::os::Clock;
use archipelago::time::Instant;
use archipelago_client::{
    Blocking, Bsp, Client, ClientConfig, Combine, Hyper, Pem, PushOptions, RemoteWorker, Schedule,
    Servers, TablePolicy, TableSpec, TensorMap, ThreadPark, Worker, prefetch, rules::Adam,
};
use archipelago_workloads::data::{DenseData, Share, digits_split};
use clap::Parser;
use model::Model;

const WORKERS: u32 = 2;
/// Images of one worker's step.
const BATCH: usize = 32;
/// Small blocks spread a small model over all servers.
const BLOCK_ELEMENTS: u32 = 256;
const SEED: u64 = 1;

/// Trains a candle model whose parameters live on Archipelago servers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The servers of a running cluster: HOST:PORT,.. as `ps-server` prints them. Default: two in
    /// this process.
    #[arg(long, requires_all = ["ca", "certificate", "key"])]
    servers: Option<String>,
    /// The authority's certificate.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// A worker's certificate.
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// Its private key.
    #[arg(long)]
    key: Option<PathBuf>,
    /// Passes over the training digits.
    #[arg(long, default_value_t = 30)]
    epochs: u64,
    /// The name of the table and of the group, so that several runs fit on one cluster.
    #[arg(long, default_value = "digits")]
    name: String,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (_local, config) = match &arguments.servers {
        Some(servers) => (None, remote(servers, &arguments)?),
        None => {
            let (local, config) = servers::start(2)?;
            (Some(local), config)
        },
    };
    let client = Client::connect_blocking(config)?;
    let rows = f64::from(WORKERS) * BATCH as f64;
    let spec = TableSpec::tensors(&arguments.name, Model::new()?.tensors(SEED)?)
        .block_elements(BLOCK_ELEMENTS)
        .combine(Combine::WeightedMean { round_weight: rows })
        .rule(Adam::default());
    let hyper = Hyper::rate(Schedule::Constant(0.002));
    let table = client.ensure_table_blocking(spec, TablePolicy::local(Bsp), hyper)?;
    let map = TensorMap::of(&table)?;
    for tensor in map.tensors() {
        println!("{:<14} {:<16} from row {}", tensor.name, tensor.shape.to_string(), tensor.first);
    }
    let group = client.ensure_group_blocking(&arguments.name, WORKERS)?;
    // All join before any of them trains: nobody reads before the group is complete.
    let members = (0..WORKERS).map(|_| client.join_blocking(group));
    let members = members.collect::<archipelago_client::Result<Vec<_>>>()?;
    let (train, test) = digits_split()?;
    let clock = Clock::start();
    let accuracies = run(members, &map, (&train, &test), arguments.epochs)?;
    let seconds = clock.now().since(Instant::EPOCH).as_secs_f64();
    anyhow::ensure!(accuracies.iter().all(|one| one == &accuracies[0]), "BSP: all read the same");
    println!(
        "{WORKERS} workers, {} passes over {} digits: accuracy {:.4} on {} others, {seconds:.1} s",
        arguments.epochs,
        train.rows(),
        accuracies[0],
        test.rows()
    );
    Ok(())
}

/// A cluster that runs elsewhere.
fn remote(servers: &str, arguments: &Arguments) -> anyhow::Result<ClientConfig> {
    let servers: Servers = servers.parse()?;
    let named = |path: &Option<PathBuf>| path.clone().context("certificates are required");
    let Arguments { ca, certificate, key, .. } = arguments;
    let credentials = Pem::files(named(ca)?, named(certificate)?, named(key)?);
    Ok(ClientConfig::new(servers, credentials).wait_deadline(Duration::from_secs(60)))
}

/// Trains on a thread for each worker; the accuracy that each has found in the end.
fn run(
    members: Vec<Blocking<RemoteWorker, ThreadPark>>,
    map: &TensorMap,
    data: (&DenseData, &DenseData),
    epochs: u64,
) -> anyhow::Result<Vec<f64>> {
    std::thread::scope(|scope| {
        let start = |me: Blocking<RemoteWorker, ThreadPark>| {
            scope.spawn(move || me.run(async |me| work(me, map, data, epochs).await))
        };
        let threads: Vec<_> = members.into_iter().map(start).collect();
        let ended = threads
            .into_iter()
            .map(|thread| thread.join().map_err(|_panic| anyhow!("a worker has panicked"))?);
        ended.collect()
    })
}

/// One worker's part: read, compute, contribute, tick. It knows nothing of servers.
async fn work<W: Worker>(
    me: &W,
    map: &TensorMap,
    (train, test): (&DenseData, &DenseData),
    epochs: u64,
) -> anyhow::Result<f64> {
    let model = Model::new()?;
    let mut values = model.buffers();
    let share = Share::strided(train, me.origin().rank.0, me.group_size())?;
    let batches = share.batches(SEED, BATCH);
    let ticks = epochs * share.epoch_ticks(BATCH);
    for iteration in 0..ticks {
        let parts = values.iter_mut().map(|(name, values)| (name.as_str(), &mut values[..]));
        let read = prefetch(me, map.pull(me, parts));
        // The batch is made while the values travel.
        let rows = batches.index(iteration).map_or(&[][..], |index| batches.rows(index));
        let batch = model::batch(train, rows)?;
        read.await?;
        model.load(&values)?;
        let (loss, slopes) = model.slopes(&batch)?;
        let parts = slopes
            .iter()
            .map(|(name, shape, slopes)| (name.as_str(), shape.as_slice(), slopes.as_slice()));
        // What is pushed are sums over the batch; the servers divide by the images of all.
        let options = PushOptions { weight: Some(rows.len() as f64), after: &[] };
        map.push_with(me, parts, options).await?;
        me.tick().await?;
        if me.origin().rank.0 == 0 && (iteration + 1) % share.epoch_ticks(BATCH) == 0 {
            println!("after {:>5}: loss {:.4}", me.current_tick(), loss / rows.len() as f32);
        }
    }
    let parts = values.iter_mut().map(|(name, values)| (name.as_str(), &mut values[..]));
    map.pull(me, parts).await?;
    me.finish().await?;
    model.load(&values)?;
    model.accuracy(test)
}
