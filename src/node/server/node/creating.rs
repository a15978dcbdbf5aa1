//! A server's part in the catalog: as keeper, and as a holder of what was created.

use super::super::catalog::Asked;
use super::super::groups::KeptGroup;
use super::{Held, ServerNode, placed};
use crate::error::Result;
use crate::history::Event;
use crate::id::{CatalogVersion, ServerId, TableId};
use crate::limits;
use crate::node::plan::{Created, Plan, Planned};
use crate::node::{Output, Peer};
use crate::spec::{CatalogEntry, Described, GroupSpec, TableEntry};
use crate::wire::{self, CatalogRefusal, Message};

impl ServerNode {
    pub(super) fn on_ensure_table(&mut self, from: Peer, request: u64, described: Described) {
        let ensured = self.ensure_table((from, request), described);
        match ensured {
            Ok(version) => self.promise((from, request), version, Asked::Created),
            Err(refusal) => {
                self.send(from, Message::TableEnsured { request, result: Err(refusal) });
            },
        }
    }

    pub(super) fn on_ensure_group(&mut self, from: Peer, request: u64, spec: GroupSpec) {
        let ensured = self.ensure_group((from, request), spec);
        match ensured {
            Ok(version) => self.promise((from, request), version, Asked::Created),
            Err(refusal) => {
                self.send(from, Message::GroupEnsured { request, result: Err(refusal) });
            },
        }
    }

    /// Lists tables that every server holds, as many as an answer may hold.
    pub(super) fn on_list_tables(&mut self, from: Peer, request: u64, first: TableId) {
        let Some(catalog) = &self.catalog else {
            return tracing::debug!(%from, "only the keeper lists tables");
        };
        let settled = catalog.settled(self.plan.version());
        let created = self.plan.created().take_while(|(version, _)| *version <= settled);
        let usable = created.filter(|(version, _)| catalog.failure(*version).is_none());
        let (mut tables, mut next, mut bytes) = (Vec::new(), None, 0);
        for (_, made) in usable {
            let Created::Table(id) = made else { continue };
            let Some(planned) = self.plan.table(*id).filter(|_| *id >= first) else { continue };
            let entry = TableEntry::of(&planned.table);
            bytes += wire::table_entry_bytes(&entry);
            if bytes > limits::LISTED_BYTES_MAX && !tables.is_empty() {
                next = Some(*id);
                break;
            }
            tables.push(entry);
        }
        self.send(from, Message::Tables { request, tables, next });
    }

    /// The entry that makes this table, new or old.
    fn ensure_table(
        &mut self,
        by: (Peer, u64),
        described: Described,
    ) -> Result<CatalogVersion, CatalogRefusal> {
        if let Some(version) = self.made_before(by)? {
            return Ok(version);
        }
        let Described { spec, policy, hyper } = described;
        if let Some(Planned { table, .. }) = self.plan.table_named(&spec.name) {
            let same = table.check_same(&spec, &policy, &hyper);
            same.map_err(|error| CatalogRefusal::of(error.into()))?;
            return Ok(self.version_of(&Created::Table(table.id())));
        }
        let plan = self.plan.with_table(spec, policy, hyper);
        self.create(Some(by), plan)
    }

    fn ensure_group(
        &mut self,
        by: (Peer, u64),
        spec: GroupSpec,
    ) -> Result<CatalogVersion, CatalogRefusal> {
        if let Some(version) = self.made_before(by)? {
            return Ok(version);
        }
        if let Some((id, held)) = self.plan.groups().find(|(_, held)| held.name == spec.name) {
            held.check_same(&spec).map_err(|error| CatalogRefusal::of(error.into()))?;
            return Ok(self.version_of(&Created::Group(id)));
        }
        let plan = self.plan.with_group(spec);
        self.create(Some(by), plan)
    }

    /// The entry that the very same request has made before.
    pub(super) fn made_before(
        &self,
        by: (Peer, u64),
    ) -> Result<Option<CatalogVersion>, CatalogRefusal> {
        match &self.catalog {
            None => Err(CatalogRefusal::NotKeeper { keeper: self.plan.keeper() }),
            Some(catalog) if !catalog.has_room() => Err(CatalogRefusal::Busy),
            Some(catalog) => Ok(catalog.made.find(by)),
        }
    }

    pub(super) fn version_of(&self, made: &Created) -> CatalogVersion {
        let mut created = self.plan.created();
        created.find(|(_, held)| *held == made).map_or(self.plan.version(), |(version, _)| version)
    }

    /// Appends what the plan has more than the one before, here first, and tells the others.
    pub(super) fn create(
        &mut self,
        by: Option<(Peer, u64)>,
        plan: Result<Plan>,
    ) -> Result<CatalogVersion, CatalogRefusal> {
        let adopted = plan.and_then(|plan| {
            if by.is_some() {
                self.check_room(&plan)?;
            }
            self.adopt(plan)
        });
        adopted.map_err(CatalogRefusal::of)?;
        let version = self.plan.version();
        let Some(catalog) = &mut self.catalog else { return Ok(version) };
        by.into_iter().for_each(|by| catalog.made.note(by, version));
        for server in catalog.ready(version) {
            self.tell_entry(server, version);
        }
        Ok(version)
    }

    /// Checks that an entry asked for leaves room to take back all changes under way.
    fn check_room(&self, plan: &Plan) -> Result<()> {
        let changes = matches!(plan.created().next_back(), Some((_, Created::Change(..))));
        let checked = self.catalog.as_ref().map(|it| it.check_room(plan.version(), changes.into()));
        Ok(checked.unwrap_or(Ok(()))?)
    }

    /// Works by a plan that has one entry more; nothing has changed when that fails.
    fn adopt(&mut self, plan: Plan) -> Result<()> {
        match plan.created().next_back() {
            Some((_, Created::Table(id))) => self.begin_table(&plan, *id)?,
            Some((_, Created::Change(id, terms))) => self.hold_terms(&plan, *id, terms)?,
            Some((_, Created::Drop(id))) => self.end_table(*id),
            Some((_, Created::Group(_))) | None => {},
        }
        self.plan = plan;
        self.waiting_max = super::waiting_max(&self.plan);
        Ok(())
    }

    /// The shard of a table begins, every row at its init.
    fn begin_table(&mut self, plan: &Plan, id: TableId) -> Result<()> {
        if let Some(planned) = plan.table(id) {
            let mut held = Held::new(plan, planned, self.server, self.options)?;
            if self.options.record_history {
                let placed = placed(planned, self.server, self.options.switch);
                self.outputs.extend(placed.map(Output::Event));
            }
            for roll in self.rolls.values() {
                held.shard.hold_record(self.now, &roll.record_from_now());
                for origin in roll.fenced() {
                    held.shard.fence(origin);
                }
                if self.options.record_history {
                    let begins = roll.ahead().map(|(origin, tick)| Event::BeginsBehind {
                        origin,
                        table: id,
                        tick,
                    });
                    self.outputs.extend(begins.map(Output::Event));
                }
            }
            self.tables.insert(id, held);
        }
        Ok(())
    }

    fn tell_entry(&mut self, server: ServerId, version: CatalogVersion) {
        if let Some(entry) = self.plan.entry(version) {
            self.send(Peer::Server(server), Message::CatalogEntry { version, entry });
        }
    }

    /// What a server has to hear of the catalog when its connection is up again.
    pub(super) fn remind_of_entries(&mut self, server: ServerId) {
        let next = self.catalog.as_ref().and_then(|catalog| catalog.next(server));
        if let Some(version) = next {
            self.tell_entry(server, version);
        }
    }

    /// The answer waits until every server holds the entry.
    pub(super) fn promise(&mut self, by: (Peer, u64), version: CatalogVersion, asked: Asked) {
        if let Some(catalog) = &mut self.catalog {
            catalog.wait(by, version, asked);
            catalog.made.note(by, version);
        }
        self.withheld.ask(by.0);
        self.settle_entries();
    }

    pub(super) fn on_catalog_entry(
        &mut self,
        from: Peer,
        version: CatalogVersion,
        entry: &CatalogEntry,
    ) {
        if version.0 == self.plan.version().0 + 1 {
            if !self.plan.is_next(entry) {
                return tracing::debug!(%from, "a server ignores an entry that makes no sense");
            }
            let adopted = self.plan.with(entry).and_then(|plan| self.adopt(plan));
            self.unheld = adopted.map_err(CatalogRefusal::of).err();
            if let Some(refusal) = &self.unheld {
                tracing::error!(?refusal, %version, "an entry of the catalog cannot be held");
                self.plan = self.plan.without(entry);
            }
        }
        if version <= self.plan.version() {
            let last = version == self.plan.version();
            let refusal = self.unheld.clone().filter(|_| last);
            let (server, result) = (self.server, refusal.map_or(Ok(()), Err));
            self.send(from, Message::CatalogHeld { version, server, result });
        }
    }

    pub(super) fn on_catalog_held(
        &mut self,
        server: ServerId,
        version: CatalogVersion,
        result: Result<(), CatalogRefusal>,
    ) {
        let known = version <= self.plan.version();
        let Some(catalog) = self.catalog.as_mut().filter(|_| known) else { return };
        if catalog.answered(server, version, result) {
            self.remind_of_entries(server);
            self.settle_entries();
        }
    }

    /// Answers whoever waits for what all servers hold by now, and keeps the groups among it.
    fn settle_entries(&mut self) {
        let Some(catalog) = &mut self.catalog else { return };
        let settled = catalog.settled(self.plan.version());
        for (version, made) in self.plan.created().take_while(|(version, _)| *version <= settled) {
            if let Created::Group(id) = made
                && let Some(spec) = self.plan.group(*id)
                && catalog.failure(version).is_none()
            {
                let kept = || KeptGroup::new(*id, spec.size, self.plan.servers());
                self.groups.entry(*id).or_insert_with(kept);
            }
        }
        let answers = catalog.take_settled(settled);
        for ((to, request), (version, asked)) in answers {
            if let Some(message) = self.settled_answer(request, version, asked) {
                self.send(to, message);
            }
        }
        self.end_changes();
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::catalog::Pending;
    use super::*;
    use crate::consistency::Bsp;
    use crate::id::Tick;
    use crate::limits::CATALOG_ENTRIES_MAX;
    use crate::node::Registry;
    use crate::node::server::ServerOptions;
    use crate::spec::{Hyper, TablePolicy, TableSpec, Terms};
    use crate::time::Instant;

    #[test]
    fn what_is_asked_for_leaves_room_to_take_changes_back() {
        let (ids, registry) = ([ServerId(0), ServerId(1)], Registry::built_in());
        let plan = Plan::new(&ids, Vec::new(), &[], &registry).unwrap();
        let options = ServerOptions::default();
        let mut node = ServerNode::new(plan, ids[0], Instant::EPOCH, options).unwrap();
        let (policy, hyper) = (TablePolicy::local(Bsp), Hyper::default());
        let table = |node: &ServerNode, name: &str| {
            node.plan.with_table(TableSpec::dense(name, 9), policy.clone(), hyper)
        };
        let terms = Terms { from: Tick(9), policy: policy.clone(), hyper };
        let pending = Pending { table: TableId(0), group: None, terms, before: None };
        let catalog = node.catalog.as_mut().unwrap();
        // As if so many were under way that the catalog has room for one entry more.
        for version in 1..CATALOG_ENTRIES_MAX as u64 {
            catalog.begin(CatalogVersion(version), pending.clone());
        }
        let asked = |request| Some((Peer::Worker(1), request));
        assert!(node.create(asked(1), table(&node, "a")).is_ok());
        let refused = node.create(asked(2), table(&node, "b")).unwrap_err().into_error();
        assert!(refused.to_string().starts_with("tables and groups created"), "{refused}");
        assert!(node.create(None, table(&node, "b")).is_ok(), "what takes back has its room");
    }
}
