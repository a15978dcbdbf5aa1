//! A connection whose peer has said who it is: streams in both directions.

use quinn::{Connection, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::hello::Hello;
use super::identity::Role;
use super::outbox::{self, Ended, Outbox, Outgoing, Queued};
use super::pump::Counted;
use super::status::{FrameCounts, LinkStatus};
use super::stream::{self, Broken};
use super::tls::Judge;
use super::{meet, share};
use crate::error::FrameError;
use crate::limits;
use crate::node::{DATA_STREAMS, Peer, Stream};
use crate::sync::Arc;
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
    /// This process has as many peers as it may.
    Busy,
}

impl Close {
    const ALL: [Self; 6] =
        [Self::Finished, Self::Gone, Self::Refused, Self::Broken, Self::Replaced, Self::Busy];

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
    /// The link was full, and has room again.
    Room(Arc<Link>),
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
    life: u64,
    /// What its certificate allows.
    role: Role,
    connection: Connection,
    outbox: Outbox,
    frames: FrameCounts,
}

impl Link {
    /// Takes over a connection on which both sides have said hello, with its control streams;
    /// starts the tasks that read and write. They end with the connection.
    pub(super) fn start(
        (hello, role): (Hello, Role),
        connection: Connection,
        control: (quinn::SendStream, quinn::RecvStream),
        inbox: &Inbox,
    ) -> Arc<Self> {
        let (outbox, to_control, to_data) = Outbox::new(DATA_STREAMS, share::share_of(1));
        let (peer, life, frames) = (hello.peer, hello.life, FrameCounts::default());
        let link = Arc::new(Self { peer, life, role, connection, outbox, frames });
        let (sender, receiver) = control;
        tokio::spawn(write(Arc::clone(&link), sender, to_control, inbox.clone()));
        for (number, frames) in (0..).zip(to_data) {
            tokio::spawn(open(Arc::clone(&link), Stream::Data(number), frames, inbox.clone()));
        }
        tokio::spawn(follow(Arc::clone(&link), receiver, inbox.clone()));
        link
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Which life of the peer it is.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Queues a message; whether the link has become full by it. A peer that lets too much wait
    /// loses its connection: what it has not answered is sent again when it comes back.
    pub(super) fn send(&self, stream: Stream, message: &Message) -> bool {
        let frame = match wire::encode_shared(message) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(peer = %self.peer, %error, "not sent");
                return false;
            },
        };
        self.frames.add(stream, outbox::bytes_of(&frame));
        let queued = self.outbox.queue(usize::from(stream::number_of(stream)), frame);
        if queued == Queued::Over {
            self.close(Close::Broken, "reads more slowly than it asks");
        }
        queued == Queued::Full
    }

    /// Whether so much waits to be sent that no more should be added.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.level().is_full()
    }

    /// Waits while a worker that has asked for much does not read it, or until it is gone. Servers
    /// are always heard: two processes that hold each other back would wait for ever.
    async fn held_back(&self, message: &Message) {
        let asks = is_data(message) || matches!(message, Message::ListTables { .. });
        // Most are not full: nothing is set up to wait for then.
        if asks && matches!(self.peer, Peer::Worker(_)) && self.is_full() {
            tokio::select! {
                () = self.outbox.level().room() => {},
                _ = self.closed() => {},
            }
        }
    }

    /// Holds the peer to its share of this process's memory.
    pub(super) fn limit(&self, bytes: usize) {
        self.outbox.level().set_mark(bytes);
        share::limit(&self.connection, bytes);
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        meet::certificates(&self.connection)
    }

    /// What the connection has counted.
    pub(super) fn status(&self) -> LinkStatus {
        let stats = self.connection.stats();
        LinkStatus {
            peer: self.peer,
            traffic: self.frames.traffic(stats.udp_tx.bytes, stats.udp_rx.bytes),
            queued_bytes: self.outbox.level().bytes(),
            round_trip: stats.path.rtt,
            packets_lost: stats.path.lost_packets,
            datagram_bytes: stats.path.current_mtu,
        }
    }

    /// Waits for the connection's end; why it ended.
    pub(super) async fn closed(&self) -> quinn::ConnectionError {
        self.connection.closed().await
    }

    /// Ends the connection; the peer is told why.
    pub(super) fn close(&self, why: Close, reason: &str) {
        self.connection.close(why.code(), reason.as_bytes());
    }
}

/// Opens a data stream and writes its frames.
async fn open(link: Arc<Link>, stream: Stream, frames: Outgoing, inbox: Inbox) {
    let Ok(opened) = timeout(limits::PEER_STALL_MAX, link.connection.open_uni()).await else {
        return link.close(Close::Broken, "has no room for the streams of a connection");
    };
    let Ok(mut sender) = opened else { return };
    if stream::begin(&mut sender, stream).await.is_ok() {
        write(link, sender, frames, inbox).await;
    }
}

/// Writes the frames of one stream until the connection ends.
async fn write(link: Arc<Link>, sender: quinn::SendStream, frames: Outgoing, inbox: Inbox) {
    let ended = tokio::select! {
        ended = write_all(&link, sender, frames, &inbox) => ended,
        _ = link.closed() => Ended::Gone,
    };
    if ended == Ended::Stalled {
        tracing::warn!(peer = %link.peer, "closing the connection: nothing is read");
        link.close(Close::Broken, "reads nothing of what it has asked for");
    }
}

async fn write_all(
    link: &Arc<Link>,
    mut sender: quinn::SendStream,
    mut frames: Outgoing,
    inbox: &Inbox,
) -> Ended {
    while let Some(mut frame) = frames.next().await {
        let bytes = outbox::bytes_of(&frame);
        let ended = outbox::write_frame(&mut sender, &mut frame).await;
        if frames.settle(bytes) {
            // When nobody takes events any more the process ends.
            inbox.deliver(Stream::Control, Event::Room(Arc::clone(link))).await;
        }
        if let Some(ended) = ended {
            return ended;
        }
    }
    Ended::Gone
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
        Message::EnsureTable { .. }
            | Message::EnsureGroup { .. }
            | Message::ListTables { .. }
            | Message::ChangeTable { .. }
            | Message::DropTable { .. }
    );
    creates || role != Role::Operator
}

/// Whether a message belongs on a stream of data: what it asks for may be large.
fn is_data(message: &Message) -> bool {
    matches!(message, Message::Push { .. } | Message::Pull { .. } | Message::Await { .. })
}

/// Delivers the messages of one stream.
async fn listen(link: Arc<Link>, stream: Stream, mut receiver: quinn::RecvStream, inbox: Inbox) {
    loop {
        match stream::message(&mut receiver, &inbox.pool).await {
            Ok(Some(message)) if !allows(link.role, &message) => {
                return link
                    .close(Close::Refused, "an operator only creates, changes, drops and lists");
            },
            Ok(Some(message)) if is_data(&message) && stream == Stream::Control => {
                let field = "pull or push on the stream of control";
                return give_up(&link, &FrameError::Malformed { field, found: 0 }.into());
            },
            Ok(Some(message)) => {
                link.held_back(&message).await;
                let event = Event::Message(Arc::clone(&link), message);
                if !inbox.deliver(stream, event).await {
                    return;
                }
            },
            Ok(None) => {
                let field = "end of a stream while its connection goes on";
                return give_up(&link, &FrameError::Malformed { field, found: 0 }.into());
            },
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
