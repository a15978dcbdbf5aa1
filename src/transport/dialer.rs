//! The connections of this process to one server, which its nodes use together.
//!
//! One is made when a node needs it and there is none with room. Who comes while a call is under
//! way waits for it, and shares what becomes of it: a server that does not answer is not called
//! once for every worker.

use std::net::SocketAddr;

use rustls::pki_types::CertificateDer;

use super::carrier::{Attached, Carrier};
use super::meet::{call, unreachable};
use super::settings;
use super::tally::Tally;
use super::tls::Credentials;
use crate::error::TransportError;
use crate::node::Peer;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering};

/// How calls are made; exchanged when credentials are.
#[derive(Debug)]
pub(super) struct Dialing(Mutex<Shown>);

#[derive(Debug)]
struct Shown {
    config: quinn::ClientConfig,
    /// What peers see.
    certificate: CertificateDer<'static>,
    /// Counts the certificates shown so far.
    generation: u64,
}

impl Dialing {
    pub(super) fn new(credentials: &Credentials) -> Result<Arc<Self>, TransportError> {
        let (config, certificate) = (settings::client(credentials)?, credentials.certificate());
        Ok(Arc::new(Self(Mutex::new(Shown { config, certificate, generation: 0 }))))
    }

    /// Calls by these credentials from now on.
    pub(super) fn renew(&self, credentials: &Credentials) -> Result<(), TransportError> {
        let (config, certificate) = (settings::client(credentials)?, credentials.certificate());
        let mut shown = self.0.lock();
        let generation = shown.generation + u64::from(shown.certificate != certificate);
        *shown = Shown { config, certificate, generation };
        Ok(())
    }

    fn current(&self) -> (quinn::ClientConfig, u64) {
        let shown = self.0.lock();
        (shown.config.clone(), shown.generation)
    }
}

/// Calls one server.
#[derive(Debug)]
pub(super) struct Dialer {
    endpoint: quinn::Endpoint,
    dialing: Arc<Dialing>,
    peer: Peer,
    address: SocketAddr,
    tally: Arc<Tally>,
    /// Calls that have failed.
    failures: AtomicU64,
    calls: tokio::sync::Mutex<Calls>,
}

#[derive(Debug, Default)]
struct Calls {
    /// Each with the certificate that it was made by. Those of an earlier one live on for whom
    /// they carry: nobody new comes to them, since it may have expired.
    carriers: Vec<(u64, Arc<Carrier>)>,
    failed: Option<TransportError>,
}

impl Dialer {
    pub(super) fn new(
        endpoint: &quinn::Endpoint,
        dialing: &Arc<Dialing>,
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

    /// A place for one more link in a connection to the server.
    pub(super) async fn attach(&self) -> Result<Attached, TransportError> {
        let failures = self.failures.load(Ordering::Relaxed);
        let mut calls = self.calls.lock().await;
        let (config, generation) = self.dialing.current();
        calls.carriers.retain(|(shown, carrier)| *shown == generation && carrier.is_open());
        let mut begun = calls.carriers.iter().map(|(_, carrier)| carrier.begin(self.peer));
        if let Some(attached) = begun.find_map(|attached| attached) {
            return Ok(attached);
        }
        let failed = calls.failed.clone();
        if let Some(failed) = failed.filter(|_| self.failures.load(Ordering::Relaxed) > failures) {
            return Err(failed);
        }
        match call(&self.endpoint, config, (self.peer, self.address)).await {
            Ok(connection) => {
                let carrier = Carrier::made(connection, &self.tally);
                calls.carriers.push((generation, Arc::clone(&carrier)));
                let ended = || unreachable(self.peer, self.address, "the connection has ended");
                carrier.begin(self.peer).ok_or_else(ended)
            },
            Err(error) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                calls.failed = Some(error.clone());
                Err(error)
            },
        }
    }
}
