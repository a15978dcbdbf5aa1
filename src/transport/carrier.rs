//! A connection between two processes, which carries the links of their nodes.
//!
//! Every stream names its link, so that each link finds its own among those that the peer opens.
//!
//! Invariants: I1 the numbers of the links of a connection differ, and there are at most
//! `CONNECTION_LINKS_MAX`; I2 a connection that was called and carries no link for
//! `HANDSHAKE_MAX` is closed; I3 a peer may open only as many streams of links that there are no
//! more as can have been under way when they ended.

use std::collections::BTreeMap;

use quinn::{Connection, RecvStream};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;

use super::link::Close;
use super::meet::{Host, welcome};
use super::pace::Pace;
use super::share;
use super::status::FrameCounts;
use super::stream::{self, Broken};
use super::tally::Tally;
use crate::error::FrameError;
use crate::limits::{CONNECTION_LINKS_MAX, HANDSHAKE_MAX, PEERS_MAX};
use crate::node::{DATA_STREAMS, Peer, Stream};
use crate::sync::{Arc, Mutex};

/// A connection, and which links it carries.
#[derive(Debug)]
pub(super) struct Carrier {
    connection: Connection,
    links: Mutex<Links>,
    /// How many they are.
    count: watch::Sender<usize>,
    tally: Arc<Tally>,
    frames: Arc<FrameCounts>,
}

#[derive(Debug, Default)]
struct Links {
    /// Where the streams of each link go.
    streams: BTreeMap<u64, mpsc::UnboundedSender<Arrived>>,
    /// The number of the next link that this process begins.
    next: u64,
    /// Streams that may still come for links that have ended.
    strays_left: u64,
}

/// A stream that the peer has opened and named.
pub(super) type Arrived = (Stream, RecvStream);

impl Carrier {
    /// A connection that this process has made.
    pub(super) fn made(connection: Connection, tally: &Arc<Tally>) -> Arc<Self> {
        let carrier = Self::new(connection, tally);
        tokio::spawn(sort(Arc::clone(&carrier), None));
        carrier
    }

    /// A connection that this process was called for; links begin with the peer's hellos.
    pub(super) fn called(
        connection: Connection,
        place: OwnedSemaphorePermit,
        host: Arc<Host>,
    ) -> Arc<Self> {
        let taken = PEERS_MAX.saturating_sub(host.places.available_permits());
        share::limit(&connection, share::share_of(taken));
        let carrier = Self::new(connection, &host.tally);
        let unused = Arc::clone(&carrier);
        tokio::spawn(async move {
            close_unused(unused).await;
            drop(place);
        });
        tokio::spawn(sort(Arc::clone(&carrier), Some(host)));
        carrier
    }

    fn new(connection: Connection, tally: &Arc<Tally>) -> Arc<Self> {
        Arc::new(Self {
            connection,
            links: Mutex::default(),
            count: watch::Sender::new(0),
            tally: Arc::clone(tally),
            frames: Arc::default(),
        })
    }

    pub(super) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Frames of all links.
    pub(super) fn frames(&self) -> &FrameCounts {
        &self.frames
    }

    /// Whether it can carry a link.
    pub(super) fn is_open(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Makes room for a link that this process begins with `peer`, under a number that no link of
    /// the connection has had: what comes late for an earlier attempt is nobody's then. `None` when
    /// there are as many links as there may be.
    pub(super) fn begin(self: &Arc<Self>, peer: Peer) -> Option<Attached> {
        let mut links = self.links.lock();
        let number = links.next;
        let attached = self.attach_to(&mut links, number, peer)?;
        links.next += 1;
        Some(attached)
    }

    /// Makes room for the link of that number with `peer`; `None` when the number is taken, or
    /// there are as many links as there may be.
    pub(super) fn attach(self: &Arc<Self>, number: u64, peer: Peer) -> Option<Attached> {
        self.attach_to(&mut self.links.lock(), number, peer)
    }

    fn attach_to(self: &Arc<Self>, links: &mut Links, number: u64, peer: Peer) -> Option<Attached> {
        let taken = links.streams.contains_key(&number);
        if taken || links.streams.len() >= CONNECTION_LINKS_MAX || !self.is_open() {
            return None;
        }
        let (sender, streams) = mpsc::unbounded_channel();
        links.streams.insert(number, sender);
        self.count.send_replace(links.streams.len());
        self.tally.open(&self.connection, &self.frames, peer);
        Some(Attached { carrier: Arc::clone(self), number, streams })
    }

    /// Waits until it carries a link, or has ended.
    pub(super) async fn used(&self) {
        let mut count = self.count.subscribe();
        tokio::select! {
            // The sender is this value's own.
            _ = count.wait_for(|links| *links > 0) => {},
            _ = self.connection.closed() => {},
        }
    }

    /// Ends the connection, with all links; the peer is told why. One that has ended keeps the
    /// reason that it has: closed again, it would forget what the peer has said.
    pub(super) fn close(&self, why: Close, reason: &str) {
        if self.is_open() {
            self.connection.close(why.code(), reason.as_bytes());
        }
    }

    /// Hands a stream to its link.
    fn hand(&self, number: u64, arrived: Arrived) -> Result<(), FrameError> {
        let mut links = self.links.lock();
        if let Some(streams) = links.streams.get(&number) {
            // A link that is about to end needs it no more.
            drop(streams.send(arrived));
            return Ok(());
        }
        let left = links.strays_left.checked_sub(1);
        let field = "link of a stream";
        links.strays_left = left.ok_or(FrameError::Malformed { field, found: number })?;
        Ok(())
    }

    fn has(&self, number: u64) -> bool {
        self.links.lock().streams.contains_key(&number)
    }
}

/// A link's place in its connection; dropped, it is free.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) carrier: Arc<Carrier>,
    pub(super) number: u64,
    /// The streams that the peer opens for the link.
    pub(super) streams: mpsc::UnboundedReceiver<Arrived>,
}

impl Drop for Attached {
    fn drop(&mut self) {
        let mut links = self.carrier.links.lock();
        links.streams.remove(&self.number);
        links.strays_left += 1 + u64::from(DATA_STREAMS);
        self.carrier.count.send_replace(links.streams.len());
    }
}

/// Brings every stream that the peer opens to its link; of a connection that was called for,
/// `host` receives new ones.
async fn sort(carrier: Arc<Carrier>, host: Option<Arc<Host>>) {
    let links_in_a_second = u32::try_from(CONNECTION_LINKS_MAX).unwrap_or(u32::MAX);
    let pace = Arc::new(tokio::sync::Mutex::new(Pace::new(links_in_a_second)));
    while let Ok(receiver) = carrier.connection.accept_uni().await {
        let (carrier, host) = (Arc::clone(&carrier), host.clone());
        let pace = Arc::clone(&pace);
        tokio::spawn(async move {
            let brought = bring(&carrier, receiver, host, &pace).await;
            // What comes for the links of a connection that has ended is nobody's fault.
            if let (Err(Broken::Peer(error)), true) = (brought, carrier.is_open()) {
                let address = carrier.connection.remote_address();
                tracing::warn!(%address, %error, "closing the connection");
                carrier.close(Close::Broken, &error.to_string());
            }
        });
    }
    // The links hear of the end by that of their streams.
    carrier.links.lock().streams.clear();
    carrier.tally.close(&carrier.connection);
}

async fn bring(
    carrier: &Arc<Carrier>,
    mut receiver: RecvStream,
    host: Option<Arc<Host>>,
    pace: &tokio::sync::Mutex<Pace>,
) -> Result<(), Broken> {
    let (number, stream) = stream::begun(&mut receiver).await?;
    match host.filter(|_| stream == Stream::Control && !carrier.has(number)) {
        None => Ok(carrier.hand(number, (stream, receiver))?),
        Some(host) => {
            // Everybody waits a little when links come and go all the time: first those of this
            // connection, then those of all.
            pace.lock().await.step().await;
            host.pace.lock().await.step().await;
            if let Err(error) = welcome(carrier, number, receiver, &host).await {
                host.refusals.tell(&error);
            }
            Ok(())
        },
    }
}

/// Closes a connection on which nobody says hello, or is left; returns when it has ended.
async fn close_unused(carrier: Arc<Carrier>) {
    let unused = async {
        // The sender is the carrier's own.
        let mut count = carrier.count.subscribe();
        let mut end = (Close::Refused, "no hello in time, or no room for the answer to it");
        while timeout(HANDSHAKE_MAX, count.wait_for(|links| *links > 0)).await.is_ok() {
            end = (Close::Finished, "nobody uses the connection any more");
            drop(count.wait_for(|links| *links == 0).await);
        }
        end
    };
    tokio::select! {
        (why, reason) = unused => carrier.close(why, reason),
        _ = carrier.connection.closed() => {},
    }
}
