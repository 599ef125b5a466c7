//! Turns an agent's reports about jobs and steps into what is stored. Pure.

use kici_model::state::{EndReason, TimeLimit};
use kici_protocol::agent::{JobState, JobStatus, StepState, StepStatus};
use kici_store::step::StepRow;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::jobs::{Ending, Finish};

/// Error texts are for people; a whole log in one of them is not.
const LONGEST_ERROR: usize = 16 * 1024;

/// A terminal report; `None` for all others.
pub(super) fn finish(run: Uuid, job: Uuid, attempt: i32, status: &JobStatus) -> Option<Finish> {
    let ending = match status.state {
        JobState::Success => Ending::Success,
        JobState::Failed => Ending::Failed,
        JobState::Cancelled => Ending::Cancelled,
        _ => return None,
    };
    let empty = Map::new();
    let data = status.data.as_ref().unwrap_or(&empty);
    let reason = match ending {
        Ending::Failed => Some(failure(data)),
        Ending::Cancelled => Some(EndReason::Cancelled {
            by: None,
            reason: text(data.get("error")).or_else(|| text(data.get("reason"))),
        }),
        _ => None,
    };
    Some(Finish {
        run,
        job,
        attempt: Some(attempt),
        ending,
        error: reason
            .as_ref()
            .filter(|_| ending == Ending::Failed)
            .map(|reason| clean(&reason.to_string())),
        reason,
        // Stored as sent; an empty object says that there are none.
        outputs: data.get("outputs").filter(|outputs| outputs.is_object()).map(Value::to_string),
        evaluated: ["dynamicJobs", "initResult"].iter().find_map(|key| data.get(*key)).cloned(),
        hosts: None,
        dropped: dropped(status, data),
    })
}

/// Generated siblings that were not generated again; some agents name them in `data`.
fn dropped(status: &JobStatus, data: &Map<String, Value>) -> Vec<String> {
    let in_data = || serde_json::from_value(data.get("droppedJobs")?.clone()).ok();
    status.dropped_jobs.clone().or_else(in_data).unwrap_or_default()
}

/// Why a job failed: its own error (checkout, load, limit), else the first step that failed.
fn failure(data: &Map<String, Value>) -> EndReason {
    if let Some(message) = text(data.get("error")) {
        if let Some(limit) = message.strip_prefix("job_timeout: job exceeded its timeout of ")
            && let Some(after_ms) = limit.strip_suffix("ms").and_then(|ms| ms.parse().ok())
        {
            return EndReason::TimedOut { limit: TimeLimit::JobTimeout, after_ms };
        }
        return EndReason::JobError { message };
    }
    let failed = data
        .get("stepResults")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .find(|step| step.get("status").and_then(Value::as_str) == Some("failed"));
    match failed {
        Some(step) => EndReason::StepFailed {
            step: text(step.get("name")).unwrap_or_default(),
            message: text(step.get("error")).unwrap_or_else(|| "failed".into()),
        },
        None => {
            EndReason::JobError { message: "the agent reported a failure without a reason".into() }
        }
    }
}

/// A report about a step as a row.
pub(super) fn step(job: Uuid, attempt: i32, status: &StepStatus) -> StepRow {
    let mut data = status.data.clone().unwrap_or_default();
    let error = data.remove("error");
    let duration = data.remove("durationMs");
    data.remove("step_type");
    let of_error = |key: &str| error.as_ref().and_then(|error| error.get(key));
    StepRow {
        job_id: job,
        attempt,
        index: i32::try_from(status.step_index).unwrap_or(i32::MAX),
        name: clean(&status.step_name),
        step_type: clean(status.kind().unwrap_or("step")),
        state: match status.state {
            StepState::Pending => "pending",
            StepState::Running => "running",
            StepState::Success => "success",
            StepState::Failed => "failed",
            StepState::Skipped => "skipped",
            StepState::Cancelled => "cancelled",
        }
        .to_owned(),
        exit_code: of_error("exitCode")
            .and_then(Value::as_i64)
            .and_then(|code| i32::try_from(code).ok()),
        signal: text(of_error("signal")),
        error: text(error.as_ref()),
        duration_ms: duration.as_ref().and_then(Value::as_f64).map(|ms| ms.round() as i64),
        group_id: status.group_id.as_deref().map(clean),
        secrets: status.secrets_accessed.as_ref().map(|names| {
            Value::from(names.iter().map(|name| clean(name)).collect::<Vec<_>>()).to_string()
        }),
        data: (!data.is_empty()).then(|| Value::Object(data).to_string()),
    }
}

/// A text, or the `message` of an error object.
fn text(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::Null => None,
        Value::String(text) => Some(clean(text)),
        Value::Object(map) => match map.get("message") {
            Some(Value::String(message)) => Some(clean(message)),
            _ => Some(clean(&Value::Object(map.clone()).to_string())),
        },
        other => Some(clean(&other.to_string())),
    }
}

/// Bounded, and without NUL, which PostgreSQL does not take.
fn clean(text: &str) -> String {
    let cut = text.floor_char_boundary(LONGEST_ERROR);
    let mut clean = text[..cut].replace('\0', "\u{fffd}");
    if cut < text.len() {
        clean.push('…');
    }
    clean
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn ended(state: &str, data: Value) -> Finish {
        let status: JobStatus = serde_json::from_value(json!({
            "messageId": "m", "runId": "r", "jobId": "j", "state": state, "timestamp": 1, "data": data,
        }))
        .unwrap();
        finish(Uuid::nil(), Uuid::nil(), 1, &status).unwrap()
    }

    #[test]
    fn a_failed_step_is_the_reason_of_its_job() {
        let end = ended(
            "failed",
            json!({"stepResults": [{"name": "a", "status": "success"},
                                   {"name": "b", "status": "failed", "error": "exit code 2"}]}),
        );
        assert_eq!(end.error.as_deref(), Some("step 'b' failed: exit code 2"));
    }

    #[test]
    fn an_error_of_the_job_comes_first_and_a_limit_is_data() {
        let end = ended("failed", json!({"error": "could not clone", "stepResults": []}));
        assert_eq!(end.reason, Some(EndReason::JobError { message: "could not clone".into() }));
        let end =
            ended("failed", json!({"error": "job_timeout: job exceeded its timeout of 5000ms"}));
        assert_eq!(
            end.reason,
            Some(EndReason::TimedOut { limit: TimeLimit::JobTimeout, after_ms: 5000 })
        );
        let end = ended("failed", json!({}));
        assert!(end.error.unwrap().contains("without a reason"));
    }

    #[test]
    fn an_error_object_of_a_step_is_taken_apart() {
        let status: StepStatus = serde_json::from_value(json!({
            "messageId": "m", "runId": "r", "jobId": "j", "stepIndex": 2, "stepName": "lint\u{0}", "state": "failed",
            "timestamp": 1, "secretsAccessed": ["A"],
            "data": {"durationMs": 12.6, "step_type": "hook:cleanup", "drift": true,
                     "error": {"message": "no", "exitCode": 3, "signal": "SIGTERM"}},
        }))
        .unwrap();
        let row = step(Uuid::nil(), 1, &status);
        assert_eq!(
            (row.exit_code, row.signal.as_deref(), row.error.as_deref()),
            (Some(3), Some("SIGTERM"), Some("no"))
        );
        assert_eq!((row.step_type.as_str(), row.duration_ms), ("hook:cleanup", Some(13)));
        assert_eq!(row.data.as_deref(), Some("{\"drift\":true}"));
        assert_eq!(row.name, "lint\u{fffd}");
        assert_eq!(row.secrets.as_deref(), Some("[\"A\"]"));
    }
}
