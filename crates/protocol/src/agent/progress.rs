//! How a dispatched job is taken, goes on and ends, and the order to stop it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::secret_outputs::Envelope;
use super::{ConcurrencyKind, JobState, RejectReason, StepState, lenient};

/// `job.ack`: the agent takes the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobAck {
    /// Id of this message.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
}

/// `job.reject`: the agent does not take the job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobReject {
    /// Id of this message.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// Why.
    pub reason: RejectReason,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
}

/// `job.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Id of this message; the same on a resend.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// New state.
    pub state: JobState,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
    /// `durationMs`, `stepResults`, `outputs`, `error`, or the result of a special job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// Generated siblings that re-evaluation dropped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped_jobs: Option<Vec<String>>,
    /// Encrypted outputs, with `success` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_outputs: Option<BTreeMap<String, Envelope>>,
}

/// `step.status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepStatus {
    /// Id of this message; the same on a resend.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// Opaque; pseudo-steps are keyed by (index, name).
    #[serde(deserialize_with = "lenient::whole")]
    pub step_index: i64,
    /// Name shown.
    pub step_name: String,
    /// New state.
    pub state: StepState,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
    /// `durationMs`, `error`, `step_type`, check results, cache keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
    /// Never set by v0.1.24, which puts it into `data`; read `data.step_type` first.
    #[serde(default, rename = "step_type", skip_serializing_if = "Option::is_none")]
    pub step_type: Option<String>,
    /// Names of secrets that it read; `[]` when none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secrets_accessed: Option<Vec<String>>,
    /// Place in a parallel group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_kind: Option<ConcurrencyKind>,
    /// Parallel group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// Bytes of log of the step.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub log_bytes_streamed: Option<u64>,
}

impl StepStatus {
    /// The step's type: `data.step_type`, else the top-level field.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        let in_data = self.data.as_ref().and_then(|data| data.get("step_type")?.as_str());
        in_data.or(self.step_type.as_deref())
    }
}

/// `job.heartbeat`: the job is still alive.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobHeartbeat {
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
}

/// `job.context`: where and with what the job runs. Informative.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobContext {
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// The context.
    pub context: JobContextBody,
}

/// `job.context.context`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobContextBody {
    /// Environment of the steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env_vars: Option<Vec<EnvVar>>,
    /// The machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<JobRuntime>,
    /// `bare-metal`, `container`, `firecracker`, `build`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_type: Option<String>,
    /// The agent's labels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub labels: Option<Vec<String>>,
    /// The workspace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_directory: Option<String>,
    /// The branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
}

/// One variable of `envVars`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    pub name: String,
    /// Its value, or a mask.
    pub value: String,
    /// Where it comes from.
    pub category: EnvCategory,
}

/// Where a variable comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvCategory {
    /// KiCI.
    System,
    /// The workflow.
    User,
    /// The agent's own environment.
    Inherited,
    /// A secret.
    Secret,
}

/// The machine of a job.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobRuntime {
    /// Node version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node_version: Option<String>,
    /// Operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Architecture.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
}

/// `run.event`: a point on the run's timeline. `jobId` and `durationMs` are null when absent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunEvent {
    /// The run.
    pub run_id: String,
    /// `agent.execution.start`, …
    pub event_type: String,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp_ms: i64,
    /// `agent`.
    pub source_service: String,
    /// The job, if it is about one.
    #[serde(default)]
    pub job_id: Option<String>,
    /// How long it took.
    #[serde(default, deserialize_with = "lenient::maybe_whole")]
    pub duration_ms: Option<i64>,
    /// More.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<Map<String, Value>>,
    /// Id of this message, only towards an orchestrator with [`super::RegisterAck::ACK`], which
    /// acknowledges it like the other facts of a job. v0.1.24 has none here and ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
}

/// `job.cancel`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobCancel {
    /// Id of this message.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// Why, in words.
    pub reason: String,
    /// Kill now; sent only when true.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// `error`: something the agent sent was refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkError {
    /// `INVALID_MESSAGE`, …
    pub code: String,
    /// In words.
    pub message: String,
}

impl LinkError {
    /// The code for a message that is not valid.
    pub const INVALID_MESSAGE: &'static str = "INVALID_MESSAGE";
}
