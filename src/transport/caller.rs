//! Keeps a node linked to a server: calls, and calls again when the link is gone.

use quinn::ConnectionError;

use super::dialer::Dialer;
use super::inbox::Inbox;
use super::link::{Close, End, Link};
use super::meet::{Myself, failed, introduce, unreachable};
use crate::error::TransportError;
use crate::limits;
use crate::sync::Arc;

/// One node, and one server to call.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) dialer: Arc<Dialer>,
    pub(super) myself: Myself,
    pub(super) inbox: Inbox,
}

impl Caller {
    /// Calls until nobody listens to the inbox any more; tells `outcome` how each call went. The
    /// wait after a failure doubles, so that a server that comes back is not stormed.
    pub(super) async fn run(self, mut outcome: impl FnMut(Result<(), TransportError>)) {
        let mut wait = limits::CALL_AGAIN_MIN;
        while !self.inbox.is_closed() {
            match self.call().await {
                Ok(link) => {
                    outcome(Ok(()));
                    match self.ended(&link.gone().await) {
                        Some(error) => outcome(Err(error)),
                        None => wait = limits::CALL_AGAIN_MIN,
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

    async fn call(&self) -> Result<Arc<Link>, TransportError> {
        let attached = self.dialer.attach().await?;
        introduce(attached, self.dialer.peer(), &self.myself, &self.inbox).await
    }

    /// What the end of a link means; `None` when calling again at once may help.
    fn ended(&self, end: &End) -> Option<TransportError> {
        let (peer, address) = (self.dialer.peer(), self.dialer.address());
        match end {
            End::Connection(why) => match failed(peer, address, why) {
                refused @ TransportError::Refused { .. } => Some(refused),
                // This side has refused the other.
                gone if *why == ConnectionError::LocallyClosed => Some(gone),
                _ => None,
            },
            End::Link(Close::Refused) => {
                let (peer, reason) = (peer.to_string(), end.to_string());
                Some(TransportError::Refused { peer, reason })
            },
            End::Link(_) => Some(unreachable(peer, address, &end.to_string())),
        }
    }
}
