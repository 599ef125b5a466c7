//! Workflows and selectors by content: many runs and jobs name one row.
//!
//! A row says when it was last named, to an hour ([`NAMED_FOR`]); retention removes those that nobody has named for long.

use std::time::Duration;

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Who has kept something may name it for so long without keeping it again. Far below what retention keeps.
pub const NAMED_FOR: Duration = Duration::from_secs(30 * 60);

/// Something named by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Derived from the body.
    pub id: Uuid,
    /// JSON.
    pub body: String,
}

/// Keeps workflows that are not there yet, and notes that they are named now.
pub async fn definition_insert(conn: &mut PgConnection, new: &[Content]) -> Result<(), StoreError> {
    let (id, body) = columns(new);
    // Before the insert: from here on nobody removes those that are there, and those that are not are inserted.
    sqlx::query!(
        "UPDATE definition SET used_at = now() WHERE id IN (
             SELECT id FROM definition WHERE id = ANY($1) AND used_at < now() - interval '1 hour' ORDER BY id FOR UPDATE)",
        &id,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::in_call("definition_insert"))?;
    sqlx::query!(
        "INSERT INTO definition (id, body)
         SELECT id, body::json FROM unnest($1::uuid[], $2::text[]) AS t (id, body) ON CONFLICT DO NOTHING",
        &id,
        &body as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("definition_insert"))?;
    Ok(())
}

/// A workflow's JSON.
pub async fn definition_get(
    conn: &mut PgConnection,
    id: Uuid,
) -> Result<Option<String>, StoreError> {
    sqlx::query_scalar!(r#"SELECT body::text AS "body!" FROM definition WHERE id = $1"#, id)
        .fetch_optional(conn)
        .await
        .map_err(StoreError::in_call("definition_get"))
}

/// Keeps selectors that are not there yet, and notes that they are named now.
pub async fn selector_insert(conn: &mut PgConnection, new: &[Content]) -> Result<(), StoreError> {
    let (id, body) = columns(new);
    sqlx::query!(
        "UPDATE selector SET used_at = now() WHERE id IN (
             SELECT id FROM selector WHERE id = ANY($1) AND used_at < now() - interval '1 hour' ORDER BY id FOR UPDATE)",
        &id,
    )
    .execute(&mut *conn)
    .await
    .map_err(StoreError::in_call("selector_insert"))?;
    sqlx::query!(
        "INSERT INTO selector (id, body)
         SELECT id, body::json FROM unnest($1::uuid[], $2::text[]) AS t (id, body) ON CONFLICT DO NOTHING",
        &id,
        &body as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("selector_insert"))?;
    Ok(())
}

/// Selectors by id.
pub async fn selector_get(
    conn: &mut PgConnection,
    ids: &[Uuid],
) -> Result<Vec<Content>, StoreError> {
    sqlx::query_as!(
        Content,
        r#"SELECT id, body::text AS "body!" FROM selector WHERE id = ANY($1)"#,
        ids,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("selector_get"))
}

/// Selectors whose jobs are said to wait, with the reasons as they are stored.
pub async fn selector_waits(conn: &mut PgConnection) -> Result<Vec<(Uuid, String)>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT id, wait_reason::text AS "reason!" FROM selector WHERE wait_reason IS NOT NULL"#
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("selector_waits"))?;
    Ok(rows.into_iter().map(|row| (row.id, row.reason)).collect())
}

/// Records why jobs of a selector wait for an agent; `None` when there are no such jobs.
pub async fn selector_wait(
    conn: &mut PgConnection,
    reasons: &[(Uuid, Option<String>)],
) -> Result<(), StoreError> {
    let id: Vec<Uuid> = reasons.iter().map(|(id, _)| *id).collect();
    let reason: Vec<Option<&str>> = reasons.iter().map(|(_, reason)| reason.as_deref()).collect();
    sqlx::query!(
        "UPDATE selector s SET wait_reason = t.reason::json
           FROM unnest($1::uuid[], $2::text[]) AS t (id, reason) WHERE s.id = t.id",
        &id,
        &reason as _,
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("selector_wait"))?;
    Ok(())
}

/// Removes workflows that were last named more than `older_secs` ago, except these. Answers how many are gone.
pub async fn definition_delete(
    conn: &mut PgConnection,
    older_secs: f64,
    named: &[Uuid],
    limit: i64,
) -> Result<u64, StoreError> {
    // The time again outside: the row may have been named between the look and its lock.
    sqlx::query!(
        "DELETE FROM definition WHERE used_at < now() - make_interval(secs => $1) AND id IN (
             SELECT id FROM definition WHERE used_at < now() - make_interval(secs => $1) AND id <> ALL($2)
              ORDER BY used_at LIMIT $3)",
        older_secs,
        named,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("definition_delete"))
}

/// Removes selectors that were last named more than `older_secs` ago, except these. Answers how many are gone.
pub async fn selector_delete(
    conn: &mut PgConnection,
    older_secs: f64,
    named: &[Uuid],
    limit: i64,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "DELETE FROM selector WHERE used_at < now() - make_interval(secs => $1) AND id IN (
             SELECT id FROM selector WHERE used_at < now() - make_interval(secs => $1) AND id <> ALL($2)
              ORDER BY used_at LIMIT $3)",
        older_secs,
        named,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("selector_delete"))
}

fn columns(new: &[Content]) -> (Vec<Uuid>, Vec<&str>) {
    (new.iter().map(|c| c.id).collect(), new.iter().map(|c| c.body.as_str()).collect())
}
