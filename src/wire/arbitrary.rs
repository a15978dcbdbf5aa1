//! Arbitrary messages from a seed.

use super::{
    Answer, CatalogRefusal, Delta, Header, JoinGrant, Message, MirrorMessage, Payload, Positions,
    PullResult, PullRows, Refusal, RowsNamed, TickTable, Trimmed,
};
use crate::error::{Loss, SpecError, WaitFor, WaitReason};
use crate::extension::Extension;
use crate::id::{
    CatalogVersion, DataCentre, GroupId, Incarnation, Mark, Origin, Rank, RecordVersion, Sequence,
    ServerId, SlotIndex, TableId, Tick,
};
use crate::key::{Key, KeyList, KeyRange};
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::spec::{
    CatalogEntry, ChangeEntry, Combine, Described, FoldOrder, GroupEntry, GroupRecord, GroupSpec,
    Hyper, Init, Layout, Member, MemberEnd, Shape, TableChange, TableEntry, TablePolicy, TableSpec,
    TensorSpec, Terms,
};
use crate::time::Instant;
use crate::vector::DType;

/// Arbitrary messages from a seed.
pub(super) struct Any(pub(super) Rng);

impl Any {
    fn u64(&mut self) -> u64 {
        let bits = self.0.below(65);
        self.0.next_u64().checked_shr(bits as u32).unwrap_or(0)
    }

    fn u32(&mut self) -> u32 {
        self.u64() as u32
    }

    fn one_of<T, const N: usize>(&mut self, items: [T; N]) -> T {
        let at = self.0.below(N as u64) as usize;
        items.into_iter().nth(at).unwrap()
    }

    fn list<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Vec<T> {
        (0..self.0.below(4)).map(|_| item(self)).collect()
    }

    fn option<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Option<T> {
        self.0.chance(0.5).then(|| item(self))
    }

    fn result<T>(&mut self, item: impl Fn(&mut Self) -> T) -> Result<T, Refusal> {
        if self.0.chance(0.5) { Ok(item(self)) } else { Err(self.refusal()) }
    }

    pub(super) fn origin(&mut self) -> Origin {
        Origin {
            group: GroupId(self.u32()),
            rank: Rank(self.u32()),
            incarnation: Incarnation(self.u64()),
        }
    }

    pub(super) fn header(&mut self) -> Header {
        Header {
            origin: self.origin(),
            sequence: Sequence(self.u64()),
            settled_below: Sequence(self.u64()),
            tick: Tick(self.u64()),
        }
    }

    fn range(&mut self) -> KeyRange {
        let (a, b) = (self.u64(), self.u64());
        KeyRange::new(Key(a.min(b)), Key(a.max(b))).unwrap()
    }

    fn keys(&mut self) -> Vec<Key> {
        KeyList::from_unsorted(self.list(Self::u64)).to_vec()
    }

    fn payload(&mut self) -> Payload {
        let bits = self.list(|any| any.0.next_u64() as i64);
        let dtype = self.one_of([DType::F32, DType::F64, DType::I64]);
        Payload { dtype, ..Payload::from_slice(&bits) }
    }

    fn trimmed(&mut self) -> Trimmed {
        let bits = self.list(|any| any.0.next_u64());
        let zeros = self.one_of([0, 16, 24, 40]);
        let cut: Vec<_> = bits.iter().map(|bits| bits >> zeros << zeros).collect();
        self.one_of([
            Trimmed::from_slice(bytemuck::cast_slice::<u64, f32>(&cut)),
            Trimmed::from_slice(bytemuck::cast_slice::<u64, f64>(&cut)),
            Trimmed::from_slice(bytemuck::cast_slice::<u64, i64>(&bits)),
        ])
    }

    fn loss(&mut self) -> Loss {
        self.one_of([Loss::Dropped, Loss::PeerDown, Loss::Silent])
    }

    fn refusal(&mut self) -> Refusal {
        let (key, tick, count) = (Key(self.u64()), Tick(self.u64()), self.u32());
        let hash = u128::from(self.u64()) << 64;
        let why = self.loss();
        self.one_of([
            Refusal::NonFinite { key, element: count, bits: tick.0 },
            Refusal::UnknownTable { table: TableId(count) },
            Refusal::SpecMismatch { expected: hash, found: hash ^ 1 },
            Refusal::DType { expected: DType::F32, found: DType::I64 },
            Refusal::Shape { expected: key.0, found: tick.0 },
            Refusal::OutsideDomain { key },
            Refusal::NotOwned { slot: SlotIndex(count) },
            Refusal::UnknownWorker,
            Refusal::StaleWorker { current: Incarnation(key.0) },
            Refusal::Removed { why },
            Refusal::Finished,
            Refusal::WriterTaken { writer: GroupId(count) },
            Refusal::Weight { found: -0.5 },
            Refusal::TickBackwards { expected: tick, found: tick.next() },
            Refusal::GroupFull { size: count },
            Refusal::UnknownGroup { group: GroupId(count) },
            Refusal::WindowFull,
            Refusal::Limit,
            Refusal::Dropped { table: TableId(count) },
            Refusal::NotKeeper { keeper: ServerId(count) },
            Refusal::Ended { table: TableId(count) },
            Refusal::Passed { expected: tick.next(), found: tick },
        ])
    }

    fn answer(&mut self) -> Answer {
        let refused = Answer::Refused(self.refusal());
        self.one_of([Answer::Admitted, Answer::Applied, Answer::Settled, refused])
    }

    fn reason(&mut self) -> WaitReason {
        let server = ServerId(self.u32());
        WaitReason {
            who: self.option(|any| Rank(any.u32())),
            tick: Tick(self.u64()),
            since: Instant(self.u64()),
            what: self.one_of([
                WaitFor::GroupForming,
                WaitFor::MemberTick,
                WaitFor::OwnPush,
                WaitFor::EarlierPush,
                WaitFor::StashFull,
                WaitFor::PolicyChange,
                WaitFor::SendWindow,
                WaitFor::CloseSteps,
                WaitFor::Answer,
                WaitFor::Confirmation { server },
            ]),
        }
    }

    fn rows(&mut self) -> (RowsNamed, PullRows) {
        let (range, keys, rows_max) = (self.range(), self.keys(), self.u32());
        self.one_of([
            (RowsNamed::Block(range), PullRows::Block(range)),
            (RowsNamed::Keys(keys.clone()), PullRows::Keys(keys)),
            (RowsNamed::Block(range), PullRows::Walk { range, rows_max }),
        ])
    }

    fn pulled(&mut self) -> PullResult {
        PullResult {
            oldest: Tick(self.u64()),
            newest: Tick(self.u64()),
            keys: self.option(Self::keys),
            next: self.option(|any| Key(any.u64())),
            values: self.payload(),
        }
    }

    fn tick_table(&mut self) -> TickTable {
        TickTable {
            table: TableId(self.u32()),
            weight: self.option(|any| any.0.unit()),
            touched: self.list(|any| (SlotIndex(any.u32()), Sequence(any.u64()))),
        }
    }

    fn record(&mut self) -> GroupRecord {
        GroupRecord {
            group: GroupId(self.u32()),
            version: RecordVersion(self.u64()),
            size: self.u32(),
            members: self.list(Self::member),
        }
    }

    fn member(&mut self) -> Member {
        let tick = Tick(self.u64());
        let why = self.loss();
        let last = self.list(|any| (ServerId(any.u32()), TableId(any.u32()), Tick(any.u64())));
        let removed = MemberEnd::Removed { why, last };
        Member {
            origin: self.origin(),
            start: tick,
            end: self.one_of([MemberEnd::Active, MemberEnd::Left { last: tick }, removed]),
        }
    }

    fn text(&mut self) -> String {
        let word = self.one_of(["", "w", "\u{3b2}1", "name/1"]);
        format!("{word}{}", self.0.below(3))
    }

    fn extension(&mut self) -> Extension {
        let parameters = self.list(|any| (any.text(), any.0.unit()));
        let begun = Extension::new(self.text());
        parameters.into_iter().fold(begun, |named, (name, value)| named.with(name, value))
    }

    fn described(&mut self) -> Box<Described> {
        let (low, high, seed, ticks) = (self.0.unit(), self.0.unit(), self.u64(), self.u64());
        let uniform = Init::Uniform { seed, low, high };
        let line = Schedule::Linear { from: low, to: high, ticks };
        let spec = TableSpec {
            name: self.text(),
            domain: self.range(),
            width: self.u32(),
            dtype: self.one_of([DType::F32, DType::F64, DType::I64]),
            layout: self.one_of([Layout::Dense, Layout::Sparse]),
            block_elements: self.u32(),
            slots: self.u32(),
            init: self.one_of([Init::Zero, Init::Constant(low), uniform]),
            rule: self.extension(),
            combine: self.one_of([Combine::Sum, Combine::WeightedMean { round_weight: high }]),
            tensors: self.list(|any| TensorSpec {
                name: any.text(),
                shape: Shape(any.list(Self::u64)),
                first: Key(any.u64()),
                init: any.one_of([Init::Zero, Init::Constant(low)]),
            }),
        };
        let policy = TablePolicy {
            local: self.extension(),
            global: self.extension(),
            significance: self.extension(),
            fold: self.one_of([FoldOrder::Worker, FoldOrder::Arrival]),
            non_finite: self.0.chance(0.5),
            bsp_stash_bytes_max: self.u32() as usize,
        };
        let rate = self.one_of([Schedule::Constant(low), Schedule::inverse_sqrt(high), line]);
        Box::new(Described { spec, policy, hyper: Hyper { rate } })
    }

    fn table_entry(&mut self) -> TableEntry {
        let (id, described) = (TableId(self.u32()), self.described());
        TableEntry { id, described, changes: self.list(Self::terms) }
    }

    fn terms(&mut self) -> Terms {
        let Described { policy, hyper, .. } = *self.described();
        Terms { from: Tick(self.u64()), policy, hyper }
    }

    fn change_entry(&mut self) -> ChangeEntry {
        ChangeEntry { table: TableId(self.u32()), terms: Box::new(self.terms()) }
    }

    fn change(&mut self) -> Box<TableChange> {
        let Terms { from, policy, hyper } = self.terms();
        let policy = self.option(|_| policy.clone());
        let (hyper, from) = (self.option(|_| hyper), self.option(|_| from));
        Box::new(TableChange { policy, hyper, from })
    }

    fn group_entry(&mut self) -> GroupEntry {
        let (id, size) = (GroupId(self.u32()), self.u32());
        GroupEntry { id, spec: GroupSpec { name: self.text(), size } }
    }

    fn catalog_refusal(&mut self) -> CatalogRefusal {
        let (name, field, expected) = (self.text(), self.text().into(), self.text());
        let (table, found, limit) = (name.clone(), self.text(), self.u64());
        let (group, extension, known) = (self.text(), self.text(), self.text());
        let (kind, what) = (self.text().into(), self.text());
        let error = self.one_of([
            SpecError::Field { table, field, expected, found },
            SpecError::Mismatch {
                name: name.clone(),
                field: what.clone().into(),
                expected: known.clone(),
                found: group.clone(),
            },
            SpecError::UnknownExtension { name: name.clone(), kind, extension, known },
            SpecError::Planned { name, what: what.clone() },
            SpecError::Limit { what: what.into(), limit, found: limit },
            SpecError::TooEarly {
                table: group.clone(),
                earliest: Tick(limit),
                found: Tick(limit ^ 1),
            },
            SpecError::TooLate {
                table: group.clone(),
                latest: Tick(limit),
                found: Tick(limit ^ 2),
            },
        ]);
        let keeper = ServerId(self.u32());
        self.one_of([
            CatalogRefusal::Described(error),
            CatalogRefusal::UnknownTable { table: group.clone() },
            CatalogRefusal::Dropped { table: group.clone() },
            CatalogRefusal::NeedsTable { group },
            CatalogRefusal::NotKeeper { keeper },
            CatalogRefusal::Busy,
        ])
    }

    fn catalog_message(&mut self) -> Message {
        let (request, version, server) = (self.u64(), self.u64(), ServerId(self.u32()));
        let version = CatalogVersion(version);
        let (described, from) = (self.described(), TableId(self.u32()));
        let (table, group) = (self.table_entry(), self.group_entry());
        let (tables, next) = (self.list(Self::table_entry), self.option(|any| TableId(any.u32())));
        let refused = self.option(Self::catalog_refusal);
        let (table_result, group_result) = match &refused {
            None => (Ok(table.clone()), Ok(group.clone())),
            Some(refusal) => (Err(refusal.clone()), Err(refusal.clone())),
        };
        let changed = self.change_entry();
        let entry = self.one_of([
            CatalogEntry::Table(table),
            CatalogEntry::Group(group.clone()),
            CatalogEntry::Change(changed),
            CatalogEntry::Drop(from),
        ]);
        let (name, change) = (self.text(), self.change());
        let done = refused.clone().map_or(Ok(()), Err);
        let changed = done.clone().map(|()| Tick(request));
        self.one_of([
            Message::EnsureTable { request, described },
            Message::EnsureGroup { request, spec: group.spec },
            Message::ListTables { request, from },
            Message::ChangeTable { request, name: name.clone(), change },
            Message::DropTable { request, name },
            Message::TableChanged { request, result: changed },
            Message::TableDropped { request, result: done.clone() },
            Message::TableEnsured { request, result: table_result },
            Message::GroupEnsured { request, result: group_result },
            Message::Tables { request, tables, next },
            Message::CatalogEntry { version, entry },
            Message::CatalogHeld { version, server, result: done },
        ])
    }

    pub(super) fn message(&mut self) -> Message {
        match self.0.below(7) {
            0 | 1 => self.request(),
            6 => self.mirror_message(),
            2 => self.worker_message(),
            3 => self.server_message(),
            4 => self.catalog_message(),
            _ => self.keeper_message(),
        }
    }

    fn request(&mut self) -> Message {
        let (table, header) = (TableId(self.u32()), self.header());
        let slot = SlotIndex(self.u32());
        let (rows, pulled) = self.rows();
        let chained = self.option(|any| Sequence(any.u64()));
        let (previous, own, values) = (chained, chained, self.payload());
        self.one_of([
            Message::Push { table, header, slot, previous, rows, values },
            Message::Pull { table, header, slot, own, rows: pulled },
            Message::Await { table, header, slot },
        ])
    }

    fn worker_message(&mut self) -> Message {
        let (origin, table) = (self.origin(), TableId(self.u32()));
        let (group, token) = (GroupId(self.u32()), self.u64());
        let (settled_below, tick) = (Sequence(self.u64()), Tick(self.u64()));
        let (spec_hash, last) = (u128::from(token) << 9, tick);
        let tables = self.list(Self::tick_table);
        self.one_of([
            Message::Join { group, token },
            Message::Attach { origin, table, spec_hash },
            Message::Ticked { origin, tick, settled_below, tables },
            Message::Leave { origin, last },
            Message::Heartbeat { origin },
        ])
    }

    fn server_message(&mut self) -> Message {
        let (origin, table) = (self.origin(), TableId(self.u32()));
        let (sequence, tick) = (Sequence(self.u64()), Tick(self.u64()));
        let (token, size) = (self.u64(), self.u32());
        let server = self.option(|any| ServerId(any.u32()));
        let granted = JoinGrant { origin, size, start: tick };
        let (joined, done) = (self.result(|_| granted), self.result(|_| ()));
        let (answer, result, reason) = (self.answer(), self.result(Self::pulled), self.reason());
        self.one_of([
            Message::Joined { token, result: joined },
            Message::Attached { table, result: done },
            Message::PushAnswer { table, sequence, answer },
            Message::PullAnswer { table, sequence, result },
            Message::Deferred { table, sequence, reason },
            Message::Resume { table, sequence },
            Message::TickAnswer { tick, result: done },
            Message::LeaveAnswer { result: done },
            Message::Withheld { server },
        ])
    }

    fn delta(&mut self) -> Delta {
        let (rows, _) = self.rows();
        let positions = self.option(|any| {
            let mut positions = any.list(Self::u32);
            positions.sort_unstable();
            positions.dedup();
            Positions::new(&positions).expect("sorted, without doubles")
        });
        Delta { rows, positions, values: self.trimmed() }
    }

    fn mirror_message(&mut self) -> Message {
        let (table, slot) = (TableId(self.u32()), SlotIndex(self.u32()));
        let (sequence, tick) = (Sequence(self.u64()), Tick(self.u64()));
        let (mark, unit) = (Mark(self.u64()), Key(self.u64()));
        let (previous, done) = (self.option(|any| Tick(any.u64())), self.result(|_| ()));
        let (weight, ended) = (self.option(|any| any.u32().into()), self.0.chance(0.5));
        let marks = self.list(|any| (SlotIndex(any.u32()), Mark(any.u64())));
        let ranges = self.keys().into_iter().map(KeyRange::single).collect();
        let (delta, digest) = (self.delta(), u128::from(self.u64()) << 7);
        let message = self.one_of([
            MirrorMessage::Update { slot, sequence, tick, mark: Some(mark), delta: delta.clone() },
            MirrorMessage::Confirm { slot, sequence, result: done },
            MirrorMessage::Clock { previous, tick, weight, ended, marks },
            MirrorMessage::Open { terms_hash: digest },
            MirrorMessage::Barrier { slot, mark, ranges },
            MirrorMessage::Digest { slot, unit, digest },
            MirrorMessage::Same { slot, unit, digest },
            MirrorMessage::Differs { slot, unit },
            MirrorMessage::Assign { slot, piece: 3, last: ended, delta },
            MirrorMessage::Arrived { slot, pieces: sequence.0 },
        ]);
        Message::Mirror { table, of: DataCentre(self.u32()), message }
    }

    fn keeper_message(&mut self) -> Message {
        let (origin, group) = (self.origin(), GroupId(self.u32()));
        let (server, version) = (ServerId(self.u32()), RecordVersion(self.u64()));
        let last = self.list(|any| (TableId(any.u32()), Tick(any.u64())));
        let record = self.record();
        let closed = Tick(self.u64());
        self.one_of([
            Message::Record(record),
            Message::RecordHeld { group, version, server, closed },
            Message::Fence { origin },
            Message::Fenced { origin, server, last },
        ])
    }
}
