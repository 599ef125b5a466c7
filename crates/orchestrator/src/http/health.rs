//! Probes and scrapes: `/health`, `/ready`, `/metrics`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::routes::{Access, Routes};
use crate::app::App;

/// How long the database may take to show that it is there.
const READY_WITHIN: Duration = Duration::from_secs(2);

pub(super) fn routes() -> Routes {
    Routes::new().get("/health", Access::Public, health).get("/ready", Access::Public, ready).get(
        "/metrics",
        Access::Public,
        metrics,
    )
}

/// Says that the process serves, and what it is.
async fn health(State(app): State<App>) -> Json<serde_json::Value> {
    let jobs = app.metrics.queue();
    Json(json!({
        "status": "ok",
        "timestamp": jiff::Timestamp::now().to_string(),
        "uptime": (app.started.elapsed().as_millis() as f64) / 1000.0,
        "version": env!("CARGO_PKG_VERSION"),
        "buildDate": option_env!("KICI_BUILD_DATE").unwrap_or("unknown"),
        "buildCommit": option_env!("KICI_BUILD_COMMIT").unwrap_or("unknown"),
        "mode": "independent",
        "port": app.port(),
        "agents": app.agents.connected(),
        "jobs": { "pending": jobs.waiting, "running": jobs.dispatched },
    }))
}

/// Says whether work can be taken: the database answers and nobody has asked to stop.
async fn ready(State(app): State<App>) -> Response {
    let database = matches!(tokio::time::timeout(READY_WITHIN, app.store.ping()).await, Ok(Ok(())));
    let stopping = app.stop.is_cancelled();
    let (status, text) = if database && !stopping {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready")
    };
    let mut checks = json!({ "database": database });
    if stopping {
        checks["running"] = json!(false);
    }
    (status, Json(json!({ "status": text, "checks": checks }))).into_response()
}

async fn metrics(State(app): State<App>) -> Response {
    let agents = app.agents.connected() as i64;
    let body = app.metrics.render(agents, &app.agents.measured());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], body).into_response()
}
