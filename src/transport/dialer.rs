//! The connections of this process to one server, which its nodes use together.
//!
//! One is made when a node needs it and there is none with room. Who comes while a call is under
//! way waits for it, and shares what becomes of it: a server that does not answer is not called
//! once for every worker.

use std::net::SocketAddr;

use super::carrier::{Attached, Carrier, number_of};
use super::meet::call;
use super::tally::Tally;
use crate::error::TransportError;
use crate::node::Peer;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// How calls are made; exchanged when credentials are.
pub(super) type Dialing = Arc<Mutex<quinn::ClientConfig>>;

/// Calls one server.
#[derive(Debug)]
pub(super) struct Dialer {
    endpoint: quinn::Endpoint,
    dialing: Dialing,
    peer: Peer,
    address: SocketAddr,
    tally: Arc<Tally>,
    /// Calls that have failed.
    failures: AtomicU64,
    calls: tokio::sync::Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    carriers: Vec<Arc<Carrier>>,
    failed: Option<TransportError>,
}

impl Dialer {
    pub(super) fn new(
        endpoint: &quinn::Endpoint,
        dialing: &Dialing,
        (peer, address): (Peer, SocketAddr),
        tally: &Arc<Tally>,
    ) -> Self {
        Self {
            endpoint: endpoint.clone(),
            dialing: Arc::clone(dialing),
            peer,
            address,
            tally: Arc::clone(tally),
            failures: AtomicU64::new(0),
            calls: tokio::sync::Mutex::default(),
        }
    }

    /// The server.
    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Where it is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// A place for the link of `caller` in a connection to the server.
    pub(super) async fn attach(&self, caller: Peer) -> Result<Attached, TransportError> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut calls = self.calls.lock().await;
        calls.carriers.retain(|carrier| carrier.is_open());
        let attach = |carrier: &Arc<Carrier>| carrier.attach(number_of(caller), self.peer);
        if let Some(attached) = calls.carriers.iter().find_map(attach) {
            return Ok(attached);
        }
        let failed = calls.failed.clone();
        if let Some(failed) = failed.filter(|_| self.failures.load(Ordering::Relaxed) > failures) {
            return Err(failed);
        }
        let config = self.dialing.lock().clone();
        match call(&self.endpoint, config, (self.peer, self.address)).await {
            Ok(connection) => {
                let carrier = Carrier::made(connection, &self.tally);
                calls.carriers.push(Arc::clone(&carrier));
                attach(&carrier).ok_or_else(|| self.ended())
            },
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                calls.failed = Some(error.clone());
                Err(error)
            },
        }
    }

    /// A connection that has ended as soon as it was made.
    fn ended(&self) -> TransportError {
        let (peer, address) = (self.peer.to_string(), self.address.to_string());
        TransportError::Unreachable { peer, address, problem: "the connection has ended".into() }
    }
}
