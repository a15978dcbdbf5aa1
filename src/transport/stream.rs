//! Frames over QUIC streams.
//!
//! Every stream is unidirectional and begins with its name: one byte for its number, 0 for control,
//! then the data streams; and eight, little-endian, for its link, whose number the caller has
//! chosen. Control streams go on with a [`Hello`]; then come frames.

use quinn::{ReadError, RecvStream, SendStream, VarInt};

use super::hello::{HELLO_BYTES, Hello};
use super::link::Close;
use crate::error::FrameError;
use crate::node::{DATA_STREAMS, Stream};
use crate::wire::{self, HEADER_BYTES, Message, Pool, ROOM_ALIGNMENT};

/// Control is sent before all data.
const CONTROL_PRIORITY: i32 = 1;

/// Why a stream cannot be read any further.
#[derive(Debug)]
pub(super) enum Broken {
    /// The connection is gone; its own error says why.
    Connection,
    /// The peer has ended the link, not the connection.
    Farewell(Close),
    /// The peer sends what no honest peer sends.
    Peer(FrameError),
}

impl From<FrameError> for Broken {
    fn from(error: FrameError) -> Self {
        Self::Peer(error)
    }
}

/// Names a new stream of a link to the peer.
pub(super) async fn begin(
    sender: &mut SendStream,
    (link, stream): (u64, Stream),
) -> Result<(), quinn::WriteError> {
    if stream == Stream::Control {
        // A stream that has ended needs no priority.
        let _ = sender.set_priority(CONTROL_PRIORITY);
    }
    let mut name = [0; NAME_BYTES];
    name[0] = number_of(stream);
    name[1..].copy_from_slice(&link.to_le_bytes());
    sender.write_all(&name).await
}

/// The name of a stream that the peer has opened: its link, and which of it it is.
pub(super) async fn begun(receiver: &mut RecvStream) -> Result<(u64, Stream), Broken> {
    let mut number = [0];
    read(receiver, &mut number).await?;
    let stream = stream_of(number[0]).ok_or_else(|| {
        Broken::Peer(FrameError::Malformed { field: "stream", found: u64::from(number[0]) })
    })?;
    let mut link = [0; NAME_BYTES - 1];
    read(receiver, &mut link).await?;
    Ok((u64::from_le_bytes(link), stream))
}

/// The peer's hello.
pub(super) async fn hello(receiver: &mut RecvStream) -> Result<Hello, Broken> {
    let mut bytes = [0; HELLO_BYTES];
    read(receiver, &mut bytes).await?;
    Ok(Hello::decode(&bytes)?)
}

/// The next message of a stream; `None` at its end.
///
/// Copies the frame once, into memory where its values lie aligned: values end a frame, so the
/// frame's end is put on a boundary.
pub(super) async fn message(
    receiver: &mut RecvStream,
    pool: &Pool,
) -> Result<Option<Message>, Broken> {
    let mut head = [0; HEADER_BYTES];
    match receiver.read(&mut head).await {
        Ok(Some(first)) => read(receiver, &mut head[first..]).await?,
        Ok(None) => return Ok(None),
        Err(error) => return Err(broken(&error)),
    }
    let payload_bytes = wire::payload_bytes(&head)?;
    let frame_bytes = HEADER_BYTES + payload_bytes;
    let mut room = pool.room(frame_bytes + ROOM_ALIGNMENT);
    let pad = frame_bytes.wrapping_neg() % ROOM_ALIGNMENT;
    let frame = &mut room.bytes_mut()[pad..pad + frame_bytes];
    frame[..HEADER_BYTES].copy_from_slice(&head);
    let mut payload = &mut frame[HEADER_BYTES..];
    while !payload.is_empty() {
        let missing = payload.len();
        match receiver.read_chunk(missing, true).await {
            Ok(Some(chunk)) => {
                let (now, later) = payload.split_at_mut(chunk.bytes.len());
                now.copy_from_slice(&chunk.bytes);
                payload = later;
            },
            Ok(None) => {
                let found = payload_bytes - missing;
                return Err(FrameError::Truncated { expected: payload_bytes, found }.into());
            },
            Err(error) => return Err(broken(&error)),
        }
    }
    Ok(Some(wire::decode_shared(&room.freeze().slice(pad..pad + frame_bytes))?))
}

async fn read(receiver: &mut RecvStream, bytes: &mut [u8]) -> Result<(), Broken> {
    let (expected, mut found) = (bytes.len(), 0);
    while found < expected {
        match receiver.read(&mut bytes[found..]).await {
            Ok(Some(count)) => found += count,
            Ok(None) => return Err(FrameError::Truncated { expected, found }.into()),
            Err(error) => return Err(broken(&error)),
        }
    }
    Ok(())
}

/// What it means that a stream has ended before its time.
pub(super) fn broken(error: &ReadError) -> Broken {
    match error {
        ReadError::Reset(code) => reset(*code),
        _ => Broken::Connection,
    }
}

/// A stream that its sender gives up ends its link when it says so by its code. Otherwise it is a
/// breach of the protocol.
pub(super) fn reset(code: VarInt) -> Broken {
    match Close::of(code).filter(|close| close.ends_link()) {
        Some(close) => Broken::Farewell(close),
        None => {
            let found = code.into_inner();
            FrameError::Malformed { field: "reset of a stream", found }.into()
        },
    }
}

/// The byte that names a stream; also its place among the queues of a link.
pub(super) fn number_of(stream: Stream) -> u8 {
    match stream {
        Stream::Control => 0,
        Stream::Data(number) => 1 + (number % DATA_STREAMS) as u8,
    }
}

fn stream_of(number: u8) -> Option<Stream> {
    match u32::from(number).checked_sub(1) {
        None => Some(Stream::Control),
        Some(data) => (data < DATA_STREAMS).then_some(Stream::Data(data)),
    }
}

/// Bytes of the name of a stream.
const NAME_BYTES: usize = 1 + 8;
const _: () = assert!(DATA_STREAMS < 255);
