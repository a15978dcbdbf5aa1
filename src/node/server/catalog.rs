//! The catalog: tables and groups that are created while a cluster runs.
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
//! Invariants: I1 versions ascend by one, the same everywhere; I2 nothing is answered, listed or
//! joined that some server has not heard of; I3 at most `ASKS_MAX` requests wait (law 12).

use std::collections::BTreeMap;

use crate::id::{CatalogVersion, ServerId};
use crate::limits;
use crate::node::Peer;
use crate::wire::CatalogRefusal;

/// What the keeper knows of the others, and who waits for them.
#[derive(Debug)]
pub(super) struct Catalog {
    /// How many entries each other server has answered.
    held: BTreeMap<ServerId, CatalogVersion>,
    /// Entries that some server cannot hold.
    failed: BTreeMap<CatalogVersion, CatalogRefusal>,
    /// Requests, by asker and number, and the entry that each waits for.
    asks: BTreeMap<(Peer, u64), CatalogVersion>,
}

impl Catalog {
    /// The catalog of a keeper; the `others` know all `version` entries from the start.
    pub(super) fn new(others: impl Iterator<Item = ServerId>, version: CatalogVersion) -> Self {
        let held = others.map(|server| (server, version)).collect();
        Self { held, failed: BTreeMap::new(), asks: BTreeMap::new() }
    }

    /// How many entries all servers have answered, of `version`.
    pub(super) fn settled(&self, version: CatalogVersion) -> CatalogVersion {
        self.held.values().min().map_or(version, |least| version.min(*least))
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
    pub(super) fn wait(&mut self, from: Peer, request: u64, version: CatalogVersion) {
        self.asks.insert((from, request), version);
    }

    /// The requests whose entries are settled.
    pub(super) fn take_settled(
        &mut self,
        settled: CatalogVersion,
    ) -> impl Iterator<Item = ((Peer, u64), CatalogVersion)> + use<> {
        self.asks.extract_if(.., |_, version| *version <= settled).collect::<Vec<_>>().into_iter()
    }

    /// Nobody waits there any more.
    pub(super) fn forget(&mut self, peer: Peer) {
        self.asks.retain(|(from, _), _| *from != peer);
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
