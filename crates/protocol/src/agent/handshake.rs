//! From an open socket to a registered agent.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Secret, lenient};

/// The version that this crate speaks.
pub const PROTOCOL_VERSION: u16 = 1;

/// `auth.request`: first message in token mode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthRequest {
    /// `kat_…`.
    pub token: Secret,
    /// [`PROTOCOL_VERSION`].
    #[serde(deserialize_with = "lenient::whole")]
    pub protocol_version: u16,
}

/// `auth.success`: the token is good; register now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthSuccess {
    /// Id of this connection.
    pub connection_id: String,
}

/// `auth.failure`: followed by a close; the agent stops for good.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AuthFailure {
    /// Why.
    pub reason: String,
}

/// `agent.register`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Register {
    /// `register-{agentId}-{ms}`.
    pub message_id: String,
    /// Stable across reconnects.
    pub agent_id: String,
    /// What the agent offers.
    pub labels: Vec<String>,
    /// `linux`, `darwin`, `win32`; absent means `linux`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// `x64`, `arm64`; absent means `x64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub arch: Option<String>,
    /// Agent version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Jobs at once; absent means 1, 0 is invalid.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub max_concurrency: Option<u32>,
    /// Jobs that are still executing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_flight_jobs: Vec<InFlightJob>,
    /// Host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// Kernel release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_release: Option<String>,
    /// Kernel version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os_version: Option<String>,
    /// Node version, if the agent has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_version: Option<String>,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running_as_user: Option<String>,
    /// Memory in MiB.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub total_memory_mb: Option<u64>,
    /// Processors.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub cpu_count: Option<u32>,
    /// User id.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub running_as_uid: Option<u32>,
    /// `KICI_PROPERTIES`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub properties: BTreeMap<String, PropertyValue>,
    /// What this agent can do beyond v0.1.24, e.g. [`RegisterAck::ACK`]: it keeps facts and log chunks until they
    /// are acknowledged. Not known to v0.1.24, which ignores it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl Register {
    /// Whether the agent announced `feature`.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }
}

/// A job that an agent still holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InFlightJob {
    /// The job.
    pub job_id: String,
    /// Its run.
    pub run_id: String,
    /// What has become of it; absent: it runs, or its end is about to be told. v0.1.24 knows no such field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fate: Option<Fate>,
}

/// What has become of a job that an agent still has to tell about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It was told to stop, and ends or has ended so: of no use as another attempt.
    Stopping,
    /// The agent was killed and the job with it; what is told is only that.
    Lost,
    /// Something that a later version says.
    #[serde(other)]
    Other,
}

/// A value in `properties`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum PropertyValue {
    /// `true` or `false`.
    Bool(bool),
    /// A number; whole ones are written without a fraction.
    Number(#[serde(serialize_with = "lenient::write_plain")] f64),
    /// Anything else.
    Text(String),
}

/// `register.ack`: from here on there is traffic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RegisterAck {
    /// Echo.
    pub agent_id: String,
    /// Echo of the wire labels.
    pub labels: Vec<String>,
    /// Started by a scaler.
    pub scaler_managed: bool,
    /// A bound job follows; absent means no.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub pending_dispatch: bool,
    /// What this orchestrator can do beyond v0.1.24, e.g. [`RegisterAck::NO_RATE_LIMIT`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
}

impl RegisterAck {
    /// The orchestrator never drops messages; it stops reading the socket instead. Without this
    /// feature an agent paces its log frames below the rate limit of v0.1.24.
    pub const NO_RATE_LIMIT: &'static str = "no-rate-limit";
    /// Jobs in flight are reconciled before `register.ack` is sent, so a terminal status may follow at
    /// once. Without it an agent waits half a second with the status of a job that it took along.
    pub const RECONCILED: &'static str = "reconciled";
    /// The orchestrator says with [`super::Ack`] what it has stored, and drops log chunks that it has
    /// by their `seq`. Until then the agent keeps facts and chunks and resends them after each
    /// `register.ack`. Without it what was written to a registered socket counts as delivered.
    pub const ACK: &'static str = "ack";

    /// Whether the orchestrator announced `feature`.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|known| known == feature)
    }
}

/// `config.ack`: the agent's answer to `register.ack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigAck {
    /// `config-ack-{agentId}-{ms}`.
    pub message_id: String,
    /// The agent.
    pub agent_id: String,
}
