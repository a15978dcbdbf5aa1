//! The limit: quinn alone, with the settings of the store. The sender copies from an array of
//! 64 MiB into its streams, the receiver adds to or copies into one of the same size.
//!
//! A request is 9 bytes: 0 for a push or 1 for a pull, and a length. A push's bytes follow; its
//! answer is one byte. A pull's answer is its bytes.

use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use archipelago::sync::{Arc, Mutex};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    Connection, Endpoint, EndpointConfig, MtuDiscoveryConfig, RecvStream, SendStream, TokioRuntime,
    TransportConfig, VarInt,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::runtime::Runtime;

use crate::authority::Authority;
use crate::child::{Process, Role, wait_for_end};
use crate::race::{Contestant, Outcome};

/// What is sent from and received into.
const ARRAY_BYTES: usize = 64 << 20;
/// Of the most streams that a client uses.
const STREAMS_MAX: u32 = 8;
const PUSH: u8 = 0;
const PULL: u8 = 1;
/// As in the store; see there why.
const DATAGRAM_BYTES: u16 = 6_500;
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 64 << 20;
const SOCKET_BUFFER_BYTES: usize = 4 << 20;

/// In a process of its own: tells where it listens, serves until `input` ends.
pub(crate) fn serve(
    [_, certificate, key]: [&str; 3],
    tell: impl FnOnce(SocketAddr) -> Outcome,
    input: impl Read,
) -> Outcome {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).collect::<Result<_, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())?;
    let tls = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    let crypto = QuicServerConfig::try_from(tls)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(settings()));
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Outcome {
        runtime()?.block_on(async {
            let endpoint = endpoint(Some(config))?;
            told.send(endpoint.local_addr()?)?;
            while let Some(incoming) = endpoint.accept().await {
                tokio::spawn(follow(incoming.await?));
            }
            Ok(())
        })
    });
    tell(address.recv()?)?;
    wait_for_end(input)
}

async fn follow(connection: Connection) {
    let array = Arc::new(Mutex::new(vec![0.0_f32; ARRAY_BYTES / size_of::<f32>()]));
    while let Ok((sender, receiver)) = connection.accept_bi().await {
        let array = Arc::clone(&array);
        tokio::spawn(async move {
            // An error is the end of the connection.
            drop(answer(sender, receiver, &array).await);
        });
    }
}

async fn answer(
    mut sender: SendStream,
    mut receiver: RecvStream,
    array: &Mutex<Vec<f32>>,
) -> Outcome {
    let copy = array.lock().clone();
    let copy: &[u8] = bytemuck::cast_slice(&copy);
    loop {
        let mut head = [0; 9];
        receiver.read_exact(&mut head).await?;
        let bytes = u64::from_le_bytes(head[1..].try_into()?) as usize;
        if head[0] == PUSH {
            receive(&mut receiver, bytes, array, |y, x| *y += x).await?;
            sender.write_all(&[0]).await?;
        } else {
            send(&mut sender, bytes, copy).await?;
        }
    }
}

/// Writes `bytes` bytes out of an array, again from its start where it ends.
async fn send(sender: &mut SendStream, bytes: usize, array: &[u8]) -> Outcome {
    let mut left = bytes;
    while left > 0 {
        let part = left.min(array.len());
        sender.write_all(&array[..part]).await?;
        left -= part;
    }
    Ok(())
}

/// Takes `bytes` bytes as they come into an array, likewise.
async fn receive(
    receiver: &mut RecvStream,
    bytes: usize,
    array: &Mutex<Vec<f32>>,
    put: impl Fn(&mut f32, f32) + Copy,
) -> Outcome {
    let (mut left, mut at) = (bytes, 0);
    // The beginning of an element whose end has not come.
    let (mut cut, mut held) = ([0; 4], 0);
    while left > 0 {
        let chunk = receiver.read_chunk(left, true).await?.ok_or("a stream has ended early")?;
        left -= chunk.bytes.len();
        let mut bytes = &chunk.bytes[..];
        let mut array = array.lock();
        if held > 0 {
            let part = bytes.len().min(4 - held);
            cut[held..held + part].copy_from_slice(&bytes[..part]);
            (held, bytes) = (held + part, &bytes[part..]);
            if held == 4 {
                (at, held) = (add(&mut array, at, &[cut], put), 0);
            }
        }
        let (whole, rest) = bytes.as_chunks();
        at = add(&mut array, at, whole, put);
        if !rest.is_empty() {
            cut[..rest.len()].copy_from_slice(rest);
            held = rest.len();
        }
    }
    Ok(())
}

fn add(
    array: &mut [f32],
    mut at: usize,
    mut elements: &[[u8; 4]],
    put: impl Fn(&mut f32, f32),
) -> usize {
    while !elements.is_empty() {
        at %= array.len();
        let part = elements.len().min(array.len() - at);
        let (now, later) = elements.split_at(part);
        for (y, x) in array[at..at + part].iter_mut().zip(now) {
            put(y, f32::from_le_bytes(*x));
        }
        (at, elements) = (at + part, later);
    }
    at
}

/// A client with a connection, its streams and its thread, which is the caller's.
pub(crate) struct Client {
    runtime: Runtime,
    _endpoint: Endpoint,
    streams: Vec<(SendStream, RecvStream)>,
    array: Mutex<Vec<f32>>,
    source: Vec<f32>,
    _process: Process,
}

impl Client {
    /// Starts a server process and connects to it with so many streams.
    pub(crate) fn start(streams: u32) -> Outcome<Self> {
        let authority = Authority::new();
        let process = Process::start(Role::Bare, &authority)?;
        let mut roots = rustls::RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority.pem().as_bytes()) {
            roots.add(root?)?;
        }
        let tls =
            rustls::ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
        let crypto = QuicClientConfig::try_from(tls)?;
        let mut config = quinn::ClientConfig::new(Arc::new(crypto));
        config.transport_config(Arc::new(settings()));
        let runtime = runtime()?;
        let (endpoint, streams) = runtime.block_on(async {
            let endpoint = endpoint(None)?;
            let name = "server.role.archipelago";
            let connection = endpoint.connect_with(config, process.address, name)?.await?;
            let mut opened = Vec::new();
            for _ in 0..streams.min(STREAMS_MAX) {
                opened.push(connection.open_bi().await?);
            }
            Outcome::Ok((endpoint, opened))
        })?;
        let array = vec![0.0_f32; ARRAY_BYTES / size_of::<f32>()];
        Ok(Self {
            runtime,
            _endpoint: endpoint,
            streams,
            source: array.clone(),
            array: Mutex::new(array),
            _process: process,
        })
    }

    /// The one or the other, as a contestant.
    pub(crate) fn call(&mut self, push: bool, bytes: usize) -> Contestant<'_> {
        match push {
            true => Box::new(move || self.push(bytes)),
            false => Box::new(move || self.pull(bytes)),
        }
    }

    /// Sends that many bytes, and waits until they were added.
    pub(crate) fn push(&mut self, bytes: usize) -> Outcome {
        let Self { runtime, streams, source, .. } = self;
        let source: &[u8] = bytemuck::cast_slice(source);
        let parts = parts(bytes, streams.len());
        runtime.block_on(all(streams.iter_mut().zip(parts), async |stream, part| {
            stream.0.write_all(&head(PUSH, part)).await?;
            send(&mut stream.0, part, source).await?;
            Ok(stream.1.read_exact(&mut [0]).await?)
        }))
    }

    /// Receives that many bytes into the array.
    pub(crate) fn pull(&mut self, bytes: usize) -> Outcome {
        let Self { runtime, streams, array, .. } = self;
        let parts = parts(bytes, streams.len());
        runtime.block_on(all(streams.iter_mut().zip(parts), async |stream, part| {
            stream.0.write_all(&head(PULL, part)).await?;
            receive(&mut stream.1, part, array, |y, x| *y = x).await
        }))
    }
}

/// Runs one future a stream at the same time, on this thread.
async fn all<'a, F>(
    streams: impl Iterator<Item = (&'a mut (SendStream, RecvStream), usize)>,
    work: F,
) -> Outcome
where
    F: AsyncFn(&'a mut (SendStream, RecvStream), usize) -> Outcome,
{
    let mut futures: Vec<_> = streams
        .filter(|(_, part)| *part > 0)
        .map(|(stream, part)| Some(Box::pin(work(stream, part))))
        .collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for slot in &mut futures {
            let Some(future) = slot else { continue };
            match future.as_mut().poll(context) {
                std::task::Poll::Ready(Ok(())) => *slot = None,
                std::task::Poll::Ready(failed) => return std::task::Poll::Ready(failed),
                std::task::Poll::Pending => pending = true,
            }
        }
        if pending { std::task::Poll::Pending } else { std::task::Poll::Ready(Ok(())) }
    })
    .await
}

/// Whole elements for each stream; small requests go over one.
fn parts(bytes: usize, streams: usize) -> impl Iterator<Item = usize> {
    let each = bytes.div_ceil(streams).next_multiple_of(4).max(64 << 10);
    (0..streams).map(move |stream| bytes.saturating_sub(stream * each).min(each))
}

fn head(what: u8, bytes: usize) -> [u8; 9] {
    let mut head = [what; 9];
    head[1..].copy_from_slice(&(bytes as u64).to_le_bytes());
    head
}

fn runtime() -> Outcome<Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn endpoint(server: Option<quinn::ServerConfig>) -> Outcome<Endpoint> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(DATAGRAM_BYTES)?;
    Ok(Endpoint::new(config, server, UdpSocket::from(socket), Arc::new(TokioRuntime))?)
}

fn settings() -> TransportConfig {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(DATAGRAM_BYTES);
    let mut config = TransportConfig::default();
    config
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_concurrent_bidi_streams(VarInt::from_u32(STREAMS_MAX))
        .keep_alive_interval(Some(Duration::from_secs(2)))
        .mtu_discovery_config(Some(mtu));
    config
}
