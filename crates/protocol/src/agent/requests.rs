//! Questions of a running job to the orchestrator, and the answers.
//!
//! An answer's `requestId` is the question's `messageId` (or its `requestId` for `event.emit` and
//! `agent.api.request`).

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lenient;

/// `job.concurrency.report`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyReport {
    /// Id of this message.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// The evaluated group.
    pub group: String,
}

/// `job.concurrency.ack`; after a `wait` one more comes with a new `requestId`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyAck {
    /// The report's `messageId`, or a new id after a wait.
    pub request_id: String,
    /// What to do.
    pub action: ConcurrencyAction,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<String>,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<String>,
}

/// Answer to a concurrency report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConcurrencyAction {
    /// Run the steps.
    Proceed,
    /// Stay parked.
    Wait,
    /// End as cancelled.
    Cancel,
}

/// `event.emit`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEmit {
    /// The job.
    pub job_id: String,
    /// Correlates the answer.
    pub request_id: String,
    /// The event's name.
    pub event_name: String,
    /// Its payload.
    pub payload: Map<String, Value>,
    /// Where it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EventTarget>,
}

/// Which repositories an event is for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTarget {
    /// `owner/name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repos: Option<Vec<String>>,
}

/// `event.emit.response`: one of both is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventEmitResponse {
    /// The question.
    pub request_id: String,
    /// Accepted as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivery_id: Option<String>,
    /// Refused because.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// `agent.api.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentApiRequest {
    /// Correlates the answer.
    pub request_id: String,
    /// `inventory.query`, …
    pub method: String,
    /// Absent means `{}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub params: Option<Value>,
}

/// `agent.api.response`: one of both is set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentApiResponse {
    /// The question.
    pub request_id: String,
    /// Result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Refused because.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// What a build job uploads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UploadCacheType {
    /// The `.kici` folder.
    Source,
    /// `node_modules`.
    Deps,
}

/// `cache.upload.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheUploadRequest {
    /// Id of this message.
    pub message_id: String,
    /// The job.
    pub job_id: String,
    /// Which archive.
    pub cache_type: UploadCacheType,
    /// Key of a source archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// Key of a dependency archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockfile_hash: Option<String>,
    /// Operating system.
    pub platform: String,
    /// Architecture.
    pub arch: String,
}

/// `cache.upload.complete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheUploadComplete {
    /// The same fields as the request.
    #[serde(flatten)]
    pub upload: CacheUploadRequest,
    /// SHA-256 of a dependency archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deps_hash: Option<String>,
}

/// `cache.upload.response` and `provenance.upload.response`; an empty URL means unavailable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UploadUrl {
    /// The question.
    pub request_id: String,
    /// Where to PUT.
    pub upload_url: String,
}

/// `cache.user.restore.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheRestoreRequest {
    /// Id of this message.
    pub message_id: String,
    /// The job.
    pub job_id: String,
    /// Exact key.
    pub key: String,
    /// Prefixes to fall back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_keys: Option<Vec<String>>,
}

/// `cache.user.restore.response`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheRestoreResponse {
    /// The question.
    pub request_id: String,
    /// Found.
    pub hit: bool,
    /// Key that was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_key: Option<String>,
    /// Where to GET.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub download_url: Option<String>,
    /// SHA-256 of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tar_hash: Option<String>,
}

/// `cache.user.save.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSaveRequest {
    /// Id of this message.
    pub message_id: String,
    /// The job.
    pub job_id: String,
    /// The key; existing keys are never replaced.
    pub key: String,
}

/// `cache.user.save.response`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSaveResponse {
    /// The question.
    pub request_id: String,
    /// The key exists, or there is no storage.
    pub skip: bool,
    /// Where to PUT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upload_url: Option<String>,
}

/// `cache.user.save.complete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSaveComplete {
    /// Id of this message.
    pub message_id: String,
    /// The job.
    pub job_id: String,
    /// The key.
    pub key: String,
    /// SHA-256 of the archive.
    pub tar_hash: String,
    /// Its size.
    #[serde(deserialize_with = "lenient::whole")]
    pub size_bytes: u64,
}

/// `provenance.upload.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenanceUploadRequest {
    /// Id of this message.
    pub message_id: String,
    /// The job.
    pub job_id: String,
    /// Lower-case hex.
    pub subject_digest: String,
}

/// `provenance.upload.complete`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProvenanceUploadComplete {
    /// Id of this message.
    pub message_id: String,
    /// The job.
    pub job_id: String,
    /// What was attested.
    pub subject_name: String,
    /// Lower-case hex.
    pub subject_digest: String,
    /// Media type of the bundle.
    pub media_type: String,
}

/// `step.approval-request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepApprovalRequest {
    /// Id of this message; the same on a resend.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// The step that waits.
    #[serde(deserialize_with = "lenient::whole")]
    pub step_index: i64,
    /// Its name.
    pub step_name: String,
    /// All of them have to approve.
    pub clauses: Vec<ApprovalClause>,
    /// Shown to approvers.
    pub reason: String,
    /// When it expires.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub timeout_seconds: Option<u64>,
    /// `{summaryMarkdown, drift}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
}

/// Who may approve; unknown keys are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ApprovalClause {
    /// A member of a team.
    Team(String),
    /// One person.
    User(String),
}

/// `step.approval-resolved`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepApprovalResolved {
    /// The question.
    pub request_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// The step.
    #[serde(deserialize_with = "lenient::whole")]
    pub step_index: i64,
    /// The verdict.
    pub outcome: ApprovalOutcome,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Verdict of an approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalOutcome {
    /// Run the step.
    Approved,
    /// Fail the step.
    Rejected,
    /// Nobody answered in time.
    Expired,
}
