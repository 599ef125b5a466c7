//! The access log: who did, or was refused, what.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::time::Timestamp;

/// One entry.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessEntry {
    /// Names it.
    pub id: Uuid,
    /// The organisation, where there is one.
    pub org_id: Option<String>,
    /// The routing key, where there is one.
    pub routing_key: Option<String>,
    /// `user`, `api_key`, `service_account`, `platform_operator` or `system`.
    pub actor_type: String,
    /// The id of the token; of a token that does not work, the beginning of its hash.
    pub actor_id: String,
    /// The token's label and role.
    pub actor_meta: Option<Value>,
    /// What was done, such as `run.cancel`.
    pub action: String,
    /// What it was done to.
    pub target_type: Option<String>,
    /// Which.
    pub target_id: Option<String>,
    /// The request's id, as in the orchestrator's log.
    pub request_id: Option<String>,
    /// `platform_proxy`, `admin_http`, `admin_cli` or `agent`.
    pub source: String,
    /// `allowed`, `denied` or `error`.
    pub outcome: String,
    /// Why not.
    pub error_message: Option<String>,
    /// When.
    pub created_at: Timestamp,
}

/// Answer of `GET /api/v1/admin/access-log`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AccessPage {
    /// Newest first.
    pub items: Vec<AccessEntry>,
    /// Where to go on, to be sent back as it is; `null` at the end.
    pub next_cursor: Option<String>,
}
