//! What travels on the agent link: the WebSocket between an orchestrator and its agents.
//!
//! [`FromAgent`] and [`ToAgent`] list every message; the structs live beside their subject
//! (`handshake`, `dispatch`, `progress`, `logs`, `health`, `requests`, `fleet`). Receivers ignore unknown
//! fields and get [`Parsed::Unknown`] for unknown types, so that either side may be newer.

mod ack;
mod close;
mod dispatch;
mod fleet;
mod from_agent;
mod handshake;
mod health;
mod job_config;
mod lenient;
pub mod limits;
mod logs;
mod parse;
mod progress;
mod requests;
mod secret;
pub mod secret_outputs;
mod states;
mod to_agent;

pub use ack::{Ack, LogsStored};
pub use close::{Close, CloseCode};
pub use dispatch::{GitCredential, JobDispatch, NpmRegistry, UpstreamOutputs};
pub use fleet::{FleetBundleChunk, FleetBundleError, FleetLogsRequest};
pub use from_agent::FromAgent;
pub use handshake::{
    AuthFailure, AuthRequest, AuthSuccess, ConfigAck, Fate, InFlightJob, PROTOCOL_VERSION,
    PropertyValue, Register, RegisterAck,
};
pub use health::{AgentMetrics, AgentStatus, Bucket, Heartbeat, Metric, MetricType};
pub use job_config::{DynamicSource, JobConfig, JobSource};
pub use logs::{AgentLog, LogChunk, RateLimitWarning};
pub use parse::{JobRef, ParseError, Parsed};
pub use progress::{
    EnvCategory, EnvVar, JobAck, JobCancel, JobContext, JobContextBody, JobHeartbeat, JobReject,
    JobRuntime, JobStatus, LinkError, RunEvent, StepStatus,
};
pub use requests::{
    AgentApiRequest, AgentApiResponse, ApprovalClause, ApprovalOutcome, CacheRestoreRequest,
    CacheRestoreResponse, CacheSaveComplete, CacheSaveRequest, CacheSaveResponse,
    CacheUploadComplete, CacheUploadRequest, ConcurrencyAck, ConcurrencyAction, ConcurrencyReport,
    EventEmit, EventEmitResponse, EventTarget, ProvenanceUploadComplete, ProvenanceUploadRequest,
    StepApprovalRequest, StepApprovalResolved, UploadCacheType, UploadUrl,
};
pub use secret::Secret;
pub use states::{ConcurrencyKind, JobState, RejectReason, StepState};
pub use to_agent::ToAgent;
