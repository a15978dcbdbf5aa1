//! A server process: its node, its socket, and the thread that both live on.

use std::net::SocketAddr;
use std::thread;

use tokio::sync::{Notify, oneshot};
use tokio::time::timeout;

use super::caller::Caller;
use super::hello::Hello;
use super::identity::Role;
use super::link::{Close, Inbox};
use super::meet::{Myself, answer_call};
use super::pump::{Node, Pump};
use super::tls::Credentials;
use super::{runtime, settings, start_failed};
use crate::error::{Result, SpecError, TransportError};
use crate::id::ServerId;
use crate::limits;
use crate::node::server::{ServerNode, ServerOptions};
use crate::node::{Input, Output, Peer, Plan, Registry};
use crate::os::Clock;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::time::Instant;

/// How a server process is started.
#[derive(Debug)]
pub struct ServerConfig {
    /// Which server of the cluster it is.
    pub server: ServerId,
    /// Where it listens; port 0 takes any that is free.
    pub bind: SocketAddr,
    /// Where the other servers are reached. It calls those with a lower number than its own.
    pub peers: Vec<(ServerId, SocketAddr)>,
    /// All servers of the cluster, this one among them.
    pub servers: Vec<ServerId>,
    /// The code behind the names of update rules and policies.
    pub registry: Registry,
    /// What it shows and believes.
    pub credentials: Credentials,
    /// How its node is built.
    pub options: ServerOptions,
}

/// A running server. Dropped, it stops.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: Arc<Stop>,
    thread: Option<thread::JoinHandle<Option<ServerNode>>>,
}

#[derive(Debug, Default)]
struct Stop {
    asked: AtomicBool,
    notify: Arc<Notify>,
}

impl Server {
    /// Binds the socket and serves on a thread of its own.
    ///
    /// # Errors
    /// The address is taken, the credentials are of no use or not a server's, or the list of
    /// servers is empty, too long or lacks this one.
    pub fn start(config: ServerConfig) -> Result<Self> {
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let (tell, told) = oneshot::channel();
        let body = move || serve(config, asked, tell);
        let thread = thread::Builder::new().name("server".into()).spawn(body);
        let thread = thread.map_err(|error| start_failed(&error))?;
        match told.blocking_recv() {
            Ok(Ok(address)) => Ok(Self { address, stop, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(gone) => Err(start_failed(&gone)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells all peers, ends, and hands out the node as it stood.
    pub fn stop(mut self) -> Option<ServerNode> {
        self.halt()
    }

    fn halt(&mut self) -> Option<ServerNode> {
        self.stop.asked.store(true, Ordering::Release);
        self.stop.notify.notify_one();
        self.thread.take()?.join().ok()?
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.halt();
    }
}

/// The node with the order to stop.
struct Serving {
    node: ServerNode,
    stop: Arc<Stop>,
}

impl Node for Serving {
    fn handle(&mut self, now: Instant, input: Input) {
        self.node.handle(now, input);
    }

    fn poll(&mut self) -> Output {
        self.node.poll()
    }

    fn end(&self) -> Option<(Close, &'static str)> {
        let asked = self.stop.asked.load(Ordering::Acquire);
        asked.then_some((Close::Finished, "the server stops"))
    }
}

type Started = oneshot::Sender<Result<SocketAddr>>;

/// The thread's body: everything of this server happens here.
fn serve(config: ServerConfig, stop: Arc<Stop>, started: Started) -> Option<ServerNode> {
    let prepared = runtime().and_then(|runtime| {
        let _inside = runtime.enter();
        Ok((Prepared::new(config)?, runtime))
    });
    match prepared {
        Ok((prepared, runtime)) => {
            // Whoever started the server may be gone; then it stops at once.
            drop(started.send(Ok(prepared.address)));
            Some(runtime.block_on(prepared.run(stop)))
        },
        Err(error) => {
            drop(started.send(Err(error)));
            None
        },
    }
}

/// A server whose socket is bound.
struct Prepared {
    node: ServerNode,
    endpoint: quinn::Endpoint,
    address: SocketAddr,
    clock: Clock,
    myself: Myself,
    /// The servers to call.
    peers: Vec<(ServerId, SocketAddr)>,
}

impl Prepared {
    fn new(config: ServerConfig) -> Result<Self> {
        let ServerConfig { server, servers, registry, bind, mut peers, credentials, options } =
            config;
        let identity = credentials.identity();
        if identity.role() != Role::Server {
            let (expected, found) = ("a certificate of role server", identity.to_string());
            return Err(TransportError::Identity { expected, found }.into());
        }
        let plan = Plan::new(&servers, Vec::new(), &[], &registry)?;
        if !servers.contains(&server) {
            let (field, expected) = ("servers".into(), format!("{server} among them"));
            let (table, found) = ("cluster".into(), format!("{servers:?}"));
            return Err(SpecError::Field { table, field, expected, found }.into());
        }
        let hello = Hello { peer: Peer::Server(server), servers: plan.digest() };
        let myself = Myself { hello, dc: identity.dc().into() };
        let clock = Clock::start();
        let node = ServerNode::new(plan, server, clock.now(), options)?;
        let endpoint = settings::listen(bind, &credentials)?;
        let address = endpoint.local_addr().map_err(|error| start_failed(&error))?;
        // One connection per pair of processes: the later server calls.
        peers.retain(|(other, _)| *other < server);
        Ok(Self { node, endpoint, address, clock, myself, peers })
    }

    async fn run(self, stop: Arc<Stop>) -> ServerNode {
        let Self { node, endpoint, clock, myself, peers, .. } = self;
        let notify = Arc::clone(&stop.notify);
        let (pump, inbox) = Pump::new(Serving { node, stop }, clock, notify);
        for (server, address) in peers {
            let (endpoint, myself, inbox) = (endpoint.clone(), myself.clone(), inbox.clone());
            let caller = Caller { endpoint, address, peer: Peer::Server(server), myself, inbox };
            tokio::spawn(caller.run(|_| {}));
        }
        tokio::spawn(answer_calls(endpoint.clone(), myself, inbox));
        let serving = pump.run().await;
        endpoint.close(Close::Finished.code(), b"the server stops");
        // Long enough for the farewell to leave; a peer that is gone is not waited for.
        let _ = timeout(limits::FAREWELL_MAX, endpoint.wait_idle()).await;
        serving.node
    }
}

async fn answer_calls(endpoint: quinn::Endpoint, myself: Myself, inbox: Inbox) {
    while let Some(incoming) = endpoint.accept().await {
        let (myself, inbox) = (myself.clone(), inbox.clone());
        tokio::spawn(async move {
            if let Err(error) = answer_call(incoming, &myself, &inbox).await {
                tracing::warn!(%error, "a connection was not accepted");
            }
        });
    }
}
