//! Tokens that agents show. Only their SHA-256 comes here.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// An agent token as stored.
#[derive(Debug, Clone)]
pub struct AgentTokenRow {
    /// Names it.
    pub id: Uuid,
    /// The first 12 characters of the credential.
    pub token_prefix: String,
    /// The labels that an agent may offer with it; empty allows any.
    pub labels: Vec<String>,
    /// The labels that an agent always has with it.
    pub mandatory_labels: Vec<String>,
    /// `static` or `ephemeral`.
    pub agent_type: String,
    /// Who made it; of an ephemeral one the agent that it belongs to.
    pub created_by: Option<String>,
    /// When it was made.
    pub created_at: Time,
    /// When an agent last came with it.
    pub last_seen_at: Option<Time>,
    /// When it stops working.
    pub expires_at: Option<Time>,
}

/// Adds a static token.
pub async fn agent_token_insert(
    conn: &mut PgConnection,
    hash: &[u8],
    token: &AgentTokenRow,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO agent_token (id, token_hash, token_prefix, labels, mandatory_labels, agent_type,
                                  created_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        token.id,
        hash,
        token.token_prefix,
        &token.labels,
        &token.mandatory_labels,
        token.agent_type,
        token.created_by,
        token.created_at as Time,
        token.expires_at as Option<Time>,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("agent_token_insert"))?;
    Ok(())
}

/// The token with this hash, if it works now; notes that it was used.
pub async fn agent_token_use(
    conn: &mut PgConnection,
    hash: &[u8],
) -> Result<Option<AgentTokenRow>, StoreError> {
    sqlx::query_as!(
        AgentTokenRow,
        r#"UPDATE agent_token SET last_seen_at = now()
            WHERE token_hash = $1 AND revoked_at IS NULL
              AND (expires_at IS NULL OR expires_at > now())
        RETURNING id, token_prefix, labels, mandatory_labels, agent_type, created_by,
                  created_at AS "created_at: Time", last_seen_at AS "last_seen_at: Time",
                  expires_at AS "expires_at: Time""#,
        hash,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("agent_token_use"))
}

/// Tokens that were not withdrawn, newest first; `agent_type` narrows.
pub async fn agent_token_list(
    conn: &mut PgConnection,
    agent_type: Option<&str>,
) -> Result<Vec<AgentTokenRow>, StoreError> {
    sqlx::query_as!(
        AgentTokenRow,
        r#"SELECT id, token_prefix, labels, mandatory_labels, agent_type, created_by,
                  created_at AS "created_at: Time", last_seen_at AS "last_seen_at: Time",
                  expires_at AS "expires_at: Time"
             FROM agent_token
            WHERE revoked_at IS NULL AND ($1::text IS NULL OR agent_type = $1)
            ORDER BY created_at DESC, id DESC
            LIMIT 1000"#,
        agent_type,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("agent_token_list"))
}

/// Withdraws a token; false when there is none or it was withdrawn before.
///
/// Tells every orchestrator (NOTIFY `agent_token_revoked`), so that each closes its connections.
pub async fn agent_token_revoke(conn: &mut PgConnection, id: Uuid) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "WITH gone AS (UPDATE agent_token SET revoked_at = now()
                        WHERE id = $1 AND revoked_at IS NULL RETURNING id)
         SELECT pg_notify('agent_token_revoked', id::text) FROM gone",
        id,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("agent_token_revoke"))?;
    Ok(done.is_some())
}

/// Which of these tokens no longer work: the backstop for a NOTIFY that was missed.
pub async fn agent_token_dead(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT wanted.id AS "id!" FROM unnest($1::uuid[]) AS wanted (id)
            WHERE NOT EXISTS (SELECT FROM agent_token
                               WHERE agent_token.id = wanted.id AND revoked_at IS NULL
                                 AND (expires_at IS NULL OR expires_at > now()))"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("agent_token_dead"))
}
