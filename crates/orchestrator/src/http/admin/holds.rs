//! Held runs: listing them, and approving or rejecting one.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use kici_model::approval::{Person, outstanding};
use kici_model::ids::{HoldId, JobId, RunId};
use kici_model::lock::ApprovalClause;
use kici_model::state::HoldState;
use kici_protocol::http::error::ErrorDetail;
use kici_protocol::http::holds::{
    ApproveHold, HoldAnswer, HoldDecision, HoldList, HoldView, RejectHold,
};
use kici_store::hold_view::{
    self, DecisionView, HoldFilter, hold_decisions, hold_get, hold_of_run, hold_page,
    hold_pending_page,
};
use kici_store::{PgConnection, StoreError};
use serde::Deserialize;
use uuid::Uuid;

use super::input::{Id, MaybeBody, Query};
use super::runs::own_run;
use super::{ApiError, timestamp};
use crate::access::{Caller, Permission};
use crate::app::App;
use crate::holds::{DecideError, Decider, Decision, decide};
use crate::http::{Access, Routes};

const READ: Access = Access::Permission(Permission::RunRead);
const DECIDE: Access = Access::Permission(Permission::ContextUpdate);

/// Words of people are kept up to this length.
const LONGEST_COMMENT: usize = 2000;

/// Holds of one run that are shown.
const MOST_OF_RUN: i64 = 1000;

pub(super) fn routes() -> Routes {
    Routes::new()
        .get("/api/v1/admin/held-runs", READ, list)
        .get("/api/v1/admin/held-runs/{id}", READ, show)
        .post("/api/v1/admin/held-runs/{id}/approve", DECIDE, approve)
        .post("/api/v1/admin/held-runs/{id}/reject", DECIDE, reject)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ListQuery {
    org_id: Option<String>,
    status: Option<String>,
    run_id: Option<RunId>,
    limit: Option<i64>,
    cursor: Option<HoldId>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<HoldList>, ApiError> {
    let state: Option<HoldState> = match query.status.as_deref() {
        // Of one run, everything is of interest.
        None if query.run_id.is_some() => None,
        None => Some(HoldState::Pending),
        Some("all") => None,
        Some(word) => Some(word.parse().map_err(|_| unknown_status(word))?),
    };
    let mut conn = app.store.connection().await?;
    if let Some(run) = query.run_id {
        own_run(&mut conn, &caller, run.0).await?;
        let mut ids = hold_of_run(&mut conn, run.0, MOST_OF_RUN).await?;
        ids.sort();
        let mut held_runs = views(&mut conn, &ids, false).await?;
        held_runs.retain(|hold| state.is_none_or(|state| hold.status == state.as_str()));
        return Ok(Json(HoldList { held_runs, next_cursor: None }));
    }
    let filter = HoldFilter {
        org_id: query.org_id,
        routing_key: caller.narrow(None)?,
        state: state.map(|state| state.as_str().to_owned()),
        before: query.cursor.map(|id| id.0),
    };
    let limit = query.limit.unwrap_or(100).clamp(1, 500);
    let ids = match state {
        Some(HoldState::Pending) => hold_pending_page(&mut conn, &filter, limit).await?,
        _ => hold_page(&mut conn, &filter, limit).await?,
    };
    let full = i64::try_from(ids.len()).is_ok_and(|found| found == limit);
    let next_cursor = ids.last().copied().filter(|_| full).map(HoldId);
    let held_runs = views(&mut conn, &ids, false).await?;
    Ok(Json(HoldList { held_runs, next_cursor }))
}

async fn show(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<HoldAnswer>, ApiError> {
    let mut conn = app.store.connection().await?;
    own_hold(&mut conn, &caller, id).await?;
    answer(&mut conn, id).await
}

async fn approve(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    MaybeBody(body): MaybeBody<ApproveHold>,
) -> Result<Json<HoldAnswer>, ApiError> {
    decided(&app, &caller, id, Decision::Approve, ("comment", body.comment)).await
}

async fn reject(
    State(app): State<App>,
    caller: Caller,
    Id(id): Id,
    MaybeBody(body): MaybeBody<RejectHold>,
) -> Result<Json<HoldAnswer>, ApiError> {
    decided(&app, &caller, id, Decision::Reject, ("reason", body.reason)).await
}

async fn decided(
    app: &App,
    caller: &Caller,
    id: Uuid,
    decision: Decision,
    (key, words): (&str, Option<String>),
) -> Result<Json<HoldAnswer>, ApiError> {
    if words.as_ref().is_some_and(|words| words.chars().count() > LONGEST_COMMENT) {
        let message = format!("expected at most {LONGEST_COMMENT} characters");
        return Err(ApiError::Invalid(vec![ErrorDetail::at(key, message)]));
    }
    let words =
        words.map(|words| words.replace('\0', "\u{fffd}")).filter(|words| !words.is_empty());
    {
        let mut conn = app.store.connection().await?;
        own_hold(&mut conn, caller, id).await?;
    }
    let by = Decider { person: caller.person(), token: caller.token().0 };
    decide(app, id, decision, &by, words.as_deref()).await.map_err(refused)?;
    let mut conn = app.store.connection().await?;
    answer(&mut conn, id).await
}

/// Why a decision was not taken, for the API.
fn refused(error: DecideError) -> ApiError {
    match error {
        DecideError::Unknown(id) => not_found(id),
        DecideError::Early { .. } => {
            ApiError::conflict_in_state(&error.to_string(), HoldState::Planned.to_string())
        }
        DecideError::Over(hold) => {
            let when = hold.resolved_at.map(|at| format!(" at {}", timestamp(at)));
            let by = hold.resolved_by.as_ref().map(|by| format!(" by {by}"));
            let sentence = match hold.state.as_str() {
                "cancelled" => {
                    "What this hold kept has ended: there is nothing to decide any more".into()
                }
                state => format!(
                    "This hold was {state} already{}{}",
                    by.unwrap_or_default(),
                    when.unwrap_or_default()
                ),
            };
            ApiError::conflict_in_state(&sentence, hold.state)
        }
        DecideError::Unfit(unfit) => ApiError::Forbidden(unfit.to_string()),
        DecideError::Requirement { .. } | DecideError::Store(_) => {
            ApiError::Internal(Box::new(error))
        }
    }
}

async fn own_hold(conn: &mut PgConnection, caller: &Caller, id: Uuid) -> Result<(), ApiError> {
    let hold = hold_get(conn, &[id]).await?.pop().ok_or_else(|| not_found(id))?;
    Ok(caller.require_key(&hold.routing_key)?)
}

async fn answer(conn: &mut PgConnection, id: Uuid) -> Result<Json<HoldAnswer>, ApiError> {
    let held_run = views(conn, &[id], true).await?.pop().ok_or_else(|| not_found(id))?;
    Ok(Json(HoldAnswer { held_run }))
}

async fn views(
    conn: &mut PgConnection,
    ids: &[Uuid],
    with_payload: bool,
) -> Result<Vec<HoldView>, StoreError> {
    let rows = hold_get(conn, ids).await?;
    let mut decisions: HashMap<Uuid, Vec<DecisionView>> = HashMap::new();
    for decision in hold_decisions(conn, ids).await? {
        decisions.entry(decision.hold_id).or_default().push(decision);
    }
    Ok(rows
        .into_iter()
        .map(|row| {
            let decisions = decisions.remove(&row.id).unwrap_or_default();
            view(row, decisions, with_payload)
        })
        .collect())
}

fn view(row: hold_view::HoldView, decisions: Vec<DecisionView>, with_payload: bool) -> HoldView {
    let clauses: Vec<ApprovalClause> = serde_json::from_str(&row.clauses).unwrap_or_default();
    let given: Vec<Person> = decisions
        .iter()
        .filter(|decision| decision.approves)
        .map(|decision| Person { user: decision.who.clone(), teams: decision.teams.clone() })
        .collect();
    let open = matches!(row.state.as_str(), "planned" | "pending");
    HoldView {
        id: HoldId(row.id),
        org_id: row.org_id,
        run_id: RunId(row.run_id),
        job_id: row.job_id.map(JobId),
        environment_id: None,
        hold_type: row.kind,
        queue_type: row.queue,
        hold_scope: row.scope,
        step_index: row.step_index,
        trigger_source: row.source,
        reason: row.reason,
        approved_by: row.resolved_by.clone().filter(|_| row.state == "approved"),
        created_at: timestamp(row.created_at),
        expires_at: row.expires_at.map(timestamp),
        resolved_at: row.resolved_at.map(timestamp),
        outstanding: if open { outstanding(&clauses, &given) } else { Vec::new() },
        approval_requirement: clauses,
        requested_at: row.opened_at.map(timestamp),
        resolved_by: row.resolved_by,
        comment: row.comment,
        workflow_name: row.workflow_name,
        repo_identifier: row.repo,
        git_ref: row.git_ref,
        job_name: row.job_name,
        step_name: row.step_name,
        decisions: decisions.into_iter().map(decision).collect(),
        payload: row
            .payload
            .filter(|_| with_payload)
            .and_then(|payload| serde_json::from_str(&payload).ok()),
        status: row.state,
    }
}

fn decision(row: DecisionView) -> HoldDecision {
    HoldDecision {
        who: row.who,
        decision: if row.approves { "approve" } else { "reject" }.to_owned(),
        comment: row.comment,
        decided_at: timestamp(row.decided_at),
    }
}

fn not_found(id: Uuid) -> ApiError {
    ApiError::NotFound(format!("Held run {id} not found"))
}

fn unknown_status(word: &str) -> ApiError {
    let allowed: Vec<&str> = HoldState::ALL.iter().map(|state| state.as_str()).collect();
    ApiError::BadRequest(format!("Invalid status \"{word}\". Allowed: {}, all", allowed.join(", ")))
}
