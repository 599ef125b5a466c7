//! A run for programs: flat, and with everything that user code wrote marked as such.

use std::collections::HashMap;

use kici_model::ids::JobId;
use kici_model::state::EndReason;
use kici_protocol::http::runs::{FailureCategory, StructuredJob, StructuredRun, StructuredStep};
use kici_protocol::http::untrusted::Untrusted;
use kici_store::view::{self, job_of_run, step_of_run};
use kici_store::{PgConnection, StoreError};
use serde_json::{Map, Value};
use uuid::Uuid;

use super::run_view::{self, json};

/// The summary of a run.
pub(super) async fn of_run(
    conn: &mut PgConnection,
    run: &view::RunView,
) -> Result<StructuredRun, StoreError> {
    let jobs = job_of_run(conn, run.id).await?;
    let mut steps: HashMap<Uuid, Vec<StructuredStep>> = HashMap::new();
    for row in step_of_run(conn, run.id).await? {
        steps.entry(row.job_id).or_default().push(step(row));
    }
    let failure_category = category(run, &jobs);
    let jobs = jobs.into_iter().map(|row| {
        let steps = steps.remove(&row.id).unwrap_or_default();
        job(row, steps)
    });
    Ok(StructuredRun { run: run_view::detail(run), failure_category, jobs: jobs.collect() })
}

/// What kind of thing made the run fail: that of the first job that says so.
fn category(run: &view::RunView, jobs: &[view::JobView]) -> Option<FailureCategory> {
    match run.state.as_str() {
        "cancelled" => return Some(FailureCategory::Cancelled),
        "failed" => {}
        _ => return None,
    }
    if run.init_failure.is_some() || jobs.iter().any(|job| job.init_failure.is_some()) {
        return Some(FailureCategory::InitFailure);
    }
    let of_job = |job: &view::JobView| {
        if job.state == "timed_out_stale" {
            return Some(FailureCategory::TimedOut);
        }
        if job.state != "failed" {
            return None;
        }
        Some(match json::<EndReason>(job.end_reason.as_deref())? {
            EndReason::StepFailed { .. } | EndReason::JobError { .. } => {
                FailureCategory::StepFailed
            }
            EndReason::TimedOut { .. } | EndReason::NoHeartbeat { .. } => FailureCategory::TimedOut,
            EndReason::AgentLost { .. }
            | EndReason::AgentRestarted { .. }
            | EndReason::NotTaken { .. }
            | EndReason::NeverStarted
            | EndReason::QueueExpired { .. }
            | EndReason::QueueFull { .. }
            | EndReason::SchedulerInvariant { .. } => FailureCategory::Infra,
            EndReason::Init { .. }
            | EndReason::HostUnreachable { .. }
            | EndReason::Cycle { .. }
            | EndReason::Drift => FailureCategory::InitFailure,
            EndReason::Cancelled { .. } | EndReason::Superseded { .. } | EndReason::FailFast => {
                FailureCategory::Cancelled
            }
            EndReason::UpstreamUnmet { .. }
            | EndReason::NotRepeated
            | EndReason::ApprovalRejected { .. }
            | EndReason::ApprovalExpired { .. } => FailureCategory::Unknown,
        })
    };
    Some(jobs.iter().find_map(of_job).unwrap_or(FailureCategory::Unknown))
}

fn job(row: view::JobView, steps: Vec<StructuredStep>) -> StructuredJob {
    StructuredJob {
        job_id: JobId(row.id),
        job_name: row.name,
        status: row.state,
        duration_ms: row
            .started_at
            .zip(row.finished_at)
            .map(|(start, end)| end.millis_since(start)),
        error_message: row.error_message.map(Untrusted::new),
        outputs: outputs(json(row.outputs.as_deref())),
        // Values given out as secrets are not stored with the others.
        secret_output_keys: Vec::new(),
        steps,
    }
}

/// `{step: {key: value}}` as `{"step.key": marked value}`.
fn outputs(stored: Option<Map<String, Value>>) -> Map<String, Value> {
    let mut flat = Map::new();
    for (step, values) in stored.unwrap_or_default() {
        match values {
            Value::Object(values) => {
                flat.extend(
                    values.into_iter().map(|(key, value)| (format!("{step}.{key}"), marked(value))),
                );
            }
            other => {
                flat.insert(step, marked(other));
            }
        }
    }
    flat
}

/// Strings come from user code, wherever they are; numbers and flags cannot be mistaken for words.
fn marked(value: Value) -> Value {
    match value {
        Value::String(text) => serde_json::json!({ "untrusted": true, "value": text }),
        Value::Array(items) => items.into_iter().map(marked).collect(),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (key, marked(value))).collect())
        }
        plain => plain,
    }
}

fn step(row: view::StepView) -> StructuredStep {
    StructuredStep {
        step_index: row.index,
        step_name: row.name,
        status: row.state,
        duration_ms: row.duration_ms,
        exit_code: row.exit_code,
        error_message: row.error.map(Untrusted::new),
    }
}
