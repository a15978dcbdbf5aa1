//! A server's part in changes and ends of tables: as keeper, and as a holder of their shards.

use super::super::catalog::{Asked, Catalog, Pending};
use super::ServerNode;
use super::mirroring::warn_of_conditions;
use crate::error::SpecError;
use crate::history::{Event, WaitOutcome};
use crate::id::{CatalogVersion, GroupId, Origin, ServerId, TableId, Tick};
use crate::limits;
use crate::node::plan::{Created, Plan};
use crate::node::{Output, Peer, plan};
use crate::spec::{CatalogEntry, ChangeEntry, Table, TableChange, TableEntry, Terms};
use crate::sync::Arc;
use crate::wire::{self, Answer, CatalogRefusal, Message, Refusal};

impl ServerNode {
    pub(super) fn on_change_table(
        &mut self,
        from: Peer,
        request: u64,
        name: &str,
        change: &TableChange,
    ) {
        match self.change_table((from, request), name, change) {
            Ok((version, tick)) => {
                self.promise((from, request), version, Asked::Changed(tick));
            },
            Err(refusal) => {
                self.send(from, Message::TableChanged { request, result: Err(refusal) });
            },
        }
    }

    pub(super) fn on_drop_table(&mut self, from: Peer, request: u64, name: &str) {
        match self.drop_table((from, request), name) {
            Ok(version) => self.promise((from, request), version, Asked::Dropped),
            Err(refusal) => {
                self.send(from, Message::TableDropped { request, result: Err(refusal) });
            },
        }
    }

    /// The entry by which a table is as was asked for, new or old, and since which tick it is.
    fn change_table(
        &mut self,
        by: (Peer, u64),
        name: &str,
        change: &TableChange,
    ) -> Result<(CatalogVersion, Tick), CatalogRefusal> {
        if let Some(version) = self.made_before(by)? {
            return Ok((version, self.begins_at(version)));
        }
        let planned = self.plan.table_named(name).ok_or_else(|| self.not_there(name))?;
        let table = planned.table.clone();
        let created = self.version_of(&Created::Table(table.id()));
        if let Some(failure) = self.catalog.as_ref().and_then(|it| it.failure(created)) {
            return Err(failure.clone());
        }
        if let Some(terms) = change.found_in(&table) {
            return Ok((self.version_of_terms(&table, &terms), terms.from));
        }
        let group = self.tables.get(&table.id()).and_then(|held| held.shard.writer());
        let (free, reached) = self.free_tick(group);
        let terms = change.of(&table, free, reached).map_err(CatalogRefusal::Described)?;
        let from = terms.from;
        let settled = self.catalog.as_ref().is_some_and(|it| !it.is_changing(table.id()));
        let before = settled.then(|| table.terms_at(from));
        let pending = Pending { table: table.id(), group, terms, before };
        self.check_bytes(&table, &pending).map_err(CatalogRefusal::Described)?;
        Ok((self.begin_change(Some(by), pending)?, from))
    }

    /// Checks that a change fits its table's description, also when it and all that are under way
    /// are taken back: what a table falls back to may be larger than what it falls back from.
    fn check_bytes(&self, table: &Table, pending: &Pending) -> Result<(), SpecError> {
        let catalog = self.catalog.iter().flat_map(Catalog::under_way);
        let of_table = catalog.filter(|other| other.table == table.id());
        let under_way: Vec<_> = of_table.chain([pending]).collect();
        let before = under_way.iter().filter_map(|pending| pending.before.as_ref());
        let terms = under_way.iter().map(|pending| &pending.terms);
        let created = table.as_created().last_terms();
        let all = before.chain(terms).chain(table.changes()).chain([&created]);
        let largest = all.map(wire::terms_bytes).max().unwrap_or_default();
        let grows = |pending: &&Pending| largest - wire::terms_bytes(&pending.terms);
        let more = under_way.iter().map(grows).sum();
        plan::check_bytes(&table.with_change(pending.terms.clone()), more)
    }

    fn begins_at(&self, version: CatalogVersion) -> Tick {
        match self.plan.entry(version) {
            Some(CatalogEntry::Change(entry)) => entry.terms.from,
            _ => Tick::FIRST,
        }
    }

    /// The entry by which a table is gone, new or old.
    fn drop_table(
        &mut self,
        by: (Peer, u64),
        name: &str,
    ) -> Result<CatalogVersion, CatalogRefusal> {
        if let Some(version) = self.made_before(by)? {
            return Ok(version);
        }
        if let Some(planned) = self.plan.table_named(name) {
            let plan = self.plan.with(&CatalogEntry::Drop(planned.table.id()));
            return self.create(Some(by), plan);
        }
        let dropped = self.plan.dropped_named(name).ok_or_else(|| self.not_there(name))?;
        Ok(self.version_of(&Created::Drop(dropped)))
    }

    fn not_there(&self, name: &str) -> CatalogRefusal {
        let table = name.to_owned();
        match self.plan.dropped_named(name) {
            Some(_) => CatalogRefusal::Dropped { table },
            None => CatalogRefusal::UnknownTable { table },
        }
    }

    /// The first tick that no worker of a table's writing group can have come to when all servers
    /// know of a change that is made now, and the last one heard of any of them.
    fn free_tick(&self, writer: Option<GroupId>) -> (Tick, Tick) {
        let kept = writer.and_then(|group| self.groups.get(&group));
        let Some(reached) = kept.map(|kept| kept.keeper.reached()) else {
            return (Tick::FIRST, Tick(0));
        };
        (Tick(reached.0.saturating_add(limits::CHANGE_AHEAD)), reached)
    }

    fn version_of_terms(&self, table: &Table, terms: &Terms) -> CatalogVersion {
        let made = Created::Change(table.id(), Arc::new(terms.clone()));
        let found = self.plan.created().rev().find(|(_, held)| **held == made);
        found.map_or_else(|| self.version_of(&Created::Table(table.id())), |(version, _)| version)
    }

    fn begin_change(
        &mut self,
        by: Option<(Peer, u64)>,
        pending: Pending,
    ) -> Result<CatalogVersion, CatalogRefusal> {
        let (table, terms) = (pending.table, Box::new(pending.terms.clone()));
        let plan = self.plan.with(&CatalogEntry::Change(ChangeEntry { table, terms }));
        let version = self.create(by, plan)?;
        let planned = self.plan.table(pending.table).filter(|_| self.plan.abroad().is_some());
        planned.into_iter().for_each(warn_of_conditions);
        if let Some(catalog) = &mut self.catalog {
            catalog.begin(version, pending);
        }
        Ok(version)
    }

    /// Ends what was under way and is settled: changes that some server cannot hold are taken back,
    /// and what was withheld goes out.
    pub(super) fn end_changes(&mut self) {
        while let Some(catalog) = &mut self.catalog {
            let settled = catalog.settled(self.plan.version());
            let Some((version, pending)) = catalog.take_answered(settled) else { break };
            let failed = catalog.failure(version).is_some();
            catalog.ended(&pending, failed);
            if failed {
                self.take_back(pending);
            }
        }
        let withheld = self.withheld.take();
        self.post(withheld);
        self.tell_who_waits();
    }

    /// Makes the change by which a table is as it was before one that some server cannot hold.
    fn take_back(&mut self, pending: Pending) {
        let held = self.plan.table(pending.table).map(|planned| &planned.table);
        let from = pending.terms.from;
        let Some(table) = held.filter(|table| table.terms_at(from) == pending.terms) else {
            return;
        };
        // Those made before it have been taken back by now where they failed.
        let before = || table.terms_at(from.back(1));
        let terms = Terms { from, ..pending.before.clone().unwrap_or_else(before) };
        if terms == pending.terms {
            return;
        }
        let before = Some(terms.clone());
        if let Err(refusal) = self.begin_change(None, Pending { terms, before, ..pending }) {
            tracing::error!(?refusal, "a change that a server cannot hold stays");
        }
    }

    /// Whether a message would let a worker go on to a tick at which a change begins that some
    /// server may not know of.
    pub(super) fn is_early(&self, to: Peer, message: &Message) -> bool {
        let Some(catalog) = &self.catalog else { return false };
        match message {
            Message::Joined { result: Ok(grant), .. } => {
                catalog.holds_up(grant.origin.group, grant.start)
            },
            Message::Attached { table, result: Ok(()) } => catalog.changes(*table),
            Message::TickAnswer { tick, result: Ok(()) } => {
                let Peer::Worker(token) = to else { return false };
                let origin = self.workers.get(&token);
                origin.is_some_and(|origin| catalog.holds_up(origin.group, *tick))
            },
            _ => false,
        }
    }

    /// Keeps an answer until the changes under way are settled; says who has not confirmed them.
    pub(super) fn withhold(&mut self, to: Peer, message: Message) {
        let server = self.behind();
        if let Some(message) = self.withheld.keep(to, message, server) {
            self.send(to, message);
        }
    }

    /// Tells all who wait for the keeper whom it waits for.
    fn tell_who_waits(&mut self) {
        let server = self.behind();
        let Some(catalog) = &self.catalog else { return };
        for (to, message) in self.withheld.tell(server, |peer| catalog.has_asked(peer)) {
            self.send(to, message);
        }
    }

    /// The server that everybody waits for.
    fn behind(&self) -> Option<ServerId> {
        self.catalog.as_ref().and_then(|catalog| catalog.behind(self.plan.version()))
    }

    pub(super) fn on_attach(
        &mut self,
        from: Peer,
        origin: Origin,
        table: TableId,
        spec_hash: u128,
    ) {
        let result = self.attach(origin, table, spec_hash);
        self.post(vec![(from, Message::Attached { table, result })]);
    }

    /// The group that writes a table is bound here, at the keeper: who changes a table has to know
    /// how far its writers have come.
    fn attach(&mut self, origin: Origin, table: TableId, found: u128) -> Result<(), Refusal> {
        let planned = self.plan.table(table).ok_or_else(|| self.missing(table))?;
        let expected = planned.table.spec().hash();
        if expected != found {
            return Err(Refusal::SpecMismatch { expected, found });
        }
        if !self.keeps() {
            return Err(Refusal::NotKeeper { keeper: self.plan.keeper() });
        }
        let held = self.tables.get_mut(&table).ok_or(Refusal::UnknownTable { table })?;
        held.shard.bind(origin)
    }

    /// Why there is no such table here.
    pub(super) fn missing(&self, table: TableId) -> Refusal {
        match self.plan.dropped(table) {
            Some(_) => Refusal::Dropped { table },
            None => Refusal::UnknownTable { table },
        }
    }

    /// The shard of a table works by other terms from their tick on.
    pub(super) fn hold_terms(
        &mut self,
        plan: &Plan,
        id: TableId,
        terms: &Terms,
    ) -> Result<(), SpecError> {
        let (Some(planned), Some(held)) = (plan.table(id), self.tables.get_mut(&id)) else {
            return Ok(());
        };
        let code = plan.code(&planned.table, terms)?;
        held.shard.change(self.now, terms.clone(), code.policy);
        Ok(())
    }

    /// A table is gone, with its rows; whoever waits there is told.
    pub(super) fn end_table(&mut self, id: TableId) {
        let Some(mut held) = self.tables.remove(&id) else { return };
        self.outputs.extend(held.shard.take_events().into_iter().map(Output::Event));
        let refusal = Refusal::Dropped { table: id };
        for read in held.waiting.take_reads() {
            self.ended(&read, id, WaitOutcome::Refused);
            self.answer_read(id, &read, Err(refusal));
        }
        for (origin, sequence, push) in held.waiting.take_pushes() {
            self.ended_push(WaitOutcome::Refused, (origin, id, sequence), &push);
            if self.options.record_history {
                self.outputs.push_back(Output::Event(Event::Refused {
                    origin,
                    table: id,
                    sequence,
                }));
            }
            let answer = Answer::Refused(refusal);
            self.send(push.from, Message::PushAnswer { table: id, sequence, answer });
        }
    }

    /// The answer to a request whose entry every server has answered.
    pub(super) fn settled_answer(
        &self,
        request: u64,
        version: CatalogVersion,
        asked: Asked,
    ) -> Option<Message> {
        let failure = self.catalog.as_ref().and_then(|catalog| catalog.failure(version)).cloned();
        let held = failure.map_or(Ok(()), Err);
        Some(match (asked, self.plan.entry(version)?) {
            (Asked::Changed(from), _) => {
                Message::TableChanged { request, result: held.map(|()| from) }
            },
            (Asked::Dropped, _) => Message::TableDropped { request, result: held },
            (Asked::Created, CatalogEntry::Group(entry)) => {
                Message::GroupEnsured { request, result: held.map(|()| entry) }
            },
            (Asked::Created, CatalogEntry::Table(entry)) => {
                // With its changes, and unless it was dropped meanwhile.
                let table = self.plan.table(entry.id).map(|held| TableEntry::of(&held.table));
                let dropped = || CatalogRefusal::Dropped { table: entry.described.spec.name };
                let result = held.and_then(|()| table.ok_or_else(dropped));
                Message::TableEnsured { request, result }
            },
            (Asked::Created, CatalogEntry::Change(_) | CatalogEntry::Drop(_)) => return None,
        })
    }
}
