//! What the service says about itself.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Answer of `GET /api/v1/capabilities`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// Version of the orchestrator.
    pub orchestrator_version: String,
    /// The newest agent protocol that it speaks.
    pub protocol_version: u32,
    /// The oldest agent protocol that it speaks.
    pub min_protocol_version: u32,
}

/// How one check, or all together, turned out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As it should be.
    Pass,
    /// Works, but someone should look.
    Warn,
    /// Does not work.
    Fail,
}

/// Whether the service is well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overall {
    /// Every check passed.
    Healthy,
    /// At least one check warns.
    Degraded,
    /// At least one check failed.
    Unhealthy,
}

/// One thing that was looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it turned out.
    pub status: CheckStatus,
    /// What was found.
    pub message: String,
    /// How long the look took.
    pub duration_ms: u64,
}

/// Answer of `GET /admin/diagnose`; callers without a token see no checks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The worst of all checks.
    pub status: Overall,
    /// What was looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checks: Option<Vec<Check>>,
    /// When.
    pub timestamp: Timestamp,
}
