//! The catalog: tables and groups that are created, changed and dropped while a cluster runs.
//!
//! The keeper alone creates. It appends an entry to its plan, tells the other servers, and answers
//! whoever asked once every server holds it, as with a group's record: a worker that has a handle
//! finds the table everywhere, so its data never arrives where the table is unknown.
//!
//! Entries are numbered in the order of creation (the version of the plan), and a server is told
//! of the next once it has answered the one before. So entries cannot overtake each other, what is
//! repeated is recognised by its number, and a connection that comes back resumes where it ended.
//!
//! To ensure is idempotent by name: a repeated request finds what the first has made, and two
//! workers that ask at once get the same number. Who differs is refused, naming the field.
//!
//! A server that cannot hold a table (it lacks the rule, or the memory) says so. The number stays
//! taken, whoever asks for the name is told why, and later entries are not held up by it.
//!
//! A table may come to a group that trains already. Its shard begins, for each member, behind the
//! last tick that its server has heard of ([`Roll`](super::roll::Roll)): that is before the
//! member's first push to the table, because the member ticks after it was answered (law 5).
//!
//! A change of a table names the tick that it begins at, [`CHANGE_AHEAD`](limits::CHANGE_AHEAD)
//! ticks or more behind the last one heard of any worker that writes it. Until every server has
//! answered the entry, the keeper withholds what would let such a worker go on to that tick: its
//! answers to ticks, and to those who join or begin to write. So no shard meets the tick before it
//! knows of the change, and nobody waits unless a server is slower than many ticks. A change that
//! some server cannot hold is taken back everywhere by another one, before it begins.
//!
//! A table that is dropped is gone at each server when it hears of it.
//!
//! Invariants: I1 versions ascend by one, the same everywhere; I2 nothing is answered, listed or
//! joined that some server has not heard of; I3 at most `ASKS_MAX` requests wait (law 12).

use std::collections::BTreeMap;

use super::made::Made;
use crate::error::SpecError;
use crate::id::{CatalogVersion, GroupId, ServerId, TableId, Tick};
use crate::limits;
use crate::node::{Peer, plan};
use crate::spec::Terms;
use crate::wire::CatalogRefusal;

/// What the keeper knows of the others, and who waits for them.
#[derive(Debug)]
pub(super) struct Catalog {
    /// How many entries each other server has answered.
    held: BTreeMap<ServerId, CatalogVersion>,
    /// Entries that some server cannot hold.
    failed: BTreeMap<CatalogVersion, CatalogRefusal>,
    /// Requests, by asker and number, and the entry that each waits for.
    asks: BTreeMap<(Peer, u64), (CatalogVersion, Asked)>,
    /// Which request has made or found which entry.
    pub(super) made: Made,
    /// Changes that some server has not answered yet.
    pending: BTreeMap<CatalogVersion, Pending>,
}

/// What a request wants to be told once its entry is settled.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked {
    /// The table or group.
    Created,
    /// From which tick on the table is changed.
    Changed(Tick),
    /// That the table is gone.
    Dropped,
}

/// A change under way.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) table: TableId,
    /// The group that writes the table; nobody does when `None`.
    pub(super) group: Option<GroupId>,
    /// Its terms.
    pub(super) terms: Terms,
    /// Those that they replace, which every server has held; `None` while that is not known because
    /// another change of the table is under way: when this one has failed, the last ones before.
    pub(super) before: Option<Terms>,
}

impl Pending {
    /// Whether it takes another one back.
    pub(super) fn takes_back(&self) -> bool {
        self.before.as_ref() == Some(&self.terms)
    }
}

impl Catalog {
    /// The catalog of a keeper; the `others` know all `version` entries from the start.
    pub(super) fn new(others: impl Iterator<Item = ServerId>, version: CatalogVersion) -> Self {
        let held = others.map(|server| (server, version)).collect();
        let (failed, asks) = (BTreeMap::new(), BTreeMap::new());
        Self { held, failed, asks, made: Made::default(), pending: BTreeMap::new() }
    }

    /// How many entries all servers have answered, of `version`.
    pub(super) fn settled(&self, version: CatalogVersion) -> CatalogVersion {
        self.held.values().min().map_or(version, |least| version.min(*least))
    }

    /// The server that has answered least of `version` entries, unless all have answered all.
    pub(super) fn behind(&self, version: CatalogVersion) -> Option<ServerId> {
        let least = self.held.iter().min_by_key(|(_, held)| **held)?;
        (*least.1 < version).then_some(*least.0)
    }

    /// Why an entry cannot be used, if some server cannot hold it.
    pub(super) fn failure(&self, version: CatalogVersion) -> Option<&CatalogRefusal> {
        self.failed.get(&version)
    }

    /// Whether another request may wait.
    pub(super) fn has_room(&self) -> bool {
        self.asks.len() < limits::ASKS_MAX
    }

    /// Keeps a request until its entry is settled.
    pub(super) fn wait(&mut self, by: (Peer, u64), version: CatalogVersion, asked: Asked) {
        self.asks.insert(by, (version, asked));
    }

    /// Whether a request of this peer waits.
    pub(super) fn has_asked(&self, peer: Peer) -> bool {
        self.asks.range((peer, 0)..=(peer, u64::MAX)).next().is_some()
    }

    /// The requests whose entries are settled.
    pub(super) fn take_settled(
        &mut self,
        settled: CatalogVersion,
    ) -> Vec<((Peer, u64), (CatalogVersion, Asked))> {
        self.asks.extract_if(.., |_, (version, _)| *version <= settled).collect()
    }

    /// Nobody waits there any more.
    pub(super) fn forget(&mut self, peer: Peer) {
        self.asks.retain(|(from, _), _| *from != peer);
        self.made.forget(peer);
    }

    /// A change is under way.
    pub(super) fn begin(&mut self, version: CatalogVersion, pending: Pending) {
        self.pending.insert(version, pending);
    }

    /// The changes under way that may have to be taken back: take-backs themselves have not, since
    /// every server has held their terms.
    pub(super) fn under_way(&self) -> impl Iterator<Item = &Pending> {
        self.pending.values().filter(|pending| !pending.takes_back())
    }

    /// Checks that the entries fit of which `version` is the last one, and one more for each change
    /// under way, `more` of which begin with it: what takes it back is never refused.
    pub(super) fn check_room(&self, version: CatalogVersion, more: usize) -> Result<(), SpecError> {
        let entries = usize::try_from(version.0).unwrap_or(usize::MAX);
        let reserved = self.under_way().count() + more;
        plan::check_entries(entries.saturating_add(reserved))
    }

    /// The first change under way that is settled.
    pub(super) fn take_answered(
        &mut self,
        settled: CatalogVersion,
    ) -> Option<(CatalogVersion, Pending)> {
        let first = self.pending.first_entry()?;
        (*first.key() <= settled).then(|| first.remove_entry())
    }

    /// A change under way is settled. Others that begin at the same tick fall back to it when they
    /// fail, or to what it has fallen back to.
    pub(super) fn ended(&mut self, ended: &Pending, failed: bool) {
        let holds = if failed { &ended.before } else { &Some(ended.terms.clone()) };
        for later in self.pending.values_mut() {
            let same = later.table == ended.table && later.terms.from == ended.terms.from;
            if same && later.before.is_none() {
                later.before.clone_from(holds);
            }
        }
    }

    /// Whether an answer to `tick` would let a worker of the group come to a change under way: it
    /// may go on for as many ticks as may be pending, and one more.
    pub(super) fn holds_up(&self, group: GroupId, tick: Tick) -> bool {
        let reaches = tick.0.saturating_add(limits::TICKS_PENDING_MAX as u64 + 1);
        let of_group = self.pending.values().filter(|pending| pending.group == Some(group));
        of_group.into_iter().any(|pending| pending.terms.from.0 <= reaches)
    }

    /// Whether a change of the table is under way.
    pub(super) fn is_changing(&self, table: TableId) -> bool {
        self.pending.values().any(|pending| pending.table == table)
    }

    /// Whether a table that nobody writes is being changed.
    pub(super) fn changes(&self, table: TableId) -> bool {
        self.pending.values().any(|pending| pending.table == table && pending.group.is_none())
    }

    /// The servers that are to be told of `version`, because they have answered all before.
    pub(super) fn ready(&self, version: CatalogVersion) -> Vec<ServerId> {
        let ready = self.held.iter().filter(|(_, held)| held.0 + 1 == version.0);
        ready.map(|(server, _)| *server).collect()
    }

    /// The entry that a server has not answered yet.
    pub(super) fn next(&self, server: ServerId) -> Option<CatalogVersion> {
        self.held.get(&server).map(|held| CatalogVersion(held.0 + 1))
    }

    /// A server has answered an entry. True when it is the one that it was sent.
    pub(super) fn answered(
        &mut self,
        server: ServerId,
        version: CatalogVersion,
        result: Result<(), CatalogRefusal>,
    ) -> bool {
        let Some(held) = self.held.get_mut(&server).filter(|held| held.0 + 1 == version.0) else {
            return false;
        };
        *held = version;
        if let Err(refusal) = result {
            self.failed.entry(version).or_insert(refusal);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extension::Extension;
    use crate::spec::{Hyper, TablePolicy};

    #[test]
    fn entries_leave_room_for_all_that_may_be_taken_back() {
        let mut catalog = Catalog::new(std::iter::once(ServerId(1)), CatalogVersion(0));
        let most = limits::CATALOG_ENTRIES_MAX as u64;
        let fits = |catalog: &Catalog, left: u64, more| {
            catalog.check_room(CatalogVersion(most - left), more).is_ok()
        };
        assert!(fits(&catalog, 0, 0) && !fits(&catalog, 0, 1) && fits(&catalog, 1, 1));
        let (policy, hyper) = (TablePolicy::local(Extension::new("mine/1")), Hyper::default());
        let terms = |from| Terms { from: Tick(from), policy: policy.clone(), hyper };
        let pending = |before: Option<Terms>| Pending {
            table: TableId(0),
            group: None,
            terms: terms(9),
            before,
        };
        catalog.begin(CatalogVersion(1), pending(Some(terms(1))));
        catalog.begin(CatalogVersion(2), pending(None));
        assert!(fits(&catalog, 2, 0) && !fits(&catalog, 1, 0) && fits(&catalog, 3, 1));
        catalog.begin(CatalogVersion(3), pending(Some(terms(9))));
        assert!(fits(&catalog, 2, 0), "what takes back is not taken back");
        assert!(catalog.take_answered(CatalogVersion(1)).is_some());
        assert!(fits(&catalog, 1, 0), "settled");
    }
}
