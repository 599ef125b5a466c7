//! What was decided about one workflow and one event, kept on the run and shown to users.

use serde::{Deserialize, Serialize};

/// How one trigger answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "outcome")]
pub enum Outcome {
    /// It matched.
    #[serde(rename_all = "camelCase")]
    Matched {
        /// Something the user should know, e.g. that changed files were unknown.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// It did not match.
    #[serde(rename_all = "camelCase")]
    NotMatched {
        /// The first filter that refused.
        because: String,
    },
    /// It cannot match: a pattern is invalid or too expensive.
    #[serde(rename_all = "camelCase")]
    Unusable {
        /// What is wrong.
        because: String,
    },
}

impl Outcome {
    /// Whether the trigger matched.
    pub fn is_match(&self) -> bool {
        matches!(self, Self::Matched { .. })
    }
}

/// One trigger's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Position in the workflow's `triggers`.
    pub trigger: usize,
    /// The trigger's `_type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// How it answered.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// The decision about one workflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The workflow.
    pub workflow_name: String,
    /// Whether any trigger matched.
    pub matched: bool,
    /// Position of the first that did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matched_trigger: Option<usize>,
    /// One sentence.
    pub summary: String,
    /// How many triggers were asked.
    pub checks_count: usize,
    /// The answers, up to and including the first match.
    pub checks: Vec<Check>,
}

impl Decision {
    /// Sums up the answers about a workflow.
    pub(super) fn new(workflow_name: &str, checks: Vec<Check>) -> Self {
        let hit = checks.iter().find(|check| check.outcome.is_match());
        let summary = match hit {
            Some(check) => format!("Matched trigger {} ({})", check.trigger + 1, check.kind),
            None if checks.is_empty() => "No triggers".to_owned(),
            None => format!("None of {} triggers matched", checks.len()),
        };
        Self {
            workflow_name: workflow_name.to_owned(),
            matched: hit.is_some(),
            matched_trigger: hit.map(|check| check.trigger),
            summary,
            checks_count: checks.len(),
            checks,
        }
    }
}
