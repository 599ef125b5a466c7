//! The file itself and its workflow entries.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Approval, JobEntry, Rule, TextValue, Trigger};
use crate::js::{self, JsNumber};

/// A whole lock file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LockFile {
    /// Always [`super::SCHEMA_VERSION`].
    pub schema_version: u32,
    /// Source of the first workflow.
    pub source: LockSource,
    /// Hash of schema version, source and workflows (`crate::hash::top_level_hash`).
    #[serde(default)]
    pub content_hash: String,
    /// Hash of the package manager's lock file; key of the dependency cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lockfile_hash: Option<String>,
    /// Workflows in discovery order.
    pub workflows: Vec<Workflow>,
}

impl LockFile {
    /// The text of the file: `JSON.stringify(lock, null, 2)`, no final newline.
    pub fn to_json(&self) -> String {
        js::pretty(&self.to_value())
    }

    /// The file as plain JSON, keys in JavaScript's order.
    pub fn to_value(&self) -> Value {
        let mut value = serde_json::to_value(self).expect("lock files hold only JSON data");
        js::order_keys(&mut value);
        value
    }

    /// Where a workflow comes from: its own source, else the file's.
    pub fn source_of<'a>(&'a self, workflow: &'a Workflow) -> &'a LockSource {
        workflow.source.as_ref().unwrap_or(&self.source)
    }
}

/// Which export of which file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockSource {
    /// Path relative to the git root, forward slashes.
    pub file: String,
    /// `#<name>`, `#default` or `#default[<i>]`.
    pub export: String,
}

/// One workflow.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Workflow {
    /// Its name; may be empty.
    pub name: String,
    /// Where it was written; absent in hand-made files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<LockSource>,
    /// Hash of the entry file and its assets; empty when the source could not be read.
    #[serde(default)]
    pub content_hash: String,
    /// Version of the hash's recipe; 0 with an empty hash.
    #[serde(default)]
    pub compile_schema_version: u32,
    /// What starts it; empty = only by hand.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// Jobs in author order.
    #[serde(default)]
    pub jobs: Vec<JobEntry>,
    /// Workflow rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<Vec<Rule>>,
    /// The author's description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Globs of files that belong to the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash_files: Option<Vec<String>>,
    /// What the globs matched, sorted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resolved_hash_files: Option<Vec<String>>,
    /// Private package registries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registries: Option<Vec<Registry>>,
    /// Secrets for installing, `<environment>:<secret>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub install_env: Option<Vec<String>>,
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
    /// Concurrency policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// Limit for the whole run, ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<JsNumber>,
    /// Approval before any job starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval: Option<Approval>,
}

/// A private package registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registry {
    /// Its address.
    pub url: String,
    /// Packages of this scope only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Name of the token's secret, `<environment>:<secret>`.
    pub token_secret: String,
    /// Send the token with every request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub always_auth: Option<bool>,
}

/// Concurrency policy of a workflow.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Concurrency {
    /// A group function exists.
    pub has_group: bool,
    /// Newer runs cancel older ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cancel_in_progress: Option<bool>,
    /// How many runs of a group may be active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<JsNumber>,
    /// The group's name or the function of `{branch, event}` that names it, where an orchestrator can evaluate it. Our
    /// addition: others ignore it and let an agent evaluate the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<TextValue>,
}

impl Concurrency {
    /// How many runs may be active, and whether newer ones cancel older ones.
    pub fn effective(&self) -> (u32, bool) {
        // A cast of a float saturates, and turns what is no number into 0.
        let max = self.max.map_or(1, |max| (max.0.floor() as u32).max(1));
        (max, self.cancel_in_progress.unwrap_or(true))
    }
}

impl Workflow {
    /// A workflow with nothing but triggers.
    pub fn with_triggers(name: &str, triggers: Vec<Trigger>) -> Self {
        Self { name: name.to_owned(), triggers, ..Self::default() }
    }
}
