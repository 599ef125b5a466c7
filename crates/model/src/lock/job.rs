//! Job entries: static jobs and generators.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::{Approval, CacheSpec, LabelMatcher, ResourceRequest, Rule, StepEntry};
use crate::js::JsNumber;

/// An element of a workflow's `jobs`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "_type", rename_all = "lowercase")]
pub enum JobEntry {
    /// A job written down.
    Static(Box<StaticJob>),
    /// A generator of jobs.
    Dynamic(DynamicJob),
    /// A kind of a later schema; skipped by everybody, kept for writing.
    #[serde(untagged)]
    Unknown(Value),
}

impl<'de> Deserialize<'de> for JobEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match value.get("_type").and_then(Value::as_str) {
            Some("static") => {
                super::trigger::described(value).map(|job| Self::Static(Box::new(job)))
            }
            Some("dynamic") => super::trigger::described(value).map(Self::Dynamic),
            _ => Ok(Self::Unknown(value)),
        }
        .map_err(serde::de::Error::custom)
    }
}

/// A job written down.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StaticJob {
    /// Its name (`job-N` where the author gave none).
    pub name: String,
    /// Labels that one agent must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_on: Option<Vec<LabelMatcher>>,
    /// Labels that it must not have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude_labels: Option<Vec<LabelMatcher>>,
    /// Which of several matching agents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_on_pick: Option<RunsOnPick>,
    /// One child on every matching host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runs_on_all: Option<RunsOnAll>,
    /// What to do about hosts that are away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_unreachable: Option<Unreachable>,
    /// Also bring up hosts that have no agent yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include_uninitialized: Option<bool>,
    /// How many children run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<JsNumber>,
    /// Stop starting children after a failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_fast: Option<bool>,
    /// Upstream jobs and groups.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// Groups among the needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub depends_on_groups: Option<Vec<String>>,
    /// Steps in order.
    #[serde(default)]
    pub steps: Vec<StepEntry>,
    /// Matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<Matrix>,
    /// Further combinations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub include: Option<Vec<IndexMap<String, Value>>>,
    /// Combinations to leave out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exclude: Option<Vec<IndexMap<String, Value>>>,
    /// Rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// The author's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// False = no clone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkout: Option<bool>,
    /// Caches around the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Vec<CacheSpec>>,
    /// Run the steps in this container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Container>,
    /// Environments; later ones win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<EnvironmentRef>>,
    /// `env` is computed; without `env` it takes an init job to know.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dynamic_env: bool,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<EnvValue>,
    /// The concurrency group is computed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dynamic_concurrency_group: bool,
    /// Concurrency group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency_group: Option<TextValue>,
    /// The author wrote an `onCancel` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_on_cancel: bool,
    /// The author wrote a `cleanup` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_cleanup: bool,
    /// The author wrote an `onSuccess` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_on_success: bool,
    /// The author wrote an `onFailure` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_on_failure: bool,
    /// The author wrote a `beforeStep` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_before_step: bool,
    /// The author wrote an `afterStep` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_after_step: bool,
    /// Seconds between asking processes to end and killing them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_period: Option<JsNumber>,
    /// Limit for the whole job, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<JsNumber>,
    /// Processor and memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<ResourceRequest>,
    /// What happens before the steps, as the author wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Value>,
    /// Approval before it is dispatched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// A generator of jobs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicJob {
    /// Where the generator is.
    pub source: DynamicSource,
    /// Group of the generated jobs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Upstreams of a generator that sees results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Vec<Need>>,
    /// The generator sees results of its needs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub result_aware: bool,
}

/// Where a generator is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DynamicSource {
    /// The entry file.
    pub file: String,
    /// Position in the author's `jobs`.
    pub index: u32,
}

/// An upstream of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a need is a job's name, {name, runOn} or {group, runOn}")]
pub enum Need {
    /// A job that has to succeed.
    Job(String),
    /// A job that has to end in one of these states (absent = success).
    #[serde(rename_all = "camelCase")]
    JobWhen {
        /// The upstream.
        name: String,
        /// Accepted final states.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_on: Option<Vec<String>>,
    },
    /// Every job of a group has to end in one of these states (absent = success).
    #[serde(rename_all = "camelCase")]
    Group {
        /// The group.
        group: String,
        /// Accepted final states.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        run_on: Option<Vec<String>>,
    },
}

/// Which of several matching agents gets a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunsOnPick {
    /// The one with the lowest id.
    #[default]
    Deterministic,
    /// Any.
    Any,
}

/// Host fan-out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunsOnAll {
    /// A host matches if it has all labels of one of these groups.
    pub include: Vec<Vec<LabelMatcher>>,
    /// And none of these.
    pub exclude: Vec<LabelMatcher>,
}

/// What to do about hosts of a fan-out that are away.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unreachable {
    /// Wait for them.
    #[default]
    Hold,
    /// Leave them out.
    Skip,
    /// Fail.
    Fail,
}

/// Matrix of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "_type", rename_all = "lowercase")]
pub enum Matrix {
    /// Written down.
    Static {
        /// Its values.
        values: MatrixValues,
    },
    /// Computed by an init job.
    Dynamic {
        /// Where its function is.
        source: MatrixSource,
    },
}

/// Values of a matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "matrix values are a list or an object of lists")]
pub enum MatrixValues {
    /// One dimension without a name.
    List(Vec<Value>),
    /// Named dimensions.
    Dimensions(IndexMap<String, Vec<Value>>),
}

/// Where a matrix function is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixSource {
    /// The entry file.
    pub file: String,
    /// The job.
    pub job_name: String,
}

/// Container of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a container is an image or {image, env}")]
pub enum Container {
    /// An image.
    Image(String),
    /// An image and its environment.
    Full {
        /// The image.
        image: String,
        /// Environment variables.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        env: Option<IndexMap<String, String>>,
    },
}

/// One of a job's environments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvironmentRef {
    /// Its name, or how to compute it. Empty with `dynamic` = an init job has to tell.
    pub value: TextValue,
    /// Computed.
    #[serde(default)]
    pub dynamic: bool,
}

/// Text that is written down or computed from the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a text or an inline expression")]
pub enum TextValue {
    /// Written down.
    Text(String),
    /// Computed.
    Inline(Inline),
}

/// Environment variables that are written down or computed from the event.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a map of texts or an inline expression")]
pub enum EnvValue {
    /// Computed.
    Inline(Inline),
    /// Written down.
    Map(IndexMap<String, String>),
}

/// A JavaScript function of the event, as source text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inline {
    /// Always `inline`.
    #[serde(rename = "_type")]
    pub mark: InlineMark,
    /// `(event) => …`.
    pub expression: String,
}

impl Inline {
    /// Wraps a function's text.
    pub fn new(expression: impl Into<String>) -> Self {
        Self { mark: InlineMark::Inline, expression: expression.into() }
    }
}

/// The word `inline`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InlineMark {
    /// `inline`.
    Inline,
}

/// The word `dynamic`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DynamicMark {
    /// `dynamic`.
    #[default]
    Dynamic,
}
