//! What organisations have set; without a row the defaults count.

use sqlx::PgConnection;

use crate::{StoreError, Time};

/// The settings of an organisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrgSettings {
    /// How long an approval without a limit of its own may take.
    pub approval_expiry_seconds: i64,
    /// Whether people may approve runs that they started.
    pub allow_self_approval: bool,
    /// When something was set first.
    pub created_at: Option<Time>,
    /// When something was set last.
    pub updated_at: Option<Time>,
}

impl Default for OrgSettings {
    fn default() -> Self {
        Self {
            approval_expiry_seconds: 86_400,
            allow_self_approval: true,
            created_at: None,
            updated_at: None,
        }
    }
}

/// The settings of an organisation, set or default.
pub async fn org_settings(conn: &mut PgConnection, org: &str) -> Result<OrgSettings, StoreError> {
    let row = sqlx::query_as!(
        OrgSettings,
        r#"SELECT approval_expiry_seconds, allow_self_approval, created_at AS "created_at: Option<Time>",
                  updated_at AS "updated_at: Option<Time>" FROM org_setting WHERE org_id = $1"#,
        org,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("org_settings"))?;
    Ok(row.unwrap_or_default())
}

/// Sets what is given and leaves the rest, in one statement, so that two who set different things both count.
pub async fn org_settings_update(
    conn: &mut PgConnection,
    org: &str,
    expiry: Option<i64>,
    allow_self: Option<bool>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO org_setting AS o (org_id, approval_expiry_seconds, allow_self_approval)
         VALUES ($1, coalesce($2::int8, 86400), coalesce($3::bool, true))
         ON CONFLICT (org_id) DO UPDATE
            SET approval_expiry_seconds = coalesce($2::int8, o.approval_expiry_seconds),
                allow_self_approval = coalesce($3::bool, o.allow_self_approval), updated_at = now()",
        org,
        expiry,
        allow_self as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("org_settings_update"))?;
    Ok(())
}
