//! A worker process: its node, and the thread that carries its messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Waker;
use std::thread;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::timeout;

use super::caller::Caller;
use super::hello::Hello;
use super::identity::Role;
use super::link::Close;
use super::meet::Myself;
use super::pump::{Node, Pump};
use super::status::Traffic;
use super::tls::{Credentials, random};
use super::{runtime, settings, start_failed};
use crate::error::{Result, TransportError};
use crate::id::ServerId;
use crate::limits;
use crate::node::worker::{Notify as OutputsWait, Session, WorkerNode, WorkerOptions};
use crate::node::{Input, Output, Peer, Plan, Registry};
use crate::os::Clock;
use crate::sync::{Arc, Mutex};
use crate::time::{Duration, Instant};

/// How a worker process is started.
#[derive(Debug)]
pub struct WorkerConfig {
    /// All servers of the cluster, and where each is reached.
    pub servers: Vec<(ServerId, SocketAddr)>,
    /// The code behind the names of update rules and policies that the process uses.
    pub registry: Registry,
    /// What it shows and believes.
    pub credentials: Credentials,
    /// How its node is built.
    pub options: WorkerOptions,
    /// How long to try until every server has been reached.
    pub connect_max: Duration,
}

/// Connects to every server. The connections live on a thread of their own until the worker has
/// finished or the session is dropped; cut ones are made again. An operator may create tables and
/// groups, and joins none.
///
/// # Errors
/// A server refuses this process, or cannot be reached in time; the credentials are neither a
/// worker's nor an operator's; no servers, or too many.
pub async fn connect(config: WorkerConfig) -> Result<Session> {
    Ok(connect_counted(config).await?.0)
}

/// As [`connect`]; also what the session's connections have carried, told when they have ended.
///
/// # Errors
/// As there.
pub async fn connect_counted(mut config: WorkerConfig) -> Result<(Session, Carried)> {
    let identity = config.credentials.identity();
    if !matches!(identity.role(), Role::Worker | Role::Operator) {
        let expected = "a certificate of role worker or operator";
        let found = identity.to_string();
        return Err(TransportError::Identity { expected, found }.into());
    }
    config.options.joins &= identity.role() == Role::Worker;
    let clock = Clock::start();
    let token = random()?;
    let servers: Vec<_> = config.servers.iter().map(|(server, _)| *server).collect();
    let plan = Plan::new(&servers, Vec::new(), &[], &config.registry)?;
    let hello = Hello { peer: Peer::Worker(token), life: token, servers: plan.digest() };
    let node = WorkerNode::new(plan, token, clock.now(), config.options);
    let node = Arc::new(Mutex::new(node));
    let wake = Arc::new(Wake { notify: Arc::default(), clock });
    let process = Process { node: Arc::clone(&node), wake: Arc::clone(&wake), clock, hello };
    let (tell, told) = oneshot::channel();
    let (total, carried) = oneshot::channel();
    let body = move || process.live(config, tell, total);
    thread::Builder::new().name("worker".into()).spawn(body).map_err(|e| start_failed(&e))?;
    // From here on the session's end is the connections' end, also while they are made.
    let session = Session::new(node, wake);
    told.await.map_err(|gone| start_failed(&gone))??;
    Ok((session, Carried(carried)))
}

/// What the connections of a session carry.
#[derive(Debug)]
pub struct Carried(oneshot::Receiver<Traffic>);

impl Carried {
    /// Waits until the connections have ended, after the worker has finished or was dropped: the
    /// servers have been told then, and the process may end. `None` when there was no connection.
    pub async fn ended(self) -> Option<Traffic> {
        self.0.await.ok()
    }
}

/// Tells the thread that futures have left outputs in the node, and them the time.
#[derive(Debug)]
struct Wake {
    notify: Arc<Notify>,
    clock: Clock,
}

impl OutputsWait for Wake {
    fn outputs_wait(&self) {
        self.notify.notify_one();
    }

    fn now(&self) -> Option<Instant> {
        Some(self.clock.now())
    }
}

/// What the thread of a worker works with.
struct Process {
    node: Arc<Mutex<WorkerNode>>,
    wake: Arc<Wake>,
    clock: Clock,
    hello: Hello,
}

type Connected = oneshot::Sender<Result<()>>;

impl Process {
    /// The thread's body.
    fn live(self, config: WorkerConfig, connected: Connected, total: oneshot::Sender<Traffic>) {
        let prepared = runtime().and_then(|runtime| {
            let _inside = runtime.enter();
            let bind = unspecified(&config.servers);
            Ok((settings::call_only(bind, &config.credentials)?, runtime))
        });
        match prepared {
            Ok((endpoint, runtime)) => {
                let carried = runtime.block_on(self.run(config, endpoint, connected));
                // Few want to know.
                let _ = total.send(carried);
            },
            Err(error) => {
                // Whoever asked is gone.
                drop(connected.send(Err(error)));
            },
        }
    }

    async fn run(
        self,
        config: WorkerConfig,
        endpoint: quinn::Endpoint,
        connected: Connected,
    ) -> Traffic {
        let Self { node, wake, clock, hello } = self;
        let myself = Myself { hello, dc: config.credentials.identity().dc().into() };
        let living = Living(Arc::clone(&node));
        let (pump, inbox) = Pump::new(living, clock, Arc::clone(&wake.notify));
        let (outcome, mut outcomes) = mpsc::unbounded_channel();
        for (server, address) in &config.servers {
            let (endpoint, myself, inbox) = (endpoint.clone(), myself.clone(), inbox.clone());
            let peer = Peer::Server(*server);
            let caller = Caller { endpoint, address: *address, peer, myself, inbox };
            let (outcome, server) = (outcome.clone(), *server);
            tokio::spawn(caller.run(move |result| {
                // Who listens ends with the runtime, perhaps first.
                drop(outcome.send((server, result)));
            }));
        }
        // The pump keeps the inbox open through its callers; this one's copy must not.
        drop(inbox);
        let servers = config.servers.len();
        let connected_to = Living(Arc::clone(&node));
        let watch = async move {
            let result = watch(&mut outcomes, servers, config.connect_max).await;
            if result.is_err() {
                node.lock().close();
                wake.notify.notify_one();
            }
            // Whoever asked may be gone: then the worker is dropped, and the pump ends by that.
            drop(connected.send(result));
            // Ends with the runtime.
            tokio::spawn(heed(outcomes, connected_to));
        };
        let pumped = async {
            // As a task: the future that a runtime blocks on is polled by way of its sockets.
            let pumped = tokio::spawn(pump.run()).await;
            // A loop that has panicked takes its counters along.
            let carried = pumped.map_or_else(|_panic| Traffic::default(), |(_, carried)| carried);
            endpoint.close(Close::Finished.code(), b"the worker ends");
            // Long enough for the farewell to leave.
            let _ = timeout(limits::FAREWELL_MAX, endpoint.wait_idle()).await;
            carried
        };
        tokio::join!(watch, pumped).1
    }
}

type Outcomes = mpsc::UnboundedReceiver<(ServerId, Result<(), TransportError>)>;

/// Ends the worker's work when a server refuses it later.
async fn heed(mut outcomes: Outcomes, node: Living) {
    while let Some((_, result)) = outcomes.recv().await {
        if let Err(refused @ TransportError::Refused { .. }) = result {
            node.fail(refused);
        }
    }
}

/// Waits until every server was reached, or one refuses, or time is up.
async fn watch(outcomes: &mut Outcomes, servers: usize, connect_max: Duration) -> Result<()> {
    let mut reached = std::collections::BTreeSet::new();
    let mut last = None;
    let all = timeout(connect_max, async {
        while reached.len() < servers {
            match outcomes.recv().await {
                Some((server, Ok(()))) => {
                    reached.insert(server);
                },
                Some((_, Err(refused @ TransportError::Refused { .. }))) => return Err(refused),
                Some((_, Err(error))) => last = Some(error),
                None => break,
            }
        }
        Ok(())
    });
    match all.await {
        Ok(result) => Ok(result?),
        Err(_elapsed) => Err(last
            .unwrap_or_else(|| TransportError::Unreachable {
                peer: "servers".into(),
                address: "the addresses given".into(),
                problem: format!("not all were reached within {connect_max:?}"),
            })
            .into()),
    }
}

/// The node as its thread sees it.
struct Living(Arc<Mutex<WorkerNode>>);

impl Living {
    /// From here on everything ends with this error.
    fn fail(&self, error: TransportError) {
        let mut node = self.0.lock();
        node.fail(error.into());
        let woken = node.take_woken();
        drop(node);
        woken.into_iter().for_each(Waker::wake);
    }
}

impl Node for Living {
    fn handle(&mut self, now: Instant, input: Input) {
        let mut node = self.0.lock();
        node.handle(now, input);
        let woken = node.take_woken();
        drop(node);
        woken.into_iter().for_each(Waker::wake);
    }

    fn poll(&mut self) -> Output {
        self.0.lock().poll()
    }

    fn holds(&self) -> bool {
        self.0.lock().holds_tables()
    }

    fn lost(&mut self, server: ServerId) {
        self.fail(TransportError::Restarted { server });
    }

    fn end(&self) -> Option<(Close, &'static str)> {
        let node = self.0.lock();
        node.is_closed().then(|| match node.has_left() {
            true => (Close::Finished, "the worker has finished"),
            false => (Close::Gone, "the worker was dropped without finish"),
        })
    }
}

/// Any address and port of the family that the servers use.
fn unspecified(servers: &[(ServerId, SocketAddr)]) -> SocketAddr {
    let v6 = servers.first().is_some_and(|(_, address)| address.is_ipv6());
    let any =
        if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    SocketAddr::new(any, 0)
}
