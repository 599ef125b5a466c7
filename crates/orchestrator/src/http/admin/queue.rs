//! The queue: what waits for an agent, and taking it out.

use axum::Json;
use axum::extract::State;
use kici_model::ids::{JobId, RunId};
use kici_model::state::{EndReason, WaitReason};
use kici_protocol::http::queue::{ClearQueue, QueueCleared, QueueEntry, QueueList};
use kici_protocol::http::time::{Timestamp, ago};
use kici_store::queue_view::{self, QueueFilter, queue_page};
use kici_store::{Store, Time};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::input::{MaybeBody, Query};
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::http::{Access, Routes};
use crate::jobs::apply::announce;
use crate::jobs::{Ending, Finish, finish};

/// Entries of one answer.
const MOST: i64 = 1000;

/// Jobs of one transaction.
const BATCH: usize = 200;

pub(super) fn routes() -> Routes {
    let may = Access::Permission;
    Routes::new()
        .get("/api/v1/admin/queue", may(Permission::SecretRead), list)
        .get("/api/v1/admin/queue/{id}", may(Permission::SecretRead), show)
        .post("/api/v1/admin/queue/clear", may(Permission::ContextDelete), clear)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    status: Option<String>,
    status_not_in: Option<String>,
    job_name: Option<String>,
    job_name_prefix: Option<String>,
    job_name_not_like: Option<String>,
    workflow_name: Option<String>,
    repo: Option<String>,
    run_id: Option<Uuid>,
    created_after: Option<Timestamp>,
    limit: Option<i64>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<QueueList>, ApiError> {
    let not = query.status_not_in.unwrap_or_default();
    let filter = QueueFilter {
        status: query.status,
        status_not: not.split(',').map(str::trim).map(str::to_owned).collect(),
        job_name: query.job_name,
        job_name_prefix: query.job_name_prefix,
        job_name_not_like: query.job_name_not_like,
        workflow_name: query.workflow_name,
        repo: query.repo,
        routing_key: caller.narrow(None)?,
        run: query.run_id,
        created_after: query.created_after.map(|at| Time::from_millis(at.unix_micros() / 1000)),
        ..QueueFilter::default()
    };
    let mut conn = app.store.connection().await?;
    let rows = queue_page(&mut conn, &filter, query.limit.unwrap_or(100).clamp(1, MOST)).await?;
    Ok(Json(QueueList { entries: rows.into_iter().map(|row| view(&app, row)).collect() }))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    axum::extract::Path(id): axum::extract::Path<String>,
) -> Result<Json<QueueEntry>, ApiError> {
    let missing = || ApiError::NotFound(format!("queue: entry not found (id={id})"));
    let job: Uuid = id.parse().map_err(|_| missing())?;
    let filter = QueueFilter { job: Some(job), ..QueueFilter::default() };
    let mut conn = app.store.connection().await?;
    let row = queue_page(&mut conn, &filter, 1).await?.pop().ok_or_else(missing)?;
    caller.require_key(&row.routing_key)?;
    Ok(Json(view(&app, row)))
}

/// Ends waiting jobs, with a reason that is kept.
async fn clear(
    State(app): State<App>,
    caller: Caller,
    MaybeBody(body): MaybeBody<ClearQueue>,
) -> Result<Json<QueueCleared>, ApiError> {
    let filter = QueueFilter {
        status: Some("pending".into()),
        run: body.run_id.map(|id| id.0),
        job: body.job_id.map(|id| id.0),
        repo: body.repo,
        workflow_name: body.workflow_name,
        job_name: body.job_name,
        waited_secs: body.waited_ms.map(|ms| ms as f64 / 1000.0),
        ..QueueFilter::default()
    };
    let rows = {
        let mut conn = app.store.connection().await?;
        queue_page(&mut conn, &filter, i64::MAX).await?
    };
    let by = caller.token().to_string();
    let said = body.reason.map(|said| format!(": {said}")).unwrap_or_default();
    let reason = EndReason::Cancelled {
        by: Some(by),
        reason: Some(format!("removed from the queue{said}")),
    };
    let mut jobs = Vec::new();
    for rows in rows.chunks(BATCH) {
        if body.dry_run {
            jobs.extend(rows.iter().map(|row| JobId(row.id)));
            continue;
        }
        // The attempt that was seen: one that an agent has taken since stays.
        let ends: Vec<Finish> = rows
            .iter()
            .map(|row| Finish {
                attempt: Some(row.attempt),
                ..Finish::because(row.run_id, row.id, Ending::Cancelled, reason.clone())
            })
            .collect();
        let mut tx = app.store.begin().await?;
        let settled = finish(&mut tx, &ends, &[]).await?;
        Store::commit(tx).await?;
        announce(&app, &settled);
        let ended =
            |row: &&queue_view::QueueEntry| settled.jobs.iter().any(|(id, _)| *id == row.id);
        jobs.extend(rows.iter().filter(ended).map(|row| JobId(row.id)));
    }
    app.dispatch.wake();
    tracing::info!(jobs = jobs.len(), dry_run = body.dry_run, by = %caller.token(), "the queue was cleared");
    Ok(Json(QueueCleared { cleared: !body.dry_run, jobs }))
}

fn view(app: &App, row: queue_view::QueueEntry) -> QueueEntry {
    let offered =
        || Some(WaitReason::Offered { agent: row.agent_id.clone().filter(|_| !row.started)? });
    let stored = row.reason.as_deref().and_then(|text| serde_json::from_str(text).ok());
    let reason: Option<WaitReason> = stored.or_else(offered);
    let now = Timestamp::now();
    let in_words = |reason: &WaitReason| reason.told(&|at| ago(at, now)).to_string();
    let selector: Value = serde_json::from_str(&row.selector).unwrap_or(Value::Null);
    let waits = row.status == "pending";
    let expires_at =
        row.ready_at.filter(|_| waits).zip(app.config.queue.timeout).map(|(at, limit)| {
            let limit = i64::try_from(limit.as_micros()).unwrap_or(i64::MAX);
            Timestamp::from_unix_micros(at.micros().saturating_add(limit))
        });
    QueueEntry {
        id: JobId(row.id),
        run_id: RunId(row.run_id),
        job_config:
            json!({"name": row.name, "workflowName": row.workflow_name, "runsOn": selector})
                .to_string(),
        workflow_name: row.workflow_name,
        job_name: row.name,
        status: row.status,
        org_id: row.org_id,
        routing_key: row.routing_key,
        provider: row.provider,
        repo_identifier: row.repo,
        git_ref: row.git_ref,
        sha: row.sha,
        created_at: timestamp(row.created_at),
        ready_at: row.ready_at.map(timestamp),
        expires_at,
        not_before: (waits && row.failures > 0).then(|| timestamp(row.not_before)),
        delivery_id: row.delivery_id,
        position: row.position,
        priority: row.priority,
        dispatch_attempts: row.attempt,
        failed_attempts: row.failures,
        agent_id: row.agent_id,
        selector,
        reason: reason.as_ref().map(in_words),
        wait_reason: reason,
        source_tar_url: None,
        deps_url: None,
    }
}
