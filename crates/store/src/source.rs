//! Sources of deliveries. Secrets come here sealed and leave sealed.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::{StoreError, Time};

/// A source as stored.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are explained where the table is made")]
pub struct SourceRow {
    pub id: Uuid,
    pub org_id: String,
    pub name: String,
    pub routing_key: String,
    pub provider_type: String,
    pub local_config: Option<serde_json::Value>,
    pub verification_method: String,
    pub verification: serde_json::Value,
    pub secret: Option<String>,
    pub previous_secret: Option<String>,
    pub previous_until: Option<Time>,
    pub event_type_header: Option<String>,
    pub event_type_path: Option<String>,
    pub idempotency_key_header: Option<String>,
    pub idempotency_key_path: Option<String>,
    pub dedup_window_seconds: i32,
    pub max_payload_bytes: i32,
    pub allowed_events: Option<Vec<String>>,
    pub strip_headers: Vec<String>,
    pub enabled: bool,
    pub rate_limit_rpm: i32,
    pub created_at: Time,
    pub updated_at: Time,
    pub deleted_at: Option<Time>,
}

/// The columns that a caller decides on, for a new source or a changed one.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the columns are explained where the table is made")]
pub struct SourceContent {
    pub name: String,
    pub local_config: Option<serde_json::Value>,
    pub verification_method: String,
    pub verification: serde_json::Value,
    pub secret: Option<String>,
    /// The secret that is being replaced and how long it stays valid.
    pub previous: Option<(String, Time)>,
    pub event_type_header: Option<String>,
    pub event_type_path: Option<String>,
    pub idempotency_key_header: Option<String>,
    pub idempotency_key_path: Option<String>,
    pub dedup_window_seconds: i32,
    pub max_payload_bytes: i32,
    pub allowed_events: Option<Vec<String>>,
    pub strip_headers: Vec<String>,
    pub rate_limit_rpm: i32,
}

/// Which of several deletions happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deleted {
    /// The row is gone, or marked as asked.
    Done,
    /// There is no such row, or it was marked before.
    Unknown,
}

/// Adds a source. A name that the organisation already uses is a conflict
/// ([`StoreError::is_conflict`]).
pub async fn source_insert(
    conn: &mut PgConnection,
    id: Uuid,
    org_id: &str,
    routing_key: &str,
    provider_type: &str,
    content: &SourceContent,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO source (id, org_id, name, routing_key, provider_type, local_config,
                             verification_method, verification, secret, event_type_header,
                             event_type_path, idempotency_key_header, idempotency_key_path,
                             dedup_window_seconds, max_payload_bytes, allowed_events, strip_headers,
                             rate_limit_rpm)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
        id,
        org_id,
        content.name,
        routing_key,
        provider_type,
        content.local_config,
        content.verification_method,
        content.verification,
        content.secret,
        content.event_type_header,
        content.event_type_path,
        content.idempotency_key_header,
        content.idempotency_key_path,
        content.dedup_window_seconds,
        content.max_payload_bytes,
        content.allowed_events.as_deref(),
        &content.strip_headers,
        content.rate_limit_rpm,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("source_insert"))?;
    Ok(())
}

/// Replaces the content of a source that has not been removed; false when there is none.
pub async fn source_update(
    conn: &mut PgConnection,
    id: Uuid,
    content: &SourceContent,
) -> Result<bool, StoreError> {
    let (previous, until) = match &content.previous {
        Some((secret, until)) => (Some(secret), Some(*until)),
        None => (None, None),
    };
    let done = sqlx::query!(
        "UPDATE source
            SET name = $2, local_config = $3, verification_method = $4, verification = $5,
                secret = $6, previous_secret = $7, previous_until = $8, event_type_header = $9,
                event_type_path = $10, idempotency_key_header = $11, idempotency_key_path = $12,
                dedup_window_seconds = $13, max_payload_bytes = $14, allowed_events = $15,
                strip_headers = $16, rate_limit_rpm = $17, updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL",
        id,
        content.name,
        content.local_config,
        content.verification_method,
        content.verification,
        content.secret,
        previous,
        until as Option<Time>,
        content.event_type_header,
        content.event_type_path,
        content.idempotency_key_header,
        content.idempotency_key_path,
        content.dedup_window_seconds,
        content.max_payload_bytes,
        content.allowed_events.as_deref(),
        &content.strip_headers,
        content.rate_limit_rpm,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("source_update"))?;
    Ok(done.rows_affected() == 1)
}

/// Lets deliveries in or keeps them out; false when there is no such source.
pub async fn source_enable(
    conn: &mut PgConnection,
    id: Uuid,
    enabled: bool,
) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "UPDATE source SET enabled = $2, updated_at = now() WHERE id = $1 AND deleted_at IS NULL",
        id,
        enabled,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("source_enable"))?;
    Ok(done.rows_affected() == 1)
}

/// Marks a source as removed: it takes no more deliveries, its name is free, its history stays.
pub async fn source_remove(conn: &mut PgConnection, id: Uuid) -> Result<Deleted, StoreError> {
    let done = sqlx::query!(
        "UPDATE source SET deleted_at = now(), updated_at = now()
          WHERE id = $1 AND deleted_at IS NULL",
        id,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("source_remove"))?;
    Ok(if done.rows_affected() == 1 { Deleted::Done } else { Deleted::Unknown })
}

/// Deletes a source, also one that was only marked before.
pub async fn source_erase(conn: &mut PgConnection, id: Uuid) -> Result<Deleted, StoreError> {
    let done = sqlx::query!("DELETE FROM source WHERE id = $1", id)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("source_erase"))?;
    Ok(if done.rows_affected() == 1 { Deleted::Done } else { Deleted::Unknown })
}

/// One source, also a removed one.
pub async fn source_get(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<SourceRow>, StoreError> {
    Ok(select(conn, "source_get", Some(id), None, true, None).await?.pop())
}

/// The sources of an organisation, newest first; `routing_key` narrows to one.
pub async fn source_list(
    conn: &mut PgConnection,
    org_id: &str,
    with_removed: bool,
    routing_key: Option<&str>,
) -> Result<Vec<SourceRow>, StoreError> {
    select(conn, "source_list", None, Some(org_id), with_removed, routing_key).await
}

/// Every source that may be needed for a delivery: those that have not been removed.
pub async fn source_active(conn: &mut PgConnection) -> Result<Vec<SourceRow>, StoreError> {
    select(conn, "source_active", None, None, false, None).await
}

async fn select(
    conn: &mut PgConnection,
    call: &'static str,
    id: Option<Uuid>,
    org_id: Option<&str>,
    with_removed: bool,
    routing_key: Option<&str>,
) -> Result<Vec<SourceRow>, StoreError> {
    sqlx::query_as!(
        SourceRow,
        r#"SELECT id, org_id, name, routing_key, provider_type, local_config, verification_method,
                  verification, secret, previous_secret, previous_until AS "previous_until: Time",
                  event_type_header, event_type_path, idempotency_key_header, idempotency_key_path,
                  dedup_window_seconds, max_payload_bytes, allowed_events, strip_headers, enabled,
                  rate_limit_rpm, created_at AS "created_at: Time",
                  updated_at AS "updated_at: Time", deleted_at AS "deleted_at: Time"
             FROM source
            WHERE ($1::uuid IS NULL OR id = $1)
              AND ($2::text IS NULL OR org_id = $2)
              AND ($3 OR deleted_at IS NULL)
              AND ($4::text IS NULL OR routing_key = $4)
            ORDER BY created_at DESC, id DESC"#,
        id,
        org_id,
        with_removed,
        routing_key,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call(call))
}

/// Changes with every change of a source that has not been removed: a cheap look for a poll.
///
/// Made of row versions and not of times, as a transaction that began earlier may commit later.
pub async fn source_version(conn: &mut PgConnection) -> Result<String, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT coalesce(md5(string_agg(concat(id, xmin), ',' ORDER BY id)), '') AS "version!"
             FROM source
            WHERE deleted_at IS NULL"#
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("source_version"))
}
