//! Keeps a connection to a server: calls, and calls again when it is gone.

use std::net::SocketAddr;

use quinn::ConnectionError;

use super::link::Inbox;
use super::meet::{Myself, call, failed};
use crate::error::TransportError;
use crate::limits;
use crate::node::Peer;

/// One server to call.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) endpoint: quinn::Endpoint,
    pub(super) address: SocketAddr,
    pub(super) peer: Peer,
    pub(super) myself: Myself,
    pub(super) inbox: Inbox,
}

impl Caller {
    /// Calls until nobody listens to the inbox any more; tells `outcome` how each call went. The
    /// wait after a failure doubles, so that a server that comes back is not stormed.
    pub(super) async fn run(self, outcome: impl FnMut(Result<(), TransportError>)) {
        self.run_prepared(|_| {}, outcome).await;
    }

    /// As `run`; `prepare` sees the endpoint before every call.
    pub(super) async fn run_prepared(
        self,
        prepare: impl Fn(&mut quinn::Endpoint),
        mut outcome: impl FnMut(Result<(), TransportError>),
    ) {
        let Self { mut endpoint, address, peer, myself, inbox } = self;
        let mut wait = limits::CALL_AGAIN_MIN;
        while !inbox.is_closed() {
            prepare(&mut endpoint);
            match call(&endpoint, address, peer, &myself, &inbox).await {
                Ok(link) => {
                    outcome(Ok(()));
                    let why = link.closed().await;
                    match failed(peer, address, &why) {
                        refused @ TransportError::Refused { .. } => outcome(Err(refused)),
                        // This side has refused the other.
                        _ if why == ConnectionError::LocallyClosed => {},
                        _ => wait = limits::CALL_AGAIN_MIN,
                    }
                },
                Err(error) => {
                    tracing::info!(%error, again_after = ?wait, "a call failed");
                    outcome(Err(error));
                },
            }
            tokio::time::sleep(wait).await;
            wait = limits::CALL_AGAIN_MAX.min(wait * 2);
        }
    }
}
