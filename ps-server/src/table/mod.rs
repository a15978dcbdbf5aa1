//! `table`: tables of a running cluster, created, listed, described, changed and dropped.

mod arguments;
#[cfg(any(test, feature = "workloads"))]
mod entry;
mod file;
mod numbers;
mod view;

use std::io::Write;

use anyhow::anyhow;
use archipelago::Table;
use archipelago::embed::ThreadPark;
use archipelago::id::ServerId;
use archipelago::node::Registry;
use archipelago::node::worker::{Park, Session, WorkerOptions};
use archipelago::time::Duration;
use archipelago::transport::WorkerProcess;
use archipelago_client::Servers;

pub use self::arguments::{
    ClusterArguments, CreateArguments, NamedArguments, NonFinite, SetArguments, TableArguments,
    TableCommand, TableOptions,
};
#[cfg(feature = "workloads")]
pub(crate) use self::entry::file_entry;
pub use self::file::TableFileError;
pub(crate) use self::file::read;
pub use self::numbers::CombineWord;
use self::view::{TableView, listed, shown};
use crate::connect::ConnectArguments;
use crate::nearest::{nearest, suggestion};

/// How long the servers may take to answer: creating waits until all of them hold the table.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// Why a table cannot be shown or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// No table has the name.
    #[error("there is no table {name:?}{}", suggestion(nearest.as_deref(), known))]
    Unknown {
        /// The name.
        name: String,
        /// The table that was probably meant.
        nearest: Option<String>,
        /// All tables.
        known: Vec<String>,
    },
    /// A mean without its weight.
    #[error(
        "--combine mean:WEIGHT is needed with --local {local}: every push is a round of its own \
         there, so that the weight which all workers together push per tick has to be said"
    )]
    Weight {
        /// The local policy.
        local: String,
    },
}

/// Carries out the command.
pub(crate) fn run(
    arguments: &TableArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    match &arguments.command {
        TableCommand::Create(create) => self::create(create, registry, out),
        TableCommand::List(list) => self::list(list, registry, out),
        TableCommand::Describe(describe) => self::describe(describe, registry, out),
        TableCommand::Set(set) => self::set(set, registry, out),
        TableCommand::Drop(drop) => drop_one(drop, registry, out),
    }
}

fn create(
    arguments: &CreateArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    // What is wrong with the words is said before anybody is called.
    let (spec, policy, hyper) = arguments.table.described(registry)?;
    let cluster = Cluster::connect(&arguments.cluster.connect, registry)?;
    let before = cluster.tables()?;
    let existed = before.iter().any(|table| table.name() == spec.name);
    let creating = cluster.session.ensure_table(spec, policy, hyper);
    let view = cluster.view(&ThreadPark.block_on(creating)?)?;
    if arguments.cluster.json {
        let mut object = serde_json::to_value(&view)?;
        object["created"] = (!existed).into();
        writeln!(out, "{object}")?;
    } else {
        let what = if existed { "existed already, the same as described" } else { "created" };
        writeln!(out, "table {}: {what}", view.table)?;
        write!(out, "{}", shown(&view))?;
    }
    Ok(())
}

fn list(
    arguments: &ClusterArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&arguments.connect, registry)?;
    let tables = cluster.tables()?;
    let views =
        tables.iter().map(|table| cluster.view(table)).collect::<anyhow::Result<Vec<_>>>()?;
    if arguments.json {
        for view in &views {
            writeln!(out, "{}", serde_json::to_string(view)?)?;
        }
    } else if views.is_empty() {
        writeln!(out, "no tables: workers create them, or ps-server table create")?;
    } else {
        writeln!(out, "{}", listed(&views))?;
    }
    Ok(())
}

fn describe(
    arguments: &NamedArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&arguments.cluster.connect, registry)?;
    let view = cluster.view(&cluster.table(&arguments.name)?)?;
    if arguments.cluster.json {
        writeln!(out, "{}", serde_json::to_string(&view)?)?;
    } else {
        write!(out, "{}", shown(&view))?;
    }
    Ok(())
}

fn set(arguments: &SetArguments, registry: &Registry, out: &mut dyn Write) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&arguments.cluster.connect, registry)?;
    let name = &arguments.name;
    let table = cluster.table(name)?;
    let change = arguments.change(&table.last_terms().policy, registry)?;
    let from = ThreadPark.block_on(cluster.session.change_table(name, change))?;
    let now = cluster.table(name)?;
    let changed = now.changes() != table.changes();
    let view = cluster.view(&now)?;
    if arguments.cluster.json {
        let mut object = serde_json::to_value(&view)?;
        object["from"] = from.0.into();
        object["changed"] = changed.into();
        writeln!(out, "{object}")?;
    } else {
        let what = if changed { "changed" } else { "as it was, nothing is changed: it holds" };
        writeln!(out, "table {name}: {what} from {from} on")?;
        write!(out, "{}", shown(&view))?;
    }
    Ok(())
}

fn drop_one(
    arguments: &NamedArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let cluster = Cluster::connect(&arguments.cluster.connect, registry)?;
    let name = &arguments.name;
    // A mistyped name is told with the names that there are.
    cluster.table(name)?;
    ThreadPark.block_on(cluster.session.drop_table(name))?;
    if arguments.cluster.json {
        writeln!(out, "{}", serde_json::json!({ "table": name, "dropped": true }))?;
    } else {
        writeln!(out, "table {name}: dropped, its memory is free")?;
    }
    Ok(())
}

/// A session with all servers.
struct Cluster {
    session: Session,
    servers: Servers,
    /// After the session: it ends when both are gone.
    _process: Parting,
}

/// A process that has told the servers that it goes, once it is dropped: they would take it for a
/// silent one, and keep its connections.
struct Parting(Option<WorkerProcess>);

impl Drop for Parting {
    fn drop(&mut self) {
        if let Some(process) = self.0.take() {
            ThreadPark.block_on(process.ended());
        }
    }
}

impl Cluster {
    fn connect(connect: &ConnectArguments, registry: &Registry) -> anyhow::Result<Self> {
        let options =
            WorkerOptions { wait_max: ANSWER_MAX, joins: false, ..WorkerOptions::default() };
        let servers = Servers::new(&connect.servers)?;
        let process = WorkerProcess::start(connect.config(registry.clone(), options)?)?;
        let connecting = || ThreadPark.block_on(process.session());
        let session = connect.patiently(&servers, connecting);
        let session = session.map_err(|error| connect.explained(error))?;
        Ok(Self { session, servers, _process: Parting(Some(process)) })
    }

    fn tables(&self) -> anyhow::Result<Vec<Table>> {
        Ok(ThreadPark.block_on(self.session.tables())?)
    }

    fn table(&self, name: &str) -> anyhow::Result<Table> {
        let mut tables = self.tables()?;
        let Some(at) = tables.iter().position(|table| table.name() == name) else {
            let known: Vec<_> = tables.iter().map(|table| table.name().to_owned()).collect();
            let nearest = nearest(name, known.iter().map(String::as_str)).map(str::to_owned);
            return Err(TableError::Unknown { name: name.into(), nearest, known }.into());
        };
        Ok(tables.swap_remove(at))
    }

    fn view(&self, table: &Table) -> anyhow::Result<TableView> {
        let servers: Vec<(ServerId, String)> = self
            .servers
            .entries()
            .into_iter()
            .filter_map(|entry| Some((ServerId(entry.number?), entry.address)))
            .collect();
        TableView::new(table, &servers).map_err(|problem| anyhow!("{problem}"))
    }
}
