//! The queue: jobs that wait for an agent or are with one.

use kici_model::ids::{JobId, RunId};
use kici_model::state::WaitReason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time::Timestamp;

/// One entry. Names follow the table of the reference.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueEntry {
    /// The job.
    pub id: JobId,
    /// Its run.
    pub run_id: RunId,
    /// The workflow.
    pub workflow_name: String,
    /// Expanded name of the job.
    pub job_name: String,
    /// `pending`, `dispatched` or `recovering`.
    pub status: String,
    /// The organisation.
    pub org_id: String,
    /// The source.
    pub routing_key: String,
    /// The kind of forge.
    pub provider: String,
    /// The repository.
    pub repo_identifier: String,
    /// Branch or tag.
    #[serde(rename = "ref")]
    pub git_ref: String,
    /// Commit.
    pub sha: String,
    /// When its run was made.
    pub created_at: Timestamp,
    /// Since when it is ready.
    pub ready_at: Option<Timestamp>,
    /// When it ends if no agent takes it.
    pub expires_at: Option<Timestamp>,
    /// Not offered before this time, after a dispatch that failed.
    pub not_before: Option<Timestamp>,
    /// The delivery.
    pub delivery_id: String,
    /// Its place among the jobs of its repository that want the same agents; none when it is with an agent.
    pub position: Option<i64>,
    /// Head start: 0, 1 (it was held) or 2 (a re-run).
    pub priority: i16,
    /// Dispatches so far.
    pub dispatch_attempts: i32,
    /// Those that failed.
    pub failed_attempts: i16,
    /// The agent that has it.
    pub agent_id: Option<String>,
    /// What it wants of an agent.
    pub selector: Value,
    /// Why it waits.
    pub wait_reason: Option<WaitReason>,
    /// The same in words.
    pub reason: Option<String>,
    /// No archive of the source is kept.
    pub source_tar_url: Option<String>,
    /// No archive of the packages is kept.
    pub deps_url: Option<String>,
    /// What is known of the job's configuration, as JSON in a text.
    pub job_config: String,
}

/// Answer of `GET /api/v1/admin/queue`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueList {
    /// What is with agents first, then by place.
    pub entries: Vec<QueueEntry>,
}

/// Body of `POST /api/v1/admin/queue/clear`: which waiting jobs are to end. Without any filter, all.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ClearQueue {
    /// Only of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// Only this job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// Only of this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// Only of this workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    /// Only jobs of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_name: Option<String>,
    /// Only jobs that have waited for longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waited_ms: Option<u64>,
    /// Kept with the jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only say which.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
}

/// Answer of `POST /api/v1/admin/queue/clear`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct QueueCleared {
    /// It was done.
    pub cleared: bool,
    /// Jobs that ended, or would.
    pub jobs: Vec<JobId>,
}
