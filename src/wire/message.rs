//! The messages. Data only: `layout` says how each is written, `frame` how it travels.

use super::{Answer, CatalogRefusal, MirrorMessage, Payload, Refusal};
use crate::error::WaitReason;
use crate::id::{
    CatalogVersion, DataCentre, GroupId, Origin, RecordVersion, Sequence, ServerId, SlotIndex,
    TableId, Tick,
};
use crate::key::{Key, KeyRange};
use crate::spec::{
    CatalogEntry, Described, GroupEntry, GroupRecord, GroupSpec, TableChange, TableEntry,
};

/// Everything that one process says to another.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    // Worker to server.
    /// Asks the group's keeper for a place.
    Join {
        /// The group.
        group: GroupId,
        /// Chosen by the worker; a repeated join with the same token gets the same place.
        token: u64,
    },
    /// Tells a server of a table that the worker will use. At the owner of slot 0 it binds the
    /// table's writing group.
    Attach {
        /// Who.
        origin: Origin,
        /// The table.
        table: TableId,
        /// The hash of the spec that the worker holds.
        spec_hash: u128,
    },
    /// One chunk of a push.
    Push {
        /// The table.
        table: TableId,
        /// Who, which request, at which tick.
        header: Header,
        /// The slot that holds every row of the chunk.
        slot: SlotIndex,
        /// The origin's push before this one to the same slot.
        previous: Option<Sequence>,
        /// The rows.
        rows: RowsNamed,
        /// Their contributions, `width` elements a row.
        values: Payload,
    },
    /// One chunk of a pull.
    Pull {
        /// The table.
        table: TableId,
        /// Who, which request, at which tick.
        header: Header,
        /// The slot that holds every row of the chunk.
        slot: SlotIndex,
        /// The origin's last push to that slot; the answer contains it.
        own: Option<Sequence>,
        /// The rows.
        rows: PullRows,
    },
    /// A pull of no rows: answered when a pull at that tick would be.
    Await {
        /// The table.
        table: TableId,
        /// Who, which request, at which tick.
        header: Header,
        /// The slot.
        slot: SlotIndex,
    },
    /// The worker has ended a tick. One message per server.
    Ticked {
        /// Who.
        origin: Origin,
        /// The tick that ended.
        tick: Tick,
        /// The lowest sequence that is not answered yet.
        settled_below: Sequence,
        /// The tables that the origin pushed to in this tick.
        tables: Vec<TickTable>,
    },
    /// The worker has finished.
    Leave {
        /// Who.
        origin: Origin,
        /// Its last tick.
        last: Tick,
    },
    /// The worker lives and has nothing else to say.
    Heartbeat {
        /// Who.
        origin: Origin,
    },

    /// Asks the keeper for a table: the one of that name, or a new one.
    EnsureTable {
        /// Chosen by the asker, to tell its requests apart.
        request: u64,
        /// What the table is to be.
        described: Box<Described>,
    },
    /// Asks the keeper for a group: the one of that name, or a new one.
    EnsureGroup {
        /// Chosen by the asker, to tell its requests apart.
        request: u64,
        /// What the group is to be.
        spec: GroupSpec,
    },
    /// Asks the keeper for tables that exist.
    ListTables {
        /// Chosen by the asker, to tell its requests apart.
        request: u64,
        /// The first number asked for.
        from: TableId,
    },
    /// Asks the keeper to change a table.
    ChangeTable {
        /// Chosen by the asker, to tell its requests apart.
        request: u64,
        /// The table's name.
        name: String,
        /// What is to change.
        change: Box<TableChange>,
    },
    /// Asks the keeper to drop a table.
    DropTable {
        /// Chosen by the asker, to tell its requests apart.
        request: u64,
        /// The table's name.
        name: String,
    },

    // Server to worker.
    /// Answers `Join`.
    Joined {
        /// The token of the join.
        token: u64,
        /// The place, or why there is none.
        result: Result<JoinGrant, Refusal>,
    },
    /// Answers `Attach`.
    Attached {
        /// The table.
        table: TableId,
        /// Whether the worker may use it.
        result: Result<(), Refusal>,
    },
    /// Answers `Push`.
    PushAnswer {
        /// The table.
        table: TableId,
        /// The request.
        sequence: Sequence,
        /// What became of it.
        answer: Answer,
    },
    /// Answers `Pull` and `Await`.
    PullAnswer {
        /// The table.
        table: TableId,
        /// The request.
        sequence: Sequence,
        /// The rows, or why there are none.
        result: Result<PullResult, Refusal>,
    },
    /// Not yet. A push: the worker keeps its data until `Resume`. A pull or await: the server
    /// keeps it, and tells what it waits for.
    Deferred {
        /// The table.
        table: TableId,
        /// The request.
        sequence: Sequence,
        /// What it waits for.
        reason: WaitReason,
    },
    /// A deferred push may be sent again now.
    Resume {
        /// The table.
        table: TableId,
        /// The request.
        sequence: Sequence,
    },
    /// Answers `Ticked`.
    TickAnswer {
        /// The tick.
        tick: Tick,
        /// Whether the server has taken note of it.
        result: Result<(), Refusal>,
    },
    /// Answers of the keeper wait until this server has confirmed what was created or changed; they
    /// wait for none any more when there is none.
    Withheld {
        /// The server.
        server: Option<ServerId>,
    },
    /// Answers `Leave`.
    LeaveAnswer {
        /// Whether the worker has left.
        result: Result<(), Refusal>,
    },

    /// Answers `EnsureTable`, once every server holds the table.
    TableEnsured {
        /// The number of the request.
        request: u64,
        /// The table as the cluster holds it, or why there is none.
        result: Result<TableEntry, CatalogRefusal>,
    },
    /// Answers `EnsureGroup`, once every server holds the group.
    GroupEnsured {
        /// The number of the request.
        request: u64,
        /// The group as the cluster holds it, or why there is none.
        result: Result<GroupEntry, CatalogRefusal>,
    },
    /// Answers `ListTables`.
    Tables {
        /// The number of the request.
        request: u64,
        /// Tables that every server holds, ascending by number: as many as fit a frame.
        tables: Vec<TableEntry>,
        /// Where to ask on; `None` at the end.
        next: Option<TableId>,
    },
    /// Answers `ChangeTable`, once every server knows of the change.
    TableChanged {
        /// The number of the request.
        request: u64,
        /// The first tick that it holds for, or why there is none.
        result: Result<Tick, CatalogRefusal>,
    },
    /// Answers `DropTable`, once no server has the table.
    TableDropped {
        /// The number of the request.
        request: u64,
        /// Whether it is gone.
        result: Result<(), CatalogRefusal>,
    },

    // Server to server.
    /// The keeper has created, changed or dropped something. A server is sent the next entry once
    /// it has answered the one before.
    CatalogEntry {
        /// How many entries there are with this one.
        version: CatalogVersion,
        /// What happened.
        entry: CatalogEntry,
    },
    /// Answers `CatalogEntry`: the server knows of all entries up to this one.
    CatalogHeld {
        /// How many entries the server knows of.
        version: CatalogVersion,
        /// Who.
        server: ServerId,
        /// Whether it holds the last of them, or why it cannot.
        result: Result<(), CatalogRefusal>,
    },
    /// The keeper's newest record of a group.
    Record(GroupRecord),
    /// Answers `Record`: the server obeys it from now on.
    RecordHeld {
        /// The group.
        group: GroupId,
        /// The record's version.
        version: RecordVersion,
        /// Who holds it.
        server: ServerId,
        /// The last round that any of its shards has closed: a joiner has to start behind it.
        closed: Tick,
    },
    /// The keeper is about to remove a worker: count nothing of it any more.
    Fence {
        /// Who is to be removed.
        origin: Origin,
    },
    /// Answers `Fence`.
    Fenced {
        /// Who is to be removed.
        origin: Origin,
        /// Who answers.
        server: ServerId,
        /// The worker's last tick counted, per table that the server holds a shard of.
        last: Vec<(TableId, Tick)>,
    },

    // Between servers of two data centres.
    /// What one copy of a table has to say to another.
    Mirror {
        /// The table.
        table: TableId,
        /// Whose line it is of: the data centre that it speaks for, or a group's first one; of an
        /// answer, the one that it answers.
        of: DataCentre,
        /// What.
        message: MirrorMessage,
    },
}

/// What every request carries (law 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Who asks.
    pub origin: Origin,
    /// The request's number in its origin's one line.
    pub sequence: Sequence,
    /// The lowest sequence of the origin that is not answered yet.
    pub settled_below: Sequence,
    /// The tick that the request belongs to.
    pub tick: Tick,
}

/// The rows of one chunk of a push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RowsNamed {
    /// Rows of a dense table, all of one block.
    Block(KeyRange),
    /// Rows of one slot: strictly ascending keys, at most `frame_keys_max`.
    Keys(Vec<Key>),
}

/// The rows of one chunk of a pull.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PullRows {
    /// Rows of a dense table, all of one block.
    Block(KeyRange),
    /// Rows of one slot: strictly ascending keys, at most `frame_keys_max`.
    Keys(Vec<Key>),
    /// The rows that exist in a range of one slot, in key order.
    Walk {
        /// The range; a continued walk starts at the `next` of the answer before.
        range: KeyRange,
        /// How many rows the answer may hold.
        rows_max: u32,
    },
}

/// What a worker did to one table in a tick.
#[derive(Clone, Debug, PartialEq)]
pub struct TickTable {
    /// The table.
    pub table: TableId,
    /// The weight of the tick's contribution; `None` when the worker did not push to the table.
    pub weight: Option<f64>,
    /// The last sequence pushed to each slot touched in the tick. A tick never overtakes its data:
    /// a slot counts the tick once its chain is unbroken up to there.
    pub touched: Vec<(SlotIndex, Sequence)>,
}

/// A place in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinGrant {
    /// Who the worker is from now on.
    pub origin: Origin,
    /// The group's declared size.
    pub size: u32,
    /// The worker's first tick.
    pub start: Tick,
}

/// The rows of one chunk of a pull, as they were when it was served.
#[derive(Clone, Debug, PartialEq)]
pub struct PullResult {
    /// Every member's pushes of ticks up to this one are in all values.
    pub oldest: Tick,
    /// No push of a later tick is in any value.
    pub newest: Tick,
    /// The keys found, for a walk; the other pulls name theirs.
    pub keys: Option<Vec<Key>>,
    /// Where a walk continues; `None` at the end of its range.
    pub next: Option<Key>,
    /// The values, `width` elements a row.
    pub values: Payload,
}
