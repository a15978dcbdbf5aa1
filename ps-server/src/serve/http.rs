//! `/metrics` and `/healthz`, over plain HTTP on an address of their own.

use std::net::{SocketAddr, TcpListener};

use anyhow::Context;
use archipelago::sync::Arc;
use archipelago::time::Duration;
use archipelago::transport::{ServerHandle, ServerStatus};
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::config::Config;
use super::metrics::{Health, page};

/// A server that does not answer for this long is not well.
const ANSWER_MAX: Duration = Duration::from_secs(2);

#[derive(Clone)]
struct Source {
    config: Arc<Config>,
    server: ServerHandle,
}

impl Source {
    async fn status(&self) -> Result<ServerStatus, Response> {
        let answer = tokio::time::timeout(ANSWER_MAX, self.server.status()).await;
        answer.ok().flatten().ok_or_else(|| {
            let text = "the server does not answer\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        })
    }
}

/// Takes the address.
pub(super) fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let bound = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        Ok(listener)
    });
    bound.with_context(|| {
        format!("cannot serve metrics on {address}: choose another address with --metrics")
    })
}

/// Answers until the process ends.
pub(super) async fn serve(
    listener: TcpListener,
    config: &Config,
    server: ServerHandle,
) -> anyhow::Result<()> {
    let source = Source { config: Arc::new(config.clone()), server };
    let routes = Router::new().route("/metrics", get(metrics)).route("/healthz", get(health));
    let listener = tokio::net::TcpListener::from_std(listener)?;
    axum::serve(listener, routes.with_state(source)).await?;
    Ok(())
}

async fn metrics(State(source): State<Source>) -> Result<Response, Response> {
    let text = page(&source.status().await?);
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

async fn health(State(source): State<Source>) -> Result<Response, Response> {
    let health = Health::new(&source.config, &source.status().await?);
    let failed = |_error| StatusCode::INTERNAL_SERVER_ERROR.into_response();
    let text = serde_json::to_string(&health).map_err(failed)?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
