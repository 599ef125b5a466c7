//! Runs, their jobs and steps, and what the steps wrote.

use kici_model::ids::{JobId, RunId};
use kici_model::state::{EndReason, WaitReason};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time::Timestamp;
use super::untrusted::Untrusted;

/// A run as lists show it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// The run.
    pub run_id: RunId,
    /// The workflow that it runs.
    pub workflow_name: String,
    /// Where it stands.
    pub status: String,
    /// The kind of forge that the event came from.
    pub provider: String,
    /// The repository.
    pub repo_identifier: Option<String>,
    /// The branch or tag.
    #[serde(rename = "ref")]
    pub git_ref: Option<String>,
    /// The commit.
    pub sha: Option<String>,
    /// When its first job started.
    pub started_at: Option<Timestamp>,
    /// When its last job ended.
    pub completed_at: Option<Timestamp>,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// The run that this one repeats.
    pub parent_run_id: Option<RunId>,
    /// The event that started it.
    pub triggered_by: Option<String>,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// The environment that it deploys to.
    pub environment: Option<String>,
    /// How far the sender is trusted.
    pub trust_tier: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A run with what only its own page shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunDetail {
    /// What lists show.
    #[serde(flatten)]
    pub run: RunView,
    /// The delivery that it came from.
    pub delivery_id: Option<String>,
    /// Whether it is a trial that counts for nothing.
    pub is_test_run: bool,
    /// The first run of a chain of repeats.
    pub original_run_id: Option<RunId>,
    /// Which part of the run before it was repeated: `all`, `failed` or `job:<name>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_scope: Option<String>,
    /// Who stopped it.
    pub cancelled_by: Option<String>,
    /// Whose lock file it follows: `head` or `base`.
    pub lock_file_source: Option<String>,
    /// Who wrote the change.
    pub contributor_username: Option<String>,
}

/// Answer of `GET /api/v1/admin/runs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunList {
    /// Newest first.
    pub runs: Vec<RunView>,
    /// How many there are in all.
    pub total: i64,
    /// How many were asked for.
    pub limit: i64,
    /// How many were skipped.
    pub offset: i64,
}

/// Answer of `GET /api/v1/admin/runs?count=true`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunCount {
    /// How many runs fit the filter.
    pub total: i64,
    /// The filter: made later than this.
    pub since: Option<Timestamp>,
    /// The filter: one of these states.
    pub status: Option<Vec<String>>,
    /// The filter: of this workflow.
    pub workflow_name: Option<String>,
    /// The filter: of this repository.
    pub repo: Option<String>,
}

/// Answer of `GET /api/v1/admin/runs/{runId}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunAnswer {
    /// The run.
    pub run: RunDetail,
}

/// A job of a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobView {
    /// The job.
    pub job_id: JobId,
    /// Its name in the workflow.
    pub job_name: String,
    /// Where it stands.
    pub status: String,
    /// What its matrix chose for it.
    pub matrix_values: Option<Value>,
    /// The agent that has, or had, it.
    pub agent_id: Option<String>,
    /// When an agent started it.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// Why it failed, or why it was skipped.
    pub error_message: Option<String>,
    /// The labels that an agent must offer to get it.
    pub runs_on_labels: Vec<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// The jobs that it waits for.
    pub needs: Option<Vec<NeedView>>,
    /// Its steps, when asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<StepView>>,
    /// Why it waits, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_reason: Option<WaitReason>,
    /// The same in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_message: Option<String>,
    /// Why it ended other than by success, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_reason: Option<EndReason>,
    /// Its attempts that did not end with a result of their agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptView>,
    /// The job of an earlier run whose result this one has without having run. Its steps and log are shown here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reused_from: Option<JobId>,
    /// Its name in the workflow: that of its fan-out, if it is a child of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_job_name: Option<String>,
    /// Since when nothing but an agent was missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_at: Option<Timestamp>,
}

/// An attempt of a job that was refused, given up or lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// Its number.
    pub attempt: i32,
    /// The agent that had the job.
    pub agent_id: String,
    /// When the agent said that it runs.
    pub started_at: Option<Timestamp>,
    /// When it was given up.
    pub ended_at: Timestamp,
    /// Why, as data.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<EndReason>,
    /// The same in words.
    pub message: String,
    /// The steps that it came to, if steps were asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepView>,
}

/// A job that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NeedView {
    /// Its name.
    pub upstream_name: String,
    /// The ends of it that let the waiting job start.
    pub run_on: Vec<String>,
    /// Where it stands; followers are told of it by the job itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

/// A step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepView {
    /// Its position in the job, from 0.
    pub step_index: i32,
    /// Its name.
    pub step_name: String,
    /// Where it stands.
    pub status: String,
    /// When it started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub completed_at: Option<Timestamp>,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// What its process ended with.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// `step`, or the kind of hook that it is.
    pub step_type: String,
}

/// Answer of `GET /api/v1/admin/runs/{runId}/jobs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobList {
    /// In the order of the workflow.
    pub jobs: Vec<JobView>,
    /// Where to go on, when only some were asked for and there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<i32>,
}

/// Answer of `GET /api/v1/admin/runs/{runId}/jobs/{jobId}/steps/{i}/logs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogPage {
    /// The run.
    pub run_id: RunId,
    /// The job.
    pub job_id: JobId,
    /// The step's position in the job.
    pub step_index: i32,
    /// How many lines are stored by now.
    pub total_lines: u64,
    /// The lines from the cursor on; each value is one stored line, the JSON text of a [`LogLine`]. Unless one attempt was
    /// asked for, these are the lines of all attempts; one with `meta.attempt` says that another begins.
    pub lines: Vec<Untrusted<String>>,
    /// Where to go on; `null` at the end of what is stored.
    pub next_cursor: Option<u64>,
}

/// One stored line of a step's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLine {
    /// When it was written.
    pub ts: String,
    /// `info`, `warn`, `error`, `debug`, `stdout` or `stderr`.
    pub level: String,
    /// The text.
    pub msg: String,
    /// Further fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

/// Body of `POST /api/v1/admin/runs/{runId}/cancel`; may be absent.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct CancelRun {
    /// Does not wait for steps to end in order.
    #[serde(default)]
    pub force: bool,
}

/// Answer to [`CancelRun`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunCancelled {
    /// `cancelling`, or `cancelled` when nothing had to be waited for.
    pub status: String,
    /// How many jobs this stopped, or told to stop.
    pub cancelled_jobs: u64,
}

/// Body of `POST /api/v1/admin/runs/{runId}/rerun`; may be absent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RerunRun {
    /// Only what did not succeed, with what needs it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub failed_only: bool,
    /// Only this job, with what needs it. The name of a fan-out means all its children.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// The same key makes the same run, however often it is sent. Without one, the same request within five
    /// seconds does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
}

/// Answer to [`RerunRun`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunRepeated {
    /// The new run.
    pub run_id: RunId,
    /// The first run of the chain.
    pub original_run_id: RunId,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// What kind of thing made a run fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCategory {
    /// It never got as far as a step.
    InitFailure,
    /// Something took longer than it may.
    TimedOut,
    /// A step failed.
    StepFailed,
    /// Someone stopped it.
    Cancelled,
    /// An agent or the service failed, not the workflow.
    Infra,
    /// None of the others.
    Unknown,
}

/// Answer of `GET /api/v1/admin/runs/{runId}/structured`: a run for programs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StructuredRun {
    /// The run.
    #[serde(flatten)]
    pub run: RunDetail,
    /// What kind of thing made it fail.
    pub failure_category: Option<FailureCategory>,
    /// Its jobs.
    pub jobs: Vec<StructuredJob>,
}

/// A job in a [`StructuredRun`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StructuredJob {
    /// The job.
    pub job_id: JobId,
    /// Its name.
    pub job_name: String,
    /// Where it stands.
    pub status: String,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// Why it failed.
    pub error_message: Option<Untrusted<String>>,
    /// What its steps gave out, as `step.key`.
    pub outputs: serde_json::Map<String, Value>,
    /// The names, without values, of what its steps gave out as secrets.
    pub secret_output_keys: Vec<String>,
    /// Its steps.
    pub steps: Vec<StructuredStep>,
}

/// A step in a [`StructuredRun`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StructuredStep {
    /// Its position in the job.
    pub step_index: i32,
    /// Its name.
    pub step_name: String,
    /// Where it stands.
    pub status: String,
    /// From start to end.
    pub duration_ms: Option<i64>,
    /// What its process ended with.
    pub exit_code: Option<i32>,
    /// Why it failed.
    pub error_message: Option<Untrusted<String>>,
}
