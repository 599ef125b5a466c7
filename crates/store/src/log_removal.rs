//! What logs take in storage, and which are to go: their rows are gone already.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Jobs whose log is to be removed from storage, at most `limit` of them after `after`.
pub async fn log_removal_next(
    conn: &mut PgConnection,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        "SELECT job_id FROM log_removal WHERE job_id > $1 ORDER BY job_id LIMIT $2",
        after,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_removal_next"))
}

/// The logs of these jobs are gone.
pub async fn log_removal_done(conn: &mut PgConnection, jobs: &[Uuid]) -> Result<(), StoreError> {
    sqlx::query!("DELETE FROM log_removal WHERE job_id = ANY($1)", jobs)
        .execute(conn)
        .await
        .map_err(StoreError::in_call("log_removal_done"))?;
    Ok(())
}

/// Those of these jobs that there are no rows of.
pub async fn job_missing(conn: &mut PgConnection, jobs: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    sqlx::query_scalar!(
        r#"SELECT t.id AS "id!" FROM unnest($1::uuid[]) AS t (id)
            WHERE NOT EXISTS (SELECT FROM job j WHERE j.id = t.id)"#,
        jobs,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("job_missing"))
}

/// A place in the index of log lines, in its order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChunkPlace {
    job: Uuid,
    attempt: i32,
    step: i32,
    first_line: i64,
}

/// Some entries of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkSum {
    /// The last of them.
    pub last: ChunkPlace,
    /// How many.
    pub chunks: i64,
    /// Bytes that they stand for.
    pub bytes: i64,
}

/// Adds up the next `limit` entries after a place; `None` at the end.
pub async fn log_chunk_sum(
    conn: &mut PgConnection,
    after: ChunkPlace,
    limit: i64,
) -> Result<Option<ChunkSum>, StoreError> {
    let row = sqlx::query!(
        r#"WITH looked AS MATERIALIZED (
             SELECT job_id, attempt, step, first_line, bytes FROM log_chunk
              WHERE (job_id, attempt, step, first_line) > ($1, $2, $3, $4)
              ORDER BY job_id, attempt, step, first_line LIMIT $5)
           SELECT l.job_id, l.attempt, l.step, l.first_line,
                  (SELECT count(*) FROM looked) AS "chunks!", (SELECT sum(bytes)::int8 FROM looked) AS "bytes!"
             FROM looked l
            ORDER BY l.job_id DESC, l.attempt DESC, l.step DESC, l.first_line DESC LIMIT 1"#,
        after.job,
        after.attempt,
        after.step,
        after.first_line,
        limit,
    )
    .fetch_optional(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_sum"))?;
    Ok(row.map(|row| ChunkSum {
        last: ChunkPlace {
            job: row.job_id,
            attempt: row.attempt,
            step: row.step,
            first_line: row.first_line,
        },
        chunks: row.chunks,
        bytes: row.bytes,
    }))
}
