//! What organisations have set.

use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// Answer of `GET` and `PATCH /api/v1/admin/org-settings/global-workflows`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct OrgSettingsAnswer {
    /// The settings, set or default.
    pub settings: OrgSettings,
}

/// The settings of an organisation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OrgSettings {
    /// How long an approval without a limit of its own may take.
    pub approval_expiry_seconds: i64,
    /// Whether people may approve runs that they started.
    pub allow_self_approval: bool,
    /// When something was set first.
    pub created_at: Option<Timestamp>,
    /// When something was set last.
    pub updated_at: Option<Timestamp>,
}

/// Body of `PATCH /api/v1/admin/org-settings/global-workflows`. Settings that this version does not have are refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UpdateOrgSettings {
    /// The organisation.
    pub customer_id: String,
    /// At least 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approval_expiry_seconds: Option<i64>,
    /// See [`OrgSettings`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_self_approval: Option<bool>,
}
