//! Runs and their jobs; stopping one.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use kici_protocol::http::runs::{
    CancelRun, JobList, RunAnswer, RunCancelled, RunCount, RunList, StructuredRun,
};
use kici_protocol::http::time::Timestamp;
use kici_store::view::{RunFilter, RunView, job_last_place, run_count, run_get, run_page};
use kici_store::{PgConnection, Time};
use serde::Deserialize;
use uuid::Uuid;

use super::input::{Id, MaybeBody, Query};
use super::{ApiError, run_view, structured};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::runs::{CancelError, cancel};

/// Jobs of one answer, when a limit is asked for.
const MOST_JOBS: i32 = 1000;

const READ: Access = Access::Permission(Permission::RunRead);
/// Accepted in the filter: the states of a run, and words of earlier versions that find nothing.
const STATES: [&str; 9] = [
    "pending",
    "running",
    "success",
    "failed",
    "cancelled",
    "timed_out_stale",
    "skipped",
    "cancelling",
    "held",
];

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/admin/runs", READ, list)
        .get("/api/v1/admin/runs/{id}", READ, show)
        .get("/api/v1/admin/runs/{id}/jobs", READ, jobs)
        .get("/api/v1/admin/runs/{id}/structured", READ, structured_run)
        .post(
            "/api/v1/admin/runs/{id}/cancel",
            Access::Permission(Permission::RunCancel),
            cancel_run,
        )
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    status: Option<String>,
    workflow_name: Option<String>,
    repo: Option<String>,
    since: Option<Timestamp>,
    limit: Option<i64>,
    offset: Option<i64>,
    #[serde(default)]
    count: bool,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Response, ApiError> {
    let status = query.status.as_deref().map(states).transpose()?;
    let filter = RunFilter {
        states: status.clone().unwrap_or_default(),
        workflow_name: query.workflow_name.clone(),
        repo: query.repo.clone(),
        routing_key: caller.narrow(None)?,
        since: query.since.map(|at| Time::from_millis(at.unix_micros() / 1000)),
    };
    let mut conn = app.store.connection().await?;
    let total = run_count(&mut conn, &filter).await?;
    if query.count {
        let count = RunCount {
            total,
            since: query.since,
            status,
            workflow_name: query.workflow_name,
            repo: query.repo,
        };
        return Ok(Json(count).into_response());
    }
    let limit = query.limit.unwrap_or(20).clamp(1, 100);
    let offset = query.offset.unwrap_or(0).max(0);
    let rows = run_page(&mut conn, &filter, limit, offset).await?;
    let runs = rows.iter().map(run_view::run).collect();
    Ok(Json(RunList { runs, total, limit, offset }).into_response())
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<RunAnswer>, ApiError> {
    let mut conn = app.store.connection().await?;
    let row = own_run(&mut conn, &caller, id).await?;
    Ok(Json(RunAnswer { run: run_view::detail(&row) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobsQuery {
    #[serde(default)]
    include_steps: bool,
    /// Jobs of one answer; all of them without it.
    limit: Option<i32>,
    /// Where to go on.
    cursor: Option<i32>,
}

async fn jobs(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    Query(query): Query<JobsQuery>,
) -> Result<Json<JobList>, ApiError> {
    let mut conn = app.store.connection().await?;
    own_run(&mut conn, &caller, id).await?;
    let from = query.cursor.unwrap_or(0).max(0);
    let Some(limit) = query.limit else {
        let jobs = run_view::jobs(&mut conn, id, (from, i32::MAX), query.include_steps).await?;
        return Ok(Json(JobList { jobs, next_cursor: None }));
    };
    let before = from.saturating_add(limit.clamp(1, MOST_JOBS));
    let jobs = run_view::jobs(&mut conn, id, (from, before), query.include_steps).await?;
    let more = job_last_place(&mut conn, id).await?.is_some_and(|last| last >= before);
    Ok(Json(JobList { jobs, next_cursor: more.then_some(before) }))
}

async fn structured_run(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<StructuredRun>, ApiError> {
    let mut conn = app.store.connection().await?;
    let row = own_run(&mut conn, &caller, id).await?;
    Ok(Json(structured::of_run(&mut conn, &row).await?))
}

/// Asks a run to stop. One that has already ended is a conflict that says how it ended.
async fn cancel_run(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    MaybeBody(body): MaybeBody<CancelRun>,
) -> Result<Json<RunCancelled>, ApiError> {
    let mut conn = app.store.connection().await?;
    let run = run_get(&mut conn, id).await?.ok_or_else(not_found)?;
    caller.require_key(&run.routing_key)?;
    drop(conn);
    let reason = if body.force { "force cancelled via API" } else { "run cancelled via API" };
    match cancel(&app, id, body.force, caller.label(), reason).await {
        Ok(done) => {
            // One that had a failed job ends as failed; what the caller wants to know is that it ended.
            let status = if done.state.is_final() { "cancelled" } else { "cancelling" };
            Ok(Json(RunCancelled { status: status.to_owned(), cancelled_jobs: done.jobs as u64 }))
        }
        Err(CancelError::Unknown(_)) => Err(not_found()),
        Err(CancelError::Ended { state, .. }) => {
            Err(ApiError::conflict_in_state("Run already in terminal state", state))
        }
        Err(error @ CancelError::Store { .. }) => Err(ApiError::Internal(Box::new(error))),
    }
}

/// The run, if it is there and the caller may know of it.
pub(super) async fn own_run(
    conn: &mut PgConnection,
    caller: &Caller,
    id: Uuid,
) -> Result<RunView, ApiError> {
    let Some(run) = run_get(conn, id).await? else {
        return Err(ApiError::NotFound(format!("Run {id} not found")));
    };
    caller.require_key(&run.routing_key)?;
    Ok(run)
}

fn not_found() -> ApiError {
    ApiError::NotFound("Run not found".into())
}

fn states(csv: &str) -> Result<Vec<String>, ApiError> {
    let mut states = Vec::new();
    for state in csv.split(',').map(str::trim).filter(|state| !state.is_empty()) {
        if !STATES.contains(&state) {
            let allowed = STATES.join(", ");
            return Err(ApiError::BadRequest(format!(
                "Invalid status \"{state}\". Allowed: {allowed}"
            )));
        }
        states.push(state.to_owned());
    }
    Ok(states)
}
