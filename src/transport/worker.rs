//! A process of workers: their nodes, and the thread that carries their messages.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::task::Waker;
use std::thread;

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::caller::Caller;
use super::dialer::{Dialer, Dialing};
use super::hello::Hello;
use super::identity::{Identity, Role};
use super::link::Close;
use super::meet::Myself;
use super::pump::{Node, Pump};
use super::status::Traffic;
use super::tally::Tally;
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

/// Connects a worker to every server. Its connections are its own, and end when it has finished or
/// the session is dropped: see [`WorkerProcess`] for several workers.
///
/// # Errors
/// Those of [`WorkerProcess::start`] and [`WorkerProcess::session`].
pub async fn connect(config: WorkerConfig) -> Result<Session> {
    WorkerProcess::start(config)?.session().await
}

/// A process of workers. All of them use one connection to each server, over one socket, on a
/// thread of their own; cut connections are made again. They end when this handle and all sessions
/// are gone.
///
/// The sessions of an operator may create tables and groups, and join none.
#[derive(Debug)]
pub struct WorkerProcess {
    shared: Shared,
    dialing: Arc<Dialing>,
    seats: mpsc::UnboundedSender<Seat>,
    carried: oneshot::Receiver<Traffic>,
}

/// What the workers of a process have in common.
#[derive(Debug)]
struct Shared {
    servers: Vec<ServerId>,
    registry: Registry,
    options: WorkerOptions,
    connect_max: Duration,
    identity: Identity,
    clock: Clock,
}

impl WorkerProcess {
    /// Starts the thread. Servers are called when the first session wants them.
    ///
    /// # Errors
    /// The credentials are of no use, or neither a worker's nor an operator's.
    pub fn start(config: WorkerConfig) -> Result<Self> {
        let WorkerConfig { servers, registry, credentials, mut options, connect_max } = config;
        let identity = credentials.identity().clone();
        if !matches!(identity.role(), Role::Worker | Role::Operator) {
            let expected = "a certificate of role worker or operator";
            let found = identity.to_string();
            return Err(TransportError::Identity { expected, found }.into());
        }
        options.joins &= identity.role() == Role::Worker;
        let dialing = Dialing::new(&credentials)?;
        let clock = Clock::start();
        let numbers = servers.iter().map(|(server, _)| *server).collect();
        let shared = Shared { servers: numbers, registry, options, connect_max, identity, clock };
        let (seats, taken) = mpsc::unbounded_channel();
        let (total, carried) = oneshot::channel();
        let of_thread = Arc::clone(&dialing);
        let body = move || live(&servers, &of_thread, taken, total);
        thread::Builder::new().name("workers".into()).spawn(body).map_err(|e| start_failed(&e))?;
        Ok(Self { shared, dialing, seats, carried })
    }

    /// Works by new credentials from the next connection on; those that there are go on.
    ///
    /// # Errors
    /// They are of no use, or of another role or data centre. The old ones stay then.
    pub fn renew(&self, credentials: &Credentials) -> Result<()> {
        credentials.check_renews(&self.shared.identity)?;
        Ok(self.dialing.renew(credentials)?)
    }

    /// A session for one more worker, once every server has heard of it.
    ///
    /// # Errors
    /// A server refuses this process, or cannot be reached in time; no socket; no servers, or too
    /// many.
    pub async fn session(&self) -> Result<Session> {
        let Shared { servers, registry, options, connect_max, identity, clock } = &self.shared;
        let token = random()?;
        let plan = Plan::new(servers, Vec::new(), &[], registry)?;
        let hello = Hello { peer: Peer::Worker(token), life: token, servers: plan.digest() };
        let node = WorkerNode::new(plan, token, clock.now(), *options);
        let node = Arc::new(Mutex::new(node));
        let wake = Arc::new(Wake { notify: Arc::default(), clock: *clock });
        let (tell, told) = oneshot::channel();
        let seat = Seat {
            node: Arc::clone(&node),
            wake: Arc::clone(&wake),
            myself: Myself { hello, dc: identity.dc().into(), agreed: None },
            connect_max: *connect_max,
            connected: tell,
        };
        self.seats.send(seat).map_err(|gone| start_failed(&gone))?;
        // From here on the session's end is that of its links, also while they are made.
        let session = Session::new(node, wake);
        told.await.map_err(|gone| start_failed(&gone))??;
        Ok(session)
    }

    /// Waits until all connections have ended, after every session has: the servers have been told
    /// then, and the process may end. What the connections have carried.
    pub async fn ended(self) -> Traffic {
        let Self { seats, carried, .. } = self;
        drop(seats);
        // A thread that could not begin has carried nothing.
        carried.await.unwrap_or_default()
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

/// One worker of the process.
#[derive(Debug)]
struct Seat {
    node: Arc<Mutex<WorkerNode>>,
    wake: Arc<Wake>,
    myself: Myself,
    connect_max: Duration,
    connected: oneshot::Sender<Result<()>>,
}

type Seats = mpsc::UnboundedReceiver<Seat>;

/// The thread's body.
fn live(
    servers: &[(ServerId, SocketAddr)],
    dialing: &Arc<Dialing>,
    mut seats: Seats,
    total: oneshot::Sender<Traffic>,
) {
    let prepared = runtime().and_then(|runtime| {
        let _inside = runtime.enter();
        Ok((settings::call_only(unspecified(servers))?, runtime))
    });
    match prepared {
        Ok((endpoint, runtime)) => {
            let carried = runtime.block_on(run(servers, endpoint, dialing, seats));
            // Few want to know.
            let _ = total.send(carried);
        },
        Err(error) => {
            while let Some(seat) = seats.blocking_recv() {
                // Whoever asked may be gone.
                drop(seat.connected.send(Err(error.clone())));
            }
        },
    }
}

/// Serves all workers of the process until the last one is gone.
async fn run(
    servers: &[(ServerId, SocketAddr)],
    endpoint: quinn::Endpoint,
    dialing: &Arc<Dialing>,
    mut seats: Seats,
) -> Traffic {
    let tally = Arc::<Tally>::default();
    let dialer = |(server, address): &(ServerId, SocketAddr)| {
        Arc::new(Dialer::new(&endpoint, dialing, (Peer::Server(*server), *address), &tally))
    };
    let dialers: Vec<_> = servers.iter().map(dialer).collect();
    let (mut taken, mut heard) = (JoinSet::new(), true);
    loop {
        tokio::select! {
            seat = seats.recv() => match seat {
                Some(seat) => drop(taken.spawn(seat.live(dialers.clone()))),
                None => break,
            },
            Some(ended) = taken.join_next() => heard &= ended.unwrap_or(false),
        }
    }
    while let Some(ended) = taken.join_next().await {
        heard &= ended.unwrap_or(false);
    }
    // Some server may not know yet that a worker is gone, and let others wait for it.
    let why = if heard { Close::Finished } else { Close::Gone };
    endpoint.close(why.code(), b"the process of workers ends");
    // Long enough for the farewell to leave.
    let _ = timeout(limits::FAREWELL_MAX, endpoint.wait_idle()).await;
    tally.traffic().total()
}

impl Seat {
    /// Links the node to every server, and drives it until it is closed; whether all servers that
    /// it was linked to have heard of its end.
    async fn live(self, dialers: Vec<Arc<Dialer>>) -> bool {
        let Self { node, wake, myself, connect_max, connected } = self;
        let living = Living(Arc::clone(&node));
        let (pump, inbox) = Pump::new(living, wake.clock, Arc::clone(&wake.notify));
        let (outcome, mut outcomes) = mpsc::unbounded_channel();
        let (servers, mut callers) = (dialers.len(), JoinSet::new());
        for dialer in dialers {
            let (peer, outcome) = (dialer.peer(), outcome.clone());
            let caller = Caller { dialer, myself: myself.clone(), inbox: inbox.clone() };
            callers.spawn(caller.run(move |result| {
                // Who listens may have ended first.
                drop(outcome.send((peer, result)));
            }));
        }
        // The pump keeps the inbox open through its callers; this one's copy must not.
        drop((inbox, outcome));
        callers.spawn(async move {
            let result = watch(&mut outcomes, servers, connect_max).await;
            if result.is_err() {
                node.lock().close();
                wake.notify.notify_one();
            }
            // Whoever asked may be gone: then the worker is dropped, and the pump ends by that.
            drop(connected.send(result));
            heed(outcomes, Living(node)).await;
        });
        let (_, links) = pump.run().await;
        let linked = links.len() == servers;
        // Until the servers have answered the farewell, or for as long as that may take.
        let parted = async {
            for link in links {
                link.gone().await;
            }
        };
        timeout(limits::FAREWELL_MAX, parted).await.is_ok() && linked
    }
}

type Outcomes = mpsc::UnboundedReceiver<(Peer, Result<(), TransportError>)>;

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

    fn shares(&self) -> bool {
        true
    }

    fn holds(&self, _server: ServerId) -> bool {
        self.0.lock().holds_tables()
    }

    fn lost(&mut self, server: ServerId) {
        self.fail(TransportError::Restarted { server });
    }

    fn end(&self) -> Option<Close> {
        let node = self.0.lock();
        node.is_closed().then(|| if node.has_left() { Close::Finished } else { Close::Gone })
    }
}

/// Any address and port of the family that the servers use.
fn unspecified(servers: &[(ServerId, SocketAddr)]) -> SocketAddr {
    let v6 = servers.first().is_some_and(|(_, address)| address.is_ipv6());
    let any =
        if v6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) };
    SocketAddr::new(any, 0)
}
