//! How two processes meet: the handshake, the hellos, and what is checked on each side.

use std::net::SocketAddr;

use quinn::{Connection, ConnectionError, RecvStream, SendStream};
use rustls::pki_types::CertificateDer;
use tokio::time::{Instant, timeout, timeout_at};

use super::hello::Hello;
use super::identity::{Identity, Role, role_name};
use super::link::{Close, Inbox, Link};
use super::stream::{self, Broken};
use crate::error::TransportError;
use crate::limits;
use crate::node::{Peer, Stream};
use crate::sync::Arc;

/// Who this process is, to those it meets.
#[derive(Clone, Debug)]
pub(super) struct Myself {
    pub(super) hello: Hello,
    pub(super) dc: String,
}

/// Calls a server and says hello.
pub(super) async fn call(
    endpoint: &quinn::Endpoint,
    address: SocketAddr,
    expected: Peer,
    myself: &Myself,
    inbox: &Inbox,
) -> Result<Arc<Link>, TransportError> {
    let unreachable = |problem: String| TransportError::Unreachable {
        peer: expected.to_string(),
        address: address.to_string(),
        problem,
    };
    let connecting = endpoint.connect(address, &role_name(Role::Server));
    let connecting = connecting.map_err(|error| unreachable(error.to_string()))?;
    let met = timeout(limits::HANDSHAKE_MAX, async {
        let connection = connecting.await?;
        let mut sender = connection.open_uni().await?;
        if greet(&mut sender, myself).await.is_err() {
            return Err(connection.closed().await);
        }
        let answer = answer(&connection).await?;
        Ok((connection, sender, answer))
    });
    let (connection, sender, answer) = match met.await {
        Err(_elapsed) => return Err(unreachable("no answer to the handshake".into())),
        Ok(Err(error)) => return Err(failed(expected, address, &error)),
        Ok(Ok(met)) => met,
    };
    let refuse = |reason| refuse(&connection, expected.to_string(), reason);
    let (hello, receiver) = answer.map_err(|broken| refuse(reason_of(&broken)))?;
    let checked = check(&connection, myself, hello).and_then(|role| {
        let (found, expected) = (hello.peer, expected);
        (found == expected)
            .then_some(role)
            .ok_or_else(|| format!("expected {expected}, found {found}"))
    });
    match checked {
        Ok(role) => Ok(Link::start((hello, role), connection, (sender, receiver), inbox)),
        Err(reason) => Err(refuse(reason)),
    }
}

/// Answers a call.
pub(super) async fn answer_call(
    incoming: quinn::Incoming,
    myself: &Myself,
    inbox: &Inbox,
) -> Result<Arc<Link>, TransportError> {
    let address = incoming.remote_address();
    let stranger = || format!("somebody at {address}");
    let unreachable = |problem: String| TransportError::Unreachable {
        peer: "somebody".into(),
        address: address.to_string(),
        problem,
    };
    let until = Instant::now() + limits::HANDSHAKE_MAX;
    let connection = match timeout_at(until, incoming).await {
        Err(_elapsed) => return Err(unreachable("the handshake has not ended in time".into())),
        Ok(connected) => connected.map_err(|error| unreachable(error.to_string()))?,
    };
    let (hello, receiver) = match timeout_at(until, answer(&connection)).await {
        Err(_elapsed) => return Err(refuse(&connection, stranger(), "no hello in time".into())),
        Ok(Err(error)) => return Err(unreachable(error.to_string())),
        Ok(Ok(Err(broken))) => return Err(refuse(&connection, stranger(), reason_of(&broken))),
        Ok(Ok(Ok(said))) => said,
    };
    let role = match check(&connection, myself, hello) {
        Ok(role) => role,
        Err(reason) => {
            return Err(refuse(&connection, format!("{} at {address}", hello.peer), reason));
        },
    };
    let greeted = async {
        let mut sender = connection.open_uni().await.map_err(|error| error.to_string())?;
        greet(&mut sender, myself).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(sender)
    };
    let sender = match timeout_at(until, greeted).await {
        Err(_elapsed) => {
            return Err(refuse(&connection, stranger(), "no room for a hello in time".into()));
        },
        Ok(greeted) => greeted.map_err(unreachable)?,
    };
    Ok(Link::start((hello, role), connection, (sender, receiver), inbox))
}

/// Opens this side's control stream.
async fn greet(sender: &mut SendStream, myself: &Myself) -> Result<(), quinn::WriteError> {
    stream::begin(sender, Stream::Control).await?;
    sender.write_all(&myself.hello.encode()).await
}

type Answered = Result<(Hello, RecvStream), Broken>;

/// The other side's control stream and its hello.
async fn answer(connection: &Connection) -> Result<Answered, ConnectionError> {
    let mut receiver = connection.accept_uni().await?;
    let hello = async {
        let stream = stream::begun(&mut receiver).await?;
        if stream != Stream::Control {
            return Err(Broken::Peer(crate::error::FrameError::Malformed {
                field: "first stream of a connection",
                found: 1,
            }));
        }
        stream::hello(&mut receiver).await
    };
    match hello.await {
        Err(Broken::Connection) => Err(connection.closed().await),
        Err(broken) => Ok(Err(broken)),
        Ok(hello) => Ok(Ok((hello, receiver))),
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
    if identity.dc() != myself.dc {
        let (expected, found) = (&myself.dc, identity.dc());
        return Err(format!("data centre {expected} expected, the certificate is for {found}"));
    }
    if hello.servers != myself.hello.servers {
        let (expected, found) = (myself.hello.servers, hello.servers);
        return Err(format!(
            "the lists of servers differ ({expected:032x} here, {found:032x} there): give all \
             processes the same servers"
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

fn refuse(connection: &Connection, peer: String, reason: String) -> TransportError {
    connection.close(Close::Refused.code(), reason.as_bytes());
    TransportError::Refused { peer, reason }
}

fn reason_of(broken: &Broken) -> String {
    match broken {
        Broken::Connection => "the connection ended".into(),
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
        _ => TransportError::Unreachable {
            peer: peer.to_string(),
            address: address.to_string(),
            problem: error.to_string(),
        },
    }
}

/// Whether a QUIC error code carries a TLS alert.
fn is_crypto(code: u64) -> bool {
    (0x100..0x200).contains(&code)
}
