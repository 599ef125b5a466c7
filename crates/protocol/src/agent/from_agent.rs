//! Every message from an agent to its orchestrator.

use super::parse::messages;
use super::*;

messages! {
    /// Agent → orchestrator.
    pub enum FromAgent {
        /// First message in token mode.
        AuthRequest(AuthRequest) = "auth.request",
        /// Registration.
        Register(Box<Register>) = "agent.register",
        /// Answer to the acknowledgement.
        ConfigAck(ConfigAck) = "config.ack",
        /// Sign of life.
        Heartbeat(Heartbeat) = "heartbeat",
        /// Load.
        AgentStatus(AgentStatus) = "agent.status",
        /// Numbers.
        AgentMetrics(AgentMetrics) = "agent.metrics",
        /// The agent's own log.
        AgentLog(AgentLog) = "agent.log",
        /// Job taken.
        JobAck(JobAck) = "job.ack",
        /// Job not taken.
        JobReject(JobReject) = "job.reject",
        /// Job moved.
        JobStatus(JobStatus) = "job.status",
        /// Step moved.
        StepStatus(Box<StepStatus>) = "step.status",
        /// Log lines.
        LogChunk(LogChunk) = "log.chunk",
        /// Job alive.
        JobHeartbeat(JobHeartbeat) = "job.heartbeat",
        /// Where the job runs.
        JobContext(JobContext) = "job.context",
        /// Point on the timeline.
        RunEvent(RunEvent) = "run.event",
        /// Concurrency group.
        ConcurrencyReport(ConcurrencyReport) = "job.concurrency.report",
        /// Event of a step.
        EventEmit(EventEmit) = "event.emit",
        /// API call of a step.
        ApiRequest(AgentApiRequest) = "agent.api.request",
        /// Build archive.
        CacheUploadRequest(CacheUploadRequest) = "cache.upload.request",
        /// Build archive stored.
        CacheUploadComplete(CacheUploadComplete) = "cache.upload.complete",
        /// Cache wanted.
        CacheRestoreRequest(CacheRestoreRequest) = "cache.user.restore.request",
        /// Cache offered.
        CacheSaveRequest(CacheSaveRequest) = "cache.user.save.request",
        /// Cache stored.
        CacheSaveComplete(CacheSaveComplete) = "cache.user.save.complete",
        /// Attestation offered.
        ProvenanceUploadRequest(ProvenanceUploadRequest) = "provenance.upload.request",
        /// Attestation stored.
        ProvenanceUploadComplete(ProvenanceUploadComplete) = "provenance.upload.complete",
        /// A step waits for people.
        StepApprovalRequest(StepApprovalRequest) = "step.approval-request",
        /// Slice of a bundle.
        FleetBundleChunk(FleetBundleChunk) = "fleet.bundle.chunk",
        /// No bundle.
        FleetBundleError(FleetBundleError) = "fleet.bundle.error",
    }
}
