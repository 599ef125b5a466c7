//! Log bundles that an operator asks an agent for.

use serde::{Deserialize, Serialize};

use super::lenient;

/// `fleet.logs.request`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetLogsRequest {
    /// Correlates the frames.
    pub request_id: String,
    /// How far back.
    #[serde(deserialize_with = "lenient::whole")]
    pub log_window_hours: u64,
    /// Size limit of the bundle.
    #[serde(deserialize_with = "lenient::whole")]
    pub max_bytes: u64,
}

/// `fleet.bundle.chunk`: a slice of the ZIP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetBundleChunk {
    /// Correlates the frames.
    pub request_id: String,
    /// From 0, without gaps.
    #[serde(deserialize_with = "lenient::whole")]
    pub seq: u64,
    /// The last one.
    pub is_last: bool,
    /// Base64 of at most 85 KiB.
    pub data_b64: String,
}

/// `fleet.bundle.error`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FleetBundleError {
    /// Correlates the frames.
    pub request_id: String,
    /// Why there is no bundle.
    pub message: String,
}
