//! A connection whose peer has said who it is: streams in both directions.

use bytes::Bytes;
use quinn::{Connection, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};

use super::identity::Role;
use super::meet;
use super::pump::Counted;
use super::status::{LinkStatus, Traffic};
use super::stream::{self, Broken};
use super::tls::Judge;
use crate::limits;
use crate::node::{DATA_STREAMS, Peer, Stream};
use crate::sync::{Arc, AtomicUsize, Ordering};
use crate::wire::{self, Message, Pool};

/// Why a connection was closed on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// The process ends in good order.
    Finished,
    /// The worker is gone without having finished.
    Gone,
    /// The peer is not who it should be.
    Refused,
    /// The peer broke the protocol, or reads too slowly.
    Broken,
    /// A newer connection of the same peer took its place.
    Replaced,
}

impl Close {
    const ALL: [Self; 5] =
        [Self::Finished, Self::Gone, Self::Refused, Self::Broken, Self::Replaced];

    pub(super) fn code(self) -> VarInt {
        VarInt::from_u32(self as u32)
    }

    pub(super) fn of(code: VarInt) -> Option<Self> {
        Self::ALL.into_iter().find(|close| close.code() == code)
    }
}

/// What happens on connections, in the order in which the node should hear of it.
#[derive(Debug)]
pub(super) enum Event {
    /// A peer is there, on this link.
    Up(Arc<Link>),
    /// The link is gone.
    Down(Arc<Link>, quinn::ConnectionError),
    /// A message has arrived.
    Message(Arc<Link>, Message),
    /// Somebody asks how things stand.
    Ask(oneshot::Sender<Counted>),
    /// Who is let in has changed: it holds for those who are in already, too.
    Judge(Judge),
}

/// Where events go: control ahead of data.
#[derive(Clone, Debug)]
pub(super) struct Inbox {
    pub(super) control: mpsc::Sender<Event>,
    pub(super) data: mpsc::Sender<Event>,
    /// Memory for what arrives.
    pub(super) pool: Pool,
}

impl Inbox {
    /// Whether nobody takes events any more.
    pub(super) fn is_closed(&self) -> bool {
        self.control.is_closed()
    }

    /// Waits while the inbox is full, so that the peer is slowed down by its window.
    async fn deliver(&self, stream: Stream, event: Event) -> bool {
        let sender = match stream {
            Stream::Control => &self.control,
            Stream::Data(_) => &self.data,
        };
        sender.send(event).await.is_ok()
    }
}

/// A connection to one peer.
#[derive(Debug)]
pub(super) struct Link {
    peer: Peer,
    /// What its certificate allows.
    role: Role,
    connection: Connection,
    /// One queue per stream, control first.
    queues: Vec<mpsc::UnboundedSender<[Bytes; 2]>>,
    queued_bytes: Arc<AtomicUsize>,
}

impl Link {
    /// Takes over a connection on which both sides have said hello, with its control streams;
    /// starts the tasks that read and write. They end with the connection.
    pub(super) fn start(
        (peer, role): (Peer, Role),
        connection: Connection,
        control: (quinn::SendStream, quinn::RecvStream),
        inbox: &Inbox,
    ) -> Arc<Self> {
        let queued_bytes = Arc::new(AtomicUsize::new(0));
        let (to_control, from_control) = mpsc::unbounded_channel();
        tokio::spawn(write(control.0, from_control, Arc::clone(&queued_bytes)));
        let mut queues = vec![to_control];
        for number in 0..DATA_STREAMS {
            let (queue, frames) = mpsc::unbounded_channel();
            queues.push(queue);
            let (connection, queued) = (connection.clone(), Arc::clone(&queued_bytes));
            tokio::spawn(open(connection, Stream::Data(number), frames, queued));
        }
        let link = Arc::new(Self { peer, role, connection, queues, queued_bytes });
        tokio::spawn(follow(Arc::clone(&link), control.1, inbox.clone()));
        link
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Queues a message. A peer that lets too much wait loses its connection: what it has not
    /// answered is sent again when it comes back, and its memory is its own concern until then.
    pub(super) fn send(&self, stream: Stream, message: &Message) {
        let frame = match wire::encode_shared(message) {
            Ok(frame) => frame,
            Err(error) => return tracing::error!(peer = %self.peer, %error, "not sent"),
        };
        let bytes: usize = frame.iter().map(Bytes::len).sum();
        let queued = self.queued_bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if queued > limits::PEER_QUEUE_BYTES_MAX {
            return self.close(Close::Broken, "reads more slowly than it asks");
        }
        let queue = match stream {
            Stream::Control => self.queues.first(),
            Stream::Data(number) => self.queues.get(1 + (number % DATA_STREAMS) as usize),
        };
        if let Some(queue) = queue {
            // A stream that has ended with its connection takes nothing any more.
            drop(queue.send(frame));
        }
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        meet::certificates(&self.connection)
    }

    /// What the connection has counted.
    pub(super) fn status(&self) -> LinkStatus {
        let stats = self.connection.stats();
        let (sent_bytes, received_bytes) = (stats.udp_tx.bytes, stats.udp_rx.bytes);
        LinkStatus {
            peer: self.peer,
            traffic: Traffic { sent_bytes, received_bytes },
            queued_bytes: self.queued_bytes.load(Ordering::Relaxed),
            round_trip: stats.path.rtt,
            packets_lost: stats.path.lost_packets,
        }
    }

    /// Waits for the connection's end.
    pub(super) async fn closed(&self) {
        self.connection.closed().await;
    }

    /// Ends the connection; the peer is told why.
    pub(super) fn close(&self, why: Close, reason: &str) {
        self.connection.close(why.code(), reason.as_bytes());
    }
}

/// Opens a data stream and writes its frames.
async fn open(
    connection: Connection,
    stream: Stream,
    frames: mpsc::UnboundedReceiver<[Bytes; 2]>,
    queued: Arc<AtomicUsize>,
) {
    let Ok(mut sender) = connection.open_uni().await else { return };
    if stream::begin(&mut sender, stream).await.is_ok() {
        write(sender, frames, queued).await;
    }
}

async fn write(
    mut sender: quinn::SendStream,
    mut frames: mpsc::UnboundedReceiver<[Bytes; 2]>,
    queued: Arc<AtomicUsize>,
) {
    while let Some(mut frame) = frames.recv().await {
        let bytes: usize = frame.iter().map(Bytes::len).sum();
        let sent = sender.write_all_chunks(&mut frame).await;
        queued.fetch_sub(bytes, Ordering::Relaxed);
        if sent.is_err() {
            return;
        }
    }
}

/// Reads all streams of a link until its connection ends.
async fn follow(link: Arc<Link>, control: quinn::RecvStream, inbox: Inbox) {
    if !inbox.deliver(Stream::Control, Event::Up(Arc::clone(&link))).await {
        return;
    }
    tokio::spawn(listen(Arc::clone(&link), Stream::Control, control, inbox.clone()));
    let why = loop {
        match link.connection.accept_uni().await {
            Ok(mut receiver) => {
                let (link, inbox) = (Arc::clone(&link), inbox.clone());
                tokio::spawn(async move {
                    match stream::begun(&mut receiver).await {
                        Ok(stream) => listen(link, stream, receiver, inbox).await,
                        Err(broken) => give_up(&link, &broken),
                    }
                });
            },
            Err(why) => break why,
        }
    };
    inbox.deliver(Stream::Control, Event::Down(link, why)).await;
}

/// Whether a role may say this. What is a worker's and what a server's to say the node knows.
fn allows(role: Role, message: &Message) -> bool {
    let creates = matches!(
        message,
        Message::EnsureTable { .. } | Message::EnsureGroup { .. } | Message::ListTables { .. }
    );
    creates || role != Role::Operator
}

/// Delivers the messages of one stream.
async fn listen(link: Arc<Link>, stream: Stream, mut receiver: quinn::RecvStream, inbox: Inbox) {
    loop {
        match stream::message(&mut receiver, &inbox.pool).await {
            Ok(Some(message)) if !allows(link.role, &message) => {
                return link.close(Close::Refused, "an operator only creates and lists");
            },
            Ok(Some(message)) => {
                let event = Event::Message(Arc::clone(&link), message);
                if !inbox.deliver(stream, event).await {
                    return;
                }
            },
            Ok(None) => return,
            Err(broken) => return give_up(&link, &broken),
        }
    }
}

fn give_up(link: &Link, broken: &Broken) {
    if let Broken::Peer(error) = broken {
        tracing::warn!(peer = %link.peer, %error, "closing the connection");
        link.close(Close::Broken, &error.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{GroupId, TableId};

    #[test]
    fn an_operator_creates_and_lists_and_nothing_else() {
        let list = Message::ListTables { request: 1, from: TableId(0) };
        let join = Message::Join { group: GroupId(0), token: 1 };
        assert!(allows(Role::Operator, &list) && !allows(Role::Operator, &join));
        assert!(allows(Role::Worker, &list) && allows(Role::Worker, &join));
    }
}
