//! Every message from an orchestrator to an agent.

use super::parse::messages;
use super::*;

messages! {
    /// Orchestrator → agent.
    pub enum ToAgent {
        /// Token accepted.
        AuthSuccess(AuthSuccess) = "auth.success",
        /// Token refused.
        AuthFailure(AuthFailure) = "auth.failure",
        /// Registered.
        RegisterAck(RegisterAck) = "register.ack",
        /// A job.
        JobDispatch(Box<JobDispatch>) = "job.dispatch",
        /// Stop a job.
        JobCancel(JobCancel) = "job.cancel",
        /// Verdict on a concurrency group.
        ConcurrencyAck(ConcurrencyAck) = "job.concurrency.ack",
        /// Event accepted or refused.
        EventEmitResponse(EventEmitResponse) = "event.emit.response",
        /// API answer.
        ApiResponse(AgentApiResponse) = "agent.api.response",
        /// Where a build archive goes.
        CacheUploadResponse(UploadUrl) = "cache.upload.response",
        /// Cache found or not.
        CacheRestoreResponse(CacheRestoreResponse) = "cache.user.restore.response",
        /// Where a cache goes.
        CacheSaveResponse(CacheSaveResponse) = "cache.user.save.response",
        /// Where an attestation goes.
        ProvenanceUploadResponse(UploadUrl) = "provenance.upload.response",
        /// Verdict of an approval.
        StepApprovalResolved(StepApprovalResolved) = "step.approval-resolved",
        /// Bundle wanted.
        FleetLogsRequest(FleetLogsRequest) = "fleet.logs.request",
        /// A message was dropped.
        RateLimitWarning(RateLimitWarning) = "rate.limit.warning",
        /// A message was refused.
        Error(LinkError) = "error",
        /// Facts and log chunks that are stored.
        Ack(Ack) = "ack",
        /// Sign of life.
        Heartbeat(Heartbeat) = "heartbeat",
    }
}
