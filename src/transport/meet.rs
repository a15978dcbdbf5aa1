//! How two processes meet: the handshake, the hellos, and what is checked on each side.

use std::net::SocketAddr;

use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::carrier::{Attached, Carrier};
use super::hello::Hello;
use super::identity::{Identity, Role, role_name};
use super::inbox::Inbox;
use super::link::{Begun, Close, Link};
use super::lives::Lost;
use super::pace::Pace;
use super::pump::started_again;
use super::refusals::Refusals;
use super::stream::{self, Broken};
use super::system::Agreed;
use super::tally::Tally;
use crate::error::TransportError;
use crate::limits::HANDSHAKE_MAX;
use crate::node::{Peer, Stream};
use crate::sync::Arc;

/// Who this process is, to those it meets.
#[derive(Clone, Debug)]
pub(super) struct Myself {
    /// What workers say, and what they are told.
    pub(super) hello: Hello,
    /// Its own data centre: that of all peers, unless it is a server among several.
    pub(super) dc: String,
    /// What servers agree on; `None` of a worker.
    pub(super) agreed: Option<Arc<Agreed>>,
}

impl Myself {
    /// What is said to a peer, and expected of it. Servers agree on more than workers know.
    fn hello_to(&self, peer: Peer) -> Hello {
        match (&self.agreed, peer) {
            (Some(agreed), Peer::Server(_)) => Hello { servers: agreed.digest, ..self.hello },
            _ => self.hello,
        }
    }

    /// The data centre that a peer has to be of.
    fn data_centre_of(&self, peer: Peer) -> Result<&str, String> {
        self.agreed.as_ref().map_or(Ok(self.dc.as_str()), |agreed| agreed.data_centre_of(peer))
    }
}

/// What receives those who call.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) myself: Myself,
    pub(super) inbox: Inbox,
    pub(super) refusals: Arc<Refusals>,
    pub(super) tally: Arc<Tally>,
    pub(super) lost: Arc<Lost>,
    /// Of the links that others begin.
    pub(super) pace: tokio::sync::Mutex<Pace>,
    /// A place for each connection that others make.
    pub(super) places: Arc<Semaphore>,
}

/// A stream of control before its link begins. Dropped, it says that there will be none.
struct Greeting(Option<SendStream>);

impl Drop for Greeting {
    fn drop(&mut self) {
        if let Some(mut sender) = self.0.take() {
            // A stream that has ended needs no reason. It must not be taken for a farewell: the
            // node may have a link already, or try again.
            let _ = sender.reset(Close::Replaced.code());
        }
    }
}

/// Calls a server.
pub(super) async fn call(
    endpoint: &quinn::Endpoint,
    config: quinn::ClientConfig,
    (expected, address): (Peer, SocketAddr),
) -> Result<Connection, TransportError> {
    let connecting = endpoint.connect_with(config, address, &role_name(Role::Server));
    let connecting =
        connecting.map_err(|error| unreachable(expected, address, &error.to_string()))?;
    match timeout(HANDSHAKE_MAX, connecting).await {
        Err(_elapsed) => Err(unreachable(expected, address, NO_ANSWER)),
        Ok(Err(error)) => Err(failed(expected, address, &error)),
        Ok(Ok(connection)) => Ok(connection),
    }
}

/// Says hello to a server over a connection to it, for one node of this process.
pub(super) async fn introduce(
    mut attached: Attached,
    expected: Peer,
    myself: &Myself,
    inbox: &Inbox,
) -> Result<Arc<Link>, TransportError> {
    let carrier = Arc::clone(&attached.carrier);
    let connection = carrier.connection();
    let address = connection.remote_address();
    let mut greeting = Greeting(None);
    let met = timeout(HANDSHAKE_MAX, async {
        let sender = greeting.0.insert(connection.open_uni().await?);
        if greet(sender, attached.number, myself.hello_to(expected)).await.is_err() {
            return Err(connection.closed().await);
        }
        answer(connection, &mut attached).await
    });
    let answer = match met.await {
        Err(_elapsed) => return Err(unreachable(expected, address, NO_ANSWER)),
        Ok(Err(error)) => return Err(failed(expected, address, &error)),
        Ok(Ok(met)) => met,
    };
    let refuse = |reason| refuse(&carrier, expected.to_string(), reason);
    let (hello, receiver, early) = answer.map_err(|broken| match broken {
        Broken::Farewell(why) => unreachable(expected, address, why.words()),
        _ => refuse(reason_of(&broken)),
    })?;
    let role = check(connection, myself, hello).map_err(refuse)?;
    if hello.peer != expected {
        return Err(refuse(format!("expected {expected}, found {}", hello.peer)));
    }
    let sender = greeting.0.take().ok_or_else(|| unreachable(expected, address, NO_ANSWER))?;
    let begun = Begun { control: (sender, receiver), early };
    Ok(Link::start((hello, role), attached, begun, inbox))
}

/// Answers a call; returns when somebody has said hello, or that time is over.
pub(super) async fn answer_call(incoming: quinn::Incoming, host: &Arc<Host>) {
    let address = incoming.remote_address();
    let unreachable = |problem: &str| unreachable("somebody", address, problem);
    let Ok(place) = Arc::clone(&host.places).try_acquire_owned() else {
        incoming.refuse();
        return host.refusals.tell(&unreachable("as many connections as there may be"));
    };
    match timeout(HANDSHAKE_MAX, incoming).await {
        Ok(Ok(connection)) => Carrier::called(connection, place, Arc::clone(host)).used().await,
        Ok(Err(error)) => host.refusals.tell(&unreachable(&error.to_string())),
        Err(_elapsed) => {
            host.refusals.tell(&unreachable("the handshake has not ended in time"));
        },
    }
}

/// Hears the hello of a node of a process that has called, and answers it.
pub(super) async fn welcome(
    carrier: &Arc<Carrier>,
    number: u64,
    mut receiver: RecvStream,
    host: &Host,
) -> Result<(), TransportError> {
    let connection = carrier.connection();
    let address = connection.remote_address();
    let refuse_as = |who: String, reason| refuse(carrier, format!("{who} at {address}"), reason);
    let refuse_stranger = |reason: &str| refuse_as("somebody".into(), reason.into());
    let until = Instant::now() + HANDSHAKE_MAX;
    let hello = match timeout_at(until, stream::hello(&mut receiver)).await {
        Err(_elapsed) => return Err(refuse_stranger("no hello in time")),
        // Whoever it was has changed its mind.
        Ok(Err(Broken::Farewell(_))) => return Ok(()),
        Ok(Err(broken)) => return Err(refuse_stranger(&reason_of(&broken))),
        Ok(Ok(hello)) => hello,
    };
    let refuse = |reason| refuse_as(hello.peer.to_string(), reason);
    let role = check(connection, &host.myself, hello).map_err(refuse)?;
    if let (Peer::Worker(_), Some(server)) = (hello.peer, host.lost.server()) {
        return Err(refuse(started_again(server)));
    }
    let greeted = timeout_at(until, async {
        let mut sender = connection.open_uni().await.ok()?;
        // A peer that wants no answer any more has ended the stream; its own says why.
        let myself = host.myself.hello_to(hello.peer);
        greet(&mut sender, number, myself).await.ok().map(|()| sender)
    });
    let sender = match greeted.await {
        Err(_elapsed) => return Err(refuse("no room for a hello in time".into())),
        Ok(None) => return Ok(()),
        Ok(Some(sender)) => sender,
    };
    let Some(attached) = carrier.attach(number, hello.peer) else {
        drop(Greeting(Some(sender)));
        let (peer, problem) = (hello.peer, "as many links as a connection may have");
        return Err(unreachable(peer, address, problem));
    };
    let begun = Begun { control: (sender, receiver), early: Vec::new() };
    Link::start((hello, role), attached, begun, &host.inbox);
    Ok(())
}

/// Opens this side's control stream.
async fn greet(
    sender: &mut SendStream,
    number: u64,
    hello: Hello,
) -> Result<(), quinn::WriteError> {
    stream::begin(sender, (number, Stream::Control)).await?;
    sender.write_all(&hello.encode()).await
}

type Answered = Result<(Hello, RecvStream, Vec<(Stream, RecvStream)>), Broken>;

/// The other side's control stream and its hello, and the streams of data that came before it.
async fn answer(
    connection: &Connection,
    attached: &mut Attached,
) -> Result<Answered, ConnectionError> {
    let mut early = Vec::new();
    let mut receiver = loop {
        match attached.streams.recv().await {
            Some((Stream::Control, receiver)) => break receiver,
            Some(data) => early.push(data),
            None => return Err(connection.closed().await),
        }
    };
    match stream::hello(&mut receiver).await {
        Err(Broken::Connection) => Err(connection.closed().await),
        Err(broken) => Ok(Err(broken)),
        Ok(hello) => Ok(Ok((hello, receiver, early))),
    }
}

/// Whether the certificate allows what the hello says; the role that it names.
fn check(connection: &Connection, myself: &Myself, hello: Hello) -> Result<Role, String> {
    let identity = identity(connection).map_err(|error| error.to_string())?;
    let role = identity.role();
    let (needed, fits) = match hello.peer {
        Peer::Server(_) => ("server", role == Role::Server),
        Peer::Worker(_) => ("worker or operator", matches!(role, Role::Worker | Role::Operator)),
    };
    if !fits {
        return Err(format!("role {needed} needed, the certificate is for {identity}"));
    }
    let (expected, found) = (myself.data_centre_of(hello.peer)?, identity.dc());
    if found != expected {
        return Err(format!("data centre {expected} expected, the certificate is for {found}"));
    }
    let (expected, found) = (myself.hello_to(hello.peer).servers, hello.servers);
    if found != expected {
        let both_serve = myself.agreed.is_some() && matches!(hello.peer, Peer::Server(_));
        let (lists, whom, what) = match both_serve {
            true => ("servers, data centres or tables", "servers", "lists"),
            false => ("servers", "processes", "servers, with the same numbers"),
        };
        return Err(format!(
            "the lists of {lists} differ ({expected:032x} here, {found:032x} there): give all \
             {whom} the same {what}"
        ));
    }
    Ok(role)
}

fn identity(connection: &Connection) -> Result<Identity, TransportError> {
    let shown = certificates(connection);
    let first = shown.first().ok_or_else(|| TransportError::Identity {
        expected: "a certificate",
        found: "none".into(),
    })?;
    Identity::of_certificate(first)
}

/// The certificates that the peer has shown, its own first.
pub(super) fn certificates(connection: &Connection) -> Vec<CertificateDer<'static>> {
    let shown = connection.peer_identity().and_then(|shown| shown.downcast().ok());
    shown.map(|shown| *shown).unwrap_or_default()
}

fn refuse(carrier: &Carrier, peer: String, reason: String) -> TransportError {
    carrier.close(Close::Refused, &reason);
    TransportError::Refused { peer, reason }
}

/// A peer that circumstances keep from being reached.
pub(super) fn unreachable(
    peer: impl ToString,
    address: SocketAddr,
    problem: &str,
) -> TransportError {
    let (peer, address, problem) = (peer.to_string(), address.to_string(), problem.into());
    TransportError::Unreachable { peer, address, problem }
}

const NO_ANSWER: &str = "no answer to the handshake";

fn reason_of(broken: &Broken) -> String {
    match broken {
        Broken::Connection => "the connection ended".into(),
        Broken::Farewell(_) => "the link ended".into(),
        Broken::Peer(error) => error.to_string(),
    }
}

/// Why a call failed, or the connection ended: the other side's refusal, or circumstances.
pub(super) fn failed(peer: Peer, address: SocketAddr, error: &ConnectionError) -> TransportError {
    let refused = |reason: String| TransportError::Refused { peer: peer.to_string(), reason };
    match error {
        ConnectionError::ApplicationClosed(close)
            if Close::of(close.error_code) == Some(Close::Refused) =>
        {
            refused(String::from_utf8_lossy(&close.reason).into_owned())
        },
        ConnectionError::TransportError(inner) if is_crypto(u64::from(inner.code)) => {
            refused(error.to_string())
        },
        ConnectionError::ConnectionClosed(close) if is_crypto(u64::from(close.error_code)) => {
            refused(error.to_string())
        },
        _ => unreachable(peer, address, &error.to_string()),
    }
}

/// Whether a QUIC error code carries a TLS alert.
fn is_crypto(code: u64) -> bool {
    (0x100..0x200).contains(&code)
}
