//! Tokens of the admin API. Only their SHA-256 comes here.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// Label of the token that the configuration, or the first start, makes.
pub const BOOTSTRAP_LABEL: &str = "bootstrap";

/// An admin token as stored.
#[derive(Debug, Clone)]
pub struct AdminTokenRow {
    /// Names it.
    pub id: Uuid,
    /// What it is for.
    pub label: String,
    /// The role's name; unknown names have no permission.
    pub role: String,
    /// The routing key that it is tied to.
    pub routing_key: Option<String>,
    /// The teams of whoever it stands for.
    pub teams: Vec<String>,
    /// When it was made.
    pub created_at: Time,
    /// When it stops working.
    pub expires_at: Option<Time>,
    /// When it was last used.
    pub last_used_at: Option<Time>,
    /// Whether it was withdrawn.
    pub revoked: bool,
}

/// What became of a request to withdraw a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoke {
    /// It is withdrawn, now or since before.
    Done,
    /// There is no such token.
    Unknown,
    /// It is the last one that can make tokens; it stays.
    LastOwner,
}

/// A new token.
#[derive(Debug, Clone)]
pub struct NewAdminToken<'a> {
    /// Names it.
    pub id: Uuid,
    /// SHA-256 of the credential.
    pub hash: &'a [u8],
    /// What it is for.
    pub label: &'a str,
    /// Its role.
    pub role: &'a str,
    /// The routing key that it is tied to.
    pub routing_key: Option<&'a str>,
    /// The teams of whoever it stands for.
    pub teams: &'a [String],
    /// When it stops working.
    pub expires_at: Option<Time>,
}

/// Adds a token.
pub async fn admin_token_insert(
    conn: &mut PgConnection,
    token: NewAdminToken<'_>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO admin_token (id, token_hash, label, role, routing_key, teams, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        token.id,
        token.hash,
        token.label,
        token.role,
        token.routing_key,
        token.teams,
        token.expires_at as Option<Time>,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("admin_token_insert"))?;
    Ok(())
}

/// Makes the bootstrap token follow the configuration. A withdrawn one stays withdrawn. Orchestrators that start
/// together take turns: the second would conflict with the first one's hash before it finds the label.
pub async fn admin_token_bootstrap(
    conn: &mut PgConnection,
    id: Uuid,
    hash: &[u8],
) -> Result<(), StoreError> {
    sqlx::query!(
        "WITH turn AS MATERIALIZED (SELECT pg_advisory_xact_lock(hashtextextended('admin_token_bootstrap', 0)))
         INSERT INTO admin_token (id, token_hash, label, role) SELECT $1, $2, 'bootstrap', 'owner' FROM turn
         ON CONFLICT (label) WHERE label = 'bootstrap'
         DO UPDATE SET token_hash = excluded.token_hash, role = 'owner', expires_at = NULL",
        id,
        hash,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("admin_token_bootstrap"))?;
    Ok(())
}

/// Makes the first token, unless someone else has a usable one; true when it was made.
///
/// A bootstrap row that no longer works is replaced: nobody could come in otherwise.
pub async fn admin_token_first(
    conn: &mut PgConnection,
    id: Uuid,
    hash: &[u8],
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "INSERT INTO admin_token (id, token_hash, label, role)
         SELECT $1, $2, 'bootstrap', 'owner'
          WHERE NOT EXISTS (SELECT FROM admin_token
                             WHERE NOT revoked AND (expires_at IS NULL OR expires_at > now()))
         ON CONFLICT (label) WHERE label = 'bootstrap'
         DO UPDATE SET token_hash = excluded.token_hash, role = 'owner', expires_at = NULL,
                       revoked = false
          WHERE admin_token.revoked OR admin_token.expires_at <= now()",
        id,
        hash,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("admin_token_first"))?;
    Ok(done.rows_affected() == 1)
}

/// The token with this hash, if it works now.
pub async fn admin_token_verify(
    conn: &mut PgConnection,
    hash: &[u8],
) -> Result<Option<AdminTokenRow>, StoreError> {
    sqlx::query_as!(
        AdminTokenRow,
        r#"SELECT id, label, role, routing_key, teams, created_at AS "created_at: Time",
                  expires_at AS "expires_at: Time", last_used_at AS "last_used_at: Time", revoked
             FROM admin_token
            WHERE token_hash = $1 AND NOT revoked AND (expires_at IS NULL OR expires_at > now())"#,
        hash,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("admin_token_verify"))
}

/// All tokens, newest first, withdrawn ones included.
pub async fn admin_token_list(conn: &mut PgConnection) -> Result<Vec<AdminTokenRow>, StoreError> {
    sqlx::query_as!(
        AdminTokenRow,
        r#"SELECT id, label, role, routing_key, teams, created_at AS "created_at: Time",
                  expires_at AS "expires_at: Time", last_used_at AS "last_used_at: Time", revoked
             FROM admin_token
            ORDER BY created_at DESC, id DESC
            LIMIT 1000"#,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("admin_token_list"))
}

/// Withdraws a token, except the last usable one of an owner.
///
/// Needs a transaction: the lock that keeps two callers from withdrawing each other's last token
/// lives until it ends.
pub async fn admin_token_revoke(conn: &mut PgConnection, id: Uuid) -> Result<Revoke, StoreError> {
    let owners = sqlx::query_scalar!(
        "SELECT id FROM admin_token
          WHERE role = 'owner' AND routing_key IS NULL AND NOT revoked
            AND (expires_at IS NULL OR expires_at > now())
          ORDER BY id FOR UPDATE"
    )
    .fetch_all(&mut *conn)
    .await
    .map_err(StoreError::in_call("admin_token_revoke"))?;
    if owners == [id] {
        return Ok(Revoke::LastOwner);
    }
    let done = sqlx::query!("UPDATE admin_token SET revoked = true WHERE id = $1", id)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("admin_token_revoke"))?;
    Ok(if done.rows_affected() == 1 { Revoke::Done } else { Revoke::Unknown })
}

/// Notes when tokens were last used.
pub async fn admin_token_used(
    conn: &mut PgConnection,
    ids: &[Uuid],
    at: &[Time],
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE admin_token SET last_used_at = greatest(last_used_at, used.at)
           FROM unnest($1::uuid[], $2::timestamptz[]) AS used (id, at)
          WHERE admin_token.id = used.id",
        ids,
        at as &[Time],
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("admin_token_used"))?;
    Ok(())
}
