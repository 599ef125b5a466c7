//! The index of stored log lines. The lines themselves are in object storage.

use sqlx::PgConnection;
use uuid::Uuid;

use crate::StoreError;

/// Lines of one step in one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunkRow {
    /// The job.
    pub job_id: Uuid,
    /// The attempt.
    pub attempt: i32,
    /// The step; −1 for the job's own log.
    pub step: i32,
    /// Number of the first line within the step, from 0.
    pub first_line: i64,
    /// How many lines.
    pub lines: i32,
    /// Number of the object within the attempt.
    pub object: i32,
    /// Where the lines begin in the object.
    pub start_byte: i32,
    /// How long they are.
    pub bytes: i32,
}

/// Adds entries. One that is there already stays as it is.
pub async fn log_chunk_insert(
    conn: &mut PgConnection,
    rows: &[LogChunkRow],
) -> Result<(), StoreError> {
    let job: Vec<Uuid> = rows.iter().map(|r| r.job_id).collect();
    let number = |of: fn(&LogChunkRow) -> i32| -> Vec<i32> { rows.iter().map(of).collect() };
    let first: Vec<i64> = rows.iter().map(|r| r.first_line).collect();
    sqlx::query!(
        "INSERT INTO log_chunk (job_id, attempt, step, first_line, lines, object, start_byte, bytes)
         SELECT * FROM unnest($1::uuid[], $2::int4[], $3::int4[], $4::int8[], $5::int4[], $6::int4[], $7::int4[],
                $8::int4[])
         ON CONFLICT DO NOTHING",
        &job,
        &number(|r| r.attempt),
        &number(|r| r.step),
        &first,
        &number(|r| r.lines),
        &number(|r| r.object),
        &number(|r| r.start_byte),
        &number(|r| r.bytes),
    )
    .execute(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_insert"))?;
    Ok(())
}

/// The entries of a step that hold lines from `from` on, in order, at most `limit` of them.
pub async fn log_chunk_read(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
    step: i32,
    from: i64,
    limit: i64,
) -> Result<Vec<LogChunkRow>, StoreError> {
    sqlx::query_as!(
        LogChunkRow,
        "SELECT job_id, attempt, step, first_line, lines, object, start_byte, bytes FROM log_chunk
          WHERE job_id = $1 AND attempt = $2 AND step = $3 AND first_line + lines > $4
          ORDER BY first_line LIMIT $5",
        job,
        attempt,
        step,
        from,
        limit,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_read"))
}

/// How far the log of an attempt has been stored: (step, next line) for each step, and the next object.
pub async fn log_chunk_extent(
    conn: &mut PgConnection,
    job: Uuid,
    attempt: i32,
) -> Result<(Vec<(i32, i64)>, i32), StoreError> {
    let rows = sqlx::query!(
        r#"SELECT step, max(first_line + lines) AS "next!", max(object) AS "object!" FROM log_chunk
            WHERE job_id = $1 AND attempt = $2 GROUP BY step"#,
        job,
        attempt,
    )
    .fetch_all(conn)
    .await
    .map_err(StoreError::in_call("log_chunk_extent"))?;
    let object = rows.iter().map(|row| row.object + 1).max().unwrap_or(0);
    Ok((rows.into_iter().map(|row| (row.step, row.next)).collect(), object))
}
