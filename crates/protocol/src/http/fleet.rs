//! Orchestrators and agents as one fleet: who is there, and log bundles of all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FleetKind {
    /// Gives out jobs.
    Orchestrator,
    /// Runs jobs.
    Agent,
}

/// A node that is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetNode {
    /// What it is.
    pub kind: FleetKind,
    /// The agent's id, or the orchestrator's number.
    pub id: String,
    /// `self` for the orchestrator that answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// Its host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `a:b:c` is `a:b` with the value `c`, `a=b` is `a` with `b`, any other label has the value `true`.
    pub labels: BTreeMap<String, String>,
    /// The orchestrator that an agent is connected to.
    pub parent_id: Option<String>,
}

/// Answer of `GET /admin/fleet-topology`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetTopology {
    /// Orchestrators first, each kind by id.
    pub nodes: Vec<FleetNode>,
}

/// Body of `POST /admin/fleet-bundle`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetBundleRequest {
    /// Which agents: an id, a glob over ids and host names, or `label:k=v`. All that are connected, without any.
    #[serde(default)]
    pub selectors: Vec<String>,
    /// How far back logs go.
    #[serde(default)]
    pub log_window_hours: Option<u64>,
    /// How long one agent may take.
    #[serde(default)]
    pub timeout_seconds: Option<u64>,
}

/// What became of a node's bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FleetStatus {
    /// It is in the ZIP.
    Ok,
    /// It took too long.
    Timeout,
    /// It could not be made or was broken.
    Error,
    /// The node is not connected here.
    Unreachable,
}

impl FleetStatus {
    /// As it is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            FleetStatus::Ok => "ok",
            FleetStatus::Timeout => "timeout",
            FleetStatus::Error => "error",
            FleetStatus::Unreachable => "unreachable",
        }
    }
}

/// A node in `fleet-manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetOutcome {
    /// What it is.
    pub kind: FleetKind,
    /// The agent's id, or the orchestrator's number.
    pub id: String,
    /// What became of it.
    pub status: FleetStatus,
    /// Where its bundle is in the ZIP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The size of its bundle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `fleet-manifest.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetManifest {
    /// When it was made.
    pub created_at: Timestamp,
    /// How far back logs go.
    pub log_window_hours: u64,
    /// How long one agent had.
    pub timeout_seconds: u64,
    /// As they were asked for.
    pub selectors: Vec<String>,
    /// The orchestrator that was asked, then the agents by id.
    pub nodes: Vec<FleetOutcome>,
}
