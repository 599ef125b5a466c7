//! What a loaded workflow module consists of: data, with handles where the author wrote functions.
//!
//! The guest produces it (`packages/sdk`, `describe.ts`); `extract` turns it into a lock file and
//! `kici-exec` runs it. See `docs/design/engine.md`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A function of the author, alive inside the engine that described it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FnHandle(pub u32);

/// A function as the description shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FnRef {
    /// The handle to call it by.
    #[serde(rename = "$fn")]
    pub handle: FnHandle,
    /// Its source text after types were stripped (only in `describe` mode).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A value that an author may write down or compute.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Field {
    /// Computed by a function.
    Function(FnRef),
    /// Written down. A regular expression is `{"$re": {"source", "flags"}}`.
    Value(Value),
}

/// Everything that one entry file exports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModuleDescription {
    /// The workflows in export order: default first, then named exports in code-unit order.
    pub workflows: Vec<WorkflowDef>,
}

/// Where in the author's TypeScript something was written (1-based line, 1-based column).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceLocation {
    /// Path relative to the repository root, forward slashes.
    pub file: String,
    /// 1-based line.
    pub line: u32,
    /// 1-based column.
    pub column: u32,
}

/// One workflow as its author wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkflowDef {
    /// The workflow's name.
    pub name: String,
    /// `#default`, `#default[i]` or `#name`.
    pub export: String,
    /// The call of `workflow()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
    /// Triggers as the SDK built them (`_tag` and options; regular expressions as `{"$re"}`, input
    /// schemas already reduced to input descriptors).
    #[serde(default)]
    pub on: Vec<Value>,
    /// Jobs in author order.
    pub jobs: Vec<JobEntry>,
    /// Workflow rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleDef>>,
    /// Workflow hooks (`beforeStep` and `afterStep` are never set here).
    #[serde(default)]
    pub hooks: Hooks,
    /// Concurrency policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<ConcurrencyDef>,
    /// `description, hashFiles, registries, installEnv, timeout, approval`, as the author wrote them.
    #[serde(default)]
    pub options: serde_json::Map<String, Value>,
}

/// `concurrency` of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConcurrencyDef {
    /// Gives the group's name for `{branch, event}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<Field>,
    /// Cancel older runs of the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_in_progress: Option<bool>,
    /// How many runs of the group may be active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// An element of a workflow's `jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum JobEntry {
    /// A job written down.
    Static(Box<JobDef>),
    /// A generator of jobs.
    Dynamic(DynamicDef),
}

/// A generator of jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicDef {
    /// The generator.
    pub generate: FnRef,
    /// Group that the generated jobs belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Needs of a result-aware generator; absent for one that only sees the event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<NeedDef>>,
}

/// A `needs` element before its `when` is normalised.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NeedDef {
    /// An upstream job. Ids of jobs without a name are already rewritten to `job-N`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Or a dynamic group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// `when` as the author wrote it; `plain` needs (a job or a string) have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<Value>,
    /// A job reference or a bare string (written as a string in the lock file).
    #[serde(default)]
    pub plain: bool,
}

/// A job as its author wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDef {
    /// The name in the lock file (`job-N` where the author gave none).
    pub name: String,
    /// The call of `job()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
    /// Needs in author order, duplicates kept.
    #[serde(default)]
    pub needs: Vec<NeedDef>,
    /// Steps in author order.
    pub steps: Vec<StepEntry>,
    /// Matrix: an array, an object of arrays, or a function.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Field>,
    /// Job rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleDef>>,
    /// `environment` as a list of one, or `environments`.
    #[serde(default)]
    pub environments: Vec<Field>,
    /// Whether the author wrote the singular `environment`.
    #[serde(default)]
    pub single_environment: bool,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Field>,
    /// Concurrency group of the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_group: Option<Field>,
    /// Hooks.
    #[serde(default)]
    pub hooks: Hooks,
    /// Every other option as the author wrote it (`runsOn, runsOnAll, include, exclude, container,
    /// timeout, gracePeriod, checkout, cache, init, resources, approval, maxParallel, …`).
    #[serde(default)]
    pub options: serde_json::Map<String, Value>,
}

/// An element of a job's `steps`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "camelCase")]
pub enum StepEntry {
    /// One step.
    Step(Box<StepDef>),
    /// A group whose children run at the same time.
    Parallel(ParallelDef),
}

/// `parallel(...)`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParallelDef {
    /// Name given by the author.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Stop siblings on the first hard failure.
    pub fail_fast: bool,
    /// How many run at once; absent or 0 = all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// Children in author order.
    pub steps: Vec<StepDef>,
}

/// A step as its author wrote it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StepDef {
    /// The step's name; `step-N` where the author gave none (one counter per job, anonymous steps only).
    pub name: String,
    /// True for a bare function in `steps` (such a step has no source location).
    #[serde(default)]
    pub bare: bool,
    /// The step's function.
    pub run: FnRef,
    /// True when the author declared a non-empty `outputs` schema.
    #[serde(default)]
    pub has_outputs: bool,
    /// Handle of a guest function that validates outputs against the schema (`plain` call; throws
    /// with the schema's message).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate_outputs: Option<FnHandle>,
    /// The idempotent facet: finds drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<FnRef>,
    /// Describes drift in Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summarize: Option<FnRef>,
    /// Gives the outputs when there is no drift.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when_in_sync: Option<FnRef>,
    /// A failure does not stop the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_on_error: Option<bool>,
    /// Milliseconds per attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Retry policy, defaults filled in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<RetryDef>,
    /// Caches, as the author wrote them, always a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Vec<Value>>,
    /// Step rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<RuleDef>>,
    /// `onCancel` and `cleanup` of the step.
    #[serde(default)]
    pub hooks: Hooks,
    /// Approval as the author wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Value>,
    /// The call of the step's factory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<SourceLocation>,
}

/// `retry` of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryDef {
    /// Attempts in all.
    pub max_attempts: u32,
    /// Wait before the second attempt, ms.
    pub delay_ms: f64,
    /// `exponential` or `fixed`.
    pub backoff: String,
    /// Longest wait, ms.
    pub max_delay_ms: f64,
    /// Says whether an error is worth another attempt (`plain` call with `{"$error"}`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_if: Option<FnRef>,
}

/// A rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RuleDef {
    /// Shown when the rule does not pass.
    pub label: String,
    /// Absent = always true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<FnRef>,
}

/// Hooks of a workflow, job or step.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Hooks {
    /// On graceful cancel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_cancel: Option<HookDef>,
    /// Last, always.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleanup: Option<HookDef>,
    /// After success.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_success: Option<HookDef>,
    /// After failure.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_failure: Option<HookDef>,
    /// Before each step (jobs only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before_step: Option<HookDef>,
    /// After each step (jobs only).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after_step: Option<HookDef>,
}

/// One hook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookDef {
    /// Its function.
    pub run: FnRef,
    /// Milliseconds; default 5 minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
}
