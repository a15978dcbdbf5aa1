//! The life of a server process.

use std::io::Write;
use std::net::TcpListener;

use anyhow::{Context, anyhow, ensure};
use archipelago::node::Registry;
use archipelago::node::server::ServerOptions;
use archipelago::placement::DataCentres;
use archipelago::transport::{Credentials, Identity, Role, Server, ServerConfig};

use super::check::doubts;
use super::config::{Config, CredentialFiles};
use super::dev::Throwaway;
use super::options::ServeArguments;
use super::{http, rotation};
use crate::logs;
use crate::signals::Signals;

/// Serves until Ctrl-C or SIGTERM; says on `out` where.
pub(crate) fn run(
    arguments: &ServeArguments,
    registry: &Registry,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    let mut config = Config::of(arguments)?;
    logs::start(config.log.as_deref(), "info");
    if let Some(warning) = config.other_port() {
        tracing::warn!("{warning}");
    }
    let (credentials, throwaway) = match &config.files {
        Some(files) => {
            let credentials = load(files)?;
            check_data_centre(&config, credentials.identity())?;
            (credentials, None)
        },
        None => {
            let throwaway = Throwaway::new()?;
            (throwaway.server()?, Some(throwaway))
        },
    };
    // Before the server, so that an address in use is told before anybody connects.
    let metrics = config.metrics.map(http::bind).transpose()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = runtime.block_on(async { Signals::new() })?;
    if arguments.while_input {
        signals.obey_input()?;
    }
    let system = config.system(registry)?;
    for doubt in doubts(&system) {
        tracing::warn!("{doubt}");
    }
    // What is logged later has the number alone.
    for (number, listed) in system.data_centres.iter().flat_map(DataCentres::iter) {
        tracing::info!(data_centre = number.0, name = listed.name, "one of the data centres");
    }
    let server = ServerConfig {
        server: config.server,
        bind: config.bind,
        peers: config.peers()?,
        servers: config.servers.numbers(),
        registry: registry.clone(),
        credentials,
        options: ServerOptions::default(),
    };
    let server = Server::start_in(server, system)?;
    if config.advertise == config.bind.to_string() {
        // The port may have been any that was free.
        config.advertise = server.address().to_string();
    }
    writeln!(out, "server {} listens on {}", config.server.0, server.address())?;
    if let Some(listener) = &metrics {
        let address = listener.local_addr()?;
        writeln!(out, "http://{address}/metrics and http://{address}/healthz")?;
    }
    if let Some(throwaway) = &throwaway {
        throwaway.explain(server.address(), out)?;
    }
    out.flush()?;
    runtime.block_on(live(server, &config, metrics, signals))
}

/// The credentials of a server.
pub(super) fn load(files: &CredentialFiles) -> anyhow::Result<Credentials> {
    let credentials = files.load()?;
    let identity = credentials.identity();
    let certificate = files.certificate.display();
    let article = if identity.role() == Role::Operator { "an" } else { "a" };
    ensure!(
        identity.role() == Role::Server,
        "{certificate} is for {article} {identity}: serve needs one that ps-server cert issue \
         --role server has made"
    );
    Ok(credentials)
}

/// Checks that the certificate is for the data centre that lists this server.
pub(super) fn check_data_centre(config: &Config, identity: &Identity) -> anyhow::Result<()> {
    let Some(listed) = &config.data_centres else { return Ok(()) };
    let own = listed.data_centres().around(config.server).map_or("none", |own| &own.name);
    let names: Vec<_> = listed.data_centres().iter().map(|(_, each)| each.name.as_str()).collect();
    let (server, found) = (config.server, identity.dc());
    ensure!(
        names.contains(&found),
        "the certificate is for the data centre {found}, which `data_centres` does not list ({}): \
         issue one with --dc {own}, or correct the list",
        names.join(", ")
    );
    ensure!(
        found == own,
        "{server} is listed for the data centre {own}, and its certificate is for {found}: give \
         it one of {own}, or the number of a server of {found}"
    );
    Ok(())
}

async fn live(
    server: Server,
    config: &Config,
    metrics: Option<TcpListener>,
    mut signals: Signals,
) -> anyhow::Result<()> {
    let handle = server.handle();
    let served = async {
        match metrics {
            Some(listener) => http::serve(listener, config, handle.clone()).await,
            None => std::future::pending().await,
        }
    };
    let renewed = async {
        if let Some(files) = &config.files {
            rotation::follow(files, &handle).await;
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = signals.next() => {},
        () = renewed => {},
        ended = served => ended.context("serving metrics")?,
    }
    tracing::info!("stopping: another signal stops at once");
    let mut stopping = tokio::task::spawn_blocking(move || server.stop());
    tokio::select! {
        stopped = &mut stopping => {
            stopped?.ok_or_else(|| anyhow!("the server's thread has panicked: see the log"))?;
            Ok(())
        },
        code = signals.next() => std::process::exit(i32::from(code)),
    }
}
