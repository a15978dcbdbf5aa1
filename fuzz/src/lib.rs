//! Fuzz targets as plain functions: a fuzzer calls them from `fuzz_targets`, and an ordinary test,
//! `tests/fuzz_smoke.rs`, replays the corpus through them. A target panics when a law is broken.
//!
//! Here are the decoders of the library and of data files. Those of `ps-server` are in
//! `program.rs`, and replayed by a test of that crate.

mod credentials;
mod files;

pub use credentials::{certificate, pem, revocation_list};
pub use files::data_file;

use archipelago::TableSpec;
use archipelago::id::{Origin, Sequence, SlotIndex, TableId, Tick};
use archipelago::key::{Key, KeyList};
use archipelago::limits;
use archipelago::placement::SlotGrid;
use archipelago::transport::Hello;
use archipelago::wire::{
    self, HEADER_BYTES, Header, Message, Pool, PullRows, ROOM_ALIGNMENT, RowsSize,
};

/// Law 14 on whole frames: nothing panics, and what decodes has no other encoding.
pub fn wire_decode(data: &[u8]) {
    decodes_to_its_only_encoding(data);
    if let Some(frame) = repaired(data) {
        decodes_to_its_only_encoding(&frame);
        let whole = wire::decode(&frame).ok();
        let first = wire::split(&frame).ok().flatten();
        // Compared as text, where a NaN equals itself.
        assert_eq!(format!("{:?}", first.map(|it| it.0)), format!("{whole:?}"));
    }
}

/// Law 14 on key lists: as the bytes of a list in a frame, and as keys that are to be sent.
pub fn key_list(data: &[u8]) {
    let mut frame = encoded(&pull(Vec::new()));
    frame.truncate(frame.len() - size_of::<u32>());
    frame.extend_from_slice(data);
    if let Some(frame) = repaired(&frame) {
        decodes_to_its_only_encoding(&frame);
        if let Ok(Message::Pull { rows: PullRows::Keys(keys), .. }) = wire::decode(&frame) {
            assert!(keys.array_windows().all(|[a, b]| a < b), "{keys:?}");
        }
    }

    let words = data.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word));
    let keys = KeyList::from_unsorted(words.collect());
    let grid = SlotGrid::new(&TableSpec::sparse("t", 1));
    let mut end = 0;
    for (slot, part) in grid.frames(&keys, 1) {
        assert_eq!(part.start, end);
        end = part.end;
        let part = &keys[part];
        assert!(part.iter().all(|key| grid.slot_of(*key) == slot));
        let frame = encoded(&pull(part.to_vec()));
        assert_eq!(frame.len(), wire::pull_bytes(None, RowsSize::Keys(part)));
        assert_eq!(wire::decode(&frame), Ok(pull(part.to_vec())));
    }
    assert_eq!(end, keys.len());
}

/// Law 14 on the first bytes of a peer: a hello has one encoding, anything else is an error.
pub fn hello(data: &[u8]) {
    let mut begun = data.to_vec();
    for (byte, magic) in begun.iter_mut().zip(b"ahoy") {
        *byte = *magic;
    }
    for bytes in [data, &begun] {
        if let Ok(hello) = Hello::decode(bytes) {
            assert_eq!(hello.encode(), bytes, "{hello:?}");
        }
    }
}

/// Law 14 on a stream, as a receiver takes it: header first, the payload into room of its own. It
/// yields the frames that were sent up to the first damage, and never waits for more than one
/// frame may hold.
pub fn frame_stream(data: &[u8]) {
    let stream = sent(data);
    let (mut rest, pool) = (&stream[..], Pool::default());
    while let Some(head) = rest.first_chunk::<HEADER_BYTES>() {
        let whole = wire::split(rest);
        let Ok(payload_bytes) = wire::payload_bytes(head) else {
            assert!(whole.is_err(), "{whole:?}");
            return;
        };
        let frame_bytes = HEADER_BYTES + payload_bytes;
        assert!(frame_bytes <= limits::FRAME_BYTES_MAX, "{frame_bytes}");
        let Some(frame) = rest.get(..frame_bytes) else {
            assert!(matches!(whole, Ok(None)), "{whole:?}");
            return;
        };
        assert!(matches!(wire::split(&frame[..frame_bytes - 1]), Ok(None)));
        let pad = frame_bytes.wrapping_neg() % ROOM_ALIGNMENT;
        let mut room = pool.room(frame_bytes + ROOM_ALIGNMENT);
        room.bytes_mut()[pad..pad + frame_bytes].copy_from_slice(frame);
        let shared = wire::decode_shared(&room.freeze().slice(pad..pad + frame_bytes));
        // Compared as text, where a NaN equals itself.
        let expected = shared.as_ref().ok().map(|message| (format!("{message:?}"), frame_bytes));
        let found = whole.ok().flatten().map(|(message, bytes)| (format!("{message:?}"), bytes));
        assert_eq!(found, expected);
        if shared.is_err() {
            return;
        }
        rest = &rest[frame_bytes..];
    }
}

/// Pieces of a length in two bytes each, sent as frames; what is left over is sent as it is.
fn sent(mut data: &[u8]) -> Vec<u8> {
    let mut stream = Vec::new();
    while let Some((length, rest)) = data.split_first_chunk() {
        let piece = rest.len().min(u16::from_le_bytes(*length).into());
        let Some(frame) = repaired(&rest[..piece]) else { break };
        stream.extend_from_slice(&frame);
        data = &rest[piece..];
    }
    [&stream, data].concat()
}

fn decodes_to_its_only_encoding(frame: &[u8]) {
    if let Ok(message) = wire::decode(frame) {
        assert_eq!(encoded(&message), frame, "{message:?}");
    }
}

fn encoded(message: &Message) -> Vec<u8> {
    let mut frame = Vec::new();
    let written = wire::encode(message, &mut frame);
    assert_eq!(written, Ok(()), "{message:?}");
    frame
}

/// The bytes with magic, version, length and checksum put right, so that damage reaches the
/// decoder of the payload; `None` when they are too few.
fn repaired(data: &[u8]) -> Option<Vec<u8>> {
    let kind = data.get(3)?;
    let payload = data.get(HEADER_BYTES..)?;
    let length = u32::try_from(payload.len()).ok()?.to_le_bytes();
    let mut sum = crc32fast::Hasher::new();
    sum.update(&[*kind]);
    sum.update(&length);
    sum.update(payload);
    let sum = sum.finalize().to_le_bytes();
    Some([&[0xc1, 0xa2, 1, *kind], &length[..], &sum, payload].concat())
}

fn pull(keys: Vec<Key>) -> Message {
    Message::Pull {
        table: TableId(0),
        header: Header {
            origin: Origin::default(),
            sequence: Sequence(1),
            settled_below: Sequence(1),
            tick: Tick(1),
        },
        slot: SlotIndex(0),
        own: None,
        rows: PullRows::Keys(keys),
    }
}
