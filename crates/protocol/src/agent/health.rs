//! Signs of life and numbers of an agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::lenient;

/// `heartbeat`, in both directions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    /// Epoch ms of the sender.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub timestamp: Option<i64>,
}

/// `agent.status`: sent after each job and each reject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentStatus {
    /// Id of this message.
    pub message_id: String,
    /// The agent.
    pub agent_id: String,
    /// Jobs that run now.
    #[serde(deserialize_with = "lenient::whole")]
    pub active_jobs: u32,
    /// MiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub memory_used_mb: Option<u64>,
    /// MiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub memory_available_mb: Option<u64>,
    /// Since the agent's start.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub uptime_seconds: Option<u64>,
    /// The agent takes no more jobs. Not known to v0.1.24, which ignores it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub draining: bool,
}

/// `agent.metrics`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentMetrics {
    /// Id of this message.
    pub message_id: String,
    /// The agent.
    pub agent_id: String,
    /// The series.
    pub metrics: Vec<Metric>,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
}

/// One series.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub kind: MetricType,
    /// Value of a counter or gauge.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "lenient::write_number"
    )]
    pub value: Option<f64>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Cumulative buckets of a histogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buckets: Option<Vec<Bucket>>,
    /// Observations of a histogram.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub count: Option<u64>,
    /// Their sum.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "lenient::write_number"
    )]
    pub sum: Option<f64>,
}

/// Type of a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricType {
    /// Only grows.
    Counter,
    /// Distribution.
    Histogram,
    /// A value.
    Gauge,
    /// A value that is moved up and down.
    UpDownCounter,
}

/// One bucket: observations up to `le`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bucket {
    /// Upper bound.
    #[serde(serialize_with = "lenient::write_plain")]
    pub le: f64,
    /// Observations up to it.
    #[serde(deserialize_with = "lenient::whole")]
    pub count: u64,
}
