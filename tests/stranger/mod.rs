//! A peer that keeps to TLS and QUIC and to nothing else: it says what it likes on streams of its
//! own, and reads only what it wants to.

// Each test file uses a part.
#![allow(dead_code, reason = "shared by several test files, each of which uses a part")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use archipelago::id::ServerId;
use archipelago::node::{Peer, Plan, Registry};
use archipelago::sync::Arc;
use archipelago::transport::{HELLO_BYTES, Hello};
use archipelago::wire::{self, HEADER_BYTES, Message};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::sync::oneshot;
use tokio::time::{Duration, timeout};

const SERVER_NAME: &str = "server.role.archipelago";
const PROTOCOL: &[u8] = b"archipelago/1";
const CONTROL: u8 = 0;
/// Beyond a handshake that is waited for in vain.
const FAREWELL_MAX: Duration = Duration::from_secs(20);
/// Of a stream: its number, and its link.
const NAME_BYTES: usize = 1 + 8;

/// What a stranger shows and believes, as PEM texts.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) authority: String,
    /// Certificate and key; none to show nothing.
    pub(crate) pair: Option<[String; 2]>,
}

/// A stranger's endpoint.
pub(crate) fn endpoint(shown: &Shown) -> Endpoint {
    let mut endpoint = Endpoint::client((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    endpoint.set_default_client_config(calling(shown));
    endpoint
}

fn calling(shown: &Shown) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(shown.authority.as_bytes()) {
        roots.add(root.unwrap()).unwrap();
    }
    let believes = rustls::ClientConfig::builder().with_root_certificates(roots);
    let mut tls = match &shown.pair {
        None => believes.with_no_client_auth(),
        Some([certificate, key]) => {
            let chain = CertificateDer::pem_slice_iter(certificate.as_bytes());
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            believes.with_client_auth_cert(chain.map(Result::unwrap).collect(), key).unwrap()
        },
    };
    tls.alpn_protocols = vec![PROTOCOL.to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()))
}

/// A connection on which TLS has succeeded, and nothing was said.
pub(crate) async fn connect(endpoint: &Endpoint, to: SocketAddr) -> Connection {
    endpoint.connect(to, SERVER_NAME).unwrap().await.unwrap()
}

/// The same, with settings of QUIC.
pub(crate) async fn connect_by(
    endpoint: &Endpoint,
    to: SocketAddr,
    shown: &Shown,
    settings: TransportConfig,
) -> Connection {
    let mut config = calling(shown);
    config.transport_config(Arc::new(settings));
    endpoint.connect_with(config, to, SERVER_NAME).unwrap().await.unwrap()
}

/// Says hello as a worker of a cluster of one server; the control streams, past the hellos.
pub(crate) async fn greet(connection: &Connection, token: u64) -> (SendStream, RecvStream) {
    let sender = hello(connection, token).await;
    let name = name(token, CONTROL);
    loop {
        let mut receiver = connection.accept_uni().await.unwrap();
        let mut found = [0; NAME_BYTES];
        // Streams of other links are nobody's here.
        if receiver.read_exact(&mut found).await.is_ok() && found == name {
            receiver.read_exact(&mut [0; HELLO_BYTES]).await.unwrap();
            return (sender, receiver);
        }
    }
}

fn name(link: u64, number: u8) -> [u8; NAME_BYTES] {
    let mut name = [number; NAME_BYTES];
    name[1..].copy_from_slice(&link.to_le_bytes());
    name
}

/// Says hello, and does not hear the answer.
pub(crate) async fn hello(connection: &Connection, token: u64) -> SendStream {
    let plan = Plan::new(&[ServerId(0)], Vec::new(), &[], &Registry::built_in()).unwrap();
    let hello = Hello { peer: Peer::Worker(token), life: token, servers: plan.digest() };
    let mut sender = stream(connection, (token, CONTROL)).await;
    sender.write_all(&hello.encode()).await.unwrap();
    sender
}

/// A stream that names its link and itself.
pub(crate) async fn stream(connection: &Connection, (link, number): (u64, u8)) -> SendStream {
    let mut sender = connection.open_uni().await.unwrap();
    sender.write_all(&name(link, number)).await.unwrap();
    sender
}

pub(crate) async fn say(sender: &mut SendStream, message: &Message) {
    let mut frame = Vec::new();
    wire::encode(message, &mut frame).unwrap();
    sender.write_all(&frame).await.unwrap();
}

/// The next message of a stream.
pub(crate) async fn hear(receiver: &mut RecvStream) -> Message {
    let mut frame = vec![0; HEADER_BYTES];
    receiver.read_exact(&mut frame).await.unwrap();
    let bytes = wire::payload_bytes(frame.first_chunk().unwrap()).unwrap();
    frame.resize(HEADER_BYTES + bytes, 0);
    receiver.read_exact(&mut frame[HEADER_BYTES..]).await.unwrap();
    wire::decode(&frame).unwrap()
}

/// The other side closes the connection, for a reason that has these words.
pub(crate) async fn shown_out(connection: &Connection, words: &str) {
    let reason = farewell(connection).await;
    assert!(reason.contains(words), "{words:?} in {reason:?}");
}

/// Why the other side has closed the connection; waits for it, but not for ever.
async fn farewell(connection: &Connection) -> String {
    let closed = timeout(FAREWELL_MAX, connection.closed()).await;
    match closed.expect("the other side closes the connection") {
        ConnectionError::ApplicationClosed(close) => {
            String::from_utf8_lossy(&close.reason).into_owned()
        },
        other => other.to_string(),
    }
}

/// Strangers on a thread of their own, whose connections are kept alive; dropped, they go.
pub(crate) struct Strangers {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Strangers {
    /// Runs what they do, and returns when that is done; what it has made lives on until the drop.
    pub(crate) fn start<T>(body: impl AsyncFnOnce() -> T + Send + 'static) -> Self {
        let (stop, stopped) = oneshot::channel::<()>();
        let (tell, told) = mpsc::channel();
        let thread = thread::spawn(move || {
            run(async {
                let kept = body().await;
                tell.send(()).unwrap();
                // The sender's end is a word, too.
                drop(stopped.await);
                drop(kept);
            });
        });
        told.recv().expect("the strangers have done what they wanted");
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Strangers {
    fn drop(&mut self) {
        drop(self.stop.take());
        drop(self.thread.take().map(JoinHandle::join));
    }
}

/// Runs a stranger's life on this thread.
pub(crate) fn run<T>(life: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(life)
}
