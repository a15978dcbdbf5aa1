//! What waits to be sent to one peer: a queue per stream, and how much is in all of them.
//!
//! Invariants: I1 a frame is counted from the moment it is queued until its stream has taken it;
//! I2 a peer whose bytes reach the mark is full until they have fallen to half of it.

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};
use tokio::time::timeout;

use crate::limits;
use crate::sync::{Arc, AtomicBool, AtomicUsize, Ordering};

/// A frame in two parts, as [`encode_shared`](crate::wire::encode_shared) makes it.
pub(super) type Frame = [Bytes; 2];

/// The queues of one peer.
#[derive(Debug)]
pub(super) struct Outbox {
    /// One queue per stream, control first.
    queues: Vec<mpsc::UnboundedSender<Frame>>,
    level: Arc<Level>,
}

/// What queuing a frame has led to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    /// There is more room.
    Fits,
    /// With this frame the peer has become full.
    Full,
    /// So much waits that the peer has to go.
    Over,
}

/// How much waits, and whether that is too much.
#[derive(Debug)]
pub(super) struct Level {
    bytes: AtomicUsize,
    /// Bytes at which the peer is full.
    mark: AtomicUsize,
    full: AtomicBool,
    room: Notify,
}

/// Why a stream takes no more frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// It is gone, with its connection.
    Gone,
    /// The peer has read nothing of it for `PEER_STALL_MAX`.
    Stalled,
}

impl Outbox {
    /// An outbox, and what takes frames out of it: for the control stream, which has place 0, and
    /// for each data stream.
    pub(super) fn new(data_streams: u32, mark: usize) -> (Self, Outgoing, Vec<Outgoing>) {
        let level = Arc::new(Level {
            bytes: AtomicUsize::new(0),
            mark: AtomicUsize::new(mark),
            full: AtomicBool::new(false),
            room: Notify::new(),
        });
        let mut queues = Vec::new();
        let mut add = || {
            let (queue, frames) = mpsc::unbounded_channel();
            queues.push(queue);
            Outgoing { frames, level: Arc::clone(&level) }
        };
        let (control, data) = (add(), (0..data_streams).map(|_| add()).collect());
        (Self { queues, level }, control, data)
    }

    /// Queues a frame for a stream.
    pub(super) fn queue(&self, stream: usize, frame: Frame) -> Queued {
        let queued = self.level.add(bytes_of(&frame));
        if let Some(queue) = self.queues.get(stream).filter(|_| queued != Queued::Over) {
            // A stream that has ended with its connection takes nothing any more.
            drop(queue.send(frame));
        }
        queued
    }

    /// How much waits.
    pub(super) fn level(&self) -> &Level {
        &self.level
    }
}

impl Level {
    /// Bytes that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Moves the mark; it holds from the next frame on.
    pub(super) fn set_mark(&self, mark: usize) {
        self.mark.store(mark, Ordering::Relaxed);
    }

    /// Whether the peer is full.
    pub(super) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    /// Waits while the peer is full.
    pub(super) async fn room(&self) {
        let room = self.room.notified();
        if self.is_full() {
            room.await;
        }
    }

    fn add(&self, bytes: usize) -> Queued {
        let waits = self.bytes.fetch_add(bytes, Ordering::Relaxed) + bytes;
        if waits > limits::PEER_QUEUE_BYTES_MAX {
            return Queued::Over;
        }
        let full = waits >= self.mark.load(Ordering::Relaxed);
        if full && !self.full.swap(true, Ordering::Relaxed) { Queued::Full } else { Queued::Fits }
    }

    /// Whether that has made room.
    fn take(&self, bytes: usize) -> bool {
        let waits = self.bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
        let room = self.is_full() && waits <= self.mark.load(Ordering::Relaxed) / 2;
        if room {
            self.full.store(false, Ordering::Relaxed);
            self.room.notify_waiters();
        }
        room
    }
}

/// The frames of one stream, in order.
#[derive(Debug)]
pub(super) struct Outgoing {
    frames: mpsc::UnboundedReceiver<Frame>,
    level: Arc<Level>,
}

impl Outgoing {
    /// The next frame; `None` when the outbox is gone.
    pub(super) async fn next(&mut self) -> Option<Frame> {
        self.frames.recv().await
    }

    /// A frame of so many bytes is sent or lost; whether the peer, full before, has room by that.
    pub(super) fn settle(&self, bytes: usize) -> bool {
        self.level.take(bytes)
    }
}

/// Writes one frame; says why when the stream takes no more. What is left of it is of no use then.
pub(super) async fn write_frame(
    sender: &mut quinn::SendStream,
    frame: &mut Frame,
) -> Option<Ended> {
    let mut parts = &mut frame[..];
    loop {
        while parts.first().is_some_and(Bytes::is_empty) {
            parts = &mut parts[1..];
        }
        if parts.is_empty() {
            return None;
        }
        // A slow peer takes a little at a time; one that takes nothing is stuck.
        match timeout(limits::PEER_STALL_MAX, sender.write_chunks(parts)).await {
            Ok(Ok(_written)) => {},
            Ok(Err(_gone)) => return Some(Ended::Gone),
            Err(_elapsed) => return Some(Ended::Stalled),
        }
    }
}

/// The length of a frame.
pub(super) fn bytes_of(frame: &Frame) -> usize {
    frame.iter().map(Bytes::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_full_from_the_mark_on_until_half_of_it_is_left() {
        let (outbox, control, _data) = Outbox::new(0, 100);
        let frame = |bytes| [Bytes::from(vec![0; bytes]), Bytes::new()];
        let level = outbox.level();
        assert_eq!(outbox.queue(0, frame(99)), Queued::Fits);
        assert_eq!(
            (outbox.queue(0, frame(1)), outbox.queue(0, frame(1))),
            (Queued::Full, Queued::Fits)
        );
        assert!(level.is_full() && !level.take(50), "51 are left");
        assert!(level.take(1) && !level.is_full());
        assert_eq!(outbox.queue(0, frame(50)), Queued::Full, "it is told again");
        level.set_mark(1000);
        assert!(level.take(1) && !level.is_full());
        assert_eq!(outbox.queue(0, frame(limits::PEER_QUEUE_BYTES_MAX)), Queued::Over);
        drop(control);
    }
}
