//! What one job says to the orchestrator, in the words of the agent protocol.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kici_exec::spec::{JobResult, JobStatus as Ended, StepError, StepStatus as StepEnd};
use kici_protocol::agent::secret_outputs::{Envelope, Sealer, SecretOutputError};
use kici_protocol::agent::{
    ConcurrencyKind, FromAgent, JobAck, JobContext, JobContextBody, JobHeartbeat, JobRef,
    JobReject, JobState, JobStatus, RejectReason, RunEvent, StepState, StepStatus, limits,
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::evaluate;
use crate::now;

/// One error text.
const LONGEST_ERROR: usize = 64 * 1024;
/// What a step reports besides its log.
const LONGEST_DATA: usize = 512 * 1024;

/// See the module's description.
#[derive(Debug, Clone)]
pub(crate) struct Voice {
    job: JobRef,
    started: Instant,
}

/// A step in its messages.
#[derive(Debug)]
pub(crate) struct StepName<'a> {
    pub(crate) index: i64,
    pub(crate) name: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) group: Option<&'a str>,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) struct StepOutcome {
    pub(crate) status: StepEnd,
    pub(crate) duration_ms: u64,
    pub(crate) error: Option<StepError>,
    pub(crate) secrets_accessed: Vec<String>,
    pub(crate) log_bytes: u64,
    pub(crate) data: Map<String, Value>,
}

impl Voice {
    /// Speaks for a job that starts now.
    pub(crate) fn new(job: JobRef) -> Self {
        Self { job, started: Instant::now() }
    }

    /// The job.
    pub(crate) fn job(&self) -> &JobRef {
        &self.job
    }

    /// Since the job was taken.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    pub(crate) fn ack(&self) -> FromAgent {
        FromAgent::JobAck(JobAck {
            message_id: id(),
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            timestamp: now::epoch_ms(),
        })
    }

    pub(crate) fn reject(&self, reason: RejectReason) -> FromAgent {
        FromAgent::JobReject(JobReject {
            message_id: id(),
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            reason,
            timestamp: now::epoch_ms(),
        })
    }

    pub(crate) fn heartbeat(&self) -> FromAgent {
        FromAgent::JobHeartbeat(JobHeartbeat {
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            timestamp: now::epoch_ms(),
        })
    }

    pub(crate) fn context(&self, context: JobContextBody) -> FromAgent {
        FromAgent::JobContext(JobContext {
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            context,
        })
    }

    pub(crate) fn execution_started(&self) -> FromAgent {
        self.run_event("agent.execution.start", None, None)
    }

    pub(crate) fn execution_ended(&self, state: JobState) -> FromAgent {
        let metadata = Map::from_iter([("status".to_owned(), json!(state))]);
        let took = i64::try_from(self.elapsed().as_millis()).unwrap_or(i64::MAX);
        self.run_event("agent.execution.end", Some(took), Some(metadata))
    }

    pub(crate) fn teardown(&self) -> FromAgent {
        self.run_event("agent.teardown", None, None)
    }

    fn run_event(
        &self,
        kind: &str,
        duration_ms: Option<i64>,
        metadata: Option<Map<String, Value>>,
    ) -> FromAgent {
        FromAgent::RunEvent(RunEvent {
            run_id: self.job.run_id.clone(),
            event_type: kind.to_owned(),
            timestamp_ms: now::epoch_ms(),
            source_service: "agent".to_owned(),
            job_id: Some(self.job.job_id.clone()),
            duration_ms,
            metadata,
            message_id: Some(id()),
        })
    }

    /// A state without more to say: `running`, `cancelling`.
    pub(crate) fn status(&self, state: JobState) -> FromAgent {
        FromAgent::JobStatus(self.plain_status(state))
    }

    /// The end of a job that has no result of its own.
    pub(crate) fn failed(&self, state: JobState, error: &str) -> FromAgent {
        let took = u64::try_from(self.elapsed().as_millis()).unwrap_or(u64::MAX);
        let data = json!({ "durationMs": took, "stepResults": [], "error": error });
        FromAgent::JobStatus(JobStatus { data: object(data), ..self.plain_status(state) })
    }

    /// The same with fields for programs, which old peers ignore.
    pub(crate) fn failed_because(&self, error: &str, cause: Value) -> FromAgent {
        let mut status = self.failed(JobState::Failed, error);
        if let FromAgent::JobStatus(JobStatus { data: Some(data), .. }) = &mut status {
            data.insert("cause".to_owned(), cause);
        }
        status
    }

    /// The end of a job, as its process told it.
    pub(crate) fn ended(
        &self,
        result: &JobResult,
        secret_outputs: Option<BTreeMap<String, Envelope>>,
    ) -> FromAgent {
        let mut data = Map::new();
        data.insert("durationMs".to_owned(), result.duration_ms.into());
        if !result.outputs.is_empty() {
            data.insert("outputs".to_owned(), Value::Object(result.outputs.clone()));
        }
        let mut steps = result.steps.clone();
        for error in steps.iter_mut().filter_map(|step| step.error.as_mut()) {
            cut(error);
        }
        data.insert("stepResults".to_owned(), json!(steps));
        if let Some(error) = &result.error {
            let mut error = error.clone();
            cut(&mut error);
            data.insert("error".to_owned(), error.into());
        }
        if let Some(evaluated) = &result.evaluated {
            data.extend(evaluate::told(evaluated).map(|(key, value)| (key.to_owned(), value)));
        }
        if let Some(cause) = &result.cause {
            data.insert("cause".to_owned(), json!({ "kind": cause }));
        }
        let dropped = &result.dropped_jobs;
        let status = FromAgent::JobStatus(JobStatus {
            data: Some(data),
            dropped_jobs: (!dropped.is_empty()).then(|| dropped.clone()),
            secret_outputs,
            ..self.plain_status(state_of(result.status))
        });
        let bytes = status.to_text().len();
        if bytes <= limits::AGENT_MAX_FRAME {
            return status;
        }
        // An orchestrator would close the connection, again after every reconnect.
        let error = format!(
            "the result of the job has {bytes} bytes, at most {} can be sent; return less from its steps",
            limits::AGENT_MAX_FRAME
        );
        self.failed(JobState::Failed, &error)
    }

    fn plain_status(&self, state: JobState) -> JobStatus {
        JobStatus {
            message_id: id(),
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            state,
            timestamp: now::epoch_ms(),
            data: None,
            dropped_jobs: None,
            secret_outputs: None,
        }
    }

    pub(crate) fn step_started(&self, step: &StepName<'_>, pending: bool) -> FromAgent {
        let state = if pending { StepState::Pending } else { StepState::Running };
        let mut data = Map::new();
        name_kind(&mut data, step.kind);
        let data = (!data.is_empty()).then_some(data);
        FromAgent::StepStatus(Box::new(StepStatus { data, ..self.step(step, state) }))
    }

    pub(crate) fn step_ended(&self, step: &StepName<'_>, outcome: StepOutcome) -> FromAgent {
        let state = match outcome.status {
            StepEnd::Success => StepState::Success,
            StepEnd::Failed => StepState::Failed,
            StepEnd::Skipped => StepState::Skipped,
            StepEnd::Cancelled => StepState::Cancelled,
        };
        let mut data = outcome.data;
        if json!(data).to_string().len() > LONGEST_DATA {
            data = Map::from_iter([("truncated".to_owned(), true.into())]);
        }
        data.insert("durationMs".to_owned(), outcome.duration_ms.into());
        if let Some(mut error) = outcome.error {
            cut(&mut error.message);
            data.insert("error".to_owned(), json!(error));
        }
        name_kind(&mut data, step.kind);
        FromAgent::StepStatus(Box::new(StepStatus {
            data: Some(data),
            secrets_accessed: Some(outcome.secrets_accessed),
            log_bytes_streamed: (state != StepState::Cancelled).then_some(outcome.log_bytes),
            ..self.step(step, state)
        }))
    }

    fn step(&self, step: &StepName<'_>, state: StepState) -> StepStatus {
        StepStatus {
            message_id: id(),
            run_id: self.job.run_id.clone(),
            job_id: self.job.job_id.clone(),
            step_index: step.index,
            step_name: step.name.to_owned(),
            state,
            timestamp: now::epoch_ms(),
            data: None,
            step_type: None,
            secrets_accessed: None,
            concurrency_kind: step.group.map(|_| ConcurrencyKind::ParallelChild),
            group_id: step.group.map(str::to_owned),
            log_bytes_streamed: None,
        }
    }
}

/// Cuts an over-long error text; its beginning says most.
fn cut(text: &mut String) {
    if text.len() > LONGEST_ERROR {
        text.truncate(text.floor_char_boundary(LONGEST_ERROR));
        text.push_str(" […]");
    }
}

/// Peers read the type from `data`; that of a plain step is not said.
fn name_kind(data: &mut Map<String, Value>, kind: &str) {
    if kind != "step" {
        data.insert("step_type".to_owned(), kind.into());
    }
}

/// The wire state of a result.
pub(crate) fn state_of(status: Ended) -> JobState {
    match status {
        Ended::Success => JobState::Success,
        Ended::Failed => JobState::Failed,
        Ended::Cancelled => JobState::Cancelled,
    }
}

/// Seals the secret outputs of a successful job. Without a key of the run they cannot travel.
pub(crate) fn seal(
    outputs: &BTreeMap<String, String>,
    run_public_key: Option<&str>,
) -> Result<Option<BTreeMap<String, Envelope>>, SecretOutputError> {
    let Some(key) = run_public_key.filter(|_| !outputs.is_empty()) else { return Ok(None) };
    let sealer = Sealer::new(key)?;
    Ok(Some(outputs.iter().map(|(name, value)| (name.clone(), sealer.seal(value))).collect()))
}

/// A new message id.
pub(crate) fn id() -> String {
    Uuid::new_v4().to_string()
}

fn object(value: Value) -> Option<Map<String, Value>> {
    match value {
        Value::Object(map) => Some(map),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kici_exec::spec::StepSummary;

    use super::*;

    fn voice() -> Voice {
        Voice::new(JobRef { run_id: "r".into(), job_id: "j".into() })
    }

    fn result(output: usize, error: usize) -> JobResult {
        JobResult {
            status: Ended::Success,
            error: None,
            cause: None,
            outputs: Map::from_iter([("s".to_owned(), "x".repeat(output).into())]),
            secret_outputs: BTreeMap::new(),
            steps: vec![StepSummary {
                name: "s".into(),
                status: StepEnd::Success,
                duration_ms: 1,
                error: Some("ü".repeat(error)),
            }],
            dropped_jobs: Vec::new(),
            evaluated: None,
            duration_ms: 1,
        }
    }

    #[test]
    fn a_result_that_no_orchestrator_takes_fails_the_job_with_a_reason() {
        let FromAgent::JobStatus(fits) = voice().ended(&result(900_000, 100_000), None) else {
            panic!("not a status")
        };
        assert_eq!(fits.state, JobState::Success);
        let text = voice().ended(&result(2_000_000, 1), None).to_text();
        assert!(text.contains("at most 1048576 can be sent"), "{text}");
        assert!(text.contains("\"failed\""));
    }
}
