//! What the steps of a job wrote, page by page: in all attempts one after the other, or in one of them.

use axum::Json;
use axum::extract::{Path, State};
use kici_model::ids::{JobId, RunId};
use kici_protocol::http::runs::{LogLine, LogPage};
use kici_protocol::http::time::Timestamp;
use kici_protocol::http::untrusted::Untrusted;
use kici_store::view::job_of_run;
use serde::Deserialize;

use super::ApiError;
use super::input::Query;
use super::runs::own_run;
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::logs;

const LIMIT: u32 = 500;
const MOST: u32 = 2000;

pub(super) fn routes() -> Routes {
    Routes::new().get(
        "/api/v1/admin/runs/{id}/jobs/{job_id}/steps/{step}/logs",
        Access::Permission(Permission::RunRead),
        page,
    )
}

#[derive(Deserialize)]
struct PageQuery {
    cursor: Option<u64>,
    limit: Option<u32>,
    attempt: Option<i32>,
}

async fn page(
    State(app): State<App>,
    caller: Caller,
    Path((run, job, step)): Path<(String, String, String)>,
    Query(query): Query<PageQuery>,
) -> Result<Json<LogPage>, ApiError> {
    let run: RunId = run.parse().map_err(|_| ApiError::Malformed)?;
    let job: JobId = job.parse().map_err(|_| ApiError::Malformed)?;
    let step: i32 = step.parse().map_err(|_| ApiError::Malformed)?;
    let cursor = query.cursor.unwrap_or(0);
    let from = i64::try_from(cursor).map_err(|_| ApiError::Malformed)?;
    let limit = query.limit.unwrap_or(LIMIT).clamp(1, MOST) as usize;
    let mut conn = app.store.connection().await?;
    own_run(&mut conn, &caller, run.0).await?;
    let rows = job_of_run(&mut conn, run.0).await?;
    drop(conn);
    let Some(row) = rows.into_iter().find(|row| row.id == job.0) else {
        return Err(ApiError::NotFound(format!("Job {job} not found in run {run}")));
    };
    let ran = row.reused_from.unwrap_or(job.0);
    let found = match query.attempt {
        None => logs::read_all(&app, ran, row.attempt, step, from, limit).await,
        Some(attempt) if (1..=row.attempt).contains(&attempt) => {
            logs::read(&app, ran, attempt, step, from, limit).await
        }
        Some(attempt) => {
            let text = format!("Job {job} has no attempt {attempt}: it has {}", row.attempt);
            return Err(ApiError::NotFound(text));
        }
    };
    let found = found.map_err(|error| ApiError::Internal(Box::new(error)))?;
    let next = u64::try_from(found.next).unwrap_or(cursor);
    let total_lines = u64::try_from(found.total).unwrap_or(0);
    let lines = found.lines.iter().map(|line| {
        let text = serde_json::to_string(&shown(line)).expect("a struct of texts");
        Untrusted::new(text)
    });
    Ok(Json(LogPage {
        run_id: run,
        job_id: job,
        step_index: step,
        total_lines,
        lines: lines.collect(),
        next_cursor: (next > cursor && next < total_lines).then_some(next),
    }))
}

/// A line as the API shows it.
pub(super) fn shown(line: &logs::LogLine) -> LogLine {
    LogLine {
        ts: Timestamp::from_unix_micros(line.timestamp.saturating_mul(1000)).to_string(),
        level: "info".into(),
        msg: line.text.clone(),
        meta: line.begins.map(|attempt| serde_json::json!({ "attempt": attempt })),
    }
}
