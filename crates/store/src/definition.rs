//! Workflows and selectors by content: many runs and jobs name one row.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Something named by its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// Derived from the body.
    pub id: Uuid,
    /// JSON.
    pub body: String,
}

/// Keeps workflows that are not there yet.
pub async fn definition_insert(conn: &mut PgConnection, new: &[Content]) -> Result<(), StoreError> {
    let (id, body) = columns(new);
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

/// Keeps selectors that are not there yet.
pub async fn selector_insert(conn: &mut PgConnection, new: &[Content]) -> Result<(), StoreError> {
    let (id, body) = columns(new);
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

/// Records why jobs of a selector wait for an agent; `None` when nothing keeps them.
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

fn columns(new: &[Content]) -> (Vec<Uuid>, Vec<&str>) {
    (new.iter().map(|c| c.id).collect(), new.iter().map(|c| c.body.as_str()).collect())
}
