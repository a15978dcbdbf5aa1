//! What a shard keeps to mirror its rows in other data centres.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::Hasher as _;
use std::ops::RangeInclusive;

use siphasher::sip128::{Hasher128 as _, SipHasher24};

use crate::consistency::{Exchange, GlobalPolicy, LinkView, Precision};
use crate::id::{DataCentre, GroupId, Sequence, ServerId, SlotIndex, TableId, Tick};
use crate::key::Key;
use crate::node::mirror::{Lane, LineId, Neighbour, Pieces, Source, Standing, Stash, Ways};
use crate::node::registry::Code;
use crate::placement::{Feed, Hearing};
use crate::spec::{Table, TablePolicy};
use crate::sync::Arc;
use crate::time::{Duration, Instant};
use crate::vector::{Bitmap, Significance};
use crate::wire::Delta;

/// The mirrors of one shard.
#[derive(Debug)]
pub(super) struct Mirroring {
    pub(super) here: DataCentre,
    pub(super) policy: Arc<dyn GlobalPolicy>,
    pub(super) silence_max: Duration,
    pub(super) significance: Arc<dyn Significance>,
    /// What the other side's terms have to hash to.
    pub(super) terms_hash: u128,
    pub(super) exchange: Exchange,
    /// Copies go in step: see the room `mirror`.
    pub(super) in_step: bool,
    /// The lanes that tell of each slot.
    pub(super) routes: BTreeMap<SlotIndex, Vec<LineId>>,
    pub(super) lanes: BTreeMap<LineId, Lane>,
    /// By the data centre heard of, or the first of a group.
    pub(super) sources: BTreeMap<DataCentre, Source>,
    pub(super) neighbours: BTreeMap<ServerId, Neighbour>,
    /// The other data centres of the group, or all where there are no groups.
    pub(super) members: BTreeSet<DataCentre>,
    /// Whether it is a hub.
    pub(super) relays: bool,
    /// Of a hub: its group's clocks, one by one, when anything of the group left last.
    pub(super) released: BTreeMap<DataCentre, Tick>,
    pub(super) stash: Stash,
    /// Aggregates that were taken before the clock of their tick: the last one of each slot.
    pub(super) unconfirmed: BTreeMap<(LineId, SlotIndex), (Tick, Sequence)>,
    /// The last tick of each of which aggregates that came too late were logged.
    pub(super) late: BTreeMap<DataCentre, Tick>,
    /// Blocks and sparse slots with residuals.
    pub(super) dirty: BTreeSet<Key>,
    pub(super) pass: Option<Pass>,
    /// The last tick whose pass has ended.
    pub(super) passed: Tick,
    /// Whose ticks were looked at last, and how far they had come.
    pub(super) watched: Option<(GroupId, Tick)>,
    /// The weights of rounds that have closed here and were not told.
    pub(super) weights: BTreeMap<Tick, f64>,
    pub(super) ending: Ending,
    pub(super) bitmap: Bitmap,
    pub(super) pace: PassPace,
    /// What was measured of each way, with the bytes that other tables have queued.
    pub(super) links: BTreeMap<ServerId, LinkView>,
    pub(super) now: Instant,
    pub(super) stats: MirrorStats,
    /// Servers whose terms differ.
    pub(super) differ: BTreeSet<ServerId>,
}

/// A pass under way.
#[derive(Debug)]
pub(super) struct Pass {
    pub(super) tick: Tick,
    pub(super) threshold: f64,
    pub(super) precision: Precision,
    pub(super) units: VecDeque<Key>,
    /// The group has ended: everything leaves.
    pub(super) ends: bool,
    pub(super) taken: u64,
    pub(super) left: u64,
    /// Blocks and sparse slots that have changed meanwhile, where a history is recorded.
    pub(super) touched: BTreeSet<Key>,
    /// What was told of each, cut, where a history is recorded.
    pub(super) told: BTreeMap<Key, Delta>,
}

/// The end of training.
#[derive(Debug, Default)]
pub(super) struct Ending {
    /// Everything has been told.
    pub(super) told: bool,
    /// Everything has been heard too.
    pub(super) heard: bool,
    /// Where the values are those that count, or equal them: units whose digest is to be told.
    pub(super) units: BTreeSet<Key>,
    /// Elsewhere: the digests that were heard, and those to be compared with what is here.
    pub(super) digests: BTreeMap<(SlotIndex, Key), Digests>,
    pub(super) compare: BTreeSet<(SlotIndex, Key)>,
    /// Units whose values were asked for.
    pub(super) asked: BTreeSet<(SlotIndex, Key)>,
    /// Who tells values that are not taken, for those of somebody before it are.
    pub(super) overruled: BTreeSet<DataCentre>,
    /// The pieces that have come of those: taken once the last one has.
    pub(super) coming: BTreeMap<(SlotIndex, Key), Pieces>,
    /// Units that are more than there is room for: they stay as they are.
    pub(super) too_large: BTreeMap<(SlotIndex, Key), u128>,
}

/// What was told of one unit, by the rank of whose values it is.
type Digests = BTreeMap<(DataCentre, DataCentre), (LineId, u128)>;

/// How long ticks last: the mean of the last ones.
#[derive(Debug, Default)]
pub(super) struct PassPace {
    last: Option<(Tick, Instant)>,
    mean: Option<Duration>,
}

/// What has crossed between one shard and its mirrors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MirrorStats {
    /// Passes.
    pub passes: u64,
    /// Elements that passes have found to have gained something and told.
    pub elements_told: u64,
    /// Elements that passes have found to have gained something and kept, each time again.
    pub elements_kept: u64,
    /// Updates sent, repeated ones included.
    pub updates_told: u64,
    /// Updates taken.
    pub updates_taken: u64,
    /// Barriers announced.
    pub barriers: u64,
    /// Bytes that wait for links, or are not confirmed.
    pub queued_bytes: u64,
}

/// How one shard stands to its mirrors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MirrorStanding {
    /// The last tick that has ended here and was told.
    pub passed: Tick,
    /// Of each other data centre, or group by its first one: the clock that counts for every slot,
    /// and whether it is waited for.
    pub others: Vec<(DataCentre, Tick, Standing)>,
    /// Servers elsewhere whose spec or policies of the table differ.
    pub differ: Vec<ServerId>,
    /// Slots whose values were asked for at the end and are more than there is room for: they stay
    /// as they are here.
    pub too_large: Vec<SlotIndex>,
    /// Everything was told to those that count, heard of them and confirmed, after the end of
    /// training.
    pub equal: bool,
}

impl Mirroring {
    /// Of a table that data centres exchange anything about.
    pub(super) fn new(
        table: &Table,
        code: &Code,
        ways: &Ways,
        stash: Stash,
        records: bool,
    ) -> Option<Self> {
        let exchange = code.global.exchange();
        if exchange == Exchange::Nothing || ways.told.is_empty() {
            return None;
        }
        let (mut routes, mut lanes) = (BTreeMap::<_, Vec<_>>::new(), BTreeMap::new());
        for (telling, owners) in &ways.told {
            for (slot, server) in owners {
                let line = (*server, telling.of);
                routes.entry(*slot).or_default().push(line);
                lanes.entry(line).or_insert_with(|| Lane::new(*telling));
            }
        }
        let source = |(hearing, owners): &(Hearing, _)| (hearing.of, Source::new(owners, records));
        let sources: BTreeMap<_, _> = ways.heard.iter().map(source).collect();
        let direct = ways.told.iter().filter(|(telling, _)| telling.feed == Feed::Own);
        let members = direct.map(|(telling, _)| telling.to).collect();
        let told = lanes.keys().map(|(server, _)| *server);
        let servers = sources.values().flat_map(Source::speakers).chain(told);
        let neighbours = servers.map(|server| (server, Neighbour::default())).collect();
        Some(Self {
            here: ways.here,
            policy: Arc::clone(&code.global),
            silence_max: code.silence_max,
            significance: Arc::clone(&code.significance),
            terms_hash: terms_hash(table),
            exchange,
            in_step: goes_in_step(code),
            routes,
            lanes,
            sources,
            neighbours,
            members,
            relays: ways.told.iter().any(|(telling, _)| telling.feed != Feed::Own),
            released: BTreeMap::new(),
            stash,
            unconfirmed: BTreeMap::new(),
            late: BTreeMap::new(),
            dirty: BTreeSet::new(),
            pass: None,
            passed: Tick(0),
            watched: None,
            weights: BTreeMap::new(),
            ending: Ending::default(),
            bitmap: Bitmap::default(),
            pace: PassPace::default(),
            links: BTreeMap::new(),
            now: Instant::EPOCH,
            stats: MirrorStats::default(),
            differ: BTreeSet::new(),
        })
    }

    /// Whether no round closes before the last one was settled with all data centres.
    pub(super) fn holds_close(&self, closed: Tick) -> bool {
        self.in_step && !self.has_ended() && self.stash.settled < closed
    }

    /// The last tick that others are told has ended here, or are about to be.
    pub(super) fn told_up_to(&self) -> Tick {
        self.pass.as_ref().map_or(self.passed, |pass| pass.tick)
    }

    /// Whether training has ended here: what comes later is in step with nobody.
    pub(super) fn has_ended(&self) -> bool {
        self.ending.told || self.pass.as_ref().is_some_and(|pass| pass.ends)
    }

    /// The lines that a server is told of, the one after the last first: they take turns.
    pub(super) fn lines_to(&self, server: ServerId) -> Vec<LineId> {
        let last = self.neighbours.get(&server).and_then(|neighbour| neighbour.last);
        let mut lines: Vec<_> = self.lanes.range(lines_to(server)).map(|(line, _)| *line).collect();
        let next = lines.partition_point(|(_, of)| Some(*of) <= last);
        lines.rotate_left(next);
        lines
    }

    /// The lanes to a server.
    pub(super) fn lanes_to(&self, server: ServerId) -> impl Iterator<Item = &Lane> {
        self.lanes.range(lines_to(server)).map(|(_, lane)| lane)
    }

    /// As [`Mirroring::lanes_to`], to change them.
    pub(super) fn lanes_to_mut(&mut self, server: ServerId) -> impl Iterator<Item = &mut Lane> {
        self.lanes.range_mut(lines_to(server)).map(|(_, lane)| lane)
    }

    /// Bytes of updates on their way to a server elsewhere.
    pub(super) fn sent_bytes(&self, to: ServerId) -> usize {
        self.lanes_to(to).map(Lane::sent_bytes).sum()
    }

    /// Whether values keep what they have gained.
    pub(super) fn keeps_residuals(&self) -> bool {
        self.exchange == Exchange::Deltas
    }

    /// The clock here, as others are told it: the end once everything has been told.
    pub(super) fn own_clock(&self) -> Tick {
        if self.ending.told { Tick(u64::MAX) } else { self.passed }
    }

    /// The data centre furthest behind in a slot, of those that count, and its clock there.
    pub(super) fn slowest(&self, slot: SlotIndex) -> Option<(Tick, DataCentre)> {
        let counting = self.sources.iter().filter(|(_, source)| source.counts());
        counting.map(|(data_centre, source)| (source.counted(slot), *data_centre)).min()
    }

    /// Whose values this copy takes at the end: the first data centre's or group's that counts;
    /// `None` when that is this one.
    pub(super) fn follows(&self) -> Option<DataCentre> {
        let counting = self.sources.iter().filter(|(_, source)| source.counts());
        let first = counting.map(|(other, _)| *other).min_by_key(|other| self.rank(*other));
        first.filter(|first| self.precedes(*first))
    }

    /// Whether values of whom is heard count more than those here.
    pub(super) fn precedes(&self, other: DataCentre) -> bool {
        self.rank(other) < self.rank(self.here)
    }

    /// Whose values of a unit are to be taken here, of those that were told, and their digest.
    pub(super) fn told_last(&self, place: (SlotIndex, Key)) -> Option<(LineId, u128)> {
        let told = self.ending.digests.get(&place)?.values();
        told.copied().find(|((_, of), _)| self.counts(*of))
    }

    /// Groups by their names, whoever of them lives, and in the own group its members.
    pub(super) fn rank(&self, other: DataCentre) -> (DataCentre, DataCentre) {
        let own = other == self.here || self.members.contains(&other);
        let group = self.members.iter().copied().fold(self.here, DataCentre::min);
        (if own { group } else { other }, other)
    }

    /// Whether a lane is told at the end what values have to be. From the first data centre they
    /// spread as everything does: to its group and by it to other groups, and there by hubs.
    pub(super) fn leads(&self, lane: &Lane) -> bool {
        let before = |first| self.rank(first) < self.rank(lane.data_centre);
        match (self.follows(), lane.feed) {
            (None, Feed::Own | Feed::Group) => before(self.here),
            (None, Feed::Relayed(_)) => false,
            (Some(first), Feed::Group) => self.members.contains(&first) && before(first),
            (Some(first), Feed::Relayed(of)) => first == of,
            (Some(_), Feed::Own) => false,
        }
    }

    /// Nobody has to confirm what values were here where others count.
    pub(super) fn forget_followed(&mut self) {
        let follows = self.lanes.iter().filter(|(_, lane)| !self.leads(lane));
        for line in follows.map(|(line, _)| *line).collect::<Vec<_>>() {
            if let Some(lane) = self.lanes.get_mut(&line) {
                lane.values.forget();
            }
        }
    }

    /// A hub says nothing of the groups that it does not count itself.
    pub(super) fn hush_lost(&mut self) {
        let silent = self.lost_groups();
        let lost = self.lanes.values_mut().filter(|lane| silent.contains(&lane.feed));
        lost.for_each(Lane::hush);
    }

    /// What a hub says nothing of.
    pub(super) fn lost_groups(&self) -> Vec<Feed> {
        let lost = self.sources.iter().filter(|(_, source)| !source.counts());
        lost.map(|(of, _)| Feed::Relayed(*of)).collect()
    }

    /// Whether a data centre is waited for.
    pub(super) fn counts(&self, other: DataCentre) -> bool {
        self.sources.get(&other).is_some_and(Source::counts)
    }

    /// What is known of the way to a server, which the lanes of all tables share.
    pub(super) fn view(&self, server: ServerId) -> LinkView {
        let others = self.links.get(&server).map_or(0, |link| link.queued_bytes);
        let own = self.own_view(server);
        LinkView { queued_bytes: own.queued_bytes + others, ..own }
    }

    /// The same, with what is queued of this table alone; `None` when no lane leads there.
    pub(super) fn way(&self, server: ServerId) -> Option<LinkView> {
        self.lanes_to(server).next().map(|_| self.own_view(server))
    }

    fn own_view(&self, server: ServerId) -> LinkView {
        LinkView {
            queued_bytes: self.lanes_to(server).map(|lane| lane.queued_bytes() as u64).sum(),
            tick_lasts: self.pace.mean,
            ..self.links.get(&server).copied().unwrap_or_default()
        }
    }

    /// Whether neither side has told the other anything that counts.
    pub(super) fn is_new(&self, server: ServerId) -> bool {
        self.lanes_to(server).all(Lane::is_new)
            && self.sources.values().all(|source| source.is_new(server))
    }

    /// Of the ways that are told here, to data centres that count: the one that what is queued
    /// takes longest on, and the longest round trip, in ticks.
    pub(super) fn slowest_links(&self) -> (LinkView, f64) {
        let lanes = self.lanes.iter().filter(|(_, lane)| self.counts(lane.data_centre));
        let views: Vec<_> = lanes.map(|((server, _), _)| self.view(*server)).collect();
        let round_trip_ticks = views.iter().map(LinkView::round_trip_ticks).fold(0.0, f64::max);
        let slowest = views.into_iter().max_by(|a, b| {
            let key = |view: &LinkView| (view.queued_ticks(), view.queued_bytes as f64);
            key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)
        });
        (slowest.unwrap_or_default(), round_trip_ticks)
    }

    /// Counters, with what waits now.
    pub(super) fn stats(&self) -> MirrorStats {
        let queued: usize = self.lanes.values().map(Lane::queued_bytes).sum();
        MirrorStats { queued_bytes: queued as u64, ..self.stats }
    }

    /// How it stands.
    pub(super) fn standing(&self) -> MirrorStanding {
        let others = self.sources.iter().map(|(data_centre, source)| {
            (*data_centre, source.counted_everywhere(), source.standing())
        });
        let mut counting = self.sources.values().filter(|source| source.counts());
        // One that was lost at the end may count again, and train.
        let all_ended = counting.all(|source| source.counted_everywhere() == Tick(u64::MAX));
        MirrorStanding {
            passed: self.passed,
            others: others.collect(),
            differ: self.differ.iter().copied().collect(),
            too_large: self.ending.too_large.keys().map(|(slot, _)| *slot).collect(),
            equal: self.ending.heard
                && all_ended
                && self.ending.units.is_empty()
                && self.ending.compare.is_empty()
                && self.ending.asked.is_empty()
                && self.ending.too_large.is_empty()
                && self.lanes.values().all(|it| it.is_idle() || !self.counts(it.data_centre)),
        }
    }
}

impl PassPace {
    /// A pass of this tick begins.
    pub(super) fn note(&mut self, now: Instant, tick: Tick) {
        if let Some((before, at)) = self.last
            && tick > before
        {
            let ticks = u32::try_from(tick.0 - before.0).unwrap_or(u32::MAX);
            let lasted = now.since(at) / ticks;
            self.mean = Some(self.mean.map_or(lasted, |mean| (mean * 7 + lasted) / 8));
        }
        self.last = Some((tick, now));
    }
}

/// Whether the copies of a table go in step: see the room `mirror`.
pub(in crate::node) fn goes_in_step(code: &Code) -> bool {
    code.global.in_step() && code.policy.gathers()
}

fn lines_to(server: ServerId) -> RangeInclusive<LineId> {
    (server, DataCentre(0))..=(server, DataCentre(u32::MAX))
}

/// What two copies have to agree on, in one number.
fn terms_hash(table: &Table) -> u128 {
    let TablePolicy { local, global, significance, .. } = table.policy();
    let mut hasher = SipHasher24::new();
    hasher.write(&table.spec().hash().to_le_bytes());
    let TableId(id) = table.id();
    hasher.write(&id.to_le_bytes());
    for named in [local, global, significance] {
        hasher.write(named.to_string().as_bytes());
        hasher.write(&[0]);
    }
    hasher.finish128().as_u128()
}
