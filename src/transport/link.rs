//! Two nodes that have said hello to each other: streams in both directions, over a connection
//! that other nodes of their processes use too.
//!
//! A link ends with its connection, or alone: its streams are reset with a code that says why. The
//! other side answers in kind; until then the side that has ended it reads on.

use std::collections::BTreeSet;
use std::fmt;
use std::pin::pin;

use quinn::{RecvStream, SendStream, VarInt};
use rustls::pki_types::CertificateDer;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::carrier::{Arrived, Attached, Carrier};
use super::hello::Hello;
use super::identity::Role;
use super::inbox::{Event, Inbox};
use super::outbox::{self, Ended, Outbox, Outgoing, Queued};
use super::status::{FrameCounts, LinkStatus};
use super::stream::{self, Broken};
use super::{meet, share};
use crate::error::FrameError;
use crate::limits;
use crate::node::{DATA_STREAMS, Peer, Stream};
use crate::sync::{Arc, Mutex};
use crate::wire::{self, Message};

/// Why a connection was closed, or a link ended, on purpose.
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

    /// Whether it may end a link alone. Who breaks the protocol loses the connection.
    pub(super) fn ends_link(self) -> bool {
        !matches!(self, Self::Broken)
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Finished => "it has finished",
            Self::Gone => "it was dropped without finish",
            Self::Refused => "it is not who it should be",
            Self::Broken => "it broke the protocol",
            Self::Replaced => "a newer connection took its place",
            Self::Busy => "the process has as many peers as it may",
        }
    }
}

/// What joins a node of this process to one of another: streams in both directions.
#[derive(Debug)]
pub(super) struct Link {
    peer: Peer,
    life: u64,
    /// What its certificate allows.
    role: Role,
    /// Names its streams.
    number: u64,
    carrier: Arc<Carrier>,
    outbox: Outbox,
    frames: FrameCounts,
    /// Why it has ended, when its connection has not.
    ended: Mutex<Option<Close>>,
    over: Notify,
    stage: watch::Sender<Stage>,
    /// What reads and writes, except the reader of control.
    tasks: Mutex<JoinSet<()>>,
}

/// How far a link has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// Its node has not heard of it.
    New,
    /// Its node has.
    Known,
    /// Nothing of it is left.
    Gone,
}

/// The streams of a new link: control in both directions, and what has come before its hello.
#[derive(Debug)]
pub(super) struct Begun {
    pub(super) control: (SendStream, RecvStream),
    pub(super) early: Vec<Arrived>,
}

impl Link {
    /// Takes over a place in a connection on which both sides have said hello; starts the tasks
    /// that read and write. They end with the link.
    pub(super) fn start(
        (hello, role): (Hello, Role),
        attached: Attached,
        begun: Begun,
        inbox: &Inbox,
    ) -> Arc<Self> {
        let (outbox, to_control, to_data) = Outbox::new(DATA_STREAMS, share::share_of(1));
        let link = Arc::new(Self {
            peer: hello.peer,
            life: hello.life,
            role,
            number: attached.number,
            carrier: Arc::clone(&attached.carrier),
            outbox,
            frames: FrameCounts::default(),
            ended: Mutex::default(),
            over: Notify::new(),
            stage: watch::Sender::new(Stage::New),
            tasks: Mutex::default(),
        });
        let Begun { control: (sender, receiver), early } = begun;
        link.spawn(write(Sending::of(&link, sender), to_control, inbox.clone()));
        for (number, frames) in (0..).zip(to_data) {
            link.spawn(open(Arc::clone(&link), Stream::Data(number), frames, inbox.clone()));
        }
        let follow = follow(Arc::clone(&link), receiver, (early, attached), inbox.clone());
        tokio::spawn(follow);
        link
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    pub(super) fn peer(&self) -> Peer {
        self.peer
    }

    /// Which life of the peer it is.
    pub(super) fn life(&self) -> u64 {
        self.life
    }

    /// Which connection carries it.
    pub(super) fn carrier(&self) -> &Arc<Carrier> {
        &self.carrier
    }

    /// Queues a message; whether the link has become full by it. A peer that lets too much wait
    /// loses its connection: what it has not answered is sent again when it comes back.
    pub(super) fn send(&self, stream: Stream, message: &Message) -> bool {
        if self.ended.lock().is_some() {
            return false;
        }
        let frame = match wire::encode_shared(message) {
            Ok(frame) => frame,
            Err(error) => {
                tracing::error!(peer = %self.peer, %error, "not sent");
                return false;
            },
        };
        let bytes = outbox::bytes_of(&frame);
        self.frames.add(stream, bytes);
        self.carrier.frames().add(stream, bytes);
        let queued = self.outbox.queue(usize::from(stream::number_of(stream)), frame);
        if queued == Queued::Over {
            self.carrier.close(Close::Broken, "reads more slowly than it asks");
        }
        queued == Queued::Full
    }

    /// Whether so much waits to be sent that no more should be added.
    pub(super) fn is_full(&self) -> bool {
        self.outbox.level().is_full()
    }

    /// Waits while a worker that has asked for much does not read it, or until it is gone. Servers
    /// are always heard: two processes that hold each other back would wait for ever.
    async fn held_back(&self, receiver: &mut RecvStream, message: &Message) -> Result<(), Broken> {
        let asks = is_data(message) || matches!(message, Message::ListTables { .. });
        // Most are not full: nothing is set up to wait for then.
        if !asks || !matches!(self.peer, Peer::Worker(_)) || !self.is_full() {
            return Ok(());
        }
        tokio::select! {
            () = self.outbox.level().room() => Ok(()),
            // While nothing is read, this is how a worker is heard that goes.
            ended = receiver.received_reset() => match ended {
                Ok(Some(code)) => Err(stream::reset(code)),
                Ok(None) => Ok(()),
                Err(_gone) => Err(Broken::Connection),
            },
        }
    }

    /// Holds the peer to a share of this process's memory: of what waits for it, and of what its
    /// connection receives and sends.
    pub(super) fn limit(&self, waiting_bytes: usize, window_bytes: usize) {
        self.outbox.level().set_mark(waiting_bytes);
        share::limit(self.carrier.connection(), window_bytes);
    }

    /// The certificates that the peer has shown, its own first.
    pub(super) fn certificates(&self) -> Vec<CertificateDer<'static>> {
        meet::certificates(self.carrier.connection())
    }

    /// What the link and its connection have counted.
    pub(super) fn status(&self) -> LinkStatus {
        let connection = self.carrier.connection();
        let stats = connection.stats();
        LinkStatus {
            peer: self.peer,
            connection: connection.stable_id(),
            traffic: self.frames.traffic(stats.udp_tx.bytes, stats.udp_rx.bytes),
            queued_bytes: self.outbox.level().bytes(),
            round_trip: stats.path.rtt,
            packets_lost: stats.path.lost_packets,
            datagram_bytes: stats.path.current_mtu,
        }
    }

    /// Ends the link, and not its connection; the peer is told why.
    pub(super) fn end(&self, why: Close) {
        self.ended.lock().get_or_insert(why);
        self.over.notify_one();
        self.tasks.lock().abort_all();
    }

    /// Its node has heard of it: what the peer says from now on finds it.
    pub(super) fn known(&self) {
        self.stage.send_if_modified(|stage| {
            let new = *stage == Stage::New;
            *stage = (*stage).max(Stage::Known);
            new
        });
    }

    async fn reached(&self, wanted: Stage) {
        // The sender is this value's own.
        drop(self.stage.subscribe().wait_for(|stage| *stage >= wanted).await);
    }

    /// Waits until both sides have ended the link, or its connection; why.
    pub(super) async fn gone(&self) -> End {
        self.reached(Stage::Gone).await;
        let ended = *self.ended.lock();
        match ended {
            Some(why) => End::Link(why),
            None => End::Connection(self.carrier.connection().closed().await),
        }
    }
}

/// How a link has ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End {
    /// Alone.
    Link(Close),
    /// With its connection.
    Connection(quinn::ConnectionError),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(why) => f.write_str(why.words()),
            Self::Connection(error) => write!(f, "{error}"),
        }
    }
}

/// A stream to the peer. When it is dropped because its link ends, the peer is told why.
struct Sending {
    link: Arc<Link>,
    stream: SendStream,
}

impl Sending {
    fn of(link: &Arc<Link>, stream: SendStream) -> Self {
        Self { link: Arc::clone(link), stream }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let ended = *self.link.ended.lock();
        if let Some(why) = ended {
            // A stream that has ended needs no reason.
            let _ = self.stream.reset(why.code());
        }
    }
}

/// Opens a data stream and writes its frames.
async fn open(link: Arc<Link>, stream: Stream, frames: Outgoing, inbox: Inbox) {
    let opened = timeout(limits::PEER_STALL_MAX, link.carrier.connection().open_uni()).await;
    let Ok(opened) = opened else {
        return link.carrier.close(Close::Broken, "has no room for the streams of a connection");
    };
    let Ok(sender) = opened else { return };
    let mut sending = Sending::of(&link, sender);
    if stream::begin(&mut sending.stream, (link.number, stream)).await.is_ok() {
        write(sending, frames, inbox).await;
    }
}

/// Writes the frames of one stream until the link ends.
async fn write(mut sending: Sending, mut frames: Outgoing, inbox: Inbox) {
    let link = Arc::clone(&sending.link);
    while let Some(mut frame) = frames.next().await {
        let bytes = outbox::bytes_of(&frame);
        let ended = outbox::write_frame(&mut sending.stream, &mut frame).await;
        if frames.settle(bytes) {
            // When nobody takes events any more the process ends.
            inbox.deliver(Stream::Control, Event::Room(Arc::clone(&link))).await;
        }
        match ended {
            None => {},
            Some(Ended::Gone) => return,
            Some(Ended::Stalled) => {
                tracing::warn!(peer = %link.peer, "closing the connection: nothing is read");
                let reason = "reads nothing of what it has asked for";
                return link.carrier.close(Close::Broken, reason);
            },
        }
    }
}

/// Reads all streams of a link until it ends.
async fn follow(
    link: Arc<Link>,
    control: RecvStream,
    (early, mut attached): (Vec<Arrived>, Attached),
    inbox: Inbox,
) {
    // When nobody takes it any more, the node is gone, and the link ends below.
    inbox.deliver(Stream::Control, Event::Up(Arc::clone(&link))).await;
    tokio::select! {
        // Data that came before would be taken for that of an earlier link.
        () = link.reached(Stage::Known) => {},
        () = inbox.control.closed() => {},
    }
    let more = hear_all(&link, (early, &mut attached), &inbox);
    let mut listening = pin!(listen(Arc::clone(&link), Stream::Control, control, inbox.clone()));
    tokio::select! {
        biased;
        () = inbox.control.closed() => {
            // Its node has ended it, unless it came too late for that.
            link.end(Close::Gone);
            tokio::select! {
                () = &mut listening => {},
                () = unanswered(&link) => {},
            }
        },
        () = unanswered(&link) => {},
        () = &mut listening => {},
        () = more => {},
    }
    link.tasks.lock().abort_all();
    drop(attached);
    link.stage.send_replace(Stage::Gone);
    inbox.deliver(Stream::Control, Event::Down(Arc::clone(&link), link.gone().await)).await;
}

/// Ends the connection when the link was ended and the peer could long have answered that.
async fn unanswered(link: &Link) {
    link.over.notified().await;
    tokio::time::sleep(limits::PEER_STALL_MAX).await;
    link.carrier.close(Close::Broken, "does not answer the end of a link");
}

/// Reads what the peer opens, each stream of data once.
async fn hear_all(
    link: &Arc<Link>,
    (early, attached): (Vec<Arrived>, &mut Attached),
    inbox: &Inbox,
) {
    let mut heard = BTreeSet::new();
    let mut early = early.into_iter();
    loop {
        let next = match early.next() {
            Some(arrived) => Some(arrived),
            None => attached.streams.recv().await,
        };
        match next {
            Some((stream, _)) if stream == Stream::Control || !heard.insert(stream) => {
                let field = "second stream of one number of a link";
                give_up(link, &FrameError::Malformed { field, found: link.number }.into());
            },
            Some((stream, receiver)) => {
                link.spawn(listen(Arc::clone(link), stream, receiver, inbox.clone()));
            },
            // The connection is gone, and control ends with it.
            None => std::future::pending().await,
        }
    }
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
async fn listen(link: Arc<Link>, stream: Stream, mut receiver: RecvStream, inbox: Inbox) {
    loop {
        match stream::message(&mut receiver, &inbox.pool).await {
            Ok(Some(message)) if !allows(link.role, &message) => {
                let reason = "an operator only creates, changes, drops and lists";
                return link.carrier.close(Close::Refused, reason);
            },
            Ok(Some(message)) if is_data(&message) && stream == Stream::Control => {
                let field = "pull or push on the stream of control";
                return give_up(&link, &FrameError::Malformed { field, found: 0 }.into());
            },
            Ok(Some(message)) => {
                if let Err(broken) = link.held_back(&mut receiver, &message).await {
                    return give_up(&link, &broken);
                }
                let event = Event::Message(Arc::clone(&link), message);
                if !inbox.deliver(stream, event).await {
                    return until_end(&mut receiver).await;
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

/// Reads on for nobody: the end of the stream says that the peer has heard of that of the link.
async fn until_end(receiver: &mut RecvStream) {
    while let Ok(Some(_)) = receiver.read_chunk(limits::FRAME_BYTES_MAX, true).await {}
}

fn give_up(link: &Link, broken: &Broken) {
    match broken {
        Broken::Connection => {},
        Broken::Farewell(why) => link.end(*why),
        Broken::Peer(error) => {
            tracing::warn!(peer = %link.peer, %error, "closing the connection");
            link.carrier.close(Close::Broken, &error.to_string());
        },
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
