//! `/health`, `/ready` and `/metrics` on the agent's own port.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

use crate::metrics::{self, Metrics};

/// The port could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port} (KICI_PORT); choose another one, or 0 for any that is free")]
pub struct ListenError {
    /// The port.
    pub port: u16,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// What the pages show.
#[derive(Debug, Clone)]
pub(crate) struct Pages {
    pub(crate) agent_id: Arc<str>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) started: Instant,
}

/// Opens the port. All interfaces, because health checks come from outside a container.
pub(crate) async fn listen(port: u16) -> Result<(TcpListener, SocketAddr), ListenError> {
    let failed = |source| ListenError { port, source };
    let listener = TcpListener::bind(("0.0.0.0", port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Answers until the task is dropped.
pub(crate) async fn serve(listener: TcpListener, pages: Pages) {
    let router = Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(show_metrics))
        .with_state(pages);
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the health port stopped answering");
    }
}

async fn health(State(pages): State<Pages>) -> impl IntoResponse {
    let outbox = pages.metrics.outbox();
    Json(json!({
        "status": "ok",
        "timestamp": crate::logging::timestamp(),
        "uptime": pages.started.elapsed().as_secs_f64(),
        "version": env!("CARGO_PKG_VERSION"),
        "agentId": &*pages.agent_id,
        "activeJobs": pages.metrics.active_jobs(),
        "connected": pages.metrics.is_connected(),
        "outbox": {
            "bytes": outbox.disk_bytes,
            "jobs": outbox.jobs,
            "storage": if outbox.problem.is_none() { "disk" } else { "memory" },
            "problem": outbox.problem,
        },
    }))
}

async fn ready(State(pages): State<Pages>) -> impl IntoResponse {
    let connected = pages.metrics.is_connected();
    let (code, status) = if connected {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    (code, Json(json!({ "status": status, "checks": { "connected": connected } })))
}

async fn show_metrics(State(pages): State<Pages>) -> impl IntoResponse {
    let text = metrics::exposition(&pages.metrics.snapshot());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}
