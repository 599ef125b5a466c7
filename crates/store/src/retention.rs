//! Removing what nobody has to keep any more. Only what has ended and what nothing else refers to.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Rows that one look goes through, oldest first. What is removed makes room for the next look.
const LOOKED_AT: i64 = 1000;

/// The oldest runs that ended more than `older_secs` ago and that no other run repeats.
pub async fn run_expired(
    conn: &mut PgConnection,
    older_secs: f64,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT o.id AS "id!" FROM (SELECT id, finished_at FROM run ORDER BY id LIMIT $3) o
            WHERE o.finished_at < now() - make_interval(secs => $1)
              AND NOT EXISTS (SELECT FROM run c WHERE c.parent_run_id = o.id)
            ORDER BY o.id LIMIT $2"#,
        older_secs,
        limit,
        LOOKED_AT,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_expired"))
}

/// The jobs of these runs.
pub async fn jobs_of_runs(conn: &mut PgConnection, runs: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!("SELECT id FROM job WHERE run_id = ANY($1) ORDER BY id", runs)
        .fetch_all(conn)
        .await
        .map_err(StoreError::in_call("jobs_of_runs"))
}

/// Removes runs with all that belongs to them. One that is repeated meanwhile stays. Answers how many are gone.
pub async fn run_delete(conn: &mut PgConnection, runs: &[Uuid]) -> Result<u64, StoreError> {
    sqlx::query!(
        "DELETE FROM run r WHERE r.id = ANY($1) AND r.finished_at IS NOT NULL
            AND NOT EXISTS (SELECT FROM run c WHERE c.parent_run_id = r.id)",
        runs,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("run_delete"))
}

/// Removes the oldest deliveries that were settled, came more than `older_secs` ago, may come again as new, and whose runs
/// are gone. Answers how many are gone.
pub async fn delivery_delete(
    conn: &mut PgConnection,
    older_secs: f64,
    limit: i64,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "DELETE FROM delivery WHERE id IN (
             SELECT o.id FROM (SELECT id, received_at, due_at, dedup_until FROM delivery ORDER BY id LIMIT $3) o
              WHERE o.received_at < now() - make_interval(secs => $1) AND o.due_at IS NULL AND o.dedup_until < now()
                AND NOT EXISTS (SELECT FROM run r WHERE r.delivery = o.id AND r.parent_run_id IS NULL)
              ORDER BY o.id LIMIT $2)",
        older_secs,
        limit,
        LOOKED_AT,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("delivery_delete"))
}

/// Removes the oldest entries of the access log that were written more than `older_secs` ago. Answers how many are gone.
pub async fn access_log_delete(
    conn: &mut PgConnection,
    older_secs: f64,
    limit: i64,
) -> Result<u64, StoreError> {
    sqlx::query!(
        "DELETE FROM access_log WHERE id IN (
             SELECT id FROM access_log WHERE created_at < now() - make_interval(secs => $1)
              ORDER BY created_at LIMIT $2)",
        older_secs,
        limit,
    )
    .execute(conn)
    .await
    .map(|done| done.rows_affected())
    .map_err(StoreError::in_call("access_log_delete"))
}
