//! Frames: one message each, with its length and checksum; and how long a frame will be.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use bytes::Bytes;

use super::field::{Count, Field, Parts, Source};
use super::keys::put_keys;
use super::layout::Choice;
use super::{Message, MirrorMessage, Payload, PullRows, RowsNamed, TickTable};
use crate::codec::Reader;
use crate::error::FrameError;
use crate::id::Sequence;
use crate::key::{Key, KeyRange, check_ascending};
use crate::limits;
use crate::vector::DType;

/// Bytes before the payload of a frame.
pub const HEADER_BYTES: usize = 12;

/// Appends the frame of a message.
///
/// ```
/// use archipelago::id::GroupId;
/// use archipelago::wire::{self, Message};
/// let message = Message::Join { group: GroupId(1), token: 7 };
/// let mut bytes = Vec::new();
/// wire::encode(&message, &mut bytes)?;
/// assert_eq!(bytes.len(), wire::encoded_len(&message));
/// assert_eq!(wire::decode(&bytes)?, message);
/// # Ok::<(), archipelago::error::FrameError>(())
/// ```
///
/// # Errors
/// What [`decode`] would refuse: `TooLarge` above a limit, `Malformed` for keys that do not
/// ascend or a cut element. Then nothing is appended.
pub fn encode(message: &Message, out: &mut Vec<u8>) -> Result<(), FrameError> {
    for part in encode_shared(message)? {
        out.extend_from_slice(&part);
    }
    Ok(())
}

/// The frame of a message in two parts, to be sent one after the other. The second shares the
/// memory of the message's values, so that they are read once, for the checksum, and not copied.
///
/// # Errors
/// As [`encode`].
pub fn encode_shared(message: &Message) -> Result<[Bytes; 2], FrameError> {
    check(message)?;
    let payload_bytes = payload_len(encoded_len(message))?;
    let mut parts = Parts::default();
    parts.head.raw(&PREFIX);
    parts.head.u8(message.tag());
    parts.head.u32(payload_bytes);
    parts.head.u32(0);
    message.put_fields(&mut parts);
    let mut head = parts.head.finish();
    let mut sum = Sum::new(message.tag(), payload_bytes);
    if let Some((fixed, fields)) = head.split_at_mut_checked(HEADER_BYTES) {
        sum.add(fields);
        sum.add(&parts.last);
        if let Some((_, field)) = fixed.split_last_chunk_mut() {
            *field = sum.finish().to_le_bytes();
        }
    }
    Ok([head.into(), parts.last])
}

/// The message of one whole frame. Values are copied; [`decode_shared`] spares that.
///
/// # Errors
/// `Truncated`, `Checksum`, `TooLarge` or `Malformed`, also when bytes follow the frame.
pub fn decode(frame: &[u8]) -> Result<Message, FrameError> {
    let (kind, payload) = unframe_whole(frame)?;
    take_message(kind, Source::borrowed(payload))
}

/// As [`decode`]; the values of the message share the memory of `frame`.
///
/// # Errors
/// As there.
pub fn decode_shared(frame: &Bytes) -> Result<Message, FrameError> {
    let (kind, payload) = unframe_whole(frame)?;
    take_message(kind, Source::shared(frame, payload))
}

/// The first message of a stream's bytes and how many bytes it took; `None` while its frame is
/// not complete. A header that cannot begin a frame is refused at once.
///
/// # Errors
/// As [`decode`]. The stream is useless from then on.
pub fn split(buffer: &[u8]) -> Result<Option<(Message, usize)>, FrameError> {
    let Some(header) = Head::take_partial(buffer)? else {
        return Ok(None);
    };
    let consumed = HEADER_BYTES + header.payload_bytes;
    let Some(frame) = buffer.get(..consumed) else {
        return Ok(None);
    };
    Ok(Some((decode(frame)?, consumed)))
}

/// Bytes that follow a frame's header.
///
/// # Errors
/// `Malformed` when no frame begins like this, `TooLarge` above the limit.
pub fn payload_bytes(header: &[u8; HEADER_BYTES]) -> Result<usize, FrameError> {
    let header = Head::take_partial(header)?;
    Ok(header.map_or(0, |header| header.payload_bytes))
}

/// Bytes of a message's frame. Cost: a pass over its keys; values are not touched.
pub fn encoded_len(message: &Message) -> usize {
    frame_of(|count| message.put_fields(count))
}

/// The rows of a pull, as far as the size of its frame depends on them.
#[derive(Clone, Copy, Debug)]
pub enum RowsSize<'a> {
    /// A range of one block.
    Block,
    /// These keys.
    Keys(&'a [Key]),
    /// A walk over a range.
    Walk,
}

/// Bytes of the frame of a push of `elements` elements, to the rows of one block when `keys` is
/// `None`.
pub fn push_bytes(
    previous: Option<Sequence>,
    keys: Option<&[Key]>,
    dtype: DType,
    elements: usize,
) -> usize {
    let rows = keys.map_or(RowsSize::Block, RowsSize::Keys);
    frame_of(|count| put_request(previous, rows, count)) + payload_field(dtype, elements)
}

/// Bytes of the frame of a pull.
pub fn pull_bytes(own: Option<Sequence>, rows: RowsSize<'_>) -> usize {
    frame_of(|count| put_request(own, rows, count))
}

/// Bytes of the frame of a served pull; `keys` and `next` as in
/// [`PullResult`](super::PullResult).
pub fn pull_answer_bytes(
    keys: Option<&[Key]>,
    next: Option<Key>,
    dtype: DType,
    elements: usize,
) -> usize {
    let fields = frame_of(|count| {
        // Table, sequence, the tag of the result, oldest, newest, the tag of the keys.
        count.0 += 4 + 8 + 1 + 8 + 8 + 1;
        if let Some(keys) = keys {
            put_keys(keys, count);
        }
        next.put(count);
    });
    fields + payload_field(dtype, elements)
}

/// Bytes of the frame of a tick.
pub fn tick_bytes(tables: &[TickTable]) -> usize {
    frame_of(|count| {
        // Origin, tick, settled_below, the number of tables.
        count.0 += ORIGIN_BYTES + 8 + 8 + 4;
        for table in tables {
            table.put(count);
        }
    })
}

/// The most bytes that the frame of a tick takes which touches `slots` slots of `tables` tables.
pub const fn tick_bytes_max(tables: usize, slots: usize) -> usize {
    // Origin, tick, settled_below, the number of tables; per table its number, weight and slots.
    let fixed = HEADER_BYTES + ORIGIN_BYTES + 8 + 8 + 4;
    fixed + tables * (4 + 9 + 4) + slots * TOUCHED_BYTES_MAX
}

/// The most bytes that the frame of a group's record takes: all its members were removed, each
/// with its last tick at every one of `shards` shards.
pub const fn record_bytes_max(members: usize, shards: usize) -> usize {
    // Group, version, size, the number of members; per member its origin, start, end and ticks.
    let fixed = HEADER_BYTES + 4 + 8 + 4 + 4;
    fixed + members * (ORIGIN_BYTES + 8 + 1 + 1 + 4 + shards * (4 + 4 + 8))
}

fn frame_of(put: impl Fn(&mut Count)) -> usize {
    let mut count = Count(HEADER_BYTES);
    put(&mut count);
    count.0
}

fn put_request(chained: Option<Sequence>, rows: RowsSize<'_>, count: &mut Count) {
    // Table, header, slot, the tag of the rows.
    count.0 += 4 + (ORIGIN_BYTES + 3 * 8) + 4 + 1;
    chained.put(count);
    match rows {
        RowsSize::Block => count.0 += RANGE_BYTES,
        RowsSize::Keys(keys) => put_keys(keys, count),
        RowsSize::Walk => count.0 += RANGE_BYTES + 4,
    }
}

fn payload_field(dtype: DType, elements: usize) -> usize {
    1 + 4 + elements * dtype.bytes()
}

/// The fixed part of a frame, checked.
#[derive(Debug)]
struct Head {
    kind: u8,
    payload_bytes: usize,
    sum: u32,
}

impl Head {
    /// The header at the front of `bytes`, or `None` when more bytes could still complete one.
    fn take_partial(bytes: &[u8]) -> Result<Option<Self>, FrameError> {
        for (expected, &found) in PREFIX.into_iter().zip(bytes) {
            if expected != found {
                return Err(FrameError::Malformed {
                    field: "magic and version of a frame",
                    found: found.into(),
                });
            }
        }
        let Some(header) = bytes.get(PREFIX.len()..HEADER_BYTES) else {
            return Ok(None);
        };
        let mut reader = Reader::new(header);
        let (kind, payload_bytes) = (reader.u8()?, reader.u32()?);
        let sum = reader.u32()?;
        let payload_bytes = usize::try_from(payload_bytes).unwrap_or(usize::MAX);
        payload_len(payload_bytes.saturating_add(HEADER_BYTES))?;
        Ok(Some(Self { kind, payload_bytes, sum }))
    }
}

fn unframe_whole(frame: &[u8]) -> Result<(u8, &[u8]), FrameError> {
    let header = Head::take_partial(frame)?
        .ok_or(FrameError::Truncated { expected: HEADER_BYTES, found: frame.len() })?;
    let payload = frame.get(HEADER_BYTES..).unwrap_or_default();
    if payload.len() < header.payload_bytes {
        return Err(FrameError::Truncated { expected: header.payload_bytes, found: payload.len() });
    }
    if payload.len() > header.payload_bytes {
        return Err(FrameError::Malformed {
            field: "bytes behind a frame",
            found: (payload.len() - header.payload_bytes) as u64,
        });
    }
    let mut sum = Sum::new(header.kind, payload_len(frame.len())?);
    sum.add(payload);
    let found = sum.finish();
    if found != header.sum {
        return Err(FrameError::Checksum { expected: header.sum, found });
    }
    Ok((header.kind, payload))
}

fn take_message(kind: u8, mut source: Source<'_>) -> Result<Message, FrameError> {
    let message = Message::take_fields(kind, &mut source)?;
    source.reader.end()?;
    Ok(message)
}

/// The payload's length in a frame of `frame_bytes`, if such a frame may exist.
fn payload_len(frame_bytes: usize) -> Result<u32, FrameError> {
    let too_large =
        FrameError::TooLarge { field: "frame", limit: limits::FRAME_BYTES_MAX, found: frame_bytes };
    if frame_bytes > limits::FRAME_BYTES_MAX {
        return Err(too_large);
    }
    u32::try_from(frame_bytes.saturating_sub(HEADER_BYTES)).map_err(|_beyond_u32| too_large)
}

/// Refuses what `decode` would refuse, apart from the frame's length.
fn check(message: &Message) -> Result<(), FrameError> {
    match message {
        Message::Push { rows, values, .. } => {
            if let RowsNamed::Keys(keys) = rows {
                check_keys(keys)?;
            }
            check_payload(values)
        },
        Message::Pull { rows: PullRows::Keys(keys), .. } => check_keys(keys),
        Message::PullAnswer { result: Ok(served), .. } => {
            check_keys(served.keys.as_deref().unwrap_or_default())?;
            check_payload(&served.values)
        },
        Message::Ticked { tables, .. } => tables.iter().try_for_each(|table| {
            let slots_max = limits::SLOTS_MAX as usize;
            check_count("slots touched", table.touched.len(), slots_max)
        }),
        Message::Mirror { message, .. } => match message {
            MirrorMessage::Update { delta, .. } | MirrorMessage::Assign { delta, .. } => {
                if let RowsNamed::Keys(keys) = &delta.rows {
                    check_keys(keys)?;
                }
                let elements_max = limits::FRAME_ELEMENTS_MAX;
                check_count("elements of a delta", delta.values.len(), elements_max)
            },
            MirrorMessage::Barrier { ranges, .. } => check_ranges(ranges),
            _ => Ok(()),
        },
        other => other.check_texts(),
    }
}

fn check_keys(keys: &[Key]) -> Result<(), FrameError> {
    check_count("keys", keys.len(), limits::FRAME_KEYS_MAX)?;
    check_ascending(keys).map_err(|_break| FrameError::Malformed {
        field: "keys that do not ascend",
        found: keys.len() as u64,
    })
}

fn check_ranges(ranges: &[KeyRange]) -> Result<(), FrameError> {
    check_count("ranges of a barrier", ranges.len(), limits::BARRIER_RANGES_MAX)?;
    if ranges.is_sorted_by(|a, b| a.last() < b.first()) {
        return Ok(());
    }
    let (field, found) = ("ranges that do not ascend", ranges.len() as u64);
    Err(FrameError::Malformed { field, found })
}

fn check_payload(values: &Payload) -> Result<(), FrameError> {
    values.check_whole()?;
    let elements_max = limits::FRAME_ELEMENTS_MAX;
    check_count("elements of a payload", values.len_elements(), elements_max)
}

fn check_count(field: &'static str, found: usize, limit: usize) -> Result<(), FrameError> {
    if found <= limit {
        return Ok(());
    }
    Err(FrameError::TooLarge { field, limit, found })
}

/// The checksum over kind, length and payload.
#[derive(Debug)]
struct Sum(crc32fast::Hasher);

impl Sum {
    fn new(kind: u8, payload_bytes: u32) -> Self {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&[kind]);
        hasher.update(&payload_bytes.to_le_bytes());
        Self(hasher)
    }

    fn add(&mut self, payload: &[u8]) {
        self.0.update(payload);
    }

    fn finish(self) -> u32 {
        self.0.finalize()
    }
}

/// The magic number 0xa2c1 and version 1 of the format.
const PREFIX: [u8; 3] = [0xc1, 0xa2, 1];
const ORIGIN_BYTES: usize = 4 + 4 + 8;
const RANGE_BYTES: usize = 8 + 8;
/// A difference of slots, of 17 bits with its sign, and any difference of sequences.
const TOUCHED_BYTES_MAX: usize = 3 + 10;
/// The number of a table and a tick.
const FENCED_BYTES: usize = 4 + 8;

const _: () = assert!(limits::SLOTS_MAX <= 1 << 16, "as TOUCHED_BYTES_MAX says");
const _: () = assert!(
    tick_bytes_max(1, limits::SLOTS_MAX as usize) <= limits::FRAME_BYTES_MAX,
    "any one table may be touched everywhere in one tick"
);
const _: () = assert!(
    record_bytes_max(limits::GROUP_SIZE_MAX as usize, 1) <= limits::FRAME_BYTES_MAX,
    "the largest group may be lost on one server with one table"
);
const _: () = assert!(
    HEADER_BYTES + ORIGIN_BYTES + 4 + 4 + limits::TABLES_MAX * FENCED_BYTES
        <= limits::FRAME_BYTES_MAX,
    "the answer to a fence names every table"
);
