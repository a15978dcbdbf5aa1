//! How every type of a message is written: one line per struct, one tag per variant. Tags and
//! the order of fields are the format; golden bytes in `frame` hold them still.

#![deny(clippy::indexing_slicing, clippy::cast_possible_truncation)]

use super::field::{Field, Listed, Sink, Source, unknown};
use super::{
    Answer, Header, JoinGrant, Message, Payload, PullResult, PullRows, Refusal, RowsNamed,
    TickTable,
};
use crate::error::{FrameError, Loss, WaitFor, WaitReason};
use crate::id::{
    CatalogVersion, DataCentre, GroupId, Incarnation, Mark, Origin, Rank, RecordVersion, Sequence,
    ServerId, SlotIndex, TableId, Tick,
};
use crate::key::{Key, KeyRange};
use crate::limits;
use crate::spec::{GroupRecord, Member, MemberEnd};
use crate::time::Instant;
use crate::vector::DType;

/// An enum: the number of its variant, and the variant's fields.
pub(super) trait Choice: Sized {
    fn tag(&self) -> u8;
    fn put_fields(&self, sink: &mut impl Sink);
    fn take_fields(tag: u8, source: &mut Source<'_>) -> Result<Self, FrameError>;
}

macro_rules! numbers {
    ($($newtype:ident),*) => {$(
        impl Field for $newtype {
            fn put(&self, sink: &mut impl Sink) {
                self.0.put(sink);
            }

            fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
                Ok(Self(Field::take(source)?))
            }
        }
    )*};
}

macro_rules! records {
    ($($record:ident { $($field:ident),* })*) => {$(
        impl Field for $record {
            fn put(&self, sink: &mut impl Sink) {
                $(self.$field.put(sink);)*
            }

            fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
                Ok(Self { $($field: Field::take(source)?),* })
            }
        }
    )*};
}

macro_rules! choice {
    ($choice:ident, $name:literal, $(
        $tag:literal => $variant:ident $( ( $inner:ident ) )? $( { $($field:ident),* } )?
    ),* $(,)?) => {
        impl Choice for $choice {
            fn tag(&self) -> u8 {
                match self {
                    $(Self::$variant { .. } => $tag,)*
                }
            }

            fn put_fields(&self, _sink: &mut impl Sink) {
                match self {
                    $(Self::$variant $( ( $inner ) )? $( { $($field),* } )? => {
                        $($inner.put(_sink);)?
                        $($($field.put(_sink);)*)?
                    },)*
                }
            }

            fn take_fields(tag: u8, _source: &mut Source<'_>) -> Result<Self, FrameError> {
                Ok(match tag {
                    $($tag => {
                        $(let $inner = Field::take(_source)?;)?
                        $($(let $field = Field::take(_source)?;)*)?
                        Self::$variant $( ( $inner ) )? $( { $($field),* } )?
                    },)*
                    _ => return Err(unknown($name, tag)),
                })
            }
        }
    };
}

macro_rules! choices_as_fields {
    ($($choice:ident),*) => {$(
        impl Field for $choice {
            fn put(&self, sink: &mut impl Sink) {
                self.tag().put(sink);
                self.put_fields(sink);
            }

            fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
                let tag = u8::take(source)?;
                Self::take_fields(tag, source)
            }
        }
    )*};
}

choice! { Message, "kind of message",
    0x01 => Join { group, token },
    0x02 => Attach { origin, table, spec_hash },
    0x03 => Push { table, header, slot, previous, rows, values },
    0x04 => Pull { table, header, slot, own, rows },
    0x05 => Await { table, header, slot },
    0x06 => Ticked { origin, tick, settled_below, tables },
    0x07 => Leave { origin, last },
    0x08 => Heartbeat { origin },
    0x09 => EnsureTable { request, described },
    0x0a => EnsureGroup { request, spec },
    0x0b => ListTables { request, from },
    0x0c => ChangeTable { request, name, change },
    0x0d => DropTable { request, name },
    0x21 => Joined { token, result },
    0x22 => Attached { table, result },
    0x23 => PushAnswer { table, sequence, answer },
    0x24 => PullAnswer { table, sequence, result },
    0x25 => Deferred { table, sequence, reason },
    0x26 => Resume { table, sequence },
    0x27 => TickAnswer { tick, result },
    0x28 => LeaveAnswer { result },
    0x29 => TableEnsured { request, result },
    0x2a => GroupEnsured { request, result },
    0x2b => Tables { request, tables, next },
    0x2c => TableChanged { request, result },
    0x2d => TableDropped { request, result },
    0x2e => Withheld { server },
    0x41 => Record(record),
    0x42 => RecordHeld { group, version, server, closed },
    0x43 => Fence { origin },
    0x44 => Fenced { origin, server, last },
    0x45 => CatalogEntry { version, entry },
    0x46 => CatalogHeld { version, server, result },
    0x61 => Mirror { table, of, message },
}

choice! { RowsNamed, "rows of a push",
    0 => Block(range),
    1 => Keys(keys),
}

choice! { PullRows, "rows of a pull",
    0 => Block(range),
    1 => Keys(keys),
    2 => Walk { range, rows_max },
}

choice! { Answer, "answer",
    0 => Admitted,
    1 => Applied,
    2 => Settled,
    3 => Refused(refusal),
}

choice! { Refusal, "refusal",
    0 => NonFinite { key, element, bits },
    1 => UnknownTable { table },
    2 => SpecMismatch { expected, found },
    3 => DType { expected, found },
    4 => Shape { expected, found },
    5 => OutsideDomain { key },
    6 => NotOwned { slot },
    7 => UnknownWorker,
    8 => StaleWorker { current },
    9 => Removed { why },
    10 => Finished,
    11 => WriterTaken { writer },
    12 => Weight { found },
    13 => TickBackwards { expected, found },
    14 => GroupFull { size },
    15 => UnknownGroup { group },
    16 => WindowFull,
    17 => Limit,
    18 => Dropped { table },
    19 => NotKeeper { keeper },
    20 => Ended { table },
    21 => Passed { expected, found },
}

choice! { MemberEnd, "end of a membership",
    0 => Active,
    1 => Left { last },
    2 => Removed { why, last },
}

choice! { DType, "element type",
    0 => F32,
    1 => F64,
    2 => I64,
}

choice! { Loss, "loss",
    0 => Dropped,
    1 => PeerDown,
    2 => Silent,
}

choice! { WaitFor, "reason of a wait",
    0 => GroupForming,
    1 => MemberTick,
    2 => OwnPush,
    3 => EarlierPush,
    4 => StashFull,
    5 => SendWindow,
    6 => Answer,
    7 => CloseSteps,
    8 => PolicyChange,
    9 => Confirmation { server },
    10 => MirrorClock { data_centre },
    11 => Barrier { data_centre },
}

choices_as_fields!(RowsNamed, PullRows, Answer, Refusal, MemberEnd, DType, Loss, WaitFor);

numbers!(
    CatalogVersion,
    DataCentre,
    GroupId,
    Incarnation,
    Mark,
    Rank,
    RecordVersion,
    Sequence,
    ServerId,
    SlotIndex,
    TableId,
    Tick,
    Key,
    Instant
);

records! {
    Origin { group, rank, incarnation }
    Header { origin, sequence, settled_below, tick }
    TickTable { table, weight, touched }
    JoinGrant { origin, size, start }
    PullResult { oldest, newest, keys, next, values }
    WaitReason { who, tick, since, what }
    GroupRecord { group, version, size, members }
    Member { origin, start, end }
}

impl Field for KeyRange {
    fn put(&self, sink: &mut impl Sink) {
        self.first().put(sink);
        self.last().put(sink);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let (first, last) = Field::take(source)?;
        Self::new(first, last)
            .ok_or(FrameError::Malformed { field: "last key of a range", found: last.0 })
    }
}

impl Field for Payload {
    fn put(&self, sink: &mut impl Sink) {
        self.dtype.put(sink);
        super::field::put_count(self.bytes.len(), sink);
        sink.shared(&self.bytes);
    }

    fn take(source: &mut Source<'_>) -> Result<Self, FrameError> {
        let dtype = DType::take(source)?;
        let bytes_max = limits::FRAME_ELEMENTS_MAX * dtype.bytes();
        let count = source.reader.count("bytes of a payload", 1, bytes_max)?;
        let bytes = source.bytes(count)?;
        let payload = Self { dtype, bytes };
        payload.check_whole()?;
        Ok(payload)
    }
}

impl Listed for TickTable {
    const NAME: &'static str = "tables of a tick";
    const BYTES_MIN: usize = 4 + 1 + 4;
    const COUNT_MAX: usize = limits::FRAME_BYTES_MAX / Self::BYTES_MIN;
}

impl Listed for Member {
    const NAME: &'static str = "members";
    const BYTES_MIN: usize = 16 + 8 + 1;
    const COUNT_MAX: usize = limits::FRAME_BYTES_MAX / Self::BYTES_MIN;
}

impl Listed for (TableId, Tick) {
    const NAME: &'static str = "last ticks";
    const BYTES_MIN: usize = 4 + 8;
    const COUNT_MAX: usize = limits::FRAME_BYTES_MAX / Self::BYTES_MIN;
}

impl Listed for (ServerId, TableId, Tick) {
    const NAME: &'static str = "last ticks";
    const BYTES_MIN: usize = 4 + 4 + 8;
    const COUNT_MAX: usize = limits::FRAME_BYTES_MAX / Self::BYTES_MIN;
}

pub(super) use {choice, choices_as_fields, records};
