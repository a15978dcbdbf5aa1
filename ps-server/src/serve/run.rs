//! The life of a server process.

use std::io::Write;
use std::net::TcpListener;

use anyhow::{Context, anyhow, ensure};
use archipelago::node::Registry;
use archipelago::node::server::ServerOptions;
use archipelago::transport::{Credentials, Role, Server, ServerConfig};

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
    let (credentials, throwaway) = match &config.files {
        Some(files) => (load(files)?, None),
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
    let server = Server::start(ServerConfig {
        server: config.server,
        bind: config.bind,
        peers: config.servers.resolve()?,
        servers: config.servers.numbers(),
        registry: registry.clone(),
        credentials,
        options: ServerOptions::default(),
    })?;
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
    ensure!(
        identity.role() == Role::Server,
        "{certificate} is for a {identity}: serve needs one that ps-server cert issue --role \
         server has made"
    );
    Ok(credentials)
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
