//! The lock file `kici.lock.json`, schema 29: what the compiler writes and the server reads.
//!
//! The types keep the written order of fields, so that writing what was read gives the same bytes.
//! `parse` checks a file as it is loaded; `crate::hash` computes its hashes.

mod input;
mod job;
mod label;
mod limits;
mod parse;
mod shared;
mod step;
mod trigger;
mod workflow;

pub use input::{InputDescriptor, InputType};
pub use job::{
    Container, DynamicJob, DynamicMark, DynamicSource, EnvValue, EnvironmentRef, Inline,
    InlineMark, JobEntry, Matrix, MatrixSource, MatrixValues, Need, RunsOnAll, RunsOnPick,
    StaticJob, TextValue, Unreachable,
};
pub use label::LabelMatcher;
pub use limits::{MAX_JOBS, MAX_LOCK_BYTES, MAX_MATCHERS, MAX_STEPS, MAX_TRIGGERS, MAX_WORKFLOWS};
pub use parse::{LockError, LockOrigin, parse};
pub use shared::{
    Approval, ApprovalClause, ApprovalWhen, CacheSpec, Quantities, ResourceRequest, Rule,
    RuleSource,
};
pub use step::{ParallelGroup, ParallelMark, Retry, SourceLocation, Step, StepEntry};
pub use trigger::{
    BodyMatch, BranchPattern, CommentTrigger, DispatchTrigger, ForkTrigger, GenericWebhookTrigger,
    JobCompleteTrigger, KiciEventTrigger, LifecycleTrigger, PatternType, PrTrigger, PushTrigger,
    RefTrigger, ReviewTrigger, ScheduleTrigger, SimpleActionTrigger, StatusTrigger, TagTrigger,
    Trigger, WebhookAuth, WebhookTrigger, WorkflowCompleteTrigger, WorkflowRunTrigger,
};
pub use workflow::{Concurrency, LockFile, LockSource, Registry, Workflow};

/// The schema version that this build reads and writes.
pub const SCHEMA_VERSION: u32 = 29;

/// Version of the recipe behind a workflow's `contentHash`.
pub const COMPILE_SCHEMA_VERSION: u32 = 5;
