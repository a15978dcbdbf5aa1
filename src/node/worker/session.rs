//! A worker process before it belongs to a group: it creates tables and groups, then joins.

use std::future::poll_fn;
use std::task::{Context, Poll, Waker};

use super::RemoteWorker;
use super::node::{Told, WorkerNode};
use super::remote::Notify;
use crate::error::{FrameError, Result, WaitError};
use crate::id::{GroupId, TableId, Tick};
use crate::limits;
use crate::spec::{Described, GroupSpec, Hyper, Table, TableChange, TablePolicy, TableSpec};
use crate::sync::{Arc, Mutex};
use crate::time::Instant;
use crate::wire::{CatalogRefusal, JoinGrant, Message};

/// A process connected to a cluster. What it asks for is asked again until it is answered, also
/// over a new connection; asking twice finds what the first has made. Dropped, it disconnects.
#[derive(Debug)]
pub struct Session {
    pub(super) node: Arc<Mutex<WorkerNode>>,
    pub(super) notify: Arc<dyn Notify>,
}

impl Session {
    /// The session of a node; `notify` tells its driver that outputs wait there.
    pub fn new(node: Arc<Mutex<WorkerNode>>, notify: Arc<dyn Notify>) -> Self {
        Self { node, notify }
    }

    /// Creates a table, or finds the one of that name when it was created with the same
    /// description, or changed to it last. Every server holds it then.
    ///
    /// # Errors
    /// A description out of bounds, a different table of that name, an update rule or policy that
    /// this process or a server does not have (which, and which there are), memory; or the
    /// deadline came first.
    pub async fn ensure_table(
        &self,
        spec: TableSpec,
        policy: TablePolicy,
        hyper: Hyper,
    ) -> Result<Table> {
        let described = Box::new(Described { spec, policy, hyper });
        // What this process could not use is not created.
        self.node.lock().check_table(&described)?;
        let asked = described.clone();
        let told = self.ask(|request| Message::EnsureTable { request, described }).await?;
        let Told::Table(result) = told else { return Err(unasked(0)) };
        let entry = result.map_err(CatalogRefusal::into_error)?;
        let Described { spec, policy, hyper } = &*asked;
        if entry.clone().into_table().check_same(spec, policy, hyper).is_err() {
            return Err(unasked(entry.id.0));
        }
        self.node.lock().hold_table(entry)
    }

    /// Changes a table from a tick on, for its pushes, reads and rounds of that tick and of later
    /// ones, the same everywhere; the tick. Nobody can have come to it: a table that nobody writes
    /// changes from tick 1, another one some [`CHANGE_AHEAD`](crate::limits::CHANGE_AHEAD) ticks
    /// later, or when the change says. Asked for what holds already, nothing is changed.
    ///
    /// A change of policy is a barrier: requests of its first tick wait until all members have
    /// ended the tick before.
    ///
    /// # Errors
    /// No such table, or it was dropped; terms out of bounds; code that a server lacks; a tick that
    /// somebody may have come to, with the earliest possible one, or one too far ahead, with the
    /// last one; or the deadline came first.
    pub async fn change_table(&self, name: &str, change: TableChange) -> Result<Tick> {
        let (name, change) = (name.to_owned(), Box::new(change));
        let told = self.ask(|request| Message::ChangeTable { request, name, change }).await?;
        let Told::Changed(result) = told else { return Err(unasked(0)) };
        result.map_err(CatalogRefusal::into_error)
    }

    /// Drops a table, whoever uses it: its values are gone, and its name is free. Requests for it
    /// that wait or come later are refused, with an error that says so. A table that was dropped
    /// before is found dropped.
    ///
    /// # Errors
    /// There never was such a table; it has copies in other data centres; or the deadline came
    /// first.
    pub async fn drop_table(&self, name: &str) -> Result<()> {
        let asked = name.to_owned();
        let told = self.ask(|request| Message::DropTable { request, name: asked }).await?;
        let Told::Dropped(result) = told else { return Err(unasked(0)) };
        result.map_err(CatalogRefusal::into_error)?;
        self.node.lock().forget_table(name);
        Ok(())
    }

    /// Creates a group of `size` workers, or finds the one of that name and size. Nobody reads
    /// before all of them have joined.
    ///
    /// # Errors
    /// A name or size out of bounds, a group of that name and another size, no table exists yet;
    /// or the deadline came first.
    pub async fn ensure_group(&self, name: &str, size: u32) -> Result<GroupId> {
        let spec = GroupSpec { name: name.into(), size };
        spec.check()?;
        let asked = spec.clone();
        let told = self.ask(|request| Message::EnsureGroup { request, spec }).await?;
        let Told::Group(result) = told else { return Err(unasked(0)) };
        let entry = result.map_err(CatalogRefusal::into_error)?;
        if entry.spec != asked {
            return Err(unasked(entry.id.0));
        }
        Ok(entry.id)
    }

    /// The tables that exist, in order of creation. Those whose code this process has can be used
    /// at once.
    ///
    /// # Errors
    /// The deadline came first.
    pub async fn tables(&self) -> Result<Vec<Table>> {
        let (mut tables, mut from) = (Vec::new(), Some(TableId(0)));
        while let Some(first) = from {
            let told = self.ask(|request| Message::ListTables { request, from: first }).await?;
            let Told::Tables(listed, next) = told else { return Err(unasked(0)) };
            if let Some(next) = next.filter(|next| *next <= first) {
                return Err(unasked(next.0));
            }
            let mut node = self.node.lock();
            for entry in listed {
                let table = entry.clone().into_table();
                // One whose code is not here is listed all the same.
                let _usable = node.hold_table(entry);
                tables.push(table);
            }
            from = next;
        }
        Ok(tables)
    }

    /// Takes a place in a group; waits until every server knows of the newcomer.
    ///
    /// # Errors
    /// The group is full or unknown, or the deadline came first.
    pub async fn join(self, group: GroupId) -> Result<RemoteWorker> {
        let grant: JoinGrant = self.until(|node| node.join(group)).await??;
        Ok(RemoteWorker::new(self, grant))
    }

    /// Asks the keeper, and waits for the answer.
    async fn ask(&self, message: impl FnOnce(u64) -> Message) -> Result<Told> {
        let asking = Asking { node: &self.node, request: self.node.lock().ask(message) };
        self.until(|node| node.take_told(asking.request)).await
    }

    /// The time: the node's own is that of its last input.
    pub(super) fn time(&self) -> Instant {
        let mut node = self.node.lock();
        node.see(self.notify.now());
        node.now()
    }

    /// Polls `ready` on the node until it answers, at most until the deadline.
    pub(super) async fn until<R>(
        &self,
        mut ready: impl FnMut(&mut WorkerNode) -> Option<R>,
    ) -> Result<R> {
        let mut wait = Wait::default();
        poll_fn(|context| {
            let mut node = self.node.lock();
            let answer = match node.failure() {
                Some(error) => Some(Err(error)),
                None => ready(&mut node).map(Ok),
            };
            let poll = match answer {
                Some(answer) => Poll::Ready(answer),
                None => {
                    node.see(self.notify.now());
                    wait.go_on(&mut node, context)
                },
            };
            let (wants_poll, woken) = (node.wants_poll(), node.take_woken());
            drop(node);
            woken.into_iter().for_each(Waker::wake);
            // A driver that is woken for nothing costs a switch of threads.
            if wants_poll {
                self.notify.outputs_wait();
            }
            poll
        })
        .await
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.node.lock().close();
        self.notify.outputs_wait();
    }
}

/// A request for something of the catalog; forgotten with the future that made it.
struct Asking<'a> {
    node: &'a Mutex<WorkerNode>,
    request: u64,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.node.lock().forget_ask(self.request);
    }
}

/// A wait under way, with its deadline.
#[derive(Default)]
struct Wait {
    since: Option<Instant>,
}

impl Wait {
    fn go_on<R>(&mut self, node: &mut WorkerNode, context: &Context<'_>) -> Poll<Result<R>> {
        let now = node.now();
        let since = *self.since.get_or_insert(now);
        let mut until = since.after(node.wait_max());
        let away = node.awaited_server();
        if let Some((_, away_since)) = away {
            until = until.min(away_since.after(limits::SERVER_AWAY_MAX));
        }
        if now >= until {
            let error = match away {
                Some((server, since)) => WaitError::ServerDown { server, away: now.since(since) },
                None => {
                    WaitError::Deadline { reason: node.reason(since), waited: now.since(since) }
                },
            };
            return Poll::Ready(Err(error.into()));
        }
        node.park(context.waker(), until);
        Poll::Pending
    }
}

/// The keeper's word is checked: it may not be what was asked for.
fn unasked(found: u32) -> crate::error::Error {
    FrameError::Malformed { field: "answer that was not asked for", found: found.into() }.into()
}
