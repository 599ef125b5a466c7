//! `job.dispatch.jobConfig`: the job as the lock file and the scheduler made it.
//!
//! The discriminators of the special jobs (build, init, dynamic, bring-up) are fields here; keys that
//! this version does not know are kept in [`JobConfig::rest`].

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::lenient;

/// `jobConfig`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct JobConfig {
    /// The workflow's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_name: Option<String>,
    /// Expanded name, e.g. `test (18, linux)`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Name in the workflow file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_job_name: Option<String>,
    /// Entry file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<JobSource>,
    /// Expected content hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// Asset files covered by the hash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resolved_hash_files: Option<Vec<String>>,
    /// Steps as the lock file lists them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<Vec<Value>>,
    /// Declared needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needs: Option<Value>,
    /// Rules of the lock job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rules: Option<Value>,
    /// The event envelope.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// `github`, `local`, …
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// `deterministic` or `any`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_on_pick: Option<String>,
    /// Whole-job limit, ms.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::maybe_whole")]
    pub timeout: Option<u64>,
    /// Limit of a special job, ms.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::maybe_whole")]
    pub timeout_ms: Option<u64>,
    /// TERM to KILL, seconds.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::maybe_whole")]
    pub grace_period: Option<u64>,
    /// Container to run in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Value>,
    /// Matrix combination.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matrix_values: Option<Value>,
    /// Host of a fan-out child.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<Value>,
    /// Agent facts for `ctx.agent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Value>,
    /// Inputs of a dispatch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch_inputs: Option<Value>,
    /// Position in a fan-out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::maybe_whole")]
    pub fanout_index: Option<u64>,
    /// Size of the fan-out.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::maybe_whole")]
    pub fanout_total: Option<u64>,
    /// Environment declaration of the lock job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Value>,
    /// Evaluated environment of the job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub job_env: Option<IndexMap<String, Value>>,
    /// Environment (protection rules, variables).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Value>,
    /// Variables of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment_vars: Option<IndexMap<String, Value>>,
    /// `false` leaves the workspace empty; absent means `true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkout: Option<bool>,
    /// Init items of the lock job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<Value>,
    /// Cache declaration of the lock job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<Value>,
    /// A run of an uncommitted tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_test_run: Option<bool>,
    /// The overlay holds the whole repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_repo: Option<bool>,
    /// `apply`, `check`, `check-fail-on-drift`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check_mode: Option<String>,
    /// Overlay archive.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tarball_url: Option<String>,
    /// Key of the CLI that made the overlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cli_public_key: Option<String>,
    /// Key that opens the overlay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orchestrator_private_key: Option<super::Secret>,
    /// The workflow lives in another repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_global_workflow: Option<bool>,
    /// Clone URL of that repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_repo_url: Option<String>,
    /// Its branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_ref: Option<String>,
    /// Its commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_sha: Option<String>,
    /// `owner/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workflow_repo_identifier: Option<String>,
    /// The job reports its concurrency group before steps.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub has_concurrency_group: Option<bool>,
    /// Limit of the group's function, ms.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::maybe_whole")]
    pub concurrency_evaluation_timeout_ms: Option<u64>,
    /// Set for a generated job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_source: Option<DynamicSource>,
    /// Requested resources.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Value>,
    /// Cache namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_org_id: Option<String>,
    /// Cache namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_repo_id: Option<String>,
    /// `shared` or `isolated`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_ref_scope: Option<String>,
    /// A build job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_only: Option<bool>,
    /// An init job.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_only: Option<bool>,
    /// A generator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dynamic_job_fn: Option<bool>,
    /// A bring-up of another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bringup_only: Option<bool>,
    /// What this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl JobConfig {
    /// The marker of a special job, if it is one.
    #[must_use]
    pub fn special_kind(&self) -> Option<&'static str> {
        let set = |flag: Option<bool>| flag == Some(true);
        if set(self.init_only) {
            Some("init")
        } else if set(self.dynamic_job_fn) {
            Some("dynamic")
        } else if set(self.bringup_only) {
            Some("bring-up")
        } else if set(self.build_only) {
            Some("build")
        } else {
            None
        }
    }
}

/// Where the workflow module is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum JobSource {
    /// Init jobs name the file only.
    File(String),
    /// The usual form.
    Entry {
        /// File relative to the repository root.
        file: String,
        /// `#default`, `#name`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        export: Option<String>,
        /// Index of a generator.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        index: Option<u64>,
    },
}

impl JobSource {
    /// The entry file.
    #[must_use]
    pub fn file(&self) -> &str {
        match self {
            Self::File(file) | Self::Entry { file, .. } => file,
        }
    }

    /// The export, if named.
    #[must_use]
    pub fn export(&self) -> Option<&str> {
        match self {
            Self::File(_) => None,
            Self::Entry { export, .. } => export.as_deref(),
        }
    }
}

/// Where a generated job comes from.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DynamicSource {
    /// Index of the generator.
    pub index: u64,
    /// Event the generator was called with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<Value>,
    /// Names of the whole generation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected_job_names: Option<Vec<String>>,
    /// Frozen upstream results.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_snapshot: Option<Value>,
    /// Needs that the generator declared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared_needs: Option<Value>,
    /// What this version does not know.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}
