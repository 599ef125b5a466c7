//! `job.dispatch`: everything an agent gets for one job. What the job itself is, is in `job_config`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{JobConfig, JobState, Secret, lenient};

/// Outputs of upstream jobs: job name → step name → outputs (or the fan-out forms).
pub type UpstreamOutputs = BTreeMap<String, Value>;

/// `job.dispatch`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobDispatch {
    /// New for each dispatch of the same job.
    pub message_id: String,
    /// The run.
    pub run_id: String,
    /// The dispatch-queue id; stays on re-dispatch.
    pub job_id: String,
    /// Clone URL.
    pub repo_url: String,
    /// Branch or tag name.
    #[serde(rename = "ref")]
    pub reference: String,
    /// Commit.
    pub sha: String,
    /// May be empty.
    pub lock_file_url: String,
    /// The job.
    pub job_config: JobConfig,
    /// Epoch ms.
    #[serde(deserialize_with = "lenient::whole")]
    pub timestamp: i64,
    /// Trace id of the webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    /// Clone token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Clone credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_auth: Option<GitCredential>,
    /// Credential of the workflow's repository, for a global workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_auth: Option<GitCredential>,
    /// Secrets by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// Context → name → secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub namespaced_secrets: BTreeMap<String, BTreeMap<String, Secret>>,
    /// Log cap of one step.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "lenient::maybe_whole"
    )]
    pub max_log_size_bytes: Option<u64>,
    /// Source archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_tar_url: Option<String>,
    /// The workflow's content hash (not that of the archive).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_tar_hash: Option<String>,
    /// Dependency archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deps_url: Option<String>,
    /// SHA-256 of its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deps_hash: Option<String>,
    /// Key for secret outputs (`secret_outputs`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_public_key: Option<String>,
    /// Outputs of upstream jobs.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream_job_outputs: UpstreamOutputs,
    /// States of upstream jobs, by expanded name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream_job_statuses: BTreeMap<String, JobState>,
    /// Members of the dynamic groups among the needs, by expanded name. Older agents ignore it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub upstream_job_groups: BTreeMap<String, Vec<String>>,
    /// Private registries for the installation of packages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub npm_registries: Vec<NpmRegistry>,
    /// Secrets of the install process.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub install_env_secrets: BTreeMap<String, Secret>,
    /// Organisation, for caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org_id: Option<String>,
    /// Repository, for caches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo_id: Option<String>,
    /// `shared` or `isolated` (absent).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache_ref_scope: Option<String>,
}

/// How to authenticate a clone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitCredential {
    /// `basic` or `ssh`.
    pub kind: String,
    /// User name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password, token or private key.
    pub secret: Secret,
    /// `accept-new` or `pinned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_host_key_policy: Option<String>,
    /// Known hosts, needed by `pinned`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh_known_hosts_pem: Option<String>,
}

/// A private package registry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NpmRegistry {
    /// Its URL.
    pub url: String,
    /// `@scope` it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Send the token with every request.
    #[serde(default)]
    pub always_auth: bool,
    /// Its token.
    pub token: Secret,
}
