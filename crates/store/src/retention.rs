//! Removing what nobody has to keep any more. Only what has ended and what nothing else refers to.
//!
//! Old rows are walked in the order of their ids, some at a time, and each look goes on where the last one ended: what
//! has to stay never keeps the rows behind it. `log_removal` has the files of what goes here, `definition` the workflows
//! and selectors.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;
use crate::run::run_lock;

/// A run as a walk finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldRun {
    /// Its id.
    pub id: Uuid,
    /// Its workflow.
    pub definition: Option<Uuid>,
    /// It ended long ago and no other run repeats it.
    pub due: bool,
    /// It was made so lately that neither it nor anything behind it can be due.
    pub young: bool,
    /// How many jobs it has, if it ended long ago.
    pub jobs: i64,
}

/// The next runs after `after`, and which of them ended more than `older_secs` ago.
pub async fn run_look(
    conn: &mut PgConnection,
    after: Uuid,
    older_secs: f64,
    limit: i64,
) -> Result<Vec<OldRun>, StoreError> {
    sqlx::query_as!(
        OldRun,
        r#"SELECT o.id AS "id!", o.definition, o.created_at >= now() - make_interval(secs => $2) AS "young!",
                  o.old AND NOT EXISTS (SELECT FROM run c WHERE c.parent_run_id = o.id) AS "due!",
                  CASE WHEN o.old THEN (SELECT count(*) FROM job j WHERE j.run_id = o.id) ELSE 0 END AS "jobs!"
             FROM (SELECT id, definition, created_at,
                          coalesce(finished_at < now() - make_interval(secs => $2), false) AS old
                     FROM run WHERE id > $1 ORDER BY id LIMIT $3) o
            ORDER BY o.id"#,
        after,
        older_secs,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("run_look"))
}

/// The selectors that jobs of these runs name.
pub async fn selectors_of_runs(
    conn: &mut PgConnection,
    runs: &[Uuid],
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!("SELECT DISTINCT selector FROM job WHERE run_id = ANY($1)", runs)
        .fetch_all(conn)
        .await
        .map_err(StoreError::in_call("selectors_of_runs"))
}

/// Removes runs with all that belongs to them, and notes which logs are to go. One that is repeated meanwhile stays:
/// whoever repeats a run holds its lock. Answers how many are gone.
pub async fn run_delete(conn: &mut PgConnection, runs: &[Uuid]) -> Result<u64, StoreError> {
    run_lock(&mut *conn, runs).await?;
    let gone = sqlx::query_scalar!(
        r#"WITH gone AS (
             DELETE FROM run r WHERE r.id = ANY($1) AND r.finished_at IS NOT NULL
                AND NOT EXISTS (SELECT FROM run c WHERE c.parent_run_id = r.id)
             RETURNING r.id),
           logs AS (
             INSERT INTO log_removal (job_id)
             SELECT j.id FROM gone JOIN job j ON j.run_id = gone.id WHERE j.attempt > 0
             ON CONFLICT DO NOTHING)
           SELECT count(*) AS "count!" FROM gone"#,
        runs,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("run_delete"))?;
    Ok(u64::try_from(gone).unwrap_or(0))
}

/// What one look went through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Looked {
    /// The last row of it; `None`: there is nothing more.
    pub last: Option<Uuid>,
    /// Nothing behind it can be due.
    pub young: bool,
    /// How many rows are gone.
    pub removed: u64,
}

/// Removes those of the next `limit` deliveries after `after` that were settled, came more than `older_secs` ago, may come
/// again as new, and whose runs are gone.
pub async fn delivery_look(
    conn: &mut PgConnection,
    after: Uuid,
    older_secs: f64,
    limit: i64,
) -> Result<Looked, StoreError> {
    let row = sqlx::query!(
        r#"WITH looked AS MATERIALIZED (
             SELECT id, received_at >= now() - make_interval(secs => $2) AS young, due_at, dedup_until
               FROM delivery WHERE id > $1 ORDER BY id LIMIT $3),
           gone AS (
             DELETE FROM delivery WHERE id IN (
                 SELECT l.id FROM looked l WHERE NOT l.young AND l.due_at IS NULL AND l.dedup_until < now()
                    AND NOT EXISTS (SELECT FROM run r WHERE r.delivery = l.id AND r.parent_run_id IS NULL))
             RETURNING 1)
           SELECT (SELECT id FROM looked ORDER BY id DESC LIMIT 1) AS last,
                  coalesce((SELECT bool_or(young) FROM looked), true) AS "young!",
                  (SELECT count(*) FROM gone) AS "removed!""#,
        after,
        older_secs,
        limit,
    )
    .fetch_one(conn)
    .await
    .map_err(StoreError::in_call("delivery_look"))?;
    let removed = u64::try_from(row.removed).unwrap_or(0);
    Ok(Looked { last: row.last, young: row.young, removed })
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
