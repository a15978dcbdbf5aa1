//! Events as text: `name field=token ..`, one line each, tokens without spaces.

use std::fmt;

use super::{BarrierEnd, Event, PolicyKind, WaitOutcome};
use crate::error::{Loss, WaitFor, WaitReason};
use crate::id::{
    DataCentre, GroupId, Incarnation, Mark, Origin, Rank, RecordVersion, Sequence, ServerId,
    SlotIndex, TableId, Tick,
};
use crate::key::KeyRange;
use crate::placement::Epoch;
use crate::spec::{GroupRecord, Member, MemberEnd};
use crate::time::Instant;

/// A value as one word.
trait Token {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

/// Lends a token to the formatting macros.
struct Word<'a, T: ?Sized>(&'a T);

impl<T: Token + ?Sized> fmt::Display for Word<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.write(f)
    }
}

macro_rules! lines {
    ($($name:literal => $variant:ident { $($field:ident),* })*) => {
        impl fmt::Display for Event {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant { $($field),* } => write!(
                        f,
                        concat!($name, $(" ", stringify!($field), "={}"),*),
                        $(Word($field)),*
                    ),)*
                }
            }
        }
    };
}

lines! {
    "joined" => Joined { origin, start }
    "record_held" => RecordHeld { record }
    "pushed" => Pushed { origin, table, slot, sequence, previous, tick }
    "executed" => Executed { origin, table, slot, sequence, tick, round }
    "refused" => Refused { origin, table, sequence }
    "tick_sent" => TickSent { origin, tick, touched }
    "tick_counted" => TickCounted { origin, table, range, tick }
    "begins_behind" => BeginsBehind { origin, table, tick }
    "round_closed" => RoundClosed { table, server, round, contributors }
    "served" => Served { origin, table, slot, at_tick, oldest, newest, policy, own }
    "wait_began" => WaitBegan { origin, table, slot, sequence, at_tick, reason }
    "wait_ended" => WaitEnded { origin, table, sequence, outcome }
    "worker_lost" => WorkerLost { origin, why }
    "held" => Held { what, count, limit }
    "placed" => Placed { table, slot, range, owner, epoch }
    "changed" => Changed { table, from, policy }
    "pass_ended" => PassEnded { table, tick, threshold, told, kept, over }
    "training_ended" => TrainingEnded { table }
    "balance" => Balance { table, tick, values, residuals, stashed }
    "update_queued" => UpdateQueued { table, slot, sum }
    "update_told" => UpdateTold { table, to, of, slot, sequence, tick, mark, sum }
    "update_taken" => UpdateTaken { table, from, of, slot, sequence, mark, sum }
    "mirror_clock_told" => MirrorClockTold { table, to, of, tick, marks }
    "mirror_clock_counted" => MirrorClockCounted { table, from, data_centre, slot, tick }
    "barrier_set" => BarrierSet { table, data_centre, slot, mark, ranges, until }
    "barrier_ended" => BarrierEnded { table, data_centre, slot, mark, why }
    "data_centre_lost" => DataCentreLost { table, data_centre }
    "data_centre_back" => DataCentreBack { table, data_centre }
    "settled" => Settled { table, slot, tick, digest }
    "mirror_served" => MirrorServed { origin, table, slot, at_tick, rows }
    "server_stopped" => ServerStopped { server }
    "assigned" => Assigned { table, slot }
}

macro_rules! numbers {
    ($($newtype:ident),*) => {$(
        impl Token for $newtype {
            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    )*};
}

numbers!(
    GroupId,
    Incarnation,
    Rank,
    RecordVersion,
    Sequence,
    ServerId,
    SlotIndex,
    DataCentre,
    Mark,
    TableId,
    Tick,
    Epoch,
    Instant
);

macro_rules! words {
    ($($choice:ident { $($variant:ident => $word:literal),* })*) => {$(
        impl Token for $choice {
            fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),* })
            }
        }
    )*};
}

words! {
    WaitOutcome {
        Served => "served", Refused => "refused", OwnerLost => "owner_lost", GivenUp => "given_up"
    }
    BarrierEnd { Came => "came", Time => "time" }
    Loss { Dropped => "dropped", PeerDown => "peer_down", Silent => "silent" }
}

impl Token for WaitFor {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GroupForming => "group_forming",
            Self::MemberTick => "member_tick",
            Self::OwnPush => "own_push",
            Self::EarlierPush => "earlier_push",
            Self::StashFull => "stash_full",
            Self::SendWindow => "send_window",
            Self::Answer => "answer",
            Self::CloseSteps => "close_steps",
            Self::PolicyChange => "policy_change",
            Self::Confirmation { server } => return write!(f, "confirmation({})", Word(server)),
            Self::MirrorClock { data_centre } => {
                return write!(f, "mirror_clock({})", Word(data_centre));
            },
            Self::Barrier { data_centre } => return write!(f, "barrier({})", Word(data_centre)),
        })
    }
}

impl Token for PolicyKind {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bsp => f.write_str("bsp"),
            Self::Ssp(staleness) => write!(f, "ssp({staleness})"),
            Self::Eventual => f.write_str("eventual"),
            Self::Other => f.write_str("other"),
        }
    }
}

impl Token for u64 {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl Token for u128 {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:032x}")
    }
}

impl Token for &'static str {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl<T: Token> Token for Option<T> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Some(value) => value.write(f),
            None => f.write_str("-"),
        }
    }
}

impl<T: Token> Token for Vec<T> {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[")?;
        for (i, item) in self.iter().enumerate() {
            write!(f, "{}{}", if i == 0 { "" } else { "," }, Word(item))?;
        }
        f.write_str("]")
    }
}

impl<A: Token, B: Token> Token for (A, B) {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", Word(&self.0), Word(&self.1))
    }
}

impl<A: Token, B: Token, C: Token> Token for (A, B, C) {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", Word(&self.0), Word(&self.1), Word(&self.2))
    }
}

impl Token for Origin {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (self.group, self.rank, self.incarnation).write(f)
    }
}

impl Token for KeyRange {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..={}", self.first(), self.last())
    }
}

impl Token for WaitReason {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, who) = (Word(&self.what), Word(&self.who));
        let (tick, since) = (Word(&self.tick), Word(&self.since));
        write!(f, "{what}({who},{tick},since:{since})")
    }
}

impl Token for GroupRecord {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (group, version) = (Word(&self.group), Word(&self.version));
        let (size, members) = (self.size, Word(&self.members));
        write!(f, "{group}:{version}:{size}:{members}")
    }
}

impl Token for Member {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..", Word(&self.origin), Word(&self.start))?;
        match &self.end {
            MemberEnd::Active => Ok(()),
            MemberEnd::Left { last } => write!(f, "={}", Word(last)),
            MemberEnd::Removed { why, last } => write!(f, "{}{}", Word(why), Word(last)),
        }
    }
}
