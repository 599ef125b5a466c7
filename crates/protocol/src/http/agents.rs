//! The roster of agents as operators see it.

use kici_model::ids::{JobId, RunId};
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What an agent is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentState {
    /// Connected, without a job.
    Idle,
    /// Connected, with a job.
    Busy,
    /// Connected, and takes no more jobs.
    Draining,
    /// Away, with a job that waits for it.
    Lost,
    /// Away.
    Disconnected,
}

impl AgentState {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            AgentState::Idle => "idle",
            AgentState::Busy => "busy",
            AgentState::Draining => "draining",
            AgentState::Lost => "lost",
            AgentState::Disconnected => "disconnected",
        }
    }
}

/// A job that an agent holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentJobView {
    /// The job.
    pub job_id: JobId,
    /// Its run.
    pub run_id: RunId,
    /// Its name.
    pub job_name: String,
    /// Its status.
    pub status: String,
}

/// An agent, connected to any orchestrator or away for a moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentView {
    /// Its id.
    pub agent_id: String,
    /// What it is doing.
    pub state: AgentState,
    /// The name of its host.
    pub hostname: Option<String>,
    /// Its version.
    pub version: Option<String>,
    /// `linux`, `darwin`, `win32`.
    pub platform: String,
    /// `x64`, `arm64`.
    pub arch: String,
    /// What it offers.
    pub labels: Vec<String>,
    /// What every job on it has to ask for.
    pub mandatory_labels: Vec<String>,
    /// What its operator says about it.
    pub properties: serde_json::Value,
    /// What it says about its host.
    pub facts: serde_json::Value,
    /// Jobs at once.
    pub max_concurrency: u32,
    /// What it holds.
    pub jobs: Vec<AgentJobView>,
    /// Started by a scaler.
    pub scaler_managed: bool,
    /// Where it connects from.
    pub remote_address: String,
    /// The number of the orchestrator that it is or was connected to.
    pub orchestrator: i32,
    /// Its clock minus the orchestrator's, with the time that a message takes.
    pub clock_skew_ms: Option<i64>,
    /// When it registered for the first time.
    pub first_seen_at: Timestamp,
    /// When it registered last.
    pub connected_at: Timestamp,
    /// When it was last heard of; half a minute old at most while it is connected.
    pub last_seen_at: Timestamp,
    /// When its connection ended.
    pub disconnected_at: Option<Timestamp>,
    /// Why.
    pub disconnect_reason: Option<String>,
}

/// Answer of `GET /api/v1/admin/agents`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentList {
    /// By id.
    pub agents: Vec<AgentView>,
    /// Where the next page begins; null on the last.
    pub next_cursor: Option<String>,
}
