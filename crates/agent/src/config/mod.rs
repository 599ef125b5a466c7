//! What an operator can set: the environment, read once at start.
//!
//! `read` turns variables into [`Config`] and reports every mistake at once; `names` refuses variables
//! that nobody knows. The reference page is `docs/operator/agent.md`.

mod names;
mod read;
#[cfg(test)]
mod tests;
mod vars;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use kici_exec::spec::EngineWish;
use kici_protocol::agent::{PropertyValue, Secret};

pub use read::ConfigError;

/// Everything an agent is told by its environment.
#[derive(Debug, Clone)]
pub struct Config {
    /// `KICI_ORCHESTRATOR_URL`.
    pub orchestrator_url: String,
    /// `KICI_AGENT_ID`; without it the agent makes one up and keeps it in its state folder.
    pub agent_id: Option<String>,
    /// `KICI_AGENT_TOKEN`.
    pub token: Option<Secret>,
    /// `KICI_LABELS`.
    pub labels: Vec<String>,
    /// `KICI_PROPERTIES`.
    pub properties: BTreeMap<String, PropertyValue>,
    /// `KICI_ROLES`.
    pub roles: Vec<Role>,
    /// `KICI_PORT`; 0 takes a free one.
    pub port: u16,
    /// `KICI_LOG_LEVEL`.
    pub log_level: LogLevel,
    /// `KICI_LOG_FORMAT`.
    pub log_format: LogFormat,
    /// What a job gets unless its dispatch says otherwise.
    pub jobs: JobDefaults,
    /// `KICI_BACKPRESSURE_MODE`.
    pub backpressure: Backpressure,
    /// Set when a scaler started this agent.
    pub scaler: Option<Scaler>,
    /// `KICI_AGENT_OUTBOX_MAX_BYTES`: log on disk that waits for the orchestrator.
    pub outbox_bytes: u64,
    /// `KICI_AGENT_WARM_PROCESS`: keep one started job process waiting.
    pub warm_process: bool,
    /// How jobs are kept alive and how long they may go on.
    pub times: Times,
    /// The variables that are set, without their secrets.
    pub shown: BTreeMap<String, String>,
    /// What the operator should know although the agent starts.
    pub warnings: Vec<String>,
}

/// Defaults and places for jobs.
#[derive(Debug, Clone)]
pub struct JobDefaults {
    /// `KICI_DATA_DIR`: kept between jobs and restarts.
    pub data_dir: PathBuf,
    /// `KICI_MAX_LOG_SIZE_BYTES`.
    pub max_log_bytes: u64,
    /// `KICI_DEFAULT_STEP_TIMEOUT_MS`.
    pub step_timeout_ms: u64,
    /// `KICI_CONCURRENCY_WAIT_TIMEOUT_MS`: how long a job may wait for its run's concurrency group.
    pub concurrency_wait_ms: u64,
    /// `KICI_JS_ENGINE`.
    pub engine: EngineWish,
    /// `KICI_SDK=installed`.
    pub installed_sdk: bool,
    /// `KICI_NODE`.
    pub node: Option<String>,
    /// `KICI_GITHUB_TOKEN`: clones from github.com when a dispatch brings no credential.
    pub github_token: Option<Secret>,
}

/// Intervals that operators (and tests) may change.
#[derive(Debug, Clone)]
pub struct Times {
    /// `KICI_JOB_HEARTBEAT_INTERVAL_MS`.
    pub job_heartbeat: Duration,
    /// How long a job may go on after SIGTERM: `KICI_AGENT_SHUTDOWN_GRACE_MS`.
    pub shutdown_grace: Duration,
}

/// How a scaler-managed agent ends.
#[derive(Debug, Clone)]
pub struct Scaler {
    /// `KICI_SCALER_IDLE_TIMEOUT`.
    pub idle: Duration,
    /// `KICI_SCALER_PENDING_DISPATCH_TIMEOUT`.
    pub pending_dispatch: Duration,
}

/// Work besides normal jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `builder`.
    Builder,
    /// `init-runner`.
    InitRunner,
}

/// What happens when logs come faster than they can be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backpressure {
    /// The job waits; after 30 s without progress lines are dropped and counted.
    Pause,
    /// Lines are dropped and counted at once.
    Drop,
}

/// `KICI_LOG_LEVEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// Only what someone should act on.
    Error,
    /// And what may become a problem.
    Warn,
    /// And the life of jobs.
    Info,
    /// And how it came about.
    Debug,
    /// And everything else.
    Trace,
}

/// `KICI_LOG_FORMAT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// JSON unless standard output is a terminal.
    Auto,
    /// For people.
    Plain,
    /// For machines.
    Json,
}
