//! What a node hears of its links, and where that waits for it.

use tokio::sync::{mpsc, oneshot};

use super::link::{End, Link};
use super::pump::Counted;
use super::tls::Judge;
use crate::node::Stream;
use crate::sync::Arc;
use crate::wire::{Message, Pool};

/// What happens on connections, in the order in which the node should hear of it.
#[derive(Debug)]
pub(super) enum Event {
    /// A peer is there, on this link.
    Up(Arc<Link>),
    /// The link is gone.
    Down(Arc<Link>, End),
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
    pub(super) async fn deliver(&self, stream: Stream, event: Event) -> bool {
        let sender = match stream {
            Stream::Control => &self.control,
            Stream::Data(_) => &self.data,
        };
        sender.send(event).await.is_ok()
    }
}
