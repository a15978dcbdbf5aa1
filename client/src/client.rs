//! A process connected to a cluster, for as many workers as it has.

use archipelago::node::worker::{Park, Session};
use archipelago::sync::{Arc, Mutex};
use archipelago::transport::WorkerProcess;

use crate::{
    Blocking, ClientConfig, GroupId, Hyper, RemoteWorker, Result, Table, TablePolicy, TableSpec,
    ThreadPark,
};

/// A process connected to a cluster: it finds and creates tables and groups, and joins groups.
/// Every method takes `&self` and may be called from several threads at once.
///
/// Methods that end in `_blocking` are for plain threads; the others may be awaited in any async
/// program. One thread of the library's own and one connection to each server serve all workers of
/// a client. Names of servers are looked up when it connects; files of credentials are read then
/// and again for every worker, so that one that was renewed is in use for the next connection.
#[derive(Debug)]
pub struct Client {
    config: ClientConfig,
    process: WorkerProcess,
    /// A session that no worker has.
    spare: Mutex<Option<Arc<Session>>>,
}

impl Client {
    /// Connects to every server.
    ///
    /// # Errors
    /// A server refuses this process or cannot be reached in time; a name does not resolve; the
    /// credentials cannot be read, or are neither a worker's nor an operator's.
    pub async fn connect(config: ClientConfig) -> Result<Self> {
        let process = config.start()?;
        let spare = Mutex::new(Some(Arc::new(process.session().await?)));
        Ok(Self { config, process, spare })
    }

    /// As [`connect`](Self::connect), for plain threaded code.
    ///
    /// # Errors
    /// As there.
    pub fn connect_blocking(config: ClientConfig) -> Result<Self> {
        ThreadPark.block_on(Self::connect(config))
    }

    /// Creates a table, or finds the one of that name when its description is the same. Every
    /// server holds it then.
    ///
    /// A worker that joins later knows the table. One that has joined before does not: ask it for
    /// the table, by [`RemoteWorker::ensure_table`].
    ///
    /// # Errors
    /// A description out of bounds, a different table of that name (by the field or tensor that
    /// differs), an update rule or policy that this process or a server does not have, memory; or
    /// the deadline came first.
    pub async fn ensure_table(
        &self,
        spec: TableSpec,
        policy: TablePolicy,
        hyper: Hyper,
    ) -> Result<Table> {
        self.session().await?.ensure_table(spec, policy, hyper).await
    }

    /// As [`ensure_table`](Self::ensure_table), for plain threaded code.
    ///
    /// # Errors
    /// As there.
    pub fn ensure_table_blocking(
        &self,
        spec: TableSpec,
        policy: TablePolicy,
        hyper: Hyper,
    ) -> Result<Table> {
        ThreadPark.block_on(self.ensure_table(spec, policy, hyper))
    }

    /// Creates a group of `size` workers, or finds the one of that name and size. Nobody reads
    /// before all of them have joined.
    ///
    /// # Errors
    /// A name or size out of bounds, a group of that name and another size, no table exists yet;
    /// or the deadline came first.
    pub async fn ensure_group(&self, name: &str, size: u32) -> Result<GroupId> {
        self.session().await?.ensure_group(name, size).await
    }

    /// As [`ensure_group`](Self::ensure_group), for plain threaded code.
    ///
    /// # Errors
    /// As there.
    pub fn ensure_group_blocking(&self, name: &str, size: u32) -> Result<GroupId> {
        ThreadPark.block_on(self.ensure_group(name, size))
    }

    /// The tables that exist, in order of creation, with what each is described by: also the
    /// tensors of models that this program knows nothing of.
    ///
    /// # Errors
    /// The deadline came first.
    pub async fn tables(&self) -> Result<Vec<Table>> {
        self.session().await?.tables().await
    }

    /// As [`tables`](Self::tables), for plain threaded code.
    ///
    /// # Errors
    /// As there.
    pub fn tables_blocking(&self) -> Result<Vec<Table>> {
        ThreadPark.block_on(self.tables())
    }

    /// Takes a place in a group; waits until every server knows of the newcomer. The worker knows
    /// all tables that exist then.
    ///
    /// It lives on when this client is gone.
    ///
    /// # Errors
    /// The group is full or unknown, the credentials are an operator's; the deadline came first;
    /// those of [`connect`](Self::connect).
    pub async fn join(&self, group: GroupId) -> Result<RemoteWorker> {
        // Somebody may be asking over it right now; then it stays theirs.
        let spare = self.spare.lock().take().and_then(Arc::into_inner);
        let session = match spare {
            Some(session) => session,
            None => self.open().await?,
        };
        session.tables().await?;
        session.join(group).await
    }

    /// As [`join`](Self::join), for plain threaded code: a worker whose methods block.
    ///
    /// # Errors
    /// As there.
    pub fn join_blocking(&self, group: GroupId) -> Result<Blocking<RemoteWorker, ThreadPark>> {
        Ok(Blocking::new(ThreadPark.block_on(self.join(group))?, ThreadPark))
    }

    /// A session to ask over, opened when there is none.
    async fn session(&self) -> Result<Arc<Session>> {
        let held = self.spare.lock().clone();
        if let Some(session) = held {
            return Ok(session);
        }
        let opened = Arc::new(self.open().await?);
        // Whoever was faster has left one already.
        Ok(Arc::clone(self.spare.lock().get_or_insert(opened)))
    }

    async fn open(&self) -> Result<Session> {
        self.process.renew(&self.config.credentials()?)?;
        self.process.session().await
    }
}
