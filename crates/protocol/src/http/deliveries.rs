//! The delivery log: every webhook as it was received, and what came of it.

use kici_model::ids::RunId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::time::Timestamp;

/// One delivery.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryView {
    /// The organisation whose source received it.
    pub org_id: String,
    /// Its name, unique in the organisation.
    pub delivery_id: String,
    /// The source that received it.
    pub routing_key: String,
    /// The event's name.
    pub event: String,
    /// The event's action, where it has one.
    pub action: Option<String>,
    /// `direct` or `relay`.
    pub source: String,
    /// The kind of forge.
    pub provider: String,
    /// The repository that it is about.
    pub repo_identifier: Option<String>,
    /// The branch or tag that it is about.
    #[serde(rename = "ref")]
    pub git_ref: Option<String>,
    /// `received`, `processed`, `duplicate`, `lockfile_missing`, `lockfile_corrupt` or `failed`.
    pub status: String,
    /// How many workflows matched.
    pub matched_count: i32,
    /// The first run that came of it.
    pub run_id: Option<RunId>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// When it came.
    pub received_at: Timestamp,
    /// When it was moved to the archive.
    pub archived_at: Option<Timestamp>,
    /// The body was not kept.
    pub payload_omitted: bool,
    /// Why not: `size_exceeded` or `storage_failed`.
    pub payload_omitted_reason: Option<String>,
    /// Size of the body.
    pub payload_size_bytes: i64,
    /// SHA-256 of the body, in hex.
    pub payload_hash: String,
}

/// Answer of `GET /api/v1/admin/event-log`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeliveryList {
    /// Newest first.
    pub deliveries: Vec<DeliveryView>,
    /// How many there are in all.
    pub total: i64,
    /// How many were asked for.
    pub limit: i64,
    /// How many were skipped.
    pub offset: i64,
}

/// Answer of `GET /api/v1/admin/event-log/{deliveryId}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryDetail {
    /// The delivery.
    #[serde(flatten)]
    pub delivery: DeliveryView,
    /// Its body, when asked for: JSON as it is, anything else as a string.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Value>,
    /// Why the body cannot be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_read_error: Option<String>,
}

/// Answer of `POST /api/v1/admin/event-log/{deliveryId}/replay`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Replayed {
    /// The name of the new delivery.
    pub delivery_id: String,
}
