//! What the service says about itself.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use kici_protocol::agent::PROTOCOL_VERSION;
use kici_protocol::http::service::{Capabilities, Check, CheckStatus, Diagnosis, Overall};
use kici_protocol::http::time::Timestamp;

use super::ApiError;
use crate::access::Caller;
use crate::app::App;
use crate::http::{Access, Routes};
use crate::logging::Chain;

/// How long one check may take.
const CHECK_WITHIN: Duration = Duration::from_secs(5);
/// Free disk space below which a check warns, and below which it fails.
const LITTLE_DISK: u64 = 1024 * 1024 * 1024;
const NO_DISK: u64 = 100 * 1024 * 1024;

pub(super) fn routes() -> Routes {
    Routes::new().get("/api/v1/capabilities", Access::Public, capabilities).get(
        "/admin/diagnose",
        Access::Public,
        diagnose,
    )
}

async fn capabilities() -> Json<Capabilities> {
    Json(Capabilities {
        orchestrator_version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_version: PROTOCOL_VERSION.into(),
        min_protocol_version: PROTOCOL_VERSION.into(),
    })
}

/// Looks at what the service needs. Strangers see the result, callers with a token the checks.
async fn diagnose(
    State(app): State<App>,
    caller: Option<Caller>,
) -> Result<Json<Diagnosis>, ApiError> {
    let mut diagnosis = diagnosis(&app).await;
    if caller.is_none() {
        diagnosis.checks = None;
    }
    Ok(Json(diagnosis))
}

/// With all checks.
pub(super) async fn diagnosis(app: &App) -> Diagnosis {
    let (database, disk) = tokio::join!(database(app), disk(app));
    let checks = vec![database, agents(app), disk];
    let worst = |status: CheckStatus| checks.iter().any(|check| check.status == status);
    let status = match (worst(CheckStatus::Fail), worst(CheckStatus::Warn)) {
        (true, _) => Overall::Unhealthy,
        (false, true) => Overall::Degraded,
        (false, false) => Overall::Healthy,
    };
    Diagnosis { status, checks: Some(checks), timestamp: Timestamp::now() }
}

async fn database(app: &App) -> Check {
    let started = Instant::now();
    let (status, message) = match tokio::time::timeout(CHECK_WITHIN, app.store.ping()).await {
        Ok(Ok(())) => {
            (CheckStatus::Pass, format!("Connected ({}ms latency)", started.elapsed().as_millis()))
        }
        Ok(Err(error)) => (CheckStatus::Fail, Chain(&error).to_string()),
        Err(_) => {
            (CheckStatus::Fail, format!("Check timeout after {}ms", CHECK_WITHIN.as_millis()))
        }
    };
    check("Database connectivity", status, message, started)
}

fn agents(app: &App) -> Check {
    let started = Instant::now();
    let (status, message) = match app.agents.connected() {
        0 => (CheckStatus::Warn, "no agent is connected: jobs wait until one is".to_owned()),
        1 => (CheckStatus::Pass, "1 agent is connected".to_owned()),
        many => (CheckStatus::Pass, format!("{many} agents are connected")),
    };
    check("Agent connectivity", status, message, started)
}

async fn disk(app: &App) -> Check {
    let started = Instant::now();
    let folder = app.config.server.data_dir.clone();
    let shown = folder.display().to_string();
    // A hanging network file system must not hold up the answer.
    let look = tokio::task::spawn_blocking(move || nix::sys::statvfs::statvfs(&folder));
    let (status, message) = match tokio::time::timeout(CHECK_WITHIN, look).await {
        Ok(Ok(Ok(found))) => {
            let free = found.blocks_available() * found.fragment_size();
            let status = match free {
                _ if free < NO_DISK => CheckStatus::Fail,
                _ if free < LITTLE_DISK => CheckStatus::Warn,
                _ => CheckStatus::Pass,
            };
            (status, format!("{} MiB free at {shown}", free / (1024 * 1024)))
        }
        Ok(Ok(Err(error))) => (CheckStatus::Fail, format!("could not look at {shown}: {error}")),
        Ok(Err(_)) | Err(_) => {
            (CheckStatus::Fail, format!("Check timeout after {}ms", CHECK_WITHIN.as_millis()))
        }
    };
    check("Disk space", status, message, started)
}

fn check(name: &str, status: CheckStatus, message: String, started: Instant) -> Check {
    let duration_ms = started.elapsed().as_millis() as u64;
    Check { name: name.to_owned(), status, message, duration_ms }
}
