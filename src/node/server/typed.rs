//! From messages to an engine of the right element type, and back.

use crate::error::WaitReason;
use crate::key::Key;
use crate::limits;
use crate::node::shard::{
    Chunk, PullOutcome, PullRequest, PushOutcome, PushRequest, ReadRows, RowsAsked, Shard,
    ShardEngine,
};
use crate::node::worker::Seen;
use crate::time::Instant;
use crate::vector::Element;
use crate::wire::{Answer, Payload, Pool, PullResult, PullRows, Refusal, RowsNamed};

use super::waiting::WaitingRead;

/// What became of a pull, with the answer's data.
pub(super) enum Pulled {
    Served(PullResult),
    Wait(WaitReason),
    Settled,
    Refused(Refusal),
}

/// Decodes a push for its engine.
pub(super) fn push<T: Element>(
    shard: &mut dyn Shard,
    now: Instant,
    request: &PushRequest,
    rows: &RowsNamed,
    values: &Payload,
) -> PushOutcome {
    let refused = |refusal| PushOutcome::Answered(Answer::Refused(refusal));
    let Some(engine) = ShardEngine::<T>::of(shard) else {
        let (expected, found) = (shard.dtype(), T::DTYPE);
        return refused(Refusal::DType { expected, found });
    };
    let Ok(values) = values.elements::<T>() else {
        return refused(Refusal::Shape { expected: 0, found: values.bytes.len() as u64 });
    };
    let values = &*values;
    let chunk = match rows {
        RowsNamed::Block(rows) => Chunk::Block { rows: *rows, values },
        RowsNamed::Keys(keys) => Chunk::Frame { keys, values },
    };
    engine.push(now, request, chunk)
}

/// Reads for an answer.
pub(super) fn pull<T: Element>(
    shard: &mut dyn Shard,
    now: Instant,
    read: &WaitingRead,
    width: usize,
    pool: &Pool,
) -> Pulled {
    let request = PullRequest { header: read.header, slot: read.slot, own: read.own };
    let Some(engine) = ShardEngine::<T>::of(shard) else {
        return Pulled::Refused(Refusal::NotOwned { slot: read.slot });
    };
    let (asked, rows) = match &read.rows {
        None => (RowsAsked::Nothing, 0),
        Some(PullRows::Walk { .. }) => (RowsAsked::Walk, 0),
        Some(PullRows::Block(rows)) => (RowsAsked::Block(*rows), rows.count()),
        Some(PullRows::Keys(keys)) => (RowsAsked::Keys(keys), keys.len() as u128),
    };
    let elements = rows.saturating_mul(width as u128);
    if elements > limits::FRAME_ELEMENTS_MAX as u128 {
        return Pulled::Refused(Refusal::Limit);
    }
    let (mut keys, mut walked, mut room) = (Vec::new(), Vec::new(), None);
    let (found, values, made) = (&mut keys, &mut walked, &mut room);
    let outcome = engine.pull_into(now, &request, asked, move || {
        let bytes = elements as usize * size_of::<T>();
        let room = made.insert(pool.room(bytes)).bytes_mut();
        let out = bytemuck::cast_slice_mut::<u8, T>(&mut room[..bytes]);
        match &read.rows {
            None => ReadRows::Nothing,
            Some(PullRows::Walk { range, rows_max }) => {
                let rows_max = (*rows_max as usize).min(limits::frame_rows_max(width as u32));
                ReadRows::Walk { range: *range, rows_max, keys: found, values }
            },
            Some(PullRows::Block(rows)) => {
                let whole_bytes = size_of_val(&out[..]);
                ReadRows::Block { rows: *rows, out, whole_bytes }
            },
            Some(PullRows::Keys(keys)) => ReadRows::Keys { keys, out },
        }
    });
    match outcome {
        PullOutcome::Served { seen, next } => {
            let values = match room {
                Some(room) if elements > 0 => Payload::from_room::<T>(room, elements as usize),
                _ => Payload::pooled(pool, &walked),
            };
            Pulled::Served(result(seen, next, &read.rows, keys, values))
        },
        PullOutcome::Wait(reason) => Pulled::Wait(reason),
        PullOutcome::Settled => Pulled::Settled,
        PullOutcome::Refused(refusal) => Pulled::Refused(refusal),
    }
}

fn result(
    seen: Seen,
    next: Option<Key>,
    rows: &Option<PullRows>,
    keys: Vec<Key>,
    values: Payload,
) -> PullResult {
    let walk = matches!(rows, Some(PullRows::Walk { .. }));
    PullResult {
        oldest: seen.oldest,
        newest: seen.newest,
        keys: walk.then_some(keys),
        next,
        values,
    }
}
