//! Generic and local sources: where deliveries may come from and how they are checked.

use kici_model::ids::SourceId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::page::present;
use super::time::Timestamp;

/// How a delivery proves where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VerificationMethod {
    /// A keyed hash of the body in a header.
    HmacSha256,
    /// A token in a header.
    BearerToken,
    /// A key in a header.
    ApiKey,
    /// The sender's address.
    IpAllowlist,
    /// Not at all.
    None,
}

impl VerificationMethod {
    /// Every method.
    pub const ALL: [VerificationMethod; 5] =
        [Self::HmacSha256, Self::BearerToken, Self::ApiKey, Self::IpAllowlist, Self::None];

    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac_sha256",
            Self::BearerToken => "bearer_token",
            Self::ApiKey => "api_key",
            Self::IpAllowlist => "ip_allowlist",
            Self::None => "none",
        }
    }

    /// The method of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// What a [`VerificationMethod`] needs to know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VerificationConfig {
    /// The key of `hmac_sha256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// The token of `bearer_token`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The key of `api_key`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The header that carries the proof, in any case.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "header")]
    pub header_name: Option<String>,
    /// The addresses and networks of `ip_allowlist`.
    #[serde(default, skip_serializing_if = "Option::is_none", alias = "allowedIps")]
    pub allowlist: Option<Vec<String>>,
}

/// What kind of sender a source is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProviderType {
    /// Anything that can post: its deliveries start workflows with `genericWebhook()`.
    Generic,
    /// Git repositories on the orchestrator's own disk.
    Local,
}

impl ProviderType {
    /// The name on the wire and in the database.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Local => "local",
        }
    }
}

/// Where the repositories of a local source are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LocalConfig {
    /// A repository, or a folder of `<owner>/<name>` repositories; an absolute path.
    pub repo_base_path: String,
    /// What agents clone from instead of `file://<repoBasePath>`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clone_url_base: Option<String>,
}

/// Body of `POST /api/v1/admin/generic-sources`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CreateSource {
    /// The organisation that owns the source; part of its webhook address.
    pub org_id: String,
    /// The source's name, unique in the organisation.
    pub name: String,
    /// How deliveries prove where they come from; `hmac_sha256` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_method: Option<VerificationMethod>,
    /// What the method needs to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_config: Option<VerificationConfig>,
    /// The header that carries the event's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type_header: Option<String>,
    /// Where the body says the event's name, as JSONPath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_type_path: Option<String>,
    /// The header that carries the idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key_header: Option<String>,
    /// Where the body says the idempotency key, as JSONPath.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key_path: Option<String>,
    /// How long an idempotency key is remembered; 300 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_window_seconds: Option<i32>,
    /// The largest body that is taken; 1 MiB when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload_bytes: Option<i32>,
    /// The events that are taken; all when absent or empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_events: Option<Vec<String>>,
    /// Headers that are never shown to a workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_headers: Option<Vec<String>>,
    /// How many deliveries are taken in a minute; 600 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_rpm: Option<i32>,
    /// The kind of sender; `generic` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider_type: Option<ProviderType>,
    /// Makes this a local source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_config: Option<LocalConfig>,
    /// Universal git, which this version refuses by name rather than ignoring it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_config: Option<Value>,
}

/// Body of `PATCH /api/v1/admin/generic-sources/{id}`: what is absent stays as it is.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpdateSource {
    /// A new name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Another way to prove where deliveries come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_method: Option<VerificationMethod>,
    /// What the method needs to know; without a new secret the stored one stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_config: Option<VerificationConfig>,
    /// See [`CreateSource`]; `null` clears.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub event_type_header: Option<Option<String>>,
    /// See [`CreateSource`]; `null` clears.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub event_type_path: Option<Option<String>>,
    /// See [`CreateSource`]; `null` clears.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub idempotency_key_header: Option<Option<String>>,
    /// See [`CreateSource`]; `null` clears.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub idempotency_key_path: Option<Option<String>>,
    /// See [`CreateSource`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup_window_seconds: Option<i32>,
    /// See [`CreateSource`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_payload_bytes: Option<i32>,
    /// See [`CreateSource`]; `null` allows all.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub allowed_events: Option<Option<Vec<String>>>,
    /// See [`CreateSource`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip_headers: Option<Vec<String>>,
    /// See [`CreateSource`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limit_rpm: Option<i32>,
    /// Where a local source's repositories are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local_config: Option<LocalConfig>,
    /// Universal git, which this version refuses by name rather than ignoring it; `null` is fine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_config: Option<Value>,
}

/// A source as the API shows it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceView {
    /// Its id, which also names it in its webhook address.
    pub id: SourceId,
    /// The organisation that owns it.
    pub customer_id: String,
    /// Its name.
    pub name: String,
    /// `generic:<org>:<id>`.
    pub routing_key: String,
    /// How deliveries prove where they come from.
    pub verification_method: String,
    /// What the method knows; secrets are `***` unless the caller may reveal them.
    pub verification_config: VerificationConfig,
    /// The header that carries the event's name.
    pub event_type_header: Option<String>,
    /// Where the body says the event's name.
    pub event_type_path: Option<String>,
    /// The header that carries the idempotency key.
    pub idempotency_key_header: Option<String>,
    /// Where the body says the idempotency key.
    pub idempotency_key_path: Option<String>,
    /// How long an idempotency key is remembered.
    pub dedup_window_seconds: i32,
    /// The largest body that is taken.
    pub max_payload_bytes: i32,
    /// The events that are taken; all when absent.
    pub allowed_events: Option<Vec<String>>,
    /// Headers that are never shown to a workflow.
    pub strip_headers: Vec<String>,
    /// Whether deliveries are taken at all.
    pub enabled: bool,
    /// How many deliveries are taken in a minute.
    pub rate_limit_rpm: i32,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was removed.
    pub deleted_at: Option<Timestamp>,
    /// `generic` or `local`.
    pub provider_type: String,
    /// Where a local source's repositories are.
    pub git_config: Option<LocalConfig>,
}

/// Answer that carries one source.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceAnswer {
    /// The source.
    pub source: SourceView,
}

/// Answer of `GET /api/v1/admin/generic-sources`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceList {
    /// Newest first.
    pub sources: Vec<SourceView>,
}

/// Answer of `DELETE /api/v1/admin/generic-sources/{id}`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceDeleted {
    /// Always true.
    pub deleted: bool,
    /// Whether nothing of it was kept.
    pub hard: bool,
}

/// Answer of `enable` and `disable`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SourceEnabled {
    /// Whether deliveries are taken now.
    pub enabled: bool,
}
