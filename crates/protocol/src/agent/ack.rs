//! What an orchestrator has stored, so that the agent need not keep it any longer.

use serde::{Deserialize, Serialize};

use super::lenient;

/// `ack`: sent by an orchestrator that announced [`super::RegisterAck::ACK`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Ack {
    /// Facts that are committed, or that change nothing any more, by their `messageId`: `job.ack`,
    /// `job.status`, `step.status` and `run.event`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_ids: Vec<String>,
    /// Log chunks that are durable, by job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub logs: Vec<LogsStored>,
}

/// All log chunks of a job up to a `seq` are durable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogsStored {
    /// The job.
    pub job_id: String,
    /// All chunks that arrived with at most this `seq` are durable. A gap in `seq` is what an
    /// orchestrator without acknowledgements got.
    #[serde(deserialize_with = "lenient::whole")]
    pub seq: u64,
}
