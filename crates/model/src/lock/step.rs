//! Steps of a static job.

use serde::{Deserialize, Deserializer, Serialize};

use super::{Approval, CacheSpec, Rule};
use crate::js::JsNumber;

/// An element of a job's `steps`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum StepEntry {
    /// One step.
    Step(Box<Step>),
    /// Steps that run at the same time.
    Parallel(ParallelGroup),
}

impl<'de> Deserialize<'de> for StepEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let parallel = value.get("kind").and_then(|kind| kind.as_str()) == Some("parallel");
        if parallel {
            super::trigger::described(value).map(Self::Parallel)
        } else {
            super::trigger::described(value).map(|step| Self::Step(Box::new(step)))
        }
        .map_err(serde::de::Error::custom)
    }
}

/// One step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Its name.
    pub name: String,
    /// The author declared outputs.
    #[serde(default)]
    pub has_outputs: bool,
    /// A failure does not fail the job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_on_error: Option<bool>,
    /// Limit of one attempt, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<JsNumber>,
    /// Further attempts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Caches around the step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<Vec<CacheSpec>>,
    /// Where it was written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_location: Option<SourceLocation>,
    /// The author wrote rules.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_rules: bool,
    /// The rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// The author wrote an `onCancel` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_on_cancel: bool,
    /// The author wrote a `cleanup` hook.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_cleanup: bool,
    /// The step has the idempotent facet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_check: bool,
    /// The step says what it gives when nothing drifted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub has_when_in_sync: bool,
    /// Approval before it (or between check and run).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// Steps that run at the same time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParallelGroup {
    /// Always `parallel`.
    pub kind: ParallelMark,
    /// The group's name.
    pub name: String,
    /// Stop the siblings when one fails.
    #[serde(default = "yes")]
    pub fail_fast: bool,
    /// How many run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<JsNumber>,
    /// The steps.
    pub children: Vec<Step>,
}

/// The word `parallel`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParallelMark {
    /// `parallel`.
    #[default]
    Parallel,
}

/// Retry policy with its defaults filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// Attempts in all.
    pub max_attempts: JsNumber,
    /// Wait before the second attempt, ms.
    pub delay_ms: JsNumber,
    /// `exponential` or `fixed`.
    pub backoff: String,
    /// Longest wait, ms.
    pub max_delay_ms: JsNumber,
}

/// A place in the author's source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceLocation {
    /// Path relative to the git root.
    pub file: String,
    /// 1-based.
    pub line: u32,
    /// 1-based.
    pub column: u32,
}

fn yes() -> bool {
    true
}
