//! Log lines on their way to the orchestrator, and its request for a pause.

use serde::{Deserialize, Serialize};

use super::lenient;

/// `log.chunk`: lines of one step; the job's own log has index −1.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogChunk {
    /// Id of this message; the same on a resend.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The job.
    pub job_id: String,
    /// The step.
    #[serde(deserialize_with = "lenient::whole")]
    pub step_index: i64,
    /// Lines without newline.
    pub lines: Vec<String>,
    /// Epoch ms of the batch.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
    /// Position in this dispatch of the job: from 1, rising by 1 over all of its steps; the same on a
    /// resend. Only towards an orchestrator with [`super::RegisterAck::ACK`]; v0.1.24 ignores it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub seq: Option<u64>,
}

/// `agent.log`: the agent's own log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AgentLog {
    /// Id of this message.
    pub message_id: String,
    /// The agent.
    pub agent_id: String,
    /// JSON lines.
    pub lines: Vec<String>,
    /// Epoch ms of the batch.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
}

/// `rate.limit.warning`: a message was dropped; send less.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitWarning {
    /// Hold log frames this long, ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub retry_after_ms: u64,
}
