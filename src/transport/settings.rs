//! Settings of QUIC and its socket. Each stands with its reason; figures are from measurements
//! with quinn 0.11 on Linux.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{
    EndpointConfig, IdleTimeout, MtuDiscoveryConfig, TokioRuntime, TransportConfig, VarInt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::tls::Credentials;
use crate::error::TransportError;
use crate::limits;
use crate::node::DATA_STREAMS;
use crate::sync::Arc;
use crate::time::Duration;

/// A stream whose window is larger can close its whole connection: quinn gives up on a stream that
/// has received more than 1024 separate pieces, which loss on a long link makes of a large window.
/// Bandwidth comes from many streams.
const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Of a connection that is new; then it gets its share (`share`). 16 MiB hold 1 Gbit/s for 130 ms.
const CONNECTION_WINDOW_BYTES: u32 = limits::PEER_SHARE_BYTES_MAX as u32;
/// The largest datagram looked for. quinn sends ten at a time; above 6550 bytes ten of them exceed
/// what UDP can carry, the kernel refuses the batch and the connection falls to 1200 for good.
const DATAGRAM_BYTES_MAX: u16 = 6_500;
/// The least size of a datagram that QUIC allows.
const DATAGRAM_BYTES_MIN: u32 = 1_200;
/// Pieces of one stream at which quinn closes the connection.
const STREAM_PIECES_MAX: u32 = 1_024;
/// Streams that a peer may open: those of all links of its connection.
const STREAMS_MAX: u32 = limits::CONNECTION_LINKS_MAX as u32 * (1 + DATA_STREAMS);
/// The kernel's default of 208 KiB loses packets even on loopback.
const SOCKET_BUFFER_BYTES: usize = 4 << 20;
/// A peer that is silent for this long is gone. Well below `worker_silence_max`, so that a
/// connection that was cut is made again before its worker is given up.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// Several of them fit into `IDLE_MAX`, so that a lost one does not cost the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(2);

const _: () = assert!(STREAM_WINDOW_BYTES as usize >= limits::FRAME_BYTES_MAX);
const _: () = assert!(
    STREAM_WINDOW_BYTES / DATAGRAM_BYTES_MIN < STREAM_PIECES_MAX,
    "a stream whose every datagram arrives apart from the others stays below what quinn gives up at"
);
const _: () = assert!(KEEP_ALIVE.as_nanos() * 4 < IDLE_MAX.as_nanos());
const _: () = assert!(IDLE_MAX.as_nanos() * 2 < limits::WORKER_SILENCE_MAX.as_nanos());

/// A socket that answers calls and makes them.
pub(super) fn listen(
    bind: SocketAddr,
    credentials: &Credentials,
) -> Result<quinn::Endpoint, TransportError> {
    endpoint(bind, Some(server(credentials)?))
}

/// A socket that only calls.
pub(super) fn call_only(bind: SocketAddr) -> Result<quinn::Endpoint, TransportError> {
    endpoint(bind, None)
}

fn endpoint(
    bind: SocketAddr,
    server: Option<quinn::ServerConfig>,
) -> Result<quinn::Endpoint, TransportError> {
    let mut config = EndpointConfig::default();
    // Both ends need to allow the larger datagrams.
    config.max_udp_payload_size(DATAGRAM_BYTES_MAX).map_err(unsuitable)?;
    let socket = socket(bind)?;
    let endpoint = quinn::Endpoint::new(config, server, socket, Arc::new(TokioRuntime));
    let failed = |error: std::io::Error| TransportError::Bind {
        address: bind.to_string(),
        problem: error.to_string(),
    };
    endpoint.map_err(failed)
}

/// How this process answers calls.
pub(super) fn server(credentials: &Credentials) -> Result<quinn::ServerConfig, TransportError> {
    let crypto = QuicServerConfig::try_from(credentials.server()?).map_err(unsuitable)?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(Arc::new(connection()));
    // Handshakes that wait: what lies above is refused without being looked at, so that a flood
    // of them costs bounded memory.
    config.max_incoming(limits::CALLS_WAITING_MAX);
    config.incoming_buffer_size_total(INCOMING_BYTES_MAX);
    // Addresses of processes in data centres do not change under them.
    config.migration(false);
    Ok(config)
}

/// How this process calls others.
pub(super) fn client(credentials: &Credentials) -> Result<quinn::ClientConfig, TransportError> {
    let crypto = QuicClientConfig::try_from(credentials.client()?).map_err(unsuitable)?;
    let mut config = quinn::ClientConfig::new(Arc::new(crypto));
    config.transport_config(Arc::new(connection()));
    Ok(config)
}

/// A socket with large buffers. The kernel may grant less than was asked for: that is logged,
/// because what looks like a lossy network is often a full buffer.
fn socket(address: SocketAddr) -> Result<UdpSocket, TransportError> {
    let bind = |error: std::io::Error| TransportError::Bind {
        address: address.to_string(),
        problem: match error.kind() {
            ErrorKind::AddrInUse => {
                "another process listens there: stop that one, or take another port".into()
            },
            _ => error.to_string(),
        },
    };
    let domain = if address.is_ipv4() { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP)).map_err(bind)?;
    socket.set_recv_buffer_size(SOCKET_BUFFER_BYTES).map_err(bind)?;
    socket.set_send_buffer_size(SOCKET_BUFFER_BYTES).map_err(bind)?;
    socket.bind(&address.into()).map_err(bind)?;
    let granted = socket.recv_buffer_size().map_err(bind)?;
    if granted < SOCKET_BUFFER_BYTES {
        tracing::warn!(
            granted,
            asked = SOCKET_BUFFER_BYTES,
            "a small socket buffer loses packets under load: raise net.core.rmem_max"
        );
    }
    Ok(socket.into())
}

fn connection() -> TransportConfig {
    let mut config = TransportConfig::default();
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(DATAGRAM_BYTES_MAX);
    config
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(CONNECTION_WINDOW_BYTES))
        .send_window(u64::from(CONNECTION_WINDOW_BYTES))
        .max_concurrent_uni_streams(VarInt::from_u32(STREAMS_MAX))
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_idle_timeout(IdleTimeout::try_from(IDLE_MAX).ok())
        .keep_alive_interval(Some(KEEP_ALIVE))
        .datagram_receive_buffer_size(None)
        .mtu_discovery_config(Some(mtu));
    config
}

/// Only a mistake in this file can make these settings contradict each other.
fn unsuitable(problem: impl ToString) -> TransportError {
    TransportError::Credentials { what: "QUIC settings", problem: problem.to_string() }
}

/// Bytes kept of connections whose handshake has not begun.
const INCOMING_BYTES_MAX: u64 = 4 << 20;
