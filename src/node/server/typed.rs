//! From messages to an engine of the right element type, and back.

use crate::error::WaitReason;
use crate::key::Key;
use crate::limits;
use crate::node::shard::{
    Chunk, PullOutcome, PullRequest, PushOutcome, PushRequest, ReadRows, Shard, ShardEngine,
};
use crate::node::worker::Seen;
use crate::time::Instant;
use crate::vector::Element;
use crate::wire::{Answer, Payload, PullResult, PullRows, Refusal, RowsNamed};

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
) -> Pulled {
    let request = PullRequest { header: read.header, slot: read.slot, own: read.own };
    let Some(engine) = ShardEngine::<T>::of(shard) else {
        return Pulled::Refused(Refusal::NotOwned { slot: read.slot });
    };
    let (mut keys, mut values) = (Vec::new(), Vec::new());
    let rows = match &read.rows {
        None => ReadRows::Nothing,
        Some(PullRows::Walk { range, rows_max }) => {
            let rows_max = (*rows_max as usize).min(limits::frame_rows_max(width as u32));
            ReadRows::Walk { range: *range, rows_max, keys: &mut keys, values: &mut values }
        },
        Some(PullRows::Block(rows)) => {
            let elements = rows.count().saturating_mul(width as u128);
            if elements > limits::FRAME_ELEMENTS_MAX as u128 {
                return Pulled::Refused(Refusal::Limit);
            }
            values.resize(elements as usize, T::default());
            ReadRows::Block { rows: *rows, out: &mut values }
        },
        Some(PullRows::Keys(keys)) => {
            let elements = keys.len().saturating_mul(width);
            if elements > limits::FRAME_ELEMENTS_MAX {
                return Pulled::Refused(Refusal::Limit);
            }
            values.resize(elements, T::default());
            ReadRows::Keys { keys, out: &mut values }
        },
    };
    match engine.pull(now, &request, rows) {
        PullOutcome::Served { seen, next } => {
            Pulled::Served(result(seen, next, &read.rows, keys, &values))
        },
        PullOutcome::Wait(reason) => Pulled::Wait(reason),
        PullOutcome::Settled => Pulled::Settled,
        PullOutcome::Refused(refusal) => Pulled::Refused(refusal),
    }
}

fn result<T: Element>(
    seen: Seen,
    next: Option<Key>,
    rows: &Option<PullRows>,
    keys: Vec<Key>,
    values: &[T],
) -> PullResult {
    let walk = matches!(rows, Some(PullRows::Walk { .. }));
    PullResult {
        oldest: seen.oldest,
        newest: seen.newest,
        keys: walk.then_some(keys),
        next,
        values: Payload::from_slice(values),
    }
}
