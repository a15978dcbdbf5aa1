//! The smallest cluster: nodes that hand each other encoded messages, without time or faults.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Waker};

use archipelago::consistency::{Bsp, Eventual, Ssp};
use archipelago::id::{GroupId, ServerId, TableId};
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::worker::{Notify, Session, WorkerNode, WorkerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::rules::Sgd;
use archipelago::sync::{Arc, Mutex};
use archipelago::time::Instant;
use archipelago::{
    AckLevel, Extension, Hyper, KeyList, Result, TablePolicy, TableSpec, Worker, wire,
};

#[derive(Debug)]
struct Nobody;

impl Notify for Nobody {
    fn outputs_wait(&self) {}
}

type Task = Pin<Box<dyn Future<Output = Result<Vec<f32>>>>>;

struct Cluster {
    plan: Plan,
    servers: Vec<ServerNode>,
    workers: Vec<Arc<Mutex<WorkerNode>>>,
    messages: u64,
}

impl Cluster {
    fn new(servers: u32, workers: u32, local: Extension) -> Self {
        let ids: Vec<_> = (0..servers).map(ServerId).collect();
        let dense = TableSpec::dense("dense", 1000).block_elements(64).rule(Sgd);
        let sparse = TableSpec::sparse("sparse", 2).slots(8);
        let policy = TablePolicy::local(local);
        let tables =
            vec![(dense, policy.clone(), Hyper::default()), (sparse, policy, Hyper::default())];
        let plan = Plan::new(&ids, tables, &[workers], &Registry::built_in()).unwrap();
        let options = ServerOptions::default();
        let node = |id: &ServerId| ServerNode::new(plan.clone(), *id, Instant::EPOCH, options);
        let servers = ids.iter().map(|id| node(id).unwrap()).collect();
        let worker = |token| {
            let options = WorkerOptions::default();
            WorkerNode::new(plan.clone(), token, Instant::EPOCH, options)
        };
        let workers = (0..u64::from(workers)).map(|t| Arc::new(Mutex::new(worker(t)))).collect();
        Self { plan, servers, workers, messages: 0 }
    }

    fn connect(&mut self) {
        let servers: Vec<_> = self.plan.servers().to_vec();
        for worker in &self.workers {
            for server in &servers {
                worker.lock().handle(Instant::EPOCH, Input::PeerUp(Peer::Server(*server)));
            }
        }
    }

    /// Polls one node dry and delivers what it sends.
    fn drain(&mut self, from: Peer) -> bool {
        let mut moved = false;
        loop {
            let output = match from {
                Peer::Server(id) => self.servers[id.0 as usize].poll(),
                Peer::Worker(token) => self.workers[token as usize].lock().poll(),
            };
            match output {
                Output::Idle => return moved,
                Output::Send { to, message, .. } => {
                    let mut bytes = Vec::new();
                    wire::encode(&message, &mut bytes).unwrap();
                    let message = wire::decode(&bytes).unwrap();
                    let input = Input::Message { from, message };
                    match to {
                        Peer::Server(id) => {
                            self.servers[id.0 as usize].handle(Instant::EPOCH, input);
                        },
                        Peer::Worker(token) => {
                            self.workers[token as usize].lock().handle(Instant::EPOCH, input);
                        },
                    }
                    self.messages += 1;
                    moved = true;
                },
                Output::Event(_) | Output::WakeAt(_) | Output::Working => {},
            }
        }
    }

    fn run(&mut self, mut tasks: Vec<Option<Task>>) -> Vec<Vec<f32>> {
        self.connect();
        let mut results = vec![Vec::new(); tasks.len()];
        let peers: Vec<_> = (0..self.servers.len() as u32)
            .map(|id| Peer::Server(ServerId(id)))
            .chain((0..tasks.len() as u64).map(Peer::Worker))
            .collect();
        while tasks.iter().any(Option::is_some) {
            let mut moved = false;
            for (task, result) in tasks.iter_mut().zip(&mut results) {
                let Some(running) = task else { continue };
                let poll = running.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if let std::task::Poll::Ready(answer) = poll {
                    *result = answer.unwrap();
                    *task = None;
                    moved = true;
                }
            }
            for peer in &peers {
                moved |= self.drain(*peer);
            }
            assert!(moved, "nobody can go on");
        }
        results
    }
}

async fn train(node: Arc<Mutex<WorkerNode>>, plan: Plan, ticks: u64) -> Result<Vec<f32>> {
    let me = Session::new(node, Arc::new(Nobody)).join(GroupId(0)).await?;
    let [dense, sparse] = [0, 1].map(|id| &plan.table(TableId(id)).unwrap().table);
    let keys = KeyList::from_unsorted(vec![0, 7, u64::MAX / 2, u64::MAX]);
    let mut x = vec![0.0_f32; 1000];
    for tick in 1..=ticks {
        me.pull(dense, .., &mut x).await?;
        let g: Vec<f32> = x.iter().map(|x| 0.5 - x * 0.25).collect();
        let stamp = me.push(dense, .., &g).await?;
        me.wait(stamp, AckLevel::Admitted).await?;
        me.push(sparse, &keys, &[1.0_f32; 8]).await?;
        assert_eq!(me.tick().await?.0, tick + 1);
    }
    me.pull(dense, .., &mut x).await?;
    let mut rows = [0.0_f32; 8];
    me.pull(sparse, &keys, &mut rows).await?;
    let (walked, _) = me.pull_rows::<f32>(sparse, ..).await?;
    assert_eq!((&walked.keys, &walked.values[..]), (&keys, &rows[..]));
    me.finish().await?;
    x.extend(rows);
    Ok(x)
}

fn trained(servers: u32, workers: u32, local: impl Into<Extension>) -> (Vec<Vec<f32>>, u128) {
    let mut cluster = Cluster::new(servers, workers, local.into());
    let tasks = cluster.workers.iter().map(|node| {
        let task: Task = Box::pin(train(Arc::clone(node), cluster.plan.clone(), 5));
        Some(task)
    });
    let tasks = tasks.collect();
    let results = cluster.run(tasks);
    let table = TableId(0);
    let mut slots: Vec<_> =
        cluster.servers.iter_mut().flat_map(|server| server.digests(table)).collect();
    slots.sort_unstable();
    assert_eq!(slots.len(), cluster.plan.table(table).unwrap().grid.count() as usize);
    assert!(cluster.servers.iter().all(|server| server.waiting() == 0));
    (results, archipelago::node::shard::digest_of(slots))
}

#[test]
fn bsp_trains_to_the_same_bits_on_any_number_of_servers() {
    let (results, digest) = trained(1, 3, Bsp);
    assert!(results.iter().all(|x| *x == results[0]));
    assert_eq!(results[0][1000..], [15.0; 8]);
    for servers in [2, 3, 5] {
        assert_eq!(trained(servers, 3, Bsp), (results.clone(), digest), "{servers} servers");
    }
}

#[test]
fn ssp_and_eventual_train_too() {
    for servers in [1, 3] {
        let (results, _) = trained(servers, 3, Ssp { staleness: 1 });
        assert_eq!(results.len(), 3);
        trained(servers, 2, Eventual);
    }
}
