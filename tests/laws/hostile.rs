//! Law 14 at a server: well-formed messages that make no sense, from a worker that is a member
//! and from the keeper. Nothing panics, loops or grows beyond what was sent.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use archipelago::id::{
    CatalogVersion, GroupId, Incarnation, Origin, Rank, RecordVersion, Sequence, ServerId,
    SlotIndex, TableId, Tick,
};
use archipelago::key::{Key, KeyList, KeyRange};
use archipelago::node::sabotage::{Sabotage, Switch};
use archipelago::node::server::{ServerNode, ServerOptions};
use archipelago::node::{Input, Output, Peer, Plan, Registry};
use archipelago::rng::Rng;
use archipelago::rules::{Adam, Momentum};
use archipelago::spec::{
    CatalogEntry, ChangeEntry, Described, GroupEntry, GroupRecord, GroupSpec, Layout, Member,
    MemberEnd, TableChange, TableEntry, Terms,
};
use archipelago::time::Instant;
use archipelago::wire::{
    self, CatalogRefusal, Header, Message, Payload, PullRows, RowsNamed, TickTable,
};
use archipelago::{
    Bsp, Combine, Eventual, Extension, Hyper, Schedule, Ssp, TablePolicy, TableSpec, error, limits,
};

const HONEST: Peer = Peer::Worker(1);
const HOSTILE: Peer = Peer::Worker(2);
const GROUP: GroupId = GroupId(0);

/// One of two servers, asked by the hostile; the other server is played here.
struct Asked {
    rng: Rng,
    plan: Plan,
    node: ServerNode,
    server: ServerId,
    /// The worker that is played, what it sends next and what it has sent to each slot.
    origin: Origin,
    sequence: u64,
    heads: BTreeMap<(TableId, SlotIndex), u64>,
    tick: u64,
    bytes_sent: usize,
    bytes_before: u64,
}

fn plan() -> Plan {
    let dense = TableSpec::dense("dense", 900).width(2).block_elements(64).slots(5);
    let mean = Combine::WeightedMean { round_weight: 2.0 };
    let sparse = TableSpec::sparse("sparse", 3).slots(6).combine(mean).rule(Adam::default());
    let count = TableSpec::dense("count", 200).dtype::<i64>().block_elements(64);
    let tables = [
        (dense.rule(Momentum::default()), TablePolicy::local(Eventual)),
        (sparse, TablePolicy::local(Bsp)),
        (count, TablePolicy::local(Bsp)),
    ];
    let tables = tables.map(|(spec, policy)| (spec, policy, Hyper::default())).to_vec();
    Plan::new(&[ServerId(0), ServerId(1)], tables, &[2], &Registry::built_in()).unwrap()
}

impl Asked {
    /// The keeper's server, or the other one.
    fn new(seed: u64, keeper: bool, sabotage: Option<Sabotage>) -> Self {
        let plan = plan();
        let server = if keeper { plan.keeper() } else { other(plan.keeper()) };
        let switch = sabotage.map_or(Switch::NONE, Switch::on);
        let options = ServerOptions { record_history: false, switch };
        let node = ServerNode::new(plan.clone(), server, Instant::EPOCH, options).unwrap();
        let mut asked = Self {
            rng: Rng::named(seed, "hostile"),
            plan,
            node,
            server,
            origin: Origin::default(),
            sequence: 1,
            heads: BTreeMap::new(),
            tick: 1,
            bytes_sent: 0,
            bytes_before: 0,
        };
        asked.bytes_before = asked.bytes();
        asked
    }

    fn bytes(&self) -> u64 {
        let stats = (0..3).filter_map(|table| self.node.stats(TableId(table)));
        stats.map(|stats| stats.memory_bytes + stats.stash_bytes).sum()
    }

    /// Hands over a message as it comes off the wire, and answers for the other server.
    fn send(&mut self, from: Peer, message: &Message) {
        let mut frame = Vec::new();
        wire::encode(message, &mut frame).unwrap();
        self.bytes_sent += frame.len();
        let message = wire::decode(&frame).unwrap();
        self.handle(Input::Message { from, message });
    }

    fn handle(&mut self, input: Input) {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            self.node.handle(Instant::EPOCH, input);
            // A look at a read that waits is a step, and what it says is another.
            let steps_max = POLLS_MAX + 2 * self.node.waiting();
            for _ in 0..steps_max {
                match self.node.poll() {
                    Output::Idle => break,
                    Output::Send { to, message, .. } => inputs.extend(self.answered(to, message)),
                    Output::Event(_) | Output::WakeAt(_) | Output::Working => {},
                }
            }
            assert_eq!(self.node.poll(), Output::Idle, "one message costs too many steps");
        }
        let members: usize = self.node.plan().groups().map(|(_, group)| group.size as usize).sum();
        let waiting_max = self.node.plan().tables().count() * members * limits::INFLIGHT_MAX;
        assert!(self.node.waiting() <= waiting_max, "{} wait", self.node.waiting());
        let bytes_max = self.bytes_before + 200 * self.bytes_sent as u64;
        assert!(self.bytes() <= bytes_max, "{} bytes for {}", self.bytes(), self.bytes_sent);
    }

    /// What the other server says to a message, and what a worker learns from one.
    fn answered(&mut self, to: Peer, message: Message) -> Option<Input> {
        let server = other(self.server);
        let message = match message {
            Message::Record(GroupRecord { group, version, .. }) => {
                let closed = Tick(self.near(0));
                Message::RecordHeld { group, version, server, closed }
            },
            Message::CatalogEntry { version, .. } => {
                Message::CatalogHeld { version, server, result: Ok(()) }
            },
            Message::Fence { origin } => {
                let last = (0..3).map(|table| (TableId(table), Tick(0))).collect();
                Message::Fenced { origin, server, last }
            },
            Message::Joined { result: Ok(grant), .. } if to == HOSTILE => {
                (self.origin, self.tick) = (grant.origin, grant.start.0);
                (self.sequence, self.heads) = (1, BTreeMap::new());
                return None;
            },
            _ => return None,
        };
        (to == Peer::Server(server)).then_some(Input::Message { from: to, message })
    }

    fn join(&mut self, from: Peer) {
        let Peer::Worker(token) = from else { return };
        self.send(from, &Message::Join { group: GROUP, token });
    }

    /// A number as it should be; seldom, one that should not.
    fn near(&mut self, honest: u64) -> u64 {
        match self.rng.below(24) {
            0 => self.rng.next_u64(),
            1 => honest.wrapping_add(1),
            2 => honest.wrapping_sub(1),
            3 => [0, 1, 63, 1 << 32, 1 << 63, u64::MAX][self.rng.below(6) as usize],
            _ => honest,
        }
    }

    fn near_u32(&mut self, honest: u32) -> u32 {
        self.near(honest.into()) as u32
    }

    fn near_range(&mut self, honest: KeyRange) -> KeyRange {
        let (a, b) = (self.near(honest.first().0), self.near(honest.last().0));
        KeyRange::new(Key(a.min(b)), Key(a.max(b))).unwrap()
    }

    fn header(&mut self) -> Header {
        let rank = Rank(self.near_u32(self.origin.rank.0));
        let incarnation = Incarnation(self.near(self.origin.incarnation.0));
        let (sequence, tick) = (self.near(self.sequence), self.near(self.tick));
        Header {
            origin: Origin { rank, incarnation, ..self.origin },
            sequence: Sequence(sequence),
            settled_below: Sequence(self.near(self.sequence.saturating_sub(9))),
            tick: Tick(tick),
        }
    }

    /// A slot of this server, mostly, its rows of one block, and some of its keys.
    fn place(&mut self) -> (TableId, SlotIndex, KeyRange, Vec<Key>) {
        let table = TableId(self.rng.below(3) as u32);
        let planned = self.plan.table(table).unwrap();
        let owned: Vec<_> = planned.assignment.slots_of(self.server).collect();
        let slot = owned[self.rng.below(owned.len() as u64) as usize];
        let range = planned.grid.range(slot).unwrap();
        let at = |rng: &mut Rng| Key(range.first().0 + rng.below(range.count() as u64));
        let keys = (0..1 + self.rng.below(30)).map(|_| at(&mut self.rng).0).collect();
        let block = planned.grid.block_range(at(&mut self.rng)).intersect(&range).unwrap();
        let slot = SlotIndex(self.near_u32(slot.0));
        (table, slot, block, self.near_keys(keys))
    }

    fn near_keys(&mut self, keys: Vec<u64>) -> Vec<Key> {
        let keys = if self.rng.chance(0.2) {
            keys.into_iter().map(|key| self.near(key)).collect()
        } else {
            keys
        };
        KeyList::from_unsorted(keys).to_vec()
    }

    fn is_sparse(&mut self, table: TableId) -> bool {
        let sparse = self.plan.table(table).unwrap().table.spec().layout == Layout::Sparse;
        sparse != self.rng.chance(0.05)
    }

    fn values(&mut self, table: TableId, rows: u128) -> Payload {
        let spec = self.plan.table(table).unwrap().table.spec().clone();
        let honest = rows.min(1 << 20) as u64 * u64::from(spec.width);
        let count = self.near(honest).min(limits::FRAME_ELEMENTS_MAX as u64) as usize;
        let counts = (spec.dtype == archipelago::vector::DType::I64) != self.rng.chance(0.03);
        if counts {
            Payload::from_slice(&vec![self.rng.next_u64() as i64; count])
        } else {
            Payload::from_slice(&vec![self.near(1) as f32; count])
        }
    }

    fn push(&mut self) -> Message {
        let (table, slot, block, keys) = self.place();
        let header = self.header();
        let head = self.heads.get(&(table, slot)).copied();
        let previous = head.map(|head| Sequence(self.near(head)));
        let (rows, count) = if self.is_sparse(table) {
            let count = keys.len() as u128;
            (RowsNamed::Keys(keys), count)
        } else {
            let rows = self.near_range(block);
            (RowsNamed::Block(rows), rows.count())
        };
        let values = self.values(table, count);
        self.sequence += 1;
        self.heads.insert((table, slot), header.sequence.0);
        let table = TableId(self.near_u32(table.0));
        Message::Push { table, header, slot, previous, rows, values }
    }

    fn pull(&mut self) -> Message {
        let (table, slot, block, keys) = self.place();
        let header = self.header();
        let own = self.heads.get(&(table, slot)).copied();
        let own = own.map(|own| Sequence(self.near(own)));
        let range = self.near_range(block);
        let rows = match (self.is_sparse(table), self.rng.chance(0.3)) {
            (true, true) => PullRows::Walk { range, rows_max: self.near_u32(100) },
            (true, false) => PullRows::Keys(keys),
            (false, _) => PullRows::Block(range),
        };
        self.sequence += 1;
        let table = TableId(self.near_u32(table.0));
        Message::Pull { table, header, slot, own, rows }
    }

    fn ticked(&mut self) -> Message {
        let header = self.header();
        let heads: Vec<_> = self.heads.iter().map(|(place, head)| (*place, *head)).collect();
        let mut tables = Vec::new();
        for table in 0..3 {
            let of_table = heads.iter().filter(|((of, _), _)| of.0 == table);
            let of_table: Vec<_> = of_table.map(|((_, slot), head)| (slot.0, *head)).collect();
            let near = of_table
                .into_iter()
                .map(|(slot, head)| (SlotIndex(self.near_u32(slot)), Sequence(self.near(head))));
            let touched = near.collect();
            let weight = [1.0, 2.5, f64::NAN, -1.0, f64::INFINITY][self.near(0).min(4) as usize];
            let table = TableId(self.near_u32(table));
            tables.push(TickTable { table, weight: Some(weight), touched });
        }
        self.tick += 1;
        let Header { origin, tick, settled_below, .. } = header;
        Message::Ticked { origin, tick, settled_below, tables }
    }

    /// What a worker may send, and what it may not.
    fn of_worker(&mut self) -> Message {
        let (origin, table) = (self.header().origin, TableId(self.near_u32(0)));
        match self.rng.below(46) {
            40 => self.ensure_table(),
            41 => Message::EnsureGroup { request: self.request(), spec: self.group() },
            43 | 44 => Message::ChangeTable {
                request: self.request(),
                name: self.name(),
                change: Box::new(self.change()),
            },
            45 => Message::DropTable { request: self.request(), name: self.name() },
            42 => Message::ListTables { request: self.near(0), from: TableId(self.near_u32(0)) },
            0 => Message::Leave { origin, last: Tick(self.near(self.tick)) },
            1 => Message::Heartbeat { origin },
            2 => Message::Join { group: GroupId(self.near_u32(0)), token: self.near(2) },
            3 => Message::Attach { origin, table, spec_hash: self.near(7).into() },
            4 => self.of_keeper(),
            5..9 => self.ticked(),
            9..12 => {
                let (table, slot, ..) = self.place();
                Message::Await { table, header: self.header(), slot }
            },
            12..20 => self.pull(),
            _ => self.push(),
        }
    }

    /// What servers say to each other.
    fn of_keeper(&mut self) -> Message {
        let origin = self.header().origin;
        let (group, server) = (GroupId(self.near_u32(0)), ServerId(self.near_u32(1)));
        let (version, closed) = (RecordVersion(self.near(2)), Tick(self.near(0)));
        let last = (0..self.rng.below(4)).map(|at| (TableId(at as u32), Tick(self.near(1))));
        let last: Vec<_> = last.collect();
        match self.rng.below(6) {
            4 => self.entry(),
            5 => {
                let version = CatalogVersion(self.near(self.node.plan().version().0));
                let result = if self.rng.chance(0.9) { Ok(()) } else { Err(CatalogRefusal::Busy) };
                Message::CatalogHeld { version, server, result }
            },
            0 => Message::RecordHeld { group, version, server, closed },
            1 => Message::Fence { origin },
            2 => Message::Fenced { origin, server, last },
            _ => self.record(group, version),
        }
    }

    /// A description of a small table; seldom, of one that no server can hold.
    fn described(&mut self) -> Box<Described> {
        let name = format!("made {}", self.rng.below(4));
        let spec = match self.rng.below(3) {
            0 => TableSpec::sparse(name, self.near_u32(2)).slots(self.near_u32(4)),
            1 => TableSpec::dense(name, 1 + self.rng.below(500)).block_elements(64),
            _ => TableSpec::dense(name, self.near(9) & 0xfff).rule(Momentum::default()),
        };
        let rule = Extension::new("mine/1").with("beta", f64::NAN);
        let spec = if self.rng.chance(0.1) { spec.rule(rule) } else { spec };
        let rate = Schedule::Constant([0.1, f64::INFINITY][self.near(0).min(1) as usize]);
        let (policy, hyper) = (TablePolicy::local(Eventual), Hyper::rate(rate));
        Box::new(Described { spec, policy, hyper })
    }

    /// Mostly another one than before: the same one is answered as before.
    fn request(&mut self) -> u64 {
        self.sequence += 1;
        self.near(self.sequence)
    }

    /// The name of a table that may be there.
    fn name(&mut self) -> String {
        match self.rng.below(9) {
            0 => "count".into(),
            1 => "sparse".into(),
            2 => String::new(),
            at => format!("made {}", at % 5),
        }
    }

    /// A change that can be made; seldom, one that cannot.
    fn change(&mut self) -> TableChange {
        let policies: [Extension; 3] = [Bsp.into(), Eventual.into(), Ssp { staleness: 1 }.into()];
        let local = policies.into_iter().nth(self.rng.below(3) as usize).unwrap();
        let odd = self.rng.chance(0.1);
        let local = if odd { Extension::new("mine/1").with("beta", f64::NAN) } else { local };
        let stash = self.near(limits::BSP_STASH_BYTES_MAX as u64) as usize;
        let rate = Schedule::Constant([0.1, f64::INFINITY][self.near(0).min(1) as usize]);
        let mut change = TableChange::default();
        if self.rng.chance(0.7) {
            change = change.policy(TablePolicy::local(local).bsp_stash_bytes_max(stash));
        }
        if self.rng.chance(0.5) {
            change = change.hyper(Hyper::rate(rate));
        }
        if self.rng.chance(0.5) {
            change = change.from(Tick(self.near(self.tick + limits::CHANGE_AHEAD)));
        }
        change
    }

    fn ensure_table(&mut self) -> Message {
        let request = self.request();
        Message::EnsureTable { request, described: self.described() }
    }

    fn group(&mut self) -> GroupSpec {
        GroupSpec { name: format!("made {}", self.rng.below(4)), size: self.near_u32(2) }
    }

    fn entry(&mut self) -> Message {
        let plan = self.node.plan();
        let (tables, groups) = (plan.tables().count() as u32, plan.groups().count() as u32);
        let version = plan.version().0 + 1;
        let version = CatalogVersion(self.near(version));
        let entry = if self.rng.chance(0.3) {
            let (table, change) = (TableId(self.near_u32(1)), self.change());
            let terms = Terms {
                from: change.from.unwrap_or_default(),
                policy: change.policy.unwrap_or_else(|| TablePolicy::local(Bsp)),
                hyper: change.hyper.unwrap_or_default(),
            };
            CatalogEntry::Change(ChangeEntry { table, terms: Box::new(terms) })
        } else if self.rng.chance(0.1) {
            CatalogEntry::Drop(TableId(self.near_u32(tables)))
        } else if self.rng.chance(0.5) {
            let id = TableId(self.near_u32(tables));
            CatalogEntry::Table(TableEntry { id, described: self.described(), changes: Vec::new() })
        } else {
            let id = GroupId(self.near_u32(groups));
            CatalogEntry::Group(GroupEntry { id, spec: self.group() })
        };
        Message::CatalogEntry { version, entry }
    }

    fn record(&mut self, group: GroupId, version: RecordVersion) -> Message {
        let mut members = Vec::new();
        for rank in 0..self.near(2).min(9) {
            let why = error::Loss::Silent;
            let tick = Tick(self.near(1));
            let last = vec![(self.server, TableId(0), tick)];
            let end = match self.rng.below(8) {
                0 => MemberEnd::Left { last: tick },
                1 => MemberEnd::Removed { why, last },
                _ => MemberEnd::Active,
            };
            let rank = Rank(self.near(rank) as u32);
            let origin = Origin { group, rank, incarnation: Incarnation(self.near(1)) };
            members.push(Member { origin, start: Tick(self.near(1)), end });
        }
        Message::Record(GroupRecord { group, version, size: self.near_u32(2), members })
    }

    /// A hostile worker at the keeper's server, over several of its lives.
    fn workers(mut self) {
        self.join(HONEST);
        let origin = Origin { incarnation: Incarnation(1), ..Origin::default() };
        for life in 0..6 {
            self.join(HOSTILE);
            for at in 1..=60 {
                let message = self.of_worker();
                self.send(HOSTILE, &message);
                // The honest worker goes on, so that rounds close.
                let (tick, settled_below) = (Tick((life * 60 + at) / 8), Sequence(1));
                let tables = Vec::new();
                self.send(HONEST, &Message::Ticked { origin, tick, settled_below, tables });
            }
            self.handle(Input::PeerDown(HOSTILE));
        }
    }

    /// A keeper out of its mind, between pushes of a worker.
    fn keepers(mut self) {
        let keeper = Peer::Server(self.plan.keeper());
        self.origin = Origin { incarnation: Incarnation(1), ..self.origin };
        for _ in 0..200 {
            let message = self.of_keeper();
            self.send(keeper, &message);
            let message = self.of_worker();
            self.send(HOSTILE, &message);
        }
    }
}

fn other(server: ServerId) -> ServerId {
    ServerId(1 - server.0)
}

#[test]
fn senseless_messages_neither_panic_nor_loop_nor_pile_up() {
    for seed in 0..SEEDS {
        Asked::new(seed, true, None).workers();
        Asked::new(seed, false, None).keepers();
    }
}

#[test]
fn law_14_is_seen_broken() {
    let noticed = |seed| {
        let run = || Asked::new(seed, true, Some(Sabotage::TrustShapes)).workers();
        catch_unwind(AssertUnwindSafe(run)).is_err()
    };
    assert!((0..SEEDS).any(noticed), "a server believes a peer's shapes unseen");
}

const SEEDS: u64 = 60;
/// Steps that one message may cost: answers, records and closes of a few blocks.
const POLLS_MAX: usize = 5_000;
