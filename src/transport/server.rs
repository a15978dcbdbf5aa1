//! A server process: its node, its socket, and the thread that both live on.

use std::net::SocketAddr;
use std::thread;

use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::caller::Caller;
use super::dialer::{Dialer, Dialing};
use super::hello::Hello;
use super::identity::{Identity, Role};
use super::inbox::Event;
use super::link::Close;
use super::meet::{Host, Myself, answer_call};
use super::pace::Pace;
use super::pump::{Node, Pump};
use super::status::{
    CopyStatus, DataCentreStatus, Handshakes, MirrorStatus, ServerStatus, TableStatus, WayStatus,
};
use super::system::{Agreed, System};
use super::tally::Tally;
use super::tls::{Credentials, Judge, random};
use super::{runtime, settings, start_failed};
use crate::error::TransportError::Refused;
use crate::error::{Result, SpecError, TransportError};
use crate::id::{CatalogVersion, DataCentre, ServerId, TableId};
use crate::limits;
use crate::node::server::{ServerNode, ServerOptions, Standing};
use crate::node::shard::MirrorStanding;
use crate::node::{Input, Output, Peer, Registry};
use crate::os::Clock;
use crate::spec::Table;
use crate::sync::{Arc, AtomicBool, Ordering};
use crate::time::Instant;

/// How a server process is started.
#[derive(Debug)]
pub struct ServerConfig {
    /// Which server of the cluster it is.
    pub server: ServerId,
    /// Where it listens; port 0 takes any that is free.
    pub bind: SocketAddr,
    /// Where the other servers are reached, also those of other data centres. It calls those with a
    /// lower number than its own.
    pub peers: Vec<(ServerId, SocketAddr)>,
    /// All servers of its data centre, this one among them.
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
    handle: ServerHandle,
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
        Self::start_in(config, System::default())
    }

    /// As [`start`](Self::start), one of a system with several data centres, or with tables that
    /// exist from the start. `config.peers` may name servers of all data centres, `config.servers`
    /// are those of its own.
    ///
    /// # Errors
    /// As there, and as [`System::plan`]; the certificate is for another data centre than the one
    /// that lists the server.
    pub fn start_in(config: ServerConfig, system: System) -> Result<Self> {
        let stop = Arc::new(Stop::default());
        let asked = Arc::clone(&stop);
        let (tell, told) = oneshot::channel();
        let body = move || serve((config, system), asked, tell);
        let thread = thread::Builder::new().name("server".into()).spawn(body);
        let thread = thread.map_err(|error| start_failed(&error))?;
        match told.blocking_recv() {
            Ok(Ok((address, handle))) => Ok(Self { address, handle, stop, thread: Some(thread) }),
            Ok(Err(error)) => Err(error),
            Err(gone) => Err(start_failed(&gone)),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// For questions and orders while it runs.
    pub fn handle(&self) -> ServerHandle {
        self.handle.clone()
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

/// A running server as other threads see it. Its futures need no runtime of a certain kind.
#[derive(Clone, Debug)]
pub struct ServerHandle {
    identity: Identity,
    orders: mpsc::Sender<Event>,
    endpoint: quinn::Endpoint,
    dialing: Arc<Dialing>,
    tally: Arc<Tally>,
}

impl ServerHandle {
    /// How the server stands, from between two steps of its node; `None` when it has ended.
    pub async fn status(&self) -> Option<ServerStatus> {
        let (ask, answer) = oneshot::channel();
        self.orders.send(Event::Ask(ask)).await.ok()?;
        let counted = answer.await.ok()?;
        let calls = self.endpoint.stats();
        Some(ServerStatus {
            uptime: counted.uptime,
            tables: counted.tables,
            data_centres: counted.data_centres,
            waiting: counted.waiting,
            standing: counted.standing,
            links: counted.links,
            traffic: self.tally.traffic(),
            handshakes: Handshakes {
                accepted: calls.accepted_handshakes,
                refused: calls.refused_handshakes,
                ignored: calls.ignored_handshakes,
            },
        })
    }

    /// Works by new credentials from the next connection on. Connections that there are go on,
    /// except those of peers that the new credentials do not let in.
    ///
    /// # Errors
    /// They are of no use, or of another role or data centre. The old ones stay then.
    pub async fn renew(&self, credentials: &Credentials) -> Result<()> {
        credentials.check_renews(&self.identity)?;
        let (server, judge) = (settings::server(credentials)?, credentials.judge()?);
        self.dialing.renew(credentials)?;
        self.endpoint.set_server_config(Some(server));
        // A server that has ended has no connections.
        drop(self.orders.send(Event::Judge(judge)).await);
        Ok(())
    }
}

/// The node with the order to stop.
struct Serving {
    node: ServerNode,
    /// What it was given: a server that is started again has that, too.
    given: CatalogVersion,
    stop: Arc<Stop>,
}

impl Serving {
    /// How the copies of a table elsewhere are doing.
    fn mirror(&self, table: TableId) -> Option<MirrorStatus> {
        let standing = self.node.mirror_standing(table)?;
        let MirrorStanding { passed, differ, too_large, equal, .. } = standing;
        let stats = self.node.mirror_stats(table)?;
        Some(MirrorStatus { passed, stats, differ, too_large, equal })
    }

    /// The way to a server elsewhere, over all tables.
    fn way(&self, server: ServerId) -> WayStatus {
        let tables = self.node.plan().tables().map(|planned| planned.table.id());
        let views = tables.filter_map(|table| self.node.mirror_view(table, server));
        let mut way = WayStatus {
            server,
            connected: false,
            bytes_per_second: None,
            round_trip: None,
            queued_bytes: 0,
        };
        for view in views {
            // It is the same way for all of them.
            way.bytes_per_second = view.bytes_per_second.or(way.bytes_per_second);
            way.round_trip = view.round_trip.or(way.round_trip);
            way.queued_bytes += view.queued_bytes;
        }
        way
    }

    fn copies(&self, of: DataCentre) -> Vec<CopyStatus> {
        let tables = self.node.plan().tables().map(|planned| &planned.table);
        let copy = |table: &Table| {
            let others = self.node.mirror_standing(table.id())?.others;
            let (_, clock, standing) = others.into_iter().find(|(other, ..)| *other == of)?;
            Some(CopyStatus { table: table.name().to_owned(), standing, clock })
        };
        tables.filter_map(copy).collect()
    }
}

impl Node for Serving {
    fn handle(&mut self, now: Instant, input: Input) {
        self.node.handle(now, input);
    }

    fn poll(&mut self) -> Output {
        self.node.poll()
    }

    fn end(&self) -> Option<Close> {
        self.stop.asked.load(Ordering::Acquire).then_some(Close::Finished)
    }

    fn holds(&self, server: ServerId) -> bool {
        match self.needs(server) {
            true => self.node.plan().version() > self.given,
            false => !self.node.mirror_is_new(server),
        }
    }

    fn needs(&self, server: ServerId) -> bool {
        self.node.plan().servers().contains(&server)
    }

    fn data_centres(&self) -> Vec<DataCentreStatus> {
        let Some(abroad) = self.node.plan().abroad() else { return Vec::new() };
        let others = abroad.data_centres.iter().filter(|(other, _)| *other != abroad.here);
        let status = others.map(|(other, site)| DataCentreStatus {
            name: site.name.clone(),
            servers: site.servers.iter().map(|server| self.way(*server)).collect(),
            copies: self.copies(other),
        });
        status.collect()
    }

    fn tables(&self) -> (Vec<TableStatus>, usize) {
        let tables = self.node.plan().tables().map(|planned| &planned.table);
        let status = tables.filter_map(|table| {
            let id = table.id();
            Some(TableStatus {
                table: id,
                name: table.name().to_owned(),
                shard: self.node.stats(id)?,
                stash_bytes_max: table.last_terms().policy.bsp_stash_bytes_max as u64,
                rounds: self.node.round_times(id)?,
                mirror: self.mirror(id),
            })
        });
        (status.collect(), self.node.waiting())
    }

    fn standing(&self, now: Instant) -> Standing {
        self.node.standing(now)
    }
}

type Started = oneshot::Sender<Result<(SocketAddr, ServerHandle)>>;

/// The thread's body: everything of this server happens here.
fn serve(config: (ServerConfig, System), stop: Arc<Stop>, started: Started) -> Option<ServerNode> {
    let prepared = runtime().and_then(|runtime| {
        let _inside = runtime.enter();
        Ok((Prepared::new(config)?, runtime))
    });
    match prepared {
        Ok((prepared, runtime)) => runtime.block_on(prepared.run(stop, started)),
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
    identity: Identity,
    judge: Judge,
    dialing: Arc<Dialing>,
    myself: Myself,
    /// The servers to call.
    peers: Vec<(ServerId, SocketAddr)>,
}

impl Prepared {
    fn new((config, system): (ServerConfig, System)) -> Result<Self> {
        let ServerConfig { server, servers, registry, bind, mut peers, credentials, options } =
            config;
        let identity = credentials.identity();
        if identity.role() != Role::Server {
            let (expected, found) = ("a certificate of role server", identity.to_string());
            return Err(TransportError::Identity { expected, found }.into());
        }
        let plan = system.plan(&servers, &registry)?;
        if !servers.contains(&server) {
            let (field, expected) = ("servers".into(), format!("{server} among them"));
            let (table, found) = ("cluster".into(), format!("{servers:?}"));
            return Err(SpecError::Field { table, field, expected, found }.into());
        }
        let (peer, life, servers) = (Peer::Server(server), random()?, plan.digest());
        let hello = Hello { peer, life, servers };
        let agreed = Some(Arc::new(Agreed::new(system, &plan, identity)?));
        let myself = Myself { hello, dc: identity.dc().into(), agreed };
        let clock = Clock::start();
        let node = ServerNode::new(plan, server, clock.now(), options)?;
        let endpoint = settings::listen(bind, &credentials)?;
        let address = endpoint.local_addr().map_err(|error| start_failed(&error))?;
        // One connection per pair of processes: the later server calls.
        peers.retain(|(other, _)| *other < server);
        let dialing = Dialing::new(&credentials)?;
        let (identity, judge) = (identity.clone(), credentials.judge()?);
        Ok(Self { node, endpoint, address, clock, identity, judge, dialing, myself, peers })
    }

    /// `None` when its loop has panicked.
    async fn run(self, stop: Arc<Stop>, started: Started) -> Option<ServerNode> {
        let Self { node, endpoint, address, clock, identity, judge, dialing, myself, peers } = self;
        let notify = Arc::clone(&stop.notify);
        let given = node.plan().version();
        let (pump, inbox) = Pump::new(Serving { node, given, stop }, clock, notify);
        let (tally, lost) = (Arc::<Tally>::default(), pump.lost());
        let handle = ServerHandle {
            identity,
            orders: inbox.control.clone(),
            endpoint: endpoint.clone(),
            dialing: Arc::clone(&dialing),
            tally: Arc::clone(&tally),
        };
        // Whoever started the server may be gone; then it stops at once.
        drop(started.send(Ok((address, handle))));
        for (server, address) in peers {
            let dialer = Dialer::new(&endpoint, &dialing, (Peer::Server(server), address), &tally);
            let (myself, inbox) = (myself.clone(), inbox.clone());
            let caller = Caller { dialer: Arc::new(dialer), myself, inbox };
            let mut told = None;
            tokio::spawn(caller.run(move |outcome| {
                let refused = outcome.err().filter(|it| matches!(it, Refused { .. }));
                // Once, not every time that it is tried again.
                if let Some(error) = refused.as_ref().filter(|_| refused != told) {
                    tracing::warn!(%error, "no connection to this server");
                }
                told = refused;
            }));
        }
        let refusals = Arc::default();
        let pace = tokio::sync::Mutex::new(Pace::new(limits::HANDSHAKES_PER_SECOND_MAX));
        let places = Arc::new(Semaphore::new(limits::PEERS_MAX));
        let host = Arc::new(Host { myself, inbox, refusals, tally, lost, pace, places });
        tokio::spawn(answer_calls(endpoint.clone(), host));
        // As a task: the future that a runtime blocks on is polled by way of its sockets.
        let served = tokio::spawn(pump.judged(judge).run()).await.ok();
        let (serving, links) = served.unzip();
        // Where as much is under way as may be, QUIC holds back the end of a connection, too, and
        // never sends it: peers that answer have heard before. One that is gone is not waited for.
        let heard = async {
            for link in links.iter().flatten() {
                link.gone().await;
            }
        };
        let _ = timeout(limits::FAREWELL_MAX, heard).await;
        endpoint.close(Close::Finished.code(), b"the server stops");
        // Long enough for the farewell to leave.
        let _ = timeout(limits::FAREWELL_MAX, endpoint.wait_idle()).await;
        serving.map(|serving| serving.node)
    }
}

/// Answers calls, as many at a time and as fast as is fair to those who are connected. What comes
/// faster waits where it costs little, and is refused where there is no room: a caller tries again.
async fn answer_calls(endpoint: quinn::Endpoint, host: Arc<Host>) {
    let meetings = Arc::new(Semaphore::new(limits::HANDSHAKES_MAX));
    let mut pace = Pace::new(limits::HANDSHAKES_PER_SECOND_MAX);
    while let Some(incoming) = endpoint.accept().await {
        pace.step().await;
        let Ok(place) = Arc::clone(&meetings).acquire_owned().await else { return };
        // Under load only those are met who can be reached at the address that they name.
        let crowded = meetings.available_permits() < limits::HANDSHAKES_MAX / 2;
        if crowded && !incoming.remote_address_validated() {
            // Who cannot be asked to come again has come again.
            drop(incoming.retry());
            continue;
        }
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            answer_call(incoming, &host).await;
            drop(place);
        });
    }
}
