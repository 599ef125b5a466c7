//! Shapes that several parts of a lock file share: approvals, rules, caches, resources.

use serde::{Deserialize, Serialize};

use crate::js::JsNumber;

/// An approval. No clauses = any member who may approve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Approval {
    /// Who has to approve; all of them.
    pub clauses: Vec<ApprovalClause>,
    /// Shown to the approver.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long to wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<JsNumber>,
    /// Always, or only when a step finds drift.
    pub when: ApprovalWhen,
}

/// When an approval is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApprovalWhen {
    /// Always.
    Always,
    /// When `check` finds drift (steps only).
    Drift,
}

/// One approver. Strict: an unknown kind of clause must not weaken a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "an approval clause is {team: name} or {user: name}")]
pub enum ApprovalClause {
    /// A member of this team.
    Team(TeamClause),
    /// This user.
    User(UserClause),
}

impl ApprovalClause {
    /// A clause for a team.
    pub fn team(name: impl Into<String>) -> Self {
        Self::Team(TeamClause { team: name.into() })
    }

    /// A clause for a user.
    pub fn user(name: impl Into<String>) -> Self {
        Self::User(UserClause { user: name.into() })
    }
}

/// `{team}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamClause {
    /// The team's name.
    pub team: String,
}

/// `{user}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserClause {
    /// The user's name.
    pub user: String,
}

/// A rule, by the place of its function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Always `dynamic`.
    #[serde(rename = "_type")]
    pub mark: super::DynamicMark,
    /// Shown when the rule does not pass.
    pub label: String,
    /// Where its function is.
    pub source: RuleSource,
}

/// Where a rule's function is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSource {
    /// The entry file (a step's rule: the file of the step).
    pub file: String,
    /// Position; for job rules `jobIndex * 100 + position`.
    pub index: u32,
}

/// A cache, as the author wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CacheSpec {
    /// Exact key.
    pub key: String,
    /// What is kept.
    pub paths: Vec<String>,
    /// Prefixes to fall back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore_keys: Option<Vec<String>>,
}

/// Processor and memory wishes of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ResourceRequest {
    /// What it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Quantities>,
    /// What it may not exceed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Quantities>,
}

/// Amounts of processor time and memory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quantities {
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<JsNumber>,
    /// Memory, e.g. `512m` (powers of 1024).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
}
