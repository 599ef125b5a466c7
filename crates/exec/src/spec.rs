//! What one job is made of, and what it says while it runs: the only interface between `exec` and the
//! programs that drive it (`kici-agent` in a child process, `kici run local` in its own).

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Everything needed to run one job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobSpec {
    /// Ids for logs and for `KICI_RUN_ID`.
    pub run_id: String,
    /// The job's id.
    pub job_id: String,
    /// Expanded name, e.g. `test (18, linux)`.
    pub job_name: String,
    /// Name in the workflow file (`baseJobName ?? name`).
    pub base_job_name: String,
    /// The workflow's name.
    pub workflow_name: String,
    /// Entry file relative to the repository root.
    pub source_file: String,
    /// `#default`, `#name`, …; informative, the workflow is found by name.
    pub source_export: String,
    /// Expected content hash; absent = no drift check.
    #[serde(default)]
    pub content_hash: Option<String>,
    /// Asset files covered by the hash.
    #[serde(default)]
    pub resolved_hash_files: Vec<String>,
    /// Where the code comes from.
    pub checkout: Checkout,
    /// A fresh directory for this job, made and removed by the caller.
    pub workspace: PathBuf,
    /// A fresh directory for the job's own files, made and removed by the caller; absent = the system's
    /// temporary one. Steps have a path in it in their environment, by which they can be recognised.
    #[serde(default)]
    pub temp: Option<PathBuf>,
    /// Kept between jobs of one agent: git mirrors. Absent = no mirror.
    #[serde(default)]
    pub mirrors: Option<PathBuf>,
    /// `auto`, `embedded` or `node` (`KICI_JS_ENGINE`).
    #[serde(default)]
    pub engine: EngineWish,
    /// `installed` lets `@kici-dev/sdk` resolve from node_modules (`KICI_SDK`).
    #[serde(default)]
    pub installed_sdk: bool,
    /// Environment store variables, then the job's `env`; later maps win.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Secrets by name.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// The event envelope.
    #[serde(default)]
    pub event: Value,
    /// `github`, `local`, …
    #[serde(default)]
    pub provider: Option<String>,
    /// First resolved environment name.
    #[serde(default)]
    pub environment: Option<String>,
    /// Matrix combination.
    #[serde(default)]
    pub matrix: Option<Value>,
    /// The name of the host, for a child of a host fan-out.
    #[serde(default)]
    pub host: Option<String>,
    /// `{host, labels, platform, arch}` of the agent, for the same.
    #[serde(default)]
    pub agent: Option<Value>,
    /// `{index, total, first, last}` of a fan-out with more than one child.
    #[serde(default)]
    pub fanout: Option<Value>,
    /// Inputs of a dispatch, coerced.
    #[serde(default)]
    pub dispatch_inputs: Value,
    /// Declared needs (upstream names), absent when the job has none.
    #[serde(default)]
    pub needs: Option<Value>,
    /// Outputs of upstream jobs: name → step → outputs.
    #[serde(default)]
    pub upstream_outputs: BTreeMap<String, Value>,
    /// Final states of upstream jobs (expanded names).
    #[serde(default)]
    pub upstream_statuses: BTreeMap<String, String>,
    /// Members of the dynamic groups among the needs.
    #[serde(default)]
    pub upstream_groups: BTreeMap<String, Vec<String>>,
    /// Set for a generated job, and for one that runs a generator.
    #[serde(default)]
    pub dynamic_source: Option<Value>,
    /// Nothing is run; something is computed that the run needs to know.
    #[serde(default)]
    pub evaluate: Option<Evaluate>,
    /// `apply`, `check` or `check-fail-on-drift`.
    #[serde(default)]
    pub check_mode: Option<String>,
    /// A run of an uncommitted working tree.
    #[serde(default)]
    pub is_test_run: bool,
    /// Whole-job limit, ms.
    #[serde(default)]
    pub timeout_ms: Option<u64>,
    /// Default limit of a step, ms.
    #[serde(default)]
    pub step_timeout_ms: Option<u64>,
    /// How long the job may wait for its run's concurrency group, ms (default an hour).
    #[serde(default)]
    pub concurrency_wait_ms: Option<u64>,
    /// TERM to KILL, ms (default 30 000).
    #[serde(default)]
    pub grace_ms: Option<u64>,
    /// Log cap of one step, bytes (default 10 MiB).
    #[serde(default)]
    pub max_log_bytes: Option<u64>,
}

/// What a job computes that has no steps of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "kind")]
pub enum Evaluate {
    /// Values of the static job `base_job_name`.
    Fields {
        /// Its environments.
        environment: bool,
        /// Its variables.
        env: bool,
        /// Its concurrency group.
        concurrency_group: bool,
        /// Its matrix.
        matrix: bool,
        /// For each function, ms.
        limit_ms: u64,
    },
    /// The jobs that the generator at `dynamic_source.index` gives.
    Jobs {
        /// For the generator, ms.
        limit_ms: u64,
    },
}

/// Where the workspace's files come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind")]
pub enum Checkout {
    /// Clone this commit into the workspace.
    Git {
        /// Clone URL.
        url: String,
        /// Branch or tag name; may be empty.
        reference: String,
        /// Commit; empty or `HEAD` = tip of `reference`, unverified.
        sha: String,
        /// Credential.
        #[serde(default)]
        auth: Option<GitAuth>,
    },
    /// Run in an existing directory (`kici run local`).
    InPlace {
        /// The directory.
        dir: PathBuf,
    },
    /// `checkout: false`: the workspace stays empty but for `.kici`.
    None {
        /// Where `.kici` is read from.
        url: String,
        /// Commit.
        sha: String,
        /// Credential.
        #[serde(default)]
        auth: Option<GitAuth>,
    },
}

/// A clone credential (`sourceAuth` of a dispatch).
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitAuth {
    /// `basic` or `ssh`.
    pub kind: String,
    /// User name.
    #[serde(default)]
    pub user: Option<String>,
    /// Password, token or private key.
    pub secret: String,
    /// `accept-new` or `pinned`.
    #[serde(default)]
    pub ssh_host_key_policy: Option<String>,
    /// Known hosts for `pinned`.
    #[serde(default)]
    pub ssh_known_hosts_pem: Option<String>,
}

impl std::fmt::Debug for GitAuth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GitAuth").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Which engine is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineWish {
    /// Embedded unless the workflow needs Node.
    #[default]
    Auto,
    /// Embedded or fail.
    Embedded,
    /// Node or fail.
    Node,
}

/// What a job says while it runs, in order. Text is already masked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum JobEvent {
    /// Lines of one stream; `step` −1 is the job's own log.
    #[serde(rename_all = "camelCase")]
    Log {
        /// Step index; −1 for the job.
        step: i64,
        /// Lines without their newline.
        lines: Vec<String>,
    },
    /// The repository's files are there.
    #[serde(rename_all = "camelCase")]
    CheckedOut {
        /// Wall clock, ms.
        duration_ms: u64,
    },
    /// A step, hook, init action or cache action began.
    #[serde(rename_all = "camelCase")]
    StepStarted {
        /// Index (see `docs/design/steps.md` for the ranges of pseudo-steps).
        step: i64,
        /// Name shown.
        name: String,
        /// `step`, `hook:cleanup`, `init:0`, `cache:restore`, …
        step_type: String,
        /// `pending` children of a parallel group say so first.
        #[serde(default)]
        pending: bool,
        /// Parallel group, e.g. `g0`.
        #[serde(default)]
        group_id: Option<String>,
    },
    /// It ended.
    #[serde(rename_all = "camelCase")]
    StepEnded {
        /// Same index.
        step: i64,
        /// Same name.
        name: String,
        /// Same type.
        step_type: String,
        /// How it ended.
        status: StepStatus,
        /// Wall clock, ms.
        duration_ms: u64,
        /// Why it failed.
        #[serde(default)]
        error: Option<StepError>,
        /// Names of secrets that it read.
        #[serde(default)]
        secrets_accessed: Vec<String>,
        /// Bytes of log that it wrote (after masking, before the cap).
        #[serde(default)]
        log_bytes: u64,
        /// Further wire fields: `checkOutcome`, `driftSummary`, `drift`, cache keys.
        #[serde(default)]
        data: serde_json::Map<String, Value>,
        /// Parallel group.
        #[serde(default)]
        group_id: Option<String>,
    },
    /// A request that the caller answers with [`JobOrder::Answer`] (`emit`, `api`, caches,
    /// concurrency report, approvals).
    #[serde(rename_all = "camelCase")]
    Request {
        /// Chosen by the job.
        id: u64,
        /// What is wanted.
        method: String,
        /// Its parameters.
        params: Value,
    },
    /// The last event.
    Ended(JobResult),
}

/// Orders to a running job.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub enum JobOrder {
    /// Stop: gracefully, or at once with `force`. A second order counts as `force`.
    Cancel {
        /// Kill now, no hooks.
        force: bool,
        /// Shown to hooks as `outcome.reason`.
        reason: String,
    },
    /// Answer to a [`JobEvent::Request`].
    Answer {
        /// The request's id.
        id: u64,
        /// Result, or the error's text.
        result: Result<Value, String>,
    },
}

/// How a step ended (wire values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepStatus {
    /// Done.
    Success,
    /// Failed.
    Failed,
    /// A rule did not pass, or it was in sync.
    Skipped,
    /// Stopped by cancel or by a failing sibling.
    Cancelled,
}

/// Why a step failed (`step.status` `data.error`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepError {
    /// What the author sees.
    pub message: String,
    /// Exit code of the failed command.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// Signal that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    /// `out-of-memory` or `disk-full`, if it was that. Unknown to v0.1.24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// How a job ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobResult {
    /// `success`, `failed` or `cancelled`.
    pub status: JobStatus,
    /// Why it failed, always set for `failed`.
    #[serde(default)]
    pub error: Option<String>,
    /// The `cause` of the step that failed it.
    #[serde(default)]
    pub cause: Option<String>,
    /// Step name → outputs, only steps with outputs.
    #[serde(default)]
    pub outputs: serde_json::Map<String, Value>,
    /// Secret outputs in clear; the agent encrypts them.
    #[serde(default)]
    pub secret_outputs: BTreeMap<String, String>,
    /// One entry for each real step that was reached.
    #[serde(default)]
    pub steps: Vec<StepSummary>,
    /// Generated siblings that re-evaluation dropped.
    #[serde(default)]
    pub dropped_jobs: Vec<String>,
    /// What an [`Evaluate`] gave: an object of values, or the list of jobs in the shape of the lock file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluated: Option<Value>,
    /// Wall clock, ms.
    pub duration_ms: u64,
}

/// A job's final state as the runner sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobStatus {
    /// All steps passed.
    Success,
    /// A step, hook, checkout or load failed.
    Failed,
    /// Stopped by order.
    Cancelled,
}

/// `stepResults[]` of the terminal status.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepSummary {
    /// Step name.
    pub name: String,
    /// How it ended.
    pub status: StepStatus,
    /// Wall clock, ms.
    pub duration_ms: u64,
    /// Error text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}
