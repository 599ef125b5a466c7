//! Stored runs, jobs and steps as the API shows them.

use std::collections::HashMap;

use kici_model::ids::{JobId, RunId};
use kici_model::state::{EndReason, JobState, WaitReason};
use kici_protocol::http::runs::{AttemptView, JobView, NeedView, RunDetail, RunView, StepView};
use kici_store::attempt::{self, attempt_of_run};
use kici_store::view::{self, ALL, Places, job_part, need_part, step_earlier, step_part};
use kici_store::{PgConnection, StoreError, Time};
use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::timestamp;
use crate::runs::SelectorBody;

/// A run as lists show it.
pub(super) fn run(row: &view::RunView) -> RunView {
    let started = !matches!(row.state.as_str(), "pending" | "held");
    RunView {
        run_id: RunId(row.id),
        workflow_name: row.workflow_name.clone(),
        status: row.state.clone(),
        provider: row.provider.clone(),
        repo_identifier: filled(&row.repo),
        git_ref: filled(&row.git_ref),
        sha: filled(&row.sha),
        started_at: started.then(|| timestamp(row.created_at)),
        completed_at: row.finished_at.map(timestamp),
        duration_ms: row.finished_at.map(|end| end.millis_since(row.created_at)),
        parent_run_id: row.parent_run_id.map(RunId),
        triggered_by: row.triggered_by.clone(),
        failure_reason: row.failure_reason.clone(),
        environment: row.environment.clone(),
        trust_tier: row.trust_tier.clone(),
        created_at: timestamp(row.created_at),
    }
}

/// A run with what only its own page shows.
pub(super) fn detail(row: &view::RunView) -> RunDetail {
    RunDetail {
        run: run(row),
        delivery_id: filled(&row.delivery_id),
        is_test_run: row.is_test,
        original_run_id: row.original_run_id.map(RunId),
        rerun_scope: row.rerun_scope.clone(),
        cancelled_by: row.cancelled_by.clone(),
        lock_file_source: row.lock_file_source.clone(),
        contributor_username: row.contributor.clone(),
    }
}

/// A job with what is not for people: whose log to read.
pub(super) struct Shown {
    pub(super) view: JobView,
    pub(super) attempt: i32,
    /// The orchestrator that its agent is or was connected to.
    pub(super) owner: i32,
}

/// Jobs of a run, with their steps if asked for.
pub(super) async fn jobs(
    conn: &mut PgConnection,
    run: Uuid,
    places: Places,
    with_steps: bool,
) -> Result<Vec<JobView>, StoreError> {
    let jobs = part(conn, run, places, with_steps).await?;
    Ok(jobs.into_iter().map(|job| with_needs(job.view)).collect())
}

/// All jobs of a run with what a follower has to know. What they need is told without its state: that is an event of
/// its own, and would make a thousand of it where a thousand jobs need one.
pub(super) async fn shown(
    conn: &mut PgConnection,
    run: Uuid,
    with_steps: bool,
) -> Result<Vec<Shown>, StoreError> {
    let mut jobs = part(conn, run, ALL, with_steps).await?;
    for need in jobs.iter_mut().flat_map(|job| job.view.needs.iter_mut().flatten()) {
        need.status = None;
    }
    Ok(jobs)
}

async fn part(
    conn: &mut PgConnection,
    run: Uuid,
    places: Places,
    with_steps: bool,
) -> Result<Vec<Shown>, StoreError> {
    let rows = job_part(conn, run, places).await?;
    let mut needs: HashMap<Uuid, Vec<NeedView>> = HashMap::new();
    for need in need_part(conn, run, places).await? {
        needs.entry(need.job_id).or_default().push(NeedView {
            upstream_name: need.name,
            run_on: need.run_on,
            status: Some(need.state),
        });
    }
    let mut steps: HashMap<Uuid, Vec<StepView>> = HashMap::new();
    if with_steps {
        for row in step_part(conn, run, places).await? {
            steps.entry(row.job_id).or_default().push(step(row));
        }
    }
    let mut attempts: HashMap<Uuid, Vec<AttemptView>> = HashMap::new();
    for row in attempt_of_run(conn, run).await? {
        attempts.entry(row.job_id).or_default().push(attempt(row));
    }
    if with_steps && !attempts.is_empty() {
        for row in step_earlier(conn, run).await? {
            let of = attempts.get_mut(&row.job_id).into_iter().flatten();
            if let Some(of) = of.rev().find(|attempt| attempt.attempt == row.attempt) {
                of.steps.push(step(row));
            }
        }
    }
    let jobs = rows.into_iter().map(|row| {
        let id = row.id;
        let steps = with_steps.then(|| steps.remove(&id).unwrap_or_default());
        let attempts = attempts.remove(&id).unwrap_or_default();
        let (attempt, owner) = (row.attempt, row.owner);
        let view = JobView { attempts, ..job(row, needs.remove(&id), steps) };
        Shown { view, attempt, owner }
    });
    Ok(jobs.collect())
}

/// A job that waits for others, with those of them that have not ended.
fn with_needs(mut job: JobView) -> JobView {
    if !matches!(job.wait_reason, Some(WaitReason::Needs { .. })) {
        return job;
    }
    let open = job.needs.iter().flatten().filter_map(|need| {
        let state: JobState = need.status.as_deref()?.parse().ok()?;
        (!state.is_final()).then_some((need.upstream_name.as_str(), state))
    });
    let mut open = open.peekable();
    // All may have ended a moment ago.
    if open.peek().is_some() {
        let reason = WaitReason::open_needs(open);
        job.wait_message = Some(reason.to_string());
        job.wait_reason = Some(reason);
    }
    job
}

/// Why a job waits: what is stored, or that it is with an agent which has not begun.
fn waits(row: &view::JobView) -> Option<WaitReason> {
    if row.finished_at.is_some() {
        return None;
    }
    json(row.wait_reason.as_deref()).or_else(|| {
        let agent = row.agent_id.clone().filter(|_| row.state == JobState::Queued.as_str())?;
        Some(WaitReason::Offered { agent })
    })
}

fn job(row: view::JobView, needs: Option<Vec<NeedView>>, steps: Option<Vec<StepView>>) -> JobView {
    let labels = json::<SelectorBody>(Some(&row.selector))
        .map(|selector| selector.runs_on.iter().map(ToString::to_string).collect());
    let wait_reason = waits(&row);
    JobView {
        job_id: JobId(row.id),
        job_name: row.name,
        status: row.state,
        matrix_values: json(row.matrix.as_deref()),
        agent_id: row.agent_id,
        duration_ms: lasted(row.started_at, row.finished_at),
        started_at: row.started_at.map(timestamp),
        completed_at: row.finished_at.map(timestamp),
        error_message: row.error_message,
        runs_on_labels: labels.unwrap_or_default(),
        created_at: timestamp(row.created_at),
        needs,
        steps,
        wait_message: wait_reason.as_ref().map(ToString::to_string),
        wait_reason,
        end_reason: json(row.end_reason.as_deref()),
        attempts: Vec::new(),
        reused_from: row.reused_from.map(JobId),
        base_job_name: Some(row.base_name),
        ready_at: row.ready_at.map(timestamp),
    }
}

fn attempt(row: attempt::AttemptView) -> AttemptView {
    let reason: Option<EndReason> = json(Some(&row.reason));
    AttemptView {
        attempt: row.attempt,
        agent_id: row.agent_id,
        started_at: row.started_at.map(timestamp),
        ended_at: timestamp(row.ended_at),
        message: reason.as_ref().map(ToString::to_string).unwrap_or_default(),
        reason,
        steps: Vec::new(),
    }
}

fn step(row: view::StepView) -> StepView {
    StepView {
        step_index: row.index,
        step_name: row.name,
        status: row.state,
        duration_ms: row.duration_ms.or_else(|| lasted(row.started_at, row.finished_at)),
        started_at: row.started_at.map(timestamp),
        completed_at: row.finished_at.map(timestamp),
        exit_code: row.exit_code,
        error_message: row.error,
        step_type: row.step_type,
    }
}

fn lasted(start: Option<Time>, end: Option<Time>) -> Option<i64> {
    Some(end?.millis_since(start?))
}

fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

/// Stored JSON of a later version is left out rather than failing the whole answer.
pub(super) fn json<T: DeserializeOwned>(stored: Option<&str>) -> Option<T> {
    serde_json::from_str(stored?).ok()
}
